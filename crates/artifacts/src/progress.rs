//! What a run says while it works. Numbers are told often; whoever shows them thins them out.

use std::path::PathBuf;
use std::time::Duration;

/// One thing told by [`crate::obtain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another run holds this cache; this one goes on when that ends.
    Waits {
        /// The file that is locked.
        lock: PathBuf,
    },
    /// Told once before work that takes minutes.
    Begins {
        /// What is about to be made.
        what: String,
        /// How long it takes at most on this machine, by what was measured on two cores.
        about: Duration,
    },
    /// How far one piece of work is.
    Advances {
        /// A file, an image or a project.
        what: String,
        /// Done so far, in `unit`.
        done: u64,
        /// The whole, where it is known.
        total: Option<u64>,
        /// What `done` counts.
        unit: Unit,
    },
    /// A piece of work is complete.
    Completes {
        /// The same name as in [`Progress::Advances`].
        what: String,
    },
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes downloaded.
    Bytes,
    /// Go modules downloaded.
    Modules,
    /// Go packages compiled.
    Packages,
}

pub(crate) type Report<'a> = dyn Fn(Progress) + Send + Sync + 'a;
