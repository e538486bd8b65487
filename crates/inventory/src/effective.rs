//! A cluster as TOML with every default written out: what `check` prints, and what changes are seen by.

use crate::Keep;
use crate::cluster::*;
use crate::value::duration_text;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use toml::{Table, Value};

/// One section of the file: its name, and its keys in their order.
type Section = (&'static str, Vec<(String, Value)>);

/// The inventory with every default written out. It parses to the same cluster.
pub fn effective(cluster: &Cluster) -> String {
    let mut text = String::new();
    for (name, keys) in sections(cluster).into_iter().filter(|(_, keys)| !keys.is_empty()) {
        text += &format!("{}[{name}]\n", if text.is_empty() { "" } else { "\n" });
        let width = keys.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        for (key, value) in keys {
            // Only nodes are read as columns.
            let width = if name == "nodes" { width } else { 0 };
            text += &format!("{key:width$} = {value}\n");
        }
    }
    text
}

/// Every key that is set with its value as TOML, in the order of the file; nodes key by key.
pub(crate) fn entries(cluster: &Cluster) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    for (section, keys) in sections(cluster) {
        if section == "kubelet" && !keys.is_empty() {
            entries.push(("kubelet".into(), Value::Table(keys.into_iter().collect()).to_string()));
            continue;
        }
        for (key, value) in keys {
            match value {
                Value::Table(table) if section == "nodes" || key == "ca" || key == "keep" => entries.extend(
                    table
                        .into_iter()
                        .map(|(inner, value)| (format!("{section}.{key}.{inner}"), value.to_string())),
                ),
                value => entries.push((format!("{section}.{key}"), value.to_string())),
            }
        }
    }
    entries
}

/// A node as its line of the file has it.
pub(crate) fn node_line(node: &Node) -> String {
    node_value(node).to_string()
}

fn sections(cluster: &Cluster) -> Vec<Section> {
    let Cluster { name, kubernetes, nodes, api, network, etcd, artifacts, host, .. } = cluster;
    vec![
        (
            "cluster",
            keys([("name", Some(name.as_str().into())), ("kubernetes", Some(kubernetes.to_string().into()))]),
        ),
        ("nodes", nodes.iter().map(|node| (node.name.clone(), node_value(node))).collect()),
        (
            "api",
            keys([
                ("mode", written(&api.mode)),
                ("endpoint", Some(host_and_port(&api.host, api.port).into())),
                ("cert-names", list(&api.cert_names)),
            ]),
        ),
        (
            "network",
            keys([
                ("pods", list(&network.pods)),
                ("services", list(&network.services)),
                ("domain", Some(network.domain.as_str().into())),
                ("cni", written(&network.cni)),
                ("proxy", written(&network.proxy)),
            ]),
        ),
        ("ssh", ssh(&cluster.ssh)),
        ("etcd", keys([("args", map(&etcd.args))])),
        ("pki", pki(&cluster.pki)),
        ("archive", archive(&cluster.archive)),
        ("artifacts", keys([("source", written(&artifacts.source))])),
        ("kubeadm", kubeadm(&cluster.kubeadm)),
        ("kubelet", overlay(&cluster.kubelet).into_iter().collect()),
        ("host", keys([("container", Some(host.container.into()))])),
    ]
}

fn node_value(node: &Node) -> Value {
    let address = match node.second_address {
        Some(second) => Value::from(vec![node.address.to_string(), second.to_string()]),
        None => node.address.to_string().into(),
    };
    let table = keys([
        ("address", Some(address)),
        ("ssh", Some(host_and_port(&node.ssh.host, node.ssh.port).into())),
        ("role", written(&node.role)),
        ("user", Some(node.ssh.user.as_str().into())),
        ("labels", map(&node.labels)),
        ("taints", list(&node.taints)),
        ("pod-cidr", list(&node.pod_cidrs)),
    ]);
    Value::Table(table.into_iter().collect())
}

fn ssh(ssh: &Ssh) -> Vec<(String, Value)> {
    let bastion = ssh
        .bastion
        .as_ref()
        .map(|target| format!("{}@{}", target.user, host_and_port(&target.host, target.port)).into());
    keys([("identity", paths(&ssh.identity)), ("known-hosts", paths(&ssh.known_hosts)), ("bastion", bastion)])
}

