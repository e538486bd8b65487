//! A kubeadm cluster that somebody else made: what it is, and how an inventory says it.
//!
//! Two questions that change nothing ([`ask_cluster`] of the API, [`ask_node`] of each control plane); what
//! they bring is compared, and becomes the entries of a bundle and the text of an inventory ([`Adoption`]). What an
//! inventory can't say is named, never left out in silence.

mod collected;
mod component;
mod configuration;
mod overlay;
mod text;
mod toml;
mod writer;

pub use collected::{Collected, Refused, collect, named};
pub use configuration::Configuration;
pub use text::{Adoption, Destinations, Machines, Reach, adoption};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use step::{Ask, Output, Script, Unreadable};

/// What the API says of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The apiserver's version, without the `v`.
    pub version: String,
    /// kubeadm's ClusterConfiguration, as YAML.
    pub kubeadm: String,
    /// The KubeletConfiguration that kubeadm keeps, as YAML; empty where there is none.
    pub kubelet: String,
    /// kube-proxy's, likewise.
    pub proxy: String,
    /// Nodes, in the API's order.
    pub nodes: Vec<SeenNode>,
    /// `NAMESPACE/NAME` of each DaemonSet.
    pub daemonsets: BTreeSet<String>,
}

/// A Node.
#[derive(Clone, Debug, Default)]
pub struct SeenNode {
    /// Its name.
    pub name: String,
    /// Its internal addresses.
    pub addresses: Vec<IpAddr>,
    /// Its pieces of the pod networks.
    pub pods: Vec<String>,
    /// The kubelet's version, with its `v`.
    pub kubelet: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// All its taints, `key[=value]:Effect`.
    pub taints: Vec<String>,
}

impl SeenNode {
    /// Whether kubeadm calls it a control plane.
    pub fn is_control_plane(&self) -> bool {
        ["control-plane", "master"]
            .iter()
            .any(|role| self.labels.contains_key(&format!("node-role.kubernetes.io/{role}")))
    }
}

/// What a node says of itself. Files may be keys.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The mark that rekindle left, where it made the cluster.
    pub mark: Option<String>,
    /// Whether our own routes lie there.
    pub routes: bool,
    /// Whether it is a container.
    pub container: bool,
    /// Whether its cgroups are of version 1.
    pub cgroup_v1: bool,
    /// All its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Where `/etc/kubernetes/pki` leads.
    pub pki: String,
    /// Files that were asked for, by path.
    pub files: BTreeMap<String, pki::Secret>,
    /// What was asked for and is no file, or a large one.
    pub other: BTreeSet<String>,
}

/// The question to the API, by way of one control plane. The answer is a refusal in words where that one is none.
pub fn ask_cluster() -> Ask<Result<Seen, String>> {
    Ask { script: Script::new(include_str!("cluster.sh")), parse: seen }
}

/// What every control plane of kubeadm is asked for.
pub const FILES: [&str; 12] = [
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/ca.key",
    "/etc/kubernetes/pki/front-proxy-ca.crt",
    "/etc/kubernetes/pki/front-proxy-ca.key",
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/etcd/ca.key",
    "/etc/kubernetes/pki/sa.key",
    "/etc/kubernetes/pki/sa.pub",
];

/// The question to a node, which also brings these files.
pub fn ask_node<'a>(files: impl IntoIterator<Item = &'a str>) -> Ask<Found> {
    let files: Vec<&str> = files.into_iter().collect();
    Ask { script: Script::new(include_str!("node.sh")).set("FILES", &files.join("\n")), parse: found }
}

fn unreadable(what: &str) -> Unreadable {
    Unreadable(format!("not understood: {what}"))
}

fn decoded(key: &str, value: &str) -> Result<String, Unreadable> {
    let bytes = STANDARD.decode(value).map_err(|_| unreadable(key))?;
    String::from_utf8(bytes).map_err(|_| unreadable(key))
}

fn seen(output: &Output) -> Result<Result<Seen, String>, Unreadable> {
    let mut seen = Seen::default();
    for line in output.stdout.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "refused" => return Ok(Err(value.to_owned())),
            "version" => seen.version = value.into(),
            "kubeadm" => seen.kubeadm = decoded(key, value)?,
            "kubelet" => seen.kubelet = decoded(key, value)?,
            "proxy" => seen.proxy = decoded(key, value)?,
            "node" => seen.nodes.push(node(value)?),
            "daemonset" => drop(seen.daemonsets.insert(value.into())),
            "end" => return Ok(Ok(seen)),
            _ => return Err(unreadable(key)),
        }
    }
    Err(Unreadable("the answer was cut off".into()))
}

/// Name, internal addresses, pod networks, kubelet's version, labels and taints as JSON, a tab between each.
fn node(line: &str) -> Result<SeenNode, Unreadable> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, addresses, pods, kubelet, labels, taints] = fields[..] else { return Err(unreadable("node")) };
    let json = |text: &str| -> Result<Value, Unreadable> {
        if text.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_str(text).map_err(|_| unreadable("node"))
        }
    };
    let labels = json(labels)?.as_object().cloned().unwrap_or_default();
    let taints = json(taints)?.as_array().cloned().unwrap_or_default();
    let taint = |taint: &Value| {
        let field = |name: &str| taint[name].as_str().unwrap_or_default();
        match field("value") {
            "" => format!("{}:{}", field("key"), field("effect")),
            value => format!("{}={value}:{}", field("key"), field("effect")),
        }
    };
    Ok(SeenNode {
        name: name.into(),
        addresses: addresses.split(' ').filter_map(|address| address.parse().ok()).collect(),
        pods: pods.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
        kubelet: kubelet.into(),
        labels: labels
            .into_iter()
            .map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        taints: taints.iter().map(taint).collect(),
    })
}

fn found(output: &Output) -> Result<Found, Unreadable> {
    let mut found = Found::default();
    for line in output.stdout.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "mark" => found.mark = Some(value.into()),
            "routes" => found.routes = true,
            "cgroup" => found.cgroup_v1 = value == "1",
            "container" => found.container = true,
            "address" => found.addresses.extend(value.parse::<IpAddr>()),
            "pki" => found.pki = value.into(),
            "file" => {
                let (path, text) = value.split_once(' ').unwrap_or((value, ""));
                match STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                    Some(text) => drop(found.files.insert(path.into(), text.into())),
                    // No text: nothing that an inventory can name.
                    None => drop(found.other.insert(path.into())),
                }
            }
            "other" => drop(found.other.insert(value.into())),
            "missing" => {}
            "end" => return Ok(found),
            _ => return Err(unreadable(key)),
        }
    }
    Err(Unreadable("the answer was cut off".into()))
}

#[cfg(test)]
mod tests;
