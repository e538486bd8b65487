//! The table against what kubeadm itself makes.

use crate::site::{Root, ipv4, ipv6_dual_rsa, mint, noon};
use inventory::Cluster;
use pki::{Body, NodeFile, SystemEntropy};
use std::collections::{BTreeMap, BTreeSet};

/// File and mode → the single facts that openssl prints of it.
type Facts = BTreeMap<String, BTreeSet<String>>;

fn facts(text: &str) -> Facts {
    let mut facts = Facts::new();
    let mut file = String::new();
    let mut heading = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            file = name.to_owned();
            facts.entry(file.clone()).or_default();
        } else if let Some(values) = line.strip_prefix("    ") {
            let values = values.split(", ").map(|value| format!("{heading} {value}"));
            facts.get_mut(&file).unwrap().extend(values);
        } else if line.starts_with("X509v3") {
            heading = line.trim_end();
        } else {
            facts.get_mut(&file).unwrap().insert(line.to_owned());
        }
    }
    facts
}

/// Lines that only one side has: `-` kubeadm, `+` we.
fn differences(kubeadm: &Facts, ours: &Facts) -> String {
    let mut text = String::new();
    let empty = BTreeSet::new();
    for file in kubeadm.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
        if !kubeadm.contains_key(file) || !ours.contains_key(file) {
            let side = if kubeadm.contains_key(file) { '-' } else { '+' };
            text.push_str(&format!("{side} {file}\n"));
            continue;
        }
        let (theirs, here) = (kubeadm.get(file).unwrap_or(&empty), ours.get(file).unwrap_or(&empty));
        if theirs != here {
            text.push_str(&format!("  {file}\n"));
        }
        theirs.difference(here).for_each(|fact| text.push_str(&format!("-     {fact}\n")));
        here.difference(theirs).for_each(|fact| text.push_str(&format!("+     {fact}\n")));
    }
    text
}

fn ours(cluster: &Cluster) -> Facts {
    let bundle = mint(cluster);
    let root = Root::of(&bundle, cluster, "cp1");
    let super_admin = bundle.super_admin_kubeconfig(cluster, noon(), &mut SystemEntropy).unwrap();
    root.lay(&NodeFile {
        path: "/etc/kubernetes/super-admin.conf".into(),
        mode: 0o600,
        body: Body::Secret(super_admin),
    });
    facts(&root.facts())
}

#[test]
fn a_control_plane_has_what_kubeadm_makes_but_for_the_differences_that_the_table_names() {
    let kubeadm = facts(include_str!("../kubeadm/ipv4.txt"));
    assert_eq!(kubeadm.len(), 27, "the fixture is whole");
    insta::assert_snapshot!(differences(&kubeadm, &ours(&ipv4())));
}

#[test]
fn the_same_holds_for_ipv6_with_two_service_networks_and_rsa() {
    let kubeadm = facts(include_str!("../kubeadm/ipv6-dual-rsa.txt"));
    assert_eq!(kubeadm.len(), 27, "the fixture is whole");
    insta::assert_snapshot!(differences(&kubeadm, &ours(&ipv6_dual_rsa())));
}
