//! A captured snapshot set on its way: what holds the plaintext has no network, and what has it sees ciphertext.
//!
//! [`Spool`] encrypts into a folder, piece by piece; `draft.json`, written last, is the public part without what
//! only the archive can say. [`Archive::publish_snapshot`](crate::Archive::publish_snapshot) goes on from there.

use crate::cipher::{Sum, ZSTD_LEVEL, encrypt_stream};
use crate::digest::Summing;
use crate::entries::{Entry, MAX_PRIVATE, Of, Private, SNAPSHOT_ENTRY};
use crate::manifest::{IdentityManifest, MAX_ENTRIES, ManifestId, Object};
use crate::signed::{MAX_DOCUMENT, object};
use crate::snapshot::{self, SnapshotPublic};
use crate::{Digest, Error, Fault, Recipient, canonical, names};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file that is there when a capture is whole.
const DRAFT: &str = "draft.json";

/// What is to be known of a captured snapshot of etcd.
#[derive(Clone, Copy, Debug)]
pub struct Capture<'a> {
    /// etcd's revision in the snapshot.
    pub revision: u64,
    /// etcd's cluster id, in hex without leading zeros.
    pub etcd_cluster: &'a str,
    /// The node whose etcd it was taken from.
    pub node: &'a str,
    /// The time (RFC 3339).
    pub created: &'a str,
    /// The version of rekindle.
    pub rekindle: &'a str,
    /// What else only recipients may know.
    pub facts: &'a BTreeMap<String, String>,
}

/// What a capture came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// Of the snapshot.
    pub sha256: Digest,
    /// Of the snapshot, in bytes.
    pub size: u64,
    /// Of all ciphertext in the folder, in bytes.
    pub ciphertext: u64,
}

/// A folder that takes entries one after the other. Nothing is decrypted by it, nothing signed, and no plaintext is
/// written.
#[derive(Debug)]
pub struct Spool {
    identity: IdentityManifest,
    recipients: Vec<Recipient>,
    folder: PathBuf,
    entries: Vec<Entry>,
    objects: BTreeMap<Digest, u64>,
}

impl Spool {
    /// Begins one in `folder`, which is made (0700) or empty. The identity set is the one with which the capture
    /// will be a generation: it says whose it is and who can open it.
    ///
    /// # Errors
    /// [`Error::SpoolUsed`]; [`Error::File`] where the folder cannot be made.
    pub fn begin(identity: &IdentityManifest, folder: &Path) -> Result<Self, Error> {
        let recipients = identity.public.recipients.iter().map(|text| text.parse());
        let recipients = recipients.collect::<Result<_, _>>()?;
        make_empty(folder)?;
        let (entries, objects) = (Vec::new(), BTreeMap::new());
        Ok(Self { identity: identity.clone(), recipients, folder: folder.to_owned(), entries, objects })
    }

    /// Encrypts an entry, piece by piece, into an object that is named by its sha256 (0600). Where it fails, nothing of
    /// the entry stays, and others can be added.
    ///
    /// # Errors
    /// [`Error::File`] where `from` breaks off or the folder cannot be written; [`Error::TooLarge`],
    /// [`Error::EntryName`] where a reader would refuse it.
    pub fn add(&mut self, name: &str, from: &mut dyn Read) -> Result<(), Error> {
        let names = self.entries.iter().map(|entry| entry.name.as_str()).chain([name]);
        if names::misfit(names).is_some() {
            return Err(Error::EntryName { name: name.to_owned() });
        }
        let (count, limit) = (self.entries.len() as u64 + 1, MAX_ENTRIES as u64);
        if count > limit {
            return Err(Error::TooLarge { what: "the number of entries".into(), size: count, limit });
        }
        let what = if name == SNAPSHOT_ENTRY { "the snapshot" } else { name };
        let ((sha256, size), object) = self.encrypt(from, (what, Of::Snapshot.limit(name)))?;
        self.entries.push(Entry { name: name.to_owned(), object, sha256, size });
        Ok(())
    }

    /// Leaves out an entry that was added.
    ///
    /// # Errors
    /// [`Error::File`] where its object cannot be removed.
    pub fn remove(&mut self, name: &str) -> Result<(), Error> {
        let Some(at) = self.entries.iter().position(|entry| entry.name == name) else { return Ok(()) };
        let object = self.entries.remove(at).object;
        self.objects.remove(&object);
        let path = self.folder.join(object.to_string());
        fs::remove_file(&path).map_err(|source| failed("remove", &path, source))
    }

    fn encrypt(&mut self, from: &mut dyn Read, limit: (&str, u64)) -> Result<(Sum, Digest), Error> {
        let (plain, object) = add(&self.folder, from, &self.recipients, limit, ZSTD_LEVEL)?;
        self.objects.insert(object.0, object.1);
        Ok((plain, object.0))
    }

