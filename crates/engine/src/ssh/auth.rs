//! Logging in with key files and the agent's keys.

use super::connection::Client;
use super::error::ConnectError;
use crate::options::SshOptions;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_secret_key};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A key file, read once for all hosts.
pub(crate) enum KeyFile {
    /// It can be used.
    Open(PathBuf, Arc<PrivateKey>),
    /// It cannot: why.
    Shut(PathBuf, String),
}

/// A pipe that nobody writes to would keep us waiting, so only a file is read.
fn load(path: &Path) -> Result<PrivateKey, russh::keys::Error> {
    if std::fs::metadata(path)?.is_file() {
        load_secret_key(path, None)
    } else {
        Err(std::io::Error::other("it is no file").into())
    }
}

/// Reads the key files that are there.
pub(crate) fn read_identities(options: &SshOptions) -> Vec<KeyFile> {
    let read = |path: &PathBuf| match load(path) {
        Ok(key) => Some(KeyFile::Open(path.clone(), Arc::new(key))),
        Err(russh::keys::Error::IO(error)) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(russh::keys::Error::KeyIsEncrypted) => Some(KeyFile::Shut(
            path.clone(),
            "has a passphrase: load it into ssh-agent with `ssh-add`".to_owned(),
        )),
        Err(error) => Some(KeyFile::Shut(path.clone(), format!("cannot be read: {error}"))),
    };
    options.identities.iter().filter_map(read).collect()
}

/// Logs in as `user`, with the key files first, then with the agent's keys.
pub(crate) async fn log_in(
    handle: &mut Handle<Client>,
    at: &str,
    user: &str,
    identities: &[KeyFile],
    options: &SshOptions,
) -> Result<(), ConnectError> {
    let protocol = |source| ConnectError::Protocol { at: at.to_owned(), source };
    let mut tried = Vec::new();
    let mut offered: Vec<&PrivateKey> = Vec::new();
    for identity in identities {
        match identity {
            KeyFile::Shut(path, why) => tried.push(format!("{} ({why})", path.display())),
            KeyFile::Open(path, key) => {
                let hash = hash_of(handle, key.public_key()).await.map_err(protocol)?;
                let key_with_hash = PrivateKeyWithHashAlg::new(key.clone(), hash);
                let result = handle.authenticate_publickey(user, key_with_hash).await.map_err(protocol)?;
                if let AuthResult::Success = result {
                    return Ok(());
                }
                offered.push(key);
                tried.push(format!("{} (refused)", path.display()));
            }
        }
    }
    let Some(socket) = &options.agent else { return Err(ConnectError::Auth { at: at.to_owned(), tried }) };
    let keys = match agent_keys(socket).await {
        Ok((mut agent, keys)) => {
            let new = |key: &PublicKey| {
                !offered.iter().any(|known| known.public_key().key_data() == key.key_data())
            };
            for key in keys.into_iter().filter(new) {
                let hash = hash_of(handle, &key).await.map_err(protocol)?;
                let name = key.fingerprint(HashAlg::Sha256);
                match handle.authenticate_publickey_with(user, key, hash, &mut agent).await {
                    Ok(AuthResult::Success) => return Ok(()),
                    Ok(AuthResult::Failure { .. }) => tried.push(format!("agent key {name} (refused)")),
                    Err(error) => tried.push(format!("agent key {name} ({error})")),
                }
            }
            return Err(ConnectError::Auth { at: at.to_owned(), tried });
        }
        Err(error) => format!("ssh-agent at {} ({error})", socket.display()),
    };
    tried.push(keys);
    Err(ConnectError::Auth { at: at.to_owned(), tried })
}

type Agent = AgentClient<tokio::net::UnixStream>;

async fn agent_keys(socket: &PathBuf) -> Result<(Agent, Vec<PublicKey>), russh::keys::Error> {
    let mut agent = Agent::connect_uds(socket).await?;
    let keys = agent.request_identities().await?.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(key),
        AgentIdentity::Certificate { .. } => None,
    });
    let keys = keys.collect();
    Ok((agent, keys))
}

/// RSA keys sign with the best hash that the host knows; other keys have but one way.
async fn hash_of(handle: &Handle<Client>, key: &PublicKey) -> Result<Option<HashAlg>, russh::Error> {
    if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
        return Ok(None);
    }
    Ok(handle.best_supported_rsa_hash().await?.unwrap_or(Some(HashAlg::Sha512)))
}
