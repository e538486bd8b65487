//! Hosts over SSH: one connection each, made again when it was lost.

mod auth;
pub(crate) mod connection;
pub(crate) mod error;
mod known_hosts;
mod sudo;
pub(crate) mod wire;

use crate::exec::{Ended, Exec, ExecError, Pipe, Sink};
use crate::options::{Layout, Reconnect, SshAddress};
use connection::{Connection, Dialer};
use error::ConnectError;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use step::HostId;
use sudo::Sudo;
use tokio::io::AsyncReadExt;
use tokio::sync::RwLock;
use wire::Meter;

/// The longest pause between two tries to connect again: a host that boots is found soon after.
const REST: Duration = Duration::from_secs(2);

/// A host that let us in.
pub(crate) struct SshHost {
    id: HostId,
    pub(crate) address: SshAddress,
    layout: Layout,
    dialer: Arc<Dialer>,
    connection: RwLock<Arc<Connection>>,
    sudo: Sudo,
    pub(crate) meter: Arc<Meter>,
}

impl SshHost {
    /// Connects, and finds out how root rights are had.
    pub(crate) async fn connect(
        id: HostId,
        address: SshAddress,
        layout: Layout,
        dialer: Arc<Dialer>,
    ) -> Result<Self, ConnectError> {
        let meter = Arc::new(Meter::default());
        let connection = RwLock::new(Arc::new(dialer.dial(&address, &meter).await?));
        let mut host = Self { id, address, layout, dialer, connection, sudo: Sudo::Root, meter };
        if host.address.as_root && host.address.user != "root" {
            host.sudo = sudo::find(&host).await?;
        }
        Ok(host)
    }

    /// The key that the host proved to hold.
    pub(crate) async fn host_key(&self) -> String {
        self.connection.read().await.host_key.clone()
    }

    /// Runs a command as root, or as the user where the address says so.
    pub(crate) async fn run(&self, exec: Exec, sink: Sink<'_>) -> Result<Ended, ExecError> {
        let home = if matches!(self.sudo, Sudo::Root) { "\"$HOME\"" } else { "/root" };
        let command = exec.command(&self.layout, home);
        match &self.sudo {
            Sudo::Root => self.run_as_it_is(&format!("exec {command}"), exec, sink).await,
            Sudo::Free => self.run_as_it_is(&format!("exec sudo -n -- {command}"), exec, sink).await,
            Sudo::Asks(password) => sudo::run(self, &command, password, exec, sink).await,
        }
    }

    /// Runs `command` as the user who logged in.
    async fn run_as_it_is(&self, command: &str, exec: Exec, sink: Sink<'_>) -> Result<Ended, ExecError> {
        let connection = self.connection.read().await.clone();
        let _permit = connection.sessions.acquire().await.map_err(|e| self.lost(e))?;
        let (output, input) = self.start(&connection, command).await?.split();
        self.pump(output, &input, exec, sink).await
    }

    /// Feeds a command that runs, and hands on what it writes, until it has ended.
    async fn pump(
        &self,
        mut output: ChannelReadHalf,
        input: &ChannelWriteHalf<Msg>,
        exec: Exec,
        sink: Sink<'_>,
    ) -> Result<Ended, ExecError> {
        let feed = feed(input, exec);
        tokio::pin!(feed);
        let (mut fed, mut status) = (false, None);
        loop {
            let message = tokio::select! {
                result = &mut feed, if !fed => {
                    // A command may end before it has read everything; then its status tells.
                    let _ = result;
                    fed = true;
                    continue;
                }
                message = output.wait() => message,
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    if sink(Pipe::Out, &data).is_break() {
                        let _ = input.close().await;
                        drain(output);
                        return Ok(Ended::Enough);
                    }
                }
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    if sink(Pipe::Err, &data).is_break() {
                        let _ = input.close().await;
                        drain(output);
                        return Ok(Ended::Enough);
                    }
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    status = Some(i32::try_from(exit_status).unwrap_or(255));
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    status = Some(if matches!(signal_name, russh::Sig::TERM) { 143 } else { 137 });
                }
                Some(ChannelMsg::Failure) => status = Some(126),
                Some(_) => {}
                None => return status.map(Ended::Status).ok_or_else(|| self.lost("the channel ended")),
            }
        }
    }

    /// Opens a session. One that sshd refused never started, so it is asked for again.
    async fn start(&self, connection: &Connection, command: &str) -> Result<Channel<Msg>, ExecError> {
        self.meter.round_trips.fetch_add(1, Ordering::Relaxed);
        let mut pause = Duration::from_millis(2);
        loop {
            match connection.handle.channel_open_session().await {
                Ok(channel) => {
                    channel.exec(true, command).await.map_err(|e| self.lost(e))?;
                    return Ok(channel);
                }
                Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed))
                    if pause.as_millis() <= 64 =>
                {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    /// Connects again where the connection is gone: as often, and as long, as `how` allows.
    pub(crate) async fn reconnect(&self, how: Reconnect) -> Result<(), ConnectError> {
        let mut connection = self.connection.write().await;
        let end = tokio::time::Instant::now() + how.within;
        let mut pause = Duration::from_millis(100);
        let mut tries = how.tries.max(1);
        loop {
            tries -= 1;
            let dialed =
                tokio::time::timeout_at(end, self.dialer.dial_once(&self.address, &self.meter)).await;
            let error = match dialed {
                Ok(Ok(new)) => {
                    *connection = Arc::new(new);
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    let why = error::Unreachable::Timeout(how.within);
                    return Err(ConnectError::Unreachable { at: self.address.to_string(), why });
                }
            };
            let worth_it = matches!(error, ConnectError::Unreachable { .. } | ConnectError::Bastion(_));
            if !worth_it || tries == 0 || tokio::time::Instant::now() + pause > end {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REST);
        }
    }

    fn lost(&self, why: impl ToString) -> ExecError {
        ExecError::Lost { host: self.id.clone(), why: why.to_string() }
    }
}

/// Writes the script and what it reads.
async fn feed(input: &ChannelWriteHalf<Msg>, exec: Exec) -> std::io::Result<()> {
    let other = std::io::Error::other;
    let Exec { script, mut rest, .. } = exec;
    let text = script.expose().to_vec();
    drop(script);
    input.data_bytes(text).await.map_err(other)?;
    while let Some(rest) = &mut rest {
        let mut piece = Vec::with_capacity(256 << 10);
        if rest.read_buf(&mut piece).await? == 0 {
            break;
        }
        input.data_bytes(piece).await.map_err(other)?;
    }
    input.eof().await.map_err(other)
}

/// Reads one channel to its end, in the background: one that nobody reads stalls the whole connection.
fn drain(mut output: ChannelReadHalf) {
    tokio::spawn(async move { while output.wait().await.is_some() {} });
}
