//! The same cluster again on a real lab, from a machine that has a kit and an identity and nothing else: one node has
//! another name by now, and two were installed anew.

use crate::killed_rebuild::{killed_after, lived};
use crate::lab_cluster::LabCluster;
use crate::program::{Run, with_labs};
use std::time::{Duration, Instant};

#[test]
fn a_kit_and_an_identity_are_enough() {
    with_labs(|program| {
        let cluster = LabCluster::machines(program, "kit", &[], &[]);
        cluster.edit(|text| text.replace("payload = false", "payload = true"));
        cluster.run("up").expect(0);
        let expected = lived(&cluster);
        let lives = cluster.run("rebuild").arg("--old-cluster-is-gone=kit").expect(2);
        assert!(lives.stdout.contains("the cluster kit lives: its etcd has a quorum"), "{}", lives.stdout);

        // Somewhere in the middle; every_kill goes through all of it.
        let seed =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_millis();
        let after = Duration::from_millis(5_000 + u64::from(seed) * 30);
        let (took, killed) = killed_after(&cluster, Some(after), &expected);
        println!("killed ({killed}) after {after:?}, went on for {took:?}");

        from_nothing(&cluster);
    });
}

/// The operator's machine burnt, and all nodes.
fn from_nothing(cluster: &LabCluster) {
    let uids = "get secrets,deployments -o custom-columns=:metadata.name,:metadata.uid --no-headers";
    let before = cluster.kubectl(uids);
    let desk = tempfile::tempdir().unwrap();
    let at = |name: &str| desk.path().join(name);
    let kit = cluster.program.run(&["archive", "kit", "-i"]).arg(&cluster.inventory).arg("--to");
    kit.arg(at("kit.txt")).expect(0);
    let own = cluster.program.home().join(".config/rekindle/identity.txt");
    std::fs::copy(own, at("identity.txt")).unwrap();
    let (ssh, known) = (cluster.lab.key(), std::fs::read_to_string(cluster.lab.known_hosts()).unwrap());
    cluster.wipe(&["cp1", "cp2", "cp3", "w1"]);
    let anew = "rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl restart ssh; cat /etc/ssh/ssh_host_ed25519_key.pub";
    let mut lines: Vec<String> = known.lines().map(str::to_owned).collect();
    for node in ["cp2", "cp3"] {
        let (at, key) = (format!("{} ", cluster.address(node)), cluster.must(node, anew));
        lines.retain(|line| !line.starts_with(&at));
        lines.push(at + key.trim());
    }
    std::fs::write(cluster.lab.known_hosts(), lines.join("\n") + "\n").unwrap();

    let start = Instant::now();
    let w1 = format!("w1=n1@{}", cluster.address("w1"));
    let on_desk =
        |run: Run| run.folder(desk.path()).home(desk.path()).arg("--identity").arg(at("identity.txt"));
    let rebuild = |more: &[&str]| {
        let run =
            cluster.program.run(&["rebuild", "--kit", "kit.txt", "--old-cluster-is-gone=kit", "--map", &w1]);
        more.iter().fold(on_desk(run.arg("--ssh-identity").arg(&ssh)), |run, more| run.arg(more))
    };
    let refused = rebuild(&[]).ended();
    assert!(refused.code == 2 && refused.stderr.contains("--reinstalled cp2"), "{refused:#?}");
    let ended = rebuild(&["--reinstalled", "all", "--accept-new", "--fenced", "w1"]).expect(0);
    println!("by kit: {:.0} s", start.elapsed().as_secs_f64());
    assert!(ended.stderr.contains("the inventory is kit.toml"), "{}", ended.stderr);

    let on = |verb: &[&str]| on_desk(cluster.program.run(verb).arg("-i").arg("kit.toml"));
    cluster.nodes_are_ready(&["cp1", "cp2", "cp3", "n1"]);
    assert_eq!(cluster.kubectl(uids), before);
    let names = cluster.kubectl("get nodes --no-headers -o custom-columns=:metadata.name");
    assert_eq!(names.split_whitespace().collect::<Vec<_>>(), ["cp1", "cp2", "cp3", "n1"]);
    cluster.kubectl("rollout status deployment web --timeout=120s");
    cluster.eventually("all is well", Duration::from_secs(60), || on(&["status"]).code() == 0);
    on(&["plan", "--exit-code"]).expect(0);
    // The same again has nothing to do.
    let again = rebuild(&["--fenced", "w1"]).expect(0);
    assert!(again.stderr.contains("the cluster of this epoch stands"), "{}", again.stderr);
}
