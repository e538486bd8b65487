//! What a host says about the steps of a plan, gathered.

use super::{Found, Place, Previewed, Probed};
use crate::blobs::Missing;
use crate::lane::{Line, parse};
use crate::redact::{Redact, without_spool};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use step::{Body, Change, Digest, File, Step};

pub(super) struct Answers<'a> {
    run: &'a str,
    found: BTreeMap<usize, Found>,
    current: BTreeMap<usize, Vec<u8>>,
    store: BTreeMap<String, Option<u64>>,
    redact: Redact,
    /// Whether everything was told.
    pub(super) ended: bool,
}

impl<'a> Answers<'a> {
    pub(super) fn new(steps: &[(usize, &Step)], run: &'a str) -> Self {
        let mut redact = Redact::default();
        steps.iter().for_each(|(_, step)| redact.note_step(step));
        Self {
            run,
            found: BTreeMap::new(),
            current: BTreeMap::new(),
            store: BTreeMap::new(),
            redact,
            ended: false,
        }
    }

    pub(super) fn take(&mut self, line: &str) -> ControlFlow<()> {
        let clean = |text: &str| without_spool(&self.redact.apply(text), self.run);
        match parse(line) {
            Some(Line::Unchanged(step)) => drop(self.found.insert(step, Found::Done)),
            Some(Line::Open(step, why)) => drop(self.found.insert(step, Found::Open(clean(&why)))),
            Some(Line::Kept(step, why)) => drop(self.found.insert(step, Found::Kept(clean(&why)))),
            Some(Line::Failed { step, reason, output }) => {
                let last = output.trim().lines().last().unwrap_or_default();
                let why = if last.is_empty() { reason } else { format!("{reason}: {last}") };
                self.found.insert(step, Found::Unknown(clean(&why)));
            }
            Some(Line::Was(step, bytes)) => drop(self.current.insert(step, bytes)),
            Some(Line::Blob(digest, part)) => drop(self.store.insert(digest, part)),
            Some(Line::End) => {
                self.ended = true;
                return ControlFlow::Break(());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    pub(super) fn sum_up(mut self, steps: &[(Place, &Step)], blobs: &BTreeMap<Digest, u64>) -> Probed {
        let mut probed = Probed { steps: Vec::new(), missing: Vec::new() };
        for (number, (place, step)) in steps.iter().enumerate() {
            let found = match &step.change {
                Change::Wait(_) => Found::Waits,
                _ => self.found.remove(&number).unwrap_or_else(|| Found::Unknown("no answer".to_owned())),
            };
            if let Change::File(File { body: Body::Blob { sha256, .. }, .. }) = &step.change {
                let part = self.store.get(&sha256.hex()).copied().unwrap_or(Some(0));
                let listed = probed.missing.iter().any(|missing: &Missing| missing.sha256 == *sha256);
                if let (true, false, Some(there), Some(&size)) =
                    (found.is_open(), listed, part, blobs.get(sha256))
                {
                    probed.missing.push(Missing { sha256: *sha256, size, there });
                }
            }
            probed.steps.push((place.clone(), Previewed { found, current: self.current.remove(&number) }));
        }
        probed
    }
}
