//! One layer of an image: a tar whose bytes depend on its content alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use crate::digest::Hashing;
use crate::error::{At as _, Error};
use crate::{Sha256, cache};

/// Where a layer comes from.
#[derive(Debug)]
pub(crate) enum Layer {
    /// Files, by their path in the image without the leading slash. Folders above them are made.
    Files(BTreeMap<String, Node>),
    /// A layer that was written before, as plain tar.
    Tar(PathBuf),
}

/// What lies at a path of a layer.
#[derive(Debug)]
pub(crate) enum Node {
    /// A program of this machine's disk, mode 0755.
    Program(PathBuf),
    /// A folder that everybody may write, as `/tmp` is.
    SharedFolder,
    /// A symbolic link.
    Link(String),
    /// A file read from an archive of packages.
    Bytes(Vec<u8>, u32),
}

/// A layer as a blob.
#[derive(Debug)]
pub(super) struct Packed {
    /// Digest and size of the compressed file.
    pub(super) digest: Sha256,
    pub(super) size: u64,
    /// Digest of the tar in it.
    pub(super) diff_id: Sha256,
}

impl Layer {
    /// Writes the layer, compressed. The level changes the bytes, hence the digests of every image.
    pub(super) fn pack(&self, to: &Path) -> Result<Packed, Error> {
        cache::write_with(to, 0o644, |file| {
            let out = Hashing::new(BufWriter::with_capacity(1 << 20, file));
            let compressor = zstd::Encoder::new(out, 3).at("compress", to)?;
            let mut tar = Hashing::new(compressor);
            match self {
                Self::Files(nodes) => write_layer(nodes, &mut tar, to)?,
                Self::Tar(path) => {
                    let mut from = File::open(path).at("open", path)?;
                    io::copy(&mut from, &mut tar).map(drop).at("write", to)?;
                }
            }
            let (compressor, (diff_id, _)) = tar.into_parts();
            let mut out = compressor.finish().at("write", to)?;
            out.flush().at("write", to)?;
            let (digest, size) = out.finish();
            Ok(Packed { digest, size, diff_id })
        })
    }
}

/// Writes the tar of a layer; `to` is the file that errors name.
pub(crate) fn write_layer(nodes: &BTreeMap<String, Node>, out: impl Write, to: &Path) -> Result<(), Error> {
    let mut tar = tar::Builder::new(out);
    for folder in folders_above(nodes.keys()) {
        if !nodes.contains_key(&folder) {
            add_folder(&mut tar, &folder, 0o755).at("write", to)?;
        }
    }
    for (path, node) in nodes {
        match node {
            Node::Program(file) => {
                let mut from = File::open(file).at("open", file)?;
                let size = from.metadata().at("read", file)?.len();
                add_file(&mut tar, path, 0o755, size, &mut from).at("write", to)?;
            }
            Node::Bytes(bytes, mode) => {
                add_file(&mut tar, path, *mode, bytes.len() as u64, &mut bytes.as_slice()).at("write", to)?;
            }
            Node::SharedFolder => add_folder(&mut tar, path, 0o1777).at("write", to)?,
            Node::Link(target) => {
                let mut header = header(EntryType::Symlink, 0o777);
                header.set_size(0);
                tar.append_link(&mut header, path, target).at("write", to)?;
            }
        }
    }
    tar.into_inner().at("write", to)?.flush().at("write", to)
}

/// Every folder above these paths, each after its own.
fn folders_above<'a>(paths: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let ends = path.match_indices('/').map(|(end, _)| path[..end].to_owned());
        folders.extend(ends);
    }
    folders
}

fn add_file(
    tar: &mut tar::Builder<impl Write>,
    path: &str,
    mode: u32,
    size: u64,
    from: &mut dyn io::Read,
) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode);
    header.set_size(size);
    tar.append_data(&mut header, path, from)
}

fn add_folder(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32) -> io::Result<()> {
    let mut header = header(EntryType::Directory, mode);
    header.set_size(0);
    tar.append_data(&mut header, format!("{path}/"), io::empty())
}

/// A header of root's, at the beginning of time.
pub(super) fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
