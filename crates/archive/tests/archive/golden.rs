//! Archives of all versions open for ever. They are made once and never again.

use crate::nodes::ONE;
use archive::{Archive, Folder, Identities, ROOT_KEY_ENTRY, RootPublic, Secret, Signer, Standing, Trust};
use std::fs;
use std::path::PathBuf;

fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/archive/golden").join(file)
}

fn lying_in(file: &str) -> Archive {
    Archive::at(vec![Box::new(Folder::new(golden(file), None))]).unwrap()
}

fn version_1() -> Archive {
    lying_in("v1")
}

/// An archive of version 1 with a generation: its snapshot set was signed by a delegated key and proven.
const GENERATION: &str = "v1-generation";

const ROOT: &str = "ed25519:e28a8970753332bd72fef413e6b0b2ef1b4aadda7aa2c141f233712a6876b351";

#[test]
fn the_archive_of_version_1_opens() {
    let trust = Trust::Anchor(ROOT.parse::<RootPublic>().unwrap());
    let Standing::Holds(holding) = version_1().state(&trust).unwrap() else { panic!("it is empty") };
    assert!(holding.rejected.is_empty() && holding.heads.len() == 1 && holding.born);
    let public = serde_json::to_string_pretty(&holding.newest.public).unwrap();
    insta::assert_snapshot!("version_1_public", public);
    insta::assert_debug_snapshot!("version_1_claim", holding.claim);

    for identity in ["v1.identity", "ssh_ed25519"] {
        let text = Secret::new(fs::read(golden(identity)).unwrap());
        let identities = Identities::parse(&text, identity).unwrap();
        let opened = version_1().open_identity(&identities, &trust).unwrap();
        let entries: Vec<_> = opened
            .entries
            .iter()
            .filter(|(name, _)| *name != ROOT_KEY_ENTRY)
            .map(|(name, content)| format!("{name} = {}", String::from_utf8_lossy(content.expose())))
            .collect();
        assert_eq!(
            entries,
            [
                "cluster/uid = 0123456789abcdef0123456789abcdef",
                "inventory.toml = [cluster]\nname = \"golden\"\n",
                "pki/ca.crt = the certificate of a CA\n",
                "pki/ca.key = the key of a CA\n",
                "pki/etcd/ca.key = the key of another CA\n",
            ]
        );
        assert_eq!(opened.facts["note"], "never change this");
    }
}

#[test]
fn the_generation_of_version_1_opens() {
    let (archive, trust) = (lying_in(GENERATION), Trust::Anchor(ROOT.parse::<RootPublic>().unwrap()));
    let all = archive.generations(&trust).unwrap();
    assert!(all.rejected.is_empty() && all.all.len() == 1);
    let newest = all.newest_counting().unwrap();
    assert_eq!(newest.signed_by, Signer::Node("cp-11".into()));
    insta::assert_snapshot!("version_1_snapshot", serde_json::to_string_pretty(&newest.public).unwrap());
    insta::assert_debug_snapshot!("version_1_proofs", newest.proofs);
    let text = Secret::new(fs::read(golden("v1-generation.identity")).unwrap());
    let identities = Identities::parse(&text, "v1-generation.identity").unwrap();
    let scratch = tempfile::TempDir::new().unwrap();
    let mut to = Vec::new();
    let opened = archive
        .open_snapshot(&newest.id, &identities, &trust, scratch.path(), &mut to, &mut std::io::sink())
        .unwrap();
    assert_eq!(opened.export, None);
    assert_eq!(String::from_utf8(to).unwrap(), "what etcd held\n");
    assert_eq!(opened.entries["nodes.json"].expose(), b"[{\"name\":\"cp-11\"}]");
    assert_eq!(opened.facts["members"], "3");
    let identity = archive.open_identity_set(&newest.public.identity, &identities, &trust).unwrap();
    assert_eq!(identity.public.delegations, [ONE.delegation(1)]);
}

/// An archive of version 1 with a payload set.
const PAYLOAD: &str = "v1-payload";

#[test]
fn the_payload_of_version_1_opens() {
    let (archive, trust) = (lying_in(PAYLOAD), Trust::Anchor(ROOT.parse::<RootPublic>().unwrap()));
    let Standing::Holds(holding) = archive.state(&trust).unwrap() else { panic!("it is empty") };
    assert!(holding.rejected.is_empty() && holding.heads.len() == 1 && holding.payloads.len() == 1);
    let set = &holding.payloads[0];
    insta::assert_snapshot!("version_1_payload", serde_json::to_string_pretty(&set.public).unwrap());
    let text = Secret::new(fs::read(golden("v1-payload.identity")).unwrap());
    let identities = Identities::parse(&text, "v1-payload.identity").unwrap();
    let scratch = tempfile::TempDir::new().unwrap();
    let mut to = Vec::new();
    for entry in &set.public.entries {
        archive.open_payload_file(set, entry, &identities, scratch.path(), &mut to).unwrap();
    }
    assert_eq!(String::from_utf8(to).unwrap(), "a package\nan image\na program\n");
}

