//! Folders with a `SHA256SUMS`: what someone laid out, and everything that is made in the cache.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Sha256;
use crate::cache::{self, Cache};
use crate::error::{At as _, Error};

/// The list of files and their digests, as `sha256sum` writes and checks it.
pub const SUMS: &str = "SHA256SUMS";

/// A folder whose files are only used if they have the digests that it lists.
pub(crate) struct Listed<'a> {
    pub(crate) root: PathBuf,
    pub(crate) sums: BTreeMap<String, Sha256>,
    pub(crate) cache: &'a Cache,
}

/// A file that has the digest which was listed.
pub(crate) struct Checked {
    pub(crate) file: PathBuf,
    pub(crate) sha256: Sha256,
    pub(crate) size: u64,
}

impl<'a> Listed<'a> {
    pub(crate) fn open(root: PathBuf, cache: &'a Cache) -> Result<Self, Error> {
        let path = root.join(SUMS);
        let text = fs::read_to_string(&path).at("read", &path)?;
        Ok(Self { root, sums: checksums(&text), cache })
    }

    pub(crate) fn lacks(&self, what: String) -> Error {
        Error::FolderLacks { folder: self.root.clone(), what }
    }

    /// A listed file, if its bytes are the listed ones.
    pub(crate) async fn checked(&self, name: &str) -> Result<Checked, Error> {
        let expected = *self.sums.get(name).ok_or_else(|| self.lacks(format!("{name} in its {SUMS}")))?;
        let file = self.root.join(name);
        let (sha256, size) = self.cache.digest(&file).await?;
        if sha256 == expected {
            return Ok(Checked { file, sha256, size });
        }
        let what = file.display().to_string();
        Err(Error::WrongDigest { what, found: sha256, expected, listed_in: SUMS.into() })
    }

    async fn is_whole(&self) -> bool {
        for name in self.sums.keys() {
            if self.checked(name).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// A folder of the cache, made by `make` unless it is there and whole. `make` fills an empty folder beside it; a
/// run that is killed leaves nothing that counts.
pub(crate) async fn made<'a>(
    cache: &'a Cache,
    below: &str,
    make: impl AsyncFnOnce(&Path) -> Result<(), Error>,
) -> Result<Listed<'a>, Error> {
    let root = cache.path(below)?;
    if let Ok(listed) = Listed::open(root.clone(), cache)
        && listed.is_whole().await
    {
        return Ok(listed);
    }
    let new = cache.fresh_folder(format!("{below}.new"))?;
    make(&new).await?;
    list(&new, cache).await?;
    if root.exists() {
        fs::remove_dir_all(&root).at("remove", &root)?;
    }
    fs::rename(&new, &root).at("name", &root)?;
    Listed::open(root, cache)
}

/// Writes the list of a folder's files.
async fn list(folder: &Path, cache: &Cache) -> Result<(), Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).at("read", folder)? {
        names.push(entry.at("read", folder)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut sums = String::new();
    for name in names {
        let (sha256, _) = cache.digest(&folder.join(&name)).await?;
        // Writing to a String can't fail.
        let _ = writeln!(sums, "{sha256}  {name}");
    }
    cache::write(&folder.join(SUMS), sums.as_bytes(), 0o644)
}

/// The lines of a checksum file: `DIGEST  NAME`, `DIGEST *NAME`, or a digest alone (its name is then empty).
pub(crate) fn checksums(text: &str) -> BTreeMap<String, Sha256> {
    let line = |line: &str| {
        let (digest, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let name = name.trim_start().trim_start_matches('*').trim_start_matches("./");
        Some((name.trim_end().to_owned(), digest.parse().ok()?))
    };
    text.lines().map(str::trim).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_files_of_every_form_are_read() {
        let digest = Sha256::of("");
        let text = format!("{digest}\n{digest}  a\n{digest} *b c\n{digest} ./d\r\n# none\nabc  e\n\n");
        assert_eq!(checksums(&text).into_keys().collect::<Vec<_>>(), ["", "a", "b c", "d"]);
    }
}
