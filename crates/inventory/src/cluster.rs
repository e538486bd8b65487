//! The validated cluster: what the rest of the program knows of an inventory. Every default is filled in
//! and every value was checked, so nothing downstream checks again.

use crate::Keep;
use ipnet::IpNet;
use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A whole cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// An RFC 1123 label.
    pub name: String,
    /// Exact version, 1.35 to 1.37.
    pub kubernetes: Version,
    /// In the order of the file; names and addresses are unique.
    pub nodes: Vec<Node>,
    /// How the API is reached.
    pub api: Api,
    /// Pods, services, DNS.
    pub network: Network,
    /// How nodes are reached.
    pub ssh: Ssh,
    /// etcd's own settings.
    pub etcd: Etcd,
    /// Keys and certificates.
    pub pki: Pki,
    /// Where the archive lies.
    pub archive: Archive,
    /// Where programs and images come from.
    pub artifacts: Artifacts,
    /// Settings that go to kubeadm.
    pub kubeadm: Kubeadm,
    /// Keys of a `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1) laid over ours.
    pub kubelet: serde_json::Map<String, serde_json::Value>,
    /// What this host, or the kernel, cannot do: a lab's inventory says so.
    pub host: Host,
}

impl Cluster {
    /// The control planes, in the order of the file.
    pub fn control_planes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.role == Role::ControlPlane)
    }

    /// The workers, in the order of the file.
    pub fn workers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.role == Role::Worker)
    }

    /// The nodes that carry an etcd member: the control planes, or the nodes of an external etcd.
    pub fn etcd_nodes(&self) -> impl Iterator<Item = &Node> {
        let external = self.has_external_etcd();
        let role = if external { Role::Etcd } else { Role::ControlPlane };
        self.nodes.iter().filter(move |node| node.role == role)
    }

    /// Whether etcd runs on nodes of its own.
    pub fn has_external_etcd(&self) -> bool {
        self.nodes.iter().any(|node| node.role == Role::Etcd)
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// An RFC 1123 label: the key in `[nodes]`, the Node's name, the kubelet's `--hostname-override`.
    pub name: String,
    /// What nodes use among themselves; of the family of the first pod and service network.
    pub address: IpAddr,
    /// Its address of the other family, in a dual-stack cluster: the kubelet's `--node-ip` takes both.
    pub second_address: Option<IpAddr>,
    /// How we reach it.
    pub ssh: SshTarget,
    /// What it does.
    pub role: Role,
    /// Node labels, beside those of the role.
    pub labels: BTreeMap<String, String>,
    /// Node taints, `key[=value]:Effect`, beside the control planes' own.
    pub taints: Vec<String>,
    /// Its piece of each pod network, in the order of `network.pods`, fixed for the life of the node. Set for
    /// `cni = "routes"`: `pod-cidr`, else the next free piece in the order of the file.
    pub pod_cidrs: Vec<IpNet>,
}

/// What a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// apiserver, controller-manager, scheduler, and an etcd member unless etcd is external.
    ControlPlane,
    /// Pods only.
    Worker,
    /// A member of an external etcd.
    Etcd,
}

/// Where a node's sshd listens and who we are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SshTarget {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Login; another one than root needs sudo.
    pub user: String,
}

/// The API endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Api {
    /// Who answers at the endpoint.
    pub mode: ApiMode,
    /// `controlPlaneEndpoint`'s host: one name everywhere in the cluster, `api.NAME.internal` by default.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Further names and addresses of the apiservers' certificates.
    pub cert_names: Vec<String>,
}

/// Who answers at the API endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApiMode {
    /// A control plane's own apiserver; on a worker a local haproxy with all of them behind it.
    Local,
    /// haproxy and keepalived on the control planes hold `host`, an address.
    Vip,
    /// Somebody else's load balancer.
    External,
}

/// Pods, services, DNS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// One CIDR, or two of different families.
    pub pods: Vec<IpNet>,
    /// Likewise.
    pub services: Vec<IpNet>,
    /// `cluster.local`.
    pub domain: String,
    /// How pods reach pods.
    pub cni: Cni,
    /// How services reach pods.
    pub proxy: Proxy,
}

/// How pods reach pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cni {
    /// Bridge, host-local and a static route to each other node: one L2, no daemon.
    Routes,
    /// flannel's VXLAN.
    Flannel,
    /// A manifest of the user's, relative to the inventory.
    Manifest(PathBuf),
    /// Nothing; nodes stay NotReady until somebody brings one.
    None,
}

/// kube-proxy's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// The default since it went GA in 1.33.
    Nftables,
    /// The old default.
    Iptables,
    /// Deprecated since 1.35.
    Ipvs,
    /// No kube-proxy at all.
    None,
}

/// How nodes are reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ssh {
    /// Private key files, tried after the agent's keys. Empty: the usual ones in `~/.ssh`.
    pub identity: Vec<PathBuf>,
    /// known_hosts files, relative to the inventory; the first takes what `--accept-new` records.
    pub known_hosts: Vec<PathBuf>,
    /// A jump host.
    pub bastion: Option<SshTarget>,
}

/// etcd's own settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Etcd {
    /// Flags without dashes.
    pub args: BTreeMap<String, String>,
}

