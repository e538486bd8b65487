//! What a pod network keeps of its nodes beside their Node objects: a table of those that we know. What of it belongs to
//! a node that is no more goes with it; a network that is not in the table is said, not guessed.

use serde_json::Value;

/// A pod network.
struct Cni {
    name: &'static str,
    /// Its DaemonSets, by which it is known.
    daemons: &'static [&'static str],
    /// Kinds (`PLURAL.GROUP`) whose objects belong to a node each.
    kinds: &'static [(&'static str, Belongs)],
}

/// How an object says whose it is.
enum Belongs {
    /// It bears the node's name.
    Name,
    /// In this field of its spec, after this prefix.
    Spec(&'static str, &'static str),
}

/// Sources: flannel's Documentation/kubernetes.md (subnet and backend lie in annotations of the Node); Calico's
/// libcalico-go/lib/apis/v3 and lib/backend/model/block.go (`host:NODE`); Cilium's pkg/k8s/apis/cilium.io/v2 (a
/// CiliumNode bears the node's name; a CiliumEndpoint is owned by its pod and goes with it).
const TABLE: [Cni; 3] = [
    Cni { name: "flannel", daemons: &["kube-flannel-ds", "kube-flannel"], kinds: &[] },
    Cni {
        name: "Calico",
        daemons: &["calico-node"],
        kinds: &[
            ("blockaffinities.crd.projectcalico.org", Belongs::Spec("node", "")),
            ("ipamblocks.crd.projectcalico.org", Belongs::Spec("affinity", "host:")),
            ("ipamhosts.crd.projectcalico.org", Belongs::Name),
        ],
    },
    Cni { name: "Cilium", daemons: &["cilium"], kinds: &[("ciliumnodes.cilium.io", Belongs::Name)] },
];

/// Whether objects of this kind say anything of a pod network.
pub(super) fn speaks(kind: &str) -> bool {
    kind == "daemonsets.apps" || TABLE.iter().flat_map(|cni| cni.kinds).any(|(name, _)| *name == kind)
}

/// The network that a DaemonSet of this name belongs to.
pub(super) fn of_daemon(name: &str) -> Option<&'static str> {
    TABLE.iter().find(|cni| cni.daemons.contains(&name)).map(|cni| cni.name)
}

/// The node that an object belongs to.
pub(super) fn node(kind: &str, item: &Value) -> Option<String> {
    let (_, belongs) = TABLE.iter().flat_map(|cni| cni.kinds).find(|(name, _)| *name == kind)?;
    let name = match belongs {
        Belongs::Name => item["metadata"]["name"].as_str(),
        Belongs::Spec(field, prefix) => {
            item["spec"][*field].as_str().and_then(|text| text.strip_prefix(prefix))
        }
    };
    name.map(str::to_owned)
}
