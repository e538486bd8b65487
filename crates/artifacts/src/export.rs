//! A payload as a folder, which [`crate::Source::Folder`] reads.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::error::{At as _, Error};
use crate::listed::SUMS;
use crate::payload::{Image, Payload};
use crate::{Sha256, cache};

/// The programs that are left to the nodes' distribution: lines of program and package.
pub(crate) const PACKAGES: &str = "PACKAGES";

impl Payload {
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
        for program in &self.programs {
            copy(&program.file, &folder.join(program.name.file_name()), 0o755)?;
            list(program.sha256, program.name.file_name());
        }
        for image in &self.images {
            let name = format!("images/{}", archive_name(image));
            copy(&image.archive, &folder.join(&name), 0o644)?;
            list(image.sha256, &name);
        }
        let packages: String = self
            .packaged
            .iter()
            .map(|packaged| format!("{} {}\n", packaged.name, packaged.package))
            .collect();
        cache::write(&folder.join(PACKAGES), packages.as_bytes(), 0o644)?;
        list(Sha256::of(&packages), PACKAGES);
        cache::write(&folder.join(SUMS), sums.as_bytes(), 0o644)
    }
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
