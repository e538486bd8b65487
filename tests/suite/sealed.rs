//! A running cluster seals itself: by the control planes' timers, at two buckets of real S3 servers and in the
//! operator's folder; what is missing is said and made good, what differs is not proven.

use crate::bucket::{Bucket, KEYS};
use crate::daily;
use crate::killed::{self, again};
use crate::lab_cluster::{ETCDCTL, LabCluster};
use serde_json::Value;
use std::time::Duration;

const CONTROL_PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];

/// Sets two buckets and a timer up, and takes them away again.
pub fn generations_are_sealed_at_several_places(cluster: &LabCluster) {
    let gateway = cluster.gateway();
    let (one, mut two) = (Bucket::start(gateway, 9001), Bucket::start(gateway, 9002));
    std::fs::write(cluster.lab.dir().join("s3.ini"), KEYS).unwrap();
    let before = std::fs::read_to_string(&cluster.inventory).unwrap();
    let places = format!(
        "to = [\"./archive\", {}, {}]\nevery = \"1h\"",
        one.destination("prod", "s3.ini"),
        two.destination("prod", "s3.ini")
    );
    cluster.edit(|text| text.replace("to = \"./archive\"", &places));
    daily::something_to_find(cluster);
    cluster.run("up").expect(0);
    cluster.run("up").expect(0);

    // The timers run once when they are started; one control plane works, whoever waited finds it done.
    cluster.eventually("a control plane's generation counts", Duration::from_secs(120), || {
        cluster
            .generations()
            .first()
            .is_some_and(|one| is_by_a_node(one) && one["counts"] == true && places_of(one) == 2)
    });
    for node in CONTROL_PLANES {
        // The last thing that a node's own run does.
        let told = "grep -q '^rekindle_archive_debts 0$' /run/rekindle-archive/rekindle.prom";
        cluster.eventually("each node's run ended well", Duration::from_secs(60), || {
            cluster.on(node, told).is_ok()
        });
        let left = "pgrep -xc etcd; ls /var/lib/rekindle/snapshot 2>/dev/null || :";
        assert_eq!(cluster.must(node, left), "1\n", "{node}: nothing but the member");
    }
    for node in CONTROL_PLANES {
        let told = "grep -c '^rekindle_certificate_expiry_timestamp_seconds{' /run/rekindle-archive/certificates.prom";
        let certificates: u32 = cluster.must(node, told).trim().parse().unwrap();
        assert!(certificates >= 14, "{node}: {certificates} certificates and kubeconfigs");
    }
    let by_node = cluster.generations().iter().filter(|one| is_by_a_node(one)).count();
    assert_eq!(by_node, 1, "the others found that it was done");
    daily::the_first_of_a_day_is_booted_by_its_node(cluster, &cluster.generations()[0], &again());
    // No key that opens anything lies on a node.
    let found = cluster
        .must("cp1", "grep -rlE 'AGE-SECRET-KEY|OPENSSH PRIVATE KEY' /etc/rekindle /var/lib/rekindle* || :");
    assert_eq!(found, "");

    // A bucket dies: debt, said by the unit and by status; when it is back, the same bytes are brought to it.
    two.end();
    assert!(cluster.on("cp1", &again()).is_err(), "the unit fails");
    assert!(
        cluster
            .must("cp1", "journalctl -u rekindle-upload -o cat | tail -n 20")
            .contains("debt: s3://backups/prod")
    );
    let newest = cluster.generations().remove(0);
    assert_eq!((places_of(&newest), newest["counts"].as_bool()), (1, Some(true)), "{newest}");
    cluster.run("status").expect(5);
    two.serve();
    cluster.must("cp2", "systemctl start rekindle-upload");
    let mended = cluster.generations().remove(0);
    assert_eq!((&mended["generation"], places_of(&mended)), (&newest["generation"], 2), "{mended}");
    // Nodes owe nothing to the operator's folder; his next run brings the newest there.
    assert_eq!(mended["at"].as_array().unwrap().len(), 2, "{mended}");
    cluster.run("up").expect(0);
    let brought = cluster.generations().remove(0);
    assert_eq!((&brought["generation"], brought["at"].as_array().unwrap().len()), (&newest["generation"], 3));
    cluster.run("status").expect(0);

    // Whoever holds the lock dies: another goes on.
    let hold = format!(
        "{ETCDCTL} lock rekindle/snapshot/lock --ttl=10 -- sleep 600 >/dev/null 2>&1 & sleep 2; kill -9 $!; pkill -9 -f '^sleep 600$'"
    );
    cluster.must("cp1", &hold);
    cluster.must("cp2", &again());
    assert!(cluster.generations()[0]["revision"].as_u64() > newest["revision"].as_u64());

    killed::snapshots_at(cluster, 3);

    // A key that somebody changed on one node: the snapshot is there, and not proven.
    cluster.must("cp2", "cp -a /etc/kubernetes/pki/sa.key /root/sa.key && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out /etc/kubernetes/pki/sa.key");
    let doubted = cluster.run("snapshot").arg("--node").arg("cp2").expect(5).result();
    assert_eq!(doubted["proven"], false, "{doubted}");
    assert!(doubted["doubts"][0].as_str().unwrap().contains("`sa`"), "{doubted}");
    // `up` shows it and leaves it; --overwrite puts the archived one back.
    assert!(cluster.run("up").expect(0).stdout.contains("kept"));
    cluster.run("up").arg("--overwrite").expect(0);
    cluster.must("cp2", "cmp /root/sa.key /etc/kubernetes/pki/sa.key && rm /root/sa.key");
    let doubted = cluster.generations().into_iter().find(|one| one["generation"] == doubted["generation"]);
    assert_eq!(doubted.unwrap()["counts"], false);
    assert_eq!(
        cluster.generations()[0]["counts"],
        true,
        "`up` sealed the cluster before it put the key back"
    );

    another_machine_proves_it(cluster);

    // Without a place that nodes can write there is no timer, and nothing of it on the nodes.
    std::fs::write(&cluster.inventory, before).unwrap();
    cluster.run("up").expect(0);
    for node in CONTROL_PLANES {
        let left = "ls -d /etc/rekindle/archive /etc/systemd/system/rekindle-snapshot.timer 2>/dev/null || :";
        assert_eq!(cluster.must(node, left), "", "{node}");
        cluster.must(node, "! systemctl is-active --quiet rekindle-snapshot.timer");
    }
}

