//! Which Kubernetes runs, by whoever's hand: `up` takes over a version that `kubeadm upgrade` brought, and brings
//! none itself.

use crate::Answers;
use inventory::Cluster;
use step::HostId;

/// What runs on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The node.
    pub host: HostId,
    /// `apiserver` or `kubelet`.
    pub what: &'static str,
    /// Its version, without the `v`.
    pub version: String,
}

/// Apiservers and kubelets of the inventory's nodes that answered, as far as an apiserver tells.
pub fn running(cluster: &Cluster, answers: &Answers) -> Vec<Running> {
    let mut found = Vec::new();
    for node in &cluster.nodes {
        let host = HostId::new(&node.name);
        let Some(answer) = answers.get(&host) else { continue };
        let kubelet = answers.values().find_map(|other| other.today.nodes.get(&node.name));
        let versions = [("apiserver", Some(&answer.today.api_version)), ("kubelet", kubelet)];
        for (what, version) in versions {
            if let Some(version) = version.and_then(|version| version.strip_prefix('v')) {
                found.push(Running { host: host.clone(), what, version: version.into() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::survey::Answer;

    fn told(nodes: &[(&str, &str)], api_version: &str) -> Answer {
        let mut answer = Answer::default();
        answer.today.api_version = api_version.into();
        answer.today.nodes =
            nodes.iter().map(|(name, kubelet)| ((*name).into(), (*kubelet).into())).collect();
        answer
    }

    #[test]
    fn what_runs_on_nodes_that_answered_is_told_by_any_apiserver() {
        let text = "[cluster]\nname = \"a\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
                    cp1 = { address = \"10.0.0.11\", role = \"control-plane\" }\nw1 = { address = \"10.0.0.21\" }\n\
                    w2 = { address = \"10.0.0.22\" }\n[archive]\nto = \"./archive\"\n";
        let cluster = inventory::parse("a.toml", text).unwrap().cluster;
        let all = [("cp1", "v1.36.3"), ("w1", "v1.36.1"), ("w2", "v1.36.1"), ("stranger", "v1.30.0")];
        let none = Answer::default;
        let cases = [
            ("half way", vec![("cp1", told(&all, "v1.36.3")), ("w1", none())]),
            ("a kubelet that never reported", vec![("cp1", told(&[("cp1", "")], "v1.36.3"))]),
            ("no apiserver answers", vec![("cp1", none()), ("w1", none())]),
        ];
        let lines = cases.map(|(case, answers)| {
            let answers = answers.into_iter().map(|(name, answer)| (HostId::new(name), answer)).collect();
            let found = running(&cluster, &answers);
            let found: Vec<_> =
                found.iter().map(|it| format!("{} {} {}", it.host, it.what, it.version)).collect();
            format!("{case}: {}", found.join(", "))
        });
        insta::assert_snapshot!(lines.join("\n"));
    }
}
