//! What is minted, judged by openssl.

use crate::site::{Root, external_etcd, ipv4, ipv6_dual_rsa, mint, node_files, noon};
use inventory::Cluster;
use pki::{Ca, Held, Usage};

/// At noon of the clusters' day, so that no test depends on the day on which it runs.
fn verify() -> String {
    format!("openssl verify -x509_strict -attime {}", noon().unix_timestamp())
}

/// Every leaf of every node: signed by the CA beside it, for its uses, and for its own key.
fn all_leafs_hold(cluster: &Cluster) {
    let bundle = mint(cluster);
    let verify = verify();
    for node in &cluster.nodes {
        let root = Root::of(&bundle, cluster, &node.name);
        let leafs = node_files(&bundle, cluster, &node.name).leafs;
        assert!(leafs.len() >= 2, "{} has leafs", node.name);
        for wants in leafs.into_iter().map(|leaf| leaf.wants) {
            let (certificate, key) = match &wants.held {
                Held::Pair { certificate, key } => (format!("cat .{certificate}"), format!("cat .{key}")),
                Held::Pem { path } => (format!("cat .{path}"), format!("cat .{path}")),
                Held::Kubeconfig { path } => {
                    let part = |key| format!("sed -n 's/^ *{key}: //p' .{path} | base64 -d");
                    (part("client-certificate-data"), part("client-key-data"))
                }
            };
            root.sh(&format!("{certificate} >certificate; {key} >key")).unwrap();
            for usage in wants.subject.usages {
                let purpose = if *usage == Usage::ServerAuth { "sslserver" } else { "sslclient" };
                root.sh(&format!("{verify} -purpose {purpose} -CAfile .{} certificate", wants.ca_path))
                    .unwrap();
            }
            for name in &wants.subject.names {
                root.sh(&format!("{verify} -verify_hostname {name} -CAfile .{} certificate", wants.ca_path))
                    .unwrap();
            }
            for address in &wants.subject.addresses {
                root.sh(&format!("{verify} -verify_ip {address} -CAfile .{} certificate", wants.ca_path))
                    .unwrap();
            }
            let public = root.sh("openssl x509 -noout -pubkey -in certificate").unwrap();
            assert_eq!(public, root.sh("openssl pkey -pubout -in key").unwrap(), "{:?}", wants.held);
        }
    }
}

#[test]
fn every_leaf_is_good_for_its_names_uses_and_key() {
    all_leafs_hold(&ipv4());
    all_leafs_hold(&external_etcd());
}

#[test]
fn every_leaf_is_good_with_ipv6_two_service_networks_and_rsa() {
    let mut cluster = ipv6_dual_rsa();
    cluster.nodes.retain(|node| ["cp1", "w1"].contains(&node.name.as_str()));
    all_leafs_hold(&cluster);
}

#[test]
fn a_leaf_of_another_cluster_or_another_ca_is_refused() {
    let cluster = ipv4();
    let (ours, theirs) = (mint(&cluster), mint(&cluster));
    let root = Root::of(&ours, &cluster, "cp1");
    let verify = verify();
    root.write("theirs.crt", theirs.authority(Ca::Cluster).certificate());
    root.sh(&format!("{verify} -CAfile theirs.crt etc/kubernetes/pki/apiserver.crt")).unwrap_err();
    root.sh(&format!("{verify} -CAfile etc/kubernetes/pki/ca.crt etc/kubernetes/pki/etcd/peer.crt"))
        .unwrap_err();
    root.sh(&format!("{verify} -CAfile etc/kubernetes/pki/ca.crt etc/kubernetes/pki/apiserver.crt")).unwrap();
}

#[test]
fn periods_begin_five_minutes_ago_and_serials_are_positive_and_short() {
    let cluster = ipv4();
    let root = Root::of(&mint(&cluster), &cluster, "cp1");
    let dates = "openssl x509 -noout -dates -in etc/kubernetes/pki";
    insta::assert_snapshot!(root.sh(&format!("{dates}/ca.crt; {dates}/apiserver.crt")).unwrap());
    for file in ["ca.crt", "apiserver.crt", "etcd/server.crt"] {
        let serial = root.sh(&format!("openssl x509 -noout -serial -in etc/kubernetes/pki/{file}")).unwrap();
        let serial = serial.trim().strip_prefix("serial=").unwrap();
        let number = u64::from_str_radix(serial, 16).unwrap();
        assert!(number > 0 && number >> 63 == 0, "{serial}");
    }
}

#[test]
fn the_service_account_pair_and_the_root_key_are_pairs() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let root = Root::of(&bundle, &cluster, "cp1");
    let public = root.sh("openssl pkey -pubout -in etc/kubernetes/pki/sa.key").unwrap();
    assert_eq!(public, root.sh("cat etc/kubernetes/pki/sa.pub").unwrap());
    root.write("root.key", pki::ExposeSecret::expose_secret(bundle.root_key()));
    let hex = root
        .sh("openssl pkey -in root.key -pubout -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \\n'");
    let ours: String = bundle.root_public().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex.unwrap(), ours);
}
