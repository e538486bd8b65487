//! Pruning: what goes, that what stays can be restored, and that a run that ends anywhere leaves it so.

use crate::damage::sign;
use crate::nodes::{ANCHOR, Nodes, ONE, TWO, db, generations, proof, revisions};
use crate::payload::Files;
use crate::place::{Memory, STAMP, at, root_key};
use archive::{Archive, Digest, Error, Keep, Level, Object, Retention, Standing, retain};
use serde_json::Value;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The floor: the last 3, and the newest of 7 days.
const LITTLE: Keep = Keep { last: 0, daily: 0, monthly: 0 };

/// Two days after everything here was captured.
fn later() -> OffsetDateTime {
    OffsetDateTime::parse(STAMP.created, &Rfc3339).unwrap() + time::Duration::days(2)
}

fn says(archive: &Archive) -> Retention {
    retain(&generations(archive), LITTLE, later())
}

/// Seven sets at revisions 1000 to 7000, all but 2000 proven, by two nodes in turn.
fn seven(archive: &Archive) -> Nodes {
    let nodes = Nodes::sealed_at(archive);
    for revision in 1..=7 {
        let node = if revision % 2 == 0 { TWO } else { ONE };
        let id = nodes.publish(archive, node, revision * 1000).unwrap().id;
        if revision != 2 {
            archive.prove(&proof(id, Level::L3, "1"), &node.key(), &ANCHOR()).unwrap();
        }
    }
    nodes
}

/// Every set that is listed opens.
fn assert_restorable(nodes: &Nodes, archive: &Archive, what: &str) {
    for one in generations(archive).all {
        assert_eq!(nodes.open(archive, &one.id).expect(what).1, db(one.public.revision), "{what}");
    }
}

#[test]
fn what_goes_is_recorded_and_gone_and_what_stays_opens() {
    let places = [Memory::new("one"), Memory::new("two"), Memory::new("three")];
    let archive = at(&[&places[0], &places[1], &places[2]]);
    let nodes = seven(&archive);
    let before = places[0].count("objects/");
    let retention = says(&archive);
    assert_eq!(retention.veto, None);
    let pruned = archive.prune(&retention, &root_key(1), &STAMP).unwrap();
    assert_eq!((pruned.number, pruned.removed.len(), pruned.left), (Some(1), 3, 0));
    assert!(pruned.failed.is_empty());
    let found = generations(&archive);
    // 2000 was never proven and is no week old.
    assert_eq!(revisions(&found), [7000, 6000, 5000, 2000]);
    assert_eq!(found.heads.len(), 1, "what lost its child is no fork");
    assert_restorable(&nodes, &archive, "after all");
    archive.open_identity(&nodes.set.identities, &ANCHOR()).unwrap();
    for place in &places {
        assert_eq!(place.files(), places[0].files());
        let (sets, proofs, objects) = (place.count("gen/"), place.count("proof/"), place.count("objects/"));
        assert_eq!((sets, proofs, objects), (5, 3, before - 9), "three objects each");
        let record = String::from_utf8(place.only("prune/1.json").1).unwrap();
        for (id, why) in &retention.remove {
            assert!(record.contains(&id.to_string()) && record.contains(why), "{record}");
        }
    }
    let again = archive.prune(&says(&archive), &root_key(1), &STAMP).unwrap();
    assert_eq!((again.number, places[0].count("prune/")), (None, 1), "nothing to do");
}

#[test]
fn a_run_that_ends_anywhere_leaves_nothing_listed_that_cannot_be_restored() {
    let whole = [Memory::new("one"), Memory::new("two")];
    let archive = at(&[&whole[0], &whole[1]]);
    let nodes = seven(&archive);
    let before = whole.each_ref().map(Memory::copy);
    let retention = says(&archive);
    let puts = whole[1].puts();
    archive.prune(&retention, &root_key(1), &STAMP).unwrap();
    let changes = whole[1].puts() - puts;
    assert_eq!(changes, 1 + 3 + 3 + 9, "the record, manifests, proofs, objects");
    for broken in 0..2 {
        for left in 0..changes {
            let places = before.each_ref().map(Memory::copy);
            let archive = at(&[&places[0], &places[1]]);
            places[broken].fail_after(Some(left));
            let ended = archive.prune(&retention, &root_key(1), &STAMP);
            let what = format!("{broken} after {left}: {ended:?}");
            if left == 0 {
                assert!(matches!(ended, Err(Error::NoPruneRecord { held: 1, all: 2, .. })), "{what}");
            } else {
                assert_eq!(ended.unwrap().failed.len(), 1, "{what}");
            }
            places[broken].fail_after(None);
            assert_restorable(&nodes, &archive, &what);
            // Each place alone, too: a manifest goes before its objects everywhere.
            assert_restorable(&nodes, &places[broken].archive(), &what);
            archive.prune(&says(&archive), &root_key(1), &STAMP).unwrap();
            assert_restorable(&nodes, &archive, &what);
            let kept = |place: &Memory| -> BTreeSet<String> {
                place.files().into_keys().filter(|name| !name.starts_with("prune/")).collect()
            };
            assert_eq!(kept(&places[0]), kept(&whole[0]), "{what}: the next run finishes");
            assert_eq!(kept(&places[1]), kept(&whole[1]), "{what}");
        }
    }
}

