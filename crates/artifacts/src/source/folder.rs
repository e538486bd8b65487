//! A folder that someone exported or laid out by hand: programs by name, `images/*.tar`, `PACKAGES`, `SHA256SUMS`.
//!
//! Every file that is used must be listed, have the digest that is listed, and be for the wanted processor and
//! Kubernetes version. Files are used where they lie.

use std::path::Path;

use crate::cache::{Cache, blocking};
use crate::error::{At as _, Error};
use crate::export::PACKAGES;
use crate::image::name_and_digest;
use crate::listed::Listed;
use crate::payload::{Image, Images, Packaged, Payload, Program, ProgramName, Wanted};
use crate::{elf, kubeadm};

pub(crate) async fn obtain(folder: &Path, wanted: &Wanted, cache: &Cache) -> Result<Payload, Error> {
    let folder = Listed::open(folder.to_owned(), cache)?;
    let mut payload = Payload::empty(wanted);
    let packaged = packaged(&folder).await?;
    for &name in &wanted.programs {
        if folder.sums.contains_key(name.file_name()) {
            let program = folder.checked(name.file_name()).await?;
            elf::require(&program.file, wanted.arch)?;
            payload.programs.push(Program::from_checked(name, program));
        } else if let Some(packaged) = packaged.iter().find(|packaged| packaged.name == name) {
            payload.packaged.push(*packaged);
        } else {
            return Err(folder.lacks(format!("the program {name}")));
        }
    }
    if let Some(program) = payload.program(ProgramName::Kubeadm)
        && kubeadm::runs_here(wanted.arch)
    {
        kubeadm::require_version(&program.file, &wanted.kubernetes).await?;
    }
    payload.images = images(&folder, wanted).await?;
    Ok(payload)
}

/// The programs that a folder leaves to the nodes' distribution.
async fn packaged(folder: &Listed<'_>) -> Result<Vec<Packaged>, Error> {
    if !folder.sums.contains_key(PACKAGES) {
        return Ok(Vec::new());
    }
    let file = folder.checked(PACKAGES).await?.file;
    let text = std::fs::read_to_string(&file).at("read", &file)?;
    let named =
        text.lines().filter_map(|line| line.split(' ').next()).filter_map(ProgramName::from_file_name);
    Ok(named.filter_map(Packaged::of).collect())
}

/// The wanted images of a folder.
async fn images(folder: &Listed<'_>, wanted: &Wanted) -> Result<Vec<Image>, Error> {
    let references = match &wanted.images {
        Images::None => return Ok(Vec::new()),
        Images::These(references) => references.clone(),
        Images::AsKubeadmLists if kubeadm::runs_here(wanted.arch) => {
            let kubeadm = folder.checked(ProgramName::Kubeadm.file_name()).await?;
            kubeadm::images(&kubeadm.file, &wanted.kubernetes).await?
        }
        Images::AsKubeadmLists => return Err(Error::NoImageList { arch: wanted.arch.to_string() }),
    };
    let mut held = Vec::new();
    for name in folder.sums.keys().filter(|name| name.starts_with("images/") && name.ends_with(".tar")) {
        let archive = folder.checked(name).await?;
        let file = archive.file.clone();
        let (reference, digest) = blocking(move || name_and_digest(&file)).await?;
        held.push(Image::from_checked(reference, digest, archive));
    }
    let find = |reference: &String| {
        let image = held.iter().find(|image| image.reference == *reference).cloned();
        image.ok_or_else(|| folder.lacks(format!("the image {reference}")))
    };
    references.iter().map(find).collect()
}
