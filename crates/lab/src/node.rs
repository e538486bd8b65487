//! What a node has on this host's disk: its folder.
//!
//! ```text
//! LAB/nodes/NAME/upper/      the upper layer of its root, over the shared root file system
//! LAB/nodes/NAME/var-lib/    its /var/lib, no overlay: containerd, kubelet and etcd do not bear one
//! LAB/nodes/NAME/host_key    its SSH host key, which a wipe leaves
//! LAB/nodes/NAME/*.sh        how it is booted
//! LAB/nodes/NAME/console     what it writes to its console
//! ```
//! Unpacked images are shared by hard links: containerd never writes to a blob or a committed snapshot again (they are
//! lower layers of containers, and overlayfs copies before it writes). Its databases are copied, they are mapped
//! and written in place.

use crate::command::run;
use crate::state::Recorded;
use crate::{Error, Result, Rootfs, files, keys, network};
use ipnet::Ipv4Net;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder of a node.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(lab_dir: &Path, node: &str) -> Self {
        Self(lab_dir.join("nodes").join(node))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    /// The working folder that overlayfs asks for.
    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Where the root is mounted, in a mount namespace of the node's own.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    pub(crate) fn var_lib(&self) -> PathBuf {
        self.0.join("var-lib")
    }

    pub(crate) fn host_key(&self) -> PathBuf {
        self.0.join("host_key")
    }

    pub(crate) fn console(&self) -> PathBuf {
        self.0.join("console")
    }

    /// Written last: says that the disk is whole.
    fn complete(&self) -> PathBuf {
        self.0.join("complete")
    }

    /// Makes the folder and the host key, unless they are there.
    ///
    /// # Errors
    /// Where that fails.
    pub(crate) fn ensure(&self, lock: &File) -> Result<()> {
        files::folder(&self.0, 0o700)?;
        keys::ensure(&self.host_key(), "host", lock)
    }

    /// Makes the disk of an empty machine, unless there is a whole one.
    ///
    /// # Errors
    /// Where that fails.
    pub(crate) fn ensure_disk(&self, disk: &Disk, lock: &File) -> Result<()> {
        if self.complete().exists() {
            return Ok(());
        }
        self.remove_disk()?;
        for dir in [self.upper(), self.work(), self.root()] {
            files::folder(&dir, 0o755)?;
        }
        self.lay_identity(disk)?;
        clone_var_lib(&disk.rootfs.var_lib(), &self.var_lib(), lock)?;
        files::write(&self.complete(), "", 0o600)
    }

    /// Removes the disk. The host key stays.
    ///
    /// # Errors
    /// Where that fails.
    pub(crate) fn remove_disk(&self) -> Result<()> {
        [self.complete(), self.upper(), self.work(), self.root(), self.var_lib()]
            .iter()
            .try_for_each(|path| files::remove(path))
    }

    /// What tells this machine from others.
    fn lay_identity(&self, disk: &Disk) -> Result<()> {
        let Disk { node, subnet, .. } = disk;
        let (gateway, host_name) = (network::gateway(*subnet), &node.host_name);
        let short = host_name.split('.').next().unwrap_or(host_name);
        let names = if short == host_name { short.to_owned() } else { format!("{host_name} {short}") };
        let read = |path: &Path| fs::read_to_string(path).map_err(Error::file("read", path));
        let uuid = read(Path::new("/proc/sys/kernel/random/uuid"))?;
        let host_key = self.host_key();
        for (path, text, mode) in [
            ("etc/hostname", format!("{host_name}\n"), 0o644),
            ("etc/hosts", format!("127.0.0.1 localhost\n::1 localhost\n{} {names}\n", node.address), 0o644),
            // machine-id(5)
            ("etc/machine-id", uuid.replace('-', ""), 0o444),
            // Nothing answers there. But CoreDNS does not start without a name server to forward to.
            ("etc/resolv.conf", format!("nameserver {gateway}\n"), 0o644),
            (
                "etc/rekindle-lab",
                format!("ADDRESS={}/{}\nGATEWAY={gateway}\n", node.address, subnet.prefix_len()),
                0o644,
            ),
            ("etc/ssh/ssh_host_ed25519_key", read(&host_key)?, 0o600),
            ("etc/ssh/ssh_host_ed25519_key.pub", read(&keys::public(&host_key))?, 0o644),
        ] {
            files::write(&self.upper().join(path), text, mode)?;
        }
        let ssh = self.upper().join("root/.ssh");
        files::folder(&self.upper().join("root"), 0o700)?;
        files::folder(&ssh, 0o700)?;
        files::write(&ssh.join("authorized_keys"), read(&keys::public(&disk.key))?, 0o600)
    }
}

/// What a node's disk is made from.
pub(crate) struct Disk<'a> {
    pub(crate) rootfs: &'a Rootfs,
    pub(crate) subnet: Ipv4Net,
    pub(crate) node: &'a Recorded,
    /// The lab's private key; its public half lets root in.
    pub(crate) key: PathBuf,
}

