//! Sealing and opening where nothing goes wrong.

use crate::place::{Memory, STAMP, at, plain, root, root_key, set};
use archive::{Error, NewIdentity, Secret, Standing, Trust};

#[test]
fn what_was_sealed_is_opened_again() {
    let place = Memory::new("memory");
    let (set, archive) = (set(1), place.archive());
    assert!(matches!(archive.state(&Trust::Unset).unwrap(), Standing::Empty));
    let sealed = set.seal(&archive, None).unwrap();
    assert_eq!((sealed.new, sealed.number, sealed.epoch, sealed.root), (true, 1, 1, root(1)));
    assert_eq!((sealed.proven, sealed.failed.len()), (vec!["memory".to_owned()], 0));

    let opened = archive.open_identity(&set.identities, &Trust::Anchor(root(1))).unwrap();
    assert_eq!(plain(&opened.entries), plain(&set.entries));
    assert_eq!((opened.id, &opened.facts), (sealed.id, &set.facts));
    assert_eq!((opened.public.cluster, opened.public.public_keys), (set.cluster, set.public_keys));
    let claim = opened.holding.claim.unwrap();
    assert_eq!((claim.epoch, &*claim.holder, &*claim.host), (1, "ada", "laptop"));
    assert!(opened.holding.rejected.is_empty() && opened.holding.lacking.is_empty());
}

#[test]
fn nothing_that_is_stored_shows_a_secret() {
    let place = Memory::new("memory");
    let mut set = set(1);
    set.entries.insert("poison".into(), Secret::new(*b"POISON-4711-POISON-4711-POISON-4711"));
    let sealed = set.seal(&place.archive(), None).unwrap();
    let opened = place.archive().open_identity(&set.identities, &Trust::FirstUse).unwrap();
    let stored: Vec<u8> = place.files().into_values().flatten().collect();
    let shown = format!("{sealed:?} {opened:?} {:?} {:?}", set.sealing(None), set.identities).into_bytes();
    for haystack in [stored, shown] {
        let contains = |needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
        assert!(contains(b"1.36.3"), "the search finds nothing at all");
        assert!(!contains(b"POISON-4711"));
        assert!(!contains(b"AGE-SECRET-KEY"));
    }
    assert_eq!(opened.entries["poison"].expose(), b"POISON-4711-POISON-4711-POISON-4711");
}

#[test]
fn without_a_difference_nothing_is_written() {
    let place = Memory::new("memory");
    let (mut set, archive) = (set(1), place.archive());
    let first = set.seal(&archive, None).unwrap();
    let (files, puts) = (place.files(), place.puts());
    let opened = archive.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    // The order of recipients, the clock and the version of the tool are no difference.
    set.recipients.extend(set.recipients.clone());
    let mut sealing = set.sealing(Some(&opened));
    (sealing.stamp.created, sealing.stamp.rekindle) = ("2027-01-01T00:00:00Z", "9.9.9");
    let again = archive.seal_identity(&sealing).unwrap();
    assert_eq!((again.new, again.id), (false, first.id));
    assert_eq!((place.files(), place.puts()), (files, puts));
}

#[test]
fn each_difference_makes_a_generation() {
    type Change = fn(&mut crate::place::Set);
    let changes: [(&str, Change, usize); 7] = [
        ("an entry", |set| drop(set.entries.insert("pki/ca.key".into(), Secret::new(*b"new"))), 2),
        ("one more entry", |set| drop(set.entries.insert("inventory.toml".into(), Secret::new(*b"x"))), 2),
        ("an entry less", |set| drop(set.entries.remove("pki/ca.key")), 1),
        ("a fact", |set| drop(set.facts.insert("and".into(), "more".into())), 1),
        ("the version", |set| set.kubernetes = "1.36.4".into(), 1),
        ("a public key", |set| set.public_keys.retain(|name, _| name != "sa"), 1),
        ("a recipient", |set| set.recipients.push(NewIdentity::mint("x").unwrap().recipient), 4),
    ];
    for (what, change, written) in changes {
        let place = Memory::new("memory");
        let (mut set, archive) = (set(1), place.archive());
        let first = set.seal(&archive, None).unwrap();
        let opened = archive.open_identity(&set.identities, &Trust::FirstUse).unwrap();
        let before = place.count("objects/");
        change(&mut set);
        let second = set.seal(&archive, Some(&opened)).unwrap();
        assert_eq!((second.new, second.number), (true, 2), "{what}");
        assert_eq!(place.count("objects/") - before, written, "{what}: objects that did not change are kept");
        let opened = archive.open_identity(&set.identities, &Trust::Anchor(root(1))).unwrap();
        assert_eq!(plain(&opened.entries), plain(&set.entries), "{what}");
        assert_eq!((opened.id, opened.public.parents), (second.id, vec![first.id]), "{what}");
    }
}

#[test]
fn born_is_said_once_with_the_same_objects() {
    let place = Memory::new("memory");
    let (set, archive) = (set(1), place.archive());
    let first = set.seal(&archive, None).unwrap();
    let objects = place.count("objects/");
    let born = archive.seal_born(&first.id, &root_key(1), &STAMP).unwrap();
    assert_eq!((born.new, born.number, place.count("objects/")), (true, 2, objects));
    let puts = place.puts();
    let again = archive.seal_born(&born.id, &root_key(1), &STAMP).unwrap();
    assert_eq!((again.new, again.id, place.puts()), (false, born.id, puts));

    // A later seal that does not know it does not take it back.
    let opened = archive.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert!(opened.public.born && opened.holding.born);
    let unchanged = set.seal(&archive, Some(&opened)).unwrap();
    assert_eq!((unchanged.new, unchanged.id), (false, born.id));
    let mut changed = crate::place::set(1);
    (changed.recipients, changed.kubernetes) = (set.recipients.clone(), "1.36.4".into());
    assert!(changed.seal(&archive, Some(&opened)).unwrap().new);
    let opened = archive.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert!(opened.public.born && opened.public.kubernetes == "1.36.4");
}

