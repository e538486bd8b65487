//! Control groups of nodes: every process of a node is in a group of the node's own, which is how it is found,
//! killed and known to run.
//!
//! * **v1** (a hierarchy for each controller): we make one group in every hierarchy, at its root.
//! * **v2** (one hierarchy, owned by systemd): systemd makes a unit with `Delegate=yes`, and the group is the
//!   unit's (<https://systemd.io/CGROUP_DELEGATION>).

use crate::command::{Run, run};
use crate::{Error, Result, files};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a killed node may take to be gone. Killing is a matter of milliseconds; a loaded host is slower.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// How often that is looked at.
const POLL: Duration = Duration::from_millis(10);
/// Where systemd puts system services.
const UNITS: &str = "/sys/fs/cgroup/system.slice";

/// One hierarchy of a host with cgroup v1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted, such as `/sys/fs/cgroup/cpu,cpuacct`.
    pub(crate) mount: PathBuf,
    /// What it is mounted with, such as `cpu,cpuacct` or `none,name=systemd`; nothing for the hierarchy of v2 that a
    /// hybrid host has beside them.
    pub(crate) options: String,
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|o| o == controller)
    }

    /// The command that mounts it again, rooted at the group of the process that runs it.
    pub(crate) fn remount(&self) -> Vec<String> {
        let at = self.mount.display().to_string();
        let words = match self.options.as_str() {
            "" => vec!["mount", "-t", "cgroup2", "cgroup2", &at],
            options => vec!["mount", "-t", "cgroup", "-o", options, "cgroup", &at],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

/// How this host keeps control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cgroups {
    V1(Vec<Hierarchy>),
    V2,
}

impl Cgroups {
    /// Reads what this host has.
    ///
    /// # Errors
    /// Where the host has neither cgroup v1 with its pids controller nor cgroup v2 with systemd.
    pub(crate) fn of_this_host() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        let mounts = fs::read_to_string(path).map_err(Error::file("read", path))?;
        // sd_booted(3)
        Self::parse(&mounts, Path::new("/run/systemd/system").is_dir())
    }

    fn parse(mountinfo: &str, systemd: bool) -> Result<Self> {
        let mut seen = BTreeSet::new();
        let v1: Vec<Hierarchy> =
            mountinfo.lines().filter_map(hierarchy).filter(|h| seen.insert(h.options.clone())).collect();
        let host = |why: &str| Error::Host { why: why.to_owned() };
        // A hybrid host has its controllers in v1.
        if v1.iter().any(|h| h.has("memory")) {
            return match v1.iter().any(|h| h.has("pids")) {
                true => Ok(Self::V1(v1)),
                false => Err(host("cgroup v1 has no pids controller")),
            };
        }
        match systemd {
            true => Ok(Self::V2),
            false => Err(host("it has cgroup v2, but systemd does not run to delegate groups of it")),
        }
    }

    /// Whether nodes have a controller.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub(crate) fn has(&self, controller: &str) -> Result<bool> {
        let Self::V1(all) = self else {
            let path = "/sys/fs/cgroup/cgroup.controllers";
            let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
            return Ok(text.split_whitespace().any(|c| c == controller));
        };
        Ok(all.iter().any(|h| h.has(controller)))
    }

    /// Where a node's group lies, in the hierarchy that tells which processes it has.
    fn path(&self, group: &str) -> PathBuf {
        match self {
            Self::V1(all) => {
                all.iter().find(|h| h.has("pids")).map_or_else(PathBuf::new, |h| h.mount.join(group))
            }
            Self::V2 => Path::new(UNITS).join(format!("{group}.service")),
        }
    }

    /// Every folder of a node's group.
    fn paths(&self, group: &str) -> Vec<PathBuf> {
        match self {
            Self::V1(all) => all.iter().map(|h| h.mount.join(group)).collect(),
            Self::V2 => vec![self.path(group)],
        }
    }

    /// The groups that exist, of which the name starts with `prefix`.
    ///
    /// # Errors
    /// Where a hierarchy cannot be read.
    pub(crate) fn groups(&self, prefix: &str) -> Result<BTreeSet<String>> {
        let roots = match self {
            Self::V1(all) => all.iter().map(|h| h.mount.clone()).collect(),
            Self::V2 => vec![PathBuf::from(UNITS)],
        };
        let mut found = BTreeSet::new();
        for root in roots {
            for name in folders(&root)?.iter().filter_map(|d| d.file_name()?.to_str().map(str::to_owned)) {
                let group = name.strip_suffix(".service").unwrap_or(&name);
                if group.starts_with(prefix) {
                    found.insert(group.to_owned());
                }
            }
        }
        Ok(found)
    }

    /// Makes a node's groups, empty. With v2 that is systemd's to do.
    ///
    /// # Errors
    /// Where a group cannot be made.
    pub(crate) fn make(&self, group: &str) -> Result<()> {
        let Self::V1(all) = self else { return Ok(()) };
        for h in all {
            let dir = h.mount.join(group);
            fs::create_dir_all(&dir).map_err(Error::file("make", &dir))?;
            // A cpuset takes no process before it has cores and memory nodes (cpusets(7)).
            for file in ["cpuset.cpus", "cpuset.mems"].into_iter().filter(|_| h.has("cpuset")) {
                let (from, to) = (h.mount.join(file), dir.join(file));
                let value = fs::read(&from).map_err(Error::file("read", &from))?;
                fs::write(&to, value).map_err(Error::file("write", &to))?;
            }
        }
        Ok(())
    }

    /// Processes of a node.
    ///
    /// # Errors
    /// Where the group cannot be read. A group that does not exist has none.
    pub(crate) fn pids(&self, group: &str) -> Result<Vec<u32>> {
        let mut pids = Vec::new();
        for dir in tree(&self.path(group))? {
            let file = dir.join("cgroup.procs");
            match fs::read_to_string(&file) {
                Ok(text) => pids.extend(text.lines().filter_map(|l| l.parse::<u32>().ok())),
                // The group went away, or is a threaded one, of which the parent lists the processes.
                Err(e) if matches!(e.raw_os_error(), Some(2 | 19 | 95)) => {}
                Err(e) => return Err(Error::file("read", file)(e)),
            }
        }
        // A process of another pid namespace than ours reads as 0.
        pids.retain(|pid| *pid > 1);
        Ok(pids)
    }

    /// Kills every process of a node at once and removes its groups. What does not exist is fine.
    ///
    /// # Errors
    /// Where processes or groups remain.
    pub(crate) fn kill(&self, group: &str) -> Result<()> {
        self.freeze(group, "FROZEN")?;
        let killed = self.kill_all(group);
        self.freeze(group, "THAWED")?;
        killed?;
        let deadline = Instant::now() + GONE_WITHIN;
        while !self.pids(group)?.is_empty() {
            within(deadline, group, "processes")?;
            self.kill_all(group)?;
            std::thread::sleep(POLL);
        }
        self.remove(group, deadline)
    }

    /// Stops a node's processes all together, so that none sees another die. v2's `cgroup.kill` does so by itself.
    fn freeze(&self, group: &str, state: &str) -> Result<()> {
        let Self::V1(all) = self else { return Ok(()) };
        let freezer =
            all.iter().find(|h| h.has("freezer")).map(|h| h.mount.join(group).join("freezer.state"));
        match freezer.map(|file| (fs::write(&file, state), file)) {
            Some((Err(e), file)) if !gone(&e) => Err(Error::file("write", file)(e)),
            _ => Ok(()),
        }
    }

    fn kill_all(&self, group: &str) -> Result<()> {
        // cgroup.kill came with Linux 5.14.
        if matches!(self, Self::V2) && fs::write(self.path(group).join("cgroup.kill"), "1").is_ok() {
            return Ok(());
        }
        let pids = self.pids(group)?;
        if pids.is_empty() {
            return Ok(());
        }
        let words = ["sh", "-c", "kill -KILL \"$@\" 2>/dev/null || :", "sh"].map(str::to_owned);
        Run::new(words.into_iter().chain(pids.iter().map(u32::to_string))).done()
    }

    fn remove(&self, group: &str, deadline: Instant) -> Result<()> {
        if matches!(self, Self::V2) && self.path(group).exists() {
            // The unit fails as its processes are killed; systemd collects it and its group.
            run!["systemctl", "stop", format!("{group}.service")].done().or_else(|e| match e {
                Error::Command { .. } => Ok(()),
                other => Err(other),
            })?;
        }
        for path in self.paths(group) {
            loop {
                match tree(&path)?.iter().rev().try_for_each(fs::remove_dir) {
                    Ok(()) => break,
                    Err(e) if gone(&e) => break,
                    Err(e) if e.kind() == ErrorKind::ResourceBusy => within(deadline, group, "cgroups")?,
                    Err(e) => return Err(Error::file("remove", path)(e)),
                }
                std::thread::sleep(POLL);
            }
        }
        Ok(())
    }
}

