//! Payload sets: large files that are sealed once, at every place, and come back as they were.

use crate::nodes::{ANCHOR, Nodes, generations};
use crate::place::{Memory, STAMP, at, root_key, words};
use archive::{
    Archive, Digest, Entry, Error, Folder, NewIdentity, PayloadFile, PayloadSealed, PayloadSealing,
    PayloadSet, Standing,
};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Files as `artifacts export` lays them out, and a spool.
pub struct Files {
    dir: TempDir,
    pub files: Vec<PayloadFile>,
}

impl Files {
    pub fn new() -> Self {
        let mut files = Self { dir: TempDir::new().unwrap(), files: Vec::new() };
        files.add("kubeadm", b"a program");
        files.add("images/pause_3.10.2.tar", &[7; 300_000]);
        files.add("PACKAGES", b"");
        files
    }

    pub fn add(&mut self, name: &str, content: &[u8]) {
        let path = self.dir.path().join(name.replace('/', "!"));
        fs::write(&path, content).unwrap();
        let (sha256, size) = (Digest::of(content), content.len() as u64);
        self.files.push(PayloadFile { name: name.into(), path, sha256, size });
    }

    fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    pub fn seal(&self, archive: &Archive) -> Result<PayloadSealed, Error> {
        self.seal_with(archive, &[])
    }

    fn seal_with(&self, archive: &Archive, again: &[Entry]) -> Result<PayloadSealed, Error> {
        let spool = self.spool();
        let sealing =
            PayloadSealing { kubernetes: "1.36.3", files: &self.files, again, spool: &spool, stamp: STAMP };
        archive.seal_payload(&sealing, &root_key(1), &|progress| assert!(progress.done <= progress.total))
    }

    fn digests(&self) -> BTreeSet<Digest> {
        self.files.iter().map(|file| file.sha256).collect()
    }
}

fn sets(archive: &Archive) -> Vec<PayloadSet> {
    let Standing::Holds(holding) = archive.state(&ANCHOR()).unwrap() else { panic!("it is empty") };
    holding.payloads
}

/// One file of the newest set.
fn open(archive: &Archive, nodes: &Nodes, name: &str) -> Result<Vec<u8>, Error> {
    let set = sets(archive).remove(0);
    let entry = set.public.entries.iter().find(|entry| entry.name == name).unwrap();
    let mut to = Vec::new();
    archive.open_payload_file(&set, entry, &nodes.set.identities, nodes.dir.path(), &mut to).map(|()| to)
}

#[test]
fn what_is_sealed_once_is_not_written_again_and_comes_back() {
    let places = [Memory::new("one"), Memory::new("two")];
    let archive = at(&[&places[0], &places[1]]);
    let (nodes, files) = (Nodes::sealed_at(&archive), Files::new());
    let before = places[0].puts();
    let first = files.seal(&archive).unwrap();
    assert_eq!((first.new, first.size, first.proven.len()), (true, 300_009, 2));
    assert!(first.ciphertext < 2000, "{} bytes: it was compressed", first.ciphertext);
    assert_eq!(places[0].puts() - before, 4, "3 objects and the manifest");
    assert_eq!(places[0].files(), places[1].files());
    assert!(!files.spool().exists());
    for file in &files.files {
        assert_eq!(open(&archive, &nodes, &file.name).unwrap(), fs::read(&file.path).unwrap());
    }
    assert!(nodes.is_scratch_empty());

    let puts = places[0].puts();
    let again = files.seal(&archive).unwrap();
    assert_eq!((again.new, again.id, places[0].puts()), (false, first.id, puts));
    // It is nothing to identity sets and generations.
    let opened = archive.open_identity(&nodes.set.identities, &ANCHOR()).unwrap();
    assert_eq!((opened.holding.heads.len(), opened.holding.rejected.len()), (1, 0));
    assert_eq!(generations(&archive).rejected, []);
}

