//! Opening a snapshot set: what a node captured, streamed back.

use crate::cipher::{decrypt, decrypt_stream};
use crate::entries::{EXPORT_ENTRY, Entry, MAX_PRIVATE, Of, Private, SNAPSHOT_ENTRY};
use crate::manifest::ManifestId;
use crate::snapshot::SnapshotPublic;
use crate::{Archive, Digest, Error, Fault, Identities, Name, Secret, Trust};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::path::Path;

/// Entries that are streamed and never whole in memory.
const LARGE: [&str; 2] = [SNAPSHOT_ENTRY, EXPORT_ENTRY];

/// An opened snapshot set. All in it is the word of the node that captured it: certificates, configuration and
/// recipients are the identity set's.
#[derive(Debug)]
pub struct OpenedSnapshot {
    /// The manifest of the set.
    pub id: ManifestId,
    /// Its public part.
    pub public: SnapshotPublic,
    /// Logical name → content, without the snapshot and the export.
    pub entries: BTreeMap<String, Secret>,
    /// What the writer noted beside the entries.
    pub facts: BTreeMap<String, String>,
    /// The size of the snapshot, in bytes.
    pub size: u64,
    /// The size of the export, in bytes, where there is one.
    pub export: Option<u64>,
}

impl Archive {
    /// Opens a snapshot set, and writes etcd's snapshot to `to` and all objects as manifests, where it has them, to
    /// `export`. What was written counts only if this returns well.
    ///
    /// All ciphertext is fetched to `scratch` and its digests are checked before the first is decrypted; a copy
    /// that is missing or damaged at one destination is taken from another. No plaintext lies in `scratch`, and
    /// nothing after this returns.
    ///
    /// # Errors
    /// Those of [`Archive::state`]; [`Error::NoSnapshot`], [`Error::Suspect`], [`Error::Lost`],
    /// [`Error::WrongIdentity`], [`Error::Content`]; [`Error::File`] where `scratch`, `to` or `export` takes no more.
    pub fn open_snapshot(
        &self,
        id: &ManifestId,
        identities: &Identities,
        trust: &Trust,
        scratch: &Path,
        to: &mut dyn Write,
        export: &mut dyn Write,
    ) -> Result<OpenedSnapshot, Error> {
        let known = self.survey_what_is_there(trust)?;
        let seen = self.snapshots(&known)?;
        let snapshot = seen.sets.get(id).ok_or(Error::NoSnapshot(*id))?;
        if let Some(why) = seen.suspect(snapshot) {
            return Err(Error::Suspect { id: *id, why });
        }
        let public = snapshot.public.clone();
        let mut files: BTreeMap<Digest, File> = BTreeMap::new();
        for object in &public.objects {
            files.insert(object.sha256, self.fetch_file(object, scratch)?.into_file());
        }
        let file = |object: &Digest, name: &str| {
            let missing = || Error::Content { name: name.to_owned(), source: Fault::Digest };
            let mut file = files.get(object).ok_or_else(missing)?;
            let failed = |source| Error::File { act: "read", path: scratch.display().to_string(), source };
            file.rewind().map_err(failed)?;
            Ok::<_, Error>(io::BufReader::new(file))
        };
        let decrypt = |object: &Digest, name: &str, limit: u64| {
            decrypt(file(object, name)?, identities, limit)
                .map_err(|failed| failed.of(name, &public.recipients))
        };
        let name = Name::Object(public.private).to_string();
        let private = decrypt(&public.private, &name, MAX_PRIVATE)?;
        let private = Private::read(&private, Of::Snapshot, &public.objects)
            .map_err(|source| Error::Content { name: name.clone(), source })?;
        let (large, others): (Vec<&Entry>, Vec<&Entry>) =
            private.entries.iter().partition(|entry| LARGE.contains(&entry.name.as_str()));
        let named = |name: &str| large.iter().find(|entry| entry.name == name).copied();
        let Some(database) = named(SNAPSHOT_ENTRY) else {
            let source = Fault::Field(format!("it has no entry `{SNAPSHOT_ENTRY}`"));
            return Err(Error::Content { name, source });
        };
        let mut entries = BTreeMap::new();
        for entry in others {
            let mut plain = decrypt(&entry.object, &entry.name, entry.size)?;
            entry.check(&plain)?;
            entries.insert(entry.name.clone(), Secret::new(std::mem::take(&mut *plain)));
        }
        let stream = |entry: &Entry, to: &mut dyn Write| {
            let sum = (entry.sha256, entry.size);
            decrypt_stream(file(&entry.object, &entry.name)?, identities, sum, to)
                .map_err(|failed| failed.of(&entry.name, &public.recipients))
        };
        stream(database, to)?;
        let exported = named(EXPORT_ENTRY);
        if let Some(exported) = exported {
            stream(exported, export)?;
        }
        let (size, export) = (database.size, exported.map(|entry| entry.size));
        let facts = private.facts.clone();
        Ok(OpenedSnapshot { id: *id, size, export, public, entries, facts })
    }
}
