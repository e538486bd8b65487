//! One connection: TCP (or a bastion's channel), key exchange, host key, login.

use super::auth::{self, KeyFile};
use super::error::{ConnectError, HostKeyProblem, Unreachable};
use super::known_hosts::{KnownHosts, encode};
use super::wire::{Counted, Meter, Prompt};
use crate::options::{SshAddress, SshOptions};
use russh::client::{self, Config, Handle};
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use russh::{Preferred, cipher, compression};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as Shared, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};

/// What all connections share.
pub(crate) struct Dialer {
    pub(crate) options: SshOptions,
    known_hosts: Arc<KnownHosts>,
    identities: Vec<KeyFile>,
    bastions: Mutex<BTreeMap<String, Arc<Connection>>>,
}

/// A connection that let us in.
pub(crate) struct Connection {
    pub(crate) handle: Handle<Client>,
    /// sshd counts a session until its end was collected: with 5 at a time its default limit of 10 is never hit.
    pub(crate) sessions: Semaphore,
    /// The key that the host proved to hold, as `known_hosts` writes it.
    pub(crate) host_key: String,
    /// Kept open as long as this one.
    _bastion: Option<Arc<Connection>>,
}

const SESSIONS: usize = 5;

impl Dialer {
    /// Reads keys and known hosts.
    pub(crate) fn new(options: SshOptions) -> Result<Self, ConnectError> {
        let known_hosts = KnownHosts::load(&options.known_hosts, &options.pinned, options.accept_new)?;
        let identities = auth::read_identities(&options);
        Ok(Self { options, known_hosts: Arc::new(known_hosts), identities, bastions: Mutex::default() })
    }

    /// Connects and logs in. A connection that sshd drops at once (MaxStartups) is tried again within the deadline.
    pub(crate) async fn dial(
        &self,
        address: &SshAddress,
        meter: &Arc<Meter>,
    ) -> Result<Connection, ConnectError> {
        let within = self.options.connect_within;
        let dial = async {
            let mut pause = Duration::from_millis(50);
            loop {
                match self.dial_once(address, meter).await {
                    Err(ConnectError::Unreachable { why: Unreachable::Closed, .. })
                        if pause.as_secs() < 2 =>
                    {
                        // Spread by the port of the address and the host's name, so that a crowd does not return as one.
                        let spread = address.host.bytes().map(u64::from).sum::<u64>() % 50;
                        tokio::time::sleep(pause + Duration::from_millis(spread)).await;
                        pause *= 2;
                    }
                    result => return result,
                }
            }
        };
        let timeout =
            || ConnectError::Unreachable { at: address.to_string(), why: Unreachable::Timeout(within) };
        tokio::time::timeout(within, dial).await.unwrap_or_else(|_| Err(timeout()))
    }

    pub(super) async fn dial_once(
        &self,
        address: &SshAddress,
        meter: &Arc<Meter>,
    ) -> Result<Connection, ConnectError> {
        let unreachable = |why| ConnectError::Unreachable { at: address.to_string(), why };
        let Some(bastion) = &address.via else {
            let stream = dial_tcp(address).await.map_err(unreachable)?;
            return self.shake_hands(address, Prompt(stream), meter, None).await;
        };
        let bastion = self.bastion(bastion).await.map_err(|error| ConnectError::Bastion(Box::new(error)))?;
        let channel = bastion
            .handle
            .channel_open_direct_tcpip(address.host.as_str(), address.port.into(), "127.0.0.1", 0)
            .await
            .map_err(|_| unreachable(Unreachable::Forward))?;
        self.shake_hands(address, channel.into_stream(), meter, Some(bastion)).await
    }

    /// One connection to a bastion serves all hosts behind it.
    async fn bastion(&self, address: &SshAddress) -> Result<Arc<Connection>, ConnectError> {
        let mut bastions = self.bastions.lock().await;
        let key = address.to_string();
        if let Some(open) = bastions.get(&key).filter(|open| !open.handle.is_closed()) {
            return Ok(open.clone());
        }
        let connection = Arc::new(Box::pin(self.dial_once(address, &Arc::default())).await?);
        bastions.insert(key, connection.clone());
        Ok(connection)
    }

