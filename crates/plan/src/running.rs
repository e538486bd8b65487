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
