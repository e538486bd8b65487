//! The documents that kubeadm reads: one `ClusterConfiguration`, `KubeletConfiguration` and
//! `KubeProxyConfiguration` a cluster, one `InitConfiguration` a control plane.
//!
//! The cluster-wide ones name no node, no `initial-cluster` and no token, so the same text serves bring-up,
//! upload and everything that a stock kubeadm does later. Source of every field: kubeadm's v1beta4 types
//! (cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go).

use crate::{Answers, yaml};
use inventory::{Cluster, Cni, Node, Proxy};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// containerd's socket, the default of every package of it.
pub const CRI_SOCKET: &str = "unix:///run/containerd/containerd.sock";

/// Where kubeadm finds its patches on a control plane.
pub const PATCHES: &str = "/etc/kubernetes/patches";

/// Whether nodes' cgroups ask for settings that a plain machine does not need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// Any node has version 1: the kubelet must be told that this is no error (it is since 1.35).
    pub v1: bool,
    /// Nodes are containers on version 1, where systemd does not own the controllers.
    pub by_kubelet: bool,
}

impl Cgroups {
    /// Reads them off the answers.
    pub fn of(cluster: &Cluster, answers: &Answers) -> Self {
        let v1 = answers.values().any(|answer| answer.facts.cgroup == 1);
        Self { v1, by_kubelet: v1 && cluster.host.container }
    }

    /// The driver that kubelet and containerd must agree on.
    pub fn driver(self) -> &'static str {
        if self.by_kubelet { "cgroupfs" } else { "systemd" }
    }
}

/// `controlPlaneEndpoint`.
pub fn endpoint(cluster: &Cluster) -> String {
    host_port(&cluster.api.host, cluster.api.port)
}

/// `host:port`, with brackets around an IPv6 address.
pub fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The whole file of a control plane, all documents.
pub fn config(cluster: &Cluster, node: &Node, cgroups: Cgroups) -> String {
    let documents =
        [init(cluster, node), cluster_configuration(cluster), kubelet(cluster, cgroups), kube_proxy(cluster)];
    documents.iter().map(yaml::document).collect::<Vec<_>>().join("---\n")
}

fn init(cluster: &Cluster, node: &Node) -> Value {
    let mut document = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        // A token that ends soon: nobody joins with it, but the phase must write its roles and cluster-info.
        "bootstrapTokens": [{"ttl": "15m0s"}],
        "localAPIEndpoint": {"advertiseAddress": node.address.to_string(), "bindPort": 6443},
        "nodeRegistration": {
            "name": node.name,
            "criSocket": CRI_SOCKET,
            "imagePullPolicy": "IfNotPresent",
            "kubeletExtraArgs": arguments(&kubelet_flags(node)),
        },
        "patches": {"directory": PATCHES},
    });
    if !cluster.kubeadm.ignore_preflight.is_empty() {
        document["nodeRegistration"]["ignorePreflightErrors"] = json!(cluster.kubeadm.ignore_preflight);
    }
    document
}

/// A node's address, and its second one in a dual-stack cluster.
pub fn addresses(node: &Node) -> impl Iterator<Item = std::net::IpAddr> {
    std::iter::once(node.address).chain(node.second_address)
}

/// The flags of a node's kubelet that differ from node to node.
///
/// `hostname-override` is always said: the certificate names the inventory's name, not the machine's. The
/// control planes' taint is registered with the Node, since with nobody joining pods would land there before
/// `mark-control-plane`.
pub fn kubelet_flags(node: &Node) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::from([
        (
            "node-ip".to_owned(),
            addresses(node).map(|address| address.to_string()).collect::<Vec<_>>().join(","),
        ),
        ("hostname-override".to_owned(), node.name.clone()),
    ]);
    let mut taints = node.taints.clone();
    if node.role == inventory::Role::ControlPlane {
        taints.insert(0, "node-role.kubernetes.io/control-plane:NoSchedule".into());
    }
    if !taints.is_empty() {
        flags.insert("register-with-taints".into(), taints.join(","));
    }
    flags
}

