//! What S3 said, in one line that a person can read.

use super::client::CONNECT;
use std::io;

/// Why a bucket did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3Error {
    /// The inventory's words are no bucket.
    #[error("{why}")]
    Settings {
        /// What is wrong with them.
        why: String,
    },
    /// The CA file is none.
    #[error("no CA certificate can be read from {path}: {why}")]
    Ca {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// It or the way to it answered something else than what was asked for.
    #[error("{said}")]
    Answer {
        /// Its words, shortened, in printable characters.
        said: String,
    },
    /// It did not answer, or not fast enough.
    #[error("no answer within {seconds} s")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The bytes ended too early.
    #[error("cut off after {copied} of {size} bytes")]
    Cut {
        /// What came.
        copied: u64,
        /// What was announced.
        size: u64,
    },
    /// The file that was to be written cannot be read.
    #[error("the file cannot be read")]
    Source {
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// What failed with what.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {path}")]
pub(super) struct S3Failure {
    pub(super) act: &'static str,
    pub(super) path: String,
    #[source]
    pub(super) why: S3Error,
}

/// The words of a server, or that there were none in time.
pub(super) enum Told {
    Said(String),
    Silence,
}

impl From<Told> for S3Error {
    fn from(told: Told) -> Self {
        match told {
            Told::Said(said) => Self::Answer { said },
            Told::Silence => Self::Silent { seconds: CONNECT.as_secs() },
        }
    }
}

/// The innermost cause: what lies around it tells of the client's own parts.
pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> Told {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    // A connection that was not made within its time; whole calls have a time of their own.
    let is_late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    let late = cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout)
        || cause.downcast_ref().is_some_and(is_late)
        || cause.to_string() == "operation timed out";
    if late {
        return Told::Silence;
    }
    let said = cause.to_string();
    Told::Said(match said.strip_prefix("Server returned non-2xx status code: ") {
        Some(status) => answer(status),
        None => printable(&said),
    })
}

/// The words of an answer with a status that is no success.
pub(super) fn answer(status: &str) -> String {
    format!("the server answers {}", printable(status.trim_end_matches([':', ' '])))
}

/// Code and message of an error document, or the beginning of whatever else it is.
pub(super) fn summary(document: &str) -> String {
    let part = |name: &str| {
        let (_, rest) = document.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
    };
    match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => printable(&format!("{code}: {message}")),
        (Some(code), None) => printable(code),
        (None, _) => printable(document),
    }
}

/// At most 300 characters on one line: what a server says goes to a terminal.
pub(super) fn printable(text: &str) -> String {
    let shown = |char: char| if char.is_control() { ' ' } else { char };
    let text: String = text.chars().take(300).map(shown).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
