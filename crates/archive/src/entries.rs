//! The private part of a set: which entries it has, and in which objects they lie.

use crate::format::FORMAT;
use crate::manifest::{MAX_ENTRIES, Object};
use crate::{Digest, Fault, canonical, names};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of which kind of set it is the private part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Identity,
    Snapshot,
}

impl Of {
    fn kind(self) -> &'static str {
        match self {
            Self::Identity => "identity-private",
            Self::Snapshot => "snapshot-private",
        }
    }

    /// The greatest size of an entry, in bytes.
    pub fn limit(self, name: &str) -> u64 {
        let large = self == Self::Snapshot && [SNAPSHOT_ENTRY, EXPORT_ENTRY].contains(&name);
        if large { MAX_SNAPSHOT } else { MAX_ENTRY }
    }
}

/// The entry of a snapshot set that is etcd's snapshot, as `etcdutl snapshot restore` takes it.
pub const SNAPSHOT_ENTRY: &str = "etcd/snapshot.db";

/// The entry of a snapshot set that holds all objects as manifests, where whoever took it booted it.
pub const EXPORT_ENTRY: &str = "export/objects.yaml";

/// The greatest snapshot or export, in bytes: twice what etcd suggests as the largest database.
pub(crate) const MAX_SNAPSHOT: u64 = 16 * 1024 * 1024 * 1024;

/// The greatest other entry, in bytes: a policy file may be long, a payload is another set's.
pub(crate) const MAX_ENTRY: u64 = 16 * 1024 * 1024;

/// The greatest private part, in bytes.
pub(crate) const MAX_PRIVATE: u64 = 4 * 1024 * 1024;

/// One entry. The order of its fields is the one that `RECOVER.txt` relies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its logical name.
    pub name: String,
    /// The object that holds it.
    pub object: Digest,
    /// Of the plaintext.
    pub sha256: Digest,
    /// Of the plaintext, in bytes.
    pub size: u64,
}

/// What only a recipient may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Private {
    /// In the order of their names.
    pub entries: Vec<Entry>,
    pub facts: BTreeMap<String, String>,
    format: String,
    kind: String,
    schema: u64,
}

impl Private {
    pub fn new(of: Of, entries: Vec<Entry>, facts: BTreeMap<String, String>) -> Self {
        Self { entries, facts, format: FORMAT.into(), kind: of.kind().into(), schema: 1 }
    }

    pub fn write(&self) -> Result<Vec<u8>, Fault> {
        canonical::write(&serde_json::to_value(self).map_err(|_| Fault::Json)?)
    }

    /// Reads the private part of a set with these objects.
    ///
    /// # Errors
    /// Where it is not well formed, or names another object.
    pub fn read(bytes: &[u8], of: Of, objects: &[Object]) -> Result<Self, Fault> {
        let private: Self = serde_json::from_value(canonical::parse(bytes)?)
            .map_err(|error| Fault::Field(error.to_string()))?;
        if (private.format.as_str(), private.kind.as_str(), private.schema) != (FORMAT, of.kind(), 1) {
            return Err(Fault::Kind(of.kind()));
        }
        let entries = &private.entries;
        let known = |entry: &Entry| objects.iter().any(|object| object.sha256 == entry.object);
        let kept = entries.len() <= MAX_ENTRIES
            && entries.is_sorted_by(|one, next| one.name < next.name)
            && names::misfit(entries.iter().map(|entry| entry.name.as_str())).is_none()
            && entries.iter().all(|entry| entry.size <= of.limit(&entry.name) && known(entry));
        if kept {
            Ok(private)
        } else {
            Err(Fault::Field("`entries` has a form that it must not have".into()))
        }
    }

    /// Names and digests of the plaintexts: what makes two sets the same.
    pub fn contents(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.sha256))
    }
}
