//! One command on one host: a script that arrives on standard input, framed so that banners, `.bashrc` noise
//! and foreign login shells do no harm.
//!
//! The script arrives on the standard input of `/bin/sh`, so neither it nor its values are seen in `ps`. It is one
//! function and a call of it: a shell runs nothing of a script that was cut off on its way. Where the script reads
//! standard input itself, the command line is `sh -c 'eval "$(head -c LENGTH)"'`, and what follows belongs to it.

use crate::options::Layout;
use std::ops::ControlFlow;
use std::time::Duration;
use step::{HostId, Secret, quote};
use tokio::io::AsyncRead;

mod marked;

pub(crate) use marked::Marked;

/// Which of its two outputs a command wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Takes output as it arrives; `Break` ends the exec, whatever the command does.
pub(crate) type Sink<'a> = &'a mut (dyn FnMut(Pipe, &[u8]) -> ControlFlow<()> + Send);

/// What a command reads after its script.
pub type Rest = Box<dyn AsyncRead + Send + Unpin>;

/// A script on its way to a host.
pub(crate) struct Exec {
    /// POSIX sh; may hold secrets.
    pub(crate) script: Secret,
    /// What the script reads on standard input, if it does.
    pub(crate) rest: Option<Rest>,
    /// Killed on the host after this time.
    limit: Option<Duration>,
}

impl Exec {
    /// A script with nothing on standard input.
    pub(crate) fn new(script: &str) -> Self {
        Self { script: Secret::new(format!("run() {{\n{script}\n}}\nrun\n")), rest: None, limit: None }
    }

    /// A script that reads `rest`.
    pub(crate) fn fed(script: String, rest: Rest) -> Self {
        Self { script: Secret::new(script), rest: Some(rest), limit: None }
    }

    /// Sets the deadline on the host.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The command line. `home` is shell text.
    pub(crate) fn command(&self, layout: &Layout, home: &str) -> String {
        let limit = match self.limit {
            Some(limit) => format!("timeout -k 5 {} ", limit.as_secs().max(1)),
            None => String::new(),
        };
        let path = quote(&format!("PATH={}", layout.path));
        let reader = match self.rest {
            Some(_) => format!(" -c 'eval \"$(head -c {})\"'", self.script.expose().len()),
            None => String::new(),
        };
        format!("env -i LC_ALL=C HOME={home} {path} {limit}/bin/sh{reader}")
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit status; 128 + n after a signal.
    Status(i32),
    /// The sink had enough.
    Enough,
}

/// A command that could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// No connection to this host was made.
    #[error("{host}: not connected")]
    NotConnected {
        /// The host.
        host: HostId,
    },
    /// The connection was lost; what the command did is unknown.
    #[error("{host}: connection lost: {why}")]
    Lost {
        /// The host.
        host: HostId,
        /// What was seen.
        why: String,
    },
    /// The host let us in but ran no command.
    #[error("{host}: the login shell of `{user}` ran no command; it said `{said}`")]
    Shell {
        /// The host.
        host: HostId,
        /// The user whose shell it is.
        user: String,
        /// Its first words.
        said: String,
    },
    /// Root rights were refused.
    #[error("{host}: `{user}` got no root rights: {why}")]
    Sudo {
        /// The host.
        host: HostId,
        /// The user.
        user: String,
        /// What sudo said.
        why: String,
    },
    /// More output than anybody will read.
    #[error("{host}: more than {limit} bytes of output")]
    TooMuch {
        /// The host.
        host: HostId,
        /// Bytes that are taken.
        limit: usize,
    },
    /// The script ended before it said what was asked.
    #[error("{host}: the script ended early with {status}: {said}")]
    Early {
        /// The host.
        host: HostId,
        /// Its exit status.
        status: i32,
        /// The end of what it wrote to standard error.
        said: String,
    },
}

impl ExecError {
    /// Whether a new connection may help.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Shell { user, .. } => {
                format!(
                    "give `{user}` a POSIX login shell (`chsh -s /bin/sh {user}`), without a forced command"
                )
            }
            Self::Sudo { user, .. } => format!(
                "log in as root, or allow `{user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d, or give the password that sudo \
                 asks for (`--sudo-password-file FILE`)"
            ),
            _ => return None,
        })
    }
}

/// Output is taken up to this size, in bytes.
pub(crate) const MOST_OUTPUT: usize = 8 << 20;
