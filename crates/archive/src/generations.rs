//! Generations: the snapshot sets that lie at the destinations, with what was proven of them, judged without any
//! private key.

use crate::delegation::MAY_SNAPSHOT;
use crate::error::chain;
use crate::manifest::ManifestId;
use crate::proof::{Level, Proof, Proven, date};
use crate::prune::Record;
use crate::signed::{self, MAX_DOCUMENT};
use crate::snapshot::{Signer, Snapshot, SnapshotPublic};
use crate::standing::{Rejected, Unread};
use crate::survey::Known;
use crate::{
    Archive, Copies, Destination, DestinationError, Digest, Error, Fault, Name, Prefix, RootPublic, Site,
    Trust, Writer,
};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// A revision that is so far above all that others signed is a mistake or a forgery. A rebuild raises etcd's
/// revisions by more than this at once, and begins an epoch.
const LEAP: u64 = 1_000_000_000;

/// A snapshot set with the identity set that it names.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The snapshot set's manifest.
    pub id: ManifestId,
    /// Its public part.
    pub public: SnapshotPublic,
    /// By whose word it counts.
    pub signed_by: Signer,
    /// The destinations whose manifest of it is there.
    pub held_by: Vec<String>,
    /// Whether one of these is off the cluster.
    pub off_cluster: bool,
    /// What was proven of it, the highest level first.
    pub proofs: Vec<Proven>,
    /// Why it is never the newest and never used.
    pub suspect: Option<String>,
    /// Whether a newer epoch was claimed: the cluster that it was taken from is no more.
    pub fenced: bool,
    /// Whether the newest identity set of its epoch no longer names the key that signed it. What was signed
    /// before and what a stolen key signs still cannot be told apart.
    pub revoked: bool,
}

impl Generation {
    /// Whether it was restored, booted and compared, and a destination off the cluster holds it.
    pub fn counts(&self) -> bool {
        self.is_proven() && self.off_cluster
    }

    /// Whether it was restored, booted and compared, and lies somewhere.
    pub fn is_proven(&self) -> bool {
        self.suspect.is_none() && !self.held_by.is_empty() && self.level() >= Some(Level::L3)
    }

    /// When it was taken, in UTC, by the writer's clock: nothing is ordered by it. `None` where that is no date.
    pub fn created(&self) -> Option<OffsetDateTime> {
        date(&self.public.created)
    }

    /// The highest level of its proofs.
    pub fn level(&self) -> Option<Level> {
        self.proofs.iter().map(|proven| proven.proof.level).max()
    }
}

/// The generations of an archive.
#[derive(Clone, Debug, Default)]
pub struct Generations {
    /// Newest first, by epoch, revision, number and id; those that are suspect come last.
    pub all: Vec<Generation>,
    /// Those that no other names as its parent, suspects left out. More than one is a fork.
    pub heads: Vec<ManifestId>,
    /// Documents of the archive that were left out, and why.
    pub rejected: Vec<Rejected>,
    /// Destinations that did not answer.
    pub unread: Vec<Unread>,
    /// All destinations, in their order.
    pub asked: Vec<String>,
    /// What is known of them.
    pub sites: Vec<Site>,
}

impl Generations {
    /// The newest that is not suspect.
    pub fn newest(&self) -> Option<&Generation> {
        self.all.iter().find(|generation| generation.suspect.is_none())
    }

    /// The newest that counts.
    pub fn newest_counting(&self) -> Option<&Generation> {
        self.all.iter().find(|generation| generation.counts())
    }

    /// The newest that was proven, wherever it lies.
    pub fn newest_proven(&self) -> Option<&Generation> {
        self.all.iter().find(|generation| generation.is_proven())
    }

    /// What the copies of one come to, for whoever signed it.
    pub fn copies(&self, one: &Generation) -> Copies {
        let writer = match one.signed_by {
            Signer::Root => Writer::Operator,
            Signer::Node(_) => Writer::Node,
        };
        Copies::of(&self.sites, writer, &one.held_by)
    }

    /// The one with this id.
    pub fn get(&self, id: &ManifestId) -> Option<&Generation> {
        self.all.iter().find(|generation| generation.id == *id)
    }
}

impl Archive {
    /// What snapshot sets there are, and what was proven of them. Needs no identity.
    ///
    /// # Errors
    /// Those of [`Archive::state`]; [`Error::Empty`] where nothing is there.
    pub fn generations(&self, trust: &Trust) -> Result<Generations, Error> {
        let known = self.survey_what_is_there(trust)?;
        Ok(self.snapshots(&known)?.generations(&known))
    }

