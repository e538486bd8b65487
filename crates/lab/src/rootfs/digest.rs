//! Keys of the cache: digests of all that goes into a folder.

use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A key in the making.
pub(super) struct Key(Sha256);

impl Key {
    pub(super) fn new(purpose: &str) -> Self {
        Self(Sha256::new()).with(purpose)
    }

    /// Adds a text. Its length goes in before it, so that two texts are not one.
    pub(super) fn with(mut self, text: impl AsRef<[u8]>) -> Self {
        let bytes = text.as_ref();
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// The first 16 hexadecimal digits: enough for the few folders of a cache.
    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
    }
}

/// SHA-256 of each file, in the order of the files; as many at a time as there are cores.
///
/// # Errors
/// Where one cannot be read.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(path) = paths.get(index) else { return Ok(done) };
            done.push((index, file(path)?));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(paths.len());
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|w| w.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        joined.collect::<Result<Vec<_>>>()
    })?
    .concat();
    all.sort();
    Ok(all.into_iter().map(|(_, digest)| digest).collect())
}

fn file(path: &Path) -> Result<Vec<u8>> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer).map_err(Error::file("read", path))? {
            0 => return Ok(hash.finalize().to_vec()),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_changes_with_every_part_and_with_where_parts_end() {
        let key = |parts: &[&str]| parts.iter().fold(Key::new("test"), |k, p| k.with(p)).finish();
        let all = [key(&["ab", "c"]), key(&["a", "bc"]), key(&["abc"]), key(&["ab", "c", ""])];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len(), "{all:?}");
        assert_eq!(key(&["ab", "c"]), all[0]);
        assert_eq!(all[0].len(), 16);
    }

    #[test]
    fn digests_come_in_the_order_of_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..5).map(|i| dir.path().join(i.to_string())).collect();
        for (i, path) in paths.iter().enumerate() {
            std::fs::write(path, vec![b'x'; i * 300_000]).unwrap();
        }
        let all = files(&paths).unwrap();
        assert_eq!(all, paths.iter().map(|p| file(p).unwrap()).collect::<Vec<_>>());
        let empty: String = all[0].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(files(&[dir.path().join("none")]).is_err());
    }
}
