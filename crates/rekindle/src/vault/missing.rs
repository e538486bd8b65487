//! What places lack: too few copies are a debt, which ends a run with 5; a minority that is missing is only said.

use super::{Remembered, Vault, failure};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::report::Reporter;
use archive::{Archive, Copies, Generations, Published, RootPublic, Sealed, Trust, Unread, Writer};
use pki::Bundle;
use std::path::Path;

/// What places lack, a line each.
#[derive(Debug, Default)]
pub struct Missing {
    /// Fewer have it than must.
    pub debts: Vec<String>,
    /// Enough others have it.
    pub notes: Vec<String>,
}

impl Missing {
    /// In words, with the reasons that are known.
    pub fn of(copies: &Copies, whys: &[Unread], what: &str) -> Self {
        let why = |at: &String| whys.iter().find(|unread| unread.at == *at).map(|unread| unread.why.as_str());
        let lacks = copies.missing.iter().map(|at| match why(at) {
            Some(why) => format!("{at}: {why}"),
            None => format!("{at}: lacks {what}"),
        });
        match &copies.debt {
            Some(debt) => {
                Self { debts: lacks.map(|line| format!("{line} ({debt})")).collect(), notes: Vec::new() }
            }
            None => Self {
                debts: Vec::new(),
                notes: lacks.map(|line| format!("{line} (enough others have it)")).collect(),
            },
        }
    }

    /// Of the newest generation that was proven.
    pub fn of_newest(generations: &Generations, whys: &[Unread]) -> Self {
        let Some(newest) = generations.newest_proven() else {
            // Whether there is one is what a place that is away may know.
            let debts = generations.unread.iter().map(ToString::to_string);
            return Self { debts: debts.collect(), notes: Vec::new() };
        };
        let whys: Vec<Unread> = whys.iter().chain(&generations.unread).cloned().collect();
        Self::of(&generations.copies(newest), &whys, "the newest generation")
    }

    /// Both, each line once: a place that is away lacks all for one reason.
    pub fn and(self, other: Self) -> Self {
        let once = |one: Vec<String>, other: Vec<String>| {
            let new: Vec<String> = other.into_iter().filter(|line| !one.contains(line)).collect();
            [one, new].concat()
        };
        Self { debts: once(self.debts, other.debts), notes: once(self.notes, other.notes) }
    }

    /// Says the debts and the notes.
    pub fn tell(&self, report: &Reporter) {
        self.debts.iter().for_each(|debt| report.say(format!("debt: {debt}")));
        self.notes.iter().for_each(|note| report.say(note));
    }
}

/// Copies the newest generation that was proven to where it is missing, says so, and what is missing still.
pub fn bring(
    archive: &Archive,
    trust: &Trust,
    scratch: &Path,
    report: &Reporter,
) -> Result<(Generations, Missing), Failure> {
    let mended = archive.mend_snapshots(trust, scratch).map_err(|error| failure(&error))?;
    for at in &mended.copied {
        report.say(format!("{at}: brought up to date"));
    }
    let generations = archive.generations(trust).map_err(|error| failure(&error))?;
    let missing = Missing::of_newest(&generations, &mended.failed);
    Ok((generations, missing))
}

impl Vault {
    /// Where the identity set is missing that a run found.
    pub fn lacking(&self, remembered: &Remembered) -> Missing {
        let holding = remembered.holding();
        let lacks = |at: &String| {
            holding.lacking.contains(at) || holding.unread.iter().any(|unread| unread.at == *at)
        };
        let held: Vec<String> = self.archive.names().into_iter().filter(|at| !lacks(at)).collect();
        Missing::of(&self.archive.copies(&held), &holding.unread, "the newest identity set")
    }

    /// Where the identity set is missing that was just sealed.
    pub fn sealed(&self, sealed: &Sealed) -> Missing {
        Missing::of(&self.archive.copies(&sealed.proven), &sealed.failed, "the identity set")
    }

    /// Where the generation is missing that an operator just published.
    pub fn published(&self, published: &Published) -> Missing {
        Missing::of(&self.archive.copies(&published.proven), &published.failed, "the generation")
    }

    /// Brings the newest generation to the places that lack it: an operator's own ones have none of the nodes' until
    /// a run of his comes by. What is older is not copied.
    pub fn bring(
        &self,
        bundle: &Bundle,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Missing, Failure> {
        let trust = Trust::Anchor(RootPublic::from(bundle.root_public()));
        let generations = self.archive.generations(&trust).map_err(|error| failure(&error))?;
        let everywhere = |one: &archive::Generation| {
            Copies::of(&generations.sites, Writer::Operator, &one.held_by).missing.is_empty()
        };
        if generations.newest_proven().is_none_or(everywhere) {
            return Ok(Missing::default());
        }
        let scratch = environment.scratch("copy")?;
        Ok(bring(&self.archive, &trust, scratch.path(), report)?.1)
    }
}
