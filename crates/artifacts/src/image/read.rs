//! The name and digest of the image in an archive.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::Index;
use super::layout::CONTAINERD_NAME;
use crate::Sha256;
use crate::error::{At as _, Error};

/// Reads `index.json` of an archive that holds one image: its reference and the digest of its manifest.
pub(crate) fn name_and_digest(archive: &Path) -> Result<(String, Sha256), Error> {
    let unusable = |why: String| Error::Unusable { what: archive.display().to_string(), why };
    let file = File::open(archive).at("open", archive)?;
    let mut tar = tar::Archive::new(BufReader::new(file));
    for entry in tar.entries_with_seek().at("read", archive)? {
        let entry = entry.at("read", archive)?;
        let path = entry.path().at("read", archive)?;
        if path.strip_prefix(".").unwrap_or(&path) != Path::new("index.json") {
            continue;
        }
        let index: Index = serde_json::from_reader(entry).map_err(|error| unusable(error.to_string()))?;
        let [manifest] = index.manifests.as_slice() else {
            return Err(unusable(format!("it holds {} images, not one", index.manifests.len())));
        };
        let name = manifest.annotations.get(CONTAINERD_NAME);
        let name =
            name.ok_or_else(|| unusable(format!("its index.json has no annotation {CONTAINERD_NAME}")))?;
        let digest =
            manifest.digest.parse().map_err(|error: crate::ParseSha256Error| unusable(error.to_string()))?;
        return Ok((name.clone(), digest));
    }
    Err(unusable("it is no tar of an OCI image layout (no index.json)".into()))
}