    /// The snapshot sets and proofs at all destinations.
    pub(crate) fn snapshots(&self, known: &Known) -> Result<Snapshots, Error> {
        let mut found = Snapshots {
            rejected: known.holding.rejected.clone(),
            unread: known.holding.unread.clone(),
            names: self.destinations.iter().map(|destination| destination.describe()).collect(),
            sites: self.sites.clone(),
            ..Snapshots::default()
        };
        let mut proofs = Vec::new();
        for (index, destination) in self.destinations.iter().enumerate() {
            let at = &found.names[index];
            if known.holding.unread.iter().any(|unread| unread.at == *at) {
                continue;
            }
            match list(destination.as_ref()) {
                Ok((manifests, more, records)) => {
                    found.take_record(index, destination.as_ref(), records, known)?;
                    found.take(index, destination.as_ref(), manifests, known)?;
                    proofs.push((index, more));
                }
                Err(error) => found.unread.push(Unread { at: at.clone(), why: chain(&error) }),
            }
        }
        // When the sets of all destinations are known: a proof may lie elsewhere than its set.
        for (index, names) in proofs {
            found.take_proofs(index, self.destinations[index].as_ref(), names, known)?;
        }
        Ok(found)
    }
}

type Listed = (Vec<Name>, Vec<Name>, Vec<u64>);

/// The names of snapshot sets, of proofs, and the numbers of records, the newest first.
fn list(destination: &dyn Destination) -> Result<Listed, DestinationError> {
    let mut manifests = destination.list(Prefix::Generations)?;
    manifests.retain(|name| matches!(name, Name::Manifest { revision: 1.., .. }));
    manifests.sort();
    let mut proofs = destination.list(Prefix::Proofs)?;
    proofs.retain(|name| matches!(name, Name::Proof { .. }));
    proofs.sort();
    let records = destination.list(Prefix::Prunes)?.into_iter();
    let mut records: Vec<u64> =
        records.filter_map(|name| if let Name::Prune(number) = name { Some(number) } else { None }).collect();
    records.sort_by_key(|number| std::cmp::Reverse(*number));
    Ok((manifests, proofs, records))
}

/// A proof as it lies there.
pub(crate) struct Document {
    pub name: Name,
    pub bytes: Vec<u8>,
    pub proven: Proven,
    /// By index.
    pub holders: BTreeSet<usize>,
}

/// What all destinations hold, with the bytes that prove it.
#[derive(Default)]
pub(crate) struct Snapshots {
    pub sets: BTreeMap<ManifestId, Snapshot>,
    /// The destinations that hold a set's manifest, by index.
    pub holders: BTreeMap<ManifestId, BTreeSet<usize>>,
    /// By what was proven, and by the digest of the file.
    proofs: BTreeMap<ManifestId, BTreeMap<Digest, Document>>,
    /// The newest record of what was removed.
    pub pruned: Option<Record>,
    /// The highest revision that a signer gave in an epoch. Many manifests are no work here.
    highest: BTreeMap<u64, BTreeMap<Signer, u64>>,
    names: Vec<String>,
    sites: Vec<Site>,
    rejected: Vec<Rejected>,
    unread: Vec<Unread>,
}

impl Snapshots {
    fn take(
        &mut self,
        index: usize,
        destination: &dyn Destination,
        names: Vec<Name>,
        known: &Known,
    ) -> Result<(), Error> {
        let root = &known.holding.root;
        for name in names {
            let Some(bytes) = self.get(index, destination, &name) else { continue };
            match Snapshot::read(&name, &bytes, root, &known.manifests) {
                Ok(Some(snapshot)) => {
                    let SnapshotPublic { epoch, etcd_cluster, .. } = &snapshot.public;
                    if let Some(claim) = known.holding.disowns(*epoch, etcd_cluster) {
                        self.reject(index, &name, Fault::FencedCluster(claim.epoch).to_string());
                        continue;
                    }
                    let revision = snapshot.public.revision;
                    let of_epoch = self.highest.entry(snapshot.public.epoch).or_default();
                    let highest = of_epoch.entry(snapshot.signed_by()).or_default();
                    *highest = revision.max(*highest);
                    self.holders.entry(snapshot.id).or_default().insert(index);
                    self.sets.insert(snapshot.id, snapshot);
                }
                Ok(None) => {}
                Err(fault) => self.refuse(index, &name, fault, by(&bytes, root))?,
            }
        }
        Ok(())
    }

    fn take_proofs(
        &mut self,
        index: usize,
        destination: &dyn Destination,
        names: Vec<Name>,
        known: &Known,
    ) -> Result<(), Error> {
        let root = &known.holding.root;
        for name in names {
            let Some(bytes) = self.get(index, destination, &name) else { continue };
            match Proof::read(&name, &bytes, root, &known.manifests, &self.sets) {
                Ok(Some(proven)) => {
                    let same = self.proofs.entry(proven.proof.manifest).or_default();
                    let document = Document { name, proven, holders: BTreeSet::new(), bytes };
                    same.entry(Digest::of(&document.bytes)).or_insert(document).holders.insert(index);
                }
                // Its set is gone, or lies where nobody answered.
                Ok(None) => {}
                Err(fault) => self.refuse(index, &name, fault, by(&bytes, root))?,
            }
        }
        Ok(())
    }

