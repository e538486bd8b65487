//! Reading all destinations, and judging what they gave by one root key.

use crate::epoch::{Claim, Found};
use crate::error::chain;
use crate::manifest::{Manifest, ManifestId};
use crate::payload::{self, Payload};
use crate::signed::{self, MAX_DOCUMENT};
use crate::standing::{Head, Holding, Rejected, Trust, Unread};
use crate::{Archive, Destination, DestinationError, Error, Fault, Name, Prefix, RootPublic, format};
use std::collections::{BTreeMap, BTreeSet};

impl Archive {
    pub(crate) fn survey(&self, trust: &Trust) -> Result<Survey, Error> {
        let mut readings = Vec::new();
        let mut unread = Vec::new();
        for (index, destination) in self.destinations.iter().enumerate() {
            let at = destination.describe();
            destination.forget();
            match read(index, destination.as_ref()) {
                Ok(reading) => readings.push(reading),
                Err(Failed::Hard(error)) => return Err(error),
                Err(Failed::Destination(source)) => unread.push((at, source)),
            }
        }
        let Some(root) = anchor(&readings, trust)? else { return nothing(readings, unread) };
        let mut documents = Documents::default();
        for reading in &mut readings {
            documents.take(reading, &root)?;
        }
        let Some(newest) = documents.manifests.values().max_by_key(|manifest| manifest.rank()).cloned()
        else {
            documents.rejected.extend(readings.iter_mut().flat_map(|reading| reading.rejected.drain(..)));
            return Err(self.unusable(&readings, documents.rejected, unread, root));
        };
        known(&readings, documents, unread, root, newest).map(|known| Survey::Holds(Box::new(known)))
    }

    /// Why there is no manifest of `root`, in the most telling words.
    fn unusable(
        &self,
        readings: &[Reading],
        rejected: Vec<Rejected>,
        unread: Vec<(String, DestinationError)>,
        root: RootPublic,
    ) -> Error {
        let foreign = readings.iter().find_map(|reading| Some((reading, reading.signers().next()?)));
        if let Some((reading, found)) = foreign.filter(|(_, found)| *found != root) {
            return Error::Foreign { at: reading.at.clone(), found, expected: root };
        }
        if let Some(Rejected { at, name, why }) = rejected.into_iter().next() {
            return Error::Unusable { at, name, why };
        }
        if let Some((at, source)) = unread.into_iter().next() {
            return Error::Destination { at, source };
        }
        Error::Gone { expected: root, asked: self.describe() }
    }

    /// The same where nothing is an error.
    pub(crate) fn survey_what_is_there(&self, trust: &Trust) -> Result<Known, Error> {
        match self.survey(trust)? {
            Survey::Holds(known) => Ok(*known),
            Survey::Empty { .. } => Err(Error::Empty { asked: self.describe() }),
        }
    }

    pub(crate) fn describe(&self) -> String {
        let all: Vec<String> = self.destinations.iter().map(|destination| destination.describe()).collect();
        all.join(", ")
    }
}

/// What the destinations hold, with the bytes that prove it.
pub(crate) enum Survey {
    Empty {
        /// The id in the `FORMAT` that a first seal left when it was killed.
        repo: Option<String>,
    },
    Holds(Box<Known>),
}

pub(crate) struct Known {
    pub holding: Holding,
    pub manifests: BTreeMap<ManifestId, Manifest>,
    pub payloads: BTreeMap<ManifestId, Payload>,
    pub newest: Manifest,
    /// The claims of the root key, in the order of [`Found::rank`].
    pub claims: Vec<Found>,
    /// Epochs whose name is taken at some destination, by whatever lies there.
    pub taken: BTreeSet<u64>,
    /// The destinations that hold a manifest, by index.
    pub holders: BTreeMap<ManifestId, BTreeSet<usize>>,
}

impl Known {
    pub fn holders_of(&self, id: &ManifestId) -> BTreeSet<usize> {
        self.holders.get(id).cloned().unwrap_or_default()
    }

    /// The claims of the highest claimed epoch.
    pub fn highest_claims(&self) -> &[Found] {
        let highest = self.claims.last().map_or(0, |found| found.claim.epoch);
        &self.claims[self.claims.partition_point(|found| found.claim.epoch < highest)..]
    }
}

/// What one destination gave.
struct Reading {
    index: usize,
    at: String,
    repo: Option<String>,
    manifests: Vec<(Name, Vec<u8>)>,
    claims: Vec<(u64, Vec<u8>)>,
    rejected: Vec<Rejected>,
}

enum Failed {
    /// This destination cannot be read; others may.
    Destination(DestinationError),
    /// Nothing may go on.
    Hard(Error),
}

impl From<DestinationError> for Failed {
    fn from(error: DestinationError) -> Self {
        Self::Destination(error)
    }
}

