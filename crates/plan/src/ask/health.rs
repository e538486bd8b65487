//! `status`: what the real thing says of itself, asked on one control plane.

use super::survey::{Member, member, number};
use crate::kubeadm::{dns_address, host_port};
use inventory::Cluster;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use step::{Ask, Output, Script, Unreadable};

/// The cluster as one control plane sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What each control plane's apiserver answered at `/readyz`: `ok`, or why not.
    pub apiservers: BTreeMap<String, String>,
    /// etcd's members.
    pub members: Vec<Member>,
    /// Members that answered, by id (decimal): leader's id, revision.
    pub answering: BTreeMap<String, (String, u64)>,
    /// etcd's alarms.
    pub alarms: Vec<String>,
    /// Nodes by name.
    pub nodes: BTreeMap<String, NodeHealth>,
    /// CoreDNS's replicas, ready of wanted.
    pub coredns: String,
    /// Webhooks and APIs that a rebuild set aside: kind, name, and the services that they wait for.
    pub aside: Vec<String>,
    /// `ok` when the cluster's DNS service answered a question, else why not.
    pub dns: String,
}

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeHealth {
    /// Its condition Ready is True.
    pub ready: bool,
    /// Its kubelet's version.
    pub kubelet: String,
    /// Its InternalIP.
    pub address: String,
}

impl Health {
    /// What is not as promised, in words; empty when all is well.
    pub fn complaints(&self, cluster: &Cluster) -> Vec<String> {
        let mut found = Vec::new();
        for (name, said) in &self.apiservers {
            if said != "ok" {
                found.push(format!("{name}: its apiserver is not ready: {said}"));
            }
        }
        let wanted: BTreeSet<&str> = cluster.etcd_nodes().map(|node| node.name.as_str()).collect();
        let have: BTreeSet<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        for name in wanted.difference(&have) {
            found.push(format!("{name}: not a member of etcd"));
        }
        for name in have.difference(&wanted) {
            found.push(format!("{name}: a member of etcd that the inventory does not know"));
        }
        found.extend(
            self.members
                .iter()
                .filter(|member| member.learner)
                .map(|m| format!("{}: a learner still", m.name)),
        );
        if self.answering.len() < self.members.len() {
            found.push(format!("etcd: {} of {} members answer", self.answering.len(), self.members.len()));
        }
        let leaders: BTreeSet<&str> = self.answering.values().map(|(leader, _)| leader.as_str()).collect();
        if leaders.len() != 1 || leaders.contains("0") {
            found.push("etcd: its members do not name one leader".into());
        }
        found.extend(self.alarms.iter().map(|alarm| format!("etcd: alarm {alarm}")));
        for node in cluster.nodes.iter().filter(|node| node.role != inventory::Role::Etcd) {
            match self.nodes.get(&node.name) {
                None => found.push(format!("{}: no Node", node.name)),
                Some(health) if !health.ready => found.push(format!("{}: not Ready", node.name)),
                Some(_) => {}
            }
        }
        let aside =
            |one: &String| format!("a rebuild set aside {one}: `rekindle up` puts it back when that answers");
        found.extend(self.aside.iter().map(aside));
        if self.dns != "ok" {
            found.push(format!("DNS: {}", self.dns));
        }
        found
    }
}

/// A script that may call `dns_answers`.
pub fn dns(cluster: &Cluster, body: &str) -> Script {
    Script::new(format!("{}{body}", include_str!("dns_answers.sh")))
        .set("DNS", &dns_address(cluster))
        .set("DOMAIN", &cluster.network.domain)
}

/// The question, for one control plane of the cluster.
pub fn health(cluster: &Cluster) -> Ask<Health> {
    let servers: Vec<String> = cluster
        .control_planes()
        .map(|node| format!("{} https://{}", node.name, host_port(&node.address.to_string(), 6443)))
        .collect();
    let script = dns(cluster, concat!(include_str!("../programs.sh"), include_str!("health.sh")))
        .set("SERVERS", &servers.join("\n"));
    Ask { script, parse }
}

fn parse(output: &Output) -> Result<Health, Unreadable> {
    let mut health = Health::default();
    for line in output.stdout.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = value.split(' ').collect();
        match (key, &words[..]) {
            ("apiserver", [name, said @ ..]) => {
                drop(health.apiservers.insert((*name).into(), said.join(" ")))
            }
            ("member", _) => health.members.push(member(value)?),
            ("etcd", [id, revision, leader]) => {
                health.answering.insert((*id).into(), ((*leader).into(), number("revision", revision)?));
            }
            ("alarm", _) => health.alarms.push(value.into()),
            ("node", [name, ready, kubelet, address]) => {
                let node = NodeHealth {
                    ready: *ready == "True",
                    kubelet: (*kubelet).into(),
                    address: (*address).into(),
                };
                health.nodes.insert((*name).into(), node);
            }
            ("aside", [kind, name, services @ ..]) => {
                health.aside.push(format!("{kind} {name} until {}", services.join(", ")))
            }
            ("coredns", _) => health.coredns = value.into(),
            ("dns", _) => health.dns = value.into(),
            _ => return Err(Unreadable(format!("unknown line `{line}`"))),
        }
    }
    if health.dns.is_empty() {
        return Err(Unreadable("the answer was cut off".into()));
    }
    Ok(health)
}
