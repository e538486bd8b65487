//! A control plane was stolen: what its key and its credential can do to the archive.

use crate::damage::sign;
use crate::nodes::{ANCHOR, Nodes, ONE, TWO, db, generations, only, proof, revisions, whys};
use crate::place::{Memory, STAMP, at, plain, root};
use archive::{Digest, Error, Level, ManifestId, NewIdentity};
use serde_json::{Value, json};

/// The body of the only snapshot set.
fn body(place: &Memory) -> Value {
    serde_json::from_slice::<Value>(&place.only("gen/1-1000-").1).unwrap()["body"].take()
}

/// Puts a manifest with this body there, signed by the key of this seed under a name that fits.
fn plant(place: &Memory, body: &Value, seed: u8) -> String {
    let mut body = body.clone();
    body["signer"] = json!(root(seed));
    let bytes = sign(&body, seed);
    let tag = &Digest::of(&bytes).to_string()[..8];
    let revision = if body["kind"] == "identity" { json!(0) } else { body["revision"].clone() };
    let name = format!("gen/{}-{revision}-{tag}.json", body["epoch"]);
    place.set(&name, bytes);
    name
}

/// An archive with one snapshot of a sound node, and its body with the stolen node's name in it.
fn robbed() -> (Memory, Nodes, ManifestId, Value) {
    let (place, nodes) = Nodes::sealed();
    let published = nodes.publish(&place.archive(), ONE, 1000).unwrap();
    let mut body = body(&place);
    body["node"] = json!("cp-12");
    (place, nodes, published.id, body)
}

#[test]
fn its_key_signs_snapshots_in_its_own_name_and_nothing_else() {
    let (place, nodes, id, stolen) = robbed();
    let own = plant(&place, &stolen, TWO.0);
    assert_eq!(generations(&place.archive()).all.len(), 2, "that it may");
    place.remove(&own);
    let others_recipient = NewIdentity::mint(STAMP.created).unwrap().recipient.to_string();
    let recipients = stolen["recipients"].as_array().unwrap();
    let more = recipients.iter().cloned().chain([json!(others_recipient)]).collect::<Vec<_>>();
    let not_its = format!("{} may not sign it as", root(TWO.0));
    let cases: [(&str, Value, u8, &str); 12] = [
        ("node", json!("cp-11"), TWO.0, &not_its),
        ("node", json!("cp-13"), TWO.0, &not_its),
        ("node", json!("cp-12"), 13, "it is signed by"),
        ("recipients", json!(more), TWO.0, "other recipients"),
        ("recipients", json!([others_recipient]), TWO.0, "other recipients"),
        ("identity", json!("00".repeat(32)), TWO.0, "it names the identity set 00"),
        ("identity", json!(id), TWO.0, "it names the identity set"),
        ("epoch", json!(2), TWO.0, "not of this archive and epoch"),
        ("repo", json!("00000000-0000-8000-8000-000000000000"), TWO.0, "of another archive"),
        ("root", json!(root(TWO.0)), TWO.0, "of another archive"),
        ("kind", json!("payload"), TWO.0, "not a document of the kind"),
        ("min_reader", json!(7), TWO.0, "needs a reader of format 7"),
    ];
    for (field, value, seed, why) in cases {
        let mut body = stolen.clone();
        body[field] = value;
        let name = plant(&place, &body, seed);
        let all = generations(&place.archive());
        assert_eq!(only(&all).id, id, "{field}");
        assert_eq!((all.rejected.len(), &all.rejected[0].name), (1, &name), "{field}");
        assert!(all.rejected[0].why.contains(why), "{field}: {}", all.rejected[0].why);
        assert_eq!(nodes.open(&place.archive(), &id).unwrap().1, db(1000));
        place.remove(&name);
    }
}

