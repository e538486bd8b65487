//! Plain lines on standard error, for logs and CI: what changed, what failed, and where the time went.

use super::{Teller, amount, duration, line};
use engine::{Event, Outcome};
use std::collections::BTreeMap;
use std::time::Instant;

#[derive(Default)]
pub struct Plain {
    told: BTreeMap<String, Instant>,
}

/// A long piece of work is told of this often, in seconds.
const EVERY: u64 = 10;

fn say(text: &str) {
    line(&mut std::io::stderr(), text);
}

/// The line of an event, for the events that a log wants.
pub fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::LinkLost { host, error } => format!("{host}: connection lost ({error}), connecting again"),
        Event::Reattached { host, .. } => format!("{host}: found the run that was under way"),
        Event::LaneWaits { host, .. } => format!("{host}: another run is at work there, waiting for its end"),
        Event::HostDropped { host, reason } => format!("{host}: takes no further part: {reason}"),
        Event::StageEnded { stage, took, .. } => format!("{stage}: {}", duration(*took)),
        Event::StepEnded { host, title, outcome, took, .. } => match outcome {
            Outcome::Changed => format!("{host}: {title} ({})", duration(*took)),
            Outcome::Kept(how) => format!("{host}: kept {title}: {how}"),
            Outcome::Failed(failure) => format!("{host}: FAILED {title}: {}", failure.reason),
            Outcome::Unchanged | Outcome::NotRun => return None,
        },
        _ => return None,
    })
}

impl Teller for Plain {
    fn event(&mut self, event: &Event) {
        if let Some(words) = words(event) {
            say(&words);
        }
    }

    fn say(&mut self, text: &str) {
        say(text);
    }

    fn progress(&mut self, what: &str, done: u64, total: Option<u64>, unit: &str) {
        let complete = total == Some(done);
        let due = self.told.get(what).is_none_or(|at| at.elapsed().as_secs() >= EVERY);
        if complete || due {
            let of = total.map_or_else(String::new, |total| format!(" of {}", amount(total, unit)));
            say(&format!("{what}: {}{of}", amount(done, unit)));
            self.told.insert(what.to_owned(), Instant::now());
        }
    }

    fn result(&mut self, text: &str, _value: serde_json::Value) {
        line(&mut std::io::stdout(), text.trim_end());
    }
}
