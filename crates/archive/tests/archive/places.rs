//! Several places of one archive: one that hangs is asked once in a run, one that is full or forgets is a debt until
//! it is well, what is on the cluster alone does not count, and a mounted folder is one that is mounted.

use crate::fault_proxy::{Fault, Proxy};
use crate::nodes::{ANCHOR, Nodes, ONE, TWO, generations, only, proof, revisions};
use crate::place::{Memory, words};
use crate::s3_server::Server;
use archive::{Archive, Destination, Folder, Level, Name, Prefix, Put, Site, Trust, Writer};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn boxed(place: &Memory) -> Box<dyn Destination> {
    Box::new(place.clone())
}

#[test]
fn a_place_that_hangs_is_asked_once_in_a_run() {
    let Some(server) = Server::start() else { return };
    let (proxy, memory) = (Proxy::before(server.address), Memory::new("memory"));
    let open = || Archive::at(vec![boxed(&memory), Box::new(server.through(proxy.address, "prod"))]).unwrap();
    let nodes = Nodes::sealed_at(&open());
    proxy.be(Fault::Hangs);
    let archive = open();
    let begun = Instant::now();
    // A node's whole run: publish, prove, mend, look.
    let published = nodes.publish(&archive, ONE, 1000).unwrap();
    archive.prove(&proof(published.id, Level::L3, "one"), &ONE.key(), &ANCHOR()).unwrap();
    let mended = archive.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap();
    let all = generations(&archive);
    let took = begun.elapsed();
    assert!((Duration::from_secs(29)..Duration::from_secs(40)).contains(&took), "{took:?}");
    assert!(mended.failed[0].why.contains("is not asked again in this run"), "{mended:?}");
    assert!(published.failed[0].why.contains("was silent before"), "{published:?}");
    assert!(only(&all).counts() && all.copies(only(&all)).debt.is_some());
    // The next run asks again, and pays.
    proxy.be(Fault::None);
    let archive = open();
    assert_eq!(archive.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap().copied.len(), 1);
    let all = generations(&archive);
    assert_eq!(all.copies(only(&all)).debt, None);
}

#[test]
fn a_full_bucket_a_lying_one_and_one_that_lost_its_last_are_debts_until_they_are_well() {
    let Some(server) = Server::start() else { return };
    for (i, fault) in
        [Fault::PutSays(507), Fault::Forgets, Fault::Halves, Fault::Flips].into_iter().enumerate()
    {
        let (proxy, memory) = (Proxy::before(server.address), Memory::new("memory"));
        let archive =
            Archive::at(vec![boxed(&memory), Box::new(server.through(proxy.address, &format!("prod-{i}")))])
                .unwrap();
        let nodes = Nodes::sealed_at(&archive);
        proxy.be(fault);
        let published = nodes.publish(&archive, ONE, 1000).unwrap();
        assert_eq!(published.proven, ["memory"], "{fault:?}: {published:?}");
        archive.prove(&proof(published.id, Level::L3, "one"), &ONE.key(), &ANCHOR()).unwrap();
        let all = generations(&archive);
        assert!(only(&all).counts(), "{fault:?}: one copy is enough to count");
        assert!(all.copies(only(&all)).debt.is_some(), "{fault:?}");
        proxy.be(Fault::None);
        let mended = archive.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap();
        assert!(mended.failed.is_empty(), "{fault:?}: {mended:?}");
        let alone =
            Archive::at(vec![Box::new(server.through(server.address, &format!("prod-{i}")))]).unwrap();
        assert!(nodes.open(&alone, &published.id).is_ok(), "{fault:?}");

        // It loses its last generation: nobody forgets it, and the same bytes come back.
        let place = server.through(server.address, &format!("prod-{i}"));
        let names = place.list(Prefix::Generations).unwrap();
        let last = names.iter().find(|name| matches!(name, Name::Manifest { revision: 1.., .. })).unwrap();
        let before = place.get(last, 1 << 20).unwrap();
        place.remove(last).unwrap();
        let all = generations(&archive);
        assert_eq!(revisions(&all), [1000]);
        assert_eq!(all.copies(only(&all)).missing.len(), 1);
        archive.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap();
        assert_eq!(place.get(last, 1 << 20).unwrap(), before, "{fault:?}");
    }
}

#[test]
fn a_slow_bucket_takes_its_time_and_is_no_debt() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::before(server.address);
    let archive = Archive::at(vec![Box::new(server.through(proxy.address, "prod"))]).unwrap();
    let nodes = Nodes::sealed_at(&archive);
    proxy.be(Fault::Slow);
    let published = nodes.publish(&archive, ONE, 1000).unwrap();
    assert!(published.failed.is_empty(), "{published:?}");
    assert!(nodes.open(&archive, &published.id).is_ok());
}

#[test]
fn what_lies_on_the_cluster_alone_does_not_count_and_is_brought_away() {
    let (on, away) = (Memory::new("on"), Memory::new("away"));
    let site = |place: &Memory, domain: Option<&str>| {
        (Site { at: place.describe(), domain: domain.map(Into::into), nodes: true }, boxed(place))
    };
    let archive = Archive::on(vec![site(&on, None), site(&away, Some("away"))]).unwrap();
    let nodes = Nodes::sealed_at(&archive);
    away.down(true);
    let published = nodes.publish(&archive, ONE, 1000).unwrap();
    archive.prove(&proof(published.id, Level::L3, "one"), &ONE.key(), &ANCHOR()).unwrap();
    let all = generations(&archive);
    assert!(only(&all).is_proven() && !only(&all).counts());
    assert!(all.newest_counting().is_none());
    assert_eq!(all.copies(only(&all)).debt.as_deref(), Some("no place off the cluster has it"));
    away.down(false);
    assert_eq!(archive.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap().copied, ["away"]);
    assert!(only(&generations(&archive)).counts());
}

