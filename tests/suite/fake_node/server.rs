//! The SSH server.

use super::faults::Faults;
use super::session;
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Config, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Ends a TCP connection, whoever uses it.
#[derive(Clone)]
pub(super) struct Cutter(Arc<std::net::TcpStream>);

impl Cutter {
    pub(super) fn cut(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

pub(super) async fn listen(
    host_key: PrivateKey,
    user_key: PublicKey,
    programs: String,
    faults: Arc<Faults>,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(Config {
        keys: vec![host_key],
        auth_rejection_time: Duration::ZERO,
        nodelay: true,
        ..Config::default()
    });
    let server = tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            if faults.is_away() {
                continue;
            }
            if faults.hangs() {
                silent.push(stream);
                continue;
            }
            let (stream, cutter) = with_cutter(stream);
            let handler = Handler {
                faults: faults.clone(),
                cutter,
                user_key: user_key.clone(),
                programs: programs.clone(),
                channels: HashMap::new(),
            };
            let config = config.clone();
            tokio::spawn(async move {
                if let Ok(session) = server::run_stream(config, stream, handler).await {
                    let _ = session.await;
                }
            });
        }
    });
    (address, server)
}

fn with_cutter(stream: TcpStream) -> (TcpStream, Cutter) {
    let stream = stream.into_std().unwrap();
    let cutter = Cutter(Arc::new(stream.try_clone().unwrap()));
    (TcpStream::from_std(stream).unwrap(), cutter)
}

struct Handler {
    faults: Arc<Faults>,
    cutter: Cutter,
    user_key: PublicKey,
    programs: String,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let known = key.public_key.key_data() == self.user_key.key_data();
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        let Ok(mut onward) = TcpStream::connect((host, u16::try_from(port).unwrap())).await else {
            return Ok(());
        };
        reply.accept().await;
        tokio::spawn(async move {
            let mut stream = channel.into_stream();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
        });
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(channel) = self.channels.remove(&id) else { return session.channel_failure(id) };
        let command = String::from_utf8_lossy(command).into_owned();
        let (number, cut) = self.faults.exec(&command);
        if cut {
            self.cutter.cut();
            return Ok(());
        }
        session.channel_success(id)?;
        let programs = self.programs.clone();
        tokio::spawn(session::run(
            channel,
            command,
            programs,
            number,
            self.faults.clone(),
            self.cutter.clone(),
        ));
        Ok(())
    }
}
