//! Epochs: claimed by one, whoever dies when; what was before them is fenced.

use crate::damage::sign;
use crate::nodes::{ANCHOR, Nodes, ONE, TWO, generations, revisions, whys};
use crate::place::{Memory, STAMP, at, root_key, words};
use crate::schedule::{Schedule, seen_by};
use archive::{Archive, Claim, Claimed, Claiming, Digest, Error, Holding, RootKey, Stamp, Standing};
use serde_json::{Value, json};
use std::thread;

/// etcd's cluster id of [`Nodes::capture`].
const OLD: &str = "cdf818194e3a8c32";

const BOB: Stamp<'static> = Stamp { holder: "bob", host: "desk", created: "2026-11-24T13:00:00Z", ..STAMP };

fn claim(archive: &Archive, stamp: Stamp, fences: &[&str], take_over: bool) -> Result<Claimed, Error> {
    let fences: Vec<String> = fences.iter().map(|id| (*id).to_owned()).collect();
    archive.claim_next(&Claiming { root_key: &root_key(1), fences: &fences, take_over, stamp })
}

fn holding(archive: &Archive) -> Holding {
    match archive.state(&ANCHOR()).unwrap() {
        Standing::Holds(holding) => *holding,
        Standing::Empty => panic!("the archive is gone"),
    }
}

fn three() -> ([Memory; 3], Nodes) {
    let places = ["one", "two", "three"].map(Memory::new);
    let nodes = Nodes::sealed_at(&at(&places.each_ref()));
    (places, nodes)
}

fn held_by(error: Error) -> Claim {
    match error {
        Error::Held { claim } => *claim,
        error => panic!("{error}"),
    }
}

#[test]
fn what_is_left_of_the_epoch_before_an_operator_may_add_until_the_next_set_is_sealed() {
    let (place, mut nodes) = Nodes::sealed();
    let archive = place.archive();
    let (left, late) = (nodes.capture(ONE, 5000), nodes.capture(ONE, 6000));
    claim(&archive, STAMP, &[OLD], false).unwrap();
    let root = RootKey::parse(&root_key(1)).unwrap();
    archive.publish_snapshot(&left, &root, &ANCHOR()).unwrap();
    let all = generations(&archive);
    assert_eq!((revisions(&all), all.all[0].fenced), (vec![5000], true));
    nodes.seal_again(&archive);
    let error = archive.publish_snapshot(&late, &root, &ANCHOR()).unwrap_err();
    assert!(matches!(error, Error::Fenced { epoch: 1, newest: 2 }), "{error}");
}

#[test]
fn what_is_before_a_claim_is_fenced_and_the_next_set_begins_anew() {
    let (place, mut nodes) = Nodes::sealed();
    let archive = place.archive();
    nodes.publish(&archive, ONE, 1000).unwrap();
    let late = nodes.capture(ONE, 5000);
    let claimed = claim(&archive, STAMP, &[OLD], false).unwrap();
    assert_eq!((claimed.new, claimed.claim.epoch, &*claimed.held), (true, 2, &["memory".to_owned()][..]));

    // A writer refuses an older epoch, and what lies there is a fenced cluster's.
    let error = archive.publish_snapshot(&late, &ONE.key(), &ANCHOR()).unwrap_err();
    assert!(matches!(error, Error::Fenced { epoch: 1, newest: 2 }), "{error}");
    assert!(generations(&archive).all[0].fenced);
    let state = holding(&archive);
    assert_eq!((state.epoch, state.claims.len(), state.unfinished()), (2, 2, Some(&claimed.claim)));
    assert_eq!(state.fencing(1, OLD), Some(&claimed.claim));
    assert_eq!((state.fencing(2, OLD), state.fencing(1, "cdf8")), (None, None));
    let carried: Vec<Claim> = archive
        .look(&ANCHOR())
        .unwrap()
        .claims
        .iter()
        .map(|bytes| Claim::verify(bytes, &state.root).unwrap())
        .collect();
    assert_eq!(carried, state.claims);

    // Its delegations end with it: the set that is sealed next is of the new epoch, and so are those in it.
    nodes.set.delegations = vec![TWO.delegation(2)];
    nodes.set.born = true;
    nodes.seal_again(&archive);
    assert_eq!((nodes.identity.public.epoch, nodes.identity.public.number), (2, 2));
    let error = nodes.publish(&archive, ONE, 5001).unwrap_err();
    assert!(matches!(error, Error::NotDelegated { epoch: 2, .. }), "{error}");
    // A member of the old cluster cannot speak in the name of the new one, even if its key is delegated there.
    let error = nodes.publish(&archive, TWO, 5001).unwrap_err();
    assert!(words(&error).ends_with("its etcd cluster was fenced by epoch 2"), "{}", words(&error));
    nodes.etcd_cluster = "b0b";
    nodes.publish(&archive, TWO, 900).unwrap();
    let all = generations(&archive);
    assert_eq!((revisions(&all), all.newest().unwrap().fenced), (vec![900, 1000], false));
    // Nor is it believed where it did write.
    let mut body = serde_json::from_slice::<Value>(&place.only("gen/2-900-").1).unwrap()["body"].take();
    body["etcd_cluster"] = json!(OLD);
    let bytes = sign(&body, TWO.0);
    place.set(&format!("gen/2-900-{}.json", &Digest::of(&bytes).to_string()[..8]), bytes);
    let all = generations(&archive);
    assert_eq!(
        (revisions(&all), whys(&all)),
        (vec![900, 1000], vec!["its etcd cluster was fenced by epoch 2"])
    );
    // And it is finished: the next one is claimed by whoever comes.
    assert_eq!(holding(&archive).unfinished(), None);
    assert_eq!(claim(&archive, BOB, &["aa"], false).unwrap().claim.epoch, 3);
}

