//! What may change in the life of a cluster: every key of the inventory in one table.

use crate::Cluster;
use crate::effective::{entries, node_line};
use std::collections::BTreeMap;

/// What a change of a key means for a cluster that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Taken up by the next `up`; no control plane restarts.
    Free,
    /// Rolled out one node after another, behind the quorum gate.
    Rolling,
    /// Refused, with the way to do it.
    Fixed(&'static str),
}

/// A row of the table: a key and what its change means. `*` stands for a name that the author chose.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Path in the file, joined by dots. A key that holds a table of the author's own names ends there.
    pub path: &'static str,
    /// What its change means.
    pub kind: Kind,
}

/// A key whose value is another one than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Path in the file: `nodes.w1.labels`. A node that came or went is `nodes.w1`.
    pub key: String,
    /// What it means.
    pub kind: Kind,
    /// The value before, as TOML; `None` where there was none.
    pub old: Option<String>,
    /// The value now.
    pub new: Option<String>,
}

const NEW_CLUSTER: &str = "it is written into certificates, configurations or objects all over the cluster: \
    make a new cluster with an inventory and an archive of its own, and move the workloads";
const UPGRADE: &str = "`up` does not upgrade: run `kubeadm upgrade` node by node, as on any kubeadm cluster \
    (README, \"without rekindle\"), one minor version at a time";
const ADDRESS: &str =
    "take the node out of the cluster with `rekindle remove NODE`, then add it under a new name";
const ROLE: &str = "take the node out with `rekindle remove NODE`, then add it again in its new role; whether etcd \
    is stacked or external never changes: that is another cluster";
const POD_CIDR: &str = "a node keeps its pod network: add nodes at the end of the file, and write `pod-cidr` on the \
    nodes that come after one that was taken out";

/// Every key of the inventory.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { path: "cluster.name",               kind: Kind::Fixed(NEW_CLUSTER) },
    Key { path: "cluster.kubernetes",         kind: Kind::Fixed(UPGRADE) },
    // A node that comes is added; one that went stays in the cluster until `remove NODE`.
    Key { path: "nodes.*",                    kind: Kind::Free },
    Key { path: "nodes.*.address",            kind: Kind::Fixed(ADDRESS) },
    Key { path: "nodes.*.ssh",                kind: Kind::Free },
    Key { path: "nodes.*.role",               kind: Kind::Fixed(ROLE) },
    Key { path: "nodes.*.user",               kind: Kind::Free },
    Key { path: "nodes.*.labels",             kind: Kind::Free },
    Key { path: "nodes.*.taints",             kind: Kind::Free },
    Key { path: "nodes.*.pod-cidr",           kind: Kind::Fixed(POD_CIDR) },
    Key { path: "api.mode",                   kind: Kind::Fixed(NEW_CLUSTER) },
    Key { path: "api.endpoint",               kind: Kind::Fixed(NEW_CLUSTER) },
    Key { path: "api.cert-names",             kind: Kind::Rolling },
    Key { path: "network.pods",               kind: Kind::Fixed(NEW_CLUSTER) },
    Key { path: "network.services",           kind: Kind::Fixed(NEW_CLUSTER) },
    Key { path: "network.domain",             kind: Kind::Fixed(NEW_CLUSTER) },
    Key { path: "network.cni",                kind: Kind::Fixed(NEW_CLUSTER) },
    Key { path: "network.proxy",              kind: Kind::Rolling },
    Key { path: "ssh.user",                   kind: Kind::Free },
    Key { path: "ssh.port",                   kind: Kind::Free },
    Key { path: "ssh.identity",               kind: Kind::Free },
    Key { path: "ssh.known-hosts",            kind: Kind::Free },
    Key { path: "ssh.bastion",                kind: Kind::Free },
    Key { path: "etcd.args",                  kind: Kind::Rolling },
    // These four are for what is minted from now on.
    Key { path: "pki.algorithm",              kind: Kind::Free },
    Key { path: "pki.ca-days",                kind: Kind::Free },
    Key { path: "pki.leaf-days",              kind: Kind::Free },
    Key { path: "pki.ca.certificate",         kind: Kind::Fixed(NEW_CLUSTER) },
    Key { path: "pki.ca.key",                 kind: Kind::Free },
    Key { path: "archive.to",                 kind: Kind::Free },
    Key { path: "archive.recipients",         kind: Kind::Free },
    Key { path: "archive.identity-command",   kind: Kind::Free },
    Key { path: "archive.every",              kind: Kind::Free },
    Key { path: "archive.keep.last",          kind: Kind::Free },
    Key { path: "archive.keep.daily",         kind: Kind::Free },
    Key { path: "archive.keep.monthly",       kind: Kind::Free },
    Key { path: "archive.payload",            kind: Kind::Free },
    Key { path: "archive.trust",              kind: Kind::Free },
    Key { path: "artifacts.source",           kind: Kind::Free },
    Key { path: "kubeadm.api-server",         kind: Kind::Rolling },
    Key { path: "kubeadm.controller-manager", kind: Kind::Rolling },
    Key { path: "kubeadm.scheduler",          kind: Kind::Rolling },
    Key { path: "kubeadm.kube-proxy",         kind: Kind::Rolling },
    Key { path: "kubeadm.patches",            kind: Kind::Rolling },
    Key { path: "kubeadm.files",              kind: Kind::Rolling },
    Key { path: "kubeadm.ignore-preflight",   kind: Kind::Free },
    Key { path: "kubelet",                    kind: Kind::Rolling },
    Key { path: "host.container",             kind: Kind::Rolling },
];

