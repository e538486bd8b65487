//! One program out of an image's archive: a drill runs the cluster's own kube-apiserver without a container.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use super::{Descriptor, Manifest};
use crate::cache::{self, Cache, blocking};
use crate::error::{At as _, Error};
use crate::listed::made;
use crate::progress::{Progress, Report};
use crate::{Image, Sha256};

/// No manifest is longer than this, in bytes (the limit of registries).
const LONGEST_MANIFEST: u64 = 4 << 20;

/// The program `/usr/local/bin/NAME` of an image, as an executable file in the cache. Every byte that is read from the
/// archive has the digest by which the image's manifest names it.
///
/// # Errors
/// [`Error::Unusable`] where the image has no such program, [`Error::WrongDigest`] where its archive was changed.
pub async fn program(
    image: &Image,
    name: &str,
    cache: &Path,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<PathBuf, Error> {
    let report: &Report = &progress;
    let cache = Cache::open(cache, report).await?;
    let below = format!("unpacked/{}/{name}", image.digest);
    let listed = made(&cache, &below, async |folder: &Path| {
        let (archive, digest) = (image.archive.clone(), image.digest);
        let (member, to) = (Path::new("usr/local/bin").join(name), folder.join(name));
        blocking(move || unpack(&archive, digest, &member, &to)).await
    })
    .await?;
    Ok(listed.checked(name).await?.file)
}

fn unpack(archive: &Path, digest: Sha256, member: &Path, to: &Path) -> Result<(), Error> {
    let unusable = |why: String| Error::Unusable { what: archive.display().to_string(), why };
    let mut bytes = Vec::new();
    blob(archive, digest, |content| content.take(LONGEST_MANIFEST).read_to_end(&mut bytes).map(Some))?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    // The last layer that has it is the one that counts.
    for layer in manifest.layers.iter().rev() {
        let layer_digest =
            layer.digest.parse().map_err(|error: crate::ParseSha256Error| unusable(error.to_string()))?;
        let found = cache::write_with(to, 0o755, |file| {
            blob(archive, layer_digest, |content| take(content, layer, member, file))
        });
        match found {
            Err(Error::Unusable { why, .. }) if why == NOT_IN_IT => {}
            result => return result.map(drop),
        }
    }
    Err(unusable(format!("it has no {}", member.display())))
}

const NOT_IN_IT: &str = "the program is in another layer";

/// Hands a blob to `read`, and what that returns to the caller if the whole blob has its digest.
fn blob<T>(
    archive: &Path,
    digest: Sha256,
    read: impl FnOnce(&mut dyn Read) -> io::Result<Option<T>>,
) -> Result<T, Error> {
    let unusable = |why: &str| Error::Unusable { what: archive.display().to_string(), why: why.into() };
    let name = format!("blobs/sha256/{digest}");
    let file = File::open(archive).at("open", archive)?;
    let mut tar = tar::Archive::new(BufReader::new(file));
    for entry in tar.entries_with_seek().at("read", archive)? {
        let entry = entry.at("read", archive)?;
        let path = entry.path().at("read", archive)?;
        if path.strip_prefix(".").unwrap_or(&path) != Path::new(&name) {
            continue;
        }
        let mut content = Hashed { inner: entry, hash: sha2::Sha256::new() };
        let value = read(&mut content).at("read", archive)?;
        io::copy(&mut content, &mut io::sink()).at("read", archive)?;
        let found = Sha256::from_bytes(content.hash.finalize().into());
        if found != digest {
            let what = format!("{name} in {}", archive.display());
            return Err(Error::WrongDigest { what, found, expected: digest, listed_in: "its name".into() });
        }
        return value.ok_or_else(|| unusable(NOT_IN_IT));
    }
    Err(unusable(&format!("it has no {name}")))
}

fn take(content: &mut dyn Read, layer: &Descriptor, member: &Path, to: &mut File) -> io::Result<Option<u64>> {
    let plain: Box<dyn Read + '_> = if layer.media_type.ends_with("zstd") {
        Box::new(zstd::Decoder::new(content)?)
    } else if layer.media_type.ends_with("gzip") {
        Box::new(flate2::read::MultiGzDecoder::new(content))
    } else {
        Box::new(content)
    };
    let mut tar = tar::Archive::new(plain);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let is_it = {
            let path = entry.path()?;
            path.strip_prefix(".").unwrap_or(&path) == member
        };
        if is_it && entry.header().entry_type().is_file() {
            return io::copy(&mut entry, to).map(Some);
        }
    }
    Ok(None)
}

/// Hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hash: sha2::Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
