//! A folder as a destination, on a real file system.

use crate::place::{plain, root, set};
use archive::{Archive, Destination, DestinationError, Digest, Folder, Name, Prefix, Put, Standing, Trust};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn everything(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if fs::symlink_metadata(path).unwrap().is_dir() {
        let mut below: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        below.sort();
        found.extend(below.iter().flat_map(|path| everything(path)));
    }
    found
}

fn archive(path: &Path) -> Archive {
    Archive::at(vec![Box::new(Folder::new(path, None))]).unwrap()
}

#[test]
fn an_archive_in_a_folder_is_opened_by_the_next_command() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("not/yet/there");
    let set = set(1);
    assert!(matches!(archive(&path).state(&Trust::Unset).unwrap(), Standing::Empty));
    assert!(!path.exists(), "looking makes no folder");
    set.seal(&archive(&path), None).unwrap();
    let opened = archive(&path).open_identity(&set.identities, &Trust::Anchor(root(1))).unwrap();
    assert_eq!(plain(&opened.entries), plain(&set.entries));

    let times = |path: &Path| -> Vec<_> {
        everything(path)
            .iter()
            .map(|path| {
                let found = fs::metadata(path).unwrap();
                (path.clone(), found.mtime(), found.mtime_nsec(), found.ctime_nsec(), found.ino())
            })
            .collect()
    };
    let before = times(&path);
    assert!(!set.seal(&archive(&path), Some(&opened)).unwrap().new);
    assert_eq!(times(&path), before, "without a difference not even a folder's time changes");
}

#[test]
fn only_the_owner_can_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a/archive");
    set(1).seal(&archive(&path), None).unwrap();
    let found = everything(&dir.path().join("a"));
    assert_eq!(found.iter().filter(|path| path.is_file()).count(), 8, "{found:?}");
    for path in found {
        let found = fs::symlink_metadata(&path).unwrap();
        let mode = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{}", path.display());
    }
}

#[test]
fn what_is_made_belongs_to_the_caller_under_sudo() {
    let dir = TempDir::new().unwrap();
    if fs::metadata(dir.path()).unwrap().uid() != 0 {
        println!("skipped: only root can give files away");
        return;
    }
    let path = dir.path().join("a/archive");
    let archive = Archive::at(vec![Box::new(Folder::new(&path, Some((12345, 23456))))]).unwrap();
    set(1).seal(&archive, None).unwrap();
    for path in everything(&dir.path().join("a")) {
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (12345, 23456), "{}", path.display());
    }
    assert_eq!(fs::metadata(dir.path()).unwrap().uid(), 0, "what was there is left as it was");
}

#[test]
fn a_name_is_written_once() {
    let dir = TempDir::new().unwrap();
    let folder = Folder::new(dir.path(), None);
    let name = Name::Epoch(1);
    assert_eq!(folder.put_new(&name, b"one").unwrap(), Put::Written);
    assert_eq!(folder.put_new(&name, b"two").unwrap(), Put::Existed);
    assert_eq!(folder.get(&name, 100).unwrap().unwrap(), b"one");
    assert_eq!(folder.list(Prefix::Epochs).unwrap(), [Name::Epoch(1)]);
    assert_eq!(everything(&dir.path().join("epoch")).len(), 2, "no unfinished file is left");
}

#[test]
fn what_is_removed_is_gone_and_once_more_is_as_good() {
    let dir = TempDir::new().unwrap();
    let place = Folder::new(dir.path(), None);
    place.remove(&Name::Epoch(1)).unwrap();
    place.put_new(&Name::Epoch(1), b"claim").unwrap();
    for _ in 0..2 {
        place.remove(&Name::Epoch(1)).unwrap();
        assert_eq!(place.list(Prefix::Epochs).unwrap(), []);
    }
}

#[test]
fn of_many_writers_of_a_name_one_wins_and_its_bytes_are_whole() {
    let dir = TempDir::new().unwrap();
    let folder = Folder::new(dir.path().join("new"), None);
    let written: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..16u8)
            .map(|i| {
                let folder = folder.clone();
                scope.spawn(move || folder.put_new(&Name::Epoch(1), &vec![i; 100_000]).unwrap())
            })
            .collect();
        writers.into_iter().filter(|_| true).map(|one| usize::from(one.join().unwrap() == Put::Written)).sum()
    });
    assert_eq!(written, 1);
    let bytes = folder.get(&Name::Epoch(1), 100_000).unwrap().unwrap();
    assert!(bytes.len() == 100_000 && bytes.iter().all(|byte| *byte == bytes[0]));
}

#[test]
fn links_devices_and_large_files_are_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("archive");
    let folder = Folder::new(&path, None);
    folder.put_new(&Name::Format, b"12345").unwrap();
    let refused = |name: &Name| match folder.get(name, 4096) {
        Err(DestinationError::Kind { expected, .. }) => expected,
        other => panic!("{other:?}"),
    };
    assert!(matches!(folder.get(&Name::Format, 4), Err(DestinationError::TooLarge { limit: 4, .. })));

    fs::write(dir.path().join("outside"), b"secret").unwrap();
    symlink(dir.path().join("outside"), path.join("RECOVER.txt")).unwrap();
    assert_eq!(refused(&Name::Recover), "regular file");
    assert_eq!(folder.put_new(&Name::Recover, b"x").unwrap(), Put::Existed);

    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    symlink(dir.path().join("elsewhere"), path.join("epoch")).unwrap();
    assert_eq!(refused(&Name::Epoch(1)), "folder");
    assert!(folder.put_new(&Name::Epoch(1), b"x").is_err());
    assert!(folder.list(Prefix::Epochs).is_err());
    assert_eq!(fs::read_dir(dir.path().join("elsewhere")).unwrap().count(), 0, "nothing is written outside");

    fs::write(path.join("gen"), b"a file").unwrap();
    assert!(folder.list(Prefix::Generations).is_err());
    let object = Name::Object(Digest::of(b"x"));
    fs::create_dir_all(path.join(object.to_string())).unwrap();
    assert_eq!(refused(&object), "regular file");
    // The folder itself may be reached by a link: a person chose it.
    symlink(&path, dir.path().join("link")).unwrap();
    let linked = Folder::new(dir.path().join("link"), None);
    assert_eq!(linked.get(&Name::Format, 10).unwrap().unwrap(), b"12345");
}

#[test]
fn what_is_no_name_of_the_archive_is_not_listed() {
    let dir = TempDir::new().unwrap();
    let folder = Folder::new(dir.path(), None);
    folder.put_new(&Name::Epoch(7), b"x").unwrap();
    for name in ["notes.txt", ".unfinished-abc", "1.json~", "01.json", "a\nb"] {
        fs::write(dir.path().join("epoch").join(name), b"x").unwrap();
    }
    assert_eq!(folder.list(Prefix::Epochs).unwrap(), [Name::Epoch(7)]);
    assert_eq!(folder.list(Prefix::Generations).unwrap(), []);
}

#[test]
fn a_place_that_cannot_be_a_folder_says_so() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), b"x").unwrap();
    let error = archive(&dir.path().join("file")).state(&Trust::Unset).unwrap_err();
    assert!(crate::place::words(&error).ends_with("file is not a folder"), "{}", crate::place::words(&error));
    let error = set(1).seal(&archive(&dir.path().join("file/below")), None).unwrap_err();
    assert!(crate::place::words(&error).contains("Not a directory"), "{}", crate::place::words(&error));
}