/// A colleague with an empty home, the inventory and the identity boots the newest proven generation, and reads it.
fn another_machine_proves_it(cluster: &LabCluster) {
    let made = cluster.run("snapshot").expect(0).result();
    let name = made["generation"].as_str().unwrap();
    let home = tempfile::tempdir().unwrap();
    let identity = home.path().join("identity");
    std::fs::copy(cluster.program.home().join(".config/rekindle/identity.txt"), &identity).unwrap();
    let theirs = |verb: &[&str]| {
        // The cache is the machine's: programs take minutes to build.
        let run = cluster.program.run(verb).arg("-i").arg(&cluster.inventory).env("HOME", home.path());
        run.arg("--trust-on-first-use").arg("--identity").arg(&identity)
    };
    let place = cluster.generations()[0]["at"][1].as_str().unwrap().to_owned();
    assert!(place.starts_with("s3://"), "{place}");
    let drilled = theirs(&["drill", "--output", "json"]).arg("--from").arg(place).arg(name);
    let drilled = drilled.expect(0).result();
    assert_eq!((&drilled["proven"], &drilled["generation"]), (&true.into(), &name.into()), "{drilled}");
    let proven = cluster.generations().into_iter().find(|one| one["generation"] == *name).unwrap();
    assert_eq!(proven["proofs"][0]["level"], "L4", "{proven}");
    let answer =
        theirs(&["at"]).arg(name).arg("--").arg("get").arg("namespace").arg("kube-system").arg("-oname");
    assert_eq!(answer.expect(0).stdout, "namespace/kube-system\n");
    let to = home.path().join("recovered");
    theirs(&["archive", "extract", "--generation", name, "--all"]).arg(&to).expect(0);
    for file in ["etcd/snapshot.db", "pki/ca.key", "inventory.toml", "nodes.json"] {
        assert!(std::fs::metadata(to.join(file)).unwrap().len() > 0, "{file}");
    }
}

fn is_by_a_node(one: &Value) -> bool {
    CONTROL_PLANES.iter().any(|node| one["signed_by"] == *node)
}

/// Buckets that hold it.
fn places_of(one: &Value) -> usize {
    one["at"].as_array().unwrap().iter().filter(|at| at.as_str().unwrap().starts_with("s3://")).count()
}
