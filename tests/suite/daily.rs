//! Once a day a control plane boots the generation that it takes, by its own Kubernetes, and attaches all objects. Nothing
//! of that stays on the node, also when it is killed.

use crate::lab_cluster::{ETCDCTL, LabCluster};
use crate::program::Run;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// What a Secret holds before the first generation is taken.
const WORD: &str = "correct-horse";
/// The same as a Secret's data has it.
const SEALED: &str = "Y29ycmVjdC1ob3JzZQ==";

/// Puts a Secret there.
pub fn something_to_find(cluster: &LabCluster) {
    cluster.kubectl(&format!("create secret generic daily --from-literal=word={WORD}"));
}

/// `one` is the first generation that a node took, and `again` takes another one.
pub fn the_first_of_a_day_is_booted_by_its_node(cluster: &LabCluster, one: &Value, again: &str) {
    let name = one["generation"].as_str().unwrap();
    let proof = &one["proofs"][0];
    assert_eq!((&proof["level"], &proof["by"]), (&"L4".into(), &one["signed_by"]), "{one}");
    let figure = |name: &str| proof["what"][name].as_str().unwrap_or_default().parse::<u64>().unwrap();
    assert!(figure("objects") > 200 && figure("exported") > 0, "{proof}");
    println!("booted on {}: {proof}", one["signed_by"]);
    let run = |verb: &[&str]| -> Run { cluster.program.run(verb).arg("-i").arg(&cluster.inventory) };
    let listed = run(&["archive", "list"]).ended().stdout;
    assert!(
        listed.contains("booted by its own Kubernetes") && listed.contains(" objects read, "),
        "{listed}"
    );

    // All objects come out, a Secret in clear, and the node's configuration beside them.
    let folder = tempfile::tempdir().unwrap();
    let [out, attached, booted] = ["out", "attached", "booted"].map(|name| folder.path().join(name));
    run(&["archive", "extract", "--generation", name, "--all"]).arg(&out).expect(0);
    let objects = std::fs::read_to_string(out.join("export/objects.yaml")).unwrap();
    for holds in ["\n# Source: default/secrets/daily.yaml\n", SEALED, "\n# Complete: "] {
        assert!(objects.contains(holds), "{holds}");
    }
    let namespaces = objects.find("kind: Namespace").unwrap();
    assert!(namespaces < objects.find("kind: ConfigMap").unwrap(), "first what others need");
    for file in
        ["manifests/kube-apiserver.yaml", "manifests/etcd.yaml", "kubeadm.yaml", "kubelet/config.yaml"]
    {
        assert!(std::fs::metadata(out.join("node").join(file)).unwrap().len() > 0, "{file}");
    }
    // Without a boot it is what a boot gives.
    run(&["archive", "export", name]).arg("--to").arg(&attached).expect(0);
    let snapshot = out.join("etcd/snapshot.db");
    run(&["archive", "export"]).arg("--snapshot").arg(&snapshot).arg("--to").arg(&booted).expect(0);
    assert_eq!(tree(&attached), tree(&booted));

    // A run that is killed in the middle leaves nothing, and the next one goes on.
    let node = one["signed_by"].as_str().unwrap();
    nothing_is_left(cluster, node);
    let forget = format!(
        "rm -f /run/rekindle-archive/booted; {ETCDCTL} del --prefix rekindle/snapshot/booted >/dev/null"
    );
    let begin = again.replace("systemctl start", "systemctl start --no-block");
    cluster.must(node, &format!("{forget}; {begin}"));
    cluster.eventually("its apiserver runs", Duration::from_secs(60), || {
        cluster.on(node, "test \"$(pgrep -xc kube-apiserver)\" = 2").is_ok()
    });
    cluster.must(node, "systemctl kill -s KILL rekindle-capture");
    // systemd waits for the last process for its whole patience, on cgroup v1.
    cluster.eventually("all of it ends", Duration::from_secs(20), || {
        cluster.on(node, "systemctl is-failed rekindle-capture").is_ok()
    });
    nothing_is_left(cluster, node);
    cluster.must(node, &format!("{forget}; {again}"));
    nothing_is_left(cluster, node);
    let newest = cluster.generations().remove(0);
    assert_eq!(
        (&newest["proofs"][0]["level"], &newest["signed_by"]),
        (&"L4".into(), &node.into()),
        "{newest}"
    );
    cluster.kubectl("delete secret daily");
}

fn nothing_is_left(cluster: &LabCluster, node: &str) {
    let left = "ls -d /var/lib/rekindle/drill /var/lib/rekindle/snapshot 2>/dev/null; grep rekindle/drill /proc/mounts; \
                pgrep -xc kube-apiserver; pgrep -xc etcd; pgrep -xc unshare || :";
    assert_eq!(cluster.must(node, left), "1\n1\n0\n", "{node}");
}

/// Every file by its path below the folder.
fn tree(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    found.sort();
    found
}
