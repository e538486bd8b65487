//! A lab: nodes that stand for as long as nobody takes them down.

use crate::boot::{Boot, console_tail};
use crate::cgroup::Cgroups;
use crate::names::{self, LabId};
use crate::node::{Disk, Folder};
use crate::spec::{LabSpec, settle, valid_names};
use crate::state::{Recorded, State};
use crate::{Error, Progress, Quirks, Result, answer, files, keys, lock, network, rootfs};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// A node as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name of the node.
    pub name: String,
    /// Host name of the machine.
    pub host_name: String,
    /// Its address on the lab's bridge, reachable from this host.
    pub address: Ipv4Addr,
    /// Whether any process of it lives.
    pub running: bool,
}

/// A lab on this host.
#[derive(Debug, Clone)]
pub struct Lab {
    id: LabId,
    state: State,
    cgroups: Cgroups,
}

impl Lab {
    /// Makes a lab and boots all its nodes at the same time; returns when every sshd answers.
    ///
    /// # Errors
    /// Where a lab of this name exists, a node does not come up, or a command fails. What was made until
    /// then stays for a look at it: [`Lab::down`] removes it.
    pub fn create(spec: &LabSpec, progress: Progress) -> Result<Self> {
        let cgroups = Cgroups::of_this_host()?;
        let names = valid_names(&spec.nodes)?;
        files::folder(&spec.labs_dir, 0o755)?;
        let id = LabId::new(&spec.labs_dir, &spec.name)?;
        rootfs::overlay_path(id.dir())?;
        match fs::create_dir(id.dir()) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists { name: spec.name.clone(), path: id.dir().to_path_buf() });
            }
            made => made.map_err(Error::file("make", id.dir()))?,
        }
        files::set_mode(id.dir(), 0o755)?;
        let lock = held(&id)?;
        let state = settle(&id, spec, names)?;
        let lab = Self { id, state, cgroups };
        lab.make_keys(&lock)?;
        progress(&format!("boot {} nodes on {}", lab.state.nodes.len(), lab.state.subnet));
        at_once(&lab.state.nodes, |node| lab.boot(node, &lock))?;
        at_once(&lab.state.nodes, |node| lab.wait(node))?;
        Ok(lab)
    }

    /// Opens the lab `name`.
    ///
    /// # Errors
    /// Where there is none, or its state cannot be read.
    pub fn open(labs_dir: &Path, name: &str) -> Result<Self> {
        let id = LabId::new(labs_dir, name)?;
        let none = || Error::NoLab { name: name.to_owned(), labs_dir: labs_dir.to_path_buf() };
        let state = State::read(id.dir())?.ok_or_else(none)?;
        Ok(Self { id, state, cgroups: Cgroups::of_this_host()? })
    }

    /// Names of the labs in `labs_dir`, in order; also of those that were made in part.
    ///
    /// # Errors
    /// Where the folder cannot be read. A folder that does not exist holds no labs.
    pub fn list(labs_dir: &Path) -> Result<Vec<String>> {
        let mut names = files::names(labs_dir)?;
        names.retain(|name| names::label(name, "name of a lab").is_ok() && labs_dir.join(name).is_dir());
        Ok(names)
    }

    /// Takes the lab `name` down: afterwards no process, mount, link, cgroup or file of it is left. Works from
    /// names alone, so also where the lab was made in part or its state is gone; none there is fine.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn down(labs_dir: &Path, name: &str, progress: Progress) -> Result<()> {
        let id = LabId::new(labs_dir, name)?;
        progress(&format!("take the lab `{name}` down"));
        // Whoever holds it longest is the last program that works there.
        let _lock = lock::wait_for(id.dir())?;
        let cgroups = Cgroups::of_this_host()?;
        let groups: Vec<String> = cgroups.groups(&id.group_prefix())?.into_iter().collect();
        at_once(&groups, |group| cgroups.kill(group))?;
        let nodes = groups.iter().filter_map(|g| g.strip_prefix(&id.group_prefix())).map(str::to_owned);
        let nodes: BTreeSet<String> = nodes.chain(files::names(&id.dir().join("nodes"))?).collect();
        nodes.iter().try_for_each(|node| network::remove_link(&id.veth(node)))?;
        network::remove_bridge(&id)?;
        files::remove(id.dir())
    }

    /// The nodes, in the order in which they were given.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        let running = |node: &Recorded| self.runs(node).unwrap_or(false);
        let seen = |node: &Recorded| Node {
            name: node.name.clone(),
            host_name: node.host_name.clone(),
            address: node.address,
            running: running(node),
        };
        self.state.nodes.iter().map(seen).collect()
    }

    /// Kills every process of a node at once, as if its power failed, and removes its link and cgroups. Its disk
    /// stays. A node that is off stays off. (The host's page cache survives: lost writes are not simulated.)
    ///
    /// # Errors
    /// Where there is no such node or something of it remains.
    pub fn kill(&self, node: &str) -> Result<()> {
        let (node, _lock) = (self.recorded(node)?, held(&self.id)?);
        self.cut(node)
    }

    /// Boots a node and waits until its sshd answers. A node that runs is left alone.
    ///
    /// # Errors
    /// Where there is no such node or it does not come up.
    pub fn start(&self, node: &str) -> Result<()> {
        let (node, lock) = (self.recorded(node)?, held(&self.id)?);
        if !self.runs(node)? {
            // The host may have been booted since.
            network::ensure_bridge(&self.id, self.state.subnet)?;
            self.boot(node, &lock)?;
        }
        self.wait(node)
    }

    /// Makes a node an empty machine with a new machine-id. Its address, its host name and its SSH host key stay,
    /// so `known_hosts` stays right. A running node is killed and booted again, one that is off stays off.
    ///
    /// # Errors
    /// Where there is no such node, or as for [`Lab::kill`] and [`Lab::start`].
    pub fn wipe(&self, node: &str) -> Result<()> {
        let (node, lock) = (self.recorded(node)?, held(&self.id)?);
        let running = self.runs(node)?;
        self.cut(node)?;
        self.folder(node).remove_disk()?;
        if !running {
            return Ok(());
        }
        self.boot(node, &lock)?;
        self.wait(node)
    }

    /// Arguments of `ssh` that reach root on a node without asking: append a command or nothing.
    ///
    /// # Errors
    /// Where there is no such node.
    pub fn ssh_args(&self, node: &str) -> Result<Vec<OsString>> {
        let node = self.recorded(node)?;
        let mut args: Vec<OsString> = ["-F", "/dev/null", "-i"].map(OsString::from).into();
        args.push(self.key().into());
        let known = format!("UserKnownHostsFile=\"{}\"", self.known_hosts().display());
        let options =
            ["IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", &known];
        args.extend(options.iter().flat_map(|o| ["-o".into(), OsString::from(o)]));
        args.extend(["-o".into(), "LogLevel=ERROR".into(), format!("root@{}", node.address).into()]);
        Ok(args)
    }

    /// Where a path of a node lies on this host, for what lies below `/var/lib` (containerd, kubelet, etcd and all
    /// that `rekindle` keeps there): that is no overlay. Change it only while the node is off.
    #[must_use]
    pub fn host_path(&self, node: &str, path: &str) -> Option<PathBuf> {
        let inner = path.strip_prefix("/var/lib/")?;
        Some(self.folder(self.recorded(node).ok()?).var_lib().join(inner))
    }

    /// Where the last boot of a node wrote its console.
    #[must_use]
    pub fn console(&self, node: &str) -> Option<PathBuf> {
        Some(self.folder(self.recorded(node).ok()?).console())
    }

    /// The lab's folder.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.id.dir().to_path_buf()
    }

    /// The private key that every node's root accepts.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.id.dir().join("id_ed25519")
    }

    /// A `known_hosts` file with the exact host key of every node.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.id.dir().join("known_hosts")
    }

    /// The lab's network, such as `10.213.0.0/24`. The host has its first address; .2 to .10 and .211 to .254 are
    /// free for virtual addresses.
    #[must_use]
    pub fn subnet(&self) -> Ipv4Net {
        self.state.subnet
    }

    /// What differs from an ordinary machine, so that a cluster's settings can take it into account.
    ///
    /// # Errors
    /// Where the host's kernel cannot be read.
    pub fn quirks(&self) -> Result<Quirks> {
        Quirks::of_this_host()
    }

    fn recorded(&self, node: &str) -> Result<&Recorded> {
        self.state.nodes.iter().find(|n| n.name == node).ok_or_else(|| Error::NoNode {
            lab: self.id.name().to_owned(),
            node: node.to_owned(),
            known: self.state.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    fn folder(&self, node: &Recorded) -> Folder {
        Folder::new(self.id.dir(), &node.name)
    }

    fn runs(&self, node: &Recorded) -> Result<bool> {
        Ok(!self.cgroups.pids(&self.id.group(&node.name))?.is_empty())
    }

    /// Makes the key pair, the host keys and `known_hosts`.
    fn make_keys(&self, lock: &File) -> Result<()> {
        keys::ensure(&self.key(), &format!("rekindle lab {}", self.id.name()), lock)?;
        at_once(&self.state.nodes, |node| self.folder(node).ensure(lock))?;
        let line =
            |node: &Recorded| keys::known_host(node.address, &keys::public(&self.folder(node).host_key()));
        let lines: Vec<String> = self.state.nodes.iter().map(line).collect::<Result<_>>()?;
        files::write(&self.known_hosts(), lines.concat(), 0o644)?;
        let Some((user, group)) = self.state.owner else { return Ok(()) };
        for path in [self.key(), keys::public(&self.key()), self.known_hosts()] {
            chown(&path, Some(user), Some(group)).map_err(Error::file("give away", path))?;
        }
        Ok(())
    }

    /// Starts a node, of which no process lives; makes its disk where there is none.
    fn boot(&self, node: &Recorded, lock: &File) -> Result<()> {
        // What a node leaves that went off by itself.
        self.cut(node)?;
        let folder = self.folder(node);
        folder.ensure(lock)?;
        let disk = Disk { rootfs: &self.state.rootfs, subnet: self.state.subnet, node, key: self.key() };
        folder.ensure_disk(&disk, lock)?;
        self.cgroups.make(&self.id.group(&node.name))?;
        let boot = Boot {
            id: &self.id,
            node: &node.name,
            host_name: &node.host_name,
            folder: &folder,
            rootfs: &self.state.rootfs,
            cgroups: &self.cgroups,
        };
        boot.start(lock)
    }

    fn wait(&self, node: &Recorded) -> Result<()> {
        let allowed = answer::allowed(self.state.nodes.len());
        if answer::ssh(node.address, allowed, || self.runs(node).unwrap_or(true)) {
            return Ok(());
        }
        let folder = self.folder(node);
        Err(Error::NoAnswer {
            node: node.name.clone(),
            address: node.address,
            seconds: allowed.as_secs(),
            console: folder.console(),
            tail: console_tail(&folder),
        })
    }

    /// Takes a node's power away.
    fn cut(&self, node: &Recorded) -> Result<()> {
        self.cgroups.kill(&self.id.group(&node.name))?;
        // The kernel removes it too, but later, and the next boot would find it.
        network::remove_link(&self.id.veth(&node.name))
    }
}

/// Waits for the lock of a lab that exists.
fn held(id: &LabId) -> Result<File> {
    let labs_dir = || id.dir().parent().map(Path::to_path_buf).unwrap_or_default();
    lock::wait_for(id.dir())?.ok_or_else(|| Error::NoLab { name: id.name().to_owned(), labs_dir: labs_dir() })
}

/// Does something with all items at the same time. All are done before the first error is returned.
fn at_once<T: Sync>(items: &[T], act: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let running: Vec<_> = items.iter().map(|item| scope.spawn(|| act(item))).collect();
        let ended = running.into_iter().map(|r| r.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_done_before_an_error_is_returned() {
        let done = std::sync::atomic::AtomicU32::new(0);
        let result = at_once(&[1, 2, 3], |n| {
            done.fetch_add(*n, std::sync::atomic::Ordering::SeqCst);
            if *n == 1 { Err(Error::Host { why: "no".into() }) } else { Ok(()) }
        });
        assert!(result.is_err());
        assert_eq!(done.into_inner(), 6);
    }

    #[test]
    fn no_folder_holds_no_labs_and_a_lab_made_in_part_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lab::list(&dir.path().join("none")).unwrap(), [""; 0]);
        for name in ["b", "a", ".hidden"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        assert_eq!(Lab::list(dir.path()).unwrap(), ["a", "b"]);
        let none = Lab::open(dir.path(), "a").unwrap_err().to_string();
        assert!(none.starts_with("there is no lab `a` in "), "{none}");
    }
}
