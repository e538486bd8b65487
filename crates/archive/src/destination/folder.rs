//! A folder as a destination.
//!
//! A file appears under its name whole or not at all (written beside it, flushed, then linked where nothing is),
//! mode 0600 in folders of mode 0700. Below the folder no symbolic link is followed.
//!
//! A mounted folder is on a file system that several machines share: its root is made by whoever says who may write
//! there, folders in it take its mode, and files are for all to read. Where nothing is mounted it refuses: what would
//! lie on the machine's own disk would be no copy.

use super::{Destination, DestinationError, Put};
use crate::{Name, Prefix};
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Far more generations than retention keeps, and few enough to list.
const MAX_LISTED: usize = 100_000;

/// How an unfinished file is called; no name of the archive begins like this.
const UNFINISHED: &str = ".unfinished-";

/// A folder; it is made at the first write.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    owner: Option<(u32, u32)>,
    /// On a file system of another machine.
    mounted: bool,
}

impl Folder {
    /// The folder at `root`, which may itself be reached by a symbolic link. What is made in it is given to
    /// `owner`, user and group id; without one it is the process's.
    pub fn new(root: impl Into<PathBuf>, owner: Option<(u32, u32)>) -> Self {
        Self { root: root.into(), owner, mounted: false }
    }

    /// A folder of a file system that several machines mount.
    pub fn mounted(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), owner: None, mounted: true }
    }

    /// The mode of new folders and of new files, once it is sure that what must be mounted is.
    fn modes(&self) -> Result<(u32, u32), DestinationError> {
        if !self.mounted {
            return Ok((0o700, 0o600));
        }
        let of = |path: &Path| fs::metadata(path).map_err(|source| io_error("read", path, source));
        let (own, found) = (of(Path::new("/"))?, of(&self.root)?);
        if found.dev() == own.dev() {
            return Err(DestinationError::Kind { path: shown(&self.root), expected: "mounted file system" });
        }
        Ok((found.mode() & 0o7777, 0o644))
    }

    /// The folders from `root` down to the one that holds `name`, and the file's path.
    fn way(&self, name: &Name) -> (Vec<PathBuf>, PathBuf) {
        let mut path = self.root.clone();
        let mut folders = Vec::new();
        for part in name.to_string().split('/') {
            folders.push(path.clone());
            path.push(part);
        }
        (folders, path)
    }

    /// Makes what is missing of `folders`, each durable in the one above.
    fn make(&self, folders: &[PathBuf], mode: u32) -> Result<(), DestinationError> {
        let mut missing = Vec::new();
        if let Some(root) = folders.first() {
            missing.extend(root.ancestors().skip(1).take_while(|above| !is_there(above)).map(Path::to_owned));
            missing.reverse();
        }
        for (above_root, folder) in
            missing.iter().map(|folder| (true, folder)).chain(folders.iter().map(|folder| (false, folder)))
        {
            match DirBuilder::new().mode(0o700).create(folder) {
                Ok(()) => {
                    self.give(folder)?;
                    if mode != 0o700 {
                        // Whatever the umask.
                        fs::set_permissions(folder, Permissions::from_mode(mode))
                            .map_err(|source| io_error("change the mode of", folder, source))?;
                    }
                    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
                    sync(above.unwrap_or(Path::new(".")))?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && above_root => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.look(folder)?;
                }
                Err(source) => return Err(io_error("make", folder, source)),
            }
        }
        Ok(())
    }

    /// Whether a folder of the archive is there; an error where it is anything else.
    fn look(&self, folder: &Path) -> Result<bool, DestinationError> {
        let found = if folder == self.root { fs::metadata(folder) } else { fs::symlink_metadata(folder) };
        match found {
            Ok(found) if found.is_dir() => Ok(true),
            Ok(_) => Err(DestinationError::Kind { path: shown(folder), expected: "folder" }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(io_error("read", folder, source)),
        }
    }

    /// The file under `name`, if there is one; never through a link.
    fn open(&self, name: &Name) -> Result<Option<(PathBuf, File)>, DestinationError> {
        let (folders, path) = self.way(name);
        self.modes()?;
        for folder in &folders {
            if !self.look(folder)? {
                return Ok(None);
            }
        }
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error("read", &path, source)),
        };
        let wrong = || DestinationError::Kind { path: shown(&path), expected: "regular file" };
        if !found.is_file() {
            return Err(wrong());
        }
        let file = File::open(&path).map_err(|source| io_error("open", &path, source))?;
        let opened = file.metadata().map_err(|source| io_error("read", &path, source))?;
        // The file could have become a link between the two calls.
        if same_file(&found, &opened) { Ok(Some((path, file))) } else { Err(wrong()) }
    }

    fn write(&self, name: &Name, from: &mut dyn io::Read) -> Result<Put, DestinationError> {
        let (folders, path) = self.way(name);
        let (folder_mode, mode) = self.modes()?;
        self.make(&folders, folder_mode)?;
        let folder = folders.last().unwrap_or(&self.root);
        let failed = |source| io_error("write", &path, source);
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder)
            .map_err(failed)?;
        io::copy(from, &mut file).map_err(failed)?;
        if let Some((user, group)) = self.owner {
            std::os::unix::fs::fchown(file.as_file(), Some(user), Some(group)).map_err(failed)?;
        }
        file.as_file().sync_all().map_err(failed)?;
        let put = match file.persist_noclobber(&path) {
            Ok(_) => Put::Written,
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Put::Existed,
            Err(error) => return Err(failed(error.error)),
        };
        sync(folder)?;
        Ok(put)
    }

    fn give(&self, path: &Path) -> Result<(), DestinationError> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        std::os::unix::fs::lchown(path, Some(user), Some(group))
            .map_err(|source| io_error("change the owner of", path, source))
    }
}

