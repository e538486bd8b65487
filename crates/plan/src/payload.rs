//! Programs and images by digest: what a plan needs to know of an artifact.

use serde::{Deserialize, Serialize};
use step::Digest;

/// All programs and images of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Programs by name.
    pub programs: Vec<Program>,
    /// Container images.
    pub images: Vec<Image>,
    /// What the nodes' distribution has to bring instead: a program that must be found (a name, or an absolute
    /// path) and its package.
    pub packages: Vec<(String, String)>,
}

/// A program that nodes run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// `kubeadm`, `containerd`, …; a CNI plugin is `cni/bridge`.
    pub name: String,
    /// Of the file.
    pub sha256: Digest,
    /// In bytes.
    pub size: u64,
}

impl Program {
    /// Where it lies on a node.
    pub fn path(&self) -> String {
        match self.name.strip_prefix("cni/") {
            Some(plugin) => format!("/opt/cni/bin/{plugin}"),
            None => format!("/usr/local/bin/{}", self.name),
        }
    }
}

/// An image as an OCI archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `registry.k8s.io/pause:3.10.2`.
    pub reference: String,
    /// `sha256:…` of the manifest (or index) that the reference names.
    pub digest: String,
    /// Of the archive file.
    pub sha256: Digest,
    /// Of the archive file, in bytes.
    pub size: u64,
}

impl Payload {
    /// The image whose repository ends in `/name`.
    pub fn image(&self, name: &str) -> Option<&Image> {
        let ending = format!("/{name}");
        self.images.iter().find(|image| {
            image.reference.rsplit_once(':').is_some_and(|(repository, _)| repository.ends_with(&ending))
        })
    }
}
