//! Reading from hosts: one exec an answer.

use crate::exec::{Ended, Exec, ExecError, MOST_OUTPUT, Pipe};
use crate::hosts::Hosts;
use crate::lane::{nonce, shell_bytes};
use crate::redact::clean;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;
use step::{Ask, HostId, Output, Script, Unreadable, quote};

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The script could not be run to its end.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// No answer in time.
    #[error("{host}: no answer within {within:?}")]
    Deadline {
        /// The host.
        host: HostId,
        /// How long was waited.
        within: Duration,
    },
    /// The answer was not understood.
    #[error("{host}: the script exited with {status}: {said}")]
    Unreadable {
        /// The host.
        host: HostId,
        /// Its exit status.
        status: i32,
        /// The end of what it wrote to standard error.
        said: String,
        /// What was not understood.
        #[source]
        source: Unreadable,
    },
}

impl AskError {
    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exec(error) => error.hint(),
            Self::Deadline { .. } => {
                Some("see what keeps the machine busy: its load, its memory, a disk that hangs".to_owned())
            }
            Self::Unreadable { .. } => None,
        }
    }
}

/// Asks one host.
///
/// # Errors
/// The host is not connected, did not answer `within`, or gave an answer that was not understood.
pub async fn ask<T>(hosts: &Hosts, on: &HostId, ask: &Ask<T>, within: Duration) -> Result<T, AskError> {
    let deadline = || AskError::Deadline { host: on.clone(), within };
    let output =
        tokio::time::timeout(within, run(hosts, on, &ask.script, within)).await.map_err(|_| deadline())?;
    let output = output?;
    if output.status == 124 || output.status == 137 {
        return Err(deadline());
    }
    (ask.parse)(&output).map_err(|source| {
        let said = clean(output.stderr.trim());
        let skip = said.chars().count().saturating_sub(400);
        let said = said.chars().skip(skip).collect();
        AskError::Unreadable { host: on.clone(), status: output.status, said, source }
    })
}

/// Asks all hosts the same at once; none waits for another, and each has its own deadline.
pub async fn ask_all<T>(
    hosts: &Hosts,
    question: &Ask<T>,
    within: Duration,
) -> BTreeMap<HostId, Result<T, AskError>> {
    let ask = |id: HostId| async move {
        let answer = ask(hosts, &id, question, within).await;
        (id, answer)
    };
    join_all(hosts.ids().cloned().map(ask)).await.into_iter().collect()
}

/// Asks each host its own question, all at once.
pub async fn ask_each<T>(
    hosts: &Hosts,
    questions: &[(HostId, Ask<T>)],
    within: Duration,
) -> BTreeMap<HostId, Result<T, AskError>> {
    let ask = |(id, question)| async move { (HostId::clone(id), ask(hosts, id, question, within).await) };
    join_all(questions.iter().map(|(id, question)| ask((id, question)))).await.into_iter().collect()
}

/// Runs `script` with `set -eu`, and returns what it left behind.
async fn run(hosts: &Hosts, on: &HostId, script: &Script, within: Duration) -> Result<Output, ExecError> {
    let host = hosts.get(on)?;
    let mark = nonce();
    let exec = Exec::new(&render(script, &mark)).limit(within);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let end = format!("\n{mark} end ");
    let ended = host
        .run(exec, &hosts.options, &mut |pipe, bytes| {
            let pipe = if pipe == Pipe::Out { &mut out } else { &mut err };
            pipe.extend_from_slice(bytes);
            if out.len() + err.len() > MOST_OUTPUT {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .await?;
    let stdout = String::from_utf8_lossy(&out);
    let stderr = String::from_utf8_lossy(&err);
    let begin = format!("{mark} begin\n");
    let answer = stdout.split_once(&begin).and_then(|(_, rest)| rest.rsplit_once(&end));
    let after = stderr.split_once(&begin).map_or("", |(_, rest)| rest);
    match (answer, ended) {
        (Some((stdout, status)), _) => {
            let status = status.lines().next().and_then(|status| status.parse().ok()).unwrap_or(255);
            Ok(Output { status, stdout: stdout.to_owned(), stderr: after.to_owned() })
        }
        (None, Ended::Enough) => Err(ExecError::TooMuch { host: on.clone(), limit: MOST_OUTPUT }),
        (None, Ended::Status(status)) if stdout.contains(&begin) => {
            Ok(Output { status, stdout: String::new(), stderr: after.to_owned() })
        }
        (None, Ended::Status(_)) => {
            let said: String = clean(format!("{stdout}{stderr}").trim()).chars().take(200).collect();
            Err(ExecError::Shell { host: on.clone(), user: host.user().to_owned(), said })
        }
    }
}

fn render(script: &Script, mark: &str) -> String {
    let begin = format!("echo {mark} begin\necho {mark} begin >&2\n");
    let body = quote(&script.text());
    let run = match script.stdin() {
        Some(input) => format!("{} | (set -eu; eval {body})\n", shell_bytes(input.expose())),
        None => format!("(set -eu; eval {body}) </dev/null\n"),
    };
    format!("{begin}{run}printf '\\n%s end %s\\n' {mark} \"$?\"\n")
}
