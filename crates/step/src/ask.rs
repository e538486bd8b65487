//! Reading from a node: a script and the pure function that understands what it prints.

use crate::Script;

/// A question to a node. Asking changes nothing there.
#[derive(Clone, Debug)]
pub struct Ask<T> {
    /// Prints the answer.
    pub script: Script,
    /// Understands it.
    pub parse: fn(&Output) -> Result<T, Unreadable>,
}

/// What a script left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// Standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

/// An answer that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unexpected answer: {0}")]
pub struct Unreadable(pub String);
