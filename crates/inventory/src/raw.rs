//! The file as written: every key optional, every value as its author spelt it, each with its place in the
//! text. What a value means is decided in `lower`; the JSON Schema is made from these types.

use crate::form::{Argument, At, Named, OneOrMany, Overlay};
use schemars::JsonSchema;
use std::path::PathBuf;

pub(crate) use crate::places::{RawDestination, RawPlace, RawPlaces};

/// An inventory of rekindle: one Kubernetes cluster.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[schemars(title = "rekindle inventory")]
pub(crate) struct Raw {
    /// What the cluster is.
    #[schemars(required)]
    pub cluster: Option<At<RawCluster>>,
    /// The machines: a node's name = what it is. Add new nodes at the end.
    #[schemars(required)]
    pub nodes: Option<At<Named<At<RawNode>>>>,
    /// How the API is reached.
    pub api: RawApi,
    /// Pods, services, DNS.
    pub network: RawNetwork,
    /// How nodes are reached.
    pub ssh: RawSsh,
    /// etcd's own settings.
    pub etcd: RawEtcd,
    /// Keys and certificates.
    pub pki: RawPki,
    /// Where the archive lies.
    pub archive: RawArchive,
    /// Where programs and images come from.
    pub artifacts: RawArtifacts,
    /// Settings that go to kubeadm.
    pub kubeadm: RawKubeadm,
    /// Any keys of a KubeletConfiguration (kubelet.config.k8s.io/v1beta1), laid over ours.
    pub kubelet: Named<At<Overlay>>,
    /// What the machines are like where they are no ordinary ones.
    pub host: RawHost,
}

/// `[cluster]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawCluster {
    /// An RFC 1123 label: lower case letters, digits and `-`.
    #[schemars(required)]
    pub name: Option<At<String>>,
    /// The exact version, 1.35 to 1.37: "1.36.3".
    #[schemars(required)]
    pub kubernetes: Option<At<String>>,
}

/// One line of `[nodes]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawNode {
    /// What nodes use among themselves: an address, or a list of an IPv4 and an IPv6 one.
    #[schemars(required)]
    pub address: Option<At<OneOrMany>>,
    /// How we reach it: "host", "host:port", "[v6]:port" or an alias of ~/.ssh/config. Default: `address`.
    pub ssh: Option<At<String>>,
    /// "control-plane", "worker" (default) or "etcd".
    pub role: Option<At<crate::Role>>,
    /// Login, default `ssh.user`; another one than root needs sudo.
    pub user: Option<At<String>>,
    /// Node labels.
    pub labels: Named<At<String>>,
    /// Node taints: "key=value:NoSchedule".
    pub taints: Vec<At<String>>,
    /// Its piece of `network.pods`, for `cni = "routes"`. Default: the next free piece in the order of the file.
    pub pod_cidr: Option<At<OneOrMany>>,
}

/// `[api]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawApi {
    /// Who answers at the endpoint: "local" (default), "vip" or "external".
    pub mode: Option<At<crate::ApiMode>>,
    /// "host" or "host:port", default "api.NAME.internal:6443"; an address for "vip".
    pub endpoint: Option<At<String>>,
    /// Further names and addresses of the apiservers' certificates.
    pub cert_names: Vec<At<String>>,
}

/// `[network]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawNetwork {
    /// A CIDR, or a list of an IPv4 and an IPv6 one. Default "10.244.0.0/16".
    pub pods: Option<At<OneOrMany>>,
    /// Likewise. Default "10.96.0.0/12".
    pub services: Option<At<OneOrMany>>,
    /// The cluster's DNS domain, default "cluster.local".
    pub domain: Option<At<String>>,
    /// How pods reach pods: "routes" (default for now: all nodes on one L2), "none", "flannel", { manifest = "file" }.
    pub cni: Option<At<crate::Cni>>,
    /// kube-proxy: "nftables" (default), "iptables", "ipvs" or "none".
    pub proxy: Option<At<crate::Proxy>>,
}

