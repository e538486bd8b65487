//! Who opened a generation, and when: noted as a proof L2 by each command of a person that truly did.

use super::{Signing, Tried, Vault, failure};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::report::Reporter;
use archive::{Generation, Generations, Level};
use pki::Bundle;
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// One note a day says what a thousand say.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The figure of a proof L2 that says whose key it was.
const RECIPIENT: &str = "recipient";

/// That somebody opened a generation.
#[derive(Clone)]
pub struct LastOpened {
    /// When, by their clock.
    pub when: OffsetDateTime,
    /// Who, at which machine.
    pub by: String,
    /// The recipient whose key it was, where the proof says it.
    pub recipient: Option<String>,
}

/// Every opening that the archive knows, the latest first.
pub fn openings(generations: &Generations) -> Vec<LastOpened> {
    let mut all: Vec<LastOpened> = generations
        .openings()
        .filter_map(|proven| {
            let proof = &proven.proof;
            let when = proof.date()?;
            Some(LastOpened { when, by: proof.by.clone(), recipient: proof.what.get(RECIPIENT).cloned() })
        })
        .collect();
    all.sort_by_key(|opened| std::cmp::Reverse(opened.when));
    all
}

impl Vault {
    /// Notes that `one` was opened just now, unless the same person did it today. That the note could not be written
    /// is told, and is no failure of the command.
    pub fn note_opened(
        &self,
        one: &Generation,
        bundle: &Bundle,
        environment: &Environment,
        report: &Reporter,
    ) {
        let now = OffsetDateTime::now_utc();
        if let Err(failure) = self.try_note(one, bundle, environment, now) {
            report.say(format!("note: that it was opened could not be noted: {}", failure.message));
        }
    }

    fn try_note(
        &self,
        one: &Generation,
        bundle: &Bundle,
        environment: &Environment,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        let by = environment.who();
        let opener = self.keys.identities()?.opener(&one.public.recipients);
        let what: BTreeMap<String, String> =
            opener.map(|opener| (RECIPIENT.to_owned(), opener.to_string())).into_iter().collect();
        let same = one.proofs.iter().map(|proven| &proven.proof).any(|proof| {
            proof.level == Level::L2
                && (&proof.by, &proof.what) == (&by, &what)
                && proof.date().is_some_and(|when| now - when < DAY)
        });
        if same {
            return Ok(());
        }
        let when = now.format(&Rfc3339).unwrap_or_default();
        let tried = Tried { level: Level::L2, by, when, seconds: 0, what };
        self.prove(&one.id, tried, &Signing::with(bundle)?)
    }

    /// Opens the private part of the newest generation that counts, unless somebody opened one today; tells of it if it
    /// did. For commands that have an identity at hand and open nothing else.
    ///
    /// # Errors
    /// Where it does not open: it would not when it is needed either.
    pub fn open_daily(
        &self,
        generations: &Generations,
        bundle: &Bundle,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Option<LastOpened>, Failure> {
        let Some(newest) = generations.newest_counting() else { return Ok(None) };
        let last = openings(generations).into_iter().next();
        if last.is_some_and(|last| OffsetDateTime::now_utc() - last.when < DAY) {
            return Ok(None);
        }
        let opened = self.archive.open_private(newest, self.keys.identities()?);
        let recipient = Some(opened.map_err(|error| failure(&error))?.to_string());
        self.note_opened(newest, bundle, environment, report);
        let by = environment.who();
        Ok(Some(LastOpened { when: OffsetDateTime::now_utc(), by, recipient }))
    }

    /// The same for a run that does something else: that it does not open is told.
    pub fn open_in_passing(
        &self,
        generations: &Generations,
        bundle: &Bundle,
        environment: &Environment,
        report: &Reporter,
    ) {
        if let Err(failure) = self.open_daily(generations, bundle, environment, report) {
            report.say(format!("! the newest generation that counts does not open: {}", failure.message));
        }
    }
}
