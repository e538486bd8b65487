//! Law 12, the way out: stock kubeadm works on our cluster, and `up` leaves alone what it did.
//!
//! The commands are the README's, section "Without rekindle".

use crate::lab_cluster::{KUBECTL, LabCluster};
use crate::program::with_labs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Nodes that share a host with control groups of version 1 need to be told so.
const JOIN: &str = "--ignore-preflight-errors=SystemVerification";

#[test]
fn the_way_out_is_open() {
    with_labs(|program| {
        let suite = kubeadms_own_suite();
        let options = ["--control-planes", "4", "--workers", "2"];
        let cluster = LabCluster::machines(program, "wayout", &options, &["cp4", "w2"]);
        cluster.run("up").expect(0);
        let key = certificates_are_uploaded(&cluster);
        kubeadms_own_suite_passes(&cluster, &suite);
        a_worker_joins(&cluster);
        a_control_plane_joins(&cluster, &key);
        kubeadm_knows_the_certificates_and_the_version(&cluster);
        up_leaves_alone_what_joined_and_was_renewed(&cluster);
        what_joined_is_reset(&cluster);
        a_node_of_ours_is_reset_and_comes_back(&cluster);
    });
}

/// The test program of `k8s.io/kubernetes/test/e2e_kubeadm`, from the go.mod that the cluster's programs come from.
fn kubeadms_own_suite() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/artifacts/src/go/kubernetes");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e_kubeadm");
    let output = Command::new("go")
        .args(["test", "-c", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&program)
        .arg("k8s.io/kubernetes/test/e2e_kubeadm")
        // The flags of the cluster's programs, whose packages are compiled already.
        .envs([("CGO_ENABLED", "0"), ("GOWORK", "off")])
        .current_dir(folder)
        .output()
        .expect("go is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// Encrypted, for `join --control-plane`; returns the key.
fn certificates_are_uploaded(cluster: &LabCluster) -> String {
    let upload = "kubeadm init phase upload-certs --upload-certs --config /etc/rekindle/kubeadm.yaml";
    cluster.must("cp1", upload).lines().last().unwrap().to_owned()
}

fn kubeadms_own_suite_passes(cluster: &LabCluster, suite: &Path) {
    let kubeconfig = cluster.program.home().join(".config/rekindle/kubeconfig/wayout");
    let output = Command::new(suite)
        .args(["--provider=skeleton", "--ginkgo.no-color", "--kubeconfig"])
        .arg(kubeconfig)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // The one that is skipped is for dual-stack clusters.
    assert!(said.contains("35 Passed | 0 Failed | 0 Pending | 1 Skipped"), "{said}");
    assert!(output.status.success(), "{said}");
}

/// What a person prepares on a new machine: containerd, the kubelet's unit, a pod network, the endpoint's name.
fn prepare(cluster: &LabCluster, node: &str, pods: &str) {
    let files = [
        "etc/containerd/config.toml",
        "etc/systemd/system/containerd.service",
        "etc/systemd/system/kubelet.service",
        "etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
        "etc/cni/net.d/10-rekindle.conflist",
    ];
    cluster.copy("cp1", node, &files);
    let endpoint = cluster.address("cp1");
    cluster.must(
        node,
        &format!(
            "sed -i -E 's#\"subnet\": \"[^\"]*\"#\"subnet\": \"{pods}\"#' /etc/cni/net.d/10-rekindle.conflist
             echo '{endpoint} api.wayout.internal' >>/etc/hosts
             systemctl daemon-reload && systemctl enable -q --now containerd && systemctl enable -q kubelet"
        ),
    );
}

fn join_command(cluster: &LabCluster) -> String {
    let line = cluster.must("cp1", "kubeadm token create --print-join-command");
    assert!(line.starts_with("kubeadm join api.wayout.internal:6443 --token "), "{line}");
    line.trim().to_owned()
}

fn a_worker_joins(cluster: &LabCluster) {
    prepare(cluster, "w2", "10.244.200.0/24");
    cluster.must("w2", &format!("{} {JOIN}", join_command(cluster)));
    cluster.nodes_are_ready(&["w2"]);
}

fn a_control_plane_joins(cluster: &LabCluster, key: &str) {
    prepare(cluster, "cp4", "10.244.201.0/24");
    let join = join_command(cluster);
    let address = cluster.address("cp4");
    cluster.must(
        "cp4",
        &format!(
            "{join} --control-plane --certificate-key {key} --apiserver-advertise-address {address} {JOIN}"
        ),
    );
    cluster.nodes_are_ready(&["cp4"]);
    cluster.must("cp4", "curl -ksf -m 5 https://127.0.0.1:6443/readyz");
}

fn kubeadm_knows_the_certificates_and_the_version(cluster: &LabCluster) {
    for node in ["cp1", "cp4"] {
        let said = cluster.must(node, "kubeadm certs check-expiration");
        // It leaves the nodes of the first `up` when its work is done; a joined one never had it.
        assert_eq!(said.matches("!MISSING!").count(), 1, "{said}");
        assert!(said.contains("!MISSING! super-admin.conf"), "{said}");
        assert_eq!(said.matches(" 364d ").count(), 10, "{said}");
        assert_eq!(said.matches(" 9y ").count(), 3, "{said}");
    }
    let before = cluster.must("cp1", "cat /etc/kubernetes/pki/apiserver.crt");
    cluster.must("cp1", "kubeadm certs renew all");
    assert_ne!(cluster.must("cp1", "cat /etc/kubernetes/pki/apiserver.crt"), before);
    let said = cluster.must("cp1", "kubeadm upgrade plan v1.36.3");
    assert!(said.contains("Cluster version: 1.36.3"), "{said}");
}

fn up_leaves_alone_what_joined_and_was_renewed(cluster: &LabCluster) {
    let renewed = "sha256sum /etc/kubernetes/pki/apiserver.crt /etc/kubernetes/admin.conf /etc/kubernetes/pki/etcd/peer.crt";
    let before = cluster.must("cp1", renewed);
    assert_eq!(cluster.run("up").expect(0).result()["changed"], 0);
    assert_eq!(cluster.must("cp1", renewed), before);
    cluster.nodes_are_ready(&["cp4", "w2"]);
    let status = cluster.run("status").expect(5).result();
    assert_eq!(cluster.members(&status), ["cp1", "cp2", "cp3", "cp4"]);
    assert_eq!(
        status["complaints"].to_string(),
        r#"["cp4: a member of etcd that the inventory does not know"]"#
    );
    let table = cluster.program.run(&["status", "-i"]).arg(&cluster.inventory).expect(5).stdout;
    let foreign = |line: &&str| line.contains("not in the file");
    let found: Vec<&str> = table.lines().filter(foreign).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(found, ["cp4", "w2"], "{table}");
}

fn what_joined_is_reset(cluster: &LabCluster) {
    for node in ["w2", "cp4"] {
        cluster.must(node, "kubeadm reset --force");
        cluster.must(node, "[ ! -e /etc/kubernetes/kubelet.conf ] && [ ! -e /var/lib/etcd/member ]");
    }
    cluster.kubectl("delete node cp4 w2");
    assert_eq!(cluster.run("up").expect(0).result()["changed"], 0);
    let status = cluster.run("status").expect(0).result();
    assert_eq!(cluster.members(&status), ["cp1", "cp2", "cp3"]);
}

/// kubeadm takes its member out of etcd; `up` lays it again, as a learner first.
fn a_node_of_ours_is_reset_and_comes_back(cluster: &LabCluster) {
    cluster.must("cp3", "kubeadm reset --force");
    let status = cluster.run("status").expect(5).result();
    assert_eq!(cluster.members(&status), ["cp1", "cp2"]);
    cluster.run("up").expect(0);
    cluster.eventually("all is well", Duration::from_secs(120), || cluster.run("status").code() == 0);
    let status = cluster.run("status").expect(0).result();
    assert_eq!(cluster.members(&status), ["cp1", "cp2", "cp3"]);
    cluster.must("cp3", &format!("{KUBECTL} --server https://127.0.0.1:6443 get node cp3"));
}
