//! The Debian packages that a lab needs on this host.

use crate::command::{Run, exists, run};
use crate::{Progress, Result};

/// Programs that are run, and the Debian package that has each.
const NEEDED: [(&str, &str); 9] = [
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("ssh-keygen", "openssh-client"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("cp", "coreutils"),
    ("mount", "mount"),
];
/// Keys that sign Debian: a file, and the Debian and Ubuntu package that has it.
const KEYRING: (&str, &str) = ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring");

/// Packages that are missing here, in order, each once.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let programs = NEEDED.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package);
    let keyring = (!std::path::Path::new(KEYRING.0).exists()).then_some(KEYRING.1);
    let mut packages: Vec<&str> = programs.chain(keyring).collect();
    packages.dedup();
    packages
}

/// Whether [`install`] can work here.
#[must_use]
pub fn can_install() -> bool {
    exists("apt-get")
}

/// The command that a person would type to install `packages`.
#[must_use]
pub fn command(packages: &[&str]) -> String {
    format!("apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Installs packages with `apt-get`, without questions. Does nothing where there are none.
///
/// # Errors
/// Where `apt-get` is not there or fails.
pub fn install(packages: &[&str], progress: Progress) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"];
    progress("update the list of packages");
    run!["apt-get", "-qq", "update"].done()?;
    progress(&format!("install {}", packages.join(", ")));
    let install = ["install", "--yes", "--no-install-recommends"];
    Run::new(quiet.iter().chain(&install).chain(packages)).done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_every_package() {
        assert_eq!(command(&["a", "b"]), "apt-get install --no-install-recommends a b");
    }

    #[test]
    fn nothing_to_install_runs_nothing() {
        install(&[], &|line| panic!("{line}")).unwrap();
    }
}
