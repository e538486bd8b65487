//! Payload sets: the programs and images that a cluster runs, as a folder that can be used in place of upstream.
//!
//! What is in one is no secret: names, digests and sizes of published software. So all of it is in the manifest,
//! and anybody who reads the archive knows without an identity whether it holds what a cluster needs. The files
//! are encrypted all the same: a destination holds one kind of object, which is checked, copied and removed in one
//! way, and a person opens all of them by one recipe.

mod open;
mod seal;

use crate::entries::Entry;
use crate::format::is_repo;
use crate::manifest::{
    Cluster, IdentityPublic, MAX_RECIPIENTS, ManifestId, Object, is_display, is_uid, is_word, keep,
};
use crate::signed::{self, Body};
use crate::{Digest, Error, Fault, Name, RootKey, RootPublic, canonical, names};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub use seal::{PayloadFile, PayloadProgress, PayloadSealed, PayloadSealing};

const KIND: &str = "payload";

/// The greatest file, in bytes: some images of add-ons have a GiB.
pub(crate) const MAX_FILE: u64 = 4 * 1024 * 1024 * 1024;

/// The greatest object, in bytes of ciphertext: what does not compress grows a little.
const MAX_OBJECT: u64 = MAX_FILE + MAX_FILE / 16;

/// The greatest sum of the objects of a set, in bytes of ciphertext.
const MAX_SET: u64 = 32 * 1024 * 1024 * 1024;

/// A few programs and images; each takes half a kilobyte of the manifest.
const MAX_FILES: usize = 512;

/// What a payload set is. All of it is public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadPublic {
    /// Whose it is.
    pub cluster: Cluster,
    /// When, by the writer's clock (RFC 3339). For display only: nothing is ordered by it.
    pub created: String,
    /// Its files, in the order of their names: paths in the folder that they make.
    pub entries: Vec<Entry>,
    /// The epoch in which it was sealed.
    pub epoch: u64,
    /// The version of Kubernetes that it is for.
    pub kubernetes: String,
    /// 1 more than the greatest of all payload sets that the writer saw.
    pub number: u64,
    /// The objects of all entries, in the order of their digests.
    pub objects: Vec<Object>,
    /// Who can open it.
    pub recipients: Vec<String>,
    /// The version of rekindle that sealed it.
    pub rekindle: String,
    /// The archive's id, as in `FORMAT`.
    pub repo: String,
    /// The root public key of the archive.
    pub root: RootPublic,
}

/// A payload set as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadSet {
    /// Its manifest.
    pub id: ManifestId,
    /// What it says.
    pub public: PayloadPublic,
    /// The destinations that hold its manifest.
    pub held_by: Vec<String>,
    /// The destinations that answered and do not.
    pub lacking: Vec<String>,
}

impl PayloadSet {
    /// Whether it has all files with these digests.
    pub fn has(&self, wanted: &BTreeSet<Digest>) -> bool {
        let held: BTreeSet<Digest> = self.public.entries.iter().map(|entry| entry.sha256).collect();
        wanted.is_subset(&held)
    }

    /// The newest of these, which come newest first, that has all files with these digests: the payload of a
    /// generation is chosen by what its identity set names.
    pub fn newest_with<'a>(sets: &'a [Self], wanted: &BTreeSet<Digest>) -> Option<&'a Self> {
        sets.iter().find(|set| set.has(wanted))
    }
}

/// A payload set's manifest, verified, with the bytes that are its proof.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub id: ManifestId,
    pub bytes: Vec<u8>,
    pub public: PayloadPublic,
}

impl Payload {
    /// Signs a new one.
    pub fn sign(public: PayloadPublic, key: &RootKey) -> Result<Self, Error> {
        check(&public).map_err(Error::Describe)?;
        let bytes = Body::new(KIND, &public, key.public()?).map_err(Error::Describe)?.sign(key)?;
        let (size, limit) = (bytes.len() as u64, signed::MAX_DOCUMENT);
        if size > limit {
            return Err(Error::TooLarge { what: "the manifest".into(), size, limit });
        }
        Ok(Self { id: ManifestId::of(&bytes), bytes, public })
    }

