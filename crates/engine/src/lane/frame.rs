//! The lines that a lane writes, understood.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One line, without its mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The step begins to act or to wait.
    Started(usize),
    /// It held.
    Unchanged(usize),
    /// It was acted and holds.
    Changed(usize),
    /// It does not hold (previews only): why.
    Open(usize, String),
    /// Somebody else changed it: how.
    Kept(usize, String),
    /// It failed.
    Failed { step: usize, reason: String, output: String },
    /// What is in a file that would be written (previews only).
    Was(usize, Vec<u8>),
    /// How much of a blob is there: `None` is all of it.
    Blob(String, Option<u64>),
    /// All steps were told.
    End,
    /// We follow a lane that was there; its lines bear this mark.
    Attached(String),
    /// Another lane runs.
    Waiting,
    /// The lane could not be started: why.
    Refused(String),
    /// The lane is no more.
    Gone,
}

/// Understands a line; `None` is one that no lane of ours writes.
pub(crate) fn parse(line: &str) -> Option<Line> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let Ok(step) = first.parse::<usize>() else {
        return Some(match first {
            "end" => Line::End,
            "gone" => Line::Gone,
            "waiting" => Line::Waiting,
            "attached" => Line::Attached(rest.to_owned()),
            "refused" => Line::Refused(rest.to_owned()),
            "blob" => {
                let (digest, size) = rest.split_once(' ')?;
                let part = if size == "whole" { None } else { Some(size.parse().ok()?) };
                Line::Blob(digest.to_owned(), part)
            }
            _ => return None,
        });
    };
    let (state, detail) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match state {
        "started" => Line::Started(step),
        "unchanged" => Line::Unchanged(step),
        "changed" => Line::Changed(step),
        "open" => Line::Open(step, detail.to_owned()),
        "kept" => Line::Kept(step, detail.to_owned()),
        "was" => Line::Was(step, STANDARD.decode(detail).ok()?),
        "failed" => {
            let (output, reason) = detail.split_once(' ')?;
            let output = String::from_utf8_lossy(&STANDARD.decode(output).ok()?).into_owned();
            Line::Failed { step, reason: reason.to_owned(), output }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let cases = [
            "3 started",
            "3 unchanged",
            "0 changed",
            "4 kept was changed by hand",
            "5 open is missing",
            "5 open ",
            "6 failed bm8K exited with 1",
            "6 failed  is a directory",
            "7 was aGk=",
            "blob ab12 whole",
            "blob ab12 17",
            "end",
            "gone",
            "waiting",
            "attached 00ff",
            "refused no systemd",
            "6 failed !! x",
            "8 melted",
            "x",
            "",
        ];
        let shown: Vec<String> = cases.iter().map(|line| format!("{line:30} {:?}", parse(line))).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
