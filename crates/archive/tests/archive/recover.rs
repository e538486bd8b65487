//! A person's recovery without rekindle: the lines of `RECOVER.txt`, typed as they stand.

use crate::nodes::{ANCHOR, Nodes, ONE, TWO, db, entries, proof};
use crate::payload::Files;
use crate::place::{Memory, plain, root, set};
use archive::{Archive, Folder, Level, NewIdentity, Recipient, Secret};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The commands of the page, up to the step that begins with `until`.
fn commands(page: &str, until: &str) -> String {
    let page = page.split(until).next().unwrap();
    page.lines().filter_map(|line| line.strip_prefix("    $ ")).collect::<Vec<_>>().join("\n")
}

fn missing(programs: &[&str]) -> Option<String> {
    let absent = |program: &&&str| {
        let found = Command::new("sh").arg("-c").arg(format!("command -v {program}")).output().unwrap();
        !found.status.success()
    };
    programs.iter().find(absent).map(ToString::to_string)
}

/// An empty archive in a folder, and somebody who can open what is sealed to him: his key lies beside it.
fn site(dir: &TempDir) -> (PathBuf, Archive, Recipient) {
    let path = dir.path().join("archive");
    let archive = Archive::at(vec![Box::new(Folder::new(&path, None))]).unwrap();
    let key = NewIdentity::mint("2026-11-24T12:00:00Z").unwrap();
    fs::write(dir.path().join("identity.txt"), key.file.expose()).unwrap();
    (path, archive, key.recipient)
}

#[test]
fn a_person_opens_it_with_age_zstd_and_sha256sum() {
    if let Some(program) = missing(&["age", "zstd", "sha256sum"]) {
        println!("skipped: `{program}` is not installed");
        return;
    }
    let dir = TempDir::new().unwrap();
    let (path, archive, recipient) = site(&dir);
    let mut set = set(1);
    set.recipients.push(recipient);
    set.seal(&archive, None).unwrap();
    // A second set, so that there is a newest one to find.
    let opened = archive.open_identity(&set.identities, &archive::Trust::FirstUse).unwrap();
    set.entries.insert("etc/audit.yaml".into(), Secret::new(*b"kind: Policy\n"));
    set.entries.insert("empty".into(), Secret::new(Vec::new()));
    set.seal(&archive, Some(&opened)).unwrap();

    let page = fs::read_to_string(path.join("RECOVER.txt")).unwrap();
    let openssl = missing(&["openssl", "xxd"]).is_none();
    if !openssl {
        println!("the signature is not checked by hand: openssl and xxd are not both installed");
    }
    let script = commands(&page, if openssl { "\n\n   It must say: Sig" } else { "\n6. " })
        .replace("$HOME/identity.txt", &dir.path().join("identity.txt").display().to_string())
        .replace("$HOME/recovered", &dir.path().join("out").display().to_string())
        .replace("ROOT=ed25519:...", &format!("ROOT={}", root(1)));
    assert!(!script.contains("$HOME"), "{script}");
    let run = Command::new("sh").arg("-c").arg(&script).current_dir(&path).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{err}\n{script}");
    // 6 objects and 5 files.
    assert_eq!(out.lines().filter(|line| line.ends_with(": OK")).count(), 11, "{out}");
    assert_eq!(out.contains("Signature Verified Successfully"), openssl, "{out}");
    for (name, content) in plain(&set.entries) {
        assert_eq!(fs::read(dir.path().join("out/files").join(&name)).unwrap(), content, "{name}");
    }
}

