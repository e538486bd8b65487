//! What lies at the destinations, judged without any private key.
//!
//! A document that does not fit is named and left out, never an excuse to see less: where documents are and none
//! fits, that is an error, and only where there is nothing at all is a place empty.

use crate::epoch::{Claim, fencing};
use crate::manifest::{Cluster, IdentityPublic, ManifestId};
use crate::survey::Survey;
use crate::{Archive, Error, PayloadSet, RootPublic};
use std::fmt;

/// Why a signature is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// This root key, from the inventory or the recovery kit.
    Anchor(RootPublic),
    /// Whatever key is found, because a person said so.
    FirstUse,
    /// Nothing is known; an archive that is found is refused.
    Unset,
}

/// What the destinations hold together.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nothing; perhaps the beginnings of a first seal that did not come to its manifest.
    Empty,
    /// An archive.
    Holds(Box<Holding>),
}

/// One identity set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its manifest.
    pub id: ManifestId,
    /// The public part of it.
    pub public: IdentityPublic,
}

/// A document that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The destination.
    pub at: String,
    /// The file.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// A destination that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The destination.
    pub at: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.why)
    }
}

/// An archive as it stands.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The key that signs it.
    pub root: RootPublic,
    /// The archive's id, as in `FORMAT`.
    pub repo: String,
    /// Whose it is, by the newest identity set.
    pub cluster: Cluster,
    /// The highest epoch that was claimed or sealed in.
    pub epoch: u64,
    /// The claim of the highest claimed epoch; `None` where the first seal was killed just before it.
    pub claim: Option<Claim>,
    /// All claims that the root key signed, by epoch. Two of one epoch are those of two who raced for it: the one
    /// that more destinations hold is first, and what either fences is fenced.
    pub claims: Vec<Claim>,
    /// Whether an identity set of that epoch says that the cluster was born.
    pub born: bool,
    /// The newest identity set: of the highest epoch, then of the highest number.
    pub newest: Head,
    /// All identity sets that no other names as its parent. More than one is a fork.
    pub heads: Vec<Head>,
    /// Documents that were left out, and why.
    pub rejected: Vec<Rejected>,
    /// Destinations that did not answer.
    pub unread: Vec<Unread>,
    /// Destinations that answered and do not hold the newest identity set.
    pub lacking: Vec<String>,
    /// The payload sets, newest first: by epoch, number and id.
    pub payloads: Vec<PayloadSet>,
}

impl Holding {
    /// The first claim that fences the cluster of `epoch` whose etcd has this cluster id (hex), if one does.
    pub fn fencing(&self, epoch: u64, etcd_cluster: &str) -> Option<&Claim> {
        fencing(&self.claims, epoch, etcd_cluster)
    }

    /// The claim by which a snapshot that says it is of `epoch` is none of it: its etcd is of a cluster that this
    /// epoch, or one before it, fenced, and such an id never comes back.
    pub(crate) fn disowns(&self, epoch: u64, etcd_cluster: &str) -> Option<&Claim> {
        fencing(&self.claims, 0, etcd_cluster).filter(|claim| claim.epoch <= epoch)
    }

    /// The claim of an epoch in which no cluster was born yet: somebody rebuilds, or only fenced the one before.
    /// The first epoch is none: it begins a cluster.
    pub fn unfinished(&self) -> Option<&Claim> {
        self.claim.as_ref().filter(|claim| claim.epoch > 1 && claim.epoch == self.epoch && !self.born)
    }
}

impl Archive {
    /// What the destinations hold. Needs no identity.
    ///
    /// # Errors
    /// [`Error::NoAnchor`] where something is there and `trust` is unset, [`Error::Gone`] and [`Error::Foreign`]
    /// where the trusted key's archive is not there, [`Error::NewerReader`], [`Error::OtherArchive`],
    /// [`Error::Rivals`], [`Error::Unusable`]; [`Error::Destination`] where one does not answer and all others
    /// are empty, because then nobody can say that the archive is.
    pub fn state(&self, trust: &Trust) -> Result<Standing, Error> {
        Ok(match self.survey(trust)? {
            Survey::Empty { .. } => Standing::Empty,
            Survey::Holds(known) => Standing::Holds(Box::new(known.holding)),
        })
    }
}