/// A stolen node's set names the objects of a payload as its own, so that they would go with it.
#[test]
fn a_set_that_names_the_objects_of_a_payload_does_not_take_them_along() {
    let place = Memory::new("memory");
    let archive = place.archive();
    let nodes = seven(&archive);
    let files = Files::new();
    files.seal(&archive).unwrap();
    let Standing::Holds(holding) = archive.state(&ANCHOR()).unwrap() else { panic!("it is empty") };
    let payload = holding.payloads[0].clone();
    let (name, bytes) = place.files().into_iter().find(|(name, _)| name.starts_with("gen/1-1000-")).unwrap();
    let mut body = serde_json::from_slice::<Value>(&bytes).unwrap()["body"].take();
    let mut objects: Vec<Object> = serde_json::from_value(body["objects"].take()).unwrap();
    objects.extend(&payload.public.objects);
    objects.sort();
    body["objects"] = serde_json::to_value(objects).unwrap();
    place.remove(&name);
    let forged = sign(&body, ONE.0);
    place.set(&format!("gen/1-1000-{}.json", &Digest::of(&forged).to_string()[..8]), forged);
    let id = generations(&archive).all.iter().find(|one| one.public.revision == 1000).unwrap().id;
    archive.prove(&proof(id, Level::L3, "forged"), &ONE.key(), &ANCHOR()).unwrap();
    let pruned = archive.prune(&says(&archive), &root_key(1), &STAMP).unwrap();
    assert!(pruned.objects > 0 && !revisions(&generations(&archive)).contains(&1000), "{pruned:?}");
    for entry in &payload.public.entries {
        let (identities, scratch) = (&nodes.set.identities, nodes.dir.path());
        archive.open_payload_file(&payload, entry, identities, scratch, &mut std::io::sink()).unwrap();
    }
}

#[test]
fn too_few_places_or_another_key_remove_nothing() {
    let places = [Memory::new("one"), Memory::new("two"), Memory::new("three")];
    let archive = at(&[&places[0], &places[1], &places[2]]);
    seven(&archive);
    let retention = says(&archive);
    assert_eq!(retention.remove.len(), 3);
    let files = places[0].files();
    archive.prune(&retention, &root_key(2), &STAMP).unwrap_err();
    archive.prune(&retention, &root_key(ONE.0), &STAMP).unwrap_err();
    places[1].down(true);
    places[2].down(true);
    assert!(says(&archive).remove.is_empty(), "one of three is no majority");
    // What was decided before is judged again.
    assert_eq!(archive.prune(&retention, &root_key(1), &STAMP).unwrap().number, None);
    assert_eq!(places[0].files(), files);
    places[2].down(false);
    let pruned = archive.prune(&retention, &root_key(1), &STAMP).unwrap();
    assert_eq!((pruned.removed.len(), &*pruned.failed[0].at), (3, "two"));
    // The one that was away still has all of it, and loses it when it is back.
    places[1].down(false);
    assert_eq!(generations(&archive).all.len(), 7);
    let retention = says(&archive);
    assert_eq!(archive.prune(&retention, &root_key(1), &STAMP).unwrap().removed.len(), 3);
    assert_eq!(places[1].count("objects/"), places[0].count("objects/"));
}

#[test]
fn a_planted_record_is_left_out() {
    let place = Memory::new("memory");
    let archive = place.archive();
    seven(&archive);
    place.set("prune/9007199254740991.json", *b"{}");
    let pruned = archive.prune(&says(&archive), &root_key(1), &STAMP).unwrap();
    assert_eq!((pruned.number, pruned.removed.len()), (Some(1), 3));
    assert_eq!(generations(&archive).rejected.len(), 1);
}
