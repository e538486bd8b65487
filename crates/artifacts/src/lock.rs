//! Versions of what surrounds Kubernetes, one line for each Kubernetes minor.
//!
//! Only what kubeadm does not say itself is here: the tags of etcd, CoreDNS and pause come from
//! `kubeadm config images list`, so that a new patch release of Kubernetes needs no new release of this program.

use semver::Version;

/// Versions of the container runtime and the CNI plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// containerd, from github.com/containerd/containerd.
    pub containerd: Version,
    /// runc, from github.com/opencontainers/runc.
    pub runc: Version,
    /// CNI plugins, from github.com/containernetworking/plugins.
    pub cni_plugins: Version,
}

/// No versions are known for a Kubernetes minor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no versions of containerd, runc and the CNI plugins are known for Kubernetes {wanted}; known are {known}"
)]
pub struct UnknownMinor {
    /// The Kubernetes version that was asked for.
    pub wanted: Version,
    /// The minors in the table.
    pub known: String,
}

const fn v(major: u64, minor: u64, patch: u64) -> Version {
    Version::new(major, minor, patch)
}

/// (Kubernetes minor of 1.x, containerd, runc, CNI plugins). Sources: containerd's RELEASES.md for the pairing
/// with Kubernetes; containerd 2.3.7's `script/setup/runc-version` and go.mod for the versions it is tested with;
/// Kubernetes' `build/dependencies.yaml` ("cni").
const TABLE: [(u64, Version, Version, Version); 3] = [
    (35, v(2, 3, 7), v(1, 5, 2), v(1, 9, 1)),
    (36, v(2, 3, 7), v(1, 5, 2), v(1, 9, 1)),
    (37, v(2, 3, 7), v(1, 5, 2), v(1, 9, 1)),
];

impl Versions {
    /// The versions for a Kubernetes version.
    ///
    /// # Errors
    /// [`UnknownMinor`] names the minors that are known.
    pub fn of(kubernetes: &Version) -> Result<Self, UnknownMinor> {
        TABLE
            .into_iter()
            .find(|(minor, ..)| kubernetes.major == 1 && kubernetes.minor == *minor)
            .map(|(_, containerd, runc, cni_plugins)| Self { containerd, runc, cni_plugins })
            .ok_or_else(|| UnknownMinor {
                wanted: kubernetes.clone(),
                known: TABLE.map(|(minor, ..)| format!("1.{minor}")).join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_that_is_not_in_the_table_is_refused_and_any_patch_of_one_is_taken() {
        assert_eq!(Versions::of(&v(1, 36, 3)), Versions::of(&v(1, 36, 99)));
        insta::assert_snapshot!(Versions::of(&v(1, 99, 0)).unwrap_err());
        assert!(Versions::of(&v(2, 36, 0)).is_err());
    }
}