#[test]
fn born_alone_is_a_difference_to_a_seal() {
    let place = Memory::new("memory");
    let (mut set, archive) = (set(1), place.archive());
    set.seal(&archive, None).unwrap();
    let opened = archive.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    let objects = place.count("objects/");
    set.born = true;
    let sealed = set.seal(&archive, Some(&opened)).unwrap();
    assert_eq!((sealed.new, place.count("objects/")), (true, objects));
    assert!(archive.open_identity(&set.identities, &Trust::FirstUse).unwrap().public.born);
}

#[test]
fn a_place_that_lacks_the_set_gets_the_same_bytes() {
    let (one, two) = (Memory::new("one"), Memory::new("two"));
    let set = set(1);
    set.seal(&one.archive(), None).unwrap();
    let both = at(&[&two, &one]);
    let opened = both.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert_eq!(opened.holding.lacking, ["two"]);
    let sealed = set.seal(&both, Some(&opened)).unwrap();
    assert_eq!((sealed.new, sealed.proven), (false, vec!["two".to_owned(), "one".to_owned()]));
    assert_eq!(one.files(), two.files());
    let alone = two.archive().open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert_eq!(plain(&alone.entries), plain(&set.entries));
}

#[test]
fn one_place_that_is_down_is_named_and_the_others_count() {
    let places = ["one", "two", "three"].map(Memory::new);
    let all = at(&[&places[0], &places[1], &places[2]]);
    places[1].down(true);
    let set = set(1);
    // Nothing can be said of a place that does not answer, so nothing is begun.
    assert!(matches!(set.seal(&all, None), Err(Error::Destination { at, .. }) if at == "two"));
    places[1].down(false);
    places[1].fail_after(Some(3));
    let sealed = set.seal(&all, None).unwrap();
    assert_eq!(sealed.proven, ["one", "three"]);
    assert_eq!(sealed.failed[0].at, "two");
    assert!(sealed.failed[0].why.ends_with("no space left on device"), "{}", sealed.failed[0].why);
    places[1].down(true);
    let opened = all.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert_eq!(opened.holding.unread[0].at, "two");
}

#[test]
fn a_place_that_lies_about_success_proves_nothing() {
    let (one, two) = (Memory::new("one"), Memory::new("two"));
    one.lies(true);
    let set = set(1);
    let error = set.seal(&one.archive(), None).unwrap_err();
    assert!(matches!(error, Error::NotProven { .. }), "{error}");
    assert_eq!(one.count("gen/"), 0);

    let opened = {
        set.seal(&two.archive(), None).unwrap();
        two.archive().open_identity(&set.identities, &Trust::FirstUse).unwrap()
    };
    two.lies(true);
    let mut changed = crate::place::set(1);
    changed.kubernetes = "1.36.4".into();
    let error = changed.seal(&two.archive(), Some(&opened)).unwrap_err();
    assert!(matches!(error, Error::NotProven { .. }), "{error}");
    let still = two.archive().open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert_eq!(still.id, opened.id);
}

#[test]
fn a_set_that_no_reader_would_take_is_refused_before_anything_is_written() {
    type Change = fn(&mut crate::place::Set);
    let changes: [(Change, &str); 9] = [
        (|set| set.recipients.clear(), "one recipient"),
        (|set| drop(set.entries.insert("../x".into(), Secret::new(*b""))), "`../x`"),
        (|set| drop(set.entries.insert("pki".into(), Secret::new(*b""))), "`pki/ca.crt`"),
        (|set| drop(set.entries.remove("pki/root.key")), "no entry `pki/root.key`"),
        (|set| drop(set.entries.insert("pki/root.key".into(), Secret::new(*b"x"))), "not an Ed25519"),
        (
            |set| drop(set.entries.insert("big".into(), Secret::new(vec![0; (16 << 20) + 1]))),
            "big has 16777217",
        ),
        (|set| set.cluster.uid = "UPPER-CASE".into(), "`cluster.uid`"),
        (|set| set.cluster.name = "\u{1b}[31m".into(), "`cluster.name`"),
        (|set| set.kubernetes = String::new(), "`kubernetes`"),
    ];
    for (change, expected) in changes {
        let place = Memory::new("memory");
        let mut set = set(1);
        change(&mut set);
        let error = crate::place::words(&set.seal(&place.archive(), None).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert_eq!(place.puts(), 0, "{expected}");
    }
}

#[test]
fn large_and_empty_entries_come_back() {
    let place = Memory::new("memory");
    let mut set = set(1);
    let noise: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    set.entries.insert("noise".into(), Secret::new(noise));
    set.entries.insert("zeros".into(), Secret::new(vec![0; 16 << 20]));
    set.entries.insert("empty".into(), Secret::new(Vec::new()));
    set.seal(&place.archive(), None).unwrap();
    let opened = place.archive().open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert!(plain(&opened.entries) == plain(&set.entries));
}
