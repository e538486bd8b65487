//! The inventory that `init` writes: valid as it is, and every other section in comments.

use crate::Role;
use semver::Version;

/// A node of the example.
#[derive(Clone, Debug)]
pub struct ExampleNode {
    /// Its name.
    pub name: String,
    /// What nodes use among themselves.
    pub address: std::net::IpAddr,
    /// What it does.
    pub role: Role,
}

const HEAD: &str = "\
# One Kubernetes cluster. `rekindle check` says what this file means, `rekindle up` makes it so.
";

const NODES: &str = "
# A name is the Node's name; `address` is what nodes use among themselves. Add new nodes at the end.
# Where we reach a node another way:  ssh = \"127.0.0.1:60022\", user = \"ops\"
# Also: labels = { \"topology.kubernetes.io/zone\" = \"a\" }, taints = [\"gpu=yes:NoSchedule\"]
[nodes]
";

const REST: &str = "
# Everything to build the same cluster again, encrypted: keep a copy of the folder somewhere else.
[archive]
to = [\"./archive\"]
# trust = \"…\"                              # the first `up` prints this line
# recipients = [\"age1…\", \"ssh-ed25519 …\"]  # who can open it; one of them kept offline
# identity-command = [\"op\", \"read\", \"…\"]   # prints an identity, where no --identity is given
# payload = true                            # programs and images too, about 270 MB

# Below, every key has its default.

# [api]
# endpoint = \"api.NAME.internal:6443\"  # one name everywhere in the cluster
# cert-names = []                      # further names and addresses that the API is called by

# [network]
# pods = \"10.244.0.0/16\"               # a list of an IPv4 and an IPv6 network makes dual stack
# services = \"10.96.0.0/12\"
# domain = \"cluster.local\"
# cni = \"routes\"                       # all nodes on one L2; or \"none\", and apply your own
# proxy = \"nftables\"                   # or \"iptables\", \"none\"

# [ssh]
# user = \"root\"                        # another one needs sudo
# port = 22
# known-hosts = [\"known_hosts\", \"~/.ssh/known_hosts\"]
# bastion = \"ops@bastion.example.com\"  # default: none

# [pki]
# algorithm = \"ECDSA-P256\"             # or \"RSA-2048\"
# ca-days = 3650
# leaf-days = 365
# ca = { certificate = \"ca.crt\", key = \"ca.key\" }  # your own CA; default: one is made

# [artifacts]
# source = \"upstream\"                  # or \"modules\", { mirror = \"https://…\" }, { folder = \"…\" }

# Flags without dashes; files that they name travel with the cluster.
# [kubeadm]
# api-server = { audit-log-path = \"-\", audit-policy-file = \"/etc/kubernetes/audit/policy.yaml\" }
# files = { \"/etc/kubernetes/audit/policy.yaml\" = \"audit-policy.yaml\" }

# [kubelet]                            # any key of a KubeletConfiguration
# maxPods = 110
";

/// A commented inventory of a cluster of that name and version with these nodes.
pub fn commented_example(name: &str, kubernetes: &Version, nodes: &[ExampleNode]) -> String {
    let width = nodes.iter().map(|node| node.name.len()).max().unwrap_or(0);
    let mut text = format!("{HEAD}[cluster]\nname = \"{name}\"\nkubernetes = \"{kubernetes}\"\n{NODES}");
    for ExampleNode { name, address, role } in nodes {
        let role = match role {
            Role::ControlPlane => ", role = \"control-plane\"",
            Role::Etcd => ", role = \"etcd\"",
            Role::Worker => "",
        };
        text += &format!("{name:width$} = {{ address = \"{address}\"{role} }}\n");
    }
    text + &REST.replace("NAME", name)
}