/// What differs between two inventories of one cluster, in the order of the file; defaults count as written.
pub fn changes(old: &Cluster, new: &Cluster) -> Vec<KeyChange> {
    let before: BTreeMap<String, String> = entries(old).into_iter().collect();
    let now = entries(new);
    let after: BTreeMap<&str, &str> = now.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let gone = before.keys().filter(|key| !after.contains_key(key.as_str())).map(String::as_str);
    let mut changes: Vec<KeyChange> = Vec::new();
    for key in now.iter().map(|(key, _)| key.as_str()).chain(gone) {
        let (old_value, new_value) =
            (before.get(key).cloned(), after.get(key).map(|value| (*value).to_owned()));
        if old_value == new_value {
            continue;
        }
        // A whole node is one change, not one for each of its keys.
        let name = key.strip_prefix("nodes.").and_then(|rest| rest.split('.').next());
        // What follows from another network is not a second change.
        if key.ends_with(".pod-cidr") && old.network.pods != new.network.pods {
            continue;
        }
        let change = match name.map(|name| (name, old.node(name), new.node(name))) {
            None | Some((_, Some(_), Some(_))) => KeyChange::of(key, old_value, new_value),
            Some((name, old, new)) => {
                KeyChange::of(&format!("nodes.{name}"), old.map(node_line), new.map(node_line))
            }
        };
        if changes.last() != Some(&change) {
            changes.push(change);
        }
    }
    if old.has_external_etcd() != new.has_external_etcd() {
        changes.push(KeyChange::of("nodes.*.role", None, None));
    }
    changes
}

impl KeyChange {
    fn of(key: &str, old: Option<String>, new: Option<String>) -> Self {
        Self { key: key.into(), kind: kind_of(key), old, new }
    }
}

/// What a change of the key at `path` means; names that the author chose are found under `*`.
fn kind_of(path: &str) -> Kind {
    KEYS.iter().find(|key| matches(key.path, path)).map_or(Kind::Free, |key| key.kind)
}

/// The section that has a key of this name.
pub(crate) fn section_of(name: &str) -> Option<&'static str> {
    KEYS.iter()
        .filter_map(|key| key.path.rsplit_once('.'))
        .find(|(_, last)| *last == name)
        .map(|(home, _)| home)
}

fn matches(pattern: &str, path: &str) -> bool {
    pattern.split('.').count() == path.split('.').count()
        && pattern.split('.').zip(path.split('.')).all(|(pattern, part)| pattern == "*" || pattern == part)
}