impl Destination for Folder {
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError> {
        let mut bytes = Vec::new();
        Ok(self.copy_to(name, limit, &mut bytes)?.map(|_| bytes))
    }

    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Put, DestinationError> {
        self.write(name, &mut &bytes[..])
    }

    fn put_new_file(&self, name: &Name, from: &Path) -> Result<Put, DestinationError> {
        let mut file = File::open(from).map_err(|source| io_error("open", from, source))?;
        self.write(name, &mut file)
    }

    fn copy_to(
        &self,
        name: &Name,
        limit: u64,
        to: &mut dyn io::Write,
    ) -> Result<Option<u64>, DestinationError> {
        let Some((path, file)) = self.open(name)? else { return Ok(None) };
        let failed = |source| io_error("read", &path, source);
        let too_large = || DestinationError::TooLarge { path: shown(&path), limit };
        if file.metadata().map_err(failed)?.len() > limit {
            return Err(too_large());
        }
        // It could grow while it is read.
        let copied = io::copy(&mut file.take(limit.saturating_add(1)), to).map_err(failed)?;
        if copied > limit { Err(too_large()) } else { Ok(Some(copied)) }
    }

    fn remove(&self, name: &Name) -> Result<(), DestinationError> {
        let (folders, path) = self.way(name);
        for folder in &folders {
            if !self.look(folder)? {
                return Ok(());
            }
        }
        match fs::remove_file(&path) {
            Ok(()) => sync(folders.last().unwrap_or(&self.root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(io_error("remove", &path, source)),
        }
    }

    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError> {
        self.modes()?;
        let folder = self.root.join(prefix.as_str().trim_end_matches('/'));
        if !self.look(&self.root)? || !self.look(&folder)? {
            return Ok(Vec::new());
        }
        let failed = |source| io_error("list", &folder, source);
        let mut names = Vec::new();
        for (i, entry) in fs::read_dir(&folder).map_err(failed)?.enumerate() {
            if i >= MAX_LISTED {
                return Err(DestinationError::TooMany { path: shown(&folder), limit: MAX_LISTED });
            }
            let file = entry.map_err(failed)?.file_name();
            let name = file.to_str().map(|file| format!("{}{file}", prefix.as_str()));
            names.extend(name.and_then(|name| name.parse().ok()));
        }
        Ok(names)
    }

    fn describe(&self) -> String {
        shown(&self.root)
    }
}

/// Flushes a folder, so that the names in it are durable.
fn sync(folder: &Path) -> Result<(), DestinationError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| io_error("flush", folder, source))
}

fn is_there(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}

fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn io_error(act: &'static str, path: &Path, source: io::Error) -> DestinationError {
    DestinationError::Io { act, path: shown(path), source }
}
