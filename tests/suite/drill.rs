//! A running cluster's snapshot, booted by its own Kubernetes on this machine: proven, asked, exported; and what can't
//! be read is named.

use crate::encryption;
use crate::lab_cluster::{ETCDCTL, KUBECTL, LabCluster};
use crate::program::Run;
use std::path::Path;
use std::time::Duration;

const OBJECTS: &str = r#"
{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"past"}},
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"gold","namespace":"past"},"stringData":{"word":"correct-horse"}},
{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"past"},"spec":{"replicas":0,
 "selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":"x"}]}}}},
{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},"spec":{
 "group":"example.com","scope":"Namespaced","names":{"plural":"widgets","singular":"widget","kind":"Widget"},"versions":[
 {"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}
]}"#;
const WIDGET: &str = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"one","namespace":"past"},"size":3}"#;

/// Puts objects in, takes snapshots, and removes the objects again.
pub fn the_past_boots_and_answers(cluster: &LabCluster) {
    let apply =
        |object: &str| cluster.on("cp1", &format!("{KUBECTL} apply -f - <<'END'\n{object}\nEND\n")).is_ok();
    assert!(apply(OBJECTS));
    cluster.eventually("a custom resource is taken", Duration::from_secs(30), || apply(WIDGET));
    let stored =
        cluster.must("cp1", &format!("{ETCDCTL} get /registry/secrets/past/gold --print-value-only"));
    assert!(stored.starts_with("k8s:enc:secretbox:v1:first:"), "encrypted at rest");
    assert!(encryption::is_told_by_the_archive(cluster));
    let folder = tempfile::tempdir().unwrap();
    let [good, strange] = ["good.db", "strange.db"].map(|name| folder.path().join(name));
    snapshot(cluster, &good);
    cluster.must("cp1", &format!("{ETCDCTL} put /registry/strange.example.org/things/one raw"));
    snapshot(cluster, &strange);
    cluster.must("cp1", &format!("{ETCDCTL} del /registry/strange.example.org/things/one"));
    cluster.kubectl("delete namespace past --wait=false");
    cluster.kubectl("delete customresourcedefinition widgets.example.com");

    let run = |verb: &[&str], snapshot: &Path| -> Run {
        cluster.program.run(verb).arg("-i").arg(&cluster.inventory).arg("--snapshot").arg(snapshot)
    };
    let drilled = run(&["drill", "--output", "json"], &good).expect(0).result();
    assert_eq!(drilled["proven"], true, "{drilled}");
    assert!(drilled["drilled"]["objects"].as_u64().unwrap() > 200, "{drilled}");
    let drilled = run(&["drill", "--output", "json"], &strange).expect(5).result();
    let named = &drilled["drilled"]["undecodable"];
    assert_eq!(named.as_array().unwrap().len(), 1, "{named}");
    assert_eq!(named[0]["what"], "strange.example.org/things");

    // A disk on which it has no room.
    let small = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size=1m none {0} && exec \"$0\" \"$@\"", small.path().display());
    let refused = run(&["drill"], &good).arg("--scratch").arg(small.path());
    let refused = refused.by(&["unshare", "-m", "sh", "-c", &script]).expect(2);
    assert!(refused.stderr.contains("--scratch FOLDER"), "{}", refused.stderr);

    let ask = |words: &[&str]| words.iter().fold(run(&["at"], &good).arg("--"), |run, word| run.arg(word));
    let word = ask(&["get", "secret", "gold", "-n", "past", "-o", "jsonpath={.data.word}"]).expect(0);
    assert_eq!(word.stdout, "Y29ycmVjdC1ob3JzZQ==", "nothing else is on standard output");
    ask(&["get", "deployment", "nothere", "-n", "past"]).expect(1);

    let to = folder.path().join("objects");
    run(&["archive", "export"], &good).arg("--to").arg(&to).expect(0);
    for (path, holds) in [
        ("past/deployments.apps/web.yaml", "replicas: 0"),
        ("past/widgets.example.com/one.yaml", "size: 3"),
        ("past/secrets/gold.yaml", "Y29ycmVjdC1ob3JzZQ=="),
        ("_cluster/namespaces/past.yaml", "kind: Namespace"),
    ] {
        let text = std::fs::read_to_string(to.join(path)).unwrap();
        assert!(text.contains(holds) && !text.contains("resourceVersion"), "{path}: {text}");
    }
    assert!(!to.join("_cluster/nodes").exists());
    // Nothing is left of any of it.
    assert!(!Path::new("/var/lib/rekindle-drill").exists());
}

fn snapshot(cluster: &LabCluster, to: &Path) {
    cluster.must("cp1", &format!("rm -f /var/lib/past.db; {ETCDCTL} snapshot save /var/lib/past.db"));
    std::fs::copy(cluster.lab.host_path("cp1", "/var/lib/past.db").unwrap(), to).unwrap();
}
