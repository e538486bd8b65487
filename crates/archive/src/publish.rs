//! Writing to destinations: objects first, each read back, then the manifest, and the claim of the epoch.

use crate::epoch::Claim;
use crate::error::chain;
use crate::manifest::{Manifest, Object};
use crate::signed::{self, MAX_DOCUMENT};
use crate::standing::Unread;
use crate::survey::Known;
use crate::{Archive, Destination, Digest, Error, Name, Put, RootKey, Stamp, format};
use std::collections::{BTreeMap, BTreeSet};

/// How a person opens an archive; a copy lies in each.
pub(crate) const RECOVER: &str = include_str!("RECOVER.txt");

/// A manifest, and the objects of it that no destination has yet.
pub(crate) struct Publication {
    pub manifest: Manifest,
    pub fresh: BTreeMap<Digest, Vec<u8>>,
}

pub(crate) struct Outcome {
    pub proven: Vec<String>,
    pub failed: Vec<Unread>,
}

impl Archive {
    /// Writes to all destinations.
    ///
    /// # Errors
    /// [`Error::NotProven`] where not one holds it in the end; [`Error::OtherArchive`] at once, because then
    /// somebody else begins an archive here.
    pub(crate) fn publish(&self, publication: &Publication) -> Result<Outcome, Error> {
        self.publish_where_lacking(publication, &BTreeSet::new())
    }

    /// Writes to all destinations but the `holders`, which are known to have it.
    pub(crate) fn publish_where_lacking(
        &self,
        publication: &Publication,
        holders: &BTreeSet<usize>,
    ) -> Result<Outcome, Error> {
        self.everywhere_but(holders, |destination| self.publish_to(destination, publication))
    }

    /// Does one thing at all destinations but the `holders`, where it is done already.
    ///
    /// # Errors
    /// As for [`Archive::publish`].
    pub(crate) fn everywhere_but(
        &self,
        holders: &BTreeSet<usize>,
        act: impl Fn(&dyn Destination) -> Result<(), Error>,
    ) -> Result<Outcome, Error> {
        let mut outcome = Outcome { proven: Vec::new(), failed: Vec::new() };
        for (index, destination) in self.destinations.iter().enumerate() {
            let at = destination.describe();
            let done = if holders.contains(&index) { Ok(()) } else { act(destination.as_ref()) };
            match done {
                Ok(()) => outcome.proven.push(at),
                Err(error @ Error::OtherArchive { .. }) => return Err(error),
                Err(error) => outcome.failed.push(Unread { at, why: chain(&error) }),
            }
        }
        if outcome.proven.is_empty() { Err(not_proven(outcome.failed)) } else { Ok(outcome) }
    }

    fn publish_to(&self, destination: &dyn Destination, publication: &Publication) -> Result<(), Error> {
        let Publication { manifest, fresh } = publication;
        mark(destination, &manifest.public.repo)?;
        for object in &manifest.public.objects {
            match fresh.get(&object.sha256) {
                Some(bytes) => write(destination, &Name::Object(object.sha256), bytes)?,
                None => self.copy(destination, object)?,
            }
        }
        write(destination, &manifest.name(), &manifest.bytes)
    }

    /// An object that some destination has.
    fn copy(&self, destination: &dyn Destination, object: &Object) -> Result<(), Error> {
        let name = Name::Object(object.sha256);
        match get(destination, &name, object.size)? {
            Some(bytes) if Digest::of(&bytes) == object.sha256 => Ok(()),
            Some(_) => Err(Error::ReadBack { at: destination.describe(), name: name.to_string() }),
            None => write(destination, &name, &self.fetch(object)?),
        }
    }