#[test]
fn a_new_version_writes_what_is_new_and_the_newest_that_fits_is_chosen() {
    let place = Memory::new("memory");
    let archive = place.archive();
    let mut nodes = Nodes::sealed_at(&archive);
    let mut files = Files::new();
    let old = files.digests();
    files.seal(&archive).unwrap();
    files.add("rekindle-linux-arm64", b"this program, elsewhere");
    files.seal(&archive).unwrap();
    let carried = files.files.pop().unwrap();
    files.files.remove(0);
    files.add("kubeadm", b"a newer program");
    let held = sets(&archive);
    assert_eq!(held[0].public.number, 2);
    let again: Vec<Entry> =
        held[0].public.entries.iter().filter(|entry| entry.name == carried.name).cloned().collect();
    let puts = place.puts();
    files.seal_with(&archive, &again).unwrap();
    assert_eq!(place.puts() - puts, 2, "one object and the manifest");
    let held = sets(&archive);
    let numbers: Vec<u64> = held.iter().map(|set| set.public.number).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(PayloadSet::newest_with(&held, &old).unwrap().public.number, 2);
    assert_eq!(PayloadSet::newest_with(&held, &files.digests()).unwrap().public.number, 3);
    assert_eq!(PayloadSet::newest_with(&held, &[Digest::of(b"never sealed")].into()), None);
    assert_eq!(open(&archive, &nodes, &carried.name).unwrap(), b"this program, elsewhere");

    // For other recipients all of it is written anew, and what is only there for the old ones can't be named.
    nodes.set.recipients.push(NewIdentity::mint(STAMP.created).unwrap().recipient);
    nodes.seal_again(&archive);
    let error = files.seal_with(&archive, &again).unwrap_err();
    assert!(matches!(&error, Error::Content { name, .. } if *name == carried.name), "{error}");
    let puts = place.puts();
    files.seal(&archive).unwrap();
    assert_eq!(place.puts() - puts, 4, "three objects and the manifest");
}

#[test]
fn a_seal_that_ends_anywhere_goes_on_and_writes_nothing_twice() {
    for puts in 0..4 {
        let places = [Memory::new("one"), Memory::new("two")];
        let archive = at(&[&places[0], &places[1]]);
        let (nodes, files) = (Nodes::sealed_at(&archive), Files::new());
        let before = places[0].puts();
        places[0].fail_after(Some(puts));
        places[1].down(true);
        let error = files.seal(&archive).unwrap_err();
        assert!(matches!(error, Error::NotProven { .. }), "{error}");
        assert!(sets(&archive).is_empty(), "after {puts} writes");
        places[0].fail_after(None);
        let sealed = files.seal(&archive).unwrap();
        assert_eq!((sealed.proven.len(), sealed.failed.len()), (1, 1));
        assert_eq!(places[0].puts() - before, 4, "after {puts} writes: nothing is written twice");
        assert_eq!(sets(&archive)[0].lacking, Vec::<String>::new(), "the other did not answer");
        places[1].down(false);
        assert_eq!(sets(&archive)[0].lacking, ["two"]);
        let mended = files.seal(&archive).unwrap();
        assert_eq!((mended.new, mended.proven.len()), (false, 2));
        assert_eq!(places[0].files(), places[1].files());
        assert!(!files.spool().exists());
        assert_eq!(open(&archive, &nodes, "kubeadm").unwrap(), b"a program");
    }
}

#[test]
fn a_machine_without_the_files_adds_to_a_set_and_brings_it_where_it_is_lacking() {
    let places = [Memory::new("one"), Memory::new("two")];
    let archive = at(&[&places[0], &places[1]]);
    let (nodes, files) = (Nodes::sealed_at(&archive), Files::new());
    places[1].down(true);
    files.seal(&archive).unwrap();
    places[1].down(false);
    let mut elsewhere = Files::new();
    elsewhere.files.clear();
    let there = sets(&archive)[0].public.entries.clone();
    let mended = elsewhere.seal_with(&archive, &there).unwrap();
    assert_eq!((mended.new, mended.proven.len()), (false, 2));
    assert_eq!(places[0].files(), places[1].files());
    elsewhere.add("rekindle-darwin-arm64", b"this program");
    let added = elsewhere.seal_with(&archive, &there).unwrap();
    assert!(added.new && sets(&archive)[0].has(&files.digests()));
    assert_eq!(open(&archive, &nodes, "rekindle-darwin-arm64").unwrap(), b"this program");
    assert_eq!(open(&archive, &nodes, "kubeadm").unwrap(), b"a program");
}

#[test]
fn a_spool_that_was_left_is_believed_only_where_it_is_whole() {
    let place = Memory::new("memory");
    let archive = place.archive();
    let (nodes, files) = (Nodes::sealed_at(&archive), Files::new());
    place.fail_after(Some(0));
    files.seal(&archive).unwrap_err();
    place.fail_after(None);
    for entry in fs::read_dir(files.spool()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    files.seal(&archive).unwrap();
    for file in &files.files {
        assert_eq!(open(&archive, &nodes, &file.name).unwrap(), fs::read(&file.path).unwrap());
    }
}

#[test]
fn a_copy_that_is_missing_or_damaged_is_taken_from_another_place() {
    let places = [Memory::new("one"), Memory::new("two")];
    let archive = at(&[&places[0], &places[1]]);
    let (nodes, files) = (Nodes::sealed_at(&archive), Files::new());
    files.seal(&archive).unwrap();
    let set = sets(&archive).remove(0);
    let entry = set.public.entries.iter().find(|entry| entry.name == "kubeadm").unwrap();
    let name = format!("objects/{}/{}", &entry.object.to_string()[..2], entry.object);
    let whole = places[0].files()[&name].clone();
    // Every bit of it.
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        places[0].set(&name, flipped);
        assert_eq!(open(&archive, &nodes, "kubeadm").unwrap(), b"a program", "bit {bit}");
    }
    places[1].remove(&name);
    let error = open(&archive, &nodes, "kubeadm").unwrap_err();
    let found = words(&error);
    assert!(matches!(error, Error::Lost { .. }), "{found}");
    assert!(found.contains("one: it is damaged") && found.contains("two: it is missing"), "{found}");
    // A manifest with a flipped bit is no set of the archive.
    for (manifest, bytes) in places[1].files().into_iter().filter(|(name, _)| name.starts_with("gen/")) {
        if !String::from_utf8_lossy(&bytes).contains("\"kind\":\"payload\"") {
            continue;
        }
        places[0].remove(&manifest);
        for byte in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1;
            places[1].set(&manifest, flipped);
            assert!(sets(&archive).is_empty(), "byte {byte}");
        }
    }
}

