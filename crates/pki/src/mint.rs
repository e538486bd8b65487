//! Leafs and kubeconfigs, made anew each time with fresh keys.

use crate::kubeconfig::{Credentials, Fields, render};
use crate::names::{alternative_names, common_name, endpoint, server};
use crate::table::{ADMIN, SUPER_ADMIN};
use crate::{
    Bundle, Ca, CommonName, Entropy, Error, Form, Held, Holder, Leaf, NodeFile, NodeLeaf, Row, Secret,
    Server, Subject,
};
use inventory::{Cluster, Node};
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

/// The kubelet's client certificate that is made here; a kubelet that rotates it writes other files.
const KUBELET_CLIENT: &str = "/var/lib/kubelet/pki/kubelet-client-rekindle.pem";
/// The link that names the one of the day, and that `kubelet.conf` names.
pub(crate) const KUBELET_CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// The most days before its end in which a leaf is due.
const DUE_DAYS: u32 = 30;

struct Minted {
    certificate: String,
    key: Secret,
    min_days: u32,
}

impl Bundle {
    /// `super-admin.conf`, for any control plane: in `system:masters`, which no RBAC can take back. kubeadm
    /// needs it beside `admin.conf` until the cluster has its roles; then it leaves the node.
    ///
    /// # Errors
    /// As [`Bundle::node_files`].
    pub fn super_admin_kubeconfig(
        &self,
        cluster: &Cluster,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Secret, Error> {
        self.operator(&SUPER_ADMIN, cluster, &endpoint(cluster), None, now, entropy)
    }

    /// A kubeconfig for an operator: the user and group of `admin.conf`, another server.
    ///
    /// `server` is `https://HOST:PORT`; where HOST is not in the apiservers' certificates (a tunnel, a
    /// forwarded port), `tls_server_name` says which of their names to expect.
    ///
    /// # Errors
    /// As [`Bundle::node_files`].
    pub fn admin_kubeconfig(
        &self,
        cluster: &Cluster,
        server: &str,
        tls_server_name: Option<&str>,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Secret, Error> {
        self.operator(&ADMIN, cluster, server, tls_server_name, now, entropy)
    }

    /// A kubeconfig that belongs to no node.
    fn operator(
        &self,
        row: &Row,
        cluster: &Cluster,
        server: &str,
        tls_server_name: Option<&str>,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Secret, Error> {
        let subject = Subject {
            common_name: common_name(row.common_name, ""),
            organization: row.organization,
            names: Vec::new(),
            addresses: Vec::new(),
            usages: row.usages,
        };
        let minted = self.mint_leaf(row.signer, &subject, cluster, now, entropy)?;
        Ok(self.kubeconfig(cluster, &subject, server, tls_server_name, &minted))
    }

    /// One leaf of the table, minted for a node.
    pub(crate) fn leaf(
        &self,
        row: &Row,
        cluster: &Cluster,
        node: &Node,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<NodeLeaf, Error> {
        let (names, addresses) = alternative_names(row.names, cluster, node);
        let subject = Subject {
            common_name: common_name(row.common_name, &node.name),
            organization: row.organization,
            names,
            addresses,
            usages: row.usages,
        };
        let minted = self.mint_leaf(row.signer, &subject, cluster, now, entropy)?;
        let path = row.path.to_owned();
        let mut url = None;
        let (held, files) = match row.form {
            Form::Kubeconfig(rule) => {
                let server = url.insert(server(rule, cluster, node));
                let text = self.kubeconfig(cluster, &subject, server, None, &minted);
                (Held::Kubeconfig { path: path.clone() }, vec![NodeFile::secret(path, text)])
            }
            Form::KubeletClient => {
                let pem = Secret::from(format!("{}{}", minted.certificate, minted.key.expose_secret()));
                let files =
                    vec![NodeFile::secret(KUBELET_CLIENT, pem), NodeFile::link(path.clone(), KUBELET_CLIENT)];
                (Held::Pem { path }, files)
            }
            Form::Pair | Form::Authority { .. } => {
                let key = row.key_path();
                let certificate = NodeFile::public(path.clone(), &minted.certificate);
                let files = vec![NodeFile::secret(key.clone(), minted.key), certificate];
                (Held::Pair { certificate: path, key }, files)
            }
        };
        let ca_path = row.signer.path();
        Ok(NodeLeaf { wants: Leaf { held, ca_path, subject, server: url, min_days: minted.min_days }, files })
    }

    fn mint_leaf(
        &self,
        signer: Ca,
        subject: &Subject,
        cluster: &Cluster,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Minted, Error> {
        let authority = self.authority(signer);
        let end = authority.leaf_end(cluster.pki.leaf_days, now)?;
        let key = entropy.key(cluster.pki.algorithm)?;
        let certificate = authority.issue(subject, &key, now, end, entropy)?;
        let third = u32::try_from((end - now).whole_days() / 3).unwrap_or(DUE_DAYS);
        Ok(Minted { certificate, key: Secret::from(key.serialize_pem()), min_days: third.min(DUE_DAYS) })
    }

    fn kubeconfig(
        &self,
        cluster: &Cluster,
        subject: &Subject,
        server: &str,
        tls_server_name: Option<&str>,
        minted: &Minted,
    ) -> Secret {
        let credentials =
            Credentials::Embedded { certificate: &minted.certificate, key: minted.key.expose_secret() };
        Secret::from(render(&Fields {
            cluster: &cluster.name,
            user: &subject.common_name,
            server,
            tls_server_name,
            ca: self.authority(Ca::Cluster).certificate(),
            credentials,
        }))
    }

    /// The kubelet's kubeconfig: a control plane's names its own apiserver, a worker's the endpoint. The
    /// certificate is outside, so that the kubelet can rotate it and the file holds no secret.
    pub(crate) fn kubelet_conf(&self, cluster: &Cluster, node: &Node) -> NodeFile {
        let rule =
            if Holder::ControlPlane.includes(cluster, node) { Server::Local } else { Server::Endpoint };
        let text = render(&Fields {
            cluster: &cluster.name,
            user: &common_name(CommonName::SystemNode, &node.name),
            server: &server(rule, cluster, node),
            tls_server_name: None,
            ca: self.authority(Ca::Cluster).certificate(),
            credentials: Credentials::File(KUBELET_CURRENT),
        });
        NodeFile::public("/etc/kubernetes/kubelet.conf", &text).owner_only()
    }
}
