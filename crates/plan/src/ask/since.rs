//! What a living cluster wrote since a revision, kind by kind: what going back to it undoes.

use crate::parts::etcd::CTL;
use std::collections::BTreeMap;
use step::{Ask, Output, Script, Unreadable};

/// Objects by kind, as their keys in etcd begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// Made since then, and there today.
    pub made: BTreeMap<String, u64>,
    /// Older, and changed since then.
    pub changed: BTreeMap<String, u64>,
}

/// Kinds that a cluster writes by itself all day.
const BY_ITSELF: [&str; 5] = ["events", "leases", "masterleases", "peerserverleases", "ranges"];

/// Asks a control plane whose etcd member has a quorum behind it.
pub fn since(revision: u64) -> Ask<Since> {
    let script = Script::new(format!("{CTL}{}", include_str!("since.sh")));
    Ask { script: script.set("REVISION", &revision.to_string()), parse }
}

fn parse(output: &Output) -> Result<Since, Unreadable> {
    let mut since = Since::default();
    let mut complete = false;
    for line in output.stdout.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["asked"] => complete = true,
            [what @ ("made" | "changed"), kind, count] => {
                let count: u64 = super::survey::number(kind, count)?;
                if BY_ITSELF.contains(&kind) {
                    continue;
                }
                let of = if what == "made" { &mut since.made } else { &mut since.changed };
                *of.entry(name(kind).to_owned()).or_default() += count;
            }
            _ => return Err(Unreadable(format!("unknown line `{line}`"))),
        }
    }
    if complete { Ok(since) } else { Err(Unreadable(format!("it did not ask: {}", output.stderr.trim()))) }
}

/// As a person calls it: without the group, which is known from the name.
fn name(kind: &str) -> &str {
    match kind {
        "minions" => "nodes",
        "services/specs" => "services",
        "services/endpoints" => "endpoints",
        "controllers" => "replicationcontrollers",
        _ => kind.rsplit('/').next().unwrap_or(kind),
    }
}

impl Since {
    /// In words: `made 2 pods, 1 secrets; changed 3 deployments`. `None` where nothing was written.
    pub fn words(&self) -> Option<String> {
        let of = |what: &str, counts: &BTreeMap<String, u64>| {
            let list: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            (!list.is_empty()).then(|| format!("{what} {}", list.join(", ")))
        };
        let parts: Vec<String> =
            [of("made", &self.made), of("changed", &self.changed)].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stdout: &str) -> Result<Since, Unreadable> {
        parse(&Output { status: 0, stdout: stdout.into(), stderr: String::new() })
    }

    #[test]
    fn what_was_written_is_told_by_kind() {
        let text = "made configmaps 1\nmade leases 9\nmade services/specs 2\nchanged example.com/widgets 1\n\
                    changed minions 4\nchanged events 30\nasked\n";
        let words = answer(text).unwrap().words();
        assert_eq!(words.as_deref(), Some("made 1 configmaps, 2 services; changed 4 nodes, 1 widgets"));
        assert_eq!(answer("changed leases 4\nasked\n").unwrap().words(), None);
        for text in ["", "made configmaps 1\n", "made configmaps\nasked\n", "made configmaps x\nasked\n"] {
            assert!(answer(text).is_err(), "{text:?}");
        }
    }
}
