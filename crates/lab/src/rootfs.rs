//! The root file system that all nodes share: Debian bookworm, and a layer over it with programs, settings and the
//! images of containerd, each made once and kept in a cache.
//!
//! ```text
//! CACHE/base-KEY/             Debian, as mmdebstrap makes it
//! CACHE/layer-KEY/root/       what lies over it: programs, units, settings
//! CACHE/layer-KEY/var-lib/    /var/lib of a new node, with the images unpacked
//! ```
//! A key is the digest of all that went in, so nothing here is ever changed: a folder appears whole, by a rename.

mod base;
mod digest;
mod images;
mod layer;

use crate::command::{Run, run};
use crate::{Error, Progress, Result, files, lock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What goes into a root file system.
#[derive(Debug, Clone, Default)]
pub struct RootfsSpec {
    /// Programs: the file here, and its absolute path on the nodes, such as `/usr/local/bin/kubeadm`. `containerd`
    /// and `ctr` must be among them where there are images.
    pub programs: Vec<(PathBuf, String)>,
    /// Archives of images (OCI image layout or `docker save`, as a tar file) for containerd's namespace `k8s.io`.
    pub image_archives: Vec<PathBuf>,
    /// Debian mirror; `None`: what mmdebstrap chooses.
    pub mirror: Option<String>,
}

/// A root file system that was prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    base: PathBuf,
    layer: PathBuf,
}

impl Rootfs {
    #[cfg(test)]
    pub(crate) fn at(base: &str, layer: &str) -> Self {
        Self { base: base.into(), layer: layer.into() }
    }

    /// The lower layers of a node's overlay, the uppermost first.
    pub(crate) fn lower(&self) -> [PathBuf; 2] {
        [self.layer.join("root"), self.base.clone()]
    }

    /// What a new node's `/var/lib` holds.
    pub(crate) fn var_lib(&self) -> PathBuf {
        self.layer.join("var-lib")
    }

    /// Whether it still lies in its cache.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.base.is_dir() && self.var_lib().is_dir()
    }
}

/// Makes the root file system for `spec` in `cache`, or finds it there. One at a time: another call for the same
/// cache waits.
///
/// # Errors
/// Where a file of `spec` cannot be read, `cache` cannot be written, or a program fails.
pub fn prepare(cache: &Path, spec: &RootfsSpec, progress: Progress) -> Result<Rootfs> {
    fs::create_dir_all(cache).map_err(Error::file("make", cache))?;
    let cache = overlay_path(&cache.canonicalize().map_err(Error::file("resolve", cache))?)?;
    let base_key = base::key(spec.mirror.as_deref());
    let layer_key = layer::key(&base_key, spec)?;
    let rootfs = Rootfs {
        base: cache.join(format!("base-{base_key}")),
        layer: cache.join(format!("layer-{layer_key}")),
    };
    if rootfs.exists() {
        return Ok(rootfs);
    }
    let lock =
        lock::wait_for(&cache)?.ok_or_else(|| Error::Host { why: "the cache was removed".to_owned() })?;
    remove_unfinished(&cache)?;
    if !rootfs.base.is_dir() {
        progress("make a Debian root file system");
        whole(&rootfs.base, |dir| base::make(dir, spec.mirror.as_deref(), &lock))?;
    }
    if !rootfs.layer.is_dir() {
        whole(&rootfs.layer, |dir| layer::make(&rootfs.base, dir, spec, &lock, progress))?;
    }
    Ok(rootfs)
}

/// Folders that a killed `prepare` left. The lock says that nobody works in them.
fn remove_unfinished(cache: &Path) -> Result<()> {
    let unfinished = files::names(cache)?.into_iter().filter(|name| name.starts_with(UNFINISHED));
    unfinished.map(|name| cache.join(name)).try_for_each(|dir| files::remove(&dir))
}

/// Runs a program in namespaces of its own: its mounts and processes end with it, and it ends with us.
fn isolated(argv: impl IntoIterator<Item = String>) -> Run<'static> {
    let us = ["setpriv", "--pdeathsig", "KILL"];
    let own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    Run::new(us.into_iter().chain(own).map(str::to_owned).chain(argv))
}

/// Start of the name of a folder that is not whole yet.
const UNFINISHED: &str = "unfinished-";

/// Makes a folder that appears at `path` whole or not at all.
fn whole(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let cache = path.parent().unwrap_or(Path::new("/"));
    let dir = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(cache)
        .map_err(Error::file("make a folder in", cache))?;
    make(dir.path())?;
    fs::rename(dir.keep(), path).map_err(Error::file("make", path))
}

/// Checks that overlayfs takes a path as it is in its options, where `:` and `,` separate and `\` escapes.
pub(crate) fn overlay_path(path: &Path) -> Result<PathBuf> {
    match path.to_str().is_some_and(|p| !p.contains([':', ',', '\\'])) {
        true => Ok(path.to_path_buf()),
        false => Err(Error::Name {
            name: path.display().to_string(),
            kind: "folder for overlayfs",
            rule: "no `:`, `,` or `\\`, and valid UTF-8",
        }),
    }
}

/// Copies the files of `from` to `to` with all that belongs to them.
fn copy(from: &Path, to: &Path, lock: &File) -> Result<()> {
    run!["cp", "-a", "--reflink=auto", "-T", from, to].holding(lock).done()
}
