//! What on this host would hurt a lab, each with what mends it. Reads only; changes nothing.

mod seen;

use crate::packages;
use seen::Seen;
use std::path::PathBuf;

/// What a lab would need.
#[derive(Debug, Clone)]
pub struct Want {
    /// How many nodes shall run at the same time.
    pub nodes: u64,
    /// Folder of the labs; it need not exist yet.
    pub labs_dir: PathBuf,
    /// Folder of the cache; it need not exist yet.
    pub cache: PathBuf,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A lab cannot work before this is mended.
    Blocks,
    /// A lab may work, but slowly or in part.
    Hurts,
}

/// Something that would hurt a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub what: String,
    /// What mends it: a command or a sentence.
    pub mend: String,
}

/// Looks at this host. What cannot be read counts as being in order.
#[must_use]
pub fn check(want: &Want) -> Vec<Finding> {
    let mut findings = judge(&Seen::now(want), want.nodes);
    findings.sort_by_key(|f| f.severity);
    findings
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// A control plane with its kubelet, etcd and containerd, measured on Kubernetes 1.36 (450 MiB), and some air.
const MEMORY_A_NODE: u64 = 600 * MIB;
/// Root file system, images, and room to build them.
const DISK: u64 = 6 * GIB;
/// What a node writes: logs, etcd, unpacked containers.
const DISK_A_NODE: u64 = 512 * MIB;
/// inotify instances of a control plane, measured on Kubernetes 1.36: 6 of Debian, 2 of containerd, 7 of the kubelet,
/// 6 of the apiserver, 7 of the controller manager. All nodes share one user's allowance.
const INSTANCES_A_NODE: u64 = 28;
/// inotify watches of a node, with air (60 were measured): cAdvisor watches every control group.
const WATCHES_A_NODE: u64 = 1024;

fn judge(seen: &Seen, nodes: u64) -> Vec<Finding> {
    let mut findings = host_findings(seen);
    findings.extend(size_findings(seen, nodes));
    findings.extend(network_findings(seen));
    findings
}

fn finding(severity: Severity, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { severity, what: what.into(), mend: mend.into() }
}

fn host_findings(seen: &Seen) -> Vec<Finding> {
    use Severity::{Blocks, Hurts};
    let mut found = Vec::new();
    if !seen.root {
        found.push(finding(Blocks, "not root: containers, mounts and bridges need it", "run it with sudo"));
    }
    if !seen.missing_packages.is_empty() {
        let what = format!("packages are missing: {}", seen.missing_packages.join(", "));
        found.push(finding(Blocks, what, packages::command(&seen.missing_packages)));
    }
    if let Some(why) = &seen.cgroups {
        let mend =
            "boot a host with systemd (any current distribution), or one with cgroup v1 hierarchies mounted";
        found.push(finding(Blocks, why, mend));
    }
    for part in &seen.missing_kernel {
        let what = format!("the kernel has no `{part}`");
        found.push(finding(Blocks, what, format!("modprobe {part}, or another kernel")));
    }
    if seen.swap {
        let mend = "swapoff -a, or leave it: nodes of a lab tell their kubelet to live with it";
        found.push(finding(Hurts, "this host swaps, so etcd may be slow", mend));
    }
    if !seen.kmsg {
        let what = "there is no /dev/kmsg, which a kubelet reads to see processes that ran out of memory";
        found.push(finding(Hurts, what, "mknod /dev/kmsg c 1 11"));
    }
    found
}

fn size_findings(seen: &Seen, nodes: u64) -> Vec<Finding> {
    use Severity::{Blocks, Hurts};
    let mut found = Vec::new();
    let gib = |bytes: u64| format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB);
    let memory = MEMORY_A_NODE * nodes;
    if let Some(have) = seen.memory.filter(|have| *have < memory) {
        let what = format!("{} of memory are free, {nodes} nodes want {}", gib(have), gib(memory));
        found.push(finding(
            if have < memory / 2 { Blocks } else { Hurts },
            what,
            "stop other programs, or take fewer nodes",
        ));
    }
    let disk = DISK + DISK_A_NODE * nodes;
    let mut devices = std::collections::BTreeSet::new();
    for at in &seen.disk {
        let dir = at.dir.display();
        if matches!(at.kind.as_str(), "overlay" | "nfs" | "nfs4" | "cifs" | "9p" | "fuseblk" | "vfat") {
            let what = format!("{dir} lies on {}, which cannot hold the root of a node", at.kind);
            found.push(finding(Blocks, what, "choose a folder on ext4, xfs or btrfs"));
        }
        if devices.insert(&at.device) && at.available < disk {
            let what = format!("{} are free for {dir}, {nodes} nodes want {}", gib(at.available), gib(disk));
            found.push(finding(
                if at.available < disk / 3 { Blocks } else { Hurts },
                what,
                "free some of that disk",
            ));
        }
    }
    if devices.len() > 1 {
        let what = "labs and their cache lie on two file systems, so every node copies all images";
        found.push(finding(Hurts, what, "put both on one file system"));
    }
    let mut limit = |name: &str, have: Option<u64>, want: u64| {
        if let Some(have) = have.filter(|have| *have < want) {
            let what = format!("fs.inotify.{name} is {have}, {nodes} nodes and what runs here want {want}");
            found.push(finding(
                Hurts,
                what,
                format!("sysctl -w fs.inotify.{name}={}", want.next_power_of_two()),
            ));
        }
    };
    limit("max_user_instances", seen.inotify_instances, seen.inotify_in_use + INSTANCES_A_NODE * nodes);
    limit("max_user_watches", seen.inotify_watches, WATCHES_A_NODE * nodes);
    found
}

