//! How a node is booted: two small scripts in its folder, one that puts itself into the node's groups, and one that
//! mounts its root and becomes systemd-nspawn. Both are plain lists of commands, made here from what the host has.
//!
//! Mounts are made in a mount namespace of the node's own, so they end with its last process. The scripts run in a
//! session of their own: a node outlives the program that booted it.

use crate::cgroup::{Cgroups, Hierarchy};
use crate::command::{Run, line, quote, run};
use crate::names::LabId;
use crate::node::Folder;
use crate::{Error, Result, Rootfs, files};
use std::fs::File;
use std::path::Path;

/// Devices of the host that nodes need where they exist: the kubelet reads the kernel's log, tunnels use tun.
const DEVICES: [&str; 2] = ["/dev/kmsg", "/dev/net/tun"];
/// Modules, so that `modprobe` in a node works.
const MODULES: &str = "/lib/modules";

/// A node that is about to boot.
pub(crate) struct Boot<'a> {
    pub(crate) id: &'a LabId,
    pub(crate) node: &'a str,
    pub(crate) host_name: &'a str,
    pub(crate) folder: &'a Folder,
    pub(crate) rootfs: &'a Rootfs,
    pub(crate) cgroups: &'a Cgroups,
}

impl Boot<'_> {
    /// Starts the node and returns at once. Its groups exist, its disk is whole, and none of its processes lives.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn start(&self, lock: &File) -> Result<()> {
        let dir = self.folder.path();
        let binds: Vec<&str> = DEVICES.into_iter().filter(|d| Path::new(d).exists()).collect();
        let modules = Path::new(MODULES).is_dir().then_some(MODULES);
        let (enter, boot) = (dir.join("enter.sh"), dir.join("boot.sh"));
        files::write(&boot, self.boot_script(&binds, modules), 0o700)?;
        files::write(&self.folder.console(), "", 0o600)?;
        match self.cgroups {
            Cgroups::V1(all) => {
                files::write(&enter, self.enter_script(all), 0o700)?;
                run!["setsid", "--fork", "sh", &enter].holding(lock).done()
            }
            Cgroups::V2 => Run::new(self.unit()).holding(lock).done(),
        }
    }

    /// cgroup v1: joins the node's groups. From the first of them on, the node is found by it; until then this
    /// script holds the lab's lock, its standard input.
    fn enter_script(&self, hierarchies: &[Hierarchy]) -> String {
        let group = self.id.group(self.node);
        let procs = |h: &Hierarchy| h.mount.join(&group).join("cgroup.procs").display().to_string();
        let (pids, others): (Vec<_>, Vec<_>) = hierarchies.iter().partition(|h| h.options == "pids");
        let mut script = vec!["set -eu".to_owned()];
        script.push(format!("exec >> {} 2>&1", quote(&self.folder.console().display().to_string())));
        script.extend(pids.into_iter().chain(others).map(|h| format!("echo $$ > {}", quote(&procs(h)))));
        script.push("exec < /dev/null".to_owned());
        let boot = self.folder.path().join("boot.sh").display().to_string();
        script.push(format!("exec {}", line(["unshare", "--mount", "--cgroup", "sh", &boot])));
        script.join("\n") + "\n"
    }

    /// cgroup v2: the command by which systemd makes the node a unit that owns its group.
    fn unit(&self) -> Vec<String> {
        let console = self.folder.console().display().to_string();
        let boot = self.folder.path().join("boot.sh").display().to_string();
        let mut argv = vec!["systemd-run".to_owned(), "--quiet".to_owned(), "--collect".to_owned()];
        argv.push(format!("--unit={}", self.id.group(self.node)));
        argv.push("--slice=system.slice".to_owned());
        let properties = ["Delegate=yes", "TasksMax=infinity", "LimitNOFILE=1048576", "OOMPolicy=continue"];
        argv.extend(properties.iter().map(|p| format!("--property={p}")));
        argv.push(format!("--property=StandardOutput=append:{console}"));
        argv.push(format!("--property=StandardError=append:{console}"));
        argv.extend(["unshare", "--mount", "sh", &boot].map(str::to_owned));
        argv
    }

    fn boot_script(&self, devices: &[&str], modules: Option<&str>) -> String {
        let mut script = vec!["set -eu".to_owned(), self.mount_root()];
        // What systemd-nspawn leaves for other tools there would outlive a node that is killed.
        let own = "/run/systemd/nspawn";
        script.push(line(["mkdir", "-p", own]));
        script.push(line(["mount", "-t", "tmpfs", "tmpfs", own]));
        if let Cgroups::V1(all) = self.cgroups {
            // In this cgroup namespace a hierarchy that is mounted anew is rooted at the node's own group. The host
            // keeps its mounts: this is a mount namespace of the node's own, and its mounts are private.
            for h in all {
                script.push(line(["umount", &h.mount.display().to_string()]));
                script.push(line(h.remount()));
            }
        }
        script.push(format!("exec {}", line(self.nspawn(devices, modules))));
        script.join("\n") + "\n"
    }

    fn mount_root(&self) -> String {
        let [layer, base] = self.rootfs.lower();
        let (upper, work, root) = (self.folder.upper(), self.folder.work(), self.folder.root());
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={}",
            layer.display(),
            base.display(),
            upper.display(),
            work.display()
        );
        line(["mount", "-t", "overlay", "-o", &options, "overlay", &root.display().to_string()])
    }

    /// The command that the node's supervisor becomes (systemd-nspawn(1), and systemd's `ENVIRONMENT.md`).
    fn nspawn(&self, devices: &[&str], modules: Option<&str>) -> Vec<String> {
        let mut argv: Vec<String> =
            ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
                .map(str::to_owned)
                .into();
        // A kubelet writes kernel settings. A lock file would outlive the node; the lab has its own lock.
        argv.extend(["SYSTEMD_NSPAWN_API_VFS_WRITABLE=1", "SYSTEMD_NSPAWN_LOCK=0"].map(str::to_owned));
        if matches!(self.cgroups, Cgroups::V1(_)) {
            argv.push("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0".to_owned());
        }
        argv.extend(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit"].map(str::to_owned));
        argv.push(format!("--directory={}", self.folder.root().display()));
        argv.push(format!("--machine={}", self.id.machine(self.node)));
        argv.push(format!("--hostname={}", self.host_name));
        argv.push(format!("--network-bridge={}", self.id.bridge()));
        argv.push("--capability=all".to_owned());
        argv.push("--system-call-filter=add_key keyctl bpf @keyring @mount".to_owned());
        let off = ["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"];
        argv.extend(off.map(str::to_owned));
        argv.push(format!("--bind={}:/var/lib", bind_path(&self.folder.var_lib())));
        argv.extend(devices.iter().map(|d| format!("--bind={d}")));
        argv.extend(modules.iter().map(|m| format!("--bind-ro={m}")));
        if let Cgroups::V1(all) = self.cgroups {
            let v1 = all.iter().filter(|h| !h.options.is_empty());
            argv.extend(v1.map(|h| format!("--bind={}", h.mount.display())));
        }
        argv.push("--boot".to_owned());
        argv
    }
}

