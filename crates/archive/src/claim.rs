//! Claiming the next epoch: the operators' lock, and the fence for the clusters that were before it.
//!
//! The claim is written before anything else of a rebuild is, so a command that is killed leaves a claim and no
//! more; the same holder on the same machine goes on in it. Each destination holds one claim of an epoch, whoever
//! was first, and all writers begin at the first destination: of two at once one has a majority at most, and where
//! all destinations answer exactly one.

use crate::epoch::{Claim, Found};
use crate::error::chain;
use crate::publish::{get, mark, shown, write};
use crate::signed::MAX_DOCUMENT;
use crate::standing::Unread;
use crate::survey::Known;
use crate::{Archive, Destination, Error, Name, RootKey, Secret, Stamp};

/// What an operator wants to claim.
#[derive(Clone, Copy, Debug)]
pub struct Claiming<'a> {
    /// The root key, as it lies in the identity set.
    pub root_key: &'a Secret,
    /// The etcd cluster ids (hex) of what must not run any more.
    pub fences: &'a [String],
    /// Claim over somebody else's claim of an epoch in which no cluster was born yet.
    pub take_over: bool,
    /// Who, where, when.
    pub stamp: Stamp<'a>,
}

/// An epoch that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The claim as it was written, now or by an earlier run of the same holder.
    pub claim: Claim,
    /// Whether it was made now.
    pub new: bool,
    /// The destinations that hold it: a majority.
    pub held: Vec<String>,
    /// Those that do not.
    pub failed: Vec<Unread>,
}

impl Archive {
    /// Claims the next epoch at a majority of the destinations, in their order; or goes on in the one that the same
    /// holder claimed before, where no cluster was born in it and it fences all that is to be fenced. A number that
    /// something else than a claim of the root key has taken at a destination is passed over.
    ///
    /// # Errors
    /// [`Error::Held`] where somebody else is at it; [`Error::NoMajority`], after which the same call goes on;
    /// [`Error::OtherArchive`], [`Error::Describe`]; those of [`Archive::state`].
    pub fn claim_next(&self, claiming: &Claiming) -> Result<Claimed, Error> {
        let key = RootKey::parse(claiming.root_key)?;
        let known = self.known(&key.public()?)?;
        if let Some(found) = self.unfinished(&known, claiming)? {
            return self.hold(found.clone(), false);
        }
        let Stamp { created, holder, host, .. } = claiming.stamp;
        let free = (known.holding.epoch + 1..).find(|epoch| !known.taken.contains(epoch));
        let claim = Claim {
            cluster: known.holding.cluster.clone(),
            created: created.to_owned(),
            epoch: free.unwrap_or(u64::MAX),
            fences: claiming.fences.to_vec(),
            holder: shown(holder),
            host: shown(host),
            repo: known.holding.repo.clone(),
            root: known.holding.root,
        };
        let bytes = claim.sign(&key)?;
        self.hold(Found { claim, bytes, holders: [].into() }, true)
    }

    /// The claim in which this holder goes on; `None` where a new one is to be made.
    fn unfinished<'k>(&self, known: &'k Known, claiming: &Claiming) -> Result<Option<&'k Found>, Error> {
        let Some(open) = known.holding.unfinished() else { return Ok(None) };
        let own = |claim: &Claim| claim.is_of(claiming.stamp.holder, claiming.stamp.host);
        let claims = known.highest_claims();
        let decided = self.has_majority(&claims[0]);
        let ours = claims.iter().find(|found| own(&found.claim));
        match ours.filter(|_| !decided || own(open)) {
            // Their own claim that came to no majority is given up on demand only.
            Some(_) if claiming.take_over && !decided => Ok(None),
            Some(found) => {
                let all = claiming.fences.iter().all(|id| found.claim.fences.contains(id));
                Ok(all.then_some(found))
            }
            None if claiming.take_over => Ok(None),
            None => Err(Error::Held { claim: Box::new(open.clone()) }),
        }
    }

    fn has_majority(&self, found: &Found) -> bool {
        found.holders.len() * 2 > self.destinations.len()
    }

    /// Writes a claim where it is not yet.
    fn hold(&self, found: Found, new: bool) -> Result<Claimed, Error> {
        let decided = self.has_majority(&found);
        let Found { claim, bytes, .. } = found;
        let (mut held, mut failed) = (Vec::new(), Vec::new());
        for destination in &self.destinations {
            let at = destination.describe();
            match hold_at(destination.as_ref(), &claim, &bytes) {
                Ok(()) => held.push(at),
                Err(error @ Error::OtherArchive { .. }) => return Err(error),
                // Whoever was first at an earlier destination goes on, and nobody else does.
                Err(error @ Error::Held { .. }) if !decided => return Err(error),
                Err(error) => failed.push(Unread { at, why: chain(&error) }),
            }
        }
        let all = self.destinations.len();
        if held.len() * 2 > all {
            return Ok(Claimed { claim, new, held, failed });
        }
        let failed = failed.iter().map(ToString::to_string).collect();
        Err(Error::NoMajority { epoch: claim.epoch, held: held.len(), all, failed })
    }
}

/// Makes sure that this claim lies at a destination, and no other of its epoch.
fn hold_at(destination: &dyn Destination, claim: &Claim, bytes: &[u8]) -> Result<(), Error> {
    mark(destination, &claim.repo)?;
    let name = Name::Epoch(claim.epoch);
    let Err(error) = write(destination, &name, bytes) else { return Ok(()) };
    match get(destination, &name, MAX_DOCUMENT)?.map(|found| Claim::read(claim.epoch, &found, &claim.root)) {
        Some(Ok(other)) if other != *claim => Err(Error::Held { claim: Box::new(other) }),
        _ => Err(error),
    }
}
