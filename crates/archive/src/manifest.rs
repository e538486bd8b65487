//! The manifest of an identity set: its public part, signed, and what makes one well formed.

use crate::format::is_repo;
use crate::signed::{self, Body};
use crate::{Delegation, Digest, Fault, Name, RootKey, RootPublic, canonical};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

pub(crate) const KIND: &str = "identity";

/// Operators and break-glass keys; more would be a mistake.
pub(crate) const MAX_RECIPIENTS: usize = 64;

/// Far more writers at once than there are operators.
pub(crate) const MAX_PARENTS: usize = 64;

/// More than a cluster has control planes, old keys counted.
const MAX_DELEGATIONS: usize = 256;

/// Entries of a set, the private part not counted.
pub(crate) const MAX_ENTRIES: usize = 4096;

/// The greatest object of an identity set, in bytes of ciphertext.
pub(crate) const MAX_OBJECT: u64 = 17 * 1024 * 1024;

/// The greatest sum of the objects of an identity set, in bytes of ciphertext.
pub(crate) const MAX_SET: u64 = 256 * 1024 * 1024;

/// Which manifest: the sha256 of its file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ManifestId(Digest);

impl ManifestId {
    /// The id of the manifest with these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Digest::of(bytes))
    }

    /// The 8 hex digits in its file's name.
    pub fn tag(&self) -> String {
        self.0.to_string()[..8].to_owned()
    }
}

impl fmt::Display for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose archive it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The name in the inventory.
    pub name: String,
    /// Tells this cluster from every other: lower-case hex digits, perhaps with `-`.
    pub uid: String,
}

/// An object that a set needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Object {
    /// Of the ciphertext; its name.
    pub sha256: Digest,
    /// Of the ciphertext, in bytes.
    pub size: u64,
}

/// What anybody may know of an identity set, so that it can be judged without opening it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityPublic {
    /// Whether the cluster ever had a quorum of etcd.
    pub born: bool,
    /// Whose it is.
    pub cluster: Cluster,
    /// When, by the writer's clock (RFC 3339). For display only: nothing is ordered by it.
    pub created: String,
    /// Who else may sign what, in order; each ends with its epoch, or with the set that no longer names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<Delegation>,
    /// The keys that encrypt Secrets in etcd: name → sha256 of the key.
    pub encryption_keys: BTreeMap<String, Digest>,
    /// The epoch in which it was sealed.
    pub epoch: u64,
    /// When a person typed the words of the recovery kit, by the writer's clock (RFC 3339); `None` where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kit_confirmed: Option<String>,
    /// The cluster's version of Kubernetes.
    pub kubernetes: String,
    /// 1 more than the greatest of its parents'.
    pub number: u64,
    /// Everything that it needs, the private part included; in the order of their digests.
    pub objects: Vec<Object>,
    /// The heads of the identity sets that the writer saw, in the order of their ids.
    pub parents: Vec<ManifestId>,
    /// The object that holds the private part.
    pub private: Digest,
    /// Public keys of the CAs and of the service accounts: name of the file → sha256 of the
    /// SubjectPublicKeyInfo in DER.
    pub public_keys: BTreeMap<String, Digest>,
    /// Who can open it.
    pub recipients: Vec<String>,
    /// The version of rekindle that sealed it.
    pub rekindle: String,
    /// The archive's id, as in `FORMAT`.
    pub repo: String,
    /// The root public key of the archive.
    pub root: RootPublic,
}

/// An identity set's manifest, verified, with the bytes that are its proof.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub id: ManifestId,
    pub bytes: Vec<u8>,
    /// With the fields that this code does not know.
    pub body: Body,
    pub public: IdentityPublic,
}

impl Manifest {
    /// Signs a new one.
    pub fn sign(body: Body, key: &RootKey) -> Result<Self, crate::Error> {
        let public: IdentityPublic = body.content().map_err(crate::Error::Describe)?;
        check(&public).map_err(crate::Error::Describe)?;
        let bytes = body.sign(key)?;
        if bytes.len() as u64 > signed::MAX_DOCUMENT {
            let what = "the manifest".to_owned();
            return Err(crate::Error::TooLarge {
                what,
                size: bytes.len() as u64,
                limit: signed::MAX_DOCUMENT,
            });
        }
        Ok(Self { id: ManifestId::of(&bytes), bytes, body, public })
    }

    /// Reads what lies under `name`; `None` where it is the manifest of a set of another kind.
    ///
    /// # Errors
    /// Where `root` did not sign it, or it is not what it must be.
    pub fn read(name: &Name, bytes: &[u8], root: &RootPublic) -> Result<Option<Self>, Fault> {
        match Self::parse(bytes, root)? {
            Some(manifest) if manifest.name() != *name => Err(Fault::Misnamed),
            read => Ok(read),
        }
    }

