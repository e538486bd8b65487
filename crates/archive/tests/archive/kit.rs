//! The kit that a person confirmed, and who opened what.

use crate::nodes::{ANCHOR, Nodes, ONE, generations, proof};
use crate::place::{Memory, STAMP, root_key, set};
use archive::{Error, Level, NewIdentity, RootKey, Stamp, Trust};

#[test]
fn a_confirmed_kit_is_a_set_of_its_own_and_is_carried_over() {
    let place = Memory::new("memory");
    let (mut set, archive) = (set(1), place.archive());
    set.seal(&archive, None).unwrap();
    let open = |set: &crate::place::Set| archive.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert_eq!(open(&set).public.kit_confirmed, None);
    let objects = place.count("objects/");
    let stamp = Stamp { created: "2026-11-25T08:00:00Z", ..STAMP };
    let sealed = archive.seal_kit_confirmed(&root_key(1), &stamp).unwrap();
    assert_eq!((sealed.new, sealed.number, place.count("objects/")), (true, 2, objects));
    let opened = open(&set);
    assert_eq!(opened.public.kit_confirmed.as_deref(), Some("2026-11-25T08:00:00Z"));
    assert!(!opened.public.born, "it says nothing else");

    // A seal of other content, of nothing new, and of the cluster's birth keep it.
    set.kubernetes = "1.36.4".into();
    assert!(set.seal(&archive, Some(&opened)).unwrap().new);
    let opened = open(&set);
    assert!(!set.seal(&archive, Some(&opened)).unwrap().new);
    archive.seal_born(&opened.id, &root_key(1), &STAMP).unwrap();
    let opened = open(&set);
    assert_eq!(opened.public.kit_confirmed.as_deref(), Some("2026-11-25T08:00:00Z"));
    assert!(opened.public.born);
    // Confirmed again, the later time stands, and the birth is not forgotten.
    archive.seal_kit_confirmed(&root_key(1), &Stamp { created: "2027-01-01T00:00:00Z", ..STAMP }).unwrap();
    let opened = open(&set);
    assert_eq!(opened.public.kit_confirmed.as_deref(), Some("2027-01-01T00:00:00Z"));
    assert!(opened.public.born && opened.holding.heads.len() == 1);
}

#[test]
fn opening_says_who_and_only_people_count() {
    let (place, nodes) = Memory::sealed_with_generation();
    let archive = place.archive();
    let id = generations(&archive).all[0].id;
    archive.prove(&proof(id, Level::L3, "by-node"), &ONE.key(), &ANCHOR()).unwrap();
    archive.prove(&proof(id, Level::L4, "daily"), &ONE.key(), &ANCHOR()).unwrap();
    let root = RootKey::parse(&root_key(1)).unwrap();
    archive.prove(&proof(id, Level::L3, "by-operator"), &root, &ANCHOR()).unwrap();
    let all = generations(&archive);
    assert_eq!(all.openings().count(), 0, "nobody needed an identity for these");

    let one = &all.all[0];
    let recipient = archive.open_private(one, &nodes.set.identities).unwrap();
    assert_eq!(recipient.to_string(), nodes.set.recipients[0].to_string());
    let stranger = NewIdentity::mint("x").unwrap();
    let stranger = archive::Identities::parse(&stranger.file, "a stranger").unwrap();
    assert!(matches!(archive.open_private(one, &stranger), Err(Error::WrongIdentity { .. })));
    archive.prove(&proof(id, Level::L2, "l2-1"), &root, &ANCHOR()).unwrap();
    archive.prove(&proof(id, Level::L4, "l4-1"), &root, &ANCHOR()).unwrap();
    let levels: Vec<Level> = generations(&archive).openings().map(|one| one.proof.level).collect();
    assert_eq!(levels, [Level::L4, Level::L2]);

    // A private part that is damaged everywhere is no opening.
    let private = format!("objects/{}/{}", &one.public.private.to_string()[..2], one.public.private);
    place.set(&private, *b"other bytes");
    assert!(matches!(archive.open_private(one, &nodes.set.identities), Err(Error::Lost { .. })));
}

impl Memory {
    fn sealed_with_generation() -> (Self, Nodes) {
        let (place, nodes) = Nodes::sealed();
        nodes.publish(&place.archive(), ONE, 100).unwrap();
        (place, nodes)
    }
}
