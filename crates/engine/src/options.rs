//! How hosts are reached, and where the engine keeps its things on them.

use std::path::PathBuf;
use std::time::Duration;
use step::{HostId, Secret};

/// A machine to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name that plans use.
    pub id: HostId,
    /// The way to it.
    pub reach: Reach,
}

impl Target {
    /// A machine that is reached over SSH.
    pub fn ssh(id: HostId, address: SshAddress) -> Self {
        Self { id, reach: Reach::Ssh(address) }
    }

    /// This machine.
    pub fn local(id: HostId) -> Self {
        Self { id, reach: Reach::Local }
    }
}

/// The way to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Over SSH.
    Ssh(SshAddress),
    /// No way to go: the same scripts run on this machine, as the user who we are.
    Local,
}

/// An SSH server and the user to log in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAddress {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The user; one who is not root needs sudo rights.
    pub user: String,
    /// The bastion that the connection goes through.
    pub via: Option<Box<SshAddress>>,
    /// Whether scripts run as root, by sudo where the user is another.
    pub as_root: bool,
}

impl SshAddress {
    /// Reached directly.
    pub fn new(host: impl Into<String>, port: u16, user: impl Into<String>) -> Self {
        Self { host: host.into(), port, user: user.into(), via: None, as_root: true }
    }

    /// Where scripts run as the user who logs in, whoever that is.
    pub fn without_root(self) -> Self {
        Self { as_root: false, ..self }
    }

    /// Reached through a bastion.
    pub fn via(mut self, bastion: SshAddress) -> Self {
        self.via = Some(Box::new(bastion));
        self
    }
}

impl std::fmt::Display for SshAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, user, .. } = self;
        if host.contains(':') {
            write!(f, "{user}@[{host}]:{port}")
        } else {
            write!(f, "{user}@{host}:{port}")
        }
    }
}

/// Everything that is settled before the first connection.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// For connections.
    pub ssh: SshOptions,
    /// Where things are on the hosts.
    pub layout: Layout,
    /// What happens when a connection is lost while a lane runs.
    pub reconnect: Reconnect,
}

/// How to log in, and which host keys to believe.
#[derive(Clone, Debug)]
pub struct SshOptions {
    /// Private key files, tried in this order, before the agent's other keys. One that is not there is passed
    /// over.
    pub identities: Vec<PathBuf>,
    /// The agent's socket: what `SSH_AUTH_SOCK` says.
    pub agent: Option<PathBuf>,
    /// `known_hosts` files; the first one also takes new keys.
    pub known_hosts: Vec<PathBuf>,
    /// Host keys that are known from elsewhere: a pattern as in `known_hosts` (`10.0.0.11`, `[10.0.0.11]:60022`,
    /// `*.example.net`) and a key (`ssh-ed25519 AAAA…`). Where one matches a host, the files are not asked.
    pub pinned: Vec<(String, String)>,
    /// Believe the key of a host that nothing is known about, and record it.
    pub accept_new: bool,
    /// For users whose sudo asks.
    pub sudo_password: Option<Secret>,
    /// From the first packet to the accepted login.
    pub connect_within: Duration,
    /// Silence after which the other side is asked whether it is there; three silences end the connection.
    pub keepalive: Duration,
}

impl Default for SshOptions {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            agent: None,
            known_hosts: Vec::new(),
            pinned: Vec::new(),
            accept_new: false,
            sudo_password: None,
            connect_within: Duration::from_secs(15),
            keepalive: Duration::from_secs(5),
        }
    }
}

/// Where the engine keeps its things on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Spools of running lanes: a folder in memory, 0700.
    pub run: String,
    /// What stays: blobs.
    pub state: String,
    /// `PATH` of every script.
    pub path: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            run: "/run/rekindle".into(),
            state: "/var/lib/rekindle".into(),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        }
    }
}

/// How hard a lost connection is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// How often.
    pub tries: u32,
    /// And how long in all.
    pub within: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { tries: 30, within: Duration::from_secs(30) }
    }
}
