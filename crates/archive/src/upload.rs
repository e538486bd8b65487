//! Writing snapshot sets and proofs: ciphertext and a signing key, no identity.

use crate::delegation::{MAY_PROOF, MAY_SNAPSHOT};
use crate::digest::Summing;
use crate::generations::Snapshots;
use crate::manifest::{MAX_PARENTS, ManifestId, Object};
use crate::proof::{Proof, may_prove};
use crate::publish::{mark, not_proven, write};
use crate::snapshot::Snapshot;
use crate::spool::Draft;
use crate::standing::Unread;
use crate::survey::Known;
use crate::{Archive, Destination, Error, Fault, Name, RootPublic, SigningKey, Trust, canonical};
use std::collections::BTreeSet;
use std::io::{self, Seek as _};
use std::path::Path;
use tempfile::NamedTempFile;

/// What publishing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The snapshot set's manifest.
    pub id: ManifestId,
    /// Its epoch.
    pub epoch: u64,
    /// etcd's revision.
    pub revision: u64,
    /// Its number, for people.
    pub number: u64,
    /// Destinations that hold it and gave back every byte; one at least.
    pub proven: Vec<String>,
    /// Destinations that do not.
    pub failed: Vec<Unread>,
}

/// What was copied where it was missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// The newest generation that was proven; `None` where there is none.
    pub id: Option<ManifestId>,
    /// Destinations that lacked some of it and hold all of it now.
    pub copied: Vec<String>,
    /// Destinations that still do not.
    pub failed: Vec<Unread>,
}

impl Archive {
    /// Publishes a capture as a snapshot set: its objects, each read back, and then the manifest. A capture that
    /// was published before is the same set again, at the destinations where it is not yet.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::NotDelegated`], and [`Error::Draft`] where a reader would refuse it;
    /// [`Error::File`] and [`Error::Content`] where the capture is not whole; [`Error::NotProven`] where no
    /// destination holds it in the end; those of [`Archive::state`].
    pub fn publish_snapshot(
        &self,
        spool: &Path,
        key: &SigningKey,
        trust: &Trust,
    ) -> Result<Published, Error> {
        let known = self.survey_what_is_there(trust)?;
        let draft = Draft::read(spool)?;
        let public = &draft.public;
        let signer = key.public()?;
        may_publish(&draft, &signer, &known)?;
        let seen = self.snapshots(&known)?;
        let again = seen.sets.values().find(|set| set.key == signer && set.public.private == public.private);
        let snapshot = match again {
            Some(snapshot) => snapshot.clone(),
            None => place(&draft, key, &seen, &known)?,
        };
        let holders = seen.holders.get(&snapshot.id).cloned().unwrap_or_default();
        let outcome = self.everywhere_but(&holders, |destination| {
            mark(destination, &public.repo)?;
            for object in &public.objects {
                put(destination, object, |object| Ok(draft.file(object)), AsRef::as_ref)?;
            }
            write(destination, &snapshot.name(), &snapshot.bytes)
        })?;
        Ok(Published {
            id: snapshot.id,
            epoch: public.epoch,
            revision: public.revision,
            number: snapshot.public.number,
            proven: outcome.proven,
            failed: outcome.failed,
        })
    }

    /// Notes what was proven of a snapshot set, at the destinations that hold it. Returns them, and those that
    /// did not take it.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], [`Error::NotDelegated`] where the key may prove only its own node's sets,
    /// [`Error::Describe`], [`Error::NotProven`]; those of [`Archive::state`].
    pub fn prove(
        &self,
        proof: &Proof,
        key: &SigningKey,
        trust: &Trust,
    ) -> Result<(Vec<String>, Vec<Unread>), Error> {
        let known = self.survey_what_is_there(trust)?;
        let seen = self.snapshots(&known)?;
        let snapshot = seen.sets.get(&proof.manifest).ok_or(Error::NoSnapshot(proof.manifest))?;
        let signer = key.public()?;
        may_prove(&signer, snapshot, &known.manifests).map_err(|_| Error::NotDelegated {
            key: signer,
            what: MAY_PROOF,
            node: snapshot.public.node.clone(),
            epoch: snapshot.public.epoch,
        })?;
        let bytes = proof.sign(key)?;
        let holders = &seen.holders[&snapshot.id];
        let elsewhere = (0..self.destinations.len()).filter(|index| !holders.contains(index)).collect();
        let outcome =
            self.everywhere_but(&elsewhere, |destination| write(destination, &proof.name(), &bytes))?;
        let held = |at: &String| holders.iter().any(|index| self.destinations[*index].describe() == *at);
        let proven: Vec<String> = outcome.proven.into_iter().filter(held).collect();
        if proven.is_empty() { Err(not_proven(outcome.failed)) } else { Ok((proven, outcome.failed)) }
    }

