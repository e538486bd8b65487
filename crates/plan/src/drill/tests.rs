use super::*;

fn output(lines: &str) -> Output {
    Output { stdout: lines.into(), ..Output::default() }
}

const WHOLE: &str = "at start 100.00\nrevision 520\nhash_kv 2033127705\ncompact_revision -1\nat restored 100.25\n\
    keys minions 2\nkeys services/specs 3\nkeys events 65\nkeys example.com/widgets 503\nkeys ranges 2\nother compact_rev_key 1\n\
    served nodes 2\nserved services 3\nserved events 65\nserved events.events.k8s.io 65\nserved pods 0\n\
    served widgets.example.com 500\nserved widgets.example.com 3\ntoken ok\nat end 107.93\ncomplete .\n";

#[test]
fn a_whole_answer() {
    let drilled = parse(&output(WHOLE)).unwrap();
    assert_eq!(drilled.undecodable, []);
    assert!(drilled.is_proven());
    assert_eq!((drilled.revision, drilled.hash_kv, drilled.compact_revision), (520, 2033127705, -1));
    assert_eq!((drilled.keys, drilled.objects), (576, 573));
    assert_eq!(drilled.at, [("restored".to_owned(), 0.25), ("end".to_owned(), 7.93)]);
    assert_eq!(drilled.seconds(), 7.93);
}

#[test]
fn what_is_not_proven_is_named() {
    for (from, to, wanted) in [
        ("served nodes 2", "served nodes 1", "nodes: 1 listed, 2 keys in etcd"),
        ("served services 3\n", "", "services/specs: 3 keys of a kind that is not served"),
        (
            "keys ranges 2",
            "keys strange.example.org/things 1",
            "strange.example.org/things: 1 keys of a kind that is not served",
        ),
        ("keys ranges 2", "keys pods 4", "pods: 0 listed, 4 keys in etcd"),
        (
            "served nodes 2",
            "unlisted nodes unable to transform key\",",
            "nodes: not listed: unable to transform key",
        ),
        ("other compact_rev_key", "other mine", "mine: a key that is no object's"),
        (
            "served pods 0",
            "served pods 0\nunready poststarthook/x ",
            "readyz: its kube-apiserver was not ready: poststarthook/x",
        ),
        (
            "other compact_rev_key",
            "other rekindle/snapshots",
            "rekindle/snapshots: a key that is no object's",
        ),
        (
            "token ok",
            "token Unauthorized",
            "token: one that the service accounts' key signed was not accepted: Unauthorized",
        ),
        ("token ok\n", "", "token: one that the service accounts' key signed was not accepted: not tried"),
        // A kind of another group with a plain name has keys of its own.
        ("served pods 0", "served nodes.example.com 2", "nodes.example.com: 2 listed, 0 keys in etcd"),
        // One page of a kind failed: what came before does not save it.
        (
            "served widgets.example.com 3",
            "unlisted widgets.example.com conversion failed",
            "widgets.example.com: not listed: conversion failed",
        ),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let drilled = parse(&output(&WHOLE.replacen(from, to, 1))).unwrap();
        let found: Vec<_> = drilled.undecodable.iter().map(|u| format!("{}: {}", u.what, u.why)).collect();
        assert_eq!(found, [wanted], "{from} -> {to}");
    }
}

#[test]
fn other_text_is_no_answer() {
    for text in [
        "",
        "complete",
        "hello .\n",
        "served nodes two\ncomplete .\n",
        WHOLE.trim_end_matches("complete .\n"),
    ] {
        let read = parse(&output(text));
        // An answer that proves nothing is one, and says so.
        assert!(read.is_err() || !read.unwrap().is_proven(), "{text}");
    }
}

#[test]
fn a_kubeconfig_is_turned_to_loopback() {
    let text = "clusters:\n- cluster:\n    server: https://api.x:6443\n  name: server: y\n";
    assert_eq!(
        at_loopback(text),
        "clusters:\n- cluster:\n    server: https://127.0.0.1:6443\n    tls-server-name: kubernetes\n  name: server: y\n"
    );
}
