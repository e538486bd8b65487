//! Claiming an epoch, as a command does it.

use super::{Remembered, Vault, failure, root_key};
use crate::failure::Failure;
use archive::{Claim, Claimed, Claiming, Error, Folder, Stamp};
use plan::Fencing;
use std::path::Path;

/// By which epoch a cluster is fenced, as plans say it.
pub fn fenced_by(claim: &Claim) -> Fencing<'_> {
    let Claim { epoch, holder, host, created, .. } = claim;
    Fencing { epoch: *epoch, holder, host, created }
}

impl Vault {
    /// The same vault without the destinations of these names, which are lost for good.
    pub fn without(mut self, names: &[String]) -> Result<Self, Failure> {
        self.archive = self.archive.without(names).map_err(|error| failure(&error))?;
        Ok(self)
    }

    /// The same vault for a rehearsal: what is written goes into this folder, and what is there stays as it is.
    pub fn rehearsed(self, beside: &Path) -> Self {
        Self { archive: self.archive.rehearsed(Folder::new(beside, None)), ..self }
    }

    /// The same vault with the destination of this name only.
    pub fn only(mut self, name: &str) -> Result<Self, Failure> {
        self.archive = self.archive.only(name).map_err(|error| failure(&error))?;
        Ok(self)
    }

    /// Claims the next epoch with the root key of an opened archive.
    pub fn claim(
        &self,
        remembered: &Remembered,
        fences: &[String],
        take_over: bool,
        stamp: Stamp,
    ) -> Result<Claimed, Failure> {
        let root_key = root_key(&remembered.bundle);
        let claiming = Claiming { root_key: &root_key, fences, take_over, stamp };
        self.archive.claim_next(&claiming).map_err(|error| {
            let lost = "run it again: the same holder goes on; --without DEST leaves out a destination that is lost for good";
            failure(&error).maybe_hint(matches!(error, Error::NoMajority { .. }).then_some(lost))
        })
    }
}
