//! A payload as a folder, which [`crate::Source::Folder`] reads.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::error::{At as _, Error};
use crate::payload::{Image, Payload};
use crate::{Sha256, cache};

/// The programs that are left to the nodes' distribution: lines of program and package.
pub const PACKAGES: &str = "PACKAGES";

/// The list of the folder's files and their digests, as `sha256sum` writes and checks it.
pub use crate::listed::SUMS;

/// A file of the folder that a payload makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid<'a> {
    /// Its path in the folder: `kubeadm`, `images/pause_3.10.2.tar`.
    pub name: String,
    /// Where it lies now.
    pub file: &'a Path,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}

impl Payload {
    /// The programs and images, by their paths in a folder.
    pub fn laid(&self) -> impl Iterator<Item = Laid<'_>> {
        let programs = self.programs.iter().map(|program| Laid {
            name: program.name.file_name().to_owned(),
            file: &program.file,
            sha256: program.sha256,
            size: program.size,
        });
        let images = self.images.iter().map(|image| Laid {
            name: format!("images/{}", archive_name(image)),
            file: &image.archive,
            sha256: image.sha256,
            size: image.size,
        });
        programs.chain(images)
    }

    /// The content of the folder's file [`PACKAGES`].
    pub fn packages(&self) -> String {
        self.packaged.iter().map(|packaged| format!("{} {}\n", packaged.name, packaged.package)).collect()
    }

    /// Writes `PROGRAM…`, `images/*.tar`, `PACKAGES` and, last, `SHA256SUMS` into a folder, which is made where
    /// it is missing. `sha256sum --check SHA256SUMS` holds there.
    ///
    /// # Errors
    /// [`Error::Io`] names the file that can't be written.
    pub fn export(&self, folder: &Path) -> Result<(), Error> {
        let images = folder.join("images");
        fs::create_dir_all(&images).at("make the folder", &images)?;
        let mut sums = String::new();
        let mut list = |sha256: Sha256, name: &str| {
            // Writing to a String can't fail.
            let _ = writeln!(sums, "{sha256}  {name}");
        };
        for Laid { name, file, sha256, .. } in self.laid() {
            copy(file, &folder.join(&name), mode(&name))?;
            list(sha256, &name);
        }
        let packages = self.packages();
        cache::write(&folder.join(PACKAGES), packages.as_bytes(), 0o644)?;
        list(Sha256::of(&packages), PACKAGES);
        cache::write(&folder.join(SUMS), sums.as_bytes(), 0o644)
    }
}

/// The mode of a file of such a folder: programs can be run.
pub fn mode(name: &str) -> u32 {
    if name.contains('/') || name == PACKAGES { 0o644 } else { 0o755 }
}

/// `kube-apiserver_v1.36.3.tar`.
fn archive_name(image: &Image) -> String {
    let name = crate::kubeadm::split(&image.reference)
        .map_or_else(|| image.digest.to_string(), |(name, tag)| format!("{name}_{tag}"));
    format!("{name}.tar")
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), Error> {
    let mut source = fs::File::open(from).at("open", from)?;
    cache::write_with(to, mode, |file| std::io::copy(&mut source, file).map(drop).at("write", to))
}