/// Copies the shared /var/lib, with hard links for what containerd never writes again.
fn clone_var_lib(from: &Path, to: &Path, lock: &File) -> Result<()> {
    let device = |path: &Path| path.metadata().map(|m| m.dev()).map_err(Error::file("read", path));
    let same_disk = device(from)? == device(to.parent().unwrap_or(to))?;
    let copy =
        |from: &Path, to: &Path| run!["cp", "-a", "--reflink=auto", "-T", from, to].holding(lock).done();
    let share = |from: &Path, to: &Path| match same_disk {
        true => run!["cp", "-a", "--link", "-T", from, to].holding(lock).done(),
        false => copy(from, to),
    };
    files::folder(to, 0o755)?;
    for name in files::names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        if name != "containerd" {
            copy(&from, &to)?;
            continue;
        }
        like(&from, &to)?;
        for plugin in files::names(&from)? {
            let (from, to) = (from.join(&plugin), to.join(&plugin));
            if !plugin.starts_with("io.containerd.content.")
                && !plugin.starts_with("io.containerd.snapshotter.")
            {
                copy(&from, &to)?;
                continue;
            }
            like(&from, &to)?;
            for part in files::names(&from)? {
                let immutable = matches!(part.as_str(), "blobs" | "snapshots");
                let (from, to) = (from.join(&part), to.join(&part));
                if immutable { share(&from, &to)? } else { copy(&from, &to)? }
            }
        }
    }
    Ok(())
}

/// Makes an empty folder with the mode of another.
fn like(from: &Path, to: &Path) -> Result<()> {
    let mode = from.metadata().map_err(Error::file("read", from))?.mode() & 0o7777;
    files::folder(to, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, path.display().to_string()).unwrap();
    }

    #[test]
    fn blobs_and_snapshots_are_shared_and_databases_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let content = "containerd/io.containerd.content.v1.content";
        let overlay = "containerd/io.containerd.snapshotter.v1.overlayfs";
        let shared = [format!("{content}/blobs/sha256/abc"), format!("{overlay}/snapshots/1/fs/pause")];
        let own = [
            format!("{overlay}/metadata.db"),
            "containerd/io.containerd.metadata.v1.bolt/meta.db".to_owned(),
            "dpkg/status".to_owned(),
        ];
        shared.iter().chain(&own).for_each(|file| put(&from.join(file)));
        clone_var_lib(&from, &to, &File::open(dir.path()).unwrap()).unwrap();
        let inode = |path: PathBuf| path.metadata().unwrap().ino();
        for (files, same) in [(&shared[..], true), (&own[..], false)] {
            for file in files {
                assert_eq!(inode(from.join(file)) == inode(to.join(file)), same, "{file}");
                assert_eq!(fs::read(from.join(file)).unwrap(), fs::read(to.join(file)).unwrap());
            }
        }
    }

    #[test]
    fn a_new_disk_has_its_own_identity_and_keeps_the_host_key() {
        let dir = tempfile::tempdir().unwrap();
        let lock = File::open(dir.path()).unwrap();
        put(&dir.path().join("layer/var-lib/dpkg/status"));
        let key = dir.path().join("id_ed25519");
        keys::ensure(&key, "lab", &lock).unwrap();
        let node = Recorded {
            name: "w1".into(),
            host_name: "other.example.com".into(),
            address: "10.213.0.14".parse().unwrap(),
        };
        let layer = dir.path().join("layer");
        let rootfs = Rootfs::at("/base", layer.to_str().unwrap());
        let disk = Disk { rootfs: &rootfs, subnet: "10.213.0.0/24".parse().unwrap(), node: &node, key };
        let folder = Folder::new(dir.path(), "w1");
        let read = |path: &str| fs::read_to_string(folder.upper().join(path)).unwrap();
        folder.ensure(&lock).unwrap();
        folder.ensure_disk(&disk, &lock).unwrap();
        let first = (read("etc/machine-id"), read("etc/ssh/ssh_host_ed25519_key"));
        put(&folder.upper().join("etc/kubernetes/admin.conf"));

        folder.ensure_disk(&disk, &lock).unwrap();
        assert!(folder.upper().join("etc/kubernetes").exists(), "a whole disk stays as it is");
        folder.remove_disk().unwrap();
        folder.ensure_disk(&disk, &lock).unwrap();
        assert!(!folder.upper().join("etc/kubernetes").exists());
        assert_ne!(read("etc/machine-id"), first.0);
        assert_eq!(read("etc/machine-id").trim().len(), 32);
        assert_eq!(read("etc/ssh/ssh_host_ed25519_key"), first.1);
        let texts = ["etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/rekindle-lab"].map(read);
        insta::assert_snapshot!(texts.join("---\n"), @r#"
        other.example.com
        ---
        127.0.0.1 localhost
        ::1 localhost
        10.213.0.14 other.example.com other
        ---
        nameserver 10.213.0.1
        ---
        ADDRESS=10.213.0.14/24
        GATEWAY=10.213.0.1
        "#);
    }
}