#[test]
fn who_is_no_recipient_and_who_is_not_the_root_key_gets_nowhere() {
    let place = Memory::new("memory");
    let archive = place.archive();
    let (mut nodes, files) = (Nodes::sealed_at(&archive), Files::new());
    files.seal(&archive).unwrap();
    nodes.set.identities = crate::place::set(1).identities;
    let error = open(&archive, &nodes, "kubeadm").unwrap_err();
    assert!(matches!(error, Error::WrongIdentity { .. }), "{error}");

    // Another root key, and a node's: the archive is not theirs to seal.
    for seed in [2, 11] {
        let spool = files.spool();
        let (files, again) = (&files.files, &[]);
        let sealing = PayloadSealing { kubernetes: "1.36.3", files, again, spool: &spool, stamp: STAMP };
        let error = archive.seal_payload(&sealing, &root_key(seed), &|_| {}).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
    }
}

#[test]
fn files_that_a_reader_would_refuse_are_not_sealed() {
    let place = Memory::new("memory");
    let archive = place.archive();
    let (_, files) = (Nodes::sealed_at(&archive), Files::new());
    let puts = place.puts();
    let refused = |change: &dyn Fn(&mut PayloadFile)| {
        let mut changed = Files::new();
        change(&mut changed.files[0]);
        let error = changed.seal(&archive).unwrap_err();
        assert_eq!(place.puts(), puts, "{error}");
        assert!(!changed.spool().exists() || fs::read_dir(changed.spool()).unwrap().count() < 5);
        words(&error)
    };
    assert!(refused(&|file| file.name = "../kubeadm".into()).contains("../kubeadm"));
    assert!(refused(&|file| file.name = "PACKAGES".into()).contains("PACKAGES"));
    assert!(refused(&|file| file.size = 5 << 30).contains("kubeadm"));
    assert!(refused(&|file| file.sha256 = Digest::of(b"other")).contains("its digest is another"));
    assert!(refused(&|file| file.path = "/nowhere".into()).contains("cannot open /nowhere"));
    assert_eq!(files.seal(&archive).unwrap().proven, ["memory"]);
}

/// 200 MB of which half does not compress.
fn large(path: &Path) -> PayloadFile {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut sum = Vec::new();
    for _ in 0..100 {
        sum.clear();
        for _ in 0..125_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sum.extend(state.to_le_bytes());
        }
        sum.extend([0; 1_000_000]);
        file.write_all(&sum).unwrap();
    }
    file.flush().unwrap();
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    let sha256 = String::from_utf8(output.stdout).unwrap()[..64].parse().unwrap();
    PayloadFile { name: "images/large.tar".into(), path: path.to_owned(), sha256, size: 200_000_000 }
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn a_large_file_goes_through() {
    let dir = TempDir::new().unwrap();
    let archive = Archive::at(vec![Box::new(Folder::new(dir.path().join("archive"), None))]).unwrap();
    let nodes = Nodes::sealed_at(&archive);
    let mut files = Files::new();
    files.files = vec![large(&dir.path().join("large"))];
    let sealed = files.seal(&archive).unwrap();
    assert!((100_000_000..110_000_000).contains(&sealed.ciphertext), "{}", sealed.ciphertext);
    let set = sets(&archive).remove(0);
    let mut to = fs::File::create(dir.path().join("back")).unwrap();
    let entry = &set.public.entries[0];
    archive.open_payload_file(&set, entry, &nodes.set.identities, nodes.dir.path(), &mut to).unwrap();
    assert_eq!(to.metadata().unwrap().len(), 200_000_000);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak of memory: {peak} kB");
    assert!(peak < 64_000, "{peak} kB for a file of 200 MB");
}

#[test]
fn a_large_file_is_never_whole_in_memory() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the peak of memory is read from /proc");
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "payload::a_large_file_goes_through"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
