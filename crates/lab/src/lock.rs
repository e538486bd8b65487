//! Locks on folders, so that two programs never work on one lab or one cache.
//!
//! The lock is on the folder itself (flock(2)): no file is left behind. It belongs to the open file, and every
//! program that is started with it as standard input holds it too: whoever gets the lock of a lab knows that no
//! child of a killed rekindle still works there.

use crate::{Error, Result};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Waits for the lock of a folder. It is freed when the file and all its copies are closed. `None`: there is no
/// such folder, or none any more.
pub(crate) fn wait_for(dir: &Path) -> Result<Option<File>> {
    let gone = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    loop {
        let file = match File::open(dir) {
            Err(e) if gone(&e) => return Ok(None),
            other => other.map_err(Error::file("open", dir))?,
        };
        file.lock().map_err(Error::file("lock", dir))?;
        let held = file.metadata().map_err(Error::file("read", dir))?;
        // Whoever held the lock before may have removed the folder, or made another in its place.
        match dir.metadata() {
            Ok(now) if (now.dev(), now.ino()) == (held.dev(), held.ino()) => return Ok(Some(file)),
            Err(e) if !gone(&e) => return Err(Error::file("read", dir)(e)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run;

    #[test]
    fn a_program_that_was_given_the_lock_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = wait_for(dir.path()).unwrap().unwrap();
        let (ready, go) = (dir.path().join("ready"), dir.path().join("go"));
        let script = "exec >/dev/null 2>&1; : > \"$1\"; until [ -e \"$2\" ]; do sleep 0.01; done";
        let argv = [
            "setsid",
            "--fork",
            "sh",
            "-c",
            script,
            "sh",
            &ready.display().to_string(),
            &go.display().to_string(),
        ];
        crate::command::Run::new(argv).holding(&lock).done().unwrap();
        drop(lock);
        while !ready.exists() {
            std::thread::yield_now();
        }
        assert!(File::open(dir.path()).unwrap().try_lock().is_err());
        std::fs::write(&go, "").unwrap();
        assert!(wait_for(dir.path()).unwrap().is_some());
    }

    #[test]
    fn the_lock_of_a_folder_that_went_away_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let lab = dir.path().join("lab");
        assert!(wait_for(&lab).unwrap().is_none());
        std::fs::create_dir(&lab).unwrap();
        let held = wait_for(&lab).unwrap().unwrap();
        let waiter = std::thread::spawn({
            let lab = lab.clone();
            move || wait_for(&lab).unwrap().is_none()
        });
        run!["rmdir", &lab].done().unwrap();
        drop(held);
        assert!(waiter.join().unwrap());
    }
}
