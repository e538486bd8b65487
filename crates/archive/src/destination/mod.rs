//! A place that keeps bytes under the archive's names: what one must do, and nothing of what they mean.

mod folder;
mod patient;
mod rehearsal;
mod s3;
mod worker;

pub use folder::Folder;
pub(crate) use patient::Patient;
pub(crate) use rehearsal::Rehearsal;
pub use s3::{Canary, Credentials, S3, S3Error, S3Settings, Tried};
pub use worker::Worker;

use crate::{Name, Prefix};
use std::fmt;
use std::io;
use std::path::Path;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The bytes are there, whole and durable.
    Written,
    /// Something was there under that name; it was left as it is.
    Existed,
}

/// Why a destination did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The system refused.
    #[error("cannot {act} {path}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The file, folder or URL.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A symbolic link, a device, a folder: nothing that an archive has.
    #[error("{path} is not a {expected}")]
    Kind {
        /// The file.
        path: String,
        /// What should be there.
        expected: &'static str,
    },
    /// More bytes than there may be.
    #[error("{path} has more than the {limit} bytes that it may have")]
    TooLarge {
        /// The file.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// More names than there may be.
    #[error("{path} has more than {limit} files")]
    TooMany {
        /// The folder.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// It did not answer, or not fast enough.
    #[error("cannot {act} {path}: no answer within {seconds} s")]
    Silent {
        /// What was tried.
        act: &'static str,
        /// The file or URL.
        path: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It was silent before, in the same run.
    #[error("{at} was silent before, and is not asked again in this run")]
    GivenUp {
        /// What a person calls it.
        at: String,
    },
    /// What another kind of destination says.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// A place for an archive. Everything that it gives back is checked by the caller.
pub trait Destination: fmt::Debug + Send + Sync {
    /// The bytes under `name`, `None` where there are none.
    ///
    /// # Errors
    /// Where the place cannot be read, or has more than `limit` bytes there.
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError>;

    /// Writes `bytes` under `name` unless something is there: whole or not at all, durable on return.
    ///
    /// # Errors
    /// Where the place cannot be written. Whatever was begun does not show under `name`.
    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Put, DestinationError>;

    /// The same with the content of the file at `from`, which is never held in memory as a whole.
    ///
    /// # Errors
    /// As for [`Destination::put_new`], and where `from` cannot be read.
    fn put_new_file(&self, name: &Name, from: &Path) -> Result<Put, DestinationError>;

    /// Copies the bytes under `name` into `to`, piece by piece, at most `limit` of them. Returns how many there
    /// were, `None` where there are none.
    ///
    /// # Errors
    /// As for [`Destination::get`], and where `to` takes no more.
    fn copy_to(
        &self,
        name: &Name,
        limit: u64,
        to: &mut dyn io::Write,
    ) -> Result<Option<u64>, DestinationError>;

    /// Removes what lies under `name`; nothing there is as good. Gone for good on return.
    ///
    /// # Errors
    /// Where the place does not allow it.
    fn remove(&self, name: &Name) -> Result<(), DestinationError>;

    /// The names of the archive below `prefix`, in any order; what is not a name of the archive is left out.
    ///
    /// # Errors
    /// Where the place cannot be read, or holds absurdly many.
    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError>;

    /// What a person calls this place.
    fn describe(&self) -> String;

    /// Whoever keeps what was read before lets it go: it is asked what is there now.
    fn forget(&self) {}
}
