//! Epochs: whose turn it is. The claim of an epoch is signed by the root key and written once.

use crate::manifest::{Cluster, is_display, is_uid, keep};
use crate::signed::{self, Body};
use crate::{Error, Fault, RootKey, RootPublic};
use serde::{Deserialize, Serialize};

const KIND: &str = "epoch";

/// Who claimed an epoch. All but the epoch and the cluster is for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose it is.
    pub cluster: Cluster,
    /// When, by the holder's clock (RFC 3339).
    pub created: String,
    /// 1 for a new cluster; each rebuild claims the next.
    pub epoch: u64,
    /// etcd cluster ids that this epoch fences, in hex; none for a new cluster.
    pub fences: Vec<String>,
    /// Who ran the command.
    pub holder: String,
    /// The machine on which it ran.
    pub host: String,
    /// The archive's id, as in `FORMAT`.
    pub repo: String,
    /// The root public key of the archive.
    pub root: RootPublic,
}

impl Claim {
    /// The bytes of `epoch/<n>.json`.
    pub(crate) fn sign(&self, key: &RootKey) -> Result<Vec<u8>, Error> {
        self.check().map_err(Error::Describe)?;
        Body::new(KIND, self, self.root).map_err(Error::Describe)?.sign(key)
    }

    /// Reads `epoch/<epoch>.json`.
    ///
    /// # Errors
    /// Where `root` did not sign it, or it is not what it must be.
    pub(crate) fn read(epoch: u64, bytes: &[u8], root: &RootPublic) -> Result<Self, Fault> {
        let body = signed::read(bytes)?.verify(root)?;
        if body.kind() != KIND {
            return Err(Fault::Kind(KIND));
        }
        let claim: Self = body.content()?;
        claim.check()?;
        if claim.epoch != epoch {
            return Err(Fault::Misnamed);
        }
        if claim.root != *root { Err(Fault::Signer(claim.root)) } else { Ok(claim) }
    }

    fn check(&self) -> Result<(), Fault> {
        let rules = [
            ("cluster.name", is_display(&self.cluster.name, 253)),
            ("cluster.uid", is_uid(&self.cluster.uid)),
            ("created", is_display(&self.created, 40)),
            ("epoch", self.epoch > 0),
            ("fences", self.fences.len() <= 64 && self.fences.iter().all(|id| is_display(id, 64))),
            ("holder", is_display(&self.holder, 255)),
            ("host", is_display(&self.host, 255)),
        ];
        keep(&rules)
    }
}