#[test]
fn a_person_takes_the_newest_snapshot_out_of_it() {
    if let Some(program) = missing(&["age", "zstd", "sha256sum"]) {
        println!("skipped: `{program}` is not installed");
        return;
    }
    let dir = TempDir::new().unwrap();
    let (path, archive, recipient) = site(&dir);
    let mut nodes = Nodes::sealed_at(&archive);
    nodes.set.recipients.push(recipient);
    nodes.seal_again(&archive);
    // By number, not by the order of the digits.
    let newest = nodes.publish(&archive, TWO, 10_000).unwrap();
    nodes.publish(&archive, ONE, 9_000).unwrap();

    let page = fs::read_to_string(path.join("RECOVER.txt")).unwrap();
    let of = |from: &str, until: &str| {
        let start = page.find(from).unwrap();
        commands(&page[start..], until)
    };
    let script = [of("1. Say", "\n2. "), of("\n7. ", "\n9. ")]
        .join("\n")
        .replace("$HOME/identity.txt", &dir.path().join("identity.txt").display().to_string())
        .replace("$HOME/recovered", &dir.path().join("out").display().to_string());
    let run = || {
        let run = Command::new("sh").arg("-c").arg(&script).current_dir(&path).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{out}\n{err}\n{script}");
        out.into_owned()
    };
    let out = run();
    assert!(out.starts_with(&format!("gen/1-10000-{}.json\n\"node\":\"cp-12\"\n", newest.id.tag())), "{out}");
    assert!(out.contains("nobody has tried this snapshot"), "{out}");
    // 3 objects and 2 files.
    assert_eq!(out.lines().filter(|line| line.ends_with(": OK")).count(), 5, "{out}");
    let files = dir.path().join("out/files");
    assert!(fs::read(files.join("etcd/snapshot.db")).unwrap() == db(10_000), "the snapshot is another");
    assert_eq!(fs::read(files.join("nodes.json")).unwrap(), entries()["nodes.json"].expose());

    archive.prove(&proof(newest.id, Level::L3, "r"), &TWO.key(), &ANCHOR()).unwrap();
    let out = run();
    assert!(out.contains(&format!("proof/{}-r.json", newest.id.tag())) && !out.contains("nobody"), "{out}");
}

#[test]
fn a_person_takes_the_newest_programs_out_of_it() {
    if let Some(program) = missing(&["age", "zstd", "sha256sum"]) {
        println!("skipped: `{program}` is not installed");
        return;
    }
    let dir = TempDir::new().unwrap();
    let (path, archive, recipient) = site(&dir);
    let mut set = set(1);
    set.recipients.push(recipient);
    set.seal(&archive, None).unwrap();
    let mut files = Files::new();
    files.seal(&archive).unwrap();
    files.add("kubelet", b"a newer set");
    files.seal(&archive).unwrap();

    let page = fs::read_to_string(path.join("RECOVER.txt")).unwrap();
    let of = |from: &str, until: &str| commands(&page[page.find(from).unwrap()..], until);
    let script = [of("1. Say", "\n2. "), of("\n10. ", "\n11. ")]
        .join("\n")
        .replace("$HOME/identity.txt", &dir.path().join("identity.txt").display().to_string())
        .replace("$HOME/recovered", &dir.path().join("out").display().to_string());
    let run = Command::new("sh").arg("-c").arg(&script).current_dir(&path).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{err}\n{script}");
    assert_eq!(out.lines().filter(|line| line.ends_with(": OK")).count(), 4, "{out}");
    for file in &files.files {
        let laid = dir.path().join("out/payload").join(&file.name);
        assert_eq!(fs::read(laid).unwrap(), fs::read(&file.path).unwrap(), "{}", file.name);
    }
}

#[test]
fn the_page_lies_in_each_archive_and_fits_a_terminal() {
    let place = Memory::new("memory");
    set(1).seal(&place.archive(), None).unwrap();
    let page = String::from_utf8(place.files()["RECOVER.txt"].clone()).unwrap();
    let prose = page.lines().filter(|line| !line.starts_with("    $ "));
    assert!(page.is_ascii() && prose.clone().all(|line| line.len() <= 80));
    assert!(prose.count() > 40 && commands(&page, "\n6. ").lines().count() == 10);
    assert!(commands(&page, "\n9. ").lines().count() == 23);
}
