//! The bundle: minted, stored, opened, completed.

use crate::site::{NoBytes, ipv4, mint, node_files, noon};
use pki::{Bundle, Entries, ExposeSecret, Secret, SystemEntropy, Taken};

fn exposed(entries: &Entries) -> Vec<(String, String)> {
    entries.iter().map(|(name, text)| (name.clone(), text.expose_secret().to_owned())).collect()
}

fn kind(text: &str) -> String {
    match text.lines().next() {
        Some(line) if line.starts_with("-----") => line.to_owned(),
        _ => format!("{} characters", text.len()),
    }
}

#[test]
fn the_entries_have_fixed_names() {
    let entries = exposed(&mint(&ipv4()).entries());
    let listing: String = entries.iter().map(|(name, text)| format!("{name}: {}\n", kind(text))).collect();
    insta::assert_snapshot!(listing);
}

#[test]
fn what_was_stored_is_what_is_opened() {
    let bundle = mint(&ipv4());
    let again = Bundle::from_entries(&bundle.entries()).unwrap();
    assert_eq!(exposed(&bundle.entries()), exposed(&again.entries()));
    assert_eq!(bundle.root_public(), again.root_public());
    assert_eq!(bundle.sa_public(), again.sa_public());
    assert_eq!(bundle.uid().len(), 32);
    assert_ne!(bundle.uid(), bundle.etcd_token());
}

#[test]
fn foreign_entries_do_no_harm() {
    let mut entries = mint(&ipv4()).entries();
    entries.insert("inventory.toml".into(), "[cluster]".into());
    assert!(Bundle::from_entries(&entries).is_ok());
}

#[test]
fn completing_makes_what_is_missing_and_keeps_what_is_there() {
    let cluster = ipv4();
    let whole = mint(&cluster).entries();
    for missing in
        [&["pki/sa.key"][..], &["pki/etcd/ca.crt", "pki/etcd/ca.key"], &["cluster/uid"], &["pki/root.key"]]
    {
        let mut entries = whole.clone();
        missing.iter().for_each(|name| drop(entries.remove(*name)));
        let bundle = Bundle::complete(entries, &cluster, None, noon(), &mut SystemEntropy).unwrap();
        let changed: Vec<_> = exposed(&whole)
            .into_iter()
            .zip(exposed(&bundle.entries()))
            .filter(|(before, after)| before != after)
            .map(|(before, _)| before.0)
            .collect();
        assert_eq!(changed, missing);
    }
}

#[test]
fn completing_a_whole_bundle_draws_no_randomness() {
    let cluster = ipv4();
    let entries = mint(&cluster).entries();
    Bundle::complete(entries, &cluster, None, noon(), &mut NoBytes).unwrap();
    Bundle::mint(&cluster, None, noon(), &mut NoBytes).unwrap_err();
}

#[test]
fn a_bundle_that_is_not_whole_is_refused_in_words() {
    let whole = mint(&ipv4()).entries();
    let other = mint(&ipv4()).entries();
    let swapped = |name: &str| other.get(name).cloned();
    let leaf = |name: &str| {
        let cluster = ipv4();
        let files = node_files(&Bundle::from_entries(&whole).unwrap(), &cluster, "cp1").leafs;
        let file =
            files.into_iter().flat_map(|leaf| leaf.files).find(|file| file.path.ends_with(name)).unwrap();
        Some(match file.body {
            pki::Body::Secret(secret) => secret,
            pki::Body::Public(text) | pki::Body::Link(text) => text.into(),
        })
    };
    let text = |text: &str| Some(Secret::from(text));
    let cases: [&[(&str, Option<Secret>)]; 13] = [
        &[("pki/sa.key", None)],
        &[("pki/ca.key", None)],
        &[("pki/etcd/ca.crt", None)],
        &[("pki/ca.crt", None), ("pki/ca.key", None)],
        &[("pki/ca.key", swapped("pki/ca.key"))],
        &[("pki/ca.crt", leaf("apiserver.crt")), ("pki/ca.key", leaf("apiserver.key"))],
        &[("pki/ca.crt", text("x"))],
        &[("pki/ca.crt", text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))],
        &[("pki/sa.key", text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))],
        &[("pki/sa.key", swapped("pki/root.key"))],
        &[("pki/root.key", swapped("pki/sa.key"))],
        &[("cluster/uid", text("../../etc/passwd"))],
        &[("etcd/token", text(""))],
    ];
    let mut refusals = String::new();
    for case in cases {
        let mut entries = whole.clone();
        for (name, text) in case {
            match text {
                Some(text) => entries.insert((*name).into(), text.clone()),
                None => entries.remove(*name),
            };
        }
        let error = Bundle::from_entries(&entries).unwrap_err();
        refusals.push_str(&format!("{error}\n"));
    }
    insta::assert_snapshot!(refusals);
}

#[test]
fn debug_shows_no_secret() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let files = node_files(&bundle, &cluster, "cp1");
    let shown = format!("{bundle:?} {files:?} {:?}", bundle.entries());
    assert!(shown.contains("-----BEGIN CERTIFICATE-----"), "public parts are shown");
    assert!(!shown.contains("PRIVATE KEY"));
    for (name, text) in exposed(&bundle.entries()).iter().filter(|(name, _)| name.ends_with(".key")) {
        let line = text.lines().nth(1).unwrap();
        assert!(!shown.contains(line), "{name}");
    }
}

#[test]
fn an_epoch_has_what_was_not_taken() {
    let cluster = ipv4();
    let old = mint(&cluster);
    let always = ["delegated/cp1.key", "etcd/token", "pki/etcd/ca.crt", "pki/etcd/ca.key"];
    let cases: [(&[Taken], &[&str]); 5] = [
        (&[], &[]),
        (&[Taken::ClusterCa], &["pki/ca.crt", "pki/ca.key"]),
        (&[Taken::FrontProxyCa], &["pki/front-proxy-ca.crt", "pki/front-proxy-ca.key"]),
        (&[Taken::ServiceAccounts], &["pki/sa.key"]),
        (&[Taken::ClusterCa, Taken::ServiceAccounts], &["pki/ca.crt", "pki/ca.key", "pki/sa.key"]),
    ];
    for (taken, also) in cases {
        let taken = taken.iter().copied().collect();
        let new = old.successor_without(&taken, None, &cluster, noon(), &mut SystemEntropy).unwrap();
        let (was, is) = (exposed(&old.entries()), exposed(&new.entries()));
        let mut changed: Vec<&str> =
            was.iter().zip(&is).filter(|(was, is)| was != is).map(|((name, _), _)| name.as_str()).collect();
        let mut expected: Vec<&str> = always.iter().chain(also).copied().collect();
        changed.retain(|name| !name.starts_with("delegated/") || *name == "delegated/cp1.key");
        expected.sort_unstable();
        assert_eq!(changed, expected, "{taken:?}");
        assert_eq!(new.uid(), old.uid());
    }
}
