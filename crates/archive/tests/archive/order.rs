//! Two writers at once: forks are kept and shown, and of two beginnings one goes on.

use crate::nodes::{Nodes, ONE, TWO, db, generations};
use crate::place::{Memory, STAMP, plain, root, root_key, set};
use archive::{Error, Secret, Standing, Trust};
use std::sync::Barrier;
use std::thread;

#[test]
fn two_first_seals_at_once_end_in_one_archive() {
    let mut lost = 0;
    for _ in 0..100 {
        let place = Memory::new("memory");
        let barrier = Barrier::new(2);
        let run = |seed| {
            let (set, archive) = (set(seed), place.archive());
            barrier.wait();
            (seed, set.seal(&archive, None), set)
        };
        let (one, two) = thread::scope(|scope| {
            let (one, two) = (scope.spawn(|| run(1)), scope.spawn(|| run(2)));
            (one.join().unwrap(), two.join().unwrap())
        });
        let (won, other) = if one.1.is_ok() { (one, two) } else { (two, one) };
        let (seed, sealed, set) = won;
        assert_eq!(sealed.unwrap().root, root(seed));
        match other.1.unwrap_err() {
            Error::OtherArchive { .. } | Error::Occupied { .. } | Error::Claimed { .. } => lost += 1,
            error => panic!("{error}"),
        }
        let opened = place.archive().open_identity(&set.identities, &Trust::FirstUse).unwrap();
        assert_eq!((plain(&opened.entries), opened.holding.root), (plain(&set.entries), root(seed)));
    }
    assert_eq!(lost, 100);
}

