//! Whose signature counts, and what is never taken for empty.

use crate::place::{Memory, at, plain, root, set};
use archive::{Error, Standing, Trust};

#[test]
fn without_an_anchor_an_archive_is_refused_and_its_key_is_named() {
    let place = Memory::new("memory");
    let set = set(1);
    set.seal(&place.archive(), None).unwrap();
    for error in [
        place.archive().state(&Trust::Unset).unwrap_err(),
        place.archive().open_identity(&set.identities, &Trust::Unset).unwrap_err(),
    ] {
        assert!(matches!(&error, Error::NoAnchor { root: found, .. } if *found == root(1)), "{error}");
        assert!(error.hint().unwrap().contains(&format!("trust = \"{}\"", root(1))));
    }
    assert!(place.archive().open_identity(&set.identities, &Trust::FirstUse).is_ok());
}

#[test]
fn another_root_key_is_refused_by_name() {
    let place = Memory::new("memory");
    let set = set(1);
    set.seal(&place.archive(), None).unwrap();
    let error = place.archive().open_identity(&set.identities, &Trust::Anchor(root(2))).unwrap_err();
    assert!(
        matches!(&error, Error::Foreign { found, expected, .. } if (*found, *expected) == (root(1), root(2))),
        "{error}"
    );
}

#[test]
fn a_trusted_key_without_its_archive_is_not_empty() {
    let place = Memory::new("memory");
    let error = place.archive().state(&Trust::Anchor(root(1))).unwrap_err();
    assert!(matches!(error, Error::Gone { .. }), "{error}");

    set(1).seal(&place.archive(), None).unwrap();
    place.remove(&place.only("gen/").0);
    let error = place.archive().state(&Trust::Anchor(root(1))).unwrap_err();
    assert!(matches!(error, Error::Gone { .. }), "{error}");
    // A claim alone is not empty either.
    assert!(matches!(place.archive().state(&Trust::Unset), Err(Error::NoAnchor { .. })));
    assert!(matches!(place.archive().state(&Trust::FirstUse), Err(Error::Gone { .. })));
}

#[test]
fn a_place_that_does_not_answer_is_not_empty() {
    let (one, two) = (Memory::new("one"), Memory::new("two"));
    two.down(true);
    let error = at(&[&one, &two]).state(&Trust::Unset).unwrap_err();
    assert!(matches!(&error, Error::Destination { at, .. } if at == "two"), "{error}");
    assert!(crate::place::words(&error).ends_with("no route to host"));
}

#[test]
fn documents_that_nobody_signed_are_not_empty() {
    for (name, bytes) in [
        ("gen/1-0-00000000.json", "{}"),
        ("epoch/1.json", ""),
        ("FORMAT", "junk"),
        ("gen/1-0-0a0a0a0a.json", "x"),
    ] {
        let place = Memory::new("memory");
        place.set(name, bytes);
        let error = place.archive().state(&Trust::Unset).unwrap_err();
        assert!(matches!(&error, Error::Unusable { name: found, .. } if found == name), "{error}");
    }
}

#[test]
fn what_a_stranger_signed_is_left_out_and_named() {
    let (place, strange) = (Memory::new("memory"), Memory::new("strange"));
    let ours = set(1);
    ours.seal(&place.archive(), None).unwrap();
    // The stranger knows our public recipient and the archive's id, and calls himself newer.
    strange.set("FORMAT", place.files()["FORMAT"].clone());
    let mut theirs = set(2);
    (theirs.recipients, theirs.cluster) = (ours.recipients.clone(), ours.cluster.clone());
    theirs.seal(&strange.archive(), None).unwrap();
    let (name, bytes) = strange.only("gen/");
    place.set(&name, bytes);
    strange.files().into_iter().filter(|(name, _)| name.starts_with("objects/")).for_each(|(name, bytes)| {
        place.set(&name, bytes);
    });
    place.set("epoch/2.json", strange.files()["epoch/1.json"].clone());

    let opened = place.archive().open_identity(&ours.identities, &Trust::Anchor(root(1))).unwrap();
    assert_eq!(plain(&opened.entries), plain(&ours.entries));
    assert_eq!(opened.holding.epoch, 1);
    let rejected: Vec<_> =
        opened.holding.rejected.iter().map(|one| (one.name.clone(), one.why.clone())).collect();
    let why = format!("it is signed by {}", root(2));
    assert_eq!(rejected, [(name, why.clone()), ("epoch/2.json".to_owned(), why)]);

    // Without an anchor it is the first epoch that says whose archive it is.
    let Standing::Holds(holding) = place.archive().state(&Trust::FirstUse).unwrap() else {
        panic!("the archive is gone")
    };
    assert_eq!((holding.root, holding.newest.id), (root(1), opened.id));
}

#[test]
fn another_clusters_place_is_refused() {
    let (mine, others) = (Memory::new("mine"), Memory::new("others"));
    let set = set(1);
    set.seal(&mine.archive(), None).unwrap();
    crate::place::set(2).seal(&others.archive(), None).unwrap();
    let both = at(&[&mine, &others]);
    let before = others.files();
    for trust in [Trust::Anchor(root(1)), Trust::Anchor(root(2))] {
        let error = both.state(&trust).unwrap_err();
        assert!(matches!(error, Error::OtherArchive { .. }), "{error}");
        assert!(both.open_identity(&set.identities, &trust).is_err());
    }
    assert!(matches!(both.state(&Trust::FirstUse), Err(Error::Rivals { .. })));
    let opened = mine.archive().open_identity(&set.identities, &Trust::Anchor(root(1))).unwrap();
    assert!(matches!(set.seal(&both, Some(&opened)), Err(Error::OtherArchive { .. })));
    assert!(matches!(set.seal(&others.archive(), Some(&opened)), Err(Error::Foreign { .. })));
    assert!(matches!(set.seal(&others.archive(), None), Err(Error::Occupied { .. })));
    assert_eq!(others.files(), before);
}

#[test]
fn a_new_cluster_does_not_begin_over_another_ones_format() {
    let (one, two) = (Memory::new("one"), Memory::new("two"));
    // Two first seals that were killed, each of another archive.
    for (place, seed) in [(&one, 1), (&two, 2)] {
        place.fail_after(Some(1));
        set(seed).seal(&place.archive(), None).unwrap_err();
        place.fail_after(None);
    }
    let error = set(3).seal(&at(&[&one, &two]), None).unwrap_err();
    assert!(matches!(error, Error::OtherArchive { .. }), "{error}");
}

#[test]
fn a_key_that_is_not_in_the_set_is_no_way_on() {
    let place = Memory::new("memory");
    let set = set(1);
    set.seal(&place.archive(), None).unwrap();
    let opened = place.archive().open_identity(&set.identities, &Trust::FirstUse).unwrap();
    let error = crate::place::set(2).seal(&place.archive(), Some(&opened)).unwrap_err();
    assert!(matches!(error, Error::OtherRootKey { .. }), "{error}");
    let mut other = crate::place::set(1);
    other.cluster.uid = "00".repeat(16);
    let error = other.seal(&place.archive(), Some(&opened)).unwrap_err();
    assert!(matches!(error, Error::OtherCluster { .. }), "{error}");
}