/// The cluster-wide document, which kubeadm stores in kube-system/kubeadm-config.
pub fn cluster_configuration(cluster: &Cluster) -> Value {
    let join = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut names = vec![cluster.api.host.clone(), "localhost".into(), "127.0.0.1".into()];
    names.extend(cluster.api.cert_names.iter().cloned());
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": cluster.name,
        "kubernetesVersion": format!("v{}", cluster.kubernetes),
        "controlPlaneEndpoint": endpoint(cluster),
        "encryptionAlgorithm": match cluster.pki.algorithm {
            inventory::KeyAlgorithm::EcdsaP256 => "ECDSA-P256",
            inventory::KeyAlgorithm::Rsa2048 => "RSA-2048",
        },
        "certificateValidityPeriod": format!("{}h0m0s", cluster.pki.leaf_days * 24),
        "caCertificateValidityPeriod": format!("{}h0m0s", cluster.pki.ca_days * 24),
        "networking": {
            "podSubnet": join(&cluster.network.pods),
            "serviceSubnet": join(&cluster.network.services),
            "dnsDomain": cluster.network.domain,
        },
        "etcd": {"local": {"dataDir": "/var/lib/etcd", "extraArgs": arguments(&etcd_flags(cluster))}},
        "apiServer": component(cluster, &cluster.kubeadm.api_server, Some(names)),
        "controllerManager": component(cluster, &controller_manager_flags(cluster), None),
        "scheduler": component(cluster, &cluster.kubeadm.scheduler, None),
        "proxy": {"disabled": cluster.network.proxy == Proxy::None},
    })
}

/// `existing` from the first day: a member whose disk was emptied refuses to start instead of forming an
/// empty cluster with another one.
fn etcd_flags(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut flags = cluster.etcd.args.clone();
    flags.insert("initial-cluster-state".into(), "existing".into());
    flags
}

fn controller_manager_flags(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut flags = cluster.kubeadm.controller_manager.clone();
    // A new leader asks for a token for each of its controllers before it starts any: at the default of 20 a second
    // that is 4 to 5 s in which nothing is controlled. The apiserver has its own way to be fair.
    for flag in ["kube-api-qps", "kube-api-burst"] {
        flags.entry(flag.into()).or_insert_with(|| "100".into());
    }
    if cluster.network.cni == Cni::Routes {
        // The plan chose each node's piece, so that CNI configuration and routes lie there before the kubelet starts.
        flags.entry("allocate-node-cidrs".into()).or_insert_with(|| "false".into());
    }
    flags
}

/// One component: its flags, a volume for each file that a flag names, and an apiserver's names.
fn component(cluster: &Cluster, flags: &BTreeMap<String, String>, names: Option<Vec<String>>) -> Value {
    let mut value = Map::new();
    if let Some(names) = names {
        value.insert("certSANs".into(), json!(names));
    }
    if !flags.is_empty() {
        value.insert("extraArgs".into(), arguments(flags));
    }
    let volumes: Vec<Value> = cluster
        .kubeadm
        .files
        .keys()
        .filter(|path| !path.starts_with("/etc/kubernetes/pki/") && flags.values().any(|value| value == *path))
        .enumerate()
        .map(|(i, path)| {
            json!({"name": format!("file-{i}"), "hostPath": path, "mountPath": path, "readOnly": true, "pathType": "File"})
        })
        .collect();
    if !volumes.is_empty() {
        value.insert("extraVolumes".into(), Value::Array(volumes));
    }
    Value::Object(value)
}