    /// The newest record here that the root key signed.
    fn take_record(
        &mut self,
        index: usize,
        destination: &dyn Destination,
        numbers: Vec<u64>,
        known: &Known,
    ) -> Result<(), Error> {
        let root = &known.holding.root;
        let newest = self.pruned.as_ref().map_or(0, |record| record.number);
        for number in numbers.into_iter().take_while(|number| *number > newest) {
            let name = Name::Prune(number);
            let Some(bytes) = self.get(index, destination, &name) else { continue };
            match Record::read(number, &bytes, root) {
                Ok(record) => {
                    self.pruned = Some(record);
                    break;
                }
                Err(fault) => self.refuse(index, &name, fault, by(&bytes, root))?,
            }
        }
        Ok(())
    }

    fn get(&mut self, index: usize, destination: &dyn Destination, name: &Name) -> Option<Vec<u8>> {
        let why = match destination.get(name, MAX_DOCUMENT) {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) => "it is listed, but it is not there".to_owned(),
            Err(error) => chain(&error),
        };
        self.reject(index, name, why);
        None
    }

    fn reject(&mut self, index: usize, name: &Name, why: String) {
        self.rejected.push(Rejected { at: self.names[index].clone(), name: name.to_string(), why });
    }

    /// What the root key signed for newer readers stops everything; a node's key cannot stop anybody.
    fn refuse(&mut self, index: usize, name: &Name, fault: Fault, by_root: bool) -> Result<(), Error> {
        if let (Fault::NewerReader(needs), true) = (&fault, by_root) {
            let at = self.names[index].clone();
            return Err(Error::NewerReader { at, name: name.to_string(), needs: *needs });
        }
        self.reject(index, name, fault.to_string());
        Ok(())
    }

    /// Why a set is never the newest and never used.
    pub fn suspect(&self, snapshot: &Snapshot) -> Option<String> {
        let (epoch, signer) = (snapshot.public.epoch, snapshot.signed_by());
        let others = self.highest.get(&epoch)?.iter().filter(|(other, _)| **other != signer);
        let highest = *others.map(|(_, highest)| highest).max()?;
        let revision = snapshot.public.revision;
        (revision > highest.saturating_add(LEAP)).then(|| {
            format!(
                "its revision {revision} is more than {LEAP} above every other signer's, {highest} at most"
            )
        })
    }

    /// The sets that no other names as its parent, in the order of their ids; suspects have no word in it.
    pub fn heads(&self) -> Vec<&Snapshot> {
        let sound: Vec<&Snapshot> =
            self.sets.values().filter(|snapshot| self.suspect(snapshot).is_none()).collect();
        // A set whose child was removed is no head.
        let removed = self.pruned.iter().flat_map(|record| &record.parents);
        let parents: BTreeSet<&ManifestId> =
            sound.iter().flat_map(|snapshot| &snapshot.public.parents).chain(removed).collect();
        sound.into_iter().filter(|snapshot| !parents.contains(&snapshot.id)).collect()
    }

    /// What was proven of a set.
    pub fn proofs_of(&self, id: &ManifestId) -> impl Iterator<Item = &Document> {
        self.proofs.get(id).into_iter().flat_map(BTreeMap::values)
    }

    pub fn generations(&self, known: &Known) -> Generations {
        let mut all: Vec<Generation> =
            self.sets.values().map(|snapshot| self.generation(snapshot, known)).collect();
        let rank = |one: &Generation| {
            let SnapshotPublic { epoch, revision, number, .. } = one.public;
            (one.suspect.is_none(), epoch, revision, number, one.id)
        };
        all.sort_by_key(|generation| std::cmp::Reverse(rank(generation)));
        Generations {
            all,
            heads: self.heads().into_iter().map(|head| head.id).collect(),
            rejected: self.rejected.clone(),
            unread: self.unread.clone(),
            asked: self.names.clone(),
            sites: self.sites.clone(),
        }
    }

    fn generation(&self, snapshot: &Snapshot, known: &Known) -> Generation {
        let public = &snapshot.public;
        let of_its_epoch = known.manifests.values().filter(|set| set.public.epoch == public.epoch);
        let newest = of_its_epoch.max_by_key(|set| set.rank());
        let named = newest.is_some_and(|set| {
            let named =
                |one: &crate::Delegation| one.allows(MAY_SNAPSHOT, &snapshot.key, public.epoch, &public.node);
            set.public.delegations.iter().any(named)
        });
        let mut proofs: Vec<Proven> =
            self.proofs_of(&snapshot.id).map(|document| document.proven.clone()).collect();
        proofs.sort_by_key(|proven| std::cmp::Reverse(proven.proof.level));
        let holders = self.holders.get(&snapshot.id).into_iter().flatten();
        let off_cluster = holders.clone().any(|index| self.sites[*index].domain.is_some());
        Generation {
            id: snapshot.id,
            public: public.clone(),
            signed_by: snapshot.signed_by(),
            held_by: holders.map(|index| self.names[*index].clone()).collect(),
            off_cluster,
            proofs,
            suspect: self.suspect(snapshot),
            fenced: public.epoch < known.holding.epoch,
            revoked: snapshot.signed_by() != Signer::Root && !named,
        }
    }
}

fn by(bytes: &[u8], key: &RootPublic) -> bool {
    signed::read(bytes).is_ok_and(|document| document.signer == *key)
}