#[test]
#[ignore = "makes the golden payload of a new version, and never replaces one"]
fn make_payload() {
    use crate::place::{STAMP, root_key};
    use archive::{Cluster, Digest, NewIdentity, PayloadFile, PayloadSealing};
    assert!(!golden(PAYLOAD).exists(), "the golden archive is never replaced");
    let key = NewIdentity::mint(STAMP.created).unwrap();
    fs::write(golden("v1-payload.identity"), key.file.expose()).unwrap();
    let mut set = crate::place::set(0x47);
    set.cluster = Cluster { name: "golden".into(), uid: "0123456789abcdef0123456789abcdef".into() };
    set.recipients = vec![key.recipient];
    set.entries = [(ROOT_KEY_ENTRY.to_owned(), root_key(0x47))].into();
    let archive = lying_in(PAYLOAD);
    set.seal(&archive, None).unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let file = |(name, content): (&str, &str)| {
        let path = dir.path().join(Digest::of(content.as_bytes()).to_string());
        fs::write(&path, content).unwrap();
        let (sha256, size) = (Digest::of(content.as_bytes()), content.len() as u64);
        PayloadFile { name: name.into(), path, sha256, size }
    };
    let files =
        [("PACKAGES", "a package\n"), ("images/pause_3.10.2.tar", "an image\n"), ("kubeadm", "a program\n")]
            .map(file);
    let spool = dir.path().join("spool");
    let sealing =
        PayloadSealing { kubernetes: "1.36.3", files: &files, again: &[], spool: &spool, stamp: STAMP };
    archive.seal_payload(&sealing, &root_key(0x47), &|_| {}).unwrap();
}

#[test]
#[ignore = "makes the golden generation of a new version, and never replaces one"]
fn make_generation() {
    use crate::place::{STAMP, root_key};
    use archive::{Cluster, IdentityManifest, Level, NewIdentity};
    assert!(!golden(GENERATION).exists(), "the golden archive is never replaced");
    let key = NewIdentity::mint(STAMP.created).unwrap();
    fs::write(golden("v1-generation.identity"), key.file.expose()).unwrap();
    let mut set = crate::place::set(0x47);
    set.cluster = Cluster { name: "golden".into(), uid: "0123456789abcdef0123456789abcdef".into() };
    set.recipients = vec![key.recipient];
    set.entries = [(ROOT_KEY_ENTRY.to_owned(), root_key(0x47))].into();
    set.delegations = vec![ONE.delegation(1)];
    let (archive, trust) = (lying_in(GENERATION), Trust::Anchor(ROOT.parse::<RootPublic>().unwrap()));
    set.seal(&archive, None).unwrap();
    let identity = archive.identity_manifest(&trust).unwrap();
    let identity = IdentityManifest::read(&identity, &ROOT.parse().unwrap()).unwrap();
    let nodes = crate::nodes::Nodes {
        set,
        identity,
        etcd_cluster: "cdf818194e3a8c32",
        dir: tempfile::TempDir::new().unwrap(),
    };
    let (folder, _) = nodes.try_capture(ONE, 4711, &mut &b"what etcd held\n"[..]).unwrap();
    let published = archive.publish_snapshot(&folder, &ONE.key(), &trust).unwrap();
    archive.prove(&crate::nodes::proof(published.id, Level::L3, "golden"), &ONE.key(), &trust).unwrap();
}

#[test]
fn what_was_sealed_in_version_1_goes_on() {
    // A copy, because the golden archive is never written.
    let dir = tempfile::TempDir::new().unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(golden("v1")).arg(dir.path()).status().unwrap();
    assert!(copied.success());
    let archive = Archive::at(vec![Box::new(Folder::new(dir.path().join("v1"), None))]).unwrap();
    let text = Secret::new(fs::read(golden("v1.identity")).unwrap());
    let identities = Identities::parse(&text, "v1.identity").unwrap();
    let opened = archive.open_identity(&identities, &Trust::FirstUse).unwrap();
    let mut set = crate::place::set(1);
    (set.cluster, set.entries) = (opened.public.cluster.clone(), opened.entries.clone());
    let sealed = set.seal(&archive, Some(&opened)).unwrap();
    assert_eq!((sealed.new, sealed.number, sealed.root), (true, 3, opened.public.root));
}

#[test]
#[ignore = "makes the golden archive of a new version, and never replaces one"]
fn make() {
    use crate::place::{STAMP, root_key};
    use archive::{Cluster, NewIdentity};
    let path = golden("v1");
    assert!(!path.exists(), "the golden archive is never replaced");
    let key = NewIdentity::mint(STAMP.created).unwrap();
    fs::write(golden("v1.identity"), key.file.expose()).unwrap();
    let mut set = crate::place::set(0x47);
    set.cluster = Cluster { name: "golden".into(), uid: "0123456789abcdef0123456789abcdef".into() };
    let ssh = fs::read_to_string(golden("ssh_ed25519.pub")).unwrap();
    set.recipients = vec![key.recipient, ssh.parse().unwrap()];
    set.facts = [("note".to_owned(), "never change this".to_owned())].into();
    set.entries = [
        ("cluster/uid", "0123456789abcdef0123456789abcdef"),
        ("inventory.toml", "[cluster]\nname = \"golden\"\n"),
        ("pki/ca.crt", "the certificate of a CA\n"),
        ("pki/ca.key", "the key of a CA\n"),
        ("pki/etcd/ca.key", "the key of another CA\n"),
    ]
    .map(|(name, content)| (name.to_owned(), Secret::new(content)))
    .into();
    set.entries.insert(ROOT_KEY_ENTRY.into(), root_key(0x47));
    let sealed = set.seal(&version_1(), None).unwrap();
    let born = version_1().seal_born(&sealed.id, &root_key(0x47), &STAMP).unwrap();
    assert_eq!(born.number, 2);
}
