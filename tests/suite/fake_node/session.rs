//! One command on the node.

use super::faults::Faults;
use super::server::Cutter;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

/// Runs `command` as sshd would: by the login shell, which prints a line of its own first.
pub(super) async fn run(
    channel: Channel<Msg>,
    command: String,
    programs: String,
    number: usize,
    faults: Arc<Faults>,
    cutter: Cutter,
) {
    let command = faults
        .forced()
        .unwrap_or_else(|| format!("echo 'Welcome to this node'; echo warning >&2; {command}"));
    let mut child = Command::new("/bin/sh")
        .args(["-c", &command])
        .env("PATH", format!("{programs}:/usr/sbin:/usr/bin:/sbin:/bin"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout, stderr) =
        (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (input, output) = channel.split();
    let feed = tokio::spawn(feed(input, stdin, faults.clone(), cutter.clone()));
    tokio::join!(
        pass(stdout, &output, None, &faults, &cutter),
        pass(stderr, &output, Some(1), &faults, &cutter),
    );
    let status = child.wait().await.unwrap();
    feed.abort();
    if faults.status(number) {
        cutter.cut();
        return;
    }
    let _ = output.exit_status(u32::try_from(status.code().unwrap_or(255)).unwrap()).await;
    let _ = output.eof().await;
    let _ = output.close().await;
}

async fn feed(mut input: ChannelReadHalf, mut stdin: ChildStdin, faults: Arc<Faults>, cutter: Cutter) {
    while let Some(message) = input.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                if faults.input(data.len()) {
                    cutter.cut();
                    return;
                }
                let _ = stdin.write_all(&data).await;
            }
            ChannelMsg::Eof | ChannelMsg::Close => break,
            _ => {}
        }
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    to: &ChannelWriteHalf<Msg>,
    ext: Option<u32>,
    faults: &Faults,
    cutter: &Cutter,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let piece = buffer[..read].to_vec();
        let (before, after) = faults.output(&piece);
        if before {
            cutter.cut();
        }
        // A connection that is gone takes nothing; the command goes on until it writes to nobody.
        let sent = match ext {
            None => to.data_bytes(piece).await,
            Some(ext) => to.extended_data_bytes(ext, piece).await,
        };
        if after {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(50), std::future::pending::<()>())
                .await;
            cutter.cut();
        }
        if sent.is_err() || before || after {
            return;
        }
    }
}
