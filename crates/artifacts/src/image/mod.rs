//! Images as archives: a tar of an OCI image layout, with the annotations from which containerd takes the name.
//!
//! The same input gives the same bytes: every time is 0, every owner root, every order fixed. Layers are zstd: a
//! quarter of the bytes travels to each node, and containerd 2.3 imports kube-apiserver in 0.75 s instead of the
//! 1.5 s that plain tar takes (two cores, ext4), since it writes, hashes and syncs every layer before it unpacks it.

mod layer;
mod layout;
mod program;
mod read;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

pub(crate) use layer::{Layer, Node, write_layer};
pub(crate) use layout::{Config, Descriptor, Index, Manifest, media};
pub use program::program;
pub(crate) use read::name_and_digest;

use crate::error::{At as _, Error};
use crate::{Arch, Sha256, cache};

/// An image of our own, before it is packed.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) reference: String,
    pub(crate) arch: Arch,
    pub(crate) layers: Vec<Layer>,
    pub(crate) entrypoint: String,
    /// `uid:gid`; empty for root.
    pub(crate) user: &'static str,
}

/// One file of an archive below `blobs/sha256/`.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) digest: Sha256,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Blob {
    /// The file its bytes are read from, if they are not in memory.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match &self.content {
            Content::Bytes(_) => None,
            Content::File(path) => Some(path.clone()),
        }
    }

    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { digest: Sha256::of(&bytes), content: Content::Bytes(bytes) }
    }
}

/// Packs an image into an archive; returns the digest of its manifest. Layers are written into `scratch` first.
pub(crate) fn pack(recipe: &Recipe, scratch: &Path, to: &Path) -> Result<Sha256, Error> {
    let (mut layers, mut blobs, mut diff_ids) = (Vec::new(), Vec::new(), Vec::new());
    for (number, layer) in recipe.layers.iter().enumerate() {
        let file = scratch.join(format!("layer-{number}.tar.zst"));
        let packed = layer.pack(&file)?;
        layers.push(Descriptor::new(media::LAYER, packed.digest, packed.size));
        diff_ids.push(packed.diff_id);
        blobs.push(Blob { digest: packed.digest, content: Content::File(file) });
    }
    let config = layout::json(&Config::new(recipe.arch, &recipe.entrypoint, recipe.user, &diff_ids))?;
    let manifest = layout::json(&Manifest::new(
        Descriptor::new(media::CONFIG, Sha256::of(&config), config.len() as u64),
        layers,
    ))?;
    let described = Descriptor::new(media::MANIFEST, Sha256::of(&manifest), manifest.len() as u64);
    let digest = Sha256::of(&manifest);
    blobs.splice(0..0, [Blob::of(manifest), Blob::of(config)]);
    let files: Vec<PathBuf> = blobs.iter().filter_map(Blob::file).collect();
    archive(&recipe.reference, described, recipe.arch, blobs, to)?;
    files.iter().try_for_each(|file| std::fs::remove_file(file).at("remove", file))?;
    Ok(digest)
}

/// Writes an archive from a manifest's descriptor and the blobs that it leads to.
pub(crate) fn archive(
    reference: &str,
    manifest: Descriptor,
    arch: Arch,
    blobs: Vec<Blob>,
    to: &Path,
) -> Result<(), Error> {
    let index = layout::json(&Index::naming(reference, manifest, arch))?;
    cache::write_with(to, 0o644, |file| {
        let mut tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
        tar.mode(tar::HeaderMode::Deterministic);
        let mut append = |name: &str, size: u64, from: &mut dyn std::io::Read| {
            let mut header = layer::header(tar::EntryType::Regular, 0o644);
            header.set_size(size);
            tar.append_data(&mut header, name, from).at("write", to)
        };
        append("oci-layout", layout::MARK.len() as u64, &mut layout::MARK.as_bytes())?;
        append("index.json", index.len() as u64, &mut index.as_slice())?;
        for blob in blobs {
            let name = format!("blobs/sha256/{}", blob.digest);
            match blob.content {
                Content::Bytes(bytes) => append(&name, bytes.len() as u64, &mut bytes.as_slice())?,
                Content::File(path) => {
                    let mut from = File::open(&path).at("open", &path)?;
                    let size = from.metadata().at("read", &path)?.len();
                    append(&name, size, &mut from)?;
                }
            }
        }
        tar.into_inner().at("write", to)?.flush().at("write", to)
    })
}

#[cfg(test)]
mod tests;
