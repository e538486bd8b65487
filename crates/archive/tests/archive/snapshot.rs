//! Snapshot sets: captured without a network, published without an identity, opened by a recipient.

use crate::damage::sign;
use crate::nodes::{ANCHOR, Node, Nodes, ONE, TWO, db, entries, generations, only, proof, revisions, whys};
use crate::place::{Memory, STAMP, at, plain, root, root_key, set, words};
use archive::{Error, Level, NewIdentity, RootKey, Signer, Spool, Standing};
use serde_json::json;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn what_a_node_captures_a_recipient_opens() {
    let (place, nodes) = Nodes::sealed();
    let archive = place.archive();
    let published = nodes.publish(&archive, ONE, 1000).unwrap();
    assert_eq!((published.epoch, published.revision, published.number), (1, 1000, 1));
    assert_eq!((&*published.proven, published.failed.len()), (&["memory".to_owned()][..], 0));

    let all = generations(&archive);
    let one = only(&all);
    assert_eq!((one.id, &one.signed_by), (published.id, &Signer::Node("cp-11".into())));
    assert_eq!(one.held_by, ["memory"]);
    assert!(!one.fenced && !one.revoked && one.suspect.is_none() && all.rejected.is_empty());
    assert!(!one.counts(), "nothing was proven of it");

    let (opened, bytes) = nodes.open(&archive, &published.id).unwrap();
    assert_eq!((bytes, opened.size), (db(1000), db(1000).len() as u64));
    assert_eq!(plain(&opened.entries), plain(&entries()));
    assert_eq!(opened.facts["members"], "3");
    assert_eq!(opened.public.identity, nodes.identity.id);
    assert!(nodes.is_scratch_empty());
    let identity =
        archive.open_identity_set(&opened.public.identity, &nodes.set.identities, &ANCHOR()).unwrap();
    assert_eq!(plain(&identity.entries), plain(&nodes.set.entries));
    // The identity sets' order is their own: a snapshot is nothing to them.
    assert_eq!(identity.holding.heads.len(), 1);
    assert!(identity.holding.rejected.is_empty());
}

#[test]
fn a_spool_holds_ciphertext_for_one_user_and_takes_one_capture() {
    let (_, nodes) = Nodes::sealed();
    let folder = nodes.capture(ONE, 1000);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(
            !bytes.windows(8).any(|bytes| bytes == b"snapshot" && path.file_name().unwrap() != "draft.json")
        );
        names.push(path.file_name().unwrap().to_str().unwrap().len());
    }
    names.sort_unstable();
    assert_eq!(names, ["draft.json".len(), 64, 64, 64]);
    let error = Spool::begin(&nodes.identity, &folder).unwrap_err();
    assert!(matches!(error, Error::SpoolUsed { .. }), "{error}");
}

/// A stream that breaks off.
pub struct Broken(pub usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.min(buffer.len());
        self.0 -= count;
        if count == 0 { Err(std::io::Error::other("connection reset")) } else { Ok(count) }
    }
}

#[test]
fn a_capture_that_breaks_off_is_none() {
    let (place, nodes) = Nodes::sealed();
    let error = nodes.try_capture(ONE, 1000, &mut Broken(1_000_000)).unwrap_err();
    assert_eq!(words(&error), "cannot read the snapshot: connection reset");
    let folder = std::fs::read_dir(nodes.dir.path()).unwrap().next().unwrap().unwrap().path().join("spool");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    let error = place.archive().publish_snapshot(&folder, &ONE.key(), &ANCHOR()).unwrap_err();
    assert!(matches!(error, Error::File { act: "read", .. }), "{error}");
    let error = nodes.try_capture(ONE, 0, &mut std::io::empty()).unwrap_err();
    assert!(matches!(error, Error::Draft(_)), "etcd's revisions begin at 1: {error}");
}

#[test]
fn a_capture_that_changed_on_its_way_is_not_published() {
    let (place, nodes) = Nodes::sealed();
    let folder = nodes.capture(ONE, 1000);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        for other in [&flipped[..], &bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat()] {
            std::fs::write(&path, other).unwrap();
            assert!(place.archive().publish_snapshot(&folder, &ONE.key(), &ANCHOR()).is_err(), "{path:?}");
        }
        std::fs::write(&path, bytes).unwrap();
    }
    assert_eq!(generations(&place.archive()).all.len(), 0);
    assert!(place.archive().publish_snapshot(&folder, &ONE.key(), &ANCHOR()).is_ok());
}