fn within(deadline: Instant, group: &str, what: &str) -> Result<()> {
    match Instant::now() < deadline {
        true => Ok(()),
        false => Err(Error::Stuck {
            node: group.to_owned(),
            what: what.to_owned(),
            seconds: GONE_WITHIN.as_secs(),
        }),
    }
}

fn gone(e: &std::io::Error) -> bool {
    // ENODEV: the group was removed while its file was open.
    e.kind() == ErrorKind::NotFound || e.raw_os_error() == Some(19)
}

/// A v1 hierarchy from a line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (before, after) = line.split_once(" - ")?;
    let mount = PathBuf::from(files::unescape(before.split(' ').nth(4)?));
    let mut after = after.split(' ');
    match after.next()? {
        "cgroup" => {}
        "cgroup2" => return Some(Hierarchy { mount, options: String::new() }),
        _ => return None,
    }
    let about_the_mount = |o: &&str| !matches!(*o, "rw" | "ro" | "xattr" | "noprefix" | "clone_children");
    let options: Vec<&str> = after
        .nth(1)?
        .split(',')
        .filter(about_the_mount)
        .filter(|o| !o.starts_with("release_agent=") && !o.starts_with("cpuset_v2_mode"))
        .collect();
    let only_a_name = options.iter().all(|o| o.starts_with("name="));
    let options = options.join(",");
    Some(Hierarchy { mount, options: if only_a_name { format!("none,{options}") } else { options } })
}

