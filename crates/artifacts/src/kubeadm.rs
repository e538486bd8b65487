//! The list of images, asked of kubeadm itself.

use std::io;
use std::path::Path;
use std::time::Duration;

use semver::Version;
use tokio::process::Command;

use crate::Arch;
use crate::error::{At as _, Error};

/// Whether a kubeadm for this processor runs on this machine.
pub(crate) fn runs_here(arch: Arch) -> bool {
    cfg!(target_os = "linux") && Arch::HERE == Some(arch)
}

/// What `kubeadm config images list` prints for a version, in its order.
pub(crate) async fn images(kubeadm: &Path, kubernetes: &Version) -> Result<Vec<String>, Error> {
    let version = format!("v{kubernetes}");
    let text = said(kubeadm, &["config", "images", "list", "--kubernetes-version", &version]).await?;
    let list: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    if list.is_empty() || list.iter().any(|reference| split(reference).is_none()) {
        let why = format!("its list of images is {text:?}");
        return Err(Error::Unusable { what: kubeadm.display().to_string(), why });
    }
    Ok(list)
}

/// Refuses a kubeadm of another version.
pub(crate) async fn require_version(kubeadm: &Path, kubernetes: &Version) -> Result<(), Error> {
    let (found, wanted) = (said(kubeadm, &["version", "-o", "short"]).await?, format!("v{kubernetes}"));
    if found.trim() == wanted {
        return Ok(());
    }
    Err(Error::FolderDiffers { file: kubeadm.to_owned(), found: found.trim().to_owned(), wanted })
}

async fn said(kubeadm: &Path, arguments: &[&str]) -> Result<String, Error> {
    let output = run(Command::new(kubeadm).args(arguments)).await.at("run", kubeadm)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        command: format!("{} {}", kubeadm.display(), arguments.join(" ")),
        status: output.status.to_string(),
        last_lines: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// The repository's last part and the tag: (`coredns`, `v1.14.2`) of `registry.k8s.io/coredns/coredns:v1.14.2`.
pub(crate) fn split(reference: &str) -> Option<(&str, &str)> {
    let (repository, tag) = reference.rsplit_once(':')?;
    let name = repository.rsplit_once('/')?.1;
    (!name.is_empty() && !tag.is_empty() && !tag.contains('/')).then_some((name, tag))
}

/// Runs a program to its end. A program that was just written can be busy for a moment: a child that another
/// thread is starting holds the file open until its own exec.
async fn run(command: &mut Command) -> io::Result<std::process::Output> {
    command.kill_on_drop(true);
    let mut tries = 0;
    loop {
        match command.output().await {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 50 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
}
