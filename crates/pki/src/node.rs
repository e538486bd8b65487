//! Every file of one node.

use crate::{Bundle, Entropy, Error, Form, Holder, Leaf, Secret, TABLE};
use inventory::{Cluster, Node};
use time::OffsetDateTime;

/// Every file of one node.
#[derive(Clone, Debug)]
pub struct NodeFiles {
    /// The same each time: CA certificates and keys, the service account's key pair, `kubelet.conf`.
    /// Compared by their bytes.
    pub files: Vec<NodeFile>,
    /// Made anew each time. Written only where what is there is not good.
    pub leafs: Vec<NodeLeaf>,
}

/// One file of root's.
#[derive(Clone, Debug)]
pub struct NodeFile {
    /// Absolute.
    pub path: String,
    /// Permission bits; of no meaning for a link.
    pub mode: u32,
    /// What is in it.
    pub body: Body,
}

/// What is in a file.
#[derive(Clone, Debug)]
pub enum Body {
    /// Text that may be shown.
    Public(String),
    /// Text that may not.
    Secret(Secret),
    /// A symbolic link to this absolute path.
    Link(String),
}

/// A leaf certificate and its key: one thing, in one file or two.
#[derive(Clone, Debug)]
pub struct NodeLeaf {
    /// What makes one that is there good enough.
    pub wants: Leaf,
    /// Written together, in this order, or not at all: the key before its certificate, the file before the
    /// link to it.
    pub files: Vec<NodeFile>,
}

impl NodeFile {
    pub(crate) fn public(path: impl Into<String>, text: &str) -> Self {
        Self { path: path.into(), mode: 0o644, body: Body::Public(text.to_owned()) }
    }

    pub(crate) fn secret(path: impl Into<String>, secret: Secret) -> Self {
        Self { path: path.into(), mode: 0o600, body: Body::Secret(secret) }
    }

    pub(crate) fn link(path: impl Into<String>, to: &str) -> Self {
        Self { path: path.into(), mode: 0o777, body: Body::Link(to.to_owned()) }
    }

    pub(crate) fn owner_only(self) -> Self {
        Self { mode: 0o600, ..self }
    }
}

impl Bundle {
    /// Every file of `node`, but `super-admin.conf`. Leafs are minted with fresh keys.
    ///
    /// # Errors
    /// [`Error::Expired`] where a CA's time is over, [`Error::Sign`] where a name fits no certificate.
    pub fn node_files(
        &self,
        cluster: &Cluster,
        node: &Node,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<NodeFiles, Error> {
        let mut made = NodeFiles { files: Vec::new(), leafs: Vec::new() };
        for row in TABLE.iter().filter(|row| row.on.includes(cluster, node)) {
            match row.form {
                Form::Authority { key_on } => {
                    let authority = self.authority(row.signer);
                    made.files.push(NodeFile::public(row.path, authority.certificate()));
                    if key_on.includes(cluster, node) {
                        made.files.push(NodeFile::secret(row.key_path(), authority.key().clone()));
                    }
                }
                _ => made.leafs.push(self.leaf(row, cluster, node, now, entropy)?),
            }
        }
        if Holder::ControlPlane.includes(cluster, node) {
            made.files.push(NodeFile::secret("/etc/kubernetes/pki/sa.key", self.sa_key().clone()));
            made.files.push(NodeFile::public("/etc/kubernetes/pki/sa.pub", self.sa_public()).owner_only());
        }
        if Holder::Kubelet.includes(cluster, node) {
            made.files.push(self.kubelet_conf(cluster, node));
        }
        Ok(made)
    }
}
