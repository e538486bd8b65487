//! What hosts say is cleaned before anybody sees it: no control characters, no secrets.

use std::collections::BTreeSet;
use step::{Body, Change, Same, Script, Secret, Step};

/// `text` without control characters, but for line ends and tabs: a host must not steer a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|&c| c == '\n' || c == '\t' || !c.is_control()).collect()
}

/// `text` without the names of spools, which say nothing: `RUN/lane.MARK/act: not found` is `act: not found`.
pub(crate) fn without_spool(text: &str, run: &str) -> String {
    let cut = |text: String, kind: &str| {
        let spool = format!("{run}/{kind}.");
        let mut pieces = text.split(&spool);
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |text, piece| text + piece.split_once('/').map_or(piece, |(_, rest)| rest))
    };
    ["lane", "probe"].into_iter().fold(text.to_owned(), cut)
}

/// The secrets of a lane, struck out where a script repeats them.
#[derive(Default)]
pub(crate) struct Redact(BTreeSet<String>);

/// Shorter lines of a secret are no secrets: `}`, `data:`.
const SHORTEST: usize = 8;

impl Redact {
    /// Notes the lines of a secret; also as base64 shows them.
    pub(crate) fn note(&mut self, secret: &Secret) {
        use base64::Engine as _;
        if let Ok(text) = std::str::from_utf8(secret.expose()) {
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST);
            self.0.extend(lines.filter(|line| !line.starts_with("-----")).map(str::to_owned));
        }
        let coded = base64::engine::general_purpose::STANDARD.encode(secret.expose());
        if coded.len() >= SHORTEST {
            self.0.insert(coded);
        }
    }

    /// Notes every secret of a step.
    pub(crate) fn note_step(&mut self, step: &Step) {
        let mut script = |script: &Script| {
            if let Some(input) = script.stdin() {
                self.note(input);
            }
        };
        match &step.change {
            Change::Run { done_when, run } => {
                script(done_when);
                script(run);
            }
            Change::Wait(that) | Change::Require(that) => script(that),
            Change::File(file) => {
                if let Same::Holds(that) = &file.same {
                    script(that);
                }
                if let Body::Secret(secret) = &file.body {
                    self.note(secret);
                }
            }
        }
    }

    /// `text`, cleaned, with `[secret]` where a secret was.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut text = clean(text);
        for secret in self.0.iter().rev() {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "[secret]");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_a_script_repeats_is_struck_out() {
        let mut redact = Redact::default();
        redact.note(&Secret::new("-----BEGIN KEY-----\nMHcCAQEEIPoison\n}\n".as_bytes()));
        let cases = [
            ("bad key: MHcCAQEEIPoison!", "bad key: [secret]!"),
            ("a } brace and a -----BEGIN KEY----- line", "a } brace and a -----BEGIN KEY----- line"),
            ("LS0tLS1CRUdJTiBLRVktLS0tLQpNSGNDQVFFRUlQb2lzb24KfQo=", "[secret]"),
            ("bell \x07 and \x1b[2J", "bell  and [2J"),
        ];
        for (said, shown) in cases {
            assert_eq!(redact.apply(said), shown);
        }
    }
}
