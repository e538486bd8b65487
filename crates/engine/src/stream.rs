//! One script whose output is handed on as it comes, for as long as it runs, and which does not outlive its
//! connection.

use crate::exec::{Ended, Exec, ExecError, MOST_OUTPUT, Pipe, Rest};
use crate::hosts::Hosts;
use crate::lane::nonce;
use crate::redact::clean;
use std::ops::ControlFlow;
use step::{HostId, Script, quote};

/// As a shell tells it of a program whose reader went away.
const READER_GONE: i32 = 141;

/// Runs `script` on one host and returns its exit status. `take` gets each piece of output when it arrives; `Break`
/// ends the run. The script reads `input`, as long as it lasts. Without one it reads nothing, and is ended when the
/// connection is gone; with one, it ends as programs do whose reader or writer went away.
///
/// # Errors
/// The host is not connected, ran no command, or was lost.
pub async fn stream(
    hosts: &Hosts,
    on: &HostId,
    script: &Script,
    input: Option<Rest>,
    take: &mut (dyn FnMut(Pipe, &[u8]) -> ControlFlow<()> + Send),
) -> Result<i32, ExecError> {
    let host = hosts.get(on)?;
    let mark = nonce();
    let body = if input.is_some() { with_input(script) } else { without_input(script) };
    // Open, with nothing in it, until this function ends.
    let (_open, nothing) = tokio::io::duplex(1);
    let input = input.unwrap_or_else(|| Box::new(nothing));
    let exec = Exec::fed(format!("echo {mark}\necho {mark} >&2\n{body}"), input);
    let (mut out, mut err) = (AfterMark::new(&mark), AfterMark::new(&mark));
    let ended = host
        .run(exec, &hosts.options, &mut |pipe, bytes| {
            let own = if pipe == Pipe::Out { &mut out } else { &mut err };
            own.take(bytes, &mut |piece| take(pipe, piece))
        })
        .await?;
    match ended {
        Ended::Status(status) if out.seen => Ok(status),
        Ended::Enough if out.seen => Ok(READER_GONE),
        Ended::Enough => Err(ExecError::TooMuch { host: on.clone(), limit: MOST_OUTPUT }),
        Ended::Status(_) => {
            let noise = [out.noise, err.noise].concat();
            let said = clean(String::from_utf8_lossy(&noise).trim()).chars().take(200).collect();
            Err(ExecError::Shell { host: on.clone(), user: host.user().to_owned(), said })
        }
    }
}

fn with_input(script: &Script) -> String {
    format!("eval {}\n", quote(&script.text()))
}

/// Standard input stays open while we are there, so its end tells that we are not: sshd does not say so to a program
/// that writes nothing. Nothing is left behind: systemd waits for what is, on cgroup v1 for its whole patience.
fn without_input(script: &Script) -> String {
    let body = quote(&script.text());
    format!(
        "exec 3<&0\n(eval {body}) </dev/null 3<&- & child=$!\n\
         (read -r _ <&3; kill \"$child\") >/dev/null 2>&1 & watch=$!\n\
         status=0; wait \"$child\" || status=$?\nkill \"$watch\" 2>/dev/null\n\
         wait \"$watch\" 2>/dev/null\nexit \"$status\"\n"
    )
}

/// Drops what a login shell says before the script begins.
struct AfterMark {
    mark: Vec<u8>,
    noise: Vec<u8>,
    seen: bool,
}

impl AfterMark {
    fn new(mark: &str) -> Self {
        Self { mark: format!("{mark}\n").into_bytes(), noise: Vec::new(), seen: false }
    }

    fn take(&mut self, bytes: &[u8], pass: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        if self.seen {
            return pass(bytes);
        }
        self.noise.extend_from_slice(bytes);
        let Some(at) = self.noise.windows(self.mark.len()).position(|window| window == self.mark) else {
            return if self.noise.len() > MOST_OUTPUT {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            };
        };
        self.seen = true;
        let own = self.noise.split_off(at + self.mark.len());
        if own.is_empty() { ControlFlow::Continue(()) } else { pass(&own) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_the_mark_is_dropped_however_it_is_cut() {
        let text = b"motd\nM\nM\nown\n";
        for size in 1..=text.len() {
            let mut after = AfterMark::new("M");
            let mut own = Vec::new();
            for piece in text.chunks(size) {
                let flow = after.take(piece, &mut |piece| {
                    own.extend_from_slice(piece);
                    ControlFlow::Continue(())
                });
                assert_eq!(flow, ControlFlow::Continue(()));
            }
            assert_eq!(own, b"M\nown\n", "cut every {size} bytes");
        }
    }
}
