//! Root rights for users who are not root.
//!
//! `sudo -n` where sudo does not ask. Where it does, a dialogue of marks on standard error: sudo prints a prompt
//! that only we know, the password goes out once, and the payload follows when the command itself has said that
//! it runs. The password is never in an argument, and never read by a command that did not ask for it.

use super::SshHost;
use super::error::ConnectError;
use crate::exec::{Ended, Exec, ExecError, Marked, Pipe, Sink};
use crate::lane::nonce;
use crate::redact::clean;
use russh::ChannelMsg;
use std::ops::ControlFlow;
use step::{Secret, quote};

/// How root rights are had.
pub(crate) enum Sudo {
    /// The user is root, or need not be.
    Root,
    /// Sudo does not ask.
    Free,
    /// Sudo asks for this.
    Asks(Secret),
}

/// Finds out how `host`'s user becomes root.
pub(super) async fn find(host: &SshHost) -> Result<Sudo, ConnectError> {
    let mark = nonce();
    let script = format!("if sudo -n true; then echo {mark} free; else echo {mark} asks; fi");
    let mut marked = Marked::new(&mark);
    let mut answer = String::new();
    let mut why = String::new();
    let exec = Exec::new(&script);
    let command = format!("exec {}", exec.command(&host.layout, "\"$HOME\""));
    let ended = host
        .run_as_it_is(&command, exec, &mut |pipe, bytes| {
            if pipe == Pipe::Err {
                why.push_str(&String::from_utf8_lossy(bytes));
            }
            marked.take(pipe, bytes, |line, _| {
                line.clone_into(&mut answer);
                ControlFlow::Continue(())
            })
        })
        .await?;
    match (answer.as_str(), &host.dialer.options.sudo_password) {
        ("free", _) => Ok(Sudo::Free),
        ("asks", Some(password)) => Ok(Sudo::Asks(password.clone())),
        ("asks", None) => Err(refused(host, &why).into()),
        _ => Err(marked.fault(&host.id, &host.address.user, ended).into()),
    }
}

/// Runs `command` as root by the dialogue.
pub(super) async fn run(
    host: &SshHost,
    command: &str,
    password: &Secret,
    exec: Exec,
    sink: Sink<'_>,
) -> Result<Ended, ExecError> {
    let (ask, ready) = (format!("[ask-{}]", nonce()), format!("[ready-{}]", nonce()));
    let inner = format!("printf %s {} >&2; exec {command}", quote(&ready));
    let line = format!("exec sudo -k -S -p {} -- /bin/sh -c {}", quote(&ask), quote(&inner));
    let connection = host.connection.read().await.clone();
    let _permit = connection.sessions.acquire().await.map_err(|e| host.lost(e))?;
    let (mut output, input) = host.start(&connection, &line).await?.split();
    let mut said = String::new();
    let mut asked = false;
    loop {
        match output.wait().await {
            Some(ChannelMsg::ExtendedData { data, .. }) => said.push_str(&String::from_utf8_lossy(&data)),
            Some(_) => continue,
            None => return Err(refused(host, &said.replace(&ask, ""))),
        }
        if said.contains(&ready) {
            break;
        }
        match said.matches(&ask).count() {
            1 if !asked => {
                asked = true;
                let mut answer = password.expose().to_vec();
                answer.push(b'\n');
                input.data_bytes(answer).await.map_err(|e| host.lost(e))?;
            }
            // Asked again: the password was wrong. Stop before sudo counts more tries.
            2.. => {
                let _ = input.eof().await;
                let _ = input.close().await;
                super::drain(output);
                return Err(refused(host, "the password was not accepted"));
            }
            _ => {}
        }
    }
    host.pump(output, &input, exec, sink).await
}

fn refused(host: &SshHost, why: &str) -> ExecError {
    let why = clean(why.trim());
    let last = why.lines().last().unwrap_or("sudo said nothing").to_owned();
    ExecError::Sudo { host: host.id.clone(), user: host.address.user.clone(), why: last }
}
