//! Epochs: whose turn it is. The claim of an epoch is signed by the root key and written once.

use crate::manifest::{Cluster, is_display, is_uid, keep};
use crate::publish::shown;
use crate::signed::{self, Body};
use crate::{Error, Fault, RootKey, RootPublic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const KIND: &str = "epoch";

/// Who claimed an epoch. All but the epoch and the cluster is for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose it is.
    pub cluster: Cluster,
    /// When, by the holder's clock (RFC 3339).
    pub created: String,
    /// 1 for a new cluster; each rebuild claims a higher one.
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
    /// Whether this holder on this host claimed it, who may go on in its epoch.
    pub fn is_of(&self, holder: &str, host: &str) -> bool {
        self.holder == shown(holder) && self.host == shown(host)
    }

    /// The bytes of `epoch/<n>.json`.
    pub(crate) fn sign(&self, key: &RootKey) -> Result<Vec<u8>, Error> {
        self.check().map_err(Error::Describe)?;
        Body::new(KIND, self, self.root).map_err(Error::Describe)?.sign(key)
    }

    /// Reads `epoch/<epoch>.json`.
    pub(crate) fn read(epoch: u64, bytes: &[u8], root: &RootPublic) -> Result<Self, Fault> {
        let claim = Self::verify(bytes, root)?;
        if claim.epoch == epoch { Ok(claim) } else { Err(Fault::Misnamed) }
    }

    /// Reads the bytes of a claim, wherever they come from.
    ///
    /// # Errors
    /// Where `root` did not sign it, or it is not what it must be.
    pub fn verify(bytes: &[u8], root: &RootPublic) -> Result<Self, Fault> {
        let body = signed::read(bytes)?.verify(root)?;
        if body.kind() != KIND {
            return Err(Fault::Kind(KIND));
        }
        let claim: Self = body.content()?;
        claim.check()?;
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

/// The first of the claims that says that a cluster is no more: the one of `epoch` whose etcd has this cluster id
/// (hex). An epoch fences only what was before it.
pub fn fencing<'a>(
    claims: impl IntoIterator<Item = &'a Claim>,
    epoch: u64,
    etcd_cluster: &str,
) -> Option<&'a Claim> {
    let fences = |claim: &&Claim| claim.epoch > epoch && claim.fences.iter().any(|id| id == etcd_cluster);
    claims.into_iter().filter(fences).min_by_key(|claim| claim.epoch)
}

/// A claim with the bytes that prove it, and the destinations that hold it, by index.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub claim: Claim,
    pub bytes: Vec<u8>,
    pub holders: BTreeSet<usize>,
}

impl Found {
    /// By epoch; of two claims of one epoch the one that more destinations hold comes first, then that of the
    /// earlier destination.
    pub fn rank(&self) -> (u64, std::cmp::Reverse<usize>, Option<usize>) {
        (self.claim.epoch, std::cmp::Reverse(self.holders.len()), self.holders.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn claim(epoch: u64, fences: &[&str]) -> Claim {
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend([7; 32]);
        let root = RootKey::parse(&Secret::new(der)).unwrap().public().unwrap();
        Claim {
            cluster: Cluster { name: "prod".into(), uid: "00112233445566778899aabbccddeeff".into() },
            created: "2026-11-24T12:00:00Z".into(),
            epoch,
            fences: fences.iter().map(|id| (*id).to_owned()).collect(),
            holder: "ada".into(),
            host: "laptop".into(),
            repo: crate::format::repo_of(&root),
            root,
        }
    }

    #[test]
    fn only_a_later_epoch_fences_and_only_what_it_names() {
        let claims = [claim(1, &[]), claim(4, &["aa", "bb"]), claim(2, &["aa"]), claim(3, &[])];
        let cases = [
            (1, "aa", Some(2)),
            (2, "aa", Some(4)),
            (4, "aa", None),
            (9, "aa", None),
            (1, "bb", Some(4)),
            (3, "bb", Some(4)),
            (1, "a", None),
            (1, "aabb", None),
            (1, "", None),
            (1, "cc", None),
        ];
        for (epoch, id, by) in cases {
            assert_eq!(fencing(&claims, epoch, id).map(|claim| claim.epoch), by, "{epoch} {id}");
        }
        assert_eq!(fencing(&[], 1, "aa"), None);
    }
}
