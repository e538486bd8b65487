//! What a good leaf certificate looks like.

use crate::Usage;
use std::net::IpAddr;

/// The demands on one leaf certificate of one node: what is minted, and what a probe accepts on the node
/// whatever its bytes. Beside them, a good leaf is signed by the CA at `ca_path`, fits its key, and says no
/// other subject or usage; further names do no harm (kubeadm, too, asks for the wanted ones only).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// How certificate and key lie on the node.
    pub held: Held,
    /// The signer's certificate on the same node. It may be an intermediate, so it is a trust anchor by
    /// itself: `openssl verify -partial_chain`.
    pub ca_path: &'static str,
    /// For whom and for what it is.
    pub subject: Subject,
    /// The server that the kubeconfig around it must name: `https://HOST:PORT`.
    pub server: Option<String>,
    /// Fewer days than these before its end, and it is due: 30, or a third of a shorter life.
    pub min_days: u32,
}

/// How a certificate and its key lie on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Two PEM files.
    Pair {
        /// The certificate.
        certificate: String,
        /// Its key.
        key: String,
    },
    /// Both embedded in a kubeconfig (`client-certificate-data`, `client-key-data`).
    Kubeconfig {
        /// The file.
        path: String,
    },
    /// Both in one PEM file.
    Pem {
        /// A link that names the file of the day: a kubelet that rotates its certificate moves it.
        path: String,
    },
}

/// For whom a certificate is and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The subject's CN.
    pub common_name: String,
    /// The subject's O; `None`: it has none.
    pub organization: Option<&'static str>,
    /// DNS names that it must have.
    pub names: Vec<String>,
    /// Addresses that it must have.
    pub addresses: Vec<IpAddr>,
    /// Its extended key usages.
    pub usages: &'static [Usage],
}
