//! What is asked for and what is handed over.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::Sha256;
use crate::listed::Checked;

/// The processor of the nodes, named as Go and OCI name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Arch {
    /// The processor this program runs on, where it is one of ours.
    pub const HERE: Option<Self> = if cfg!(target_arch = "x86_64") {
        Some(Self::Amd64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Self::Arm64)
    } else {
        None
    };

    /// `amd64` or `arm64`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A program that nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the programs' own")]
pub enum ProgramName {
    Kubeadm,
    Kubelet,
    Kubectl,
    Etcd,
    Etcdctl,
    Etcdutl,
    Containerd,
    ContainerdShim,
    Ctr,
    Runc,
    Bridge,
    HostLocal,
    Loopback,
    Portmap,
}

impl ProgramName {
    /// Every program.
    pub const ALL: [Self; 14] = [
        Self::Kubeadm,
        Self::Kubelet,
        Self::Kubectl,
        Self::Etcd,
        Self::Etcdctl,
        Self::Etcdutl,
        Self::Containerd,
        Self::ContainerdShim,
        Self::Ctr,
        Self::Runc,
        Self::Bridge,
        Self::HostLocal,
        Self::Loopback,
        Self::Portmap,
    ];

    /// The name of its file on a node.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Kubeadm => "kubeadm",
            Self::Kubelet => "kubelet",
            Self::Kubectl => "kubectl",
            Self::Etcd => "etcd",
            Self::Etcdctl => "etcdctl",
            Self::Etcdutl => "etcdutl",
            Self::Containerd => "containerd",
            Self::ContainerdShim => "containerd-shim-runc-v2",
            Self::Ctr => "ctr",
            Self::Runc => "runc",
            Self::Bridge => "bridge",
            Self::HostLocal => "host-local",
            Self::Loopback => "loopback",
            Self::Portmap => "portmap",
        }
    }

    /// The program whose file has this name.
    pub fn from_file_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.file_name() == name)
    }

    /// Whether it is a CNI plugin, which containerd looks for in `/opt/cni/bin`.
    pub fn is_cni_plugin(self) -> bool {
        matches!(self, Self::Bridge | Self::HostLocal | Self::Loopback | Self::Portmap)
    }

    /// The Debian and Ubuntu package that has it, for the programs that a distribution keeps current.
    pub fn package(self) -> Option<&'static str> {
        match self {
            Self::Runc => Some("runc"),
            plugin if plugin.is_cni_plugin() => Some("containernetworking-plugins"),
            _ => None,
        }
    }
}

impl std::fmt::Display for ProgramName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.file_name())
    }
}

/// What a cluster needs.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The exact Kubernetes version.
    pub kubernetes: semver::Version,
    /// The processor of the nodes.
    pub arch: Arch,
    /// Which programs.
    pub programs: BTreeSet<ProgramName>,
    /// Which images.
    pub images: Images,
}

impl Wanted {
    /// Every program and every image of a version.
    pub fn everything(kubernetes: semver::Version, arch: Arch) -> Self {
        Self { kubernetes, arch, programs: ProgramName::ALL.into(), images: Images::AsKubeadmLists }
    }
}

/// Which images are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Images {
    /// None.
    None,
    /// What `kubeadm config images list --kubernetes-version` prints. kubeadm is run on this machine, so it
    /// has to be Linux.
    AsKubeadmLists,
    /// These references: a part of that list, or one that kubeadm printed elsewhere.
    These(Vec<String>),
}

/// Everything that was wanted, as files that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The Kubernetes version.
    pub kubernetes: semver::Version,
    /// The processor it is for.
    pub arch: Arch,
    /// The programs that come as files, in the order of [`ProgramName`].
    pub programs: Vec<Program>,
    /// The wanted programs that this source leaves to the nodes' distribution: the node has to have the package.
    pub packaged: Vec<Packaged>,
    /// The images, in the order in which kubeadm lists them.
    pub images: Vec<Image>,
}

impl Payload {
    pub(crate) fn empty(wanted: &Wanted) -> Self {
        Self {
            kubernetes: wanted.kubernetes.clone(),
            arch: wanted.arch,
            programs: Vec::new(),
            packaged: Vec::new(),
            images: Vec::new(),
        }
    }

    /// The file of a program, unless it is packaged or was not wanted.
    pub fn program(&self, name: ProgramName) -> Option<&Program> {
        self.programs.iter().find(|program| program.name == name)
    }
}

/// A program as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Which one.
    pub name: ProgramName,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// Where it lies on this machine, executable.
    pub file: PathBuf,
}

impl Program {
    pub(crate) fn from_checked(name: ProgramName, checked: Checked) -> Self {
        let Checked { file, sha256, size } = checked;
        Self { name, sha256, size, file }
    }
}

/// A program that a node has from its distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packaged {
    /// Which one.
    pub name: ProgramName,
    /// The Debian and Ubuntu package.
    pub package: &'static str,
}

impl Packaged {
    pub(crate) fn of(name: ProgramName) -> Option<Self> {
        name.package().map(|package| Self { name, package })
    }
}

/// An image as an archive that `ctr -n k8s.io images import` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name it has after import, as kubeadm prints it: `registry.k8s.io/kube-apiserver:v1.36.3`.
    pub reference: String,
    /// Digest of its manifest: what `ctr images ls` shows after import, there with `sha256:` before it.
    pub digest: Sha256,
    /// The archive: a tar of an OCI image layout.
    pub archive: PathBuf,
    /// SHA-256 of the archive.
    pub sha256: Sha256,
    /// Length of the archive in bytes.
    pub size: u64,
}

impl Image {
    pub(crate) fn from_checked(reference: String, digest: Sha256, checked: Checked) -> Self {
        let Checked { file, sha256, size } = checked;
        Self { reference, digest, archive: file, sha256, size }
    }
}