    /// Copies the newest generation that was proven, with its identity set and its proofs, to each destination that
    /// lacks some of it: the same bytes, each object from a copy that was verified. Needs no key. `scratch` is a
    /// folder with room for the largest object; only ciphertext lies there, until this returns.
    ///
    /// # Errors
    /// Those of [`Archive::state`]; [`Error::Empty`] where nothing is there.
    pub fn mend_snapshots(&self, trust: &Trust, scratch: &Path) -> Result<Mended, Error> {
        let known = self.survey_what_is_there(trust)?;
        let seen = self.snapshots(&known)?;
        let generations = seen.generations(&known);
        let Some(newest) = generations.newest_proven() else { return Ok(Mended::default()) };
        let mut mended = Mended { id: Some(newest.id), ..Mended::default() };
        for (index, destination) in self.destinations.iter().enumerate() {
            let at = destination.describe();
            if let Some(unread) = generations.unread.iter().find(|unread| unread.at == at) {
                mended.failed.push(unread.clone());
                continue;
            }
            let set = &seen.sets[&newest.id];
            match self.copy_generation(index, set, &seen, &known, scratch) {
                Ok(true) => mended.copied.push(at),
                Ok(false) => {}
                Err(error) => mended.failed.push(Unread { at, why: crate::error::chain(&error) }),
            }
        }
        Ok(mended)
    }

    /// Whether anything was missing.
    fn copy_generation(
        &self,
        index: usize,
        snapshot: &Snapshot,
        seen: &Snapshots,
        known: &Known,
        scratch: &Path,
    ) -> Result<bool, Error> {
        let destination = self.destinations[index].as_ref();
        let mut missing = false;
        let mut copy = |holders: Option<&BTreeSet<usize>>, objects: &[Object], name: &Name, bytes: &[u8]| {
            if holders.is_some_and(|holders| holders.contains(&index)) {
                return Ok(());
            }
            missing = true;
            mark(destination, &known.holding.repo)?;
            for object in objects {
                put(destination, object, |object| self.fetch_file(object, scratch), NamedTempFile::path)?;
            }
            write(destination, name, bytes)
        };
        if let Some(identity) = known.manifests.get(&snapshot.public.identity) {
            let holders = known.holders.get(&identity.id);
            copy(holders, &identity.public.objects, &identity.name(), &identity.bytes)?;
        }
        let holders = seen.holders.get(&snapshot.id);
        copy(holders, &snapshot.public.objects, &snapshot.name(), &snapshot.bytes)?;
        for proof in seen.proofs_of(&snapshot.id) {
            copy(Some(&proof.holders), &[], &proof.name, &proof.bytes)?;
        }
        Ok(missing)
    }

    /// The ciphertext of an object in a file of its own, from the first destination that has it unharmed.
    pub(crate) fn fetch_file(&self, object: &Object, scratch: &Path) -> Result<NamedTempFile, Error> {
        let failed = |source| Error::File { act: "write", path: scratch.display().to_string(), source };
        let mut file = NamedTempFile::new_in(scratch).map_err(failed)?;
        let mut full = None;
        let found = self.first(object, |destination| {
            let out = file.as_file_mut();
            out.set_len(0).and_then(|()| out.rewind()).map_err(|error| error.to_string())?;
            let mut sum = Summing::new(io::BufWriter::new(Ours { file: out, full: &mut full }));
            let copied = destination.copy_to(&Name::Object(object.sha256), object.size, &mut sum);
            let (mut out, sha256, size) = sum.finish();
            io::Write::flush(&mut out).map_err(|error| error.to_string())?;
            match copied {
                Err(error) => Err(crate::error::chain(&error)),
                Ok(None) => Err(crate::open::MISSING.into()),
                Ok(Some(_)) => object.check((sha256, size)),
            }
        });
        match (found, full) {
            (Err(_), Some(source)) => Err(failed(source)),
            (found, _) => found.map(|()| file),
        }
    }
}

/// A file of ours: that it takes no more is no fault of a place.
struct Ours<'a> {
    file: &'a mut std::fs::File,
    full: &'a mut Option<io::Error>,
}

