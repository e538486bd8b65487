//! Where each program is published, and who says its digest.

use semver::Version;

use crate::error::Error;
use crate::kubeadm;
use crate::lock::Versions;
use crate::payload::{Arch, ProgramName};

/// A file on a project's site.
pub(super) struct Published {
    pub(super) host: &'static str,
    pub(super) path: String,
    /// The path of the list of checksums.
    pub(super) sums: String,
    /// The path of the program in this archive; `None`: the file is the program.
    pub(super) member: Option<String>,
}

impl Published {
    /// The file that has a program. `versions` stands over the ones known for the Kubernetes minor; etcd's version
    /// is the one of the image in `references` (3.6.8-0: 3.6.8).
    pub(super) fn of(
        name: ProgramName,
        kubernetes: &Version,
        arch: Arch,
        versions: Option<&Versions>,
        references: &[String],
    ) -> Result<Self, Error> {
        use ProgramName::{
            Bridge, Containerd, ContainerdShim, Ctr, Etcd, Etcdctl, Etcdutl, HostLocal, Kubeadm,
        };
        use ProgramName::{Kubectl, Kubelet, Loopback, Portmap, Runc};
        let versions = || versions.cloned().map_or_else(|| Versions::of(kubernetes), Ok);
        Ok(match name {
            Kubeadm | Kubelet | Kubectl => {
                let path = format!("release/v{kubernetes}/bin/linux/{arch}/{name}");
                Self { host: "dl.k8s.io", sums: format!("{path}.sha256"), path, member: None }
            }
            Etcd | Etcdctl | Etcdutl => {
                let v = etcd_version(references)?;
                let folder = format!("etcd-v{v}-linux-{arch}");
                let member = format!("{folder}/{name}");
                release("etcd-io/etcd", v, format!("{folder}.tar.gz"), "SHA256SUMS", Some(member))
            }
            Containerd | ContainerdShim | Ctr => {
                let v = versions()?.containerd.to_string();
                let file = format!("containerd-{v}-linux-{arch}.tar.gz");
                release("containerd/containerd", &v, file, "*.sha256sum", Some(format!("bin/{name}")))
            }
            Runc => {
                let v = versions()?.runc.to_string();
                release("opencontainers/runc", &v, format!("runc.{arch}"), "runc.sha256sum", None)
            }
            Bridge | HostLocal | Loopback | Portmap => {
                let v = versions()?.cni_plugins.to_string();
                let file = format!("cni-plugins-linux-{arch}-v{v}.tgz");
                release("containernetworking/plugins", &v, file, "*.sha256", Some(name.to_string()))
            }
        })
    }

    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// A file of a GitHub release; `*` in the name of the list stands for the file's.
fn release(repository: &str, version: &str, file: String, sums: &str, member: Option<String>) -> Published {
    let folder = format!("{repository}/releases/download/v{version}");
    let sums = format!("{folder}/{}", sums.replace('*', &file));
    Published { host: "github.com", path: format!("{folder}/{file}"), sums, member }
}

fn etcd_version(references: &[String]) -> Result<&str, Error> {
    let images = references.iter().filter_map(|reference| kubeadm::split(reference));
    let tag = images.filter(|(image, _)| *image == "etcd").map(|(_, tag)| tag).next();
    tag.and_then(|tag| tag.split('-').next()).ok_or_else(|| Error::Unusable {
        what: "the list of images".into(),
        why: "it has no etcd, which says the version of etcd's programs".into(),
    })
}
