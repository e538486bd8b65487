//! The manifest of a snapshot set: its public part, and by whose word it counts.
//!
//! A control plane signs it with a key that the identity set delegates to it, so nothing in it is believed beyond
//! what that key may say: who can open it and whose cluster it is are compared with the identity set that it names.

use crate::delegation::MAY_SNAPSHOT;
use crate::entries::MAX_SNAPSHOT;
use crate::format::is_repo;
use crate::manifest::{
    Cluster, MAX_ENTRIES, MAX_PARENTS, MAX_RECIPIENTS, MAX_SET, Manifest, ManifestId, Object, ascends,
    is_display, is_uid, is_word, keep,
};
use crate::signed::{self, Body};
use crate::{Digest, Error, Fault, Name, RootPublic, SigningKey, canonical};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const KIND: &str = "snapshot";

/// The greatest object of a snapshot set, in bytes of ciphertext: what does not compress grows a little.
const MAX_OBJECT: u64 = MAX_SNAPSHOT + MAX_SNAPSHOT / 16;

/// What anybody may know of a snapshot set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPublic {
    /// Whose it is.
    pub cluster: Cluster,
    /// When, by the node's clock (RFC 3339). For display only: nothing is ordered by it.
    pub created: String,
    /// The epoch, which is that of its identity set.
    pub epoch: u64,
    /// etcd's cluster id, in hex without leading zeros.
    pub etcd_cluster: String,
    /// The identity set with which it is a generation.
    pub identity: ManifestId,
    /// The node whose etcd it was taken from.
    pub node: String,
    /// 1 more than the greatest of its parents', for people.
    pub number: u64,
    /// Everything that it needs, the private part included; in the order of their digests.
    pub objects: Vec<Object>,
    /// The heads of the snapshot sets that the writer saw, in the order of their ids.
    pub parents: Vec<ManifestId>,
    /// The object that holds the private part.
    pub private: Digest,
    /// Who can open it: those of its identity set.
    pub recipients: Vec<String>,
    /// The version of rekindle that captured it.
    pub rekindle: String,
    /// The archive's id, as in `FORMAT`.
    pub repo: String,
    /// etcd's revision.
    pub revision: u64,
    /// The root public key of the archive.
    pub root: RootPublic,
}

/// By whose word a document counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signer {
    /// The root key's: somebody who can open the archive.
    Root,
    /// That of this node's delegated key.
    Node(String),
}

/// A snapshot set's manifest, verified, with the bytes that are its proof.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub id: ManifestId,
    pub bytes: Vec<u8>,
    pub public: SnapshotPublic,
    pub key: RootPublic,
}

impl Snapshot {
    /// Signs a new one.
    pub fn sign(public: &SnapshotPublic, key: &SigningKey) -> Result<Vec<u8>, Error> {
        Body::new(KIND, public, key.public()?).map_err(Error::Draft)?.sign(key)
    }

    /// Reads what lies under `name` by the identity sets of the archive; `None` where it is the manifest of a
    /// set of another kind.
    ///
    /// # Errors
    /// Where nobody signed it who may, or it is not what it must be.
    pub fn read(
        name: &Name,
        bytes: &[u8],
        root: &RootPublic,
        sets: &BTreeMap<ManifestId, Manifest>,
    ) -> Result<Option<Self>, Fault> {
        let document = signed::read(bytes)?;
        let key = document.signer;
        let body = document.verify_by(|key| key == root || is_delegated(key, sets))?;
        match body.kind() {
            KIND => {}
            _ if key == *root => return Ok(None),
            _ => return Err(Fault::Kind(KIND)),
        }
        let public: SnapshotPublic = body.content()?;
        check(&public)?;
        let read = Self { id: ManifestId::of(bytes), bytes: bytes.to_vec(), public, key };
        if read.name() != *name {
            return Err(Fault::Misnamed);
        }
        read.fits(root, sets).map(|()| Some(read))
    }

    /// Whether the identity set that it names says the same.
    fn fits(&self, root: &RootPublic, sets: &BTreeMap<ManifestId, Manifest>) -> Result<(), Fault> {
        let public = &self.public;
        let identity = sets.get(&public.identity).map(|set| &set.public);
        let identity = identity.filter(|identity| identity.epoch == public.epoch);
        let identity = identity.ok_or(Fault::Identity(public.identity))?;
        let ours = (&identity.repo, &identity.root, &identity.cluster);
        if ours != (&public.repo, &public.root, &public.cluster) {
            return Err(Fault::OtherArchive);
        }
        if public.recipients != identity.recipients {
            return Err(Fault::Recipients);
        }
        let may = |delegation: &crate::Delegation| {
            delegation.allows(MAY_SNAPSHOT, &self.key, public.epoch, &public.node)
        };
        if self.key == *root || identity.delegations.iter().any(may) {
            return Ok(());
        }
        Err(Fault::NotDelegated { key: self.key, node: public.node.clone() })
    }

    /// Where it lies.
    pub fn name(&self) -> Name {
        Name::Manifest { epoch: self.public.epoch, revision: self.public.revision, tag: self.id.tag() }
    }

    /// By whose word it counts.
    pub fn signed_by(&self) -> Signer {
        if self.key == self.public.root { Signer::Root } else { Signer::Node(self.public.node.clone()) }
    }

    /// By what the newest is chosen; the id only makes the choice the same everywhere.
    pub fn rank(&self) -> (u64, u64, u64, ManifestId) {
        (self.public.epoch, self.public.revision, self.public.number, self.id)
    }
}

/// Whether any identity set delegates anything to this key.
pub(crate) fn is_delegated(key: &RootPublic, sets: &BTreeMap<ManifestId, Manifest>) -> bool {
    sets.values().any(|set| set.public.delegations.iter().any(|delegation| delegation.key == *key))
}

/// What a well-formed public part keeps, beyond the types of its fields.
pub(crate) fn check(public: &SnapshotPublic) -> Result<(), Fault> {
    let integer = 1..=canonical::MAX_INTEGER;
    let sum = public.objects.iter().map(|object| object.size.min(MAX_OBJECT)).sum::<u64>();
    keep(&[
        ("cluster.name", is_word(&public.cluster.name, 253)),
        ("cluster.uid", is_uid(&public.cluster.uid)),
        ("created", is_display(&public.created, 40)),
        ("epoch", integer.contains(&public.epoch)),
        ("etcd_cluster", is_etcd_id(&public.etcd_cluster)),
        ("node", is_word(&public.node, 253)),
        ("number", integer.contains(&public.number)),
        ("number", (public.number == 1) == public.parents.is_empty()),
        ("parents", ascends(&public.parents) && public.parents.len() <= MAX_PARENTS),
        ("recipients", (1..=MAX_RECIPIENTS).contains(&public.recipients.len())),
        ("rekindle", is_word(&public.rekindle, 64)),
        ("repo", is_repo(&public.repo)),
        ("revision", integer.contains(&public.revision)),
        ("objects", ascends(&public.objects) && public.objects.len() <= MAX_ENTRIES + 1),
        ("objects", public.objects.iter().all(|object| object.size <= MAX_OBJECT)),
        ("objects", sum <= 2 * MAX_OBJECT + MAX_SET),
        ("private", public.objects.iter().any(|object| object.sha256 == public.private)),
    ])
}

/// As etcd prints its ids: a number of 64 bits in hex.
fn is_etcd_id(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (1..=16).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(hex)
}
