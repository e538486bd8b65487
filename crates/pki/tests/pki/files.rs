//! Which files a node gets, and what a good leaf is there.

use crate::site::{external_etcd, ipv4, ipv6_dual_rsa, mint, node_files, noon};
use inventory::Cluster;
use pki::{Body, Bundle, NodeFiles, SystemEntropy};
use time::Duration;

fn listing(made: &NodeFiles) -> String {
    let mut lines: Vec<_> = made
        .files
        .iter()
        .chain(made.leafs.iter().flat_map(|leaf| &leaf.files))
        .map(|file| match &file.body {
            Body::Public(_) => format!("{} {:o}\n", file.path, file.mode),
            Body::Secret(_) => format!("{} {:o} secret\n", file.path, file.mode),
            Body::Link(to) => format!("{} -> {to}\n", file.path),
        })
        .collect();
    lines.sort();
    lines.concat()
}

fn listings(cluster: &Cluster) -> String {
    let bundle = mint(cluster);
    let listing = |name: &str| format!("-- {name}\n{}", listing(&node_files(&bundle, cluster, name)));
    cluster.nodes.iter().map(|node| listing(&node.name)).collect()
}

#[test]
fn a_control_plane_and_a_worker_get_their_files() {
    let mut cluster = ipv4();
    cluster.nodes.retain(|node| ["cp1", "w1"].contains(&node.name.as_str()));
    insta::assert_snapshot!(listings(&cluster));
}

#[test]
fn with_an_external_etcd_its_key_stays_here_and_its_members_get_no_more_than_etcd_needs() {
    let mut cluster = external_etcd();
    cluster.nodes.retain(|node| ["cp1", "etcd2"].contains(&node.name.as_str()));
    insta::assert_snapshot!(listings(&cluster));
}

#[test]
fn a_good_leaf_is_described_for_each_file() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let wants = |node| node_files(&bundle, &cluster, node).leafs.into_iter().map(|leaf| leaf.wants);
    insta::assert_debug_snapshot!(wants("cp1").chain(wants("w1")).collect::<Vec<_>>());
}

#[test]
fn names_addresses_and_servers_follow_the_inventory() {
    let mut dual = ipv6_dual_rsa();
    dual.pki.algorithm = inventory::KeyAlgorithm::EcdsaP256;
    dual.nodes[0].second_address = Some("10.0.0.11".parse().unwrap());
    let mut bare = ipv4();
    bare.api.cert_names = Vec::new();
    let mut wild = ipv4();
    wild.api.cert_names = vec!["*.example.com".into(), "cp1".into(), "10.0.0.11".into()];
    wild.api.port = 8443;
    let mut text = String::new();
    for (title, cluster) in
        [("no cert-names", bare), ("wildcard, repetitions, port", wild), ("dual stack", dual)]
    {
        text.push_str(&format!("-- {title}\n"));
        let leafs = node_files(&mint(&cluster), &cluster, "cp1").leafs;
        for wants in leafs.into_iter().map(|leaf| leaf.wants) {
            let names: Vec<_> =
                wants.subject.addresses.iter().map(ToString::to_string).chain(wants.subject.names).collect();
            if !names.is_empty() || wants.server.is_some() {
                text.push_str(&format!(
                    "{}: {:?} {}\n",
                    wants.subject.common_name,
                    wants.server,
                    names.join(" ")
                ));
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn kubelet_conf_names_the_own_apiserver_on_a_control_plane_and_the_endpoint_on_a_worker() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let conf = |node| {
        let files = node_files(&bundle, &cluster, node).files;
        let file = files.into_iter().find(|file| file.path == "/etc/kubernetes/kubelet.conf").unwrap();
        let Body::Public(text) = file.body else { panic!("it holds no secret") };
        text.lines()
            .map(|line| match line.split_once("-authority-data: ") {
                Some((key, _)) => format!("{key}-authority-data: …\n"),
                None => format!("{line}\n"),
            })
            .collect::<String>()
    };
    insta::assert_snapshot!(format!("{}{}", conf("cp1"), conf("w1")));
}

#[test]
fn files_that_are_compared_by_bytes_are_the_same_each_time_and_leafs_never_are() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let again = Bundle::from_entries(&bundle.entries()).unwrap();
    let text = |body: &Body| match body {
        Body::Public(text) | Body::Link(text) => text.clone(),
        Body::Secret(secret) => pki::ExposeSecret::expose_secret(secret).to_owned(),
    };
    let (one, two) = (node_files(&bundle, &cluster, "cp1"), node_files(&again, &cluster, "cp1"));
    let fixed = |made: &NodeFiles| made.files.iter().map(|file| text(&file.body)).collect::<Vec<_>>();
    assert_eq!(fixed(&one), fixed(&two));
    for (left, right) in one.leafs.iter().zip(&two.leafs) {
        assert_eq!(left.wants, right.wants);
        assert_ne!(text(&left.files[0].body), text(&right.files[0].body));
    }
}

#[test]
fn a_leaf_never_outlives_its_ca_and_is_not_due_from_its_first_day() {
    let mut text = String::from("CA days, leaf days, minted after days: leaf days left, due below\n");
    for (ca_days, leaf_days, age) in [
        (3650, 365, 0),
        (3650, 60, 0),
        (3650, 5, 0),
        (3650, 2, 0),
        (100, 365, 0),
        (100, 365, 95),
        (100, 365, 100),
    ] {
        let mut cluster = ipv4();
        cluster.pki.ca_days = ca_days;
        cluster.pki.leaf_days = leaf_days;
        let now = noon() + Duration::days(age);
        let bundle = mint(&cluster);
        let made = bundle.node_files(&cluster, &cluster.nodes[0], now, &mut SystemEntropy);
        let result = made.map(|made| {
            let leaf = &made.leafs[0];
            let Body::Public(certificate) = &leaf.files[1].body else { panic!("a certificate is public") };
            let left = pki::Certificate::from_pem("leaf", certificate).unwrap().days_left(now);
            format!("{left}, {}", leaf.wants.min_days)
        });
        let result = result.unwrap_or_else(|error| error.to_string());
        text.push_str(&format!("{ca_days}, {leaf_days}, {age}: {result}\n"));
    }
    insta::assert_snapshot!(text);
}
