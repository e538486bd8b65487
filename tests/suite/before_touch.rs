//! No cluster is changed before its etcd is sealed; and a sick one can be mended all the same.

use crate::lab_cluster::LabCluster;

/// A program that every snapshot needs goes missing on all control planes, and `up` would put it back.
pub fn a_cluster_is_sealed_before_it_is_changed(cluster: &LabCluster) {
    let control_planes = ["cp1", "cp2", "cp3"];
    let break_on = |node: &str| drop(cluster.must(node, "chmod -x /usr/local/bin/etcdutl"));
    let works_on = |node: &str| cluster.on(node, "etcdutl version").is_ok();
    let before = cluster.generations();

    // Two are broken: the third gives the generation.
    control_planes[..2].iter().for_each(|node| break_on(node));
    cluster.run("up").expect(0);
    let after = cluster.generations();
    assert_eq!(after.len(), before.len() + 1, "{after:?}");
    assert_eq!((&after[0]["counts"], &after[0]["node"]), (&true.into(), &"cp3".into()), "{}", after[0]);

    // None can: nothing is changed, unless a person says so.
    control_planes.iter().for_each(|node| break_on(node));
    let refused = cluster.run("up").expect(2);
    assert!(refused.stdout.contains("--without-snapshot"), "{}", refused.stdout);
    assert!(!control_planes.iter().any(|node| works_on(node)), "something was changed");
    cluster.run("up").arg("--without-snapshot").expect(0);
    assert!(control_planes.iter().all(|node| works_on(node)));
    assert_eq!(cluster.generations().len(), after.len());
}