impl Reading {
    fn reject(&mut self, name: &Name, why: String) {
        self.rejected.push(Rejected { at: self.at.clone(), name: name.to_string(), why });
    }

    /// The keys that truly signed something here, epochs before manifests: the claim of an epoch is written
    /// once, while anybody who lost the race for it has left a manifest.
    fn signers(&self) -> impl Iterator<Item = RootPublic> {
        self.claim_signers().chain(self.manifests.iter().filter_map(|(_, bytes)| signer(bytes)))
    }

    /// Of the first epoch only: a later one can be planted by anybody who can write here.
    fn claim_signers(&self) -> impl Iterator<Item = RootPublic> {
        self.claims.iter().filter(|(epoch, _)| *epoch == 1).filter_map(|(_, bytes)| signer(bytes))
    }
}

fn signer(bytes: &[u8]) -> Option<RootPublic> {
    let document = signed::read(bytes).ok()?;
    let signer = document.signer;
    match document.verify(&signer) {
        Ok(_) | Err(Fault::NewerReader(_) | Fault::Critical(_)) => Some(signer),
        Err(_) => None,
    }
}

fn read(index: usize, destination: &dyn Destination) -> Result<Reading, Failed> {
    let mut reading = Reading {
        index,
        at: destination.describe(),
        repo: None,
        manifests: Vec::new(),
        claims: Vec::new(),
        rejected: Vec::new(),
    };
    if let Some(bytes) = destination.get(&Name::Format, format::MAX_FORMAT)? {
        match format::read(&bytes) {
            Ok(repo) => reading.repo = Some(repo),
            Err(Fault::NewerReader(needs)) => {
                let name = Name::Format.to_string();
                return Err(Failed::Hard(Error::NewerReader { at: reading.at, name, needs }));
            }
            Err(fault) => reading.reject(&Name::Format, fault.to_string()),
        }
    }
    let mut names = destination.list(Prefix::Generations)?;
    names.retain(|name| matches!(name, Name::Manifest { revision: 0, .. }));
    names.extend(destination.list(Prefix::Epochs)?);
    names.sort();
    for name in names {
        match (destination.get(&name, MAX_DOCUMENT), &name) {
            (Ok(Some(bytes)), Name::Epoch(epoch)) => reading.claims.push((*epoch, bytes)),
            (Ok(Some(bytes)), _) => reading.manifests.push((name, bytes)),
            (Ok(None), _) => reading.reject(&name, "it is listed, but it is not there".into()),
            (Err(error), _) => reading.reject(&name, chain(&error)),
        }
    }
    Ok(reading)
}

/// The root key by which all is judged; `None` where nothing was signed and none is trusted.
fn anchor(readings: &[Reading], trust: &Trust) -> Result<Option<RootPublic>, Error> {
    if let Trust::Anchor(root) = trust {
        return Ok(Some(*root));
    }
    let mut roots: BTreeSet<RootPublic> = readings.iter().flat_map(Reading::claim_signers).collect();
    if roots.is_empty() {
        roots = readings.iter().flat_map(Reading::signers).collect();
    }
    let Some(root) = roots.first().copied() else { return Ok(None) };
    if roots.len() > 1 {
        return Err(Error::Rivals { roots: roots.into_iter().collect() });
    }
    let holder = readings.iter().find(|reading| reading.signers().any(|signer| signer == root));
    match (trust, holder) {
        (Trust::Unset, Some(reading)) => Err(Error::NoAnchor { at: reading.at.clone(), root }),
        _ => Ok(Some(root)),
    }
}

/// No key at all: empty, unless something is there that should have been readable.
fn nothing(readings: Vec<Reading>, unread: Vec<(String, DestinationError)>) -> Result<Survey, Error> {
    let mut repo: Option<(String, String)> = None;
    for reading in readings {
        let document = reading.manifests.first().map(|(name, _)| name.to_string());
        let document = document
            .or(reading.claims.first().map(|(epoch, _)| Name::Epoch(*epoch).to_string()))
            .map(|name| Rejected { at: reading.at.clone(), name, why: Fault::Signature.to_string() });
        if let Some(Rejected { at, name, why }) = reading.rejected.into_iter().next().or(document) {
            return Err(Error::Unusable { at, name, why });
        }
        match (&repo, reading.repo) {
            (Some((_, expected)), Some(found)) if *expected != found => {
                return Err(Error::OtherArchive { at: reading.at, found, expected: expected.clone() });
            }
            (None, Some(found)) => repo = Some((reading.at, found)),
            _ => {}
        }
    }
    match unread.into_iter().next() {
        Some((at, source)) => Err(Error::Destination { at, source }),
        None => Ok(Survey::Empty { repo: repo.map(|(_, repo)| repo) }),
    }
}