fn pki(pki: &Pki) -> Vec<(String, Value)> {
    let ca = pki.own_ca.as_ref().map(|ca| {
        let table = keys([("certificate", Some(path(&ca.certificate))), ("key", Some(path(&ca.key)))]);
        Value::Table(table.into_iter().collect())
    });
    keys([
        ("algorithm", written(&pki.algorithm)),
        ("ca-days", Some(i64::from(pki.ca_days).into())),
        ("leaf-days", Some(i64::from(pki.leaf_days).into())),
        ("ca", ca),
    ])
}

fn archive(archive: &Archive) -> Vec<(String, Value)> {
    let to: Vec<Value> = archive.to.iter().map(destination).collect();
    keys([
        ("to", Some(to.into())),
        ("recipients", list(&archive.recipients)),
        ("identity-command", list(&archive.identity_command)),
        ("trust", archive.trust.as_deref().map(Into::into)),
        ("every", archive.every.map(|every| duration_text(every).into())),
        ("keep", Some(keep(archive.keep))),
        ("payload", Some(archive.payload.into())),
    ])
}

fn keep(keep: Keep) -> Value {
    let Keep { last, daily, monthly } = keep;
    let number = |number: u32| Some(i64::from(number).into());
    let keys = keys([("last", number(last)), ("daily", number(daily)), ("monthly", number(monthly))]);
    Value::Table(keys.into_iter().collect())
}

/// A folder of the operator's by its path, anything else with all that is so of it.
pub(crate) fn destination(destination: &Destination) -> Value {
    let Destination { place, from, domain, credentials } = destination;
    if *destination == Destination::folder(destination.url()) {
        return destination.url().into();
    }
    let text = |text: &Option<String>| text.as_deref().map(Into::into);
    let mut table = keys([
        ("url", Some(destination.url().into())),
        ("from", written(from)),
        ("domain", text(domain)),
        ("credentials", credentials.as_ref().and_then(written)),
    ]);
    match place {
        Place::Folder { mounted, .. } => table.extend(keys([("mounted", Some((*mounted).into()))])),
        Place::S3(bucket) => table.extend(keys([
            ("endpoint", text(&bucket.endpoint)),
            ("region", text(&bucket.region)),
            ("path-style", Some(bucket.path_style.into())),
            ("ca", bucket.ca.as_deref().map(path)),
        ])),
        Place::Ssh { .. } => {}
    }
    Value::Table(table.into_iter().collect())
}

fn kubeadm(kubeadm: &Kubeadm) -> Vec<(String, Value)> {
    let files = |files: &BTreeMap<String, PathBuf>| {
        let table: Table = files.iter().map(|(name, file)| (name.clone(), path(file))).collect();
        (!table.is_empty()).then_some(Value::Table(table))
    };
    let proxy = overlay(&kubeadm.kube_proxy);
    keys([
        ("api-server", map(&kubeadm.api_server)),
        ("controller-manager", map(&kubeadm.controller_manager)),
        ("scheduler", map(&kubeadm.scheduler)),
        ("kube-proxy", (!proxy.is_empty()).then_some(Value::Table(proxy))),
        ("patches", files(&kubeadm.patches)),
        ("files", files(&kubeadm.files)),
        ("ignore-preflight", list(&kubeadm.ignore_preflight)),
    ])
}

fn keys<const N: usize>(keys: [(&str, Option<Value>); N]) -> Vec<(String, Value)> {
    keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn written(value: &impl Serialize) -> Option<Value> {
    Value::try_from(value).ok()
}

fn list<T: ToString>(list: &[T]) -> Option<Value> {
    let strings: Vec<String> = list.iter().map(T::to_string).collect();
    (!strings.is_empty()).then(|| strings.into())
}

fn paths(list: &[PathBuf]) -> Option<Value> {
    (!list.is_empty()).then(|| list.iter().map(|file| path(file)).collect::<Vec<_>>().into())
}

fn path(path: &std::path::Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

fn map(map: &BTreeMap<String, String>) -> Option<Value> {
    let table: Table = map.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    (!table.is_empty()).then_some(Value::Table(table))
}

/// JSON that came from TOML: it holds no null.
fn overlay(map: &serde_json::Map<String, serde_json::Value>) -> Table {
    map.iter().filter_map(|(key, value)| Some((key.clone(), written(value)?))).collect()
}

fn host_and_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}