/// Keys and certificates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pki {
    /// For every key that is minted.
    pub algorithm: KeyAlgorithm,
    /// Validity of CAs that are minted.
    pub ca_days: u32,
    /// Validity of leafs.
    pub leaf_days: u32,
    /// The user's own CA for `ca`, relative to the inventory: certificate (chain) and key.
    pub own_ca: Option<OwnCa>,
}

/// A key algorithm, by kubeadm's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyAlgorithm {
    /// `ECDSA-P256`
    #[serde(rename = "ECDSA-P256")]
    EcdsaP256,
    /// `RSA-2048`
    #[serde(rename = "RSA-2048")]
    Rsa2048,
}

/// A CA that the user brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnCa {
    /// PEM, the CA first, then its issuers.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// Where the archive lies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Archive {
    /// At least one.
    pub to: Vec<Destination>,
    /// age recipients: `age1…` or `ssh-ed25519 …`. Empty: one is made at the first `up`.
    pub recipients: Vec<String>,
    /// A program and its arguments whose output is an age identity; empty where there is none.
    pub identity_command: Vec<String>,
    /// The archive's root public key, as the first `up` prints it.
    pub trust: Option<String>,
    /// How often the nodes take a snapshot; `None` until scheduled snapshots are there.
    pub every: Option<Duration>,
    /// How many generations `archive prune` keeps.
    pub keep: Keep,
    /// Whether the programs and images of the running version are sealed too.
    pub payload: bool,
}

/// One place for the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// Where it is.
    pub place: Place,
    /// Who writes there.
    pub from: Writer,
    /// What fails together: places of one domain count as one.
    pub domain: Option<String>,
    /// Who we are there; `None`: what the operator's own environment says.
    pub credentials: Option<Credentials>,
}

/// Where a destination is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A folder, relative to the inventory.
    Folder {
        /// Where.
        path: PathBuf,
        /// Every node has it at the same path: a file system on the network.
        mounted: bool,
    },
    /// A bucket of S3, or of a server that speaks its language.
    S3(Bucket),
    /// A folder of a host that is reached by SSH.
    Ssh {
        /// The host, and who we are there.
        target: SshTarget,
        /// Absolute.
        path: String,
    },
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Its name.
    pub bucket: String,
    /// What all keys begin with, without a slash at either end; may be empty.
    pub prefix: String,
    /// `https://host[:port]`, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Whether the bucket is the first segment of the path and not of the host.
    pub path_style: bool,
    /// A PEM file with the only CAs that are trusted there, relative to the inventory.
    pub ca: Option<PathBuf>,
}

/// Who writes to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Writer {
    /// The nodes by their timer, and operators.
    Nodes,
    /// Operators only.
    Operator,
}

/// Where keys to a destination come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// A file: for S3 like AWS's shared credentials, for SSH a private key.
    File(PathBuf),
    /// A command for `sh -c` that prints such a file, or the JSON of AWS's `credential_process`.
    Command(String),
    /// The metadata service of the machine.
    Instance,
}

impl Destination {
    /// A folder of the operator's.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        let place = Place::Folder { path: path.into(), mounted: false };
        Self { place, from: Writer::Operator, domain: None, credentials: None }
    }

    /// As it is written: a path, or a URL.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Folder { path, .. } => path.to_string_lossy().into_owned(),
            Place::S3(Bucket { bucket, prefix, .. }) if prefix.is_empty() => format!("s3://{bucket}"),
            Place::S3(Bucket { bucket, prefix, .. }) => format!("s3://{bucket}/{prefix}"),
            Place::Ssh { target: SshTarget { host, port, user }, path } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                format!("ssh://{user}@{host}:{port}{path}")
            }
        }
    }
}

/// Where programs and images come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Artifacts {
    /// One source for all.
    pub source: Source,
}

/// A source of programs and images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// dl.k8s.io, GitHub releases, registry.k8s.io.
    Upstream,
    /// The same layout below this URL.
    Mirror(String),
    /// A folder, relative to the inventory.
    Folder(PathBuf),
    /// Built here by the `go` client from pinned modules.
    Modules,
}

/// Settings that go to kubeadm.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Kubeadm {
    /// kube-apiserver's flags without dashes.
    pub api_server: BTreeMap<String, String>,
    /// kube-controller-manager's.
    pub controller_manager: BTreeMap<String, String>,
    /// kube-scheduler's.
    pub scheduler: BTreeMap<String, String>,
    /// kube-proxy's configuration (`KubeProxyConfiguration`), laid over ours.
    pub kube_proxy: serde_json::Map<String, serde_json::Value>,
    /// kubeadm patches: file name as kubeadm wants it → local file, relative to the inventory.
    pub patches: BTreeMap<String, PathBuf>,
    /// Files that arguments name: path on the control planes → local file, relative to the inventory.
    pub files: BTreeMap<String, PathBuf>,
    /// Names of kubeadm's preflight checks that are not asked.
    pub ignore_preflight: Vec<String>,
}

/// What nodes are like where they are no ordinary machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Nodes are containers that share a kernel: modules, swap and shared sysctls belong to the host.
    pub container: bool,
}
