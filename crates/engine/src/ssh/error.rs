//! Why a host could not be logged in to, by class, each with what a person can do.

use crate::exec::ExecError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The place of a key that the caller pinned.
pub(super) const PINNED: &str = "pinned";

/// A host that could not be logged in to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection.
    #[error("{at}: {why}")]
    Unreachable {
        /// `user@host:port`.
        at: String,
        /// Its class.
        why: Unreachable,
    },
    /// The host is not proved to be the one that is meant.
    #[error("{at}: {problem}")]
    HostKey {
        /// `user@host:port`.
        at: String,
        /// What is wrong with its key.
        problem: HostKeyProblem,
    },
    /// The host let nobody in.
    #[error("{at}: login refused; tried {tried}", tried = if .tried.is_empty() { "nothing".to_owned() } else { .tried.join(", ") })]
    Auth {
        /// `user@host:port`.
        at: String,
        /// What was tried, and what became of it.
        tried: Vec<String>,
    },
    /// The login succeeded, but commands or root rights were refused.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The other side does not speak SSH as we do.
    #[error("{at}: SSH failed")]
    Protocol {
        /// `user@host:port`.
        at: String,
        /// What was seen.
        #[source]
        source: russh::Error,
    },
    /// A `known_hosts` file could not be read or written.
    #[error("{}: cannot be read or written", .path.display())]
    KnownHosts {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A pinned host key is none.
    #[error("pinned host key of `{pattern}` is no SSH key: `{key}`")]
    Pinned {
        /// The host pattern.
        pattern: String,
        /// The text that should be a key.
        key: String,
    },
    /// The bastion failed.
    #[error("bastion {0}")]
    Bastion(Box<ConnectError>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The name has no address.
    #[error("no address is known for this name")]
    Name,
    /// Nobody listens.
    #[error("connection refused")]
    Refused,
    /// Nobody answered in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No way to the network.
    #[error("no route to the host")]
    NoRoute,
    /// The bastion refused to connect on.
    #[error("the bastion does not reach it")]
    Forward,
    /// The connection ended while it was made.
    #[error("the connection was closed at once")]
    Closed,
    /// Something else.
    #[error("connection failed: {0}")]
    Other(io::Error),
}

impl From<io::Error> for Unreachable {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::HostUnreachable | Kind::NetworkUnreachable => Self::NoRoute,
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::UnexpectedEof | Kind::BrokenPipe => {
                Self::Closed
            }
            _ => Self::Other(error),
        }
    }
}

/// What is wrong with a host's key. Fingerprints are as `ssh-keygen -l` prints them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyProblem {
    /// Nothing is known about the host.
    #[error("host key is not known: {algorithm} {fingerprint}")]
    Unknown {
        /// `ssh-ed25519`.
        algorithm: String,
        /// Of the key that was shown.
        fingerprint: String,
    },
    /// Another key is known.
    #[error("host key changed: known is {}, shown was {algorithm} {fingerprint}", .known.join(" or "))]
    Changed {
        /// `ssh-ed25519`.
        algorithm: String,
        /// Of the key that was shown.
        fingerprint: String,
        /// Algorithm, fingerprint and place of the keys that are known.
        known: Vec<String>,
    },
    /// The key is marked as stolen.
    #[error("host key is revoked: {algorithm} {fingerprint}")]
    Revoked {
        /// `ssh-ed25519`.
        algorithm: String,
        /// Of the key that was shown.
        fingerprint: String,
    },
}

impl ConnectError {
    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { why, .. } => match why {
                Unreachable::Name => "check the spelling, or use an IP address".to_owned(),
                Unreachable::Refused => "is sshd running there, and is the port right?".to_owned(),
                Unreachable::Timeout(_) => "is the machine on, and do firewalls let this port through?".to_owned(),
                Unreachable::NoRoute => "check the address and the network of this machine".to_owned(),
                Unreachable::Forward => {
                    "check the address as seen from the bastion, and AllowTcpForwarding there".to_owned()
                }
                Unreachable::Closed => "see the log of sshd there: too many logins at once, or a ban?".to_owned(),
                Unreachable::Other(_) => return None,
            },
            Self::HostKey { problem: HostKeyProblem::Unknown { .. }, .. } => {
                "compare the fingerprint with those that `cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -` prints \
                 on the host, then add `--accept-new`"
                    .to_owned()
            }
            Self::HostKey { problem: HostKeyProblem::Changed { known, .. }, .. } => {
                // A pinned key came from the caller: no file can be mended.
                if known.iter().all(|known| known.ends_with(&format!("({PINNED})"))) {
                    "if the machine was installed anew, give it its old host keys back; if not, somebody may be \
                     between you and it"
                        .to_owned()
                } else {
                    "if the machine was installed anew, remove the line of its old key from that file; if not, \
                     somebody may be between you and it"
                        .to_owned()
                }
            }
            Self::HostKey { problem: HostKeyProblem::Revoked { .. }, .. } => {
                "give the host new keys: this one is marked @revoked".to_owned()
            }
            Self::Auth { .. } => {
                "name a key with `identity`, or load it into ssh-agent (`ssh-add KEY`), and put its public half into \
                 the user's ~/.ssh/authorized_keys there"
                    .to_owned()
            }
            Self::Exec(error) => return error.hint(),
            Self::Bastion(error) => return error.hint(),
            Self::KnownHosts { .. } => "name another file with `known-hosts`, or mend this one".to_owned(),
            Self::Protocol { .. } | Self::Pinned { .. } => return None,
        })
    }
}