#[test]
fn who_wrote_it_says_where_it_must_lie() {
    let (bucket, mine) = (Memory::new("bucket"), Memory::new("mine"));
    let site = |place: &Memory, nodes: bool| {
        (Site { at: place.describe(), domain: Some(place.describe()), nodes }, boxed(place))
    };
    let archive = Archive::on(vec![site(&bucket, true), site(&mine, false)]).unwrap();
    let nodes = Nodes::sealed_at(&archive);
    // A node knows the places that nodes write, and no other.
    let theirs = Archive::on(vec![site(&bucket, true)]).unwrap();
    let published = nodes.publish(&theirs, TWO, 1000).unwrap();
    theirs.prove(&proof(published.id, Level::L3, "one"), &TWO.key(), &ANCHOR()).unwrap();
    let all = generations(&archive);
    let copies = all.copies(only(&all));
    assert_eq!((copies.debt, copies.missing.len()), (None, 0), "the operator's folder is no debt of a node");
    // An operator's run brings it there, and only the newest.
    let held = only(&all).held_by.clone();
    assert_eq!(archive::Copies::of(&all.sites, Writer::Operator, &held).missing, ["mine"]);
    assert_eq!(archive.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap().copied, ["mine"]);
    assert_eq!(only(&generations(&archive)).held_by, ["bucket", "mine"]);
    assert!(nodes.open(&mine.archive(), &published.id).is_ok());
}

/// A file system of its own of this size; `None`, said, where we may not mount one.
struct Mount(tempfile::TempDir);

impl Mount {
    fn of(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        let mounted = mount.arg(folder.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: a file system of its own needs root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_is_a_debt_and_leaves_nothing_half_written() {
    let Some(mount) = Mount::of("700k") else { return };
    let memory = Memory::new("memory");
    let folder = mount.path().join("archive");
    let open = || Archive::at(vec![boxed(&memory), Box::new(Folder::new(&folder, None))]).unwrap();
    let nodes = Nodes::sealed_at(&open());
    let mut failed = None;
    for revision in 1000..1010 {
        let published = nodes.publish(&open(), ONE, revision).unwrap();
        open().prove(&proof(published.id, Level::L3, "one"), &ONE.key(), &ANCHOR()).unwrap();
        if let Some(debt) = published.failed.first() {
            failed = Some(debt.why.clone());
            break;
        }
    }
    let failed = failed.expect("ten generations do not fit");
    assert!(failed.contains("No space left on device"), "{failed}");
    let left = Command::new("find").arg(&folder).args(["-name", ".unfinished-*"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    // Every generation that shows there can be opened there alone.
    let alone = Archive::at(vec![Box::new(Folder::new(&folder, None))]).unwrap();
    for one in generations(&alone).all {
        assert!(nodes.open(&alone, &one.id).is_ok(), "{}", one.public.revision);
    }
    let all = generations(&open());
    assert!(all.copies(&all.all[0]).debt.is_some());
    // Room is made: the next run pays.
    let room = ["-o", "remount,size=20m"];
    assert!(Command::new("mount").args(room).arg(mount.path()).status().unwrap().success());
    assert!(open().mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap().failed.is_empty());
    let all = generations(&open());
    assert_eq!(all.copies(&all.all[0]).debt, None);
}

#[test]
fn a_mounted_folder_is_refused_where_nothing_is_mounted() {
    let plain = tempfile::tempdir_in("/").or_else(|_| tempfile::tempdir());
    let plain = plain.unwrap();
    let same = |one: &Path, other: &str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(one).unwrap().dev() == std::fs::metadata(other).unwrap().dev()
    };
    if same(plain.path(), "/") {
        let place = Folder::mounted(plain.path());
        for said in [
            words(&place.put_new(&Name::Format, b"x").unwrap_err()),
            words(&place.get(&Name::Format, 1).unwrap_err()),
            words(&place.list(Prefix::Epochs).unwrap_err()),
        ] {
            assert_eq!(said, format!("{} is not a mounted file system", plain.path().display()));
        }
        assert_eq!(std::fs::read_dir(plain.path()).unwrap().count(), 0);
    }
    let Some(mount) = Mount::of("20m") else { return };
    // Its root is made by whoever says who may write there.
    let root = mount.path().join("prod");
    assert!(Folder::mounted(&root).put_new(&Name::Format, b"x").is_err());
    std::fs::create_dir(&root).unwrap();
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let place = Folder::mounted(&root);
    let nodes = Nodes::sealed_at(&Archive::at(vec![Box::new(Folder::mounted(&root))]).unwrap());
    assert_eq!(place.put_new(&Name::Prune(1), b"x").unwrap(), Put::Written);
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("FORMAT"), mode("gen"), mode("prune")), (0o644, 0o1777, 0o1777));
    let archive = Archive::at(vec![Box::new(Folder::mounted(&root))]).unwrap();
    assert!(archive.open_identity(&nodes.set.identities, &Trust::FirstUse).is_ok());
}