#[test]
fn generations_are_ordered_by_revision_and_the_newest_that_was_proven_counts() {
    let (place, nodes) = Nodes::sealed();
    let archive = place.archive();
    let old = nodes.publish(&archive, ONE, 1000).unwrap();
    let newest = nodes.publish(&archive, TWO, 3000).unwrap();
    let middle = nodes.publish(&archive, ONE, 2000).unwrap();
    assert_eq!((old.number, newest.number, middle.number), (1, 2, 3));
    let all = generations(&archive);
    assert_eq!((revisions(&all), all.heads), (vec![3000, 2000, 1000], vec![middle.id]));

    archive.prove(&proof(old.id, Level::L3, "a"), &ONE.key(), &ANCHOR()).unwrap();
    archive
        .prove(&proof(middle.id, Level::L4, "b"), &RootKey::parse(&root_key(1)).unwrap(), &ANCHOR())
        .unwrap();
    archive.prove(&proof(newest.id, Level::L2, "c"), &TWO.key(), &ANCHOR()).unwrap();
    let all = generations(&archive);
    assert_eq!(all.newest().unwrap().id, newest.id);
    let counting = all.newest_counting().unwrap();
    assert_eq!((counting.id, counting.level()), (middle.id, Some(Level::L4)));
    assert_eq!(counting.proofs[0].signed_by, Signer::Root);
    assert_eq!(all.get(&old.id).unwrap().proofs[0].proof, proof(old.id, Level::L3, "a"));
    assert!(all.rejected.is_empty() && all.get(&old.id).unwrap().counts());
    assert!(!all.get(&newest.id).unwrap().counts());
}

#[test]
fn a_node_proves_what_is_its_own() {
    let (place, nodes) = Nodes::sealed();
    let archive = place.archive();
    let published = nodes.publish(&archive, ONE, 1000).unwrap();
    for key in [TWO.key(), Node(13).key()] {
        let error = archive.prove(&proof(published.id, Level::L4, "x"), &key, &ANCHOR()).unwrap_err();
        assert!(matches!(error, Error::NotDelegated { what: "proof", .. }), "{error}");
    }
    // And where it writes without asking, no reader takes it.
    archive.prove(&proof(published.id, Level::L3, "x"), &ONE.key(), &ANCHOR()).unwrap();
    let (name, bytes) = place.only("proof/");
    let mut body = serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["body"].take();
    body["signer"] = json!(root(TWO.0));
    place.remove(&name);
    place.set(&name, sign(&body, TWO.0));
    let all = generations(&archive);
    assert!(!only(&all).counts());
    assert_eq!(whys(&all), [format!("{} may not sign it as cp-11", root(TWO.0))]);
    let gone = proof(nodes.identity.id, Level::L3, "x");
    assert!(matches!(archive.prove(&gone, &ONE.key(), &ANCHOR()), Err(Error::NoSnapshot(_))));
    let spelled = proof(published.id, Level::L3, "../x");
    assert!(matches!(archive.prove(&spelled, &ONE.key(), &ANCHOR()), Err(Error::Describe(_))));
}

#[test]
fn two_writers_at_once_make_a_fork_that_is_shown() {
    let (place, nodes) = Nodes::sealed();
    place.meet(true);
    std::thread::scope(|scope| {
        for (node, revision) in [(ONE, 1000), (TWO, 1001)] {
            let (nodes, place) = (&nodes, &place);
            scope.spawn(move || nodes.publish(&place.archive(), node, revision).unwrap());
        }
    });
    place.meet(false);
    let all = generations(&place.archive());
    assert_eq!((revisions(&all), all.heads.len()), (vec![1001, 1000], 2));
    let next = nodes.publish(&place.archive(), ONE, 1002).unwrap();
    let all = generations(&place.archive());
    assert_eq!((all.heads.clone(), all.newest().unwrap().public.parents.len()), (vec![next.id], 2));
    for generation in &all.all {
        assert_eq!(nodes.open(&place.archive(), &generation.id).unwrap().1, db(generation.public.revision));
    }
}

