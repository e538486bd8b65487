//! Snapshot sets: captured without a network, published without an identity, opened by a recipient.

use crate::nodes::{ANCHOR, Nodes, ONE, db, entries, generations, only};
use crate::place::plain;
use archive::Signer;

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
