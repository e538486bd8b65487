//! What a person, or a program, is told while a run goes on. Nothing else prints.

mod bars;
mod json;
mod plain;

use crate::cli;
use crate::failure::Failure;
use engine::Event;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// One way of telling.
trait Teller: Send {
    /// Something happened.
    fn event(&mut self, event: &Event);
    /// One line for a person.
    fn say(&mut self, line: &str);
    /// How far a long piece of work is: done, and the whole where it is known.
    fn progress(&mut self, what: &str, done: u64, total: Option<u64>, unit: &str);
    /// The result of a command; `value` for programs, `text` for people.
    fn result(&mut self, text: &str, value: serde_json::Value);
    /// What was drawn live is taken away.
    fn settle(&mut self) {}
}

/// Tells, in the way that fits. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    teller: Arc<Mutex<Box<dyn Teller>>>,
    /// Whether colour may be used.
    pub colour: bool,
    json: bool,
}

impl Reporter {
    /// Chooses by the flags and by what standard error is.
    pub fn new(cli: &cli::Cli, no_colour: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = match cli.colour {
            cli::Colour::Always => true,
            cli::Colour::Never => false,
            cli::Colour::Auto => terminal && !no_colour,
        };
        let json = cli.output == cli::Output::Json;
        let teller: Box<dyn Teller> = match (json, terminal) {
            (true, _) => Box::new(json::Json),
            (false, true) => Box::new(bars::Bars::new(colour)),
            (false, false) => Box::new(plain::Plain::default()),
        };
        Self { teller: Arc::new(Mutex::new(teller)), colour, json }
    }

    fn with(&self, act: impl FnOnce(&mut dyn Teller)) {
        act(self.teller.lock().unwrap_or_else(PoisonError::into_inner).as_mut());
    }

    /// Something happened.
    pub fn event(&self, event: &Event) {
        self.with(|teller| teller.event(event));
    }

    /// One line for a person.
    pub fn say(&self, line: impl AsRef<str>) {
        self.with(|teller| teller.say(line.as_ref()));
    }

    /// How far a long piece of work is.
    pub fn progress(&self, what: &str, done: u64, total: Option<u64>, unit: &str) {
        self.with(|teller| teller.progress(what, done, total, unit));
    }

    /// The result of a command, on standard output.
    pub fn result(&self, text: &str, value: serde_json::Value) {
        self.with(|teller| {
            teller.settle();
            teller.result(text, value);
        });
    }

    /// What was drawn live is taken away, for something else that writes to the terminal.
    pub fn settle(&self) {
        self.with(|teller| teller.settle());
    }

    /// Asks a person on standard error; `None` where there is nobody to answer.
    pub fn ask(&self, question: &str) -> Option<String> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        self.settle();
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "{question}");
        let _ = stderr.flush();
        let mut answer = String::new();
        let _ = std::io::stdin().lock().read_line(&mut answer);
        Some(answer.trim().to_owned())
    }

    /// How a run failed, on standard error.
    pub fn failure(&self, failure: &Failure) {
        self.settle();
        if self.json {
            let value = serde_json::json!({"event": "failure", "exit": failure.exit as i32, "message": failure.message, "hint": failure.hint});
            line(&mut std::io::stdout(), &value.to_string());
            return;
        }
        let red = if self.colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        let mut text = format!("{}error{}: {}", red.0, red.1, failure.message);
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n\nhint: {hint}"));
        }
        line(&mut std::io::stderr(), &text);
    }

    /// Receives the engine's events until the last sender is gone, and keeps them in the journal.
    pub fn listen(&self, mut journal: Option<engine::Journal>) -> engine::Events {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let reporter = self.clone();
        tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                // A full disk here must not end work on the nodes.
                if let Some(Err(error)) = journal.as_mut().map(|journal| journal.write(&event)) {
                    reporter.say(format!("warning: the journal can't be written: {error}"));
                    journal = None;
                }
                reporter.event(&event);
            }
        });
        sender
    }
}

/// A line; a reader that went away is no error of ours.
fn line(to: &mut dyn Write, text: &str) {
    let _ = writeln!(to, "{text}");
    let _ = to.flush();
}

/// `12.3 s`, `2 m 05 s`.
pub fn duration(took: std::time::Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} m {:02} s", took.as_secs() / 60, took.as_secs() % 60)
    }
}

/// `1.2 MB`.
pub fn bytes(n: u64) -> String {
    let (value, unit) = match n {
        0..=9_999 => return format!("{n} B"),
        10_000..=9_999_999 => (n as f64 / 1e3, "kB"),
        10_000_000..=9_999_999_999 => (n as f64 / 1e6, "MB"),
        _ => (n as f64 / 1e9, "GB"),
    };
    format!("{value:.1} {unit}")
}

fn amount(n: u64, unit: &str) -> String {
    if unit == "bytes" { bytes(n) } else { format!("{n} {unit}") }
}
