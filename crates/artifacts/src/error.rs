//! What can go wrong on the way to a payload.

use std::io;
use std::path::{Path, PathBuf};

use semver::Version;

use crate::{Sha256, UnknownMinor};

/// Why there is no payload. [`Error::hint`] says what a person can do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are in the messages")]
pub enum Error {
    /// A server did not answer, or stopped answering, as often as it was tried.
    #[error("{url} can't be reached{}, tried {tries} times", through(.proxy))]
    Unreachable {
        url: String,
        proxy: Option<String>,
        tries: u32,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server answered with something else than the file.
    #[error("{url} answered with status {status}{}", through(.proxy))]
    Status { url: String, status: u16, proxy: Option<String> },
    /// A file is not the one that was published.
    #[error("{what} has SHA-256 {found}, but {listed_in} says {expected}")]
    WrongDigest { what: String, found: Sha256, expected: Sha256, listed_in: String },
    /// A list of checksums lacks a file.
    #[error("{list} has no SHA-256 of {file}")]
    NoChecksum { list: String, file: String },
    /// A published file does not have the form it should have.
    #[error("{what} is not usable: {why}")]
    Unusable { what: String, why: String },
    /// A URL or proxy in the settings is none.
    #[error("{setting} is not a usable URL: {why}")]
    BadUrl { setting: String, why: String },
    /// The Kubernetes minor is not in the table of versions.
    #[error(transparent)]
    UnknownMinor(#[from] UnknownMinor),
    /// A folder lacks something that is wanted.
    #[error("{} lacks {what}", .folder.display())]
    FolderLacks { folder: PathBuf, what: String },
    /// A folder holds something for another cluster.
    #[error("{} is {found}, wanted is {wanted}", .file.display())]
    FolderDiffers { file: PathBuf, found: String, wanted: String },
    /// No go.mod here pins this version.
    #[error("Kubernetes {wanted} can't be built: the pinned versions are {}", join(.pinned))]
    NotPinned { wanted: Version, pinned: Vec<Version> },
    /// A program of this machine is missing.
    #[error("{program} is not installed on this machine, needed to {purpose}")]
    Missing { program: &'static str, purpose: &'static str, install: &'static str },
    /// The Go compiler is older than a go.mod asks for, and may not fetch a newer one.
    #[error("this machine's Go can't build {project}: {said}")]
    GoTooOld { project: String, said: String },
    /// A program of this machine failed.
    #[error("{command} failed with {status}:\n{last_lines}")]
    Failed { command: String, status: String, last_lines: String },
    /// No build of this program is there.
    #[error("{name} does not come from {place}")]
    NoRelease { name: String, place: &'static str },
    /// kubeadm can't be run here, so nobody says which images it wants.
    #[error("kubeadm for linux/{arch} can't run on this machine, so its list of images is unknown")]
    NoImageList { arch: String },
    /// There is no recipe for an image that kubeadm wants.
    #[error("no program that is built here makes the image {reference}")]
    NoRecipe { reference: String },
    /// The file system said no.
    #[error("can't {doing} {}", .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What a person can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { proxy: None, .. } => "does this network need a proxy?".into(),
            Self::Status { status: 404, .. } => {
                "is this version published, and is the mirror complete?".into()
            }
            Self::Status { status: 407, .. } => "the proxy wants a user and a password in its URL".into(),
            Self::WrongDigest { .. } => "try again; if it stays so, don't use what comes from there".into(),
            Self::UnknownMinor(_) => "name the three versions in the settings".into(),
            Self::FolderLacks { .. } => "export the folder again, with every part".into(),
            Self::NotPinned { .. } => "choose one of these, or another source".into(),
            Self::Missing { install, .. } => (*install).into(),
            Self::GoTooOld { .. } => "install a newer Go, or let it fetch one: GOTOOLCHAIN=auto".into(),
            Self::NoRelease { .. } => "lay it into the folder or the mirror that [artifacts] names".into(),
            Self::NoImageList { .. } => "run on Linux, or give the list of images".into(),
            _ => return None,
        })
    }
}

fn through(proxy: &Option<String>) -> String {
    proxy.as_ref().map_or_else(|| " (no proxy)".into(), |proxy| format!(" through the proxy {proxy}"))
}

fn join(versions: &[Version]) -> String {
    versions.iter().map(Version::to_string).collect::<Vec<_>>().join(", ")
}

/// Names what was being done to which file.
pub(crate) trait At<T> {
    /// Completes "can't … PATH".
    fn at(self, doing: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing, path: path.to_owned(), source })
    }
}
