//! OCI's documents (image-spec 1.1: image-layout.md, manifest.md, config.md), with the fields that are used here
//! in a fixed order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::{Arch, Sha256};

/// The content of `oci-layout`.
pub(crate) const MARK: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Media types.
pub(crate) mod media {
    pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's names for an index and a manifest: registries still serve them.
    pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
}

/// The annotation that containerd takes an image's name from.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// OCI's own annotation for it.
pub(crate) const OCI_NAME: &str = "org.opencontainers.image.ref.name";

/// Names a blob by its digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Sha256, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest: digest.oci(),
            size,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The processor and system an image is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// `index.json`, and what a registry answers for an image of many platforms.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

impl Index {
    /// The index of an archive that holds one image.
    pub(crate) fn naming(reference: &str, mut manifest: Descriptor, arch: Arch) -> Self {
        manifest.platform = Some(Platform { architecture: arch.to_string(), os: "linux".into() });
        for key in [CONTAINERD_NAME, OCI_NAME] {
            manifest.annotations.insert(key.into(), reference.into());
        }
        Self { schema_version: 2, media_type: media::INDEX.into(), manifests: vec![manifest] }
    }
}

/// The parts of an image for one platform.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

impl Manifest {
    pub(crate) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: media::MANIFEST.into(), config, layers }
    }
}

/// How a container of the image starts.
#[derive(Debug, Serialize)]
pub(crate) struct Config {
    created: &'static str,
    architecture: String,
    os: &'static str,
    config: Process,
    rootfs: RootFs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Process {
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'static str,
    env: [&'static str; 1],
    entrypoint: [String; 1],
    working_dir: &'static str,
}

#[derive(Debug, Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: Vec<String>,
}

impl Config {
    /// `layers`: the digests of the layers as plain tar.
    pub(crate) fn new(arch: Arch, entrypoint: &str, user: &'static str, layers: &[Sha256]) -> Self {
        Self {
            created: "1970-01-01T00:00:00Z",
            architecture: arch.to_string(),
            os: "linux",
            config: Process {
                user,
                // kubeadm's manifests name programs without a path.
                env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                entrypoint: [entrypoint.into()],
                working_dir: "/",
            },
            rootfs: RootFs { r#type: "layers", diff_ids: layers.iter().map(Sha256::oci).collect() },
        }
    }
}

pub(crate) fn json(document: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(document)
        .map_err(|error| Error::Unusable { what: "an OCI document".into(), why: error.to_string() })
}