#[test]
fn it_forges_no_identity_set() {
    let (place, nodes, id, _) = robbed();
    let before = place.archive().open_identity(&nodes.set.identities, &ANCHOR()).unwrap();
    let (_, bytes) = place.only("gen/1-0-");
    let mut body = serde_json::from_slice::<Value>(&bytes).unwrap()["body"].take();
    // The set of its dreams: newer, and with a key that may do everything.
    (body["number"], body["parents"]) = (json!(2), json!([before.id]));
    body["delegations"] = json!([{ "epoch": 1, "key": root(TWO.0), "may": ["snapshot"], "node": "cp-11" }]);
    let name = plant(&place, &body, TWO.0);
    let opened = place.archive().open_identity(&nodes.set.identities, &ANCHOR()).unwrap();
    assert_eq!((opened.id, plain(&opened.entries)), (before.id, plain(&nodes.set.entries)));
    assert_eq!(opened.holding.rejected[0].name, name);
    let all = generations(&place.archive());
    assert_eq!((only(&all).id, whys(&all)), (id, vec![&*format!("it is signed by {}", root(TWO.0))]));
}

#[test]
fn a_huge_revision_is_suspect_and_never_used() {
    let (place, nodes, id, mut stolen) = robbed();
    let archive = place.archive();
    for revision in [1_000_001_001, (1 << 53) - 1] {
        stolen["revision"] = json!(revision);
        (stolen["number"], stolen["parents"]) = (json!((1u64 << 53) - 1), json!([id]));
        let name = plant(&place, &stolen, TWO.0);
        let all = generations(&archive);
        assert_eq!((revisions(&all), all.newest().unwrap().id), (vec![1000, revision], id));
        assert_eq!(all.heads, [id]);
        let suspect = &all.all[1];
        assert!(suspect.suspect.as_ref().unwrap().contains("above every other signer's"), "{suspect:?}");
        // Its own proof makes no difference, and nobody opens it.
        archive.prove(&proof(suspect.id, Level::L4, "x"), &TWO.key(), &ANCHOR()).unwrap();
        assert!(generations(&archive).newest_counting().is_none());
        assert!(matches!(nodes.open(&archive, &suspect.id), Err(Error::Suspect { .. })));
        place.remove(&name);
        place.remove(&place.only("proof/").0);
    }
    stolen["revision"] = json!(1_000_001_000);
    plant(&place, &stolen, TWO.0);
    assert!(generations(&archive).all.iter().all(|one| one.suspect.is_none()), "as far as it may");
    // A planted number does not keep the others from publishing.
    let next = nodes.publish(&archive, ONE, 1001).unwrap();
    assert_eq!(next.number, (1 << 53) - 1);
    assert!(nodes.publish(&archive, ONE, 1002).is_ok());
}

#[test]
fn many_planted_heads_keep_nobody_from_publishing() {
    let (place, nodes, _, mut stolen) = robbed();
    for revision in 1001..1101 {
        stolen["revision"] = json!(revision);
        plant(&place, &stolen, TWO.0);
    }
    let published = nodes.publish(&place.archive(), ONE, 2000).unwrap();
    let all = generations(&place.archive());
    assert_eq!(all.get(&published.id).unwrap().public.parents.len(), 64);
    assert_eq!((all.all.len(), all.newest().unwrap().id), (102, published.id));
}

#[test]
fn what_it_overwrites_is_found_and_taken_from_another_place() {
    let (one, nodes, id, _) = robbed();
    let two = one.copy();
    // At one place its credential overwrites everything that it finds.
    for (name, bytes) in one.files() {
        if name.starts_with("gen/") || name.starts_with("objects/") {
            one.set(&name, vec![b'x'; bytes.len()]);
        }
    }
    assert!(one.archive().generations(&ANCHOR()).is_err());
    let both = at(&[&one, &two]);
    let all = generations(&both);
    assert_eq!((only(&all).id, &*only(&all).held_by), (id, &["memory".to_owned()][..]));
    assert_eq!(nodes.open(&both, &id).unwrap().1, db(1000));

    // A name is taken: what lies there is not what was written, and that is said.
    let (place, nodes, ..) = robbed();
    let captured = nodes.capture(ONE, 2000);
    for entry in std::fs::read_dir(&captured).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.len() == 64 {
            place.set(&format!("objects/{}/{name}", &name[..2]), "junk");
        }
    }
    let error = place.archive().publish_snapshot(&captured, &ONE.key(), &ANCHOR()).unwrap_err();
    assert!(matches!(&error, Error::NotProven { failed } if failed[0].contains("read back")), "{error}");
}