/// Folders in a folder; none where it does not exist.
fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if gone(&e) => return Ok(Vec::new()),
        other => other.map_err(Error::file("read", dir))?,
    };
    let is_dir = |e: &fs::DirEntry| e.file_type().is_ok_and(|t| t.is_dir());
    Ok(entries.flatten().filter(is_dir).map(|e| e.path()).collect())
}

/// A group and all that are in it, parents first; empty where it does not exist.
fn tree(root: &Path) -> Result<Vec<PathBuf>> {
    let mut all = if root.is_dir() { vec![root.to_path_buf()] } else { Vec::new() };
    let mut next = 0;
    while let Some(dir) = all.get(next).cloned() {
        all.extend(folders(&dir)?);
        next += 1;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/systemd/agent,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:36 / /mnt/again rw,relatime - cgroup cgroup rw,pids";
    const V2: &str = "26 23 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn hierarchies_of_a_v1_host_are_found_once_each() {
        insta::assert_debug_snapshot!(Cgroups::parse(V1, false).unwrap(), @r#"
        V1(
            [
                Hierarchy {
                    mount: "/sys/fs/cgroup/cpu,cpuacct",
                    options: "cpu,cpuacct",
                },
                Hierarchy {
                    mount: "/sys/fs/cgroup/memory",
                    options: "memory",
                },
                Hierarchy {
                    mount: "/sys/fs/cgroup/pids",
                    options: "pids",
                },
                Hierarchy {
                    mount: "/sys/fs/cgroup/systemd",
                    options: "none,name=systemd",
                },
                Hierarchy {
                    mount: "/sys/fs/cgroup/unified",
                    options: "",
                },
            ],
        )
        "#);
    }

    #[test]
    fn a_v2_host_needs_systemd() {
        assert_eq!(Cgroups::parse(V2, true).unwrap(), Cgroups::V2);
        insta::assert_snapshot!(Cgroups::parse(V2, false).unwrap_err(), @"this host cannot run nodes: it has cgroup v2, but systemd does not run to delegate groups of it");
        let without_pids: String = V1.lines().filter(|l| !l.contains("pids")).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(Cgroups::parse(&without_pids, false).unwrap_err(), @"this host cannot run nodes: cgroup v1 has no pids controller");
    }

    #[test]
    fn groups_processes_and_removal_work_on_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let h = |name: &str| {
            fs::create_dir(root.path().join(name)).unwrap();
            Hierarchy { mount: root.path().join(name), options: name.to_owned() }
        };
        let cgroups = Cgroups::V1(vec![h("pids"), h("cpu")]);
        cgroups.make("lab.a").unwrap();
        cgroups.make("lab.b").unwrap();
        cgroups.make("other").unwrap();
        assert_eq!(cgroups.groups("lab.").unwrap().into_iter().collect::<Vec<_>>(), ["lab.a", "lab.b"]);

        let inner = root.path().join("pids/lab.a/kubepods");
        fs::create_dir(&inner).unwrap();
        fs::write(root.path().join("pids/lab.a/cgroup.procs"), "12\n0\n").unwrap();
        fs::write(inner.join("cgroup.procs"), "13\n").unwrap();
        assert_eq!(cgroups.pids("lab.a").unwrap(), [12, 13]);
        assert_eq!(cgroups.pids("lab.none").unwrap(), [0_u32; 0]);

        cgroups.kill("lab.b").unwrap();
        cgroups.kill("lab.b").unwrap();
        assert_eq!(cgroups.groups("").unwrap().into_iter().collect::<Vec<_>>(), ["lab.a", "other"]);
    }
}
