//! The bytes of version 1, frozen: documents made of fixed values with a fixed key.

use crate::entries::Entry;
use crate::epoch::Claim;
use crate::manifest::{Cluster, IdentityPublic, KIND, Manifest, ManifestId, Object};
use crate::payload::{Payload, PayloadPublic};
use crate::proof::{Level, Proof};
use crate::signed::Body;
use crate::snapshot::{Signer, Snapshot, SnapshotPublic};
use crate::{Delegation, Digest, Name, RootKey, RootPublic, Secret, SigningKey, format};
use std::collections::BTreeMap;

fn key() -> RootKey {
    // An Ed25519 seed in PKCS#8 (RFC 8410).
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend(0..32);
    RootKey::parse(&Secret::new(der)).unwrap()
}

fn cluster() -> Cluster {
    Cluster { name: "frozen".into(), uid: "00112233445566778899aabbccddeeff".into() }
}

fn public() -> IdentityPublic {
    let root = key().public().unwrap();
    let mut objects = [b"one", b"two"].map(|bytes| Object { sha256: Digest::of(bytes), size: 3 });
    objects.sort();
    IdentityPublic {
        born: true,
        cluster: cluster(),
        created: "2026-11-24T12:00:00Z".into(),
        delegations: Vec::new(),
        encryption_keys: [("key1".to_owned(), Digest::of(b"key1"))].into(),
        epoch: 3,
        kit_confirmed: None,
        kubernetes: "1.36.3".into(),
        number: 9_007_199_254_740_991,
        objects: objects.to_vec(),
        parents: vec![ManifestId::of(b"parent")],
        private: Digest::of(b"two"),
        public_keys: [("ca".to_owned(), Digest::of(b"ca")), ("sa".to_owned(), Digest::of(b"sa"))].into(),
        recipients: vec!["age1 \"quoted\\\" recipient".into()],
        rekindle: "0.1.0".into(),
        repo: format::repo_of(&root),
        root,
    }
}

#[test]
fn a_manifest_of_version_1_has_these_bytes() {
    let body = Body::new(KIND, &public(), key().public().unwrap()).unwrap();
    let manifest = Manifest::sign(body, &key()).unwrap();
    insta::assert_snapshot!("identity", String::from_utf8(manifest.bytes.clone()).unwrap());
    assert_eq!(manifest.name().to_string(), "gen/3-0-8e4117ad.json");
    let read = Manifest::read(&manifest.name(), &manifest.bytes, &key().public().unwrap());
    assert_eq!(read.unwrap().unwrap().public, public());
}

#[test]
fn a_confirmed_kit_is_one_more_field() {
    let confirmed = IdentityPublic { kit_confirmed: Some("2026-11-25T12:00:00Z".into()), ..public() };
    let body = Body::new(KIND, &confirmed, key().public().unwrap()).unwrap();
    let manifest = Manifest::sign(body, &key()).unwrap();
    insta::assert_snapshot!("identity_with_kit", String::from_utf8(manifest.bytes.clone()).unwrap());
    let read = Manifest::read(&manifest.name(), &manifest.bytes, &key().public().unwrap());
    assert_eq!(read.unwrap().unwrap().public, confirmed);
}

/// The key of a node.
fn delegated() -> SigningKey {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend(32..64);
    SigningKey::parse(&Secret::new(der)).unwrap()
}

#[test]
fn a_generation_of_version_1_has_these_bytes() {
    let (root, key_of_node): (RootPublic, _) = (key().public().unwrap(), delegated().public().unwrap());
    let may = vec!["proof".to_owned(), "snapshot".to_owned()];
    let delegations = vec![Delegation { epoch: 3, key: key_of_node, may, node: "cp1".into() }];
    let identity = IdentityPublic { delegations, ..public() };
    let set = Manifest::sign(Body::new(KIND, &identity, root).unwrap(), &key()).unwrap();
    insta::assert_snapshot!("identity_with_delegations", String::from_utf8(set.bytes.clone()).unwrap());
    let public = SnapshotPublic {
        cluster: cluster(),
        created: "2026-11-24T12:00:00Z".into(),
        epoch: 3,
        etcd_cluster: "cdf818194e3a8c32".into(),
        identity: set.id,
        node: "cp1".into(),
        number: 2,
        objects: identity.objects.clone(),
        parents: vec![ManifestId::of(b"parent")],
        private: Digest::of(b"two"),
        recipients: identity.recipients.clone(),
        rekindle: "0.1.0".into(),
        repo: identity.repo.clone(),
        revision: 4711,
        root,
    };
    let bytes = Snapshot::sign(&public, &delegated()).unwrap();
    insta::assert_snapshot!("snapshot", String::from_utf8(bytes.clone()).unwrap());
    let sets: BTreeMap<_, _> = [(set.id, set)].into();
    let tag = ManifestId::of(&bytes).tag();
    let name = Name::Manifest { epoch: 3, revision: 4711, tag };
    let snapshot = Snapshot::read(&name, &bytes, &root, &sets).unwrap().unwrap();
    assert_eq!((&snapshot.public, snapshot.signed_by()), (&public, Signer::Node("cp1".into())));
    let proof = Proof {
        by: "cp1".into(),
        level: Level::L3,
        manifest: snapshot.id,
        run: "20261124t120000z".into(),
        seconds: 3,
        what: [("keys".to_owned(), "420".to_owned())].into(),
        when: "2026-11-24T12:00:00Z".into(),
    };
    let bytes = proof.sign(&delegated()).unwrap();
    insta::assert_snapshot!("proof", String::from_utf8(bytes.clone()).unwrap());
    let snapshots = [(snapshot.id, snapshot)].into();
    let proven = Proof::read(&proof.name(), &bytes, &root, &sets, &snapshots).unwrap().unwrap();
    assert_eq!((proven.proof, proven.signed_by), (proof, Signer::Node("cp1".into())));
}

