//! Sealing a payload set: large files, streamed, and never written twice.

use super::{MAX_FILE, MAX_FILES, Payload, PayloadPublic, check};
use crate::cipher::ZSTD_LEVEL_PAYLOAD;
use crate::entries::Entry;
use crate::manifest::{ManifestId, Object};
use crate::publish::{Outcome, mark, write};
use crate::signed::object;
use crate::spool::{add, failed, unfinished};
use crate::standing::Unread;
use crate::survey::Known;
use crate::upload::put;
use crate::{Archive, Digest, Error, Fault, Recipient, RootKey, Secret, Stamp, Trust, canonical, names};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A file that is to be in a payload set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadFile {
    /// Its path in the folder that the set makes.
    pub name: String,
    /// Where it lies now.
    pub path: PathBuf,
    /// Of its content.
    pub sha256: Digest,
    /// In bytes; 4 GiB at most.
    pub size: u64,
}

/// What a payload set is to be.
#[derive(Clone, Copy, Debug)]
pub struct PayloadSealing<'a> {
    /// The version of Kubernetes.
    pub kubernetes: &'a str,
    /// Its files, in any order.
    pub files: &'a [PayloadFile],
    /// Entries of sets that lie there already, sealed to the same recipients, which this one has too.
    pub again: &'a [Entry],
    /// Where ciphertext lies until it is at the destinations: a folder (made with 0700 where it is missing) that
    /// nobody else writes, the same in every run, with room for all of it. A run that is killed goes on from it.
    pub spool: &'a Path,
    /// Who and when.
    pub stamp: Stamp<'a>,
}

/// How far a seal is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadProgress<'a> {
    /// The destination that is written; `None` while files are encrypted.
    pub to: Option<&'a str>,
    /// How much of it is done.
    pub done: u64,
    /// Of how much.
    pub total: u64,
}

/// What a seal of a payload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadSealed {
    /// The set's manifest.
    pub id: ManifestId,
    /// Whether it is a new set.
    pub new: bool,
    /// Bytes of the files that it has.
    pub size: u64,
    /// Bytes of all its ciphertext.
    pub ciphertext: u64,
    /// Destinations that hold it. Those that were written gave back every byte; one at least is named.
    pub proven: Vec<String>,
    /// Destinations that do not.
    pub failed: Vec<Unread>,
}

impl Archive {
    /// Seals the files as a payload set for the recipients of the newest identity set, and reads it back. Where such a
    /// set is there, nothing is sealed, but a destination that lacks it gets it. An object whose plaintext and
    /// recipients did not change is named again, and what a killed run wrote is not written again.
    ///
    /// # Errors
    /// [`Error::Content`] where a file is not what its digest says, [`Error::File`] where it or the spool cannot be
    /// used; [`Error::EntryName`], [`Error::TooLarge`], [`Error::Describe`] where a reader would refuse it;
    /// [`Error::NotProven`] where no destination holds it in the end; those of [`Archive::state`].
    pub fn seal_payload(
        &self,
        sealing: &PayloadSealing,
        root_key: &Secret,
        tell: &dyn Fn(PayloadProgress),
    ) -> Result<PayloadSealed, Error> {
        let key = RootKey::parse(root_key)?;
        fits(sealing)?;
        let known = self.survey_what_is_there(&Trust::Anchor(key.public()?))?;
        if let Some(there) = known.payloads.values().find(|set| is_same(&set.public, sealing, &known)) {
            return self.publish_payload(there, false, &known, sealing.spool, tell);
        }
        let payload = Payload::sign(compose(sealing, &known, tell)?, &key)?;
        self.publish_payload(&payload, true, &known, sealing.spool, tell)
    }

