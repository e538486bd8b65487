//! A rebuild that is killed (SIGKILL, with all that it started here) at any moment, and run again: it ends in the same
//! cluster, and the living worker does not notice.

use crate::lab_cluster::{ETCDCTL, LabCluster};
use std::time::{Duration, Instant};

const CONTROL_PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];

/// What a lane or a step that was killed must not leave for good.
const LITTER: &str = "systemctl list-units --all --plain --no-legend 'rekindle-lane*'
    find /etc /usr/local/bin /opt/cni -name '.*.rekindle'
    find /var/lib/rekindle /var/lib -maxdepth 2 -name '*.part' -o -maxdepth 2 -name '*laying'";

/// What must be the same whatever happened: objects by their UIDs, and processes on the worker.
#[derive(Debug, PartialEq, Eq)]
pub struct Same {
    objects: String,
    processes: String,
}

/// Objects of a person's, and a generation that has them; one object more that has not been there.
pub fn lived(cluster: &LabCluster) -> Same {
    cluster.kubectl("create deployment web --image=registry.k8s.io/pause:3.10.2 --replicas=2");
    cluster.kubectl("create secret generic kept --from-literal=a=b");
    cluster.kubectl("rollout status deployment web --timeout=90s");
    cluster.run("snapshot").expect(0);
    let same = same(cluster);
    cluster.kubectl("create configmap later");
    same
}

/// As it is now.
pub fn same(cluster: &LabCluster) -> Same {
    let columns = "-o custom-columns=:kind,:metadata.name,:metadata.uid --no-headers";
    let objects = cluster.kubectl(&format!("get namespaces,secrets,deployments,pods {columns}"));
    let processes = cluster.must("w1", "ctr -n k8s.io tasks ls | sort");
    Same { objects, processes }
}

/// Wipes the control planes, kills the rebuild after so long, and runs it again to its end. Tells how long that took, and
/// whether it was killed before its end.
pub fn killed_after(cluster: &LabCluster, after: Option<Duration>, expected: &Same) -> (Duration, bool) {
    cluster.wipe(&CONTROL_PLANES);
    let rebuild = || cluster.run("rebuild").arg(format!("--old-cluster-is-gone={}", cluster.name()));
    let killed = after.is_some_and(|after| rebuild().kill_all_after(after));
    let start = Instant::now();
    let ended = rebuild().ended();
    assert_eq!(ended.code, 0, "killed after {after:?}: {}\n{}", ended.stdout, ended.stderr);
    let took = start.elapsed();
    is_whole(cluster, expected);
    (took, killed)
}

/// The same cluster, and nothing of another one.
fn is_whole(cluster: &LabCluster, expected: &Same) {
    let nodes = ["cp1", "cp2", "cp3", "w1"];
    cluster.nodes_are_ready(&nodes);
    cluster.eventually("all is well", Duration::from_secs(60), || cluster.run("status").code() == 0);
    assert_eq!(same(cluster), *expected);
    assert!(
        cluster.on("cp1", "kubectl --kubeconfig=/etc/kubernetes/admin.conf get configmap later").is_err()
    );
    let status = cluster.run("status").expect(0).result();
    assert_eq!(cluster.members(&status), CONTROL_PLANES);
    for what in ["nodes", "csinodes", "leases -n kube-node-lease"] {
        let found = cluster.kubectl(&format!("get {what} --no-headers -o custom-columns=:metadata.name"));
        assert_eq!(found.split_whitespace().collect::<Vec<_>>(), nodes, "{what}");
    }
    let endpoints =
        cluster.kubectl("get endpointslices kubernetes -o 'jsonpath={.endpoints[*].addresses[*]}'");
    assert_eq!(endpoints.split_whitespace().count(), 3, "{endpoints}");
    let alarms = cluster.must("cp1", &format!("{ETCDCTL} alarm list"));
    assert_eq!(alarms, "");
    for node in nodes {
        assert_eq!(cluster.must(node, LITTER), "", "{node}");
    }
    let up = cluster.run("up").expect(0).result();
    assert_eq!(up["changed"], 0, "{up}");
}