    /// Reads what lies under `name`; `None` where it is the manifest of a set of another kind.
    ///
    /// # Errors
    /// Where `root` did not sign it, or it is not what it must be.
    pub fn read(name: &Name, bytes: &[u8], root: &RootPublic) -> Result<Option<Self>, Fault> {
        let body = signed::read(bytes)?.verify(root)?;
        if body.kind() != KIND {
            return Ok(None);
        }
        let public: PayloadPublic = body.content()?;
        check(&public)?;
        if public.root != *root {
            return Err(Fault::Signer(public.root));
        }
        let read = Self { id: ManifestId::of(bytes), bytes: bytes.to_vec(), public };
        if read.name() == *name { Ok(Some(read)) } else { Err(Fault::Misnamed) }
    }

    /// Where it lies.
    pub fn name(&self) -> Name {
        Name::of_identity(self.public.epoch, &self.id)
    }

    fn rank(&self) -> (u64, u64, ManifestId) {
        (self.public.epoch, self.public.number, self.id)
    }
}

/// The sets of the archive with this newest identity set, newest first.
pub(crate) fn sets(
    payloads: &BTreeMap<ManifestId, Payload>,
    identity: &IdentityPublic,
    holders: &BTreeMap<ManifestId, BTreeSet<usize>>,
    places: &[(usize, &str)],
) -> Vec<PayloadSet> {
    let ours = |payload: &&Payload| {
        (&payload.public.repo, &payload.public.cluster) == (&identity.repo, &identity.cluster)
    };
    let mut ours: Vec<&Payload> = payloads.values().filter(ours).collect();
    ours.sort_by_key(|payload| Reverse(payload.rank()));
    let set = |payload: &Payload| {
        let holds = |index| holders.get(&payload.id).is_some_and(|holders| holders.contains(index));
        let (held, lacking): (Vec<_>, Vec<_>) = places.iter().partition(|(index, _)| holds(index));
        let named = |places: Vec<&(usize, &str)>| places.iter().map(|(_, at)| (*at).to_owned()).collect();
        PayloadSet {
            id: payload.id,
            public: payload.public.clone(),
            held_by: named(held),
            lacking: named(lacking),
        }
    };
    ours.into_iter().map(set).collect()
}

/// What a well-formed set keeps, beyond the types of its fields.
fn check(public: &PayloadPublic) -> Result<(), Fault> {
    let integer = 1..=canonical::MAX_INTEGER;
    let named: BTreeSet<Digest> = public.entries.iter().map(|entry| entry.object).collect();
    let entry_names = || public.entries.iter().map(|entry| entry.name.as_str());
    keep(&[
        ("cluster.name", is_word(&public.cluster.name, 253)),
        ("cluster.uid", is_uid(&public.cluster.uid)),
        ("created", is_display(&public.created, 40)),
        ("entries", (1..=MAX_FILES).contains(&public.entries.len())),
        ("entries", public.entries.is_sorted_by(|one, next| one.name < next.name)),
        ("entries", names::misfit(entry_names()).is_none()),
        ("entries", public.entries.iter().all(|entry| entry.size <= MAX_FILE)),
        ("epoch", integer.contains(&public.epoch)),
        ("kubernetes", is_word(&public.kubernetes, 64)),
        ("number", integer.contains(&public.number)),
        ("objects", public.objects.iter().map(|object| object.sha256).eq(named)),
        ("objects", public.objects.iter().all(|object| object.size <= MAX_OBJECT)),
        // No overflow: each is bounded by the rule before.
        ("objects", public.objects.iter().map(|object| object.size.min(MAX_OBJECT)).sum::<u64>() <= MAX_SET),
        ("recipients", (1..=MAX_RECIPIENTS).contains(&public.recipients.len())),
        ("recipients", public.recipients.iter().all(|text| is_display(text, 1024))),
        ("rekindle", is_word(&public.rekindle, 64)),
        ("repo", is_repo(&public.repo)),
    ])
}