#[test]
fn a_key_that_the_newest_set_does_not_name_publishes_nothing_more() {
    let (place, mut nodes) = Nodes::sealed();
    let archive = place.archive();
    let before = nodes.publish(&archive, TWO, 1000).unwrap();
    let captured = nodes.capture(TWO, 2000);
    nodes.set.delegations = vec![ONE.delegation(1)];
    nodes.seal_again(&archive);
    for folder in [captured, nodes.capture(TWO, 2000)] {
        let error = archive.publish_snapshot(&folder, &TWO.key(), &ANCHOR()).unwrap_err();
        assert!(
            matches!(&error, Error::NotDelegated { what: "snapshot", node, .. } if node == "cp-12"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("rekindle up"));
    }
    // What it signed before stays, and it is said.
    let all = generations(&archive);
    assert!(only(&all).revoked && all.rejected.is_empty());
    assert_eq!(nodes.open(&archive, &before.id).unwrap().1, db(1000));
    // The same delegations again are no difference.
    let opened = archive.open_identity(&nodes.set.identities, &ANCHOR()).unwrap();
    assert!(!nodes.set.seal(&archive, Some(&opened)).unwrap().new);
}

#[test]
fn who_was_taken_off_the_list_gets_no_more() {
    let (place, mut nodes) = Nodes::sealed();
    let leaver = NewIdentity::mint(STAMP.created).unwrap().recipient;
    nodes.set.recipients.push(leaver);
    nodes.seal_again(&place.archive());
    let captured = nodes.capture(ONE, 1000);
    nodes.set.recipients.pop();
    nodes.seal_again(&place.archive());
    let error = place.archive().publish_snapshot(&captured, &ONE.key(), &ANCHOR()).unwrap_err();
    assert!(words(&error).ends_with("sealed to other recipients than its identity set names"), "{error}");
    assert!(nodes.publish(&place.archive(), ONE, 1000).is_ok());
}

#[test]
fn a_newer_epoch_fences_what_is_of_an_older_one() {
    let (place, mut nodes) = Nodes::sealed();
    let archive = place.archive();
    let old = nodes.publish(&archive, ONE, 5000).unwrap();
    let captured = nodes.capture(ONE, 6000);
    let claim = json!({
        "cluster": nodes.set.cluster, "created": STAMP.created, "critical": [], "epoch": 2,
        "fences": ["cdf818194e3a8c32"], "format": "rekindle-archive", "holder": "ada", "host": "laptop",
        "kind": "epoch", "min_reader": 1, "repo": nodes.identity.public.repo, "root": root(1), "schema": 1,
        "signer": root(1),
    });
    place.set("epoch/2.json", sign(&claim, 1));
    let error = archive.publish_snapshot(&captured, &ONE.key(), &ANCHOR()).unwrap_err();
    assert!(matches!(error, Error::Fenced { epoch: 1, newest: 2 }), "{error}");
    assert!(only(&generations(&archive)).fenced);

    // The new epoch has a set of its own, although nothing else differs, and its first snapshot is the newest.
    let Standing::Holds(holding) = archive.state(&ANCHOR()).unwrap() else { panic!("it is gone") };
    assert_eq!(holding.epoch, 2);
    nodes.seal_again(&archive);
    assert_eq!(nodes.identity.public.epoch, 2);
    let error = nodes.publish(&archive, ONE, 10).unwrap_err();
    assert!(matches!(error, Error::NotDelegated { epoch: 2, .. }), "the delegation ended: {error}");
    nodes.set.delegations = vec![ONE.delegation(2)];
    nodes.seal_again(&archive);
    // A restored etcd has another id.
    nodes.etcd_cluster = "b0b";
    let new = nodes.publish(&archive, ONE, 10).unwrap();
    let all = generations(&archive);
    assert_eq!(all.all.iter().map(|one| one.id).collect::<Vec<_>>(), [new.id, old.id]);
    assert!(!all.all[0].fenced && all.all[1].fenced && all.rejected.is_empty());
}

#[test]
fn the_wrong_identity_and_the_wrong_id_open_nothing() {
    let (place, nodes) = Nodes::sealed();
    let published = nodes.publish(&place.archive(), ONE, 1000).unwrap();
    let mut to = Vec::new();
    let stranger = set(2).identities;
    let archive = place.archive();
    let error = archive.open_snapshot(
        &published.id,
        &stranger,
        &ANCHOR(),
        nodes.dir.path(),
        &mut to,
        &mut std::io::sink(),
    );
    assert!(matches!(error.unwrap_err(), Error::WrongIdentity { .. }) && to.is_empty());
    let error = nodes.open(&archive, &nodes.identity.id).unwrap_err();
    assert!(matches!(error, Error::NoSnapshot(_)), "{error}");
    let id = &published.id;
    let error = archive.open_identity_set(id, &nodes.set.identities, &ANCHOR()).unwrap_err();
    assert!(matches!(error, Error::NoManifest(_)), "{error}");
}

#[test]
fn a_damaged_copy_at_one_place_is_taken_from_another() {
    let (one, nodes) = Nodes::sealed();
    let published = nodes.publish(&one.archive(), ONE, 1000).unwrap();
    let two = one.copy();
    for (name, bytes) in one.files().into_iter().filter(|(name, _)| name.starts_with("objects/")) {
        if !generations(&one.archive()).all[0]
            .public
            .objects
            .iter()
            .any(|it| name.ends_with(&it.sha256.to_string()))
        {
            continue;
        }
        for damage in [vec![0; bytes.len()], bytes[..bytes.len() / 2].to_vec(), [&bytes[..], b"x"].concat()] {
            one.set(&name, damage);
            let error = nodes.open(&one.archive(), &published.id).unwrap_err();
            assert!(matches!(error, Error::Lost { .. }), "{error}");
            assert_eq!(nodes.open(&at(&[&one, &two]), &published.id).unwrap().1, db(1000));
        }
        one.set(&name, bytes);
    }
    assert!(nodes.is_scratch_empty());
}

#[test]
fn every_flipped_bit_of_a_manifest_or_a_proof_is_found() {
    let (place, nodes) = Nodes::sealed();
    let archive = place.archive();
    let published = nodes.publish(&archive, ONE, 1000).unwrap();
    archive.prove(&proof(published.id, Level::L3, "x"), &ONE.key(), &ANCHOR()).unwrap();
    assert!(only(&generations(&archive)).counts());
    for prefix in ["gen/1-1000-", "proof/"] {
        let (name, bytes) = place.only(prefix);
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            place.set(&name, flipped);
            let all = generations(&archive);
            assert_eq!(all.rejected[0].name, name, "bit {bit}");
            assert!(all.newest_counting().is_none(), "bit {bit} of {name}");
        }
        place.set(&name, bytes);
    }
    assert!(only(&generations(&archive)).counts());
}

