//! Commands on this machine.

use crate::exec::{Ended, Exec, ExecError, Pipe, Sink};
use crate::options::Layout;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use step::HostId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

/// Runs `exec` with this machine's `sh`.
pub(crate) async fn run(
    host: &HostId,
    layout: &Layout,
    exec: Exec,
    sink: Sink<'_>,
) -> Result<Ended, ExecError> {
    talk(layout, exec, sink)
        .await
        .map_err(|source| ExecError::Lost { host: host.clone(), why: source.to_string() })
}

async fn talk(layout: &Layout, mut exec: Exec, sink: Sink<'_>) -> io::Result<Ended> {
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("exec {}", exec.command(layout, "\"${HOME-/}\"")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(stdin), Some(mut out), Some(mut err)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("no pipes"));
    };
    let feed = feed(stdin, &mut exec);
    tokio::pin!(feed);
    let (mut fed, mut out_open, mut err_open) = (false, true, true);
    let (mut out_buffer, mut err_buffer) = (vec![0; 32 << 10], vec![0; 32 << 10]);
    while out_open || err_open {
        let flow = tokio::select! {
            result = &mut feed, if !fed => {
                fed = true;
                ignore_closed(result)?;
                continue;
            }
            read = out.read(&mut out_buffer), if out_open => {
                let read = read?;
                out_open = read > 0;
                sink(Pipe::Out, &out_buffer[..read])
            }
            read = err.read(&mut err_buffer), if err_open => {
                let read = read?;
                err_open = read > 0;
                sink(Pipe::Err, &err_buffer[..read])
            }
        };
        if flow.is_break() {
            return Ok(Ended::Enough);
        }
    }
    let status = child.wait().await?;
    Ok(Ended::Status(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))))
}

async fn feed(mut stdin: ChildStdin, exec: &mut Exec) -> io::Result<()> {
    stdin.write_all(exec.script.expose()).await?;
    if let Some(rest) = &mut exec.rest {
        tokio::io::copy(rest, &mut stdin).await?;
    }
    stdin.shutdown().await
}

/// A command need not read all that it is given.
fn ignore_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
