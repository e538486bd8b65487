//! A seal that ends anywhere: what was begun does not show, and the next seal goes on.

use crate::nodes::{ANCHOR, Nodes, ONE, db, generations, only};
use crate::place::{Memory, STAMP, at, plain, root, root_key, set};
use archive::{Error, Secret, Standing, Trust};

#[test]
fn a_first_seal_that_ends_anywhere_leaves_nothing_or_all_of_it() {
    let whole = Memory::new("memory");
    set(1).seal(&whole.archive(), None).unwrap();
    assert_eq!(whole.puts(), 8, "FORMAT, RECOVER.txt, 4 objects, the manifest, the epoch");
    let mut kept = 0;
    for puts in 0..whole.puts() {
        let place = Memory::new("memory");
        let archive = place.archive();
        let first = set(1);
        place.fail_after(Some(puts));
        assert!(first.seal(&archive, None).is_err(), "after {puts} writes");
        place.fail_after(None);

        match archive.state(&Trust::FirstUse).unwrap() {
            // Its keys are gone with it: another root key begins anew.
            Standing::Empty => {
                let second = set(2);
                let sealed = second.seal(&archive, None).unwrap();
                assert_eq!((sealed.number, sealed.root), (1, root(2)), "after {puts} writes");
                let opened = archive.open_identity(&second.identities, &Trust::Anchor(root(2))).unwrap();
                assert_eq!(plain(&opened.entries), plain(&second.entries));
            }
            Standing::Holds(holding) => {
                kept += 1;
                assert!(holding.claim.is_none());
                assert!(matches!(set(2).seal(&archive, None), Err(Error::Occupied { .. })));
                let opened = archive.open_identity(&first.identities, &Trust::Anchor(root(1))).unwrap();
                let again = first.seal(&archive, Some(&opened)).unwrap();
                assert_eq!((again.new, again.id), (false, opened.id));
                let Standing::Holds(holding) = archive.state(&Trust::Anchor(root(1))).unwrap() else {
                    panic!("the archive is gone")
                };
                assert_eq!(holding.claim.unwrap().root, root(1));
            }
        }
    }
    assert_eq!(kept, 1, "only between the manifest and the epoch");
}

#[test]
fn a_later_seal_that_ends_anywhere_leaves_the_one_before_or_the_new_one() {
    let mut changed = set(1);
    changed.entries.insert("pki/ca.key".into(), Secret::new(*b"new"));
    for born in [false, true] {
        for puts in 0..3 {
            let place = Memory::new("memory");
            let archive = place.archive();
            let first = set(1);
            changed.recipients = first.recipients.clone();
            let sealed = first.seal(&archive, None).unwrap();
            let opened = archive.open_identity(&first.identities, &Trust::FirstUse).unwrap();
            place.fail_after(Some(puts));
            let second = |opened| match born {
                true => archive.seal_born(&sealed.id, &root_key(1), &STAMP),
                false => changed.seal(&archive, Some(opened)),
            };
            let done = second(&opened).is_ok();
            assert_eq!(done, puts >= if born { 1 } else { 3 }, "after {puts} writes, born {born}");
            place.fail_after(None);
            let now = archive.open_identity(&first.identities, &Trust::FirstUse).unwrap();
            assert_eq!(now.id == sealed.id, !done);
            assert_eq!(
                plain(&now.entries),
                plain(if done && !born { &changed.entries } else { &first.entries })
            );
            assert!(second(&now).unwrap().new != done);
        }
    }
}

#[test]
fn a_seal_to_two_places_that_ends_anywhere_is_whole_at_one_or_nowhere() {
    for puts in 0..8 {
        for broken in 0..2 {
            let places = [Memory::new("one"), Memory::new("two")];
            let archive = at(&[&places[0], &places[1]]);
            let set = set(1);
            places[broken].fail_after(Some(puts));
            let error = set.seal(&archive, None).unwrap_err();
            assert!(matches!(error, Error::NoMajority { held: 1, all: 2, .. }), "{error}");
            places[broken].fail_after(None);
            let opened = archive.open_identity(&set.identities, &Trust::Anchor(root(1))).unwrap();
            let sealed = set.seal(&archive, Some(&opened)).unwrap();
            assert_eq!((sealed.new, sealed.proven.len()), (false, 2));
            assert_eq!(places[0].files(), places[1].files());
        }
    }
}

#[test]
fn objects_without_a_manifest_are_nothing() {
    let place = Memory::new("memory");
    set(1).seal(&place.archive(), None).unwrap();
    place.remove(&place.only("gen/").0);
    place.remove("epoch/1.json");
    assert!(matches!(place.archive().state(&Trust::Unset).unwrap(), Standing::Empty));
}

#[test]
fn a_snapshot_that_ends_anywhere_does_not_show_and_goes_on_as_the_same() {
    let (whole, nodes) = Nodes::sealed();
    let before = whole.puts();
    nodes.publish(&whole.archive(), ONE, 1000).unwrap();
    assert_eq!(whole.puts() - before, 4, "3 objects and the manifest");
    for puts in 0..4 {
        let place = Memory::new("memory");
        let archive = place.archive();
        let nodes = Nodes::sealed_at(&archive);
        let captured = nodes.capture(ONE, 1000);
        place.fail_after(Some(puts));
        let error = archive.publish_snapshot(&captured, &ONE.key(), &ANCHOR()).unwrap_err();
        assert!(matches!(error, Error::NotProven { .. }), "{error}");
        place.fail_after(None);
        assert_eq!(generations(&archive).all.len(), 0, "after {puts} writes");
        let published = archive.publish_snapshot(&captured, &ONE.key(), &ANCHOR()).unwrap();
        assert_eq!(nodes.open(&archive, &published.id).unwrap().1, db(1000));
        assert_eq!(whole.count(""), place.count(""));
    }
}

#[test]
fn a_snapshot_at_two_places_that_ends_anywhere_is_one_set_in_the_end() {
    for puts in 0..4 {
        let places = [Memory::new("one"), Memory::new("two")];
        let archive = at(&[&places[0], &places[1]]);
        let nodes = Nodes::sealed_at(&archive);
        let captured = nodes.capture(ONE, 1000);
        places[1].fail_after(Some(puts));
        let first = archive.publish_snapshot(&captured, &ONE.key(), &ANCHOR()).unwrap();
        assert_eq!((first.proven.len(), first.failed.len()), (1, 1));
        places[1].fail_after(None);
        let again = archive.publish_snapshot(&captured, &ONE.key(), &ANCHOR()).unwrap();
        assert_eq!((again.id, again.proven.len(), again.failed.len()), (first.id, 2, 0));
        assert_eq!(only(&generations(&archive)).held_by, ["one", "two"]);
        assert_eq!(places[0].files(), places[1].files());
    }
}

#[test]
fn a_place_that_keeps_half_of_a_snapshot_is_not_said_to_hold_it() {
    let places = [Memory::new("one"), Memory::new("two")];
    let archive = at(&[&places[0], &places[1]]);
    let nodes = Nodes::sealed_at(&archive);
    places[0].lies(true);
    let published = nodes.publish(&archive, ONE, 1000).unwrap();
    assert_eq!((&*published.proven, &*published.failed[0].at), (&["two".to_owned()][..], "one"));
    assert_eq!(only(&generations(&archive)).held_by, ["two"]);
    assert!(published.failed[0].why.contains("read back"), "{}", published.failed[0].why);
}
