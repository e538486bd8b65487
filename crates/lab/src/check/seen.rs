//! What is read from this host before it is judged.

use super::Want;
use crate::cgroup::Cgroups;
use crate::command::{Run, exists, run};
use crate::{Error, host, network, packages};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The host as it is. `None` where something could not be read.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub(super) root: bool,
    pub(super) missing_packages: Vec<&'static str>,
    pub(super) cgroups: Option<String>,
    pub(super) missing_kernel: Vec<&'static str>,
    pub(super) subnet: Option<String>,
    pub(super) disk: Vec<Disk>,
    pub(super) memory: Option<u64>,
    pub(super) inotify_instances: Option<u64>,
    pub(super) inotify_in_use: u64,
    pub(super) inotify_watches: Option<u64>,
    pub(super) swap: bool,
    pub(super) bridge_calls_iptables: bool,
    pub(super) forward_drops: bool,
    pub(super) firewalld: bool,
    pub(super) kmsg: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) dir: PathBuf,
    pub(super) device: String,
    pub(super) kind: String,
    pub(super) available: u64,
}

impl Seen {
    pub(super) fn now(want: &Want) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let number = |path: &str| read(path).trim().parse().ok();
        let status = read("/proc/self/status");
        let taken = network::routes().unwrap_or_default();
        let subnet = network::choose(&taken.iter().map(|(net, _)| *net).collect::<Vec<_>>());
        Self {
            root: status.lines().any(|l| l.split_whitespace().take(3).eq(["Uid:", "0", "0"])),
            missing_packages: packages::missing(),
            cgroups: Cgroups::of_this_host().err().map(|e| match e {
                Error::Host { why } => why,
                other => other.to_string(),
            }),
            missing_kernel: missing_kernel_parts(),
            subnet: subnet.err().map(|e| e.to_string()),
            disk: [&want.labs_dir, &want.cache].into_iter().filter_map(|dir| disk(dir)).collect(),
            memory: available_memory(&read("/proc/meminfo")),
            inotify_instances: number("/proc/sys/fs/inotify/max_user_instances"),
            inotify_in_use: inotify_in_use(),
            inotify_watches: number("/proc/sys/fs/inotify/max_user_watches"),
            swap: host::swaps(&read("/proc/swaps")) > 0,
            bridge_calls_iptables: number("/proc/sys/net/bridge/bridge-nf-call-iptables") == Some(1),
            forward_drops: run!["iptables", "-w", "-S", "FORWARD"]
                .read()
                .is_ok_and(|rules| rules.lines().any(|l| l == "-P FORWARD DROP")),
            firewalld: exists("firewall-cmd") && run!["firewall-cmd", "--state"].done().is_ok(),
            kmsg: Path::new("/dev/kmsg").exists(),
        }
    }
}

/// inotify instances that root's processes hold (inotify(7)); other labs have most of them.
fn inotify_in_use() -> u64 {
    let roots = |dir: &Path| dir.metadata().is_ok_and(|m| m.uid() == 0);
    let is_instance =
        |fd: &fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:inotify");
    let held = |dir: PathBuf| {
        let fds = fs::read_dir(dir.join("fd")).into_iter().flatten().flatten();
        fds.filter(is_instance).count() as u64
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten().map(|e| e.path());
    let process = |dir: &PathBuf| {
        dir.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
    };
    all.filter(process).filter(|dir| roots(dir)).map(held).sum()
}

/// Kernel parts that cannot be had, each tried in a network namespace that ends with the try.
fn missing_kernel_parts() -> Vec<&'static str> {
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has_overlay = filesystems.split_whitespace().any(|word| word == "overlay");
    let overlay = has_overlay || run!["modprobe", "--dry-run", "overlay"].done().is_ok();
    let tried = |command: &[&str]| {
        let apart = ["unshare", "--net"];
        // Where the program itself is missing, nothing is known of the kernel.
        command.first().is_none_or(|p| !exists(p)) || Run::new(apart.iter().chain(command)).done().is_ok()
    };
    let parts = [
        ("overlay", overlay),
        ("bridge", tried(&["ip", "link", "add", "name", "b0", "type", "bridge"])),
        ("veth", tried(&["ip", "link", "add", "name", "v0", "type", "veth", "peer", "name", "v1"])),
        ("nf_tables", tried(&["nft", "list", "tables"])),
    ];
    parts.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect()
}

/// The file system that a folder lies on or will lie on.
fn disk(dir: &Path) -> Option<Disk> {
    let there = dir.ancestors().find(|d| d.is_dir())?;
    let text = run!["df", "--block-size=1", "--output=source,fstype,avail", there].read().ok()?;
    parse_df(&text, dir)
}

fn parse_df(text: &str, dir: &Path) -> Option<Disk> {
    let mut words = text.lines().nth(1)?.split_whitespace();
    let (device, kind) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Disk { dir: dir.to_path_buf(), device, kind, available: words.next()?.parse().ok()? })
}

/// Bytes, from `/proc/meminfo`.
fn available_memory(meminfo: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    Some(kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_and_memory_are_read_in_bytes() {
        let df = "Filesystem     Type       Avail\n/dev/vda       ext4 76123456789\n";
        let at = parse_df(df, Path::new("/x")).unwrap();
        assert_eq!(
            (at.device.as_str(), at.kind.as_str(), at.available),
            ("/dev/vda", "ext4", 76_123_456_789)
        );
        let memory = "MemTotal:       24683656 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(available_memory(memory), Some(23_000_000 * 1024));
        assert_eq!(available_memory("MemTotal: 1 kB"), None);
    }
}
