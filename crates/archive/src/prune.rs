//! Removing what retention does not keep.
//!
//! A record that the root key signs comes first, at a majority of the destinations: what goes, and why. Then
//! manifests, proofs and objects go in this order, at all destinations each, so that nothing is ever listed whose
//! objects went. A run that is killed is finished by the next: the record names the objects.

use crate::error::chain;
use crate::format::is_repo;
use crate::generations::Snapshots;
use crate::manifest::{ManifestId, Object, is_display, keep};
use crate::publish::write;
use crate::signed::{self, Body};
use crate::standing::Unread;
use crate::survey::Known;
use crate::{
    Archive, Digest, Error, Fault, Name, Prefix, Retention, RootKey, RootPublic, Secret, Stamp, Trust, retain,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const KIND: &str = "prune";

/// What one record takes, so that it stays below the size of a document; the next run takes the rest.
const MAX_SETS: usize = 500;
const MAX_OBJECTS: usize = 8000;

/// A set that went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gone {
    manifest: ManifestId,
    why: String,
}

/// The record of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    created: String,
    holder: String,
    host: String,
    pub number: u64,
    /// Ciphertexts that go unless a manifest names them, those counted that runs before could not remove.
    objects: Vec<Digest>,
    /// Sets that stay and that a set which went, in this run or before, named as its parent: no heads.
    pub parents: BTreeSet<ManifestId>,
    rekindle: String,
    remove: Vec<Gone>,
    repo: String,
    root: RootPublic,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The number of its record; `None` where there was nothing to do.
    pub number: Option<u64>,
    /// What is gone from every destination that answered.
    pub removed: Vec<ManifestId>,
    /// How many objects went with it.
    pub objects: usize,
    /// How many sets are left to the next run.
    pub left: usize,
    /// Destinations where something is left, which the next run removes.
    pub failed: Vec<Unread>,
}

impl Record {
    /// Reads `prune/<number>.json`.
    ///
    /// # Errors
    /// Where `root` did not sign it, or it is not what it must be.
    pub fn read(number: u64, bytes: &[u8], root: &RootPublic) -> Result<Self, Fault> {
        let body = signed::read(bytes)?.verify(root)?;
        if body.kind() != KIND {
            return Err(Fault::Kind(KIND));
        }
        let record: Self = body.content()?;
        record.check()?;
        if record.number != number {
            return Err(Fault::Misnamed);
        }
        if record.root == *root { Ok(record) } else { Err(Fault::Signer(record.root)) }
    }

    fn sign(&self, key: &RootKey) -> Result<Vec<u8>, Error> {
        self.check().map_err(Error::Describe)?;
        Body::new(KIND, self, self.root).map_err(Error::Describe)?.sign(key)
    }

    fn check(&self) -> Result<(), Fault> {
        keep(&[
            ("created", is_display(&self.created, 40)),
            ("holder", is_display(&self.holder, 255)),
            ("host", is_display(&self.host, 255)),
            ("number", self.number > 0),
            ("remove", self.remove.iter().all(|gone| is_display(&gone.why, 1024))),
            ("repo", is_repo(&self.repo)),
        ])
    }
}

impl Archive {
    /// Removes what `retention` says goes, as far as it still says so of what lies there now.
    ///
    /// # Errors
    /// [`Error::Kept`] where retention refuses; [`Error::NoPruneRecord`] where fewer than a majority of the
    /// destinations hold the record, and then nothing was removed; [`Error::RootKey`]; those of
    /// [`Archive::state`].
    pub fn prune(&self, retention: &Retention, root_key: &Secret, stamp: &Stamp) -> Result<Pruned, Error> {
        let key = RootKey::parse(root_key)?;
        let known = self.survey_what_is_there(&Trust::Anchor(key.public()?))?;
        let seen = self.snapshots(&known)?;
        let again = retain(&seen.generations(&known), retention.rule, retention.now);
        if let Some(why) = retention.veto.clone().or(again.veto) {
            return Err(Error::Kept { why });
        }
        let asked: BTreeSet<&ManifestId> = retention.remove.iter().map(|(id, _)| id).collect();
        let mut going: Vec<(ManifestId, String)> =
            again.remove.into_iter().filter(|(id, _)| asked.contains(id)).collect();
        // The oldest first, should not all go at once.
        going.reverse();
        let all = going.len();
        going.truncate(MAX_SETS);
        let Some(record) = self.record(&going, &seen, &known, stamp)? else { return Ok(Pruned::default()) };
        self.announce(&record, &key)?;
        let mut pruned = self.remove(&record, &seen, &known);
        pruned.left = all - going.len();
        Ok(pruned)
    }