fn arguments(flags: &BTreeMap<String, String>) -> Value {
    flags.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// The `KubeletConfiguration`, with every field that kubeadm prints (zero values too), so that a worker's
/// file and the cluster's ConfigMap are the same text.
pub fn kubelet(cluster: &Cluster, cgroups: Cgroups) -> Value {
    let mut value = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"cacheTTL": "0s", "enabled": true},
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
        },
        "authorization": {
            "mode": "Webhook",
            "webhook": {"cacheAuthorizedTTL": "0s", "cacheUnauthorizedTTL": "0s"},
        },
        "cgroupDriver": cgroups.driver(),
        "clusterDNS": [dns_address(cluster)],
        "clusterDomain": cluster.network.domain,
        "containerRuntimeEndpoint": "",
        "cpuManagerReconcilePeriod": "0s",
        "crashLoopBackOff": {},
        "evictionPressureTransitionPeriod": "0s",
        "fileCheckFrequency": "0s",
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "httpCheckFrequency": "0s",
        "imageMaximumGCAge": "0s",
        "imageMinimumGCAge": "0s",
        "logging": {
            "flushFrequency": 0,
            "options": {"json": {"infoBufferSize": "0"}, "text": {"infoBufferSize": "0"}},
            "verbosity": 0,
        },
        "memorySwap": {},
        "nodeStatusReportFrequency": "0s",
        "nodeStatusUpdateFrequency": "0s",
        "rotateCertificates": true,
        "runtimeRequestTimeout": "0s",
        "shutdownGracePeriod": "0s",
        "shutdownGracePeriodCriticalPods": "0s",
        "staticPodPath": "/etc/kubernetes/manifests",
        "streamingConnectionIdleTimeout": "0s",
        "syncFrequency": "0s",
        "volumeStatsAggPeriod": "0s",
    });
    if cgroups.v1 {
        value["failCgroupV1"] = false.into();
    }
    if cluster.host.container {
        // Swap and the disk belong to the host that the nodes share.
        value["failSwapOn"] = false.into();
        value["imageGCHighThresholdPercent"] = 100.into();
        value["evictionHard"] =
            json!({"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"});
    }
    lay_over(&mut value, &Value::Object(cluster.kubelet.clone()));
    value
}

/// A node's `/var/lib/kubelet/config.yaml`: the cluster's document and the runtime's socket, as kubeadm
/// merges them from `instance-config.yaml`.
pub fn kubelet_on_node(cluster: &Cluster, cgroups: Cgroups) -> String {
    let mut value = kubelet(cluster, cgroups);
    value["containerRuntimeEndpoint"] = CRI_SOCKET.into();
    yaml::document(&value)
}

/// The `KubeProxyConfiguration`.
pub fn kube_proxy(cluster: &Cluster) -> Value {
    let mode = match cluster.network.proxy {
        Proxy::Iptables => "iptables",
        Proxy::Ipvs => "ipvs",
        Proxy::Nftables | Proxy::None => "nftables",
    };
    let mut value = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
    });
    if cluster.host.container {
        // Its sysctl is not a container's to write.
        value["conntrack"] = json!({"maxPerCore": 0});
    }
    lay_over(&mut value, &Value::Object(cluster.kubeadm.kube_proxy.clone()));
    value
}

/// The tenth address of the service network, as kubeadm chooses it (constants.GetDNSIP).
pub fn dns_address(cluster: &Cluster) -> String {
    service_address(cluster, 10)
}

/// The first address of the service network: the API's (constants.GetAPIServerVirtualIP).
pub fn api_address(cluster: &Cluster) -> String {
    service_address(cluster, 1)
}

fn service_address(cluster: &Cluster, number: u32) -> String {
    let Some(net) = cluster.network.services.first() else { return String::new() };
    match net.network() {
        std::net::IpAddr::V4(first) => std::net::Ipv4Addr::from(u32::from(first) + number).to_string(),
        std::net::IpAddr::V6(first) => {
            std::net::Ipv6Addr::from(u128::from(first) + u128::from(number)).to_string()
        }
    }
}

fn lay_over(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}