    async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        address: &SshAddress,
        stream: S,
        meter: &Arc<Meter>,
        bastion: Option<Arc<Connection>>,
    ) -> Result<Connection, ConnectError> {
        let at = address.to_string();
        let stream = Counted { stream, meter: meter.clone() };
        let config = self.config(address);
        let host_key = Arc::new(Shared::new(String::new()));
        let client = Client {
            host: address.host.clone(),
            port: address.port,
            known_hosts: self.known_hosts.clone(),
            host_key: host_key.clone(),
        };
        let mut handle =
            client::connect_stream(Arc::new(config), stream, client).await.map_err(|e| e.at(&at))?;
        auth::log_in(&mut handle, &at, &address.user, &self.identities, &self.options).await?;
        let host_key = std::mem::take(&mut *host_key.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Connection { handle, sessions: Semaphore::new(SESSIONS), host_key, _bastion: bastion })
    }

    /// Source of the numbers: measured against OpenSSH 9.2. chacha20, russh's first choice, costs 60 % more CPU
    /// than AES-GCM; Nagle's algorithm adds 43 ms to every exec; the default window is the limit of downloads over
    /// long ways.
    fn config(&self, address: &SshAddress) -> Config {
        let known = self.known_hosts.algorithms(&address.host, address.port);
        let default = Preferred::DEFAULT;
        let mut keys: Vec<Algorithm> =
            default.key.iter().filter(|key| **key != Algorithm::Rsa { hash: None }).cloned().collect();
        let rsa = |key: &Algorithm| matches!(key, Algorithm::Rsa { .. });
        keys.sort_by_key(|key| !known.iter().any(|known| known == key || rsa(known) && rsa(key)));
        Config {
            nodelay: true,
            window_size: 16 << 20,
            keepalive_interval: Some(self.options.keepalive),
            keepalive_max: 3,
            preferred: Preferred {
                key: Cow::Owned(keys),
                cipher: Cow::Borrowed(&[
                    cipher::AES_256_GCM,
                    cipher::AES_128_GCM,
                    cipher::CHACHA20_POLY1305,
                    cipher::AES_256_CTR,
                ]),
                compression: Cow::Borrowed(&[compression::NONE]),
                ..default
            },
            ..Config::default()
        }
    }
}

async fn dial_tcp(address: &SshAddress) -> Result<TcpStream, Unreachable> {
    let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await;
    let addresses: Vec<_> = found.map_err(|_| Unreachable::Name)?.collect();
    if addresses.is_empty() {
        return Err(Unreachable::Name);
    }
    let stream = TcpStream::connect(addresses.as_slice()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Checks the host's key.
pub(crate) struct Client {
    host: String,
    port: u16,
    known_hosts: Arc<KnownHosts>,
    host_key: Arc<Shared<String>>,
}

/// Why a handshake ended.
#[derive(Debug)]
pub(crate) enum Refusal {
    HostKey(HostKeyProblem),
    Record(ConnectError),
    Ssh(russh::Error),
}

impl From<russh::Error> for Refusal {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Refusal {
    fn at(self, at: &str) -> ConnectError {
        let at = at.to_owned();
        match self {
            Self::HostKey(problem) => ConnectError::HostKey { at, problem },
            Self::Record(error) => error,
            Self::Ssh(russh::Error::IO(error)) => ConnectError::Unreachable { at, why: error.into() },
            Self::Ssh(russh::Error::Disconnect | russh::Error::HUP) => {
                ConnectError::Unreachable { at, why: Unreachable::Closed }
            }
            Self::Ssh(source) => ConnectError::Protocol { at, source },
        }
    }
}

impl client::Handler for Client {
    type Error = Refusal;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Refusal> {
        let key = shown.public_key();
        match self.known_hosts.check(&self.host, self.port, &key) {
            Ok(()) => {}
            Err(problem @ HostKeyProblem::Unknown { .. }) => {
                let accepted = self.known_hosts.accept(&self.host, self.port, &key);
                if !accepted.map_err(Refusal::Record)? {
                    return Err(Refusal::HostKey(problem));
                }
            }
            Err(problem) => return Err(Refusal::HostKey(problem)),
        }
        *self.host_key.lock().unwrap_or_else(PoisonError::into_inner) = encode(&key);
        Ok(true)
    }
}