impl io::Write for Ours<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            // A signal is no end.
            if error.kind() != io::ErrorKind::Interrupted {
                let code = error.raw_os_error();
                *self.full = Some(code.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error));
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Whether a key may sign this capture now, by the newest identity set.
fn may_publish(draft: &Draft, signer: &RootPublic, known: &Known) -> Result<(), Error> {
    let (public, holding, newest) = (&draft.public, &known.holding, &known.newest.public);
    if public.repo != holding.repo {
        let at = "the capture".to_owned();
        return Err(Error::OtherArchive { at, found: public.repo.clone(), expected: holding.repo.clone() });
    }
    // A claim in which nothing was sealed yet: whoever holds the root key may add what is left of the epoch before.
    let is_left = *signer == holding.root && public.epoch == newest.epoch;
    if public.epoch != holding.epoch && !is_left {
        return Err(Error::Fenced { epoch: public.epoch, newest: holding.epoch });
    }
    let may = |one: &crate::Delegation| one.allows(MAY_SNAPSHOT, signer, public.epoch, &public.node);
    if *signer != holding.root && !newest.delegations.iter().any(may) {
        return Err(Error::NotDelegated {
            key: *signer,
            what: MAY_SNAPSHOT,
            node: public.node.clone(),
            epoch: public.epoch,
        });
    }
    if let Some(claim) = holding.disowns(public.epoch, &public.etcd_cluster) {
        return Err(Error::Draft(Fault::FencedCluster(claim.epoch)));
    }
    // Who was taken off the list since the capture gets no more.
    if !public.recipients.iter().all(|recipient| newest.recipients.contains(recipient)) {
        return Err(Error::Draft(Fault::Recipients));
    }
    Ok(())
}

/// A new set, after the heads that were seen; checked as a reader does.
fn place(draft: &Draft, key: &SigningKey, seen: &Snapshots, known: &Known) -> Result<Snapshot, Error> {
    let mut heads = seen.heads();
    // No key that signs snapshots can keep others from it by planting many heads or a great number.
    heads.sort_by_key(|head| std::cmp::Reverse(head.rank()));
    heads.truncate(MAX_PARENTS);
    let number = heads.iter().map(|head| head.public.number).max().unwrap_or(0);
    let number = (number + 1).min(canonical::MAX_INTEGER);
    let mut parents: Vec<ManifestId> = heads.into_iter().map(|head| head.id).collect();
    parents.sort();
    let number = if parents.is_empty() { 1 } else { number.max(2) };
    let public = draft.numbered(number, parents);
    let bytes = Snapshot::sign(&public, key)?;
    let (epoch, revision) = (public.epoch, public.revision);
    let name = Name::Manifest { epoch, revision, tag: ManifestId::of(&bytes).tag() };
    let read = Snapshot::read(&name, &bytes, &known.holding.root, &known.manifests);
    read.and_then(|read| read.ok_or(Fault::Kind("snapshot"))).map_err(Error::Draft)
}

/// Makes sure that an object lies at a destination: written from a file unless it is there, and read back.
pub(crate) fn put<F>(
    destination: &dyn Destination,
    object: &Object,
    from: impl FnOnce(&Object) -> Result<F, Error>,
    path: impl FnOnce(&F) -> &Path,
) -> Result<(), Error> {
    if holds(destination, object)? {
        return Ok(());
    }
    let file = from(object)?;
    destination
        .put_new_file(&Name::Object(object.sha256), path(&file))
        .map_err(|source| Error::Destination { at: destination.describe(), source })?;
    if holds(destination, object)? { Ok(()) } else { Err(differs(destination, object)) }
}

/// Whether an object is there.
///
/// # Errors
/// [`Error::ReadBack`] where other bytes are there, which nobody can overwrite.
fn holds(destination: &dyn Destination, object: &Object) -> Result<bool, Error> {
    let mut sum = Summing::new(io::sink());
    let copied = destination
        .copy_to(&Name::Object(object.sha256), object.size, &mut sum)
        .map_err(|source| Error::Destination { at: destination.describe(), source })?;
    let (_, sha256, size) = sum.finish();
    match copied {
        None => Ok(false),
        Some(_) if object.check((sha256, size)).is_ok() => Ok(true),
        Some(_) => Err(differs(destination, object)),
    }
}

fn differs(destination: &dyn Destination, object: &Object) -> Error {
    Error::ReadBack { at: destination.describe(), name: Name::Object(object.sha256).to_string() }
}