#[test]
fn a_payload_of_version_1_has_these_bytes() {
    let root = key().public().unwrap();
    let entry = |name: &str, object: &[u8]| Entry {
        name: name.into(),
        object: Digest::of(object),
        sha256: Digest::of(name.as_bytes()),
        size: 4711,
    };
    let payload = PayloadPublic {
        cluster: cluster(),
        created: "2026-11-24T12:00:00Z".into(),
        entries: vec![entry("images/pause_3.10.2.tar", b"one"), entry("kubeadm", b"two")],
        epoch: 3,
        kubernetes: "1.36.3".into(),
        number: 2,
        objects: public().objects,
        recipients: public().recipients,
        rekindle: "0.1.0".into(),
        repo: public().repo,
        root,
    };
    let signed = Payload::sign(payload.clone(), &key()).unwrap();
    insta::assert_snapshot!("payload", String::from_utf8(signed.bytes.clone()).unwrap());
    let read = Payload::read(&signed.name(), &signed.bytes, &root).unwrap().unwrap();
    assert_eq!(read.public, payload);
    // To whom knows no payload it is a set of another kind.
    assert!(Manifest::read(&signed.name(), &signed.bytes, &root).unwrap().is_none());
}

#[test]
fn a_claim_and_a_format_of_version_1_have_these_bytes() {
    let root = key().public().unwrap();
    let claim = Claim {
        cluster: cluster(),
        created: "2026-11-24T12:00:00Z".into(),
        epoch: 3,
        fences: vec!["cdf818194e3a8c32".into()],
        holder: "ada".into(),
        host: "laptop".into(),
        repo: format::repo_of(&root),
        root,
    };
    let bytes = claim.sign(&key()).unwrap();
    insta::assert_snapshot!("epoch", String::from_utf8(bytes.clone()).unwrap());
    assert_eq!(Claim::read(3, &bytes, &root).unwrap(), claim);
    let bytes = format::write(&format::repo_of(&root)).unwrap();
    insta::assert_snapshot!("format", String::from_utf8(bytes.clone()).unwrap());
    assert_eq!(format::read(&bytes).unwrap(), format::repo_of(&root));
    assert_eq!(Name::Epoch(3).to_string(), "epoch/3.json");
}

#[test]
fn a_value_has_one_spelling() {
    use crate::{Fault, canonical};
    let good = [r#"{"a":[1,true,null,"\u0001\n\"\\é"],"b":{}}"#, "9007199254740991", "[]"];
    for text in good {
        assert_eq!(canonical::write(&canonical::parse(text.as_bytes()).unwrap()).unwrap(), text.as_bytes());
    }
    let other = [
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":1}"#,
        r#"{ "a":1}"#,
        "{\"a\":1}\n",
        "1.0",
        "1e3",
        "-1",
        "-0",
        "9007199254740992",
        r#""\u0041""#,
        r#""\/""#,
        r#""\u000a""#,
        r#""\u001F""#,
        r#"{"é":1}"#,
    ];
    for text in other {
        assert_eq!(canonical::parse(text.as_bytes()).unwrap_err(), Fault::NotCanonical, "{text}");
    }
    for text in ["", "{", "{}{}", "nul", "\"\\ud800\"", &"[".repeat(100_000)] {
        assert_eq!(canonical::parse(text.as_bytes()).unwrap_err(), Fault::Json);
    }
}
