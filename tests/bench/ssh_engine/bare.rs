//! The yardstick: russh and nothing else.

use crate::fleet;
use russh::client::{self, Config, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::{ChannelMsg, Preferred, cipher, compression};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Believes the fleet's key.
struct Client(Arc<str>);

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = shown.public_key().to_openssh().unwrap_or_default();
        Ok(key.starts_with(&*self.0))
    }
}

/// As the engine sets it: see `crates/engine/src/ssh/connection.rs`.
fn config() -> Config {
    Config {
        nodelay: true,
        window_size: 16 << 20,
        preferred: Preferred {
            cipher: Cow::Borrowed(&[
                cipher::AES_256_GCM,
                cipher::AES_128_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_256_CTR,
            ]),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        ..Config::default()
    }
}

/// Connects to all hosts at once, each a task, and runs a command with its input.
pub async fn bare(hosts: usize, exec: Option<(&'static str, String)>) {
    let config = Arc::new(config());
    let key = Arc::new(load_secret_key(fleet::identity(), None).expect("the key"));
    let host_key: Arc<str> = fleet::host_key().into();
    let mut tasks = tokio::task::JoinSet::new();
    for host in 0..hosts {
        let (config, key, host_key, exec) = (config.clone(), key.clone(), host_key.clone(), exec.clone());
        tasks.spawn(async move {
            let stream = TcpStream::connect((fleet::address(host), fleet::PORT)).await.expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            let mut handle =
                client::connect_stream(config, stream, Client(host_key)).await.expect("a key exchange");
            let key = PrivateKeyWithHashAlg::new(key, None);
            let login = handle.authenticate_publickey("root", key).await.expect("an answer");
            assert!(login.success(), "the login was refused");
            if let Some((command, input)) = exec {
                assert_eq!(run_command(&handle, command, input).await, Some(0), "{command}");
            }
            // As the engine does, all connections are kept until the last host has ended.
            Some(handle)
        });
    }
    tasks.join_all().await;
}

async fn run_command(handle: &Handle<Client>, command: &str, input: String) -> Option<u32> {
    let mut channel = handle.channel_open_session().await.expect("a session");
    channel.exec(true, command).await.expect("an exec");
    if !input.is_empty() {
        channel.data_bytes(input.into_bytes()).await.expect("input");
    }
    channel.eof().await.expect("an end");
    let mut status = None;
    while let Some(message) = channel.wait().await {
        if let ChannelMsg::ExitStatus { exit_status } = message {
            status = Some(exit_status);
        }
    }
    status
}
