//! A person's recovery without rekindle: the archive of the real cluster, opened by the lines of its own
//! `RECOVER.txt`, and its snapshot restored by the command that stands there.

use crate::lab_cluster::LabCluster;
use std::path::Path;
use std::process::Command;

/// Where the person works on a node, off the cluster's own files.
const BENCH: &str = "/var/lib/by-hand";

/// With age, zstd and sha256sum here, and etcdutl on a node.
pub fn the_archive_opens_and_its_snapshot_restores(cluster: &LabCluster) {
    let work = tempfile::tempdir().unwrap();
    let archive = work.path().join("archive");
    let from = cluster.inventory.parent().unwrap().join("archive");
    assert!(Command::new("cp").arg("-r").args([&from, &archive]).status().unwrap().success());
    let page = std::fs::read_to_string(archive.join("RECOVER.txt")).unwrap();
    let identity = cluster.program.home().join(".config/rekindle/identity.txt");
    let out = work.path().join("recovered");
    let typed: String = page
        .lines()
        .filter_map(|line| line.strip_prefix("    $ "))
        // Step 6 needs the root key, which is printed on paper.
        .filter(|line| {
            !["ROOT", "root.der", "openssl", "body", "signature"].iter().any(|word| line.contains(word))
        })
        .map(|line| match line.split_once('=') {
            Some(("KEY", _)) => format!("KEY={}\n", identity.display()),
            Some(("OUT", _)) => format!("OUT={}\n", out.display()),
            _ => format!("{line}\n"),
        })
        .collect();
    let output = Command::new("sh").arg("-c").arg(&typed).current_dir(&archive).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{typed}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("nobody has tried this snapshot"), "{said}");
    for file in ["pki/ca.key", "pki/sa.key", "inventory.toml", "kubeadm/cp1.yaml"] {
        assert!(out.join("files").join(file).exists(), "{file}");
    }
    restores(cluster, &page, &out.join("files/etcd/snapshot.db"));
}

/// Step 9 on a node, in a folder of its own, and an etcd on what comes of it.
fn restores(cluster: &LabCluster, page: &str, snapshot: &Path) {
    let bench = cluster.lab.host_path("cp1", BENCH).unwrap();
    std::fs::create_dir_all(&bench).unwrap();
    std::fs::copy(snapshot, bench.join("snapshot.db")).unwrap();
    let begin = page.find("      etcdutl snapshot restore").unwrap();
    let command = page[begin..].split("\n\n").next().unwrap();
    let command = command
        .replace("\"$OUT/files/etcd/snapshot.db\"", "snapshot.db")
        .replace("/var/lib/etcd", "data")
        .replace("NODE", "cp1")
        .replace("ADDRESS", &cluster.address("cp1"));
    let etcd = "etcd --name cp1 --data-dir data --unsafe-no-fsync --log-level error --listen-client-urls unix://client:1 \
                --advertise-client-urls unix://client:1 --listen-peer-urls unix://peer:1 >etcd.log 2>&1 & pid=$!";
    let ask = "etcdctl --endpoints=unix://client:1 get /registry/namespaces/kube-system --keys-only";
    let script = format!(
        "cd {BENCH}\n{command} >restore.log 2>&1 || {{ cat restore.log; exit 1; }}\n{etcd}\n\
         for _ in $(seq 100); do found=$({ask} 2>/dev/null) && break; sleep 0.1; done\n\
         kill -9 $pid; cd /; rm -rf {BENCH}; echo $found"
    );
    assert_eq!(cluster.must("cp1", &script), "/registry/namespaces/kube-system\n");
}