/// A path as `--bind=` takes it, where `:` ends it and `\` escapes.
fn bind_path(path: &Path) -> String {
    path.display().to_string().replace('\\', r"\\").replace(':', r"\:")
}

/// The end of what a node wrote to its console, for an error.
pub(crate) fn console_tail(folder: &Folder) -> String {
    let path = folder.console();
    std::fs::read(&path)
        .map(|bytes| crate::command::tail(&String::from_utf8_lossy(&bytes), 5))
        .unwrap_or_else(|e| Error::file("read", &path)(e).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(cgroups: &Cgroups) -> String {
        let id = LabId::new(Path::new("/labs of mine"), "lab").unwrap();
        let folder = Folder::new(id.dir(), "cp1");
        let rootfs = Rootfs::at("/cache/base-1", "/cache/layer-2");
        let (node, host_name) = ("cp1", "other");
        let boot = Boot { id: &id, node, host_name, folder: &folder, rootfs: &rootfs, cgroups };
        let enter = match cgroups {
            Cgroups::V1(all) => boot.enter_script(all),
            Cgroups::V2 => line(boot.unit()) + "\n",
        };
        for script in [&enter, &boot.boot_script(&DEVICES, None)] {
            run!["sh", "-n", "-c", script].done().unwrap();
        }
        format!("{enter}---\n{}", boot.boot_script(&DEVICES, Some(MODULES)))
    }

    #[test]
    fn a_node_on_a_host_with_cgroup_v1() {
        let h = |mount: &str, options: &str| Hierarchy { mount: mount.into(), options: options.to_owned() };
        let cgroups = Cgroups::V1(vec![
            h("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"),
            h("/sys/fs/cgroup/pids", "pids"),
            h("/sys/fs/cgroup/systemd", "none,name=systemd"),
            h("/sys/fs/cgroup/unified", ""),
        ]);
        insta::assert_snapshot!(scripts(&cgroups), @r#"
        set -eu
        exec >> '/labs of mine/lab/nodes/cp1/console' 2>&1
        echo $$ > /sys/fs/cgroup/pids/rekindle-lab.lab-4f41a.cp1/cgroup.procs
        echo $$ > /sys/fs/cgroup/cpu,cpuacct/rekindle-lab.lab-4f41a.cp1/cgroup.procs
        echo $$ > /sys/fs/cgroup/systemd/rekindle-lab.lab-4f41a.cp1/cgroup.procs
        echo $$ > /sys/fs/cgroup/unified/rekindle-lab.lab-4f41a.cp1/cgroup.procs
        exec < /dev/null
        exec unshare --mount --cgroup sh '/labs of mine/lab/nodes/cp1/boot.sh'
        ---
        set -eu
        mount -t overlay -o 'lowerdir=/cache/layer-2/root:/cache/base-1,upperdir=/labs of mine/lab/nodes/cp1/upper,workdir=/labs of mine/lab/nodes/cp1/work' overlay '/labs of mine/lab/nodes/cp1/root'
        mkdir -p /run/systemd/nspawn
        mount -t tmpfs tmpfs /run/systemd/nspawn
        umount /sys/fs/cgroup/cpu,cpuacct
        mount -t cgroup -o cpu,cpuacct cgroup /sys/fs/cgroup/cpu,cpuacct
        umount /sys/fs/cgroup/pids
        mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids
        umount /sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
        umount /sys/fs/cgroup/unified
        mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 SYSTEMD_NSPAWN_LOCK=0 SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0 systemd-nspawn --quiet --register=no --keep-unit '--directory=/labs of mine/lab/nodes/cp1/root' --machine=cp1-fb311 --hostname=other --network-bridge=rk-lab-4f41a --capability=all '--system-call-filter=add_key keyctl bpf @keyring @mount' --resolv-conf=off --timezone=off --link-journal=no --console=read-only '--bind=/labs of mine/lab/nodes/cp1/var-lib:/var/lib' --bind=/dev/kmsg --bind=/dev/net/tun --bind-ro=/lib/modules --bind=/sys/fs/cgroup/cpu,cpuacct --bind=/sys/fs/cgroup/pids --bind=/sys/fs/cgroup/systemd --boot
        "#);
    }

    #[test]
    fn a_node_on_a_host_with_cgroup_v2_is_a_unit() {
        insta::assert_snapshot!(scripts(&Cgroups::V2), @r#"
        systemd-run --quiet --collect --unit=rekindle-lab.lab-4f41a.cp1 --slice=system.slice --property=Delegate=yes --property=TasksMax=infinity --property=LimitNOFILE=1048576 --property=OOMPolicy=continue '--property=StandardOutput=append:/labs of mine/lab/nodes/cp1/console' '--property=StandardError=append:/labs of mine/lab/nodes/cp1/console' unshare --mount sh '/labs of mine/lab/nodes/cp1/boot.sh'
        ---
        set -eu
        mount -t overlay -o 'lowerdir=/cache/layer-2/root:/cache/base-1,upperdir=/labs of mine/lab/nodes/cp1/upper,workdir=/labs of mine/lab/nodes/cp1/work' overlay '/labs of mine/lab/nodes/cp1/root'
        mkdir -p /run/systemd/nspawn
        mount -t tmpfs tmpfs /run/systemd/nspawn
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 SYSTEMD_NSPAWN_LOCK=0 systemd-nspawn --quiet --register=no --keep-unit '--directory=/labs of mine/lab/nodes/cp1/root' --machine=cp1-fb311 --hostname=other --network-bridge=rk-lab-4f41a --capability=all '--system-call-filter=add_key keyctl bpf @keyring @mount' --resolv-conf=off --timezone=off --link-journal=no --console=read-only '--bind=/labs of mine/lab/nodes/cp1/var-lib:/var/lib' --bind=/dev/kmsg --bind=/dev/net/tun --bind-ro=/lib/modules --boot
        "#);
    }
}
