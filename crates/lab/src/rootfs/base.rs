//! The lower layer: Debian bookworm with what a node of any cluster has, as mmdebstrap makes it.

use super::digest::Key;
use super::isolated;
use crate::Result;
use std::fs::File;
use std::path::Path;

/// systemd 252: from 258 on it does not run on hosts with cgroup v1.
const SUITE: &str = "bookworm";

/// systemd and sshd, what kubeadm's preflight looks for, runc and CNI plugins, and what serves an API endpoint.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,iptables,nftables,conntrack,\
    ethtool,socat,kmod,procps,ca-certificates,curl,runc,containernetworking-plugins,mount,util-linux,zstd,haproxy,\
    keepalived,e2fsprogs,iputils-ping";

/// Done to the tree in the end: what must differ from node to node, and services that nobody asked for.
const CLEAN: &str = r#"cd "$1"
rm -f etc/ssh/ssh_host_* etc/hostname var/log/*.log var/lib/dbus/machine-id
: > etc/machine-id
cd etc/systemd/system/multi-user.target.wants
rm -f haproxy.service keepalived.service e2scrub_reap.service"#;

/// The key of the base in the cache.
pub(super) fn key(mirror: Option<&str>) -> String {
    command(Path::new("DIR"), mirror).iter().fold(Key::new("base"), |key, word| key.with(word)).finish()
}

/// Makes the base in the empty folder `dir`.
///
/// # Errors
/// Where mmdebstrap fails.
pub(super) fn make(dir: &Path, mirror: Option<&str>, lock: &File) -> Result<()> {
    // It mounts /proc, /sys and /dev in there.
    isolated(command(dir, mirror)).holding(lock).done()
}

fn command(dir: &Path, mirror: Option<&str>) -> Vec<String> {
    let mut argv = vec!["mmdebstrap".to_owned(), "--mode=root".to_owned(), "--variant=minbase".to_owned()];
    argv.push(format!("--include={PACKAGES}"));
    argv.push(format!("--customize-hook={CLEAN}"));
    argv.push(SUITE.to_owned());
    argv.push(dir.display().to_string());
    argv.extend(mirror.map(str::to_owned));
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_base() {
        insta::assert_snapshot!(command(Path::new("/c/dir"), Some("http://mirror/debian")).join("\n"), @r#"
        mmdebstrap
        --mode=root
        --variant=minbase
        --include=systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,iptables,nftables,conntrack,ethtool,socat,kmod,procps,ca-certificates,curl,runc,containernetworking-plugins,mount,util-linux,zstd,haproxy,keepalived,e2fsprogs,iputils-ping
        --customize-hook=cd "$1"
        rm -f etc/ssh/ssh_host_* etc/hostname var/log/*.log var/lib/dbus/machine-id
        : > etc/machine-id
        cd etc/systemd/system/multi-user.target.wants
        rm -f haproxy.service keepalived.service e2scrub_reap.service
        bookworm
        /c/dir
        http://mirror/debian
        "#);
    }

    #[test]
    fn another_mirror_is_another_base() {
        assert_ne!(key(None), key(Some("http://mirror/debian")));
        assert_eq!(key(None), key(None));
    }
}