    /// Reads a manifest wherever it lies; `None` where it is of another kind.
    fn parse(bytes: &[u8], root: &RootPublic) -> Result<Option<Self>, Fault> {
        let body = signed::read(bytes)?.verify(root)?;
        if body.kind() != KIND {
            return Ok(None);
        }
        let public: IdentityPublic = body.content()?;
        check(&public)?;
        if public.root != *root {
            return Err(Fault::Signer(public.root));
        }
        Ok(Some(Self { id: ManifestId::of(bytes), bytes: bytes.to_vec(), body, public }))
    }

    /// Where it lies.
    pub fn name(&self) -> Name {
        Name::of_identity(self.public.epoch, &self.id)
    }

    /// By what the newest is chosen: epoch, then number; the id only makes the choice the same everywhere.
    pub fn rank(&self) -> (u64, u64, ManifestId) {
        (self.public.epoch, self.public.number, self.id)
    }
}

/// The manifest of an identity set as a node carries it: to know the cluster, its recipients and its delegations
/// without the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityManifest {
    /// Which one.
    pub id: ManifestId,
    /// What it says.
    pub public: IdentityPublic,
}

impl IdentityManifest {
    /// Reads the bytes of a manifest.
    ///
    /// # Errors
    /// [`crate::Error::Content`] where `root` did not sign it, or it is no identity set's.
    pub fn read(bytes: &[u8], root: &RootPublic) -> Result<Self, crate::Error> {
        let read = Manifest::parse(bytes, root).and_then(|manifest| manifest.ok_or(Fault::Kind(KIND)));
        match read {
            Ok(Manifest { id, public, .. }) => Ok(Self { id, public }),
            Err(source) => Err(crate::Error::Content { name: "the manifest".into(), source }),
        }
    }
}

/// What a well-formed public part keeps, beyond the types of its fields.
fn check(public: &IdentityPublic) -> Result<(), Fault> {
    let rules = [
        ("cluster.name", is_word(&public.cluster.name, 253)),
        ("cluster.uid", is_uid(&public.cluster.uid)),
        ("created", is_display(&public.created, 40)),
        ("epoch", (1..=canonical::MAX_INTEGER).contains(&public.epoch)),
        ("number", (1..=canonical::MAX_INTEGER).contains(&public.number)),
        ("kit_confirmed", public.kit_confirmed.as_ref().is_none_or(|when| is_display(when, 40))),
        ("kubernetes", is_word(&public.kubernetes, 64)),
        ("rekindle", is_word(&public.rekindle, 64)),
        ("repo", is_repo(&public.repo)),
        ("parents", ascends(&public.parents) && public.parents.len() <= MAX_PARENTS),
        ("parents", (public.number == 1) == public.parents.is_empty()),
        ("recipients", (1..=MAX_RECIPIENTS).contains(&public.recipients.len())),
        ("recipients", public.recipients.iter().all(|text| is_display(text, 1024))),
        ("public_keys", public.public_keys.keys().all(|name| is_display(name, 255))),
        ("encryption_keys", public.encryption_keys.keys().all(|name| is_display(name, 255))),
        ("objects", ascends(&public.objects) && public.objects.len() <= MAX_ENTRIES + 1),
        ("objects", public.objects.iter().all(|object| object.size <= MAX_OBJECT)),
        // No overflow: each is bounded by the rule before.
        ("objects", public.objects.iter().map(|object| object.size.min(MAX_OBJECT)).sum::<u64>() <= MAX_SET),
        ("private", public.objects.iter().any(|object| object.sha256 == public.private)),
        ("delegations", ascends(&public.delegations) && public.delegations.len() <= MAX_DELEGATIONS),
        ("delegations", public.delegations.iter().all(Delegation::is_well_formed)),
    ];
    keep(&rules)
}

/// Names the first rule that is not kept.
pub(crate) fn keep(rules: &[(&str, bool)]) -> Result<(), Fault> {
    match rules.iter().find(|(_, kept)| !kept) {
        Some((field, _)) => Err(Fault::Field(format!("`{field}` has a form that it must not have"))),
        None => Ok(()),
    }
}

pub(crate) fn ascends<T: Ord>(items: &[T]) -> bool {
    items.is_sorted_by(|one, next| one < next)
}

/// Text that a terminal shows as it is.
pub(crate) fn is_display(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

pub(crate) fn is_word(text: &str, limit: usize) -> bool {
    is_display(text, limit)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte))
}

pub(crate) fn is_uid(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-';
    (8..=64).contains(&text.len()) && text.bytes().all(allowed)
}