/// The documents that `root` signed, of all destinations.
#[derive(Default)]
struct Documents {
    manifests: BTreeMap<ManifestId, Manifest>,
    payloads: BTreeMap<ManifestId, Payload>,
    holders: BTreeMap<ManifestId, BTreeSet<usize>>,
    claims: Vec<Found>,
    rejected: Vec<Rejected>,
}

impl Documents {
    fn take(&mut self, reading: &mut Reading, root: &RootPublic) -> Result<(), Error> {
        let mut refused = Vec::new();
        for (name, bytes) in &reading.manifests {
            match Manifest::read(name, bytes, root) {
                Ok(Some(manifest)) => {
                    self.holders.entry(manifest.id).or_default().insert(reading.index);
                    self.manifests.insert(manifest.id, manifest);
                }
                Ok(None) => match Payload::read(name, bytes, root) {
                    Ok(Some(payload)) => {
                        self.holders.entry(payload.id).or_default().insert(reading.index);
                        self.payloads.insert(payload.id, payload);
                    }
                    Ok(None) => {}
                    Err(fault) => refused.push((name.clone(), fault)),
                },
                Err(fault) => refused.push((name.clone(), fault)),
            }
        }
        for (epoch, bytes) in &reading.claims {
            match Claim::read(*epoch, bytes, root) {
                Ok(claim) => self.claimed(claim, bytes, reading.index),
                Err(fault) => refused.push((Name::Epoch(*epoch), fault)),
            }
        }
        refused.into_iter().try_for_each(|(name, fault)| reading.refuse(&name, fault))
    }

    fn claimed(&mut self, claim: Claim, bytes: &[u8], index: usize) {
        match self.claims.iter_mut().find(|found| found.bytes == bytes) {
            Some(found) => drop(found.holders.insert(index)),
            None => self.claims.push(Found { claim, bytes: bytes.to_vec(), holders: [index].into() }),
        }
    }
}

impl Reading {
    /// A document of `root` that only a newer reader may read stops everything; any other is left out.
    fn refuse(&mut self, name: &Name, fault: Fault) -> Result<(), Error> {
        if let Fault::NewerReader(needs) = fault {
            return Err(Error::NewerReader { at: self.at.clone(), name: name.to_string(), needs });
        }
        self.reject(name, fault.to_string());
        Ok(())
    }
}

fn known(
    readings: &[Reading],
    mut documents: Documents,
    unread: Vec<(String, DestinationError)>,
    root: RootPublic,
    newest: Manifest,
) -> Result<Known, Error> {
    let repo = newest.public.repo.clone();
    for reading in readings {
        if let Some(found) = reading.repo.as_ref().filter(|found| **found != repo) {
            let (at, found) = (reading.at.clone(), found.clone());
            return Err(Error::OtherArchive { at, found, expected: repo });
        }
        documents.rejected.extend(reading.rejected.iter().cloned());
    }
    let holders = documents.holders;
    let payloads = documents.payloads;
    let places: Vec<(usize, &str)> =
        readings.iter().map(|reading| (reading.index, reading.at.as_str())).collect();
    let mut claims = documents.claims;
    claims.sort_by_key(Found::rank);
    let manifests = documents.manifests;
    let epoch = claims.last().map_or(0, |found| found.claim.epoch).max(newest.public.epoch);
    let taken = readings.iter().flat_map(|reading| &reading.claims).map(|(epoch, _)| *epoch).collect();
    let holding = Holding {
        root,
        repo,
        cluster: newest.public.cluster.clone(),
        epoch,
        claim: None,
        claims: claims.iter().map(|found| found.claim.clone()).collect(),
        born: manifests.values().any(|manifest| manifest.public.epoch == epoch && manifest.public.born),
        newest: Head { id: newest.id, public: newest.public.clone() },
        heads: heads(&manifests),
        rejected: documents.rejected,
        unread: unread.into_iter().map(|(at, error)| Unread { at, why: chain(&error) }).collect(),
        lacking: readings
            .iter()
            .filter(|reading| {
                !holders.get(&newest.id).is_some_and(|holders| holders.contains(&reading.index))
            })
            .map(|reading| reading.at.clone())
            .collect(),
        payloads: payload::sets(&payloads, &newest.public, &holders, &places),
    };
    let mut known = Known { holding, manifests, payloads, newest, claims, taken, holders };
    known.holding.claim = known.highest_claims().first().map(|found| found.claim.clone());
    Ok(known)
}

fn heads(manifests: &BTreeMap<ManifestId, Manifest>) -> Vec<Head> {
    let parents: BTreeSet<&ManifestId> =
        manifests.values().flat_map(|manifest| &manifest.public.parents).collect();
    let heads = manifests.values().filter(|manifest| !parents.contains(&manifest.id));
    heads.map(|manifest| Head { id: manifest.id, public: manifest.public.clone() }).collect()
}