    fn record(
        &self,
        going: &[(ManifestId, String)],
        seen: &Snapshots,
        known: &Known,
        stamp: &Stamp,
    ) -> Result<Option<Record>, Error> {
        let ids: BTreeSet<&ManifestId> = going.iter().map(|(id, _)| id).collect();
        let before = seen.pruned.as_ref();
        let named = seen.sets.values().filter(|set| ids.contains(&set.id));
        let parents = named.clone().flat_map(|set| &set.public.parents);
        let parents = parents.chain(before.into_iter().flat_map(|record| &record.parents));
        let stays = |id: &&ManifestId| seen.sets.contains_key(*id) && !ids.contains(*id);
        let mut objects: BTreeSet<Digest> =
            named.flat_map(|set| &set.public.objects).map(|object| object.sha256).collect();
        objects.extend(self.still_there(before).into_iter().take(MAX_OBJECTS));
        if objects.is_empty() {
            return Ok(None);
        }
        Ok(Some(Record {
            created: stamp.created.to_owned(),
            holder: crate::publish::shown(stamp.holder),
            host: crate::publish::shown(stamp.host),
            number: before.map_or(0, |record| record.number) + 1,
            objects: objects.into_iter().collect(),
            parents: parents.filter(stays).copied().collect(),
            rekindle: stamp.rekindle.to_owned(),
            remove: going.iter().map(|(id, why)| Gone { manifest: *id, why: why.clone() }).collect(),
            repo: known.holding.repo.clone(),
            root: known.holding.root,
        }))
    }

    /// Writes the record to all destinations.
    fn announce(&self, record: &Record, key: &RootKey) -> Result<(), Error> {
        let (bytes, name) = (record.sign(key)?, Name::Prune(record.number));
        let mut failed = Vec::new();
        for destination in &self.destinations {
            if let Err(error) = write(destination.as_ref(), &name, &bytes) {
                failed.push(format!("{}: {}", destination.describe(), chain(&error)));
            }
        }
        let all = self.destinations.len();
        let held = all - failed.len();
        if held * 2 > all { Ok(()) } else { Err(Error::NoPruneRecord { held, all, failed }) }
    }

    /// Manifests everywhere, then proofs, then what no manifest names any more.
    fn remove(&self, record: &Record, seen: &Snapshots, known: &Known) -> Pruned {
        let mut pruned = Pruned { number: Some(record.number), ..Pruned::default() };
        let mut stuck: BTreeSet<ManifestId> = BTreeSet::new();
        for gone in &record.remove {
            let Some(set) = seen.sets.get(&gone.manifest) else { continue };
            let holders = seen.holders.get(&set.id).into_iter().flatten();
            let failed = holders.filter(|index| !self.remove_at(**index, &set.name(), &mut pruned)).count();
            if failed > 0 {
                stuck.insert(set.id);
            } else {
                pruned.removed.push(set.id);
            }
        }
        let removed: BTreeSet<&ManifestId> =
            record.remove.iter().map(|gone| &gone.manifest).filter(|id| !stuck.contains(*id)).collect();
        let before = seen.pruned.iter().flat_map(|record| &record.remove).map(|gone| &gone.manifest);
        let remaining = seen.sets.keys().filter(|id| !removed.contains(*id));
        let remaining: BTreeSet<String> = remaining.map(ManifestId::tag).collect();
        let tags: BTreeSet<String> = removed.iter().copied().chain(before).map(ManifestId::tag).collect();
        self.remove_proofs(&tags.difference(&remaining).collect(), &mut pruned);
        let named: BTreeSet<Digest> = seen
            .sets
            .values()
            .filter(|set| !removed.contains(&set.id))
            .flat_map(|set| &set.public.objects)
            .chain(known.manifests.values().flat_map(|set| &set.public.objects))
            .chain(known.payloads.values().flat_map(|set| &set.public.objects))
            .map(|Object { sha256, .. }| *sha256)
            .collect();
        for object in record.objects.iter().filter(|object| !named.contains(object)) {
            pruned.objects += 1;
            for index in 0..self.destinations.len() {
                self.remove_at(index, &Name::Object(*object), &mut pruned);
            }
        }
        pruned
    }

    /// The objects of the run before that some destination still has, or does not tell.
    fn still_there(&self, before: Option<&Record>) -> BTreeSet<Digest> {
        let mut found = BTreeSet::new();
        for destination in &self.destinations {
            for object in before.into_iter().flat_map(|record| &record.objects) {
                match destination.get(&Name::Object(*object), 0) {
                    Ok(None) => {}
                    // More than no bytes, as a rule.
                    Ok(Some(_)) | Err(_) => drop(found.insert(*object)),
                }
            }
        }
        found
    }

    /// The proofs of sets that are gone, those counted whose run was killed in between.
    fn remove_proofs(&self, tags: &BTreeSet<&String>, pruned: &mut Pruned) {
        for (index, destination) in self.destinations.iter().enumerate() {
            let names = match destination.list(Prefix::Proofs) {
                Ok(names) => names,
                Err(error) => {
                    pruned.failed.push(Unread { at: destination.describe(), why: chain(&error) });
                    continue;
                }
            };
            for name in names {
                if matches!(&name, Name::Proof { tag, .. } if tags.contains(tag)) {
                    self.remove_at(index, &name, pruned);
                }
            }
        }
    }

    /// Whether it is gone. A destination that did not do it once is not asked again.
    fn remove_at(&self, index: usize, name: &Name, pruned: &mut Pruned) -> bool {
        let destination = &self.destinations[index];
        let at = destination.describe();
        if pruned.failed.iter().any(|failed| failed.at == at) {
            return false;
        }
        match destination.remove(name) {
            Ok(()) => true,
            Err(error) => {
                pruned.failed.push(Unread { at, why: chain(&error) });
                false
            }
        }
    }
}