#[test]
fn a_claim_that_ends_anywhere_goes_on_as_the_same() {
    let all = [0, 1, 2];
    for dead in [&all[..1], &all[1..], &all[2..], &[0, 2], &all] {
        let (places, _) = three();
        let archive = at(&places.each_ref());
        dead.iter().for_each(|index| places[*index].fail_after(Some(0)));
        let first = claim(&archive, STAMP, &[OLD], false);
        let held = 3 - dead.len();
        match first {
            Ok(claimed) => assert_eq!((held, claimed.failed.len()), (2, 1)),
            Err(Error::NoMajority { held: found, all: 3, epoch: 2, .. }) => assert_eq!(found, held),
            Err(error) => panic!("{dead:?}: {error}"),
        }
        places.iter().for_each(|place| place.fail_after(None));
        let began = held > 0;
        assert_eq!(holding(&archive).unfinished().is_some(), began);
        if began {
            assert_eq!(held_by(claim(&archive, BOB, &[OLD], false).unwrap_err()).holder, "ada");
        }
        // Later, by another clock.
        let stamp = Stamp { created: "2026-11-24T12:30:00Z", ..STAMP };
        let again = claim(&archive, stamp, &[OLD], false).unwrap();
        assert_eq!((again.new, again.claim.epoch, again.held.len()), (!began, 2, 3), "{dead:?}");
        assert_eq!(again.claim.created, if began { STAMP.created } else { stamp.created });
        assert_eq!(places[0].files(), places[1].files());
        assert_eq!(places[0].files(), places[2].files());
        // Nothing is left to do, also where less is to be fenced; more is another claim.
        for fences in [&[OLD][..], &[]] {
            assert_eq!(
                claim(&archive, stamp, fences, false).unwrap(),
                Claimed { new: false, ..again.clone() }
            );
        }
        assert_eq!(claim(&archive, stamp, &["aa"], false).unwrap().claim.epoch, 3);
    }
}

#[test]
fn anothers_claim_is_named_and_taken_over_on_demand_only() {
    let (place, _) = Nodes::sealed();
    let archive = place.archive();
    claim(&archive, STAMP, &[OLD], false).unwrap();
    let error = claim(&archive, BOB, &[OLD], false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "epoch 2 was claimed by ada on laptop (2026-11-24T12:00:00Z), and no cluster was born in it yet"
    );
    assert!(error.hint().unwrap().contains("--take-over"));
    // The same person at another machine is another holder: two of their commands may run at once.
    held_by(claim(&archive, Stamp { host: "desk", ..STAMP }, &[OLD], false).unwrap_err());
    let taken = claim(&archive, BOB, &[OLD], true).unwrap();
    assert_eq!((taken.new, taken.claim.epoch), (true, 3));
    // The command is killed, and run again with the same words.
    let again = claim(&archive, BOB, &[OLD], true).unwrap();
    assert_eq!((again.new, again.claim), (false, taken.claim));
    assert_eq!(held_by(claim(&archive, STAMP, &[OLD], false).unwrap_err()).holder, "bob");
}

#[test]
fn of_two_operators_at_once_exactly_one_claims() {
    let mut won = [0, 0];
    for round in 0..200 {
        let (places, _) = three();
        let [ada, bob] = race(round, &places, [&[], &[]]);
        let winner = usize::from(ada.is_err());
        won[winner] += 1;
        let (claimed, lost) = if winner == 0 { (ada, bob) } else { (bob, ada) };
        let claimed = claimed.unwrap();
        assert_eq!((claimed.claim.epoch, claimed.held.len()), (2, 3), "round {round}");
        assert_eq!(held_by(lost.unwrap_err()), claimed.claim, "round {round}");
        assert_eq!(holding(&at(&places.each_ref())).claims.len(), 2, "nothing of the other's is left");
    }
    assert!(won[0] > 20 && won[1] > 20, "{won:?}");
}

