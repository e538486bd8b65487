//! A disk that is full, at each end of the archive: said in one line with the file and the reason, the exit code is the
//! documented one, and nothing is lost or half there.

use crate::program::{Ended, Program, Run};
use crate::sealed_site::Site;
use std::path::Path;

/// Runs it where so little can be written below `folder`; what lies there is there too. Needs Linux and root.
fn with_little_room(run: Run, folder: &Path, kib: u32) -> Ended {
    let folder = folder.display();
    let script = format!(
        "set -e; was=$(mktemp -d); cp -a {folder}/. $was/; mount -t tmpfs -o size={kib}k none {folder}; cp -a $was/. {folder}/; \
         rm -rf $was; \"$0\" \"$@\" || code=$?; find {folder} -name '*.new' -o -name '.tmp*' | sed 's/^/half written: /'; exit ${{code:-0}}"
    );
    run.by(&["unshare", "-m", "sh", "-c", &script]).ended()
}

#[test]
fn a_full_disk_is_named_and_spoils_nothing() {
    if !Program::can_make_labs() {
        println!("skipped: a small disk needs Linux and root");
        return;
    }
    let site = Site::sealed("full");
    let big: String = (0..20_000u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    site.generation_with(200, &big);
    let opened = |run: Run| site.with_identity(run, "identity.txt");

    // Where the files are to go.
    let out = site.path("out");
    std::fs::create_dir(&out).unwrap();
    let extract = opened(site.on(&["archive", "extract", "--all"])).arg(&out);
    refused(&with_little_room(extract, &out, 64), "No space left on device");

    // Where ciphertext lies on its way.
    let cache = site.path("cache");
    std::fs::create_dir(&cache).unwrap();
    let show = opened(site.on(&["archive", "show"])).env("XDG_CACHE_HOME", &cache);
    refused(&with_little_room(show, &cache, 64), "No space left on device");

    // The only place of the archive: nothing is sealed, and what was there opens as before.
    let archive = site.path("archive");
    let colleague = archive::NewIdentity::mint("2026-11-24T12:00:00Z").unwrap().recipient.to_string();
    let add = opened(site.on(&["archive", "recipients", "add"])).arg(&colleague);
    let room = pages_of(&archive) * 4 + 8;
    refused(&with_little_room(add, &archive, room), "No space left on device");
    assert_eq!(opened(site.on(&["archive", "show"])).code(), 0);
    assert!(!site.on(&["archive", "recipients", "list"]).expect(0).stdout.contains(&colleague));
}

/// Of 4 KiB, that the files of a folder take.
fn pages_of(folder: &Path) -> u32 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => pages_of(&entry.path()),
            false => u32::try_from(entry.metadata().unwrap().len().div_ceil(4096)).unwrap(),
        })
        .sum()
}

fn refused(ended: &Ended, why: &str) {
    assert!([2, 3].contains(&ended.code), "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains(why), "{ended:?}");
    assert!(!said.contains("half written: "), "something half written stays: {ended:?}");
}
