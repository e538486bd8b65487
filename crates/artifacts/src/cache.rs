//! The folder that keeps what was fetched and built, and remembers which files were hashed.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Sha256;
use crate::error::{At as _, Error};
use crate::progress::{Progress, Report};

/// The open cache. One run at a time has it: a second one would build the same things again.
pub(crate) struct Cache {
    root: PathBuf,
    _lock: File,
}

impl Cache {
    /// Makes the folder where it is missing, and waits for another run that has it.
    pub(crate) async fn open(root: &Path, report: &Report<'_>) -> Result<Self, Error> {
        fs::create_dir_all(root).at("make the folder", root)?;
        let root = root.canonicalize().at("open the folder", root)?;
        let path = root.join("lock");
        let lock = File::options().create(true).append(true).open(&path).at("open", &path)?;
        let lock = match lock.try_lock() {
            Ok(()) => lock,
            Err(TryLockError::Error(error)) => return Err(error).at("lock", &path),
            Err(TryLockError::WouldBlock) => {
                report(Progress::Waits { lock: path.clone() });
                wait_for(lock, &path).await?
            }
        };
        Ok(Self { root, _lock: lock })
    }

    /// A path in the cache; its folder is made.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let path = self.root.join(below);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).at("make the folder", folder)?;
        }
        Ok(path)
    }

    /// An empty folder at a path in the cache, whatever a killed run left there.
    pub(crate) fn fresh_folder(&self, below: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let path = self.path(below)?;
        if path.exists() {
            fs::remove_dir_all(&path).at("remove", &path)?;
        }
        fs::create_dir_all(&path).at("make the folder", &path)?;
        Ok(path)
    }

    /// SHA-256 and length of a file, hashed once for as long as its size, inode and times stay.
    pub(crate) async fn digest(&self, file: &Path) -> Result<(Sha256, u64), Error> {
        let (note, state, size) = self.note(file)?;
        if let Ok(text) = fs::read_to_string(&note)
            && let Some((digest, then)) = text.split_once(' ')
            && then == state
            && let Ok(digest) = digest.parse()
        {
            return Ok((digest, size));
        }
        let path = file.to_owned();
        let (digest, size) = blocking(move || Sha256::of_file(&path).at("read", &path)).await?;
        write(&note, format!("{digest} {state}").as_bytes(), 0o644)?;
        Ok((digest, size))
    }

    /// Keeps a digest that was just computed while the file was written.
    pub(crate) fn remember(&self, file: &Path, digest: Sha256) -> Result<(), Error> {
        let (note, state, _) = self.note(file)?;
        write(&note, format!("{digest} {state}").as_bytes(), 0o644)
    }

    /// Where the digest of a file is noted, what the note has to say of the file's state, and the file's length.
    fn note(&self, file: &Path) -> Result<(PathBuf, String, u64), Error> {
        let meta = fs::metadata(file).at("read", file)?;
        let path = file.canonicalize().at("read", file)?;
        let note = self.path(format!("checked/{}", Sha256::of(path.as_os_str().as_encoded_bytes())))?;
        let (size, inode) = (meta.len(), meta.ino());
        let changed =
            format!("{}.{} {}.{}", meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        Ok((note, format!("{size} {inode} {changed}"), size))
    }
}

/// Waits for a lock by asking again and again: a thread that waits in the kernel can't be called back.
async fn wait_for(lock: File, path: &Path) -> Result<File, Error> {
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
        }
    }
}

/// Writes a file whole or not at all, with its final mode.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    write_with(path, mode, |file| file.write_all(bytes).at("write", path))
}

/// Like [`write`], for content that is too long to be held.
pub(crate) fn write_with<T>(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> Result<T, Error>,
) -> Result<T, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).at("write into", folder)?;
    let result = fill(file.as_file_mut())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).at("set the mode of", path)?;
    file.persist(path).map_err(|error| error.error).at("write", path)?;
    Ok(result)
}

/// Runs work that hashes or packs where it holds up nobody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down cancels such a task: its caller is gone too.
            Err(_) => std::future::pending().await,
        },
    }
}
