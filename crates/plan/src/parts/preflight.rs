//! What would make bring-up fail, found before anything is changed: all problems of all nodes at once.

use crate::Answers;
use inventory::{Cluster, Role};
use std::collections::BTreeMap;
use step::HostId;

/// One problem of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The node.
    pub host: HostId,
    /// What is wrong.
    pub what: String,
    /// What mends it.
    pub hint: String,
}

/// More than this between a node's clock and ours, in seconds, and certificates are born in the future.
const CLOCK: i64 = 30;
/// kubeadm's own minimum, in KiB (preflight check Mem: 1700 MB).
const MEMORY: u64 = 1_700_000_000 / 1024;
/// Binaries, images and etcd need more than this, in KiB.
const DISK: u64 = 2 << 20;

/// Every problem. `now` is Unix time, in seconds.
pub fn problems(cluster: &Cluster, answers: &Answers, now: i64) -> Vec<Problem> {
    let mut found = Vec::new();
    for (host, answer) in answers {
        let Some(node) = cluster.node(host.as_str()) else { continue };
        let mut add =
            |what: String, hint: &str| found.push(Problem { host: host.clone(), what, hint: hint.into() });
        let (facts, today) = (&answer.facts, &answer.today);
        if !["debian", "ubuntu"].contains(&facts.os.as_str()) {
            // What else it lacks is no news.
            add(
                format!("runs {} {}", facts.os, facts.os_version),
                "nodes are prepared on Debian and Ubuntu for now: install one of them there",
            );
            continue;
        }
        if !["x86_64", "aarch64"].contains(&facts.arch.as_str()) {
            add(format!("is an {} machine", facts.arch), "Kubernetes is taken for x86_64 and aarch64");
        }
        if !facts.systemd {
            add("does not run systemd".into(), "kubelet and containerd run as its units");
        }
        if !facts.root {
            add("scripts do not run as root there".into(), "log in as root, or give the user sudo rights");
        }
        let skew = today.time - now;
        if skew.abs() > CLOCK {
            let (by, way) = (skew.abs(), if skew > 0 { "ahead of" } else { "behind" });
            add(
                format!("its clock is {by} s {way} ours"),
                "let it follow a time server: `timedatectl set-ntp true`",
            );
        }
        if facts.memory < MEMORY && !cluster.host.container {
            add(format!("has {} MiB of memory", facts.memory / 1024), "kubeadm asks for 1700 MB");
        }
        if today.disk < DISK {
            add(format!("has {} MiB free below /var/lib", today.disk / 1024), "2 GiB are needed at least");
        }
        if !facts.has.contains("apt-get") && !facts.has.contains("socat") {
            add(
                "has no apt-get".into(),
                "install conntrack, curl, ethtool, iptables, nftables, openssl and socat by hand",
            );
        }
        // Where a cluster stands, it is the one that listens.
        if today.cluster.is_none() && today.ca.is_none() {
            for port in ports(node.role).into_iter().filter(|port| today.listens.contains(port)) {
                add(
                    format!("something listens on port {port} already"),
                    &format!("`ss -ltnp 'sport = :{port}'` names it"),
                );
            }
        }
    }
    found.extend(twins(answers));
    found.extend(other_architectures(answers));
    found
}

/// Ports of kubeadm's components (kubernetes.io/docs/reference/networking/ports-and-protocols).
fn ports(role: Role) -> Vec<u16> {
    match role {
        Role::ControlPlane => vec![6443, 2379, 2380, 2381, 10250, 10257, 10259],
        Role::Worker => vec![6443, 10250],
        Role::Etcd => vec![2379, 2380, 2381],
    }
}

/// Nodes whose architecture is not that of most of them: programs and images are of one.
fn other_architectures(answers: &Answers) -> Vec<Problem> {
    let mut by_arch: BTreeMap<&str, Vec<&HostId>> = BTreeMap::new();
    for (host, answer) in answers {
        by_arch.entry(&answer.facts.arch).or_default().push(host);
    }
    let most = by_arch.iter().max_by_key(|(_, hosts)| hosts.len()).map_or("", |(arch, _)| arch);
    let other = by_arch.iter().filter(|(arch, _)| **arch != most);
    other
        .flat_map(|(arch, hosts)| hosts.iter().map(move |host| (arch, *host)))
        .map(|(arch, host)| Problem {
            host: host.clone(),
            what: format!("is an {arch} machine, others are {most}"),
            hint: "nodes of a cluster have one architecture for now".into(),
        })
        .collect()
}

/// Machines that were cloned with their machine-id.
fn twins(answers: &Answers) -> Vec<Problem> {
    let mut by_id: BTreeMap<&str, Vec<&HostId>> = BTreeMap::new();
    for (host, answer) in answers {
        if !answer.facts.machine_id.is_empty() {
            by_id.entry(&answer.facts.machine_id).or_default().push(host);
        }
    }
    let shared = by_id.values().filter(|hosts| hosts.len() > 1);
    shared
        .map(|hosts| {
            let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            Problem {
                host: hosts[0].clone(),
                what: format!("the same /etc/machine-id on {}", names.join(", ")),
                hint: "on a clone: rm /etc/machine-id; systemd-machine-id-setup; reboot".into(),
            }
        })
        .collect()
}