#[test]
fn after_a_killed_beginning_two_first_seals_at_once_end_in_one_archive() {
    // Both take over the FORMAT that was left, so that the epoch alone decides.
    for meet in [false, true].repeat(50) {
        let place = Memory::new("memory");
        place.fail_after(Some(1));
        set(9).seal(&place.archive(), None).unwrap_err();
        place.fail_after(None);
        place.meet(meet);
        let barrier = Barrier::new(2);
        let run = |seed| {
            let (set, archive) = (set(seed), place.archive());
            barrier.wait();
            set.seal(&archive, None).map(|sealed| (sealed, set))
        };
        let results = thread::scope(|scope| {
            [scope.spawn(|| run(1)), scope.spawn(|| run(2))].map(|thread| thread.join().unwrap())
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for result in results {
            match result {
                Ok((sealed, set)) => {
                    let opened = place.archive().open_identity(&set.identities, &Trust::FirstUse).unwrap();
                    assert_eq!(opened.id, sealed.id);
                }
                Err(Error::Claimed { claim, .. }) => assert_eq!(claim.holder, "ada"),
                Err(error) => assert!(!meet && matches!(error, Error::Occupied { .. }), "{error}"),
            }
        }
    }
}

#[test]
fn two_later_seals_at_once_are_both_kept() {
    for meet in [false, true].repeat(50) {
        let place = Memory::new("memory");
        let first = set(1);
        first.seal(&place.archive(), None).unwrap();
        place.meet(meet);
        let barrier = Barrier::new(2);
        let run = |content: &'static [u8]| {
            let archive = place.archive();
            let opened = archive.open_identity(&first.identities, &Trust::FirstUse).unwrap();
            let mut set = set(1);
            set.recipients = first.recipients.clone();
            set.entries.insert("inventory.toml".into(), Secret::new(content));
            barrier.wait();
            set.seal(&archive, Some(&opened))
        };
        let results = thread::scope(|scope| {
            [scope.spawn(|| run(b"one")), scope.spawn(|| run(b"two"))].map(|thread| thread.join().unwrap())
        });
        let Standing::Holds(holding) = place.archive().state(&Trust::FirstUse).unwrap() else {
            panic!("the archive is gone")
        };
        let heads: Vec<_> = holding.heads.iter().map(|head| head.id).collect();
        for result in &results {
            match result {
                Ok(sealed) => assert!(heads.contains(&sealed.id), "a seal that was reported is no head"),
                Err(error) => assert!(matches!(error, Error::Moved { .. }), "{error}"),
            }
        }
        assert_eq!(heads.len(), results.iter().filter(|result| result.is_ok()).count());
        assert!(!meet || heads.len() == 2, "both had to be kept");
        place.meet(false);
        // The next seal names all heads, and there is one again.
        let opened = place.archive().open_identity(&first.identities, &Trust::FirstUse).unwrap();
        first.seal(&place.archive(), Some(&opened)).unwrap();
        let merged = place.archive().open_identity(&first.identities, &Trust::FirstUse).unwrap();
        assert_eq!((merged.holding.heads.len(), merged.public.parents.len()), (1, heads.len()));
        assert_eq!(merged.public.number, 3);
    }
}

#[test]
fn being_born_does_not_swallow_the_other_side_of_a_fork() {
    let (place, aside) = (Memory::new("memory"), Memory::new("aside"));
    let first = set(1);
    let sealed = first.seal(&place.archive(), None).unwrap();
    let opened = place.archive().open_identity(&first.identities, &Trust::FirstUse).unwrap();
    place.files().into_iter().for_each(|(name, bytes)| aside.set(&name, bytes));
    let mut changed = set(1);
    changed.recipients = first.recipients.clone();
    changed.kubernetes = "1.36.4".into();
    let other = changed.seal(&aside.archive(), Some(&opened)).unwrap();
    aside.files().into_iter().for_each(|(name, bytes)| place.set(&name, bytes));

    let born = place.archive().seal_born(&sealed.id, &root_key(1), &STAMP).unwrap();
    let Standing::Holds(holding) = place.archive().state(&Trust::FirstUse).unwrap() else {
        panic!("the archive is gone")
    };
    let mut heads: Vec<_> = holding.heads.iter().map(|head| head.id).collect();
    let mut expected = vec![born.id, other.id];
    heads.sort();
    expected.sort();
    assert_eq!((heads, holding.born), (expected, true));
}

#[test]
fn somebody_elses_seal_in_between_is_seen() {
    let place = Memory::new("memory");
    let (first, archive) = (set(1), place.archive());
    let sealed = first.seal(&archive, None).unwrap();
    let opened = archive.open_identity(&first.identities, &Trust::FirstUse).unwrap();
    let born = archive.seal_born(&sealed.id, &root_key(1), &STAMP).unwrap();
    let error = first.seal(&archive, Some(&opened)).unwrap_err();
    assert!(
        matches!(error, Error::Moved { opened, newest } if (opened, newest) == (sealed.id, born.id)),
        "{error}"
    );
}

#[test]
fn two_nodes_at_once_fork_at_most_and_lose_nothing() {
    let mut forks = 0;
    for round in 0..200 {
        let place = Memory::new("memory");
        let nodes = Nodes::sealed_at(&place.archive());
        let barrier = Barrier::new(2);
        // Every other time neither has seen the other's; else it is as it happens.
        place.meet(round % 2 == 0);
        let run = |node, revision| {
            barrier.wait();
            nodes.publish(&place.archive(), node, revision).unwrap().id
        };
        let (one, two) = thread::scope(|scope| {
            let (one, two) = (scope.spawn(|| run(ONE, 1000)), scope.spawn(|| run(TWO, 1001)));
            (one.join().unwrap(), two.join().unwrap())
        });
        place.meet(false);
        let found = generations(&place.archive());
        assert_eq!((found.all.len(), found.newest().unwrap().id), (2, two), "round {round}");
        let heads = found.heads.len();
        assert!(round % 2 == 1 || heads == 2, "both had to be heads");
        forks += usize::from(heads == 2);
        assert_eq!(nodes.open(&place.archive(), &one).unwrap().1, db(1000));
        let next = nodes.publish(&place.archive(), ONE, 1002).unwrap();
        assert_eq!(generations(&place.archive()).heads, [next.id], "the next names both");
    }
    assert!(forks >= 100);
}
