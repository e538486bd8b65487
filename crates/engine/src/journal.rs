//! The journal: what happened, one JSON object a line, only ever appended.
//!
//! It is for reports and for people. What is true of a host is asked there, never read here.

use crate::event::Event;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An open journal of one run.
pub struct Journal {
    file: File,
    run: String,
    now: Box<dyn Fn() -> String + Send>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    run: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

impl Journal {
    /// Opens `path` for appending, with mode 0600 where it is new. `run` names this run in every line; `now` tells
    /// the time of day.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(
        path: &Path,
        run: impl Into<String>,
        now: impl Fn() -> String + Send + 'static,
    ) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(Self { file, run: run.into(), now: Box::new(now) })
    }

    /// Appends one event. The progress of blobs is left out: it is no news an hour later.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        if matches!(event, Event::BlobProgress { .. }) {
            return Ok(());
        }
        let mut line = serde_json::to_vec(&Line { time: &(self.now)(), run: &self.run, event })?;
        line.push(b'\n');
        // One write a line: two runs that append to one journal do not mix their lines.
        self.file.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Failure, Outcome};
    use std::time::Duration;
    use step::HostId;

    #[test]
    fn events_are_lines_of_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let events = [
            Event::HostConnected { host: HostId::new("cp1"), took: Duration::from_micros(41_234) },
            Event::StepEnded {
                host: HostId::new("cp1"),
                stage: "prepare".into(),
                step: 3,
                title: "load modules".into(),
                outcome: Outcome::Changed,
                took: Duration::from_millis(12),
            },
            Event::StepEnded {
                host: HostId::new("cp1"),
                stage: "prepare".into(),
                step: 4,
                title: "swap off".into(),
                outcome: Outcome::Failed(Failure { reason: "exited with 1".into(), output: "no\n".into() }),
                took: Duration::from_secs(1),
            },
        ];
        for run in ["a", "b"] {
            let mut journal = Journal::open(&path, run, || "2026-11-24T03:00:00Z".into()).unwrap();
            for event in &events {
                journal.write(event).unwrap();
            }
        }
        insta::assert_snapshot!(std::fs::read_to_string(path).unwrap());
    }
}
