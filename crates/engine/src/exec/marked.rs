//! Output that a host may mix with its own words, and what is wrong where ours are missing.

use super::{Ended, ExecError, MOST_OUTPUT, Pipe};
use crate::redact::clean;
use std::ops::ControlFlow;
use step::HostId;

/// Cuts output into lines and hands on those that bear the mark, without it.
pub(crate) struct Marked {
    mark: String,
    line: Vec<u8>,
    taken: usize,
    seen: bool,
    noise: Vec<u8>,
}

impl Marked {
    /// Lines must begin with `mark` and a space.
    pub(crate) fn new(mark: &str) -> Self {
        Self { mark: mark.to_owned(), line: Vec::new(), taken: 0, seen: false, noise: Vec::new() }
    }

    /// Takes a piece of output. `line` may change the mark for the lines that follow. Ends with `Break` when `line`
    /// does, or after [`MOST_OUTPUT`] bytes.
    pub(crate) fn take(
        &mut self,
        pipe: Pipe,
        bytes: &[u8],
        mut line: impl FnMut(&str, &mut String) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.taken += bytes.len();
        if self.taken > MOST_OUTPUT {
            return ControlFlow::Break(());
        }
        if pipe == Pipe::Err {
            self.noise.extend_from_slice(bytes);
            return ControlFlow::Continue(());
        }
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.last() != Some(&b'\n') {
                break;
            }
            let whole = std::mem::take(&mut self.line);
            let text = String::from_utf8_lossy(&whole);
            match text.trim_end_matches('\n').strip_prefix(&self.mark).and_then(|rest| rest.strip_prefix(' '))
            {
                Some(rest) => {
                    self.seen = true;
                    line(rest, &mut self.mark)?;
                }
                None => self.noise.extend_from_slice(&whole),
            }
        }
        ControlFlow::Continue(())
    }

    /// What is wrong with an exec that ended without the line that was waited for.
    pub(crate) fn fault(&self, host: &HostId, user: &str, ended: Ended) -> ExecError {
        let host = host.clone();
        let said = clean(String::from_utf8_lossy(&self.noise).trim());
        match ended {
            Ended::Enough => ExecError::TooMuch { host, limit: MOST_OUTPUT },
            Ended::Status(_) if !self.seen => {
                ExecError::Shell { host, user: user.to_owned(), said: said.chars().take(200).collect() }
            }
            Ended::Status(status) => {
                let skip = said.chars().count().saturating_sub(400);
                ExecError::Early { host, status, said: said.chars().skip(skip).collect() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_lines_are_handed_on_however_they_are_cut() {
        let text = "motd\nM 1 started\nnoise M 2\nM 1 changed\nM";
        for size in 1..text.len() {
            let mut marked = Marked::new("M");
            let mut lines = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                let flow = marked.take(Pipe::Out, piece, |line, _| {
                    lines.push(line.to_owned());
                    ControlFlow::Continue(())
                });
                assert_eq!(flow, ControlFlow::Continue(()));
            }
            assert_eq!(lines, ["1 started", "1 changed"], "cut every {size} bytes");
        }
    }

    #[test]
    fn a_shell_that_runs_nothing_is_told_from_a_script_that_ends_early() {
        let host = HostId::new("cp1");
        let mut marked = Marked::new("M");
        let _ = marked
            .take(Pipe::Out, b"This account is \x1b[31mnot available.\n", |_, _| ControlFlow::Continue(()));
        assert_eq!(
            marked.fault(&host, "deploy", Ended::Status(1)).to_string(),
            "cp1: the login shell of `deploy` ran no command; it said `This account is [31mnot available.`"
        );
        let _ = marked.take(Pipe::Out, b"M begin\n", |_, _| ControlFlow::Continue(()));
        let _ = marked.take(Pipe::Err, b"sh: stat: not found\n", |_, _| ControlFlow::Continue(()));
        let fault = marked.fault(&host, "deploy", Ended::Status(127)).to_string();
        assert!(fault.starts_with("cp1: the script ended early with 127: "), "{fault}");
        assert!(fault.ends_with("sh: stat: not found"), "{fault}");
    }
}
