//! All objects beside the snapshot: streamed, and larger than other entries may be.

use crate::nodes::{ANCHOR, Nodes, ONE, db};
use crate::place::STAMP;
use crate::snapshot::Broken;
use archive::{Capture, EXPORT_ENTRY, Error, SNAPSHOT_ENTRY, Spool};
use std::io::Read;

#[test]
fn an_export_is_streamed_and_larger_than_other_entries() {
    let (place, nodes) = Nodes::sealed();
    let folder = nodes.dir.path().join("spool");
    let facts = [].into();
    let capture = Capture {
        revision: 7,
        etcd_cluster: "1",
        node: "cp-11",
        created: STAMP.created,
        rekindle: STAMP.rekindle,
        facts: &facts,
    };
    // 17 MiB: no other entry may be so large.
    let large = || std::io::repeat(b'x').take(17 << 20);
    let mut spool = Spool::begin(&nodes.identity, &folder).unwrap();
    let error = spool.add("nodes.json", &mut large()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    spool.add(EXPORT_ENTRY, &mut Broken(1_000_000)).unwrap_err();
    spool.add(EXPORT_ENTRY, &mut large()).unwrap();
    let error = spool.add("export", &mut std::io::empty()).unwrap_err();
    assert!(matches!(error, Error::EntryName { .. }), "a folder of another: {error}");
    // What was half told is taken out again, without a trace.
    spool.remove(EXPORT_ENTRY).unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    spool.add(EXPORT_ENTRY, &mut large()).unwrap();
    spool.add(SNAPSHOT_ENTRY, &mut &db(7)[..]).unwrap();
    let spooled = spool.finish(&capture).unwrap();
    assert_eq!(spooled.size, db(7).len() as u64);

    let archive = place.archive();
    let published = archive.publish_snapshot(&folder, &ONE.key(), &ANCHOR()).unwrap();
    let (mut to, mut export) = (Vec::new(), Vec::new());
    let opened = archive
        .open_snapshot(
            &published.id,
            &nodes.set.identities,
            &ANCHOR(),
            nodes.dir.path(),
            &mut to,
            &mut export,
        )
        .unwrap();
    assert_eq!((to, opened.export, export.len()), (db(7), Some(17 << 20), 17 << 20));
    assert!(export.iter().all(|byte| *byte == b'x') && opened.entries.is_empty());

    let empty = nodes.dir.path().join("empty");
    let error = Spool::begin(&nodes.identity, &empty).unwrap().finish(&capture).unwrap_err();
    assert!(matches!(error, Error::Draft(_)), "no generation is without etcd's snapshot: {error}");
}