#[test]
fn a_debt_is_mended_with_the_same_bytes() {
    let (one, two, three) = (Memory::new("one"), Memory::new("two"), Memory::new("three"));
    let both = at(&[&one, &two]);
    let nodes = Nodes::sealed_at(&both);
    let mended = both.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap();
    assert_eq!(mended, archive::Mended::default());
    two.down(true);
    let published = nodes.publish(&both, ONE, 1000).unwrap();
    assert_eq!((&*published.proven, &*published.failed[0].at), (&["one".to_owned()][..], "two"));
    let (proven, failed) = both.prove(&proof(published.id, Level::L3, "x"), &ONE.key(), &ANCHOR()).unwrap();
    assert_eq!((proven, failed.len()), (vec!["one".to_owned()], 0));
    assert_eq!(generations(&both).unread[0].at, "two");
    let mended = both.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap();
    assert_eq!((mended.copied.len(), &*mended.failed[0].at), (0, "two"));
    two.down(false);

    // The third is new, and lacks the identity set as well.
    let all = at(&[&one, &two, &three]);
    assert_eq!(generations(&all).newest().unwrap().held_by, ["one"]);
    let mended = all.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap();
    assert_eq!((mended.id, mended.copied), (Some(published.id), vec!["two".to_owned(), "three".to_owned()]));
    let claim = |place: &Memory| {
        let mut files = place.files();
        files.remove("epoch/1.json");
        files
    };
    assert_eq!((two.files(), claim(&three)), (one.files(), claim(&one)));
    assert_eq!(nodes.open(&three.archive(), &published.id).unwrap().1, db(1000));
    assert!(only(&generations(&three.archive())).counts());
    assert!(all.mend_snapshots(&ANCHOR(), nodes.dir.path()).unwrap().copied.is_empty());
    assert!(nodes.is_scratch_empty());
}
