//! What is built from Go modules: a go.mod with its go.sum for each project, since their dependencies differ.
//!
//! Each go.mod requires one project at one version and names its programs as tools; go.sum pins the hash of every
//! module. Sources stay in Go's module cache.

use semver::Version;

use crate::error::Error;

/// A project and the programs that are built from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Project {
    pub(super) name: &'static str,
    /// File name and content.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// The module whose version in go.mod is the project's version; empty for a project of our own.
    module: &'static str,
    /// Package and name of the program it becomes.
    pub(super) programs: &'static [(&'static str, &'static str)],
    pub(super) tags: &'static str,
    stamp: Stamp,
    /// Seconds that a cold build took on two cores, downloads included.
    pub(super) seconds: u64,
}

/// Where a program keeps its version, for the linker to write.
#[derive(Debug, Clone, Copy)]
enum Stamp {
    /// Its own sources have it.
    None,
    /// Kubernetes': without it kubeadm misjudges version skew.
    Kubernetes,
    /// A variable of package main.
    Main(&'static str),
}

macro_rules! files {
    ($project:literal $(, $more:literal)*) => {
        &[
            ("go.mod", include_str!(concat!("../../go/", $project, "/go.mod"))),
            $(($more, include_str!(concat!("../../go/", $project, "/", $more))),)*
        ]
    };
}

pub(super) const ETCD: Project = Project {
    name: "etcd",
    files: files!("etcd", "go.sum"),
    module: "go.etcd.io/etcd/server/v3",
    programs: &[
        ("go.etcd.io/etcd/server/v3", "etcd"),
        ("go.etcd.io/etcd/etcdctl/v3", "etcdctl"),
        ("go.etcd.io/etcd/etcdutl/v3", "etcdutl"),
    ],
    tags: "",
    stamp: Stamp::None,
    seconds: 60,
};

pub(super) const CONTAINERD: Project = Project {
    name: "containerd",
    files: files!("containerd", "go.sum"),
    module: "github.com/containerd/containerd/v2",
    programs: &[
        ("github.com/containerd/containerd/v2/cmd/containerd", "containerd"),
        ("github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "containerd-shim-runc-v2"),
        ("github.com/containerd/containerd/v2/cmd/ctr", "ctr"),
    ],
    tags: "no_btrfs no_devmapper no_zfs",
    stamp: Stamp::None,
    seconds: 90,
};

pub(super) const COREDNS: Project = Project {
    name: "coredns",
    files: files!("coredns", "go.sum"),
    module: "github.com/coredns/coredns",
    programs: &[("github.com/coredns/coredns", "coredns")],
    tags: "",
    stamp: Stamp::None,
    seconds: 150,
};

/// `pause -v` prints the tag that kubeadm 1.36 wants.
pub(super) const PAUSE: Project = Project {
    name: "pause",
    files: files!("pause", "main.go"),
    module: "",
    programs: &[("rekindle.dev/artifacts/pause", "pause")],
    tags: "",
    stamp: Stamp::Main("3.10.2"),
    seconds: 5,
};

/// A registry for tests and for sites without one.
pub(super) const DISTRIBUTION: Project = Project {
    name: "distribution",
    files: files!("distribution", "go.sum"),
    module: "github.com/distribution/distribution/v3",
    programs: &[("github.com/distribution/distribution/v3/cmd/registry", "registry")],
    tags: "",
    stamp: Stamp::None,
    seconds: 60,
};

/// An S3 server for tests.
pub(super) const VERSITYGW: Project = Project {
    name: "versitygw",
    files: files!("versitygw", "go.sum"),
    module: "github.com/versity/versitygw",
    programs: &[("github.com/versity/versitygw/cmd/versitygw", "versitygw")],
    tags: "",
    stamp: Stamp::None,
    seconds: 70,
};

/// The pinned Kubernetes versions. A further one is a folder with a go.mod and go.sum, and an entry here.
const KUBERNETES: [Project; 2] =
    [kubernetes(files!("kubernetes", "go.sum")), kubernetes(files!("kubernetes-1.36.1", "go.sum"))];

const fn kubernetes(files: &'static [(&'static str, &'static str)]) -> Project {
    Project {
        name: "kubernetes",
        files,
        module: "k8s.io/kubernetes",
        programs: &[
            ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
            ("k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"),
            ("k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"),
            ("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
            ("k8s.io/kubernetes/cmd/kubeadm", "kubeadm"),
            ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
            ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ],
        tags: "",
        stamp: Stamp::Kubernetes,
        seconds: 600,
    }
}

/// The Kubernetes versions that can be built.
pub fn pinned() -> Vec<Version> {
    KUBERNETES.iter().filter_map(Project::version).collect()
}

/// The project of a Kubernetes version.
pub(super) fn of_kubernetes(wanted: &Version) -> Result<Project, Error> {
    KUBERNETES
        .into_iter()
        .find(|project| project.version().as_ref() == Some(wanted))
        .ok_or_else(|| Error::NotPinned { wanted: wanted.clone(), pinned: pinned() })
}

impl Project {
    /// The version that go.mod requires.
    pub(super) fn version(&self) -> Option<Version> {
        let go_mod = self.files.iter().find(|(name, _)| *name == "go.mod")?.1;
        let line = go_mod.lines().map(str::trim).find_map(|line| {
            line.trim_start_matches("require ").strip_prefix(self.module)?.strip_prefix(" v")
        });
        line?.split(' ').next()?.parse().ok()
    }

    /// The linker's flags: no symbol table, and the version where the program wants it from outside.
    pub(super) fn ldflags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        match (self.stamp, self.version()) {
            (Stamp::Main(version), _) => flags += &format!(" -X main.version={version}"),
            (Stamp::Kubernetes, Some(version)) => {
                for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
                    flags += &format!(
                        " -X {package}.gitVersion=v{version} -X {package}.gitMajor={} -X {package}.gitMinor={} \
                         -X {package}.gitTreeState=clean",
                        version.major, version.minor
                    );
                }
            }
            _ => {}
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_names_one_version_whose_hash_is_in_its_sums() {
        let pins: Vec<String> = [ETCD, CONTAINERD, COREDNS, PAUSE, DISTRIBUTION, VERSITYGW]
            .iter()
            .chain(&KUBERNETES)
            .map(|project| {
                let version = project.version();
                if let (Some(version), Some((_, sums))) =
                    (&version, project.files.iter().find(|(name, _)| *name == "go.sum"))
                {
                    assert!(sums.contains(&format!("{} v{version} h1:", project.module)), "{}", project.name);
                }
                let version = version.map(|version| version.to_string()).unwrap_or_default();
                format!("{} {version} {}", project.name, project.ldflags())
            })
            .collect();
        insta::assert_snapshot!(pins.join("\n"));
    }
}