#[test]
fn where_each_misses_a_place_at_most_one_claims() {
    let mut nobody = 0;
    for round in 0..270 {
        let (places, _) = three();
        let (one, two) = ([round as usize % 3], [round as usize / 3 % 3]);
        let results = race(round, &places, [&one, &two]);
        let claimed: Vec<&Claimed> = results.iter().flatten().collect();
        assert!(claimed.len() <= 1, "round {round}: {one:?} {two:?}");
        let archive = at(&places.each_ref());
        let state = holding(&archive);
        match claimed[..] {
            [one] => assert_eq!(state.claim.as_ref(), Some(&one.claim), "round {round}"),
            _ => nobody += 1,
        }
        // Whatever was left, somebody can go on.
        let next = claim(&archive, BOB, &[OLD], true).unwrap();
        assert!(next.held.len() >= 2, "round {round}");
    }
    assert!(nobody < 90, "{nobody} rounds in which nobody claimed");
}

/// What ada and bob come to, in the order of this number.
fn race(number: u64, places: &[Memory; 3], dark: [&[usize]; 2]) -> [Result<Claimed, Error>; 2] {
    let schedule = Schedule::drawn(number + 1);
    thread::scope(|scope| {
        let runs = [STAMP, BOB].into_iter().zip(dark).enumerate().map(|(who, (stamp, dark))| {
            let schedule = &schedule;
            scope.spawn(move || {
                let done = claim(&seen_by(who, places, dark, schedule), stamp, &[OLD], false);
                schedule.end(who);
                done
            })
        });
        let runs: Vec<_> = runs.collect();
        let mut results = runs.into_iter().map(|run| run.join().unwrap());
        [results.next().unwrap(), results.next().unwrap()]
    })
}

#[test]
fn numbers_that_somebody_else_has_taken_are_passed_over() {
    let (places, _) = three();
    let archive = at(&places.each_ref());
    let first = places[0].only("epoch/").1;
    let mut forged = serde_json::from_slice::<Value>(&first).unwrap()["body"].take();
    (forged["epoch"], forged["fences"]) = (json!(3), json!([OLD]));
    // A stolen node's key over the root key's name, and rubbish; at one place each, and far away.
    forged["signer"] = json!(crate::place::root(TWO.0));
    places[1].set("epoch/2.json", "rubbish");
    places[2].set("epoch/3.json", sign(&forged, TWO.0));
    places[2].set("epoch/18446744073709551615.json", "rubbish");
    let state = holding(&archive);
    assert_eq!((state.epoch, state.claims.len(), state.fencing(1, OLD)), (1, 1, None));
    assert_eq!(state.rejected.len(), 3, "each is named");
    let claimed = claim(&archive, STAMP, &[OLD], false).unwrap();
    assert_eq!((claimed.claim.epoch, claimed.held.len()), (4, 3));
}

#[test]
fn a_place_that_is_lost_is_left_out_by_name() {
    let (places, _) = three();
    let both = || at(&[&places[0], &places[1]]);
    places[1].down(true);
    let error = claim(&both(), STAMP, &[OLD], false).unwrap_err();
    assert!(matches!(error, Error::NoMajority { held: 1, all: 2, .. }), "{error}");
    for (names, why) in [
        (&["three"][..], "no destinations are called three: there are one, two"),
        (&["one", "one"], "no destinations are called one"),
        (&["one", "two"], "an archive needs one destination at least"),
    ] {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        assert!(words(&both().without(&names).unwrap_err()).starts_with(why), "{names:?}");
    }
    let left = both().without(&["two".to_owned()]).unwrap();
    assert_eq!(claim(&left, STAMP, &[OLD], false).unwrap().held, ["one"]);
    // Two servers may have a bucket of the same name; one of them is called by all of it.
    let servers = ["s3://b (one)", "s3://b (two)", "s3://c (one)"].map(Memory::new);
    let called = |name: &str| at(&servers.each_ref()).without(&[name.to_owned()]);
    assert!(called("s3://b").unwrap_err().to_string().starts_with("several destinations"));
    assert!(called("s3://b (two)").is_ok() && called("s3://c").is_ok());
}

#[test]
fn what_a_node_took_or_signed_is_left_out_on_demand() {
    let (place, nodes) = Nodes::sealed();
    let archive = place.archive();
    nodes.publish(&archive, ONE, 1000).unwrap();
    nodes.publish(&archive, TWO, 1001).unwrap();
    let by_operator = nodes.capture(TWO, 1002);
    let root = archive::RootKey::parse(&root_key(1)).unwrap();
    archive.publish_snapshot(&by_operator, &root, &ANCHOR()).unwrap();
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = || generations(&archive);
    assert_eq!(revisions(&all().not_from(&[]).unwrap()), [1002, 1001, 1000]);
    let left = all().not_from(&named(&["cp-12"])).unwrap();
    assert_eq!((revisions(&left), left.heads.len()), (vec![1000], 0));
    assert_eq!(left.newest().unwrap().public.node, "cp-11");
    assert!(all().not_from(&named(&["cp-12", "cp-11"])).unwrap().newest().is_none());
    assert_eq!(all().not_from(&named(&["cp-12", "cp-21"])).unwrap_err(), "cp-21");
    // All of them tell of one cluster, the newest first.
    let found = all();
    let running: Vec<u64> = found.running().iter().map(|one| one.public.revision).collect();
    assert_eq!(running, [1002]);
}
