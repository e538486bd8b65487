//! The upper layer: programs, the settings that make a container a node, and `/var/lib` with unpacked images.

use super::digest::{self, Key};
use super::{RootfsSpec, copy, images};
use crate::files::{folder, link, names, set_mode, write};
use crate::{Error, Progress, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Units that wait for hardware, or for a network that the lab sets by itself, or that only cost time.
const MASKED: [&str; 17] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-networkd-wait-online.service",
    "systemd-networkd.service",
    "systemd-pstore.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
    "systemd-update-utmp.service",
];

/// Sets up the node as it boots.
const UNIT: &str = "\
[Unit]
Description=Network, control groups and kernel settings of a lab node
DefaultDependencies=no
After=local-fs.target systemd-sysctl.service
Before=network.target ssh.service multi-user.target
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/rekindle-lab/boot

[Install]
WantedBy=multi-user.target
";
/// What the unit runs.
const BOOT: &str = include_str!("boot.sh");
const SSHD: &str = "\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
PrintMotd no
MaxStartups 100
";
const SYSTEM: &str = "etc/systemd/system";

/// The key of the layer in the cache.
///
/// # Errors
/// Where a file of `spec` cannot be read.
pub(super) fn key(base_key: &str, spec: &RootfsSpec) -> Result<String> {
    let paths = spec.programs.iter().map(|(file, _)| file).chain(&spec.image_archives).cloned();
    let digests = digest::files(&paths.collect::<Vec<PathBuf>>())?;
    let settings = [base_key, UNIT, BOOT, SSHD, images::SCRIPT, images::CONFIG];
    let key = settings.iter().chain(&MASKED).fold(Key::new("layer"), |key, text| key.with(text));
    let key = spec.programs.iter().fold(key, |key, (_, path)| key.with(path)).with("digests");
    Ok(digests.iter().fold(key, |key, digest| key.with(digest)).finish())
}

/// Makes the layer in the empty folder `dir`.
///
/// # Errors
/// Where a file of `spec` has no usable path or cannot be copied, or the images cannot be imported.
pub(super) fn make(
    base: &Path,
    dir: &Path,
    spec: &RootfsSpec,
    lock: &File,
    progress: Progress,
) -> Result<()> {
    let root = dir.join("root");
    folder(&root, 0o755)?;
    progress("lay programs and settings over it");
    settings(&root)?;
    mask_sysctls(base, &root)?;
    link_cni_plugins(base, &root)?;
    for (program, path) in &spec.programs {
        let inner =
            path.strip_prefix('/').filter(|p| !p.split('/').any(|part| matches!(part, "" | "." | "..")));
        let to = root.join(inner.ok_or_else(|| Error::Name {
            name: path.clone(),
            kind: "path of a program on a node",
            rule: "absolute, without `.`, `..` or `//`",
        })?);
        folder(to.parent().unwrap_or(&root), 0o755)?;
        fs::copy(program, &to).map_err(Error::file("copy", program))?;
        set_mode(&to, 0o755)?;
    }
    let var_lib = dir.join("var-lib");
    copy(&base.join("var/lib"), &var_lib, lock)?;
    if !spec.image_archives.is_empty() {
        progress(&format!("unpack {} image archives", spec.image_archives.len()));
        images::import(base, dir, &spec.image_archives, lock)?;
    }
    Ok(())
}

fn settings(root: &Path) -> Result<()> {
    for unit in MASKED {
        link("/dev/null", &root.join(SYSTEM).join(unit))?;
    }
    let unit = root.join(SYSTEM).join("rekindle-lab.service");
    write(&unit, UNIT, 0o644)?;
    link("../rekindle-lab.service", &root.join(SYSTEM).join("multi-user.target.wants/rekindle-lab.service"))?;
    write(&root.join("usr/lib/rekindle-lab/boot"), BOOT, 0o755)?;
    write(&root.join("etc/ssh/sshd_config.d/rekindle-lab.conf"), SSHD, 0o644)
}

/// Masks the distribution's kernel settings: most are the host's, which a node must not change as it boots.
fn mask_sysctls(base: &Path, root: &Path) -> Result<()> {
    names(&base.join("usr/lib/sysctl.d"))?
        .iter()
        .try_for_each(|name| link("/dev/null", &root.join("etc/sysctl.d").join(name)))
}

/// Debian has the CNI plugins in /usr/lib/cni, while containerd looks in /opt/cni/bin.
fn link_cni_plugins(base: &Path, root: &Path) -> Result<()> {
    names(&base.join("usr/lib/cni"))?
        .iter()
        .try_for_each(|name| link(&format!("/usr/lib/cni/{name}"), &root.join("opt/cni/bin").join(name)))
}
