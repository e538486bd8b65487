//! What can go wrong with a lab, one variant for each act that fails.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something about a lab failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read, written or removed.
    #[error("failed to {act} {path}")]
    File {
        /// What was tried, as a verb.
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("failed to start {program}")]
    Start {
        /// Name of the program.
        program: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines that it wrote to standard error.
        output: String,
    },
    /// The output of a program or a file of the kernel is not as expected.
    #[error("{what} is not as expected: {why}")]
    Unreadable {
        /// What was read.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A name of a lab, node or host cannot be used.
    #[error("`{name}` is no {kind}: {rule}")]
    Name {
        /// The name as given.
        name: String,
        /// What it should name.
        kind: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// There is a lab of this name already.
    #[error("the lab `{name}` exists already in {path}")]
    Exists {
        /// Name of the lab.
        name: String,
        /// Its folder.
        path: PathBuf,
    },
    /// There is no lab of this name.
    #[error("there is no lab `{name}` in {labs_dir}")]
    NoLab {
        /// Name of the lab.
        name: String,
        /// Where it was looked for.
        labs_dir: PathBuf,
    },
    /// The lab has no node of this name.
    #[error("the lab `{lab}` has no node `{node}` (it has {known})")]
    NoNode {
        /// Name of the lab.
        lab: String,
        /// The name that was asked for.
        node: String,
        /// The nodes that there are.
        known: String,
    },
    /// A bridge of the lab's name exists, but the lab did not make it.
    #[error("the network link `{link}` exists and is not this lab's (its alias is `{alias}`)")]
    ForeignLink {
        /// Name of the link.
        link: String,
        /// The alias that it carries.
        alias: String,
    },
    /// All subnets that labs use are taken.
    #[error("no free subnet is left in {pool}")]
    NoSubnet {
        /// The networks that were tried.
        pool: &'static str,
    },
    /// A node did not come up.
    #[error(
        "the node `{node}` did not answer on {address}:22 within {seconds} s; its console is in {console}: {tail}"
    )]
    NoAnswer {
        /// Name of the node.
        node: String,
        /// Its address.
        address: std::net::Ipv4Addr,
        /// How long it was waited for.
        seconds: u64,
        /// The file with its console.
        console: PathBuf,
        /// The last lines of its console.
        tail: String,
    },
    /// Something of a node did not go away.
    #[error("{what} of the node `{node}` is still there after {seconds} s")]
    Stuck {
        /// Name of the node.
        node: String,
        /// What remains.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// This host cannot run nodes.
    #[error("this host cannot run nodes: {why}")]
    Host {
        /// What is missing.
        why: String,
    },
}

impl Error {
    pub(crate) fn file(act: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::File { act, path, source }
    }

    /// What a person can do about it, where something is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Exists { .. } => Some("take it down first, or give the new one another name"),
            Self::NoSubnet { .. } => Some("take down labs that are not needed any more"),
            Self::Start { .. } => Some("`rekindle lab check` names the package that is missing"),
            Self::NoAnswer { .. } => Some("`rekindle lab check` names what on this host hurts nodes"),
            _ => None,
        }
    }
}
