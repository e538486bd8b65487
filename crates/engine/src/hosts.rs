//! The machines of a run, each with its one connection.

use crate::event::{Event, Events, tell};
use crate::exec::{Ended, Exec, ExecError, Sink};
use crate::local;
use crate::options::{Options, Reach, Target};
use crate::ssh::SshHost;
use crate::ssh::connection::Dialer;
use crate::ssh::error::ConnectError;
use crate::ssh::wire::Meter;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use step::HostId;
use tokio::time::Instant;

/// The hosts that answered.
#[derive(Clone)]
pub struct Hosts {
    hosts: BTreeMap<HostId, Arc<Host>>,
    pub(crate) options: Arc<Options>,
}

/// What a connection has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Commands that were run: one costs one round trip.
    pub round_trips: u64,
    /// Bytes sent, as SSH has packed them. Nothing on this machine.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

/// A host that scripts can be run on.
pub(crate) enum Host {
    Ssh(Box<SshHost>),
    Local(HostId, Meter),
}

impl Hosts {
    /// Connects to all targets at once. Returns the hosts that let us in, and why the others did not.
    pub async fn connect(
        targets: Vec<Target>,
        options: Options,
        events: &Events,
    ) -> (Self, Vec<(HostId, ConnectError)>) {
        let options = Arc::new(options);
        let mut hosts = BTreeMap::new();
        let mut failed = Vec::new();
        let dialer = match Dialer::new(options.ssh.clone()) {
            Ok(dialer) => Arc::new(dialer),
            Err(error) => {
                // It is no host's fault; the first one bears the message.
                failed.extend(targets.into_iter().next().map(|target| (target.id, error)));
                return (Self { hosts, options }, failed);
            }
        };
        let connect = |target: Target| {
            let (options, dialer) = (options.clone(), dialer.clone());
            async move {
                let start = Instant::now();
                let id = target.id.clone();
                let host = match target.reach {
                    Reach::Local => Ok(Host::Local(id.clone(), Meter::default())),
                    Reach::Ssh(address) => {
                        SshHost::connect(id.clone(), address, options.layout.clone(), dialer)
                            .await
                            .map(|host| Host::Ssh(Box::new(host)))
                    }
                };
                let event = match &host {
                    Ok(_) => Event::HostConnected { host: id.clone(), took: start.elapsed() },
                    Err(error) => {
                        Event::HostFailed { host: id.clone(), error: error.to_string(), hint: error.hint() }
                    }
                };
                tell(events, event);
                (id, host)
            }
        };
        for (id, host) in join_all(targets.into_iter().map(connect)).await {
            match host {
                Ok(host) => drop(hosts.insert(id, Arc::new(host))),
                Err(error) => failed.push((id, error)),
            }
        }
        (Self { hosts, options }, failed)
    }

    /// The hosts, in the order of their names.
    pub fn ids(&self) -> impl Iterator<Item = &HostId> {
        self.hosts.keys()
    }

    /// Whether this host is connected.
    pub fn contains(&self, host: &HostId) -> bool {
        self.hosts.contains_key(host)
    }

    /// What the connections have cost so far.
    pub fn traffic(&self) -> BTreeMap<HostId, Traffic> {
        self.hosts.iter().map(|(id, host)| (id.clone(), host.traffic())).collect()
    }

    /// The keys that the SSH hosts proved to hold, as `known_hosts` writes them: `ssh-ed25519 AAAA…`.
    pub async fn host_keys(&self) -> BTreeMap<HostId, String> {
        let mut keys = BTreeMap::new();
        for (id, host) in &self.hosts {
            if let Host::Ssh(host) = host.as_ref() {
                keys.insert(id.clone(), host.host_key().await);
            }
        }
        keys
    }

    pub(crate) fn get(&self, host: &HostId) -> Result<&Arc<Host>, ExecError> {
        self.hosts.get(host).ok_or_else(|| ExecError::NotConnected { host: host.clone() })
    }
}

impl Host {
    /// Runs a command as root, or as ourselves on this machine.
    pub(crate) async fn run(
        &self,
        exec: Exec,
        options: &Options,
        sink: Sink<'_>,
    ) -> Result<Ended, ExecError> {
        match self {
            Self::Ssh(host) => host.run(exec, sink).await,
            Self::Local(id, meter) => {
                meter.round_trips.fetch_add(1, Ordering::Relaxed);
                local::run(id, &options.layout, exec, sink).await
            }
        }
    }

    /// Connects again after a loss.
    pub(crate) async fn reconnect(&self, options: &Options) -> Result<(), ConnectError> {
        match self {
            Self::Ssh(host) => host.reconnect(options.reconnect).await,
            Self::Local(..) => Ok(()),
        }
    }

    /// Whose login shell answers.
    pub(crate) fn user(&self) -> &str {
        match self {
            Self::Ssh(host) => &host.address.user,
            Self::Local(..) => "this user",
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Local(..))
    }

    fn traffic(&self) -> Traffic {
        let meter = match self {
            Self::Ssh(host) => &host.meter,
            Self::Local(_, meter) => meter,
        };
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            round_trips: load(&meter.round_trips),
            sent: load(&meter.sent),
            received: load(&meter.received),
        }
    }
}
