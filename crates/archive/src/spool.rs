//! A captured snapshot set on its way: what holds the plaintext has no network, and what has it sees ciphertext.
//!
//! [`spool`] encrypts into a folder, piece by piece; `draft.json`, written last, is the public part without what
//! only the archive can say. [`Archive::publish_snapshot`](crate::Archive::publish_snapshot) goes on from there.

use crate::cipher::{Sum, ZSTD_LEVEL, encrypt_stream};
use crate::digest::Summing;
use crate::entries::{Entry, MAX_ENTRY, MAX_SNAPSHOT, Of, Private, SNAPSHOT_ENTRY};
use crate::manifest::{IdentityManifest, MAX_ENTRIES, ManifestId, Object};
use crate::signed::{MAX_DOCUMENT, object};
use crate::snapshot::{self, SnapshotPublic};
use crate::{Digest, Error, Fault, Recipient, Secret, canonical, names};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file that is there when a capture is whole.
const DRAFT: &str = "draft.json";

/// A snapshot of etcd, and what is to be known of it.
pub struct Capture<'a> {
    /// The identity set with which it will be a generation: it says whose it is and who can open it.
    pub identity: &'a IdentityManifest,
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
    /// Logical name → content of what else belongs to it; 16 MiB each at most.
    pub entries: &'a BTreeMap<String, Secret>,
    /// What else only recipients may know.
    pub facts: &'a BTreeMap<String, String>,
    /// etcd's snapshot; 16 GiB at most.
    pub snapshot: &'a mut dyn Read,
}

impl std::fmt::Debug for Capture<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capture({} at {})", self.node, self.revision)
    }
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

/// Encrypts a snapshot into `folder`, which is made (0700) or empty: its objects, named by their sha256 (0600),
/// and `draft.json` at the end. Nothing is decrypted by it, nothing signed, and no plaintext is written.
///
/// # Errors
/// [`Error::SpoolUsed`]; [`Error::File`] where the snapshot breaks off or the folder cannot be written;
/// [`Error::TooLarge`], [`Error::EntryName`], [`Error::Draft`] where a reader would refuse it.
pub fn spool(capture: Capture, folder: &Path) -> Result<Spooled, Error> {
    let names = capture.entries.keys().map(String::as_str).chain([SNAPSHOT_ENTRY]);
    if let Some(name) = names::misfit(names) {
        return Err(Error::EntryName { name: name.to_owned() });
    }
    let (count, limit) = (capture.entries.len() as u64 + 1, MAX_ENTRIES as u64);
    if count > limit {
        return Err(Error::TooLarge { what: "the number of entries".into(), size: count, limit });
    }
    let identity = &capture.identity.public;
    let recipients: Vec<Recipient> =
        identity.recipients.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    make_empty(folder)?;
    let mut objects: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut add = |from: &mut dyn Read, what: &str, limit: u64| -> Result<(Sum, Digest), Error> {
        let (plain, object) = add(folder, from, &recipients, (what, limit), ZSTD_LEVEL)?;
        objects.insert(object.0, object.1);
        Ok((plain, object.0))
    };
    let ((sha256, size), object) = add(capture.snapshot, "the snapshot", MAX_SNAPSHOT)?;
    let mut entries = vec![Entry { name: SNAPSHOT_ENTRY.into(), object, sha256, size }];
    for (name, content) in capture.entries {
        let ((sha256, size), object) = add(&mut content.expose(), name, MAX_ENTRY)?;
        entries.push(Entry { name: name.clone(), object, sha256, size });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let private = Private::new(Of::Snapshot, entries, capture.facts.clone()).write().map_err(Error::Draft)?;
    let (_, private) = add(&mut private.as_slice(), "the private part", crate::entries::MAX_PRIVATE)?;
    let ciphertext = objects.values().sum();
    let public = SnapshotPublic {
        cluster: identity.cluster.clone(),
        created: capture.created.to_owned(),
        epoch: identity.epoch,
        etcd_cluster: capture.etcd_cluster.to_owned(),
        identity: capture.identity.id,
        node: capture.node.to_owned(),
        number: 1,
        objects: objects.into_iter().map(|(sha256, size)| Object { sha256, size }).collect(),
        parents: Vec::new(),
        private,
        recipients: identity.recipients.clone(),
        rekindle: capture.rekindle.to_owned(),
        repo: identity.repo.clone(),
        revision: capture.revision,
        root: identity.root,
    };
    snapshot::check(&public).map_err(Error::Draft)?;
    let mut file = unfinished(folder)?;
    let path = folder.join(DRAFT);
    file.write_all(&draft(&public).map_err(Error::Draft)?)
        .map_err(|source| failed("write", &path, source))?;
    file.persist_noclobber(&path).map_err(|error| failed("write", &path, error.error))?;
    Ok(Spooled { sha256, size, ciphertext })
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
