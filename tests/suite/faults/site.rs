//! A lab whose cluster comes to be under faults, and what must hold of it whatever happened.

use super::link::Link;
use crate::lab_cluster::{KUBECTL, LabCluster};
use crate::program::Run;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::scope;
use std::time::Duration;

pub const CONTROL_PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];
pub const NODES: [&str; 4] = ["cp1", "cp2", "cp3", "w1"];

/// What never changes once it is there. One `key value` a line.
const IDENTITY: &str = "cd /etc/kubernetes/pki 2>/dev/null || exit 0
    echo \"mark $(cat /var/lib/rekindle/cluster)\"
    for file in ca.crt etcd/ca.crt front-proxy-ca.crt sa.pub; do [ ! -e $file ] || echo \"$file $(sha256sum <$file)\"; done
    [ -e /etc/kubernetes/admin.conf ] || exit 0
    uid=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=2s get namespace kube-system -o jsonpath='{.metadata.uid}' 2>/dev/null) &&
        echo \"uid $uid\"
    id=$(etcdctl --endpoints=https://127.0.0.1:2379 --cacert=etcd/ca.crt --cert=etcd/healthcheck-client.crt --key=etcd/healthcheck-client.key \\
        --dial-timeout=1s --command-timeout=2s endpoint status -w fields 2>/dev/null | sed -n 's/^\"ClusterID\" : //p')
    [ -z \"$id\" ] || echo \"etcd $id\"";

/// What a lane or a step that was killed must not leave for good.
const LITTER: &str = "systemctl list-units --all --plain --no-legend 'rekindle-lane*'
    find /run/rekindle -size +0 \\( -name lane -o -name '*.in' -o -name why -o -name said -o -name acted \\)
    find /etc /usr/local/bin /opt/cni -name '.*.rekindle'
    find /var/lib/rekindle /var/lib -maxdepth 2 -name '*.part' -o -maxdepth 2 -name '*laying' -o -maxdepth 2 -name '*joining'";

pub struct Site {
    pub cluster: LabCluster,
    seen: Mutex<BTreeMap<String, String>>,
}

impl Site {
    pub fn new(cluster: LabCluster) -> Self {
        Self { cluster, seen: Mutex::default() }
    }

    pub fn up(&self) -> Run {
        self.cluster.run("up")
    }

    pub fn archive(&self) -> PathBuf {
        self.cluster.lab.dir().join("archive")
    }

    /// Looks at a node; who a cluster is must be what it was when somebody looked first.
    pub fn look(&self, node: &str) {
        let said = self.cluster.must(node, IDENTITY);
        let mut seen = self.seen.lock().unwrap();
        for (key, value) in said.lines().filter_map(|line| line.split_once(' ')) {
            let first = seen.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            assert_eq!(first, value, "{node}: {key} changed");
        }
    }

    /// What runs there for an operator is killed with all its children.
    pub fn kill_lanes(&self, nodes: &[&str]) {
        let kill = "systemctl kill --signal=KILL rekindle-lane.service 2>/dev/null; :";
        scope(|scope| {
            for node in nodes {
                scope.spawn(|| self.cluster.must(node, kill));
            }
        });
    }

    /// Nodes lose their power.
    pub fn power_off(&self, nodes: &[&str]) {
        nodes.iter().for_each(|node| self.cluster.lab.kill(node).unwrap());
    }

    pub fn power_on(&self, nodes: &[&str]) {
        nodes.iter().for_each(|node| self.cluster.lab.start(node).unwrap());
    }

    /// Empty machines that are off, no archive: what comes is another cluster.
    pub fn wipe(&self) {
        self.power_off(&NODES);
        NODES.iter().for_each(|node| self.cluster.lab.wipe(node).unwrap());
        std::fs::remove_dir_all(self.archive()).unwrap();
        self.seen.lock().unwrap().clear();
    }

    /// From now on `up` reaches the node by way of a link that can be cut.
    pub fn link(&self, node: &str) -> Link {
        let address = self.cluster.address(node);
        let link = Link::to(format!("{address}:22").parse().unwrap());
        let known = self.cluster.lab.known_hosts();
        let lines = std::fs::read_to_string(&known).unwrap();
        let key = lines.lines().find_map(|line| line.strip_prefix(&format!("{address} "))).unwrap();
        let at = format!("127.0.0.1:{}", link.port());
        std::fs::write(&known, format!("{lines}[127.0.0.1]:{} {key}\n", link.port())).unwrap();
        let plain = format!("address = \"{address}\"");
        self.cluster.edit(|text| text.replace(&plain, &format!("{plain}, ssh = \"{at}\"")));
        link
    }

    /// `up` reaches the node as before.
    pub fn unlink(&self, link: Link) {
        let at = format!(", ssh = \"127.0.0.1:{}\"", link.port());
        self.cluster.edit(|text| text.replace(&at, ""));
    }

    /// One whole cluster, the one that it was from the first day, and nothing of what went wrong.
    pub fn assert_whole(&self) {
        self.cluster.nodes_are_ready(&NODES);
        self.cluster
            .eventually("all is well", Duration::from_secs(60), || self.cluster.run("status").code() == 0);
        let status = self.cluster.run("status").expect(0).result();
        assert_eq!(self.cluster.members(&status), CONTROL_PLANES);
        for node in NODES {
            self.look(node);
        }
        let keys: Vec<_> = self.seen.lock().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["ca.crt", "etcd", "etcd/ca.crt", "front-proxy-ca.crt", "mark", "sa.pub", "uid"]);
        for node in CONTROL_PLANES {
            self.cluster.must(node, "curl -ksf -m 5 https://127.0.0.1:6443/readyz");
        }
        let before = self.generations();
        let again = self.up().expect(0).result();
        assert_eq!(again["changed"], 0, "{again}");
        assert_eq!(self.generations(), before, "the archive knew it all");
        for node in NODES {
            assert_eq!(self.cluster.must(node, LITTER), "", "{node}");
        }
    }

    /// An object that must not get lost, from as soon as the API takes it.
    pub fn write_canary(&self) {
        let _ = self
            .cluster
            .on("cp1", &format!("{KUBECTL} --request-timeout=2s create configmap canary 2>/dev/null"));
    }

    pub fn assert_canary_lives(&self) {
        self.cluster.kubectl("get configmap canary");
    }

    /// Whether the archive says that etcd had a quorum.
    pub fn is_born(&self) -> bool {
        let manifests = std::fs::read_dir(self.archive().join("gen")).unwrap();
        let mut texts = manifests.map(|manifest| std::fs::read_to_string(manifest.unwrap().path()).unwrap());
        texts.any(|text| text.replace(' ', "").contains("\"born\":true"))
    }

    fn generations(&self) -> usize {
        std::fs::read_dir(self.archive().join("gen")).unwrap().count()
    }
}
