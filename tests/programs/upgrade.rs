//! `kubeadm upgrade` by one patch version on a cluster of ours, and what `up` makes of it: it shows, and rolls
//! nothing back.
//!
//! Not among the tests that run always, since a second Kubernetes is built for it (about ten minutes, once):
//! `cargo test -p tests --test upgrade`.

#![cfg(test)]

#[path = "../suite/lab_cluster.rs"]
#[allow(dead_code, reason = "the suite uses the rest")]
mod lab_cluster;
#[path = "../suite/program.rs"]
#[allow(dead_code, reason = "the suite uses the rest")]
mod program;

use lab_cluster::{KUBECTL, LabCluster};
use program::with_labs;
use std::path::Path;

const OLD: &str = "1.36.1";
const NEW: &str = "1.36.3";
const CONTROL_PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];
const NODES: [&str; 4] = ["cp1", "cp2", "cp3", "w1"];

/// kubeadm of the new version and the images, as a person brings them to a node.
const BRING: &str = "cd /var/lib/upgrade
    mv kubeadm /usr/local/bin/kubeadm
    for image in images/*.tar; do ctr -n k8s.io images import --local $image >/dev/null || exit 1; done";

/// After `kubeadm upgrade` on that node.
const KUBELET: &str = "cd /var/lib/upgrade
    mv kubelet kubectl /usr/local/bin/
    systemctl daemon-reload
    systemctl restart kubelet";

const OPTIONS: &str = "--patches /etc/kubernetes/patches --ignore-preflight-errors=SystemVerification";

#[test]
fn an_upgrade_by_kubeadm_is_taken_over() {
    with_labs(|program| {
        upgrade(&LabCluster::machines(program, "upgrade", &["--kubernetes", OLD], &[]));
    });
}

/// A rebuild is the one time when a newer patch costs nothing: every control plane starts anew, and a living worker gets
/// its kubelet with it.
#[test]
fn a_rebuild_takes_a_newer_patch() {
    with_labs(|program| {
        let cluster = LabCluster::machines(program, "patched", &["--kubernetes", OLD], &[]);
        cluster.run("up").expect(0);
        cluster.kubectl("create configmap kept");
        let uid = cluster.kubectl("get configmap kept -o jsonpath='{.metadata.uid}'");
        cluster.run("snapshot").expect(0);
        for node in CONTROL_PLANES {
            cluster.program.run(&["lab", "wipe", node, "--name", "patched"]).expect(0);
        }
        cluster.edit(|text| text.replace(OLD, "1.36.0"));
        let rebuild = || cluster.run("rebuild").arg("--old-cluster-is-gone=patched");
        let older = rebuild().expect(2).stdout;
        assert!(
            older.contains("the generation is of Kubernetes 1.36.1, and the inventory says 1.36.0"),
            "{older}"
        );
        cluster.edit(|text| text.replace("1.36.0", NEW));
        rebuild().expect(0);
        assert_eq!(cluster.kubectl("get configmap kept -o jsonpath='{.metadata.uid}'"), uid);
        assert_eq!(versions(&cluster), [NEW; 4].map(|version| format!("v{version}")));
        let again = cluster.run("up").expect(0).result();
        assert_eq!(again["changed"], 0, "{again}");
    });
}

fn upgrade(cluster: &LabCluster) {
    cluster.run("up").expect(0);
    new_programs_and_images_lie_on_every_node(cluster);

    cluster.must("cp1", BRING);
    let plan = cluster.must("cp1", &format!("kubeadm upgrade plan v{NEW}"));
    assert!(plan.contains(&format!("kubeadm upgrade apply v{NEW}")), "{plan}");
    cluster.must("cp1", &format!("kubeadm upgrade apply v{NEW} --yes {OPTIONS}"));
    kubelet_follows(cluster, "cp1");
    up_refuses_half_of_an_upgrade(cluster);
    for node in ["cp2", "cp3", "w1"] {
        cluster.must(node, BRING);
        let patches = if node == "w1" { "--ignore-preflight-errors=SystemVerification" } else { OPTIONS };
        cluster.must(node, &format!("kubeadm upgrade node {patches}"));
        kubelet_follows(cluster, node);
    }
    assert_eq!(versions(cluster), [NEW; 4].map(|version| format!("v{version}")));

    let refused = cluster.run("up").expect(2).stdout;
    assert!(refused.contains("cp1: its apiserver runs 1.36.3"), "{refused}");
    up_takes_the_new_version_over(cluster);
    up_puts_ours_back_when_told_to(cluster);
}

fn new_programs_and_images_lie_on_every_node(cluster: &LabCluster) {
    let inventory = cluster.lab.dir().join("new.toml");
    let text = std::fs::read_to_string(&cluster.inventory).unwrap();
    std::fs::write(&inventory, text.replace(OLD, NEW)).unwrap();
    let files = cluster.lab.dir().join("new");
    cluster.program.run(&["artifacts", "export"]).arg("--inventory").arg(&inventory).arg(&files).expect(0);
    for node in NODES {
        let folder = cluster.lab.host_path(node, "/var/lib/upgrade").unwrap();
        copy(&files, &folder);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("images")).unwrap();
    for program in ["kubeadm", "kubelet", "kubectl"] {
        std::fs::copy(from.join(program), to.join(program)).unwrap();
    }
    for image in std::fs::read_dir(from.join("images")).unwrap() {
        let image = image.unwrap();
        std::fs::copy(image.path(), to.join("images").join(image.file_name())).unwrap();
    }
}

fn kubelet_follows(cluster: &LabCluster, node: &str) {
    let any = if node == "cp1" { "cp2" } else { "cp1" };
    cluster.must(
        any,
        &format!("{KUBECTL} drain {node} --ignore-daemonsets --delete-emptydir-data --timeout=120s"),
    );
    cluster.must(node, KUBELET);
    cluster.must(any, &format!("{KUBECTL} uncordon {node}"));
    cluster.nodes_are_ready(&[node]);
}

fn versions(cluster: &LabCluster) -> Vec<String> {
    let path = "{.items[*].status.nodeInfo.kubeletVersion}";
    cluster
        .kubectl(&format!("get nodes -o jsonpath='{path}'"))
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Neither version is all of the cluster's, so neither inventory is the truth.
fn up_refuses_half_of_an_upgrade(cluster: &LabCluster) {
    let before = fingerprint(cluster);
    let refused = cluster.run("up").expect(2).stdout;
    assert!(refused.contains("cp1: its kubelet runs 1.36.3"), "{refused}");
    cluster.edit(|text| text.replace(OLD, NEW));
    let refused = cluster.run("up").expect(2).stdout;
    assert!(
        refused.contains("w1: its kubelet runs 1.36.1") && refused.contains("kubeadm upgrade"),
        "{refused}"
    );
    cluster.edit(|text| text.replace(NEW, OLD));
    assert_same(&before, &fingerprint(cluster));
}

/// Files that kubeadm and the kubelet read, and processes with their start.
fn fingerprint(cluster: &LabCluster) -> String {
    let script = "find /etc/kubernetes /etc/rekindle /etc/cni /etc/containerd /etc/systemd/system /usr/local/bin /var/lib/kubelet/*.yaml \
                  /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/pki -printf '%p %T@\\n' | sort
                  ps -eo pid,lstart,comm | grep -E 'kube|etcd|containerd$|haproxy'";
    let node = |node: &&str| format!("{node}\n{}", cluster.must(node, script));
    let objects = cluster.kubectl("get configmaps,daemonsets,deployments -n kube-system -o jsonpath='{.items[*].metadata.resourceVersion}'");
    NODES.iter().map(node).collect::<String>() + &objects
}

fn assert_same(before: &str, after: &str) {
    let changed: Vec<&str> = after.lines().filter(|line| !before.contains(*line)).collect();
    assert_eq!(changed, Vec::<&str>::new());
}

/// Only our own note of kubeadm's configuration, which names the version, is written anew, and sealed.
fn up_takes_the_new_version_over(cluster: &LabCluster) {
    cluster.edit(|text| text.replace(OLD, NEW));
    let plan = cluster.run("plan").arg("--exit-code").expect(10);
    let changes = plan.result()["changes"].clone();
    let steps: Vec<&str> =
        changes.as_array().unwrap().iter().map(|change| change["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["/etc/rekindle/kubeadm.yaml"; 3], "{}", plan.stdout);

    let before = fingerprint(cluster);
    let up = cluster.run("up").expect(0);
    assert_eq!(up.result()["changed"], 3, "{}", up.stdout);
    for node in CONTROL_PLANES {
        assert!(
            up.stdout.contains(&format!("{node}: kept write manifest of kube-apiserver")),
            "{}",
            up.stdout
        );
    }
    assert!(up.stdout.contains("kept upload kubeadm configuration"), "{}", up.stdout);
    let ours = |text: &str| -> String {
        text.lines().filter(|line| !line.contains("/etc/rekindle")).map(|line| format!("{line}\n")).collect()
    };
    assert_same(&ours(&before), &ours(&fingerprint(cluster)));
    let again = cluster.run("up").expect(0);
    assert_eq!(again.result()["changed"], 0, "{}", again.stdout);
}

fn up_puts_ours_back_when_told_to(cluster: &LabCluster) {
    cluster.run("up").arg("--overwrite").expect(0);
    assert_eq!(versions(cluster), [NEW; 4].map(|version| format!("v{version}")));
    let again = cluster.run("up").expect(0);
    assert!(!again.stdout.contains("kept"), "{}", again.stdout);
    assert_eq!(again.result()["changed"], 0, "{}", again.stdout);
    cluster.run("status").expect(0);
}
