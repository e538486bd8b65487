//! `fence`: stops this control plane where a root-signed epoch, later than its own, names its own etcd cluster.
//!
//! `look` brought the claims and has no rights; here each signature is checked again, by the key that `up` laid. What
//! could not be read, what another key signed and what names another cluster stop nothing.

use super::{CLAIMS, member, settings, this_node};
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::report::Reporter;
use crate::vault::fenced_by;
use archive::{Claim, RootPublic, fencing};
use engine::Pipe;
use settings::Settings;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::path::Path;

/// More than all claims of an archive; beyond it nothing is read.
const MOST: u64 = 16 << 20;

/// Reads, judges, and stops what is to be stopped.
pub async fn run(report: &Reporter) -> Outcome {
    let settings = Settings::read(Path::new(settings::FOLDER))?;
    let Some(own) = member::etcd_cluster(Path::new(member::WAL))? else { return Ok(Exit::Done) };
    let Some(text) = claims(Path::new(CLAIMS))? else { return Ok(Exit::Done) };
    let Some(claim) = judge(&text, &settings.root()?, settings.epoch, &own) else { return Ok(Exit::Done) };
    let by = fenced_by(&claim);
    report.say(format!("etcd cluster {own}: fenced by {}", by.words()));
    let (hosts, here) = this_node(&settings).await;
    // Said as it is done: what comes last may take this unit's own trigger away.
    let (mut said, mut errors) = (Vec::new(), Vec::new());
    let mut say = |pipe, bytes: &[u8]| {
        // Tools warn there of all kinds of things; it is told where something failed.
        if pipe == Pipe::Err {
            errors.extend_from_slice(bytes);
            return ControlFlow::Continue(());
        }
        said.extend_from_slice(bytes);
        while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = said.drain(..=end).collect();
            report.say(String::from_utf8_lossy(&line).trim_end());
        }
        ControlFlow::Continue(())
    };
    let status = engine::stream(&hosts, &here, &plan::fence(&by), None, &mut say).await;
    match status.map_err(|error| Failure::because(&error).exit(Exit::Unknown))? {
        0 => Ok(Exit::Done),
        status => {
            let errors = String::from_utf8_lossy(&errors);
            let last = errors.trim_end().lines().last().unwrap_or("it said nothing");
            let what = format!("this control plane is not stopped: the script ended with {status}: {last}");
            Err(Failure::refused(what)
                .exit(Exit::Partly)
                .hint("the next run goes on; by hand: `systemctl disable --now kubelet`"))
        }
    }
}

/// What `look` left, if it ever read anything.
fn claims(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error("cannot be read", path, &error)),
    }
}

/// The claim that fences the etcd cluster of this node, a document a line.
fn judge(text: &[u8], root: &RootPublic, epoch: u64, own: &str) -> Option<Claim> {
    let lines = text.split(|byte| *byte == b'\n');
    let claims: Vec<Claim> = lines.filter_map(|line| Claim::verify(line, root).ok()).collect();
    fencing(&claims, epoch, own).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A claim of version 1 as it is frozen: epoch 3, which fences one cluster.
    fn frozen() -> &'static str {
        include_str!("../../../archive/src/snapshots/archive__frozen__epoch.snap")
            .trim_end()
            .lines()
            .last()
            .unwrap()
    }

    const ROOT: &str = "ed25519:03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
    const OTHER: &str = "ed25519:ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
    const OWN: &str = "cdf818194e3a8c32";

    #[test]
    fn only_the_root_keys_later_claim_of_ones_own_cluster_fences() {
        let claim = frozen();
        let other_epoch = claim.replace("\"epoch\":3", "\"epoch\":4");
        let among = format!("nonsense\n\n{claim}\n{other_epoch}");
        let flipped = claim.replace("f5f0c\"}", "f5f0d\"}").replace("1f0c\"}", "1f0d\"}");
        assert_ne!(flipped, claim);
        let unsigned = claim.split_once(",\"signature\"").unwrap().0.to_owned() + "}";
        let cases = [
            ("it fences", claim, ROOT, 1, OWN, true),
            ("among others", &among, ROOT, 2, OWN, true),
            ("it is of the node's own epoch", claim, ROOT, 3, OWN, false),
            ("it is of an earlier one", claim, ROOT, 4, OWN, false),
            ("it names another cluster", claim, ROOT, 1, "cdf818194e3a8c3", false),
            ("another key is the root key", claim, OTHER, 1, OWN, false),
            ("it was changed", &other_epoch, ROOT, 3, OWN, false),
            ("its signature was changed", &flipped, ROOT, 1, OWN, false),
            ("it is not signed", &unsigned, ROOT, 1, OWN, false),
            ("there is none", "", ROOT, 1, OWN, false),
            ("it was cut off", &claim[..claim.len() - 9], ROOT, 1, OWN, false),
        ];
        for (what, text, root, epoch, own, fences) in cases {
            let found = judge(text.as_bytes(), &root.parse().unwrap(), epoch, own);
            assert_eq!(found.is_some(), fences, "{what}");
        }
    }

    #[test]
    fn nothing_that_was_read_is_nothing_to_do() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(claims(&folder.path().join("epochs.jsonl")).unwrap(), None);
    }
}