/// `[ssh]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawSsh {
    /// Login on the nodes, default "root".
    pub user: Option<At<String>>,
    /// TCP port, default 22.
    pub port: Option<At<u16>>,
    /// Private key files, tried after the agent's keys. Default: the usual ones in ~/.ssh.
    pub identity: Option<At<OneOrMany>>,
    /// known_hosts files; the first takes what --accept-new records. Default ["known_hosts", "~/.ssh/known_hosts"].
    pub known_hosts: Option<At<OneOrMany>>,
    /// A jump host: "host", "host:port" or "user@host:port".
    pub bastion: Option<At<String>>,
}

/// `[etcd]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawEtcd {
    /// etcd's flags without dashes.
    pub args: Named<At<Argument>>,
}

/// `[pki]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawPki {
    /// For every key that is minted: "ECDSA-P256" (default) or "RSA-2048".
    pub algorithm: Option<At<crate::KeyAlgorithm>>,
    /// Validity of CAs, in days; default 3650.
    pub ca_days: Option<At<u32>>,
    /// Validity of all other certificates, in days; default 365.
    pub leaf_days: Option<At<u32>>,
    /// Your own CA for `ca`.
    pub ca: Option<At<RawCa>>,
}

/// `ca` of `[pki]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawCa {
    /// PEM file, relative to the inventory: the CA first, then its issuers.
    #[schemars(required)]
    pub certificate: Option<At<PathBuf>>,
    /// PEM file, relative to the inventory.
    #[schemars(required)]
    pub key: Option<At<PathBuf>>,
}

/// `[archive]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawArchive {
    /// Folders relative to the inventory, "s3://bucket/prefix", "ssh://user@host/path", or tables with such a
    /// `url`; default ["./archive"].
    pub to: Option<At<RawPlaces>>,
    /// age recipients: "age1…" or "ssh-ed25519 …". Default: one is made at the first `up`.
    pub recipients: Option<At<OneOrMany>>,
    /// A program and its arguments whose output is an age identity, for whoever gives no `--identity`.
    pub identity_command: Option<At<Vec<At<String>>>>,
    /// How often nodes take a snapshot: "10m".
    pub every: Option<At<String>>,
    /// How many generations `archive prune` keeps; default { last = 48, daily = 14, monthly = 6 }.
    pub keep: Option<At<RawKeep>>,
    /// Whether `up` seals the programs and images of the running version too; default true.
    pub payload: Option<At<bool>>,
    /// The archive's root public key, as the first `up` prints it.
    pub trust: Option<At<String>>,
}

/// `keep` of `[archive]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawKeep {
    /// The newest ones, 3 at least.
    pub last: Option<At<u32>>,
    /// One for each of so many days, 7 at least.
    pub daily: Option<At<u32>>,
    /// One for each of so many months.
    pub monthly: Option<At<u32>>,
}

/// `[artifacts]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawArtifacts {
    /// "upstream" (default), "modules" (built here by `go`), { mirror = "https://…" } or { folder = "…" }.
    pub source: Option<At<crate::Source>>,
}

/// `[kubeadm]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawKubeadm {
    /// kube-apiserver's flags without dashes.
    pub api_server: Named<At<Argument>>,
    /// kube-controller-manager's flags without dashes.
    pub controller_manager: Named<At<Argument>>,
    /// kube-scheduler's flags without dashes.
    pub scheduler: Named<At<Argument>>,
    /// Any keys of a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), laid over ours.
    pub kube_proxy: Named<At<Overlay>>,
    /// kubeadm patches: "kube-apiserver+merge.yaml" = a local file, relative to the inventory.
    pub patches: Named<At<PathBuf>>,
    /// Files that arguments name: path on the control planes = a local file, relative to the inventory.
    pub files: Named<At<PathBuf>>,
    /// kubeadm's preflight checks that are not asked: "NumCPU".
    pub ignore_preflight: Vec<At<String>>,
}

/// `[host]`
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawHost {
    /// Nodes are containers that share a kernel, as in a lab.
    pub container: bool,
}