    fn publish_payload(
        &self,
        payload: &Payload,
        new: bool,
        known: &Known,
        spool: &Path,
        tell: &dyn Fn(PayloadProgress),
    ) -> Result<PayloadSealed, Error> {
        let objects = &payload.public.objects;
        let total = objects.iter().map(|object| object.size).sum();
        let spooled = |object: &Object| -> Result<Box<dyn AsRef<Path>>, Error> {
            let path = spool.join(object.sha256.to_string());
            if path.exists() {
                return Ok(Box::new(path));
            }
            make(spool)?;
            Ok(Box::new(self.fetch_file(object, spool)?))
        };
        let outcome = self.everywhere_but(&known.holders_of(&payload.id), |destination| {
            let at = destination.describe();
            mark(destination, &payload.public.repo)?;
            let mut done = 0;
            for object in objects {
                tell(PayloadProgress { to: Some(&at), done, total });
                put(destination, object, spooled, |file| (**file).as_ref())?;
                done += object.size;
            }
            write(destination, &payload.name(), &payload.bytes)?;
            tell(PayloadProgress { to: Some(&at), done, total });
            Ok(())
        })?;
        // What lies at one destination is taken from there, should another have failed.
        let _ = fs::remove_dir_all(spool);
        Ok(sealed(payload, new, outcome))
    }
}

fn sealed(payload: &Payload, new: bool, outcome: Outcome) -> PayloadSealed {
    let PayloadPublic { entries, objects, .. } = &payload.public;
    PayloadSealed {
        id: payload.id,
        new,
        size: entries.iter().map(|entry| entry.size).sum(),
        ciphertext: objects.iter().map(|object| object.size).sum(),
        proven: outcome.proven,
        failed: outcome.failed,
    }
}

/// Name → digest of all that a set is to have.
fn wanted<'a>(sealing: &PayloadSealing<'a>) -> BTreeMap<&'a str, Digest> {
    let files = sealing.files.iter().map(|file| (file.name.as_str(), file.sha256));
    files.chain(sealing.again.iter().map(|entry| (entry.name.as_str(), entry.sha256))).collect()
}

fn is_same(public: &PayloadPublic, sealing: &PayloadSealing, known: &Known) -> bool {
    let held = public.entries.iter().map(|entry| (entry.name.as_str(), entry.sha256));
    held.eq(wanted(sealing))
        && public.kubernetes == sealing.kubernetes
        && public.recipients == known.newest.public.recipients
}

/// What a reader would refuse is refused before anything is encrypted.
fn fits(sealing: &PayloadSealing) -> Result<(), Error> {
    let all = sealing.files.iter().map(|file| file.name.as_str());
    let all = all.chain(sealing.again.iter().map(|entry| entry.name.as_str()));
    let (size, limit) = (all.clone().count() as u64, MAX_FILES as u64);
    if let Some(name) = names::misfit(all) {
        return Err(Error::EntryName { name: name.to_owned() });
    }
    if size > limit {
        return Err(Error::TooLarge { what: "the number of files".into(), size, limit });
    }
    match sealing.files.iter().find(|file| file.size > MAX_FILE) {
        Some(PayloadFile { name, size, .. }) => {
            Err(Error::TooLarge { what: name.clone(), size: *size, limit: MAX_FILE })
        }
        None => Ok(()),
    }
}