fn network_findings(seen: &Seen) -> Vec<Finding> {
    use Severity::{Blocks, Hurts};
    let mut found = Vec::new();
    if let Some(why) = &seen.subnet {
        let what = format!("{why}: routes of this host cover all of it");
        found.push(finding(Blocks, what, "take labs down, or leave the VPN that routes it (`ip route`)"));
    }
    if seen.bridge_calls_iptables && seen.forward_drops {
        let what = "iptables drops forwarded packets (Docker does so), and br_netfilter sends those of bridges \
                    through it: nodes will not reach each other";
        found.push(finding(Blocks, what, "iptables -I FORWARD -i 'rk-+' -o 'rk-+' -j ACCEPT"));
    }
    if seen.firewalld {
        let what = "firewalld runs, and may reject what nodes send to this host";
        found.push(finding(Hurts, what, "firewall-cmd --zone=trusted --add-source=10.213.0.0/16"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::seen::Disk;
    use super::*;

    fn good() -> Seen {
        let at = |dir: &str| Disk {
            dir: dir.into(),
            device: "/dev/vda".into(),
            kind: "ext4".into(),
            available: 9 * GIB,
        };
        Seen {
            root: true,
            disk: vec![at("/labs"), at("/cache")],
            memory: Some(8 * GIB),
            inotify_instances: Some(512),
            inotify_watches: Some(1 << 20),
            kmsg: true,
            ..Seen::default()
        }
    }

    #[test]
    fn a_good_host_has_no_findings_and_what_is_unknown_is_none() {
        assert_eq!(judge(&good(), 4), []);
        let unknown =
            Seen { disk: vec![], memory: None, inotify_instances: None, inotify_watches: None, ..good() };
        assert_eq!(judge(&unknown, 4), []);
    }

    #[test]
    fn each_trouble_has_its_mend() {
        let other =
            Disk { dir: "/labs".into(), device: "none".into(), kind: "overlay".into(), available: GIB };
        let bad = Seen {
            root: false,
            missing_packages: vec!["mmdebstrap", "systemd-container"],
            cgroups: Some("it has cgroup v2, but systemd does not run to delegate groups of it".into()),
            missing_kernel: vec!["nf_tables"],
            subnet: Some("no free subnet is left in 10.213.0.0/16".into()),
            disk: vec![other, good().disk[1].clone()],
            memory: Some(2 * GIB),
            inotify_instances: Some(100),
            inotify_in_use: 20,
            inotify_watches: Some(1000),
            swap: true,
            bridge_calls_iptables: true,
            forward_drops: true,
            firewalld: true,
            kmsg: false,
        };
        let lines: Vec<String> =
            judge(&bad, 4).iter().map(|f| format!("{:?}: {}\n    {}", f.severity, f.what, f.mend)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        Blocks: not root: containers, mounts and bridges need it
            run it with sudo
        Blocks: packages are missing: mmdebstrap, systemd-container
            apt-get install --no-install-recommends mmdebstrap systemd-container
        Blocks: it has cgroup v2, but systemd does not run to delegate groups of it
            boot a host with systemd (any current distribution), or one with cgroup v1 hierarchies mounted
        Blocks: the kernel has no `nf_tables`
            modprobe nf_tables, or another kernel
        Hurts: this host swaps, so etcd may be slow
            swapoff -a, or leave it: nodes of a lab tell their kubelet to live with it
        Hurts: there is no /dev/kmsg, which a kubelet reads to see processes that ran out of memory
            mknod /dev/kmsg c 1 11
        Hurts: 2.0 GiB of memory are free, 4 nodes want 2.3 GiB
            stop other programs, or take fewer nodes
        Blocks: /labs lies on overlay, which cannot hold the root of a node
            choose a folder on ext4, xfs or btrfs
        Blocks: 1.0 GiB are free for /labs, 4 nodes want 8.0 GiB
            free some of that disk
        Hurts: labs and their cache lie on two file systems, so every node copies all images
            put both on one file system
        Hurts: fs.inotify.max_user_instances is 100, 4 nodes and what runs here want 132
            sysctl -w fs.inotify.max_user_instances=256
        Hurts: fs.inotify.max_user_watches is 1000, 4 nodes and what runs here want 4096
            sysctl -w fs.inotify.max_user_watches=4096
        Blocks: no free subnet is left in 10.213.0.0/16: routes of this host cover all of it
            take labs down, or leave the VPN that routes it (`ip route`)
        Blocks: iptables drops forwarded packets (Docker does so), and br_netfilter sends those of bridges through it: nodes will not reach each other
            iptables -I FORWARD -i 'rk-+' -o 'rk-+' -j ACCEPT
        Hurts: firewalld runs, and may reject what nodes send to this host
            firewall-cmd --zone=trusted --add-source=10.213.0.0/16
        "#);
    }

    #[test]
    fn docker_alone_and_br_netfilter_alone_are_no_trouble() {
        assert_eq!(judge(&Seen { forward_drops: true, ..good() }, 4), []);
        assert_eq!(judge(&Seen { bridge_calls_iptables: true, ..good() }, 4), []);
    }
}
