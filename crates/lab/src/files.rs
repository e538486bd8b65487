//! Writing files and folders with modes that do not depend on the caller's umask.

use crate::command::run;
use crate::{Error, Result};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Writes a file whole or not at all, with its final mode, and the folders above it.
///
/// # Errors
/// Where that fails.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    folder(dir, 0o755)?;
    let written = || {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes.as_ref())?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(Error::file("write", path))
}

/// Makes a folder with this mode, and those above it with 0755. One that exists stays as it is.
///
/// # Errors
/// Where that fails.
pub(crate) fn folder(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        folder(parent, 0o755)?;
    }
    match fs::create_dir(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::file("make", path)(e)),
        _ => set_mode(path, mode),
    }
}

/// Makes a symbolic link and the folders above it.
///
/// # Errors
/// Where that fails.
pub(crate) fn link(target: &str, path: &Path) -> Result<()> {
    folder(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    symlink(target, path).map_err(Error::file("link", path))
}

/// Sets the mode of a file or folder.
///
/// # Errors
/// Where that fails.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::file("write", path))
}

/// Names of what is in a folder, in order; nothing where there is no such folder.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::file("read", dir))?,
    };
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Removes a file or a whole folder; none there is fine. What is mounted in the folder is unmounted first: removing
/// goes through mounts, to what is not ours.
///
/// # Errors
/// Where that fails, or a mount in the folder is in use.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {
            let mounts = "/proc/self/mountinfo";
            let text = fs::read_to_string(mounts).map_err(Error::file("read", mounts))?;
            mounts_below(&text, path).iter().try_for_each(|at| run!["umount", at].done())?;
            fs::remove_dir_all(path)
        }
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Where something is mounted in a folder, the last mounted first, from `/proc/PID/mountinfo`.
fn mounts_below(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    let at = |line: &str| line.split(' ').nth(4).map(|path| PathBuf::from(unescape(path)));
    let mut below: Vec<PathBuf> = mountinfo.lines().filter_map(at).filter(|at| at.starts_with(dir)).collect();
    below.reverse();
    below
}

/// The kernel writes space, tab, line feed and backslash in a path as `\` and three octal digits.
pub(crate) fn unescape(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (escaped, plain)| path.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_in_a_folder_are_found_the_last_one_first() {
        let info = "\
1 0 0:1 / / rw - ext4 /dev/vda rw
2 1 0:2 / /labs\\040of/me/a rw - overlay overlay rw
3 2 0:3 / /labs\\040of/me/a/proc rw - proc proc rw
4 1 0:4 / /labs\\040of/mean rw - tmpfs tmpfs rw";
        let found = mounts_below(info, Path::new("/labs of/me"));
        assert_eq!(found, ["/labs of/me/a/proc", "/labs of/me/a"].map(PathBuf::from));
    }

    #[test]
    fn removing_takes_files_folders_and_what_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder, link) = (dir.path().join("f/g/file"), dir.path().join("f"), dir.path().join("l"));
        write(&file, "x", 0o600).unwrap();
        super::link("/", &link).unwrap();
        for path in [&file, &folder, &link, &folder] {
            remove(path).unwrap();
        }
        assert_eq!(names(dir.path()).unwrap(), [""; 0]);
    }

    #[test]
    fn modes_are_as_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b/file");
        write(&file, "x", 0o640).unwrap();
        folder(&dir.path().join("a/c"), 0o700).unwrap();
        folder(&dir.path().join("a/c"), 0o755).unwrap();
        let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(["a", "a/b/file", "a/c"].map(mode), [0o755, 0o640, 0o700]);
        assert_eq!(names(&dir.path().join("a/b")).unwrap(), ["file"]);
    }
}
