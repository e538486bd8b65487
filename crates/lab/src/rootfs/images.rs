//! Images, unpacked once for all nodes by a containerd that runs for a moment in the new root.
//!
//! It runs in namespaces of its own, without a network: nothing of it outlives it, whatever happens.

use super::isolated;
use crate::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// containerd without CRI: it keeps content, and unpacks it with the snapshotter that the nodes use.
pub(super) const CONFIG: &str = r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
  "io.containerd.nri.v1.nri"]
[grpc]
address = "/run/containerd/containerd.sock"
"#;

/// Arguments: base, layer, containerd's configuration, image archives.
pub(super) const SCRIPT: &str = r#"set -eu
base=$1 layer=$2 config=$3
shift 3
mkdir -p "$layer/work" "$layer/merged"
mount -t overlay -o "lowerdir=$base,upperdir=$layer/root,workdir=$layer/work" overlay "$layer/merged"
cd "$layer/merged"
mount --bind "$layer/var-lib" var/lib
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/urandom c 1 9
printf %s "$config" > run/containerd.toml
chroot . containerd --config /run/containerd.toml > run/log 2>&1 &
tries=20
until chroot . ctr version > /dev/null 2>&1 || [ "$tries" = 0 ]; do
	tries=$((tries - 1))
	sleep 0.5
done
for archive; do
	if ! chroot . ctr -n k8s.io images import --snapshotter overlayfs - < "$archive" > run/import 2>&1; then
		tail -n 3 run/log run/import >&2
		echo "cannot import $archive" >&2
		exit 1
	fi
done
# What a node's containerd holds, for whoever asks before it runs.
mkdir -p var/lib/rekindle
chroot . ctr -n k8s.io images ls > var/lib/rekindle/images.list
kill $!
wait $! || :
# Which containerd it is: each makes its own.
rm -rf var/lib/containerd/io.containerd.grpc.v1.introspection
cd /
umount -R "$layer/merged"
rm -rf "$layer/work" "$layer/merged"
"#;

/// Imports the archives into `var-lib/containerd` of the layer in `dir`.
///
/// # Errors
/// Where containerd is not among the programs or refuses an archive.
pub(super) fn import(base: &Path, dir: &Path, archives: &[PathBuf], lock: &File) -> Result<()> {
    // The script changes its folder.
    let absolute = |path: &PathBuf| std::path::absolute(path).map_err(Error::file("resolve", path));
    let archives: Vec<PathBuf> = archives.iter().map(absolute).collect::<Result<_>>()?;
    isolated(command(base, dir, &archives)).holding(lock).done()
}

fn command(base: &Path, dir: &Path, archives: &[PathBuf]) -> Vec<String> {
    let script = ["unshare", "--net", "sh", "-c", SCRIPT, "import"];
    let paths = [base, dir].into_iter().map(|p| p.display().to_string());
    let archives = archives.iter().map(|p| p.display().to_string());
    script.map(str::to_owned).into_iter().chain(paths).chain([CONFIG.to_owned()]).chain(archives).collect()
}