    /// Makes sure that the epoch of `manifest` is claimed with its root key.
    ///
    /// # Errors
    /// [`Error::Claimed`] where somebody else was first; [`Error::NoMajority`] where a new claim is at fewer
    /// than a majority of the destinations.
    pub(crate) fn claim(
        &self,
        known: Option<&Known>,
        manifest: &Manifest,
        key: &RootKey,
        stamp: &Stamp,
    ) -> Result<(), Error> {
        let public = &manifest.public;
        let epoch = known.map_or(public.epoch, |known| known.holding.epoch);
        let claimed = known.and_then(|known| known.highest_claims().first());
        let claimed = claimed.filter(|found| found.claim.epoch == epoch);
        let bytes = match claimed {
            Some(found) => found.bytes.clone(),
            None => Claim {
                cluster: public.cluster.clone(),
                created: stamp.created.to_owned(),
                epoch,
                fences: Vec::new(),
                holder: shown(stamp.holder),
                host: shown(stamp.host),
                repo: public.repo.clone(),
                root: public.root,
            }
            .sign(key)?,
        };
        let mut failed = Vec::new();
        for destination in &self.destinations {
            match claim_at(destination.as_ref(), epoch, &bytes, manifest) {
                Ok(()) => {}
                Err(error @ Error::Claimed { .. }) => return Err(error),
                Err(error) => failed.push(format!("{}: {}", destination.describe(), chain(&error))),
            }
        }
        let all = self.destinations.len();
        let held = all - failed.len();
        if claimed.is_none() && held * 2 <= all {
            return Err(Error::NoMajority { epoch, held, all, failed });
        }
        Ok(())
    }
}

pub(crate) fn not_proven(failed: Vec<Unread>) -> Error {
    Error::NotProven { failed: failed.iter().map(ToString::to_string).collect() }
}

/// `FORMAT` and `RECOVER.txt`, where they are not yet.
pub(crate) fn mark(destination: &dyn Destination, repo: &str) -> Result<(), Error> {
    let bytes = format::write(repo).map_err(Error::Describe)?;
    let at = || destination.describe();
    if let Err(error) = write(destination, &Name::Format, &bytes) {
        let found = get(destination, &Name::Format, format::MAX_FORMAT)?;
        return match found.map(|found| format::read(&found)) {
            // Another spelling by another version is as good.
            Some(Ok(found)) if found == repo => Ok(()),
            Some(Ok(found)) => Err(Error::OtherArchive { at: at(), found, expected: repo.to_owned() }),
            _ => Err(error),
        };
    }
    if get(destination, &Name::Recover, MAX_DOCUMENT)?.is_none() {
        write(destination, &Name::Recover, RECOVER.as_bytes())?;
    }
    Ok(())
}

/// Writes the claim of an epoch, or finds one with the same root key.
fn claim_at(
    destination: &dyn Destination,
    epoch: u64,
    bytes: &[u8],
    manifest: &Manifest,
) -> Result<(), Error> {
    let name = Name::Epoch(epoch);
    let Err(error) = write(destination, &name, bytes) else { return Ok(()) };
    let Some(found) = get(destination, &name, MAX_DOCUMENT)? else { return Err(error) };
    let Ok(signer) = signed::read(&found).map(|document| document.signer) else { return Err(error) };
    match Claim::read(epoch, &found, &signer) {
        Ok(_) if signer == manifest.public.root => Ok(()),
        Ok(claim) => Err(Error::Claimed { at: destination.describe(), claim: Box::new(claim) }),
        Err(_) => Err(error),
    }
}

/// Makes sure that exactly these bytes lie under `name`: written unless they are there, and read back.
pub(crate) fn write(destination: &dyn Destination, name: &Name, bytes: &[u8]) -> Result<(), Error> {
    let limit = bytes.len() as u64;
    let differs = || Error::ReadBack { at: destination.describe(), name: name.to_string() };
    match get(destination, name, limit)? {
        Some(found) if found == bytes => return Ok(()),
        Some(_) => return Err(differs()),
        None => {}
    }
    let put = destination
        .put_new(name, bytes)
        .map_err(|source| Error::Destination { at: destination.describe(), source })?;
    // Somebody else may have written the same name in the meantime: what counts is what lies there.
    match (put, get(destination, name, limit)?) {
        (Put::Written | Put::Existed, Some(found)) if found == bytes => Ok(()),
        _ => Err(differs()),
    }
}

pub(crate) fn get(destination: &dyn Destination, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    destination.get(name, limit).map_err(|source| Error::Destination { at: destination.describe(), source })
}

/// Names of people and machines as every terminal shows them.
pub(crate) fn shown(text: &str) -> String {
    let kept = |char: char| if char == ' ' || char.is_ascii_graphic() { char } else { '?' };
    let text: String = text.chars().take(255).map(kept).collect();
    if text.is_empty() { "unknown".to_owned() } else { text }
}
