//! Errors to words, hints and exit codes: the one place where a run's end is put into them.

use std::fmt;

/// How a run ended, by what a script may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; nothing or all changed as planned.
    Done = 0,
    /// A bug of ours.
    Bug = 1,
    /// Refused before any change.
    Refused = 2,
    /// Partly done; run it again.
    Partly = 3,
    /// Nobody knows the state of a node.
    Unknown = 4,
    /// Done, but something that was configured is missing or due.
    Due = 5,
    /// `plan --exit-code`: there are changes.
    Changes = 10,
}

/// A run that did not end well.
#[derive(Debug)]
pub struct Failure {
    /// What a script may do next.
    pub exit: Exit,
    /// What, where, why.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
}

impl Failure {
    /// Refused before any change.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Refused, message: message.to_string(), hint: None }
    }

    /// Refused, with an error's whole chain.
    pub fn because(error: &dyn std::error::Error) -> Self {
        Self::refused(chain(error))
    }

    /// Another exit code.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// With more lines of what there is to know.
    pub fn and(mut self, notes: &[String]) -> Self {
        notes.iter().for_each(|note| self.message.push_str(&format!("\n  {note}")));
        self
    }

    /// What a person can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, where there is a hint.
    pub fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into).or(self.hint);
        self
    }
}

/// An error and all its sources, joined by colons.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A file that could not be read or written: which, why, and what is usually behind it.
pub fn file_error(what: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind as Kind;
    let hint = match error.kind() {
        Kind::NotFound | Kind::NotADirectory => "is the path right?",
        Kind::PermissionDenied => "it belongs to somebody else: `ls -l` says to whom",
        Kind::IsADirectory => "name a file in it",
        Kind::StorageFull | Kind::QuotaExceeded => "make room on that disk",
        Kind::ReadOnlyFilesystem => "name a place that can be written",
        _ => "is it a plain file, and is its disk well?",
    };
    Failure::refused(format!("{}: {what}: {error}", path.display())).hint(hint)
}

/// What every command returns.
pub type Outcome = Result<Exit, Failure>;
