//! Which processor a program is for, read from its ELF header (System V ABI, `e_machine`).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::Arch;
use crate::error::{At as _, Error};

/// Refuses an ELF program for another processor. A file that is no ELF program (a script) passes.
pub(crate) fn require(file: &Path, arch: Arch) -> Result<(), Error> {
    let mut head = Vec::new();
    File::open(file).at("open", file)?.take(20).read_to_end(&mut head).at("read", file)?;
    let found = match head.get(18..20) {
        Some(machine) if head.starts_with(b"\x7fELF") => match machine {
            [62, 0] => Some(Arch::Amd64),
            [183, 0] => Some(Arch::Arm64),
            _ => None,
        },
        _ => return Ok(()),
    };
    if found == Some(arch) {
        return Ok(());
    }
    Err(Error::FolderDiffers {
        file: file.to_owned(),
        found: found.map_or_else(|| "for another processor".into(), |found| format!("for {found}")),
        wanted: arch.to_string(),
    })
}
