//! What stands today, all answers together. It only chooses which plan is made: a step that leans on it asks
//! again itself.

use crate::ask::survey::{Answer, Member};
use inventory::Cluster;
use std::collections::{BTreeMap, BTreeSet};
use step::HostId;

/// What the archive knows of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The cluster's uid, the mark on its nodes.
    pub uid: String,
    /// `sha256:` and the hash of its CA's public key: a node without a mark that has it is one of a cluster that was
    /// adopted.
    pub ca: String,
    /// Whether its etcd ever had a quorum.
    pub born: bool,
}

impl Known {
    /// Whether a machine is one of this cluster, of whatever epoch.
    pub fn owns(&self, answer: &Answer) -> bool {
        match &answer.today.cluster {
            Some(mark) => *mark == self.uid,
            None => answer.today.ca.as_ref() == Some(&self.ca),
        }
    }
}

/// What stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A majority of the etcd nodes answered, every node that answered is empty, no archive knows a cluster.
    Empty,
    /// Minted and sealed, but its etcd never had a quorum: the first `up` was killed.
    HalfBorn,
    /// The archive's cluster, with a quorum.
    Ours {
        /// etcd's members, as a node with a quorum behind it listed them.
        members: Vec<Member>,
        /// Names of the Nodes that the API knows.
        nodes: BTreeSet<String>,
    },
    /// The archive's cluster had a quorum once and has none now.
    Lost {
        /// etcd nodes whose data directory is there.
        with_data: Vec<HostId>,
        /// etcd nodes that answered and have none.
        emptied: Vec<HostId>,
        /// etcd nodes that did not answer.
        silent: Vec<HostId>,
    },
    /// The archive's cluster, stopped on these nodes: host and by which epoch, in words.
    Fenced(Vec<(HostId, String)>),
    /// Something that is not the archive's: host and what was found there.
    Stranger(Vec<(HostId, String)>),
    /// Too few etcd nodes answered to tell.
    Unclear {
        /// Those that did not.
        silent: Vec<HostId>,
    },
}

/// Judges the answers of all nodes that gave one. `known` is the archive's cluster, if it holds one.
pub fn standing(cluster: &Cluster, known: Option<&Known>, answers: &BTreeMap<HostId, Answer>) -> Standing {
    let strangers = strangers(known, answers);
    if !strangers.is_empty() {
        return Standing::Stranger(strangers);
    }
    // Also where the others still have a quorum: they stop as soon as they read the archive.
    let fenced: Vec<_> = answers
        .iter()
        .filter_map(|(host, answer)| Some((host.clone(), answer.today.fenced.clone()?)))
        .collect();
    if !fenced.is_empty() {
        return Standing::Fenced(fenced);
    }
    let quorate =
        answers.values().filter_map(|answer| answer.today.members.as_ref()).max_by_key(|list| list.len());
    if let Some(members) = quorate {
        let nodes = answers.values().flat_map(|answer| answer.today.nodes.keys().cloned()).collect();
        return Standing::Ours { members: members.clone(), nodes };
    }
    let etcd: Vec<HostId> = cluster.etcd_nodes().map(|node| HostId::new(&node.name)).collect();
    let (answered, silent): (Vec<_>, Vec<_>) = etcd.into_iter().partition(|host| answers.contains_key(host));
    let (with_data, emptied): (Vec<_>, Vec<_>) = answered
        .iter()
        .cloned()
        .partition(|host| answers.get(host).is_some_and(|answer| answer.today.etcd_data));
    match known {
        Some(Known { born: true, .. }) => Standing::Lost { with_data, emptied, silent },
        _ if answered.len() <= silent.len() => Standing::Unclear { silent },
        Some(_) => Standing::HalfBorn,
        None => Standing::Empty,
    }
}

fn strangers(known: Option<&Known>, answers: &BTreeMap<HostId, Answer>) -> Vec<(HostId, String)> {
    let mut found = Vec::new();
    for (host, answer) in answers {
        match &answer.today.cluster {
            _ if known.is_some_and(|known| known.owns(answer)) => {}
            Some(mark) => {
                found.push((host.clone(), format!("/var/lib/rekindle/cluster names another cluster, {mark}")))
            }
            None => found.extend(answer.today.traces.iter().map(|trace| (host.clone(), trace.clone()))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "[cluster]\nname = \"prod\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
                           cp1 = { address = \"10.0.0.11\", role = \"control-plane\" }\n\
                           cp2 = { address = \"10.0.0.12\", role = \"control-plane\" }\n\
                           cp3 = { address = \"10.0.0.13\", role = \"control-plane\" }\n\
                           [archive]\nto = [\"./archive\"]\n";

    #[test]
    fn a_node_without_a_mark_is_ours_by_its_ca_alone() {
        let cluster = inventory::parse("prod.toml", CLUSTER).unwrap().cluster;
        let known = Known { uid: "c0ffee".into(), ca: "sha256:ab".into(), born: true };
        let stands = |mark: Option<&str>, ca: Option<&str>, known: Option<&Known>| {
            let mut answer = Answer::default();
            answer.today.cluster = mark.map(str::to_owned);
            answer.today.ca = ca.map(str::to_owned);
            answer.today.traces = vec!["/etc/kubernetes/admin.conf".into()];
            answer.today.members = Some(Vec::new());
            standing(&cluster, known, &[(HostId::new("cp1"), answer)].into())
        };
        let cases = [
            (None, Some("sha256:ab"), Some(&known), true),
            (None, Some("sha256:cd"), Some(&known), false),
            (None, None, Some(&known), false),
            // Nobody's, where no archive knows it.
            (None, Some("sha256:ab"), None, false),
            // A mark says more than a CA, which several clusters may share.
            (Some("bad"), Some("sha256:ab"), Some(&known), false),
            (Some("c0ffee"), None, Some(&known), true),
        ];
        for (mark, ca, known, ours) in cases {
            let standing = stands(mark, ca, known);
            assert_eq!(matches!(standing, Standing::Ours { .. }), ours, "{mark:?} {ca:?}: {standing:?}");
            assert_eq!(matches!(standing, Standing::Stranger(_)), !ours, "{mark:?} {ca:?}: {standing:?}");
        }
    }

    #[test]
    fn one_node_that_was_stopped_makes_the_cluster_a_fenced_one() {
        let cluster = inventory::parse("prod.toml", CLUSTER).unwrap().cluster;
        let known = Known { uid: "c0ffee".into(), ca: "sha256:ab".into(), born: true };
        let ours = || {
            let mut answer = Answer::default();
            answer.today.cluster = Some("c0ffee".into());
            answer.today.members = Some(Vec::new());
            answer
        };
        let mut answers: BTreeMap<HostId, Answer> =
            ["cp1", "cp2"].map(|name| (HostId::new(name), ours())).into();
        let stands = |answers: &BTreeMap<HostId, Answer>| standing(&cluster, Some(&known), answers);
        assert!(matches!(stands(&answers), Standing::Ours { .. }));
        // While the other still has its quorum.
        let mut stopped = ours();
        (stopped.today.members, stopped.today.fenced) = (None, Some("epoch 2".into()));
        answers.insert(HostId::new("cp2"), stopped);
        assert_eq!(stands(&answers), Standing::Fenced(vec![(HostId::new("cp2"), "epoch 2".into())]));
        // Another cluster's node is a stranger, whatever became of it.
        let mut other = answers[&HostId::new("cp2")].clone();
        other.today.cluster = Some("bad".into());
        answers.insert(HostId::new("cp2"), other);
        assert!(matches!(stands(&answers), Standing::Stranger(_)));
    }
}
