//! What this host's kernel gives to nodes, where that differs from an ordinary machine.

use crate::cgroup::Cgroups;
use crate::{Error, Result};
use std::fs;
use std::path::Path;

/// What differs on nodes of this host from ordinary machines. The lab knows no Kubernetes settings: each field names
/// what a cluster's configuration should take into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Nodes have cgroup v1: kubelet `failCgroupV1: false` and `cgroupDriver: cgroupfs`, containerd's runc
    /// `SystemdCgroup = false`, preflight ignores `SystemVerification`.
    pub cgroup_v1: bool,
    /// Nodes cannot lower OOM scores (no `CAP_SYS_RESOURCE`): containerd's CRI `restrict_oom_score_adj = true`, else
    /// runc fails with `can't get final child's PID from pipe: EOF`.
    pub no_oom_score: bool,
    /// There is no hugetlb controller: containerd's CRI `tolerate_missing_hugetlb_controller = true`.
    pub no_hugetlb: bool,
    /// The host swaps, and nodes cannot switch that off: kubelet `failSwapOn: false`, preflight ignores `Swap`.
    pub swap: bool,
    /// Nodes share the host's disk and memory: kubelet's `evictionHard` of the disk at 0 %,
    /// `imageGCHighThresholdPercent: 100`. Always true here.
    pub shared_disk: bool,
    /// Settings of connection tracking are the host's: kube-proxy `conntrack.maxPerCore: 0`. Always true here.
    pub shared_conntrack: bool,
    /// The kernel has no `br_netfilter`: preflight ignores `FileContent--proc-sys-net-bridge-bridge-nf-call-iptables`.
    pub no_bridge_netfilter: bool,
}

impl Quirks {
    /// Reads them from the running kernel.
    ///
    /// # Errors
    /// Where the host's cgroups cannot be read, or no node can run on them.
    pub fn of_this_host() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).map_err(Error::file("read", path));
        let cgroups = Cgroups::of_this_host()?;
        Ok(Self {
            cgroup_v1: matches!(cgroups, Cgroups::V1(_)),
            no_oom_score: !has_capability(&read("/proc/self/status")?, CAP_SYS_RESOURCE),
            no_hugetlb: !cgroups.has("hugetlb")?,
            swap: swaps(&read("/proc/swaps")?) > 0,
            shared_disk: true,
            shared_conntrack: true,
            no_bridge_netfilter: !Path::new("/proc/sys/net/bridge").exists(),
        })
    }
}

/// `linux/capability.h`
const CAP_SYS_RESOURCE: u32 = 24;

/// Whether a process with this `/proc/PID/status` may have a capability at all.
fn has_capability(status: &str, capability: u32) -> bool {
    let set = status.lines().find_map(|l| l.strip_prefix("CapBnd:"));
    set.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|set| set >> capability & 1 == 1)
}

/// How many swap areas `/proc/swaps` lists.
pub(crate) fn swaps(text: &str) -> usize {
    text.lines().skip(1).filter(|l| !l.trim().is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_read_from_the_bounding_set() {
        for (set, has) in [("000001ffffffffff", true), ("000001fffeffffff", false), ("", false), ("x", false)]
        {
            let status = format!("Name:\tsh\nCapEff:\t000001ffffffffff\nCapBnd:\t{set}\n");
            assert_eq!(has_capability(&status, CAP_SYS_RESOURCE), has, "{set}");
        }
    }

    #[test]
    fn swap_areas_are_counted_without_the_heading() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert_eq!(swaps(heading), 0);
        assert_eq!(swaps(&format!("{heading}/swapfile file 1 0 -2\n/dev/sda2 partition 1 0 -3\n")), 2);
    }
}