    /// Writes `draft.json`: from then on it is a whole capture.
    ///
    /// # Errors
    /// [`Error::Draft`] where a reader would refuse it, as without the snapshot; [`Error::File`].
    pub fn finish(mut self, capture: &Capture) -> Result<Spooled, Error> {
        let snapshot = self.entries.iter().find(|entry| entry.name == SNAPSHOT_ENTRY);
        let missing = || Error::Draft(Fault::Field(format!("it has no entry `{SNAPSHOT_ENTRY}`")));
        let (sha256, size) = snapshot.map(|entry| (entry.sha256, entry.size)).ok_or_else(missing)?;
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        let private =
            Private::new(Of::Snapshot, entries, capture.facts.clone()).write().map_err(Error::Draft)?;
        let (_, private) = self.encrypt(&mut private.as_slice(), ("the private part", MAX_PRIVATE))?;
        let ciphertext = self.objects.values().sum();
        let identity = &self.identity.public;
        let public = SnapshotPublic {
            cluster: identity.cluster.clone(),
            created: capture.created.to_owned(),
            epoch: identity.epoch,
            etcd_cluster: capture.etcd_cluster.to_owned(),
            identity: self.identity.id,
            node: capture.node.to_owned(),
            number: 1,
            objects: self.objects.into_iter().map(|(sha256, size)| Object { sha256, size }).collect(),
            parents: Vec::new(),
            private,
            recipients: identity.recipients.clone(),
            rekindle: capture.rekindle.to_owned(),
            repo: identity.repo.clone(),
            revision: capture.revision,
            root: identity.root,
        };
        snapshot::check(&public).map_err(Error::Draft)?;
        let mut file = unfinished(&self.folder)?;
        let path = self.folder.join(DRAFT);
        file.write_all(&draft(&public).map_err(Error::Draft)?)
            .map_err(|source| failed("write", &path, source))?;
        file.persist_noclobber(&path).map_err(|error| failed("write", &path, error.error))?;
        Ok(Spooled { sha256, size, ciphertext })
    }
}

/// Encrypts one entry into a file that is named by its digest.
pub(crate) fn add(
    folder: &Path,
    from: &mut dyn Read,
    recipients: &[Recipient],
    limit: (&str, u64),
    level: i32,
) -> Result<(Sum, Sum), Error> {
    let file = unfinished(folder)?;
    let (plain, object) = encrypt_stream(from, recipients, limit, level, io::BufWriter::new(file.as_file()))?;
    let path = folder.join(object.0.to_string());
    file.persist_noclobber(&path).map_err(|error| failed("write", &path, error.error))?;
    Ok((plain, object))
}

pub(crate) fn unfinished(folder: &Path) -> Result<tempfile::NamedTempFile, Error> {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(|source| failed("write", folder, source))
}

fn make_empty(folder: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(failed("make", folder, source)),
    }
    let mut found = fs::read_dir(folder).map_err(|source| failed("read", folder, source))?;
    match found.next() {
        None => Ok(()),
        Some(_) => Err(Error::SpoolUsed { path: folder.display().to_string() }),
    }
}

pub(crate) fn failed(act: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { act, path: path.display().to_string(), source }
}

/// The public part without what the archive says.
fn draft(public: &SnapshotPublic) -> Result<Vec<u8>, Fault> {
    let mut fields = object(public)?;
    fields.remove("number");
    fields.remove("parents");
    canonical::write(&Value::Object(fields))
}

fn undraft(bytes: &[u8]) -> Result<SnapshotPublic, Fault> {
    let mut draft = canonical::parse(bytes)?;
    let fields = draft.as_object_mut().ok_or(Fault::Json)?;
    fields.insert("number".into(), 1.into());
    fields.insert("parents".into(), Value::Array(Vec::new()));
    let public = SnapshotPublic::deserialize(draft).map_err(|error| Fault::Field(error.to_string()))?;
    snapshot::check(&public).map(|()| public)
}

/// A whole capture, as it is read again.
pub(crate) struct Draft {
    folder: PathBuf,
    /// As if it were the first of an archive.
    pub public: SnapshotPublic,
}

impl Draft {
    /// Reads a capture, and every byte of its objects.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Draft`]; [`Error::Content`] where an object is not what the draft says.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(DRAFT);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_DOCUMENT).read_to_end(&mut bytes))
            .map_err(|source| failed("read", &path, source))?;
        let public = undraft(&bytes).map_err(Error::Draft)?;
        let draft = Self { folder: folder.to_owned(), public };
        for object in &draft.public.objects {
            let path = draft.file(object);
            let mut sum = Summing::new(io::sink());
            File::open(&path)
                .and_then(|file| io::copy(&mut file.take(object.size.saturating_add(1)), &mut sum))
                .map_err(|source| failed("read", &path, source))?;
            let (_, sha256, size) = sum.finish();
            if object.check((sha256, size)).is_err() {
                return Err(Error::Content { name: path.display().to_string(), source: Fault::Digest });
            }
        }
        Ok(draft)
    }

    /// With its place in the archive's order.
    pub fn numbered(&self, number: u64, parents: Vec<ManifestId>) -> SnapshotPublic {
        SnapshotPublic { number, parents, ..self.public.clone() }
    }

    /// Where an object of it lies.
    pub fn file(&self, object: &Object) -> PathBuf {
        self.folder.join(object.sha256.to_string())
    }
}