/// The set, with every object either at a destination or in the spool.
fn compose(
    sealing: &PayloadSealing,
    known: &Known,
    tell: &dyn Fn(PayloadProgress),
) -> Result<PayloadPublic, Error> {
    let identity = &known.newest.public;
    let same = known.payloads.values().filter(|set| set.public.recipients == identity.recipients);
    let mut there: BTreeMap<Digest, Object> = BTreeMap::new();
    for set in same {
        for entry in &set.public.entries {
            let object = set.public.objects.iter().find(|object| object.sha256 == entry.object);
            there.extend(object.map(|object| (entry.sha256, *object)));
        }
    }
    let spool = Spool::open(sealing.spool, &identity.recipients)?;
    let total = sealing.files.iter().map(|file| file.size).sum();
    let mut done = 0;
    let mut entries = Vec::new();
    let mut objects = BTreeMap::new();
    let mut name = |name: &str, sha256: Digest, size: u64, object: Object| {
        objects.insert(object.sha256, object);
        entries.push(Entry { name: name.to_owned(), object: object.sha256, sha256, size });
    };
    for file in sealing.files {
        let object = match there.get(&file.sha256) {
            Some(object) => *object,
            None => spool
                .take(file, &mut |piece| tell(PayloadProgress { to: None, done: done + piece, total }))?,
        };
        done += file.size;
        tell(PayloadProgress { to: None, done, total });
        // Two files of the same content are one object.
        there.insert(file.sha256, object);
        name(&file.name, file.sha256, file.size, object);
    }
    for Entry { name: again, sha256, size, .. } in sealing.again {
        let lacks = || Error::Content { name: again.clone(), source: Fault::Recipients };
        name(again, *sha256, *size, *there.get(sha256).ok_or_else(lacks)?);
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let number = known.payloads.values().map(|set| set.public.number).max().unwrap_or(0);
    let public = PayloadPublic {
        cluster: identity.cluster.clone(),
        created: sealing.stamp.created.to_owned(),
        entries,
        epoch: known.holding.epoch,
        kubernetes: sealing.kubernetes.to_owned(),
        number: (number + 1).min(canonical::MAX_INTEGER),
        objects: objects.into_values().collect(),
        recipients: identity.recipients.clone(),
        rekindle: sealing.stamp.rekindle.to_owned(),
        repo: identity.repo.clone(),
        root: identity.root,
    };
    check(&public).map(|()| public).map_err(Error::Describe)
}

/// Ciphertext on its way, with a note beside each object that says of which plaintext it is.
struct Spool<'a> {
    folder: &'a Path,
    texts: &'a [String],
    recipients: Vec<Recipient>,
}

/// `<sha256 of the plaintext>.json`, written when the object is whole.
#[derive(Serialize, Deserialize)]
struct Note {
    object: Object,
    recipients: Vec<String>,
}

impl<'a> Spool<'a> {
    fn open(folder: &'a Path, texts: &'a [String]) -> Result<Self, Error> {
        make(folder)?;
        let recipients = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(Self { folder, texts, recipients })
    }

    /// The object of a file: what a run before left, or encrypted now.
    fn take(&self, file: &PayloadFile, tell: &mut dyn FnMut(u64)) -> Result<Object, Error> {
        let note = self.folder.join(format!("{}.json", file.sha256));
        if let Some(object) = self.left(&note) {
            return Ok(object);
        }
        let from = File::open(&file.path).map_err(|source| failed("open", &file.path, source))?;
        let mut from = Counted { from, count: 0, tell };
        let limit = (file.name.as_str(), MAX_FILE);
        let (plain, (sha256, size)) =
            add(self.folder, &mut from, &self.recipients, limit, ZSTD_LEVEL_PAYLOAD)?;
        if plain != (file.sha256, file.size) {
            let _ = fs::remove_file(self.folder.join(sha256.to_string()));
            return Err(Error::Content { name: file.path.display().to_string(), source: Fault::Digest });
        }
        let written = Note { object: Object { sha256, size }, recipients: self.texts.to_vec() };
        let fields = object(&written).map_err(Error::Describe)?;
        let bytes = canonical::write(&fields.into()).map_err(Error::Describe)?;
        let mut out = unfinished(self.folder)?;
        out.write_all(&bytes).map_err(|source| failed("write", &note, source))?;
        out.persist(&note).map_err(|error| failed("write", &note, error.error))?;
        Ok(written.object)
    }

    /// What a run before left of this plaintext, if it is whole and for the same recipients.
    fn left(&self, note: &Path) -> Option<Object> {
        let value = canonical::parse(&fs::read(note).ok()?).ok()?;
        let Note { object, recipients } = serde_json::from_value(value).ok()?;
        let mut sum = crate::digest::Summing::new(io::sink());
        let file = File::open(self.folder.join(object.sha256.to_string())).ok()?;
        io::copy(&mut file.take(object.size.saturating_add(1)), &mut sum).ok()?;
        let (_, sha256, size) = sum.finish();
        (recipients == self.texts && object.check((sha256, size)).is_ok()).then_some(object)
    }
}

fn make(folder: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(folder)
        .map_err(|source| failed("make", folder, source))
}

/// Tells how much of a file was read.
struct Counted<'a> {
    from: File,
    count: u64,
    tell: &'a mut dyn FnMut(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.count += count as u64;
        (self.tell)(self.count);
        Ok(count)
    }
}
