//! A cluster that plain `kubeadm init` and joins made, on lab nodes: adopted without a change, then asked, sealed again,
//! booted, and given a timer.

use crate::bucket::{Bucket, KEYS};
use crate::lab_cluster::{KUBECTL, LabCluster};
use crate::program::{Run, with_labs};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ENDPOINT: &str = "api.theirs.example";
/// Nodes that share a kernel do not pass kubeadm's own checks.
const ANYWAY: &str = "--ignore-preflight-errors=all";
const CONTROL_PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];
const NODES: [&str; 4] = ["cp1", "cp2", "cp3", "w1"];

#[test]
fn a_cluster_of_somebody_elses_gets_the_same_safety() {
    with_labs(|program| {
        let cluster = LabCluster::machines(program, "adopted", &[], &[]);
        let site = Adopted { cluster };
        site.refuses_what_is_no_control_plane();
        site.cluster.run("up").expect(0);
        site.seals_anew_what_lost_its_archive();
        site.is_made_by_kubeadm();
        let before = site.state();
        site.adopts();
        site.works();
        unchanged(&before, &site.state());
        let inventory = std::fs::read_to_string(site.inventory()).unwrap();
        site.is_scheduled();
        std::fs::write(site.inventory(), inventory).unwrap();
        site.comes_back();
    });
}

/// Says which lines differ, and not all of them.
fn unchanged(before: &[String], after: &[String]) {
    let lines = |state: &[String]| -> BTreeSet<String> {
        state.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
    };
    let (before, after) = (lines(before), lines(after));
    let changed: Vec<&String> = before.symmetric_difference(&after).collect();
    assert!(changed.is_empty(), "something of the cluster was changed: {changed:#?}");
}

/// The cluster, and the inventory that `adopt` writes beside the lab's own.
pub struct Adopted {
    pub cluster: LabCluster,
}

impl Adopted {
    /// The inventory that `adopt` writes.
    pub fn inventory(&self) -> PathBuf {
        self.cluster.lab.dir().join("theirs/prod.toml")
    }

    /// A verb on it.
    pub fn run(&self, words: &[&str]) -> Run {
        self.cluster.program.run(words).arg("-i").arg(self.inventory())
    }

    /// Plain kubeadm: init, then joins, one after the other.
    pub fn is_made_by_kubeadm(&self) {
        // `up` brought containerd, units and the pod network; its cluster goes again.
        let cluster = &self.cluster;
        let first = cluster.address("cp1");
        std::thread::scope(|scope| {
            for node in NODES {
                let scripts = concat!(include_str!("../bench/reset.sh"), include_str!("adopted/made.sh"));
                let script = format!("{scripts}\necho '{first} {ENDPOINT}' >>/etc/hosts\n");
                scope.spawn(move || cluster.must(node, &script));
            }
        });
        let config = include_str!("adopted/kubeadm.yaml").replace("ADDRESS", &first);
        cluster.must(
            "cp1",
            &format!("cat >/root/init.yaml <<'END'\n{config}END\nkubeadm init --config /root/init.yaml --upload-certs {ANYWAY} >/root/init.log 2>&1"),
        );
        let key = cluster.must("cp1", "sed -n 's/.*--certificate-key //p' /root/init.log | head -n 1");
        let join = cluster
            .must("cp1", "KUBECONFIG=/etc/kubernetes/admin.conf kubeadm token create --print-join-command");
        let join = |node: &str, more: &str| {
            cluster.must(
                node,
                &format!("{} {more} --node-name {node} {ANYWAY} >/run/join.log 2>&1", join.trim()),
            );
        };
        for node in ["cp2", "cp3"] {
            let own = cluster.address(node);
            join(
                node,
                &format!(
                    "--control-plane --certificate-key {} --apiserver-advertise-address {own}",
                    key.trim()
                ),
            );
        }
        join("w1", "");
        cluster.nodes_are_ready(&NODES);
        cluster.kubectl("-n kube-system rollout status deployment coredns --timeout=120s");
        cluster.kubectl("-n kube-system wait --for=condition=Ready --timeout=120s pod --all");
        cluster.kubectl("create secret generic theirs --from-literal=word=xyzzy");
    }

    /// All identities are gone and the cluster lives: it is adopted into a new archive, under its own mark.
    fn seals_anew_what_lost_its_archive(&self) {
        let at = format!("root@{}", self.cluster.address("cp2"));
        let out = self.inventory().with_file_name("anew.toml");
        let run = self.adopt_to(&at, &out).arg("--to").arg("./anew");
        let result = run.expect(0).result();
        assert_eq!(
            (&result["drilled"], &result["unsaid"]),
            (&true.into(), &Value::Array(Vec::new())),
            "{result}"
        );
        let status = self.cluster.program.run(&["status", "-i"]).arg(&out).expect(0).stdout;
        assert!(status.contains("CoreDNS 2/2 ready"), "{status}");
    }

    /// All its machines are empty, and it is built again; from then on it is ours, and `up` converges it.
    fn comes_back(&self) {
        let uid = "get secret theirs -o jsonpath='{.metadata.uid} {.data.word}'";
        let before = self.cluster.kubectl(uid);
        self.cluster.wipe(&NODES);
        self.run(&["rebuild", "--old-cluster-is-gone=theirs"]).expect(0);
        assert_eq!(self.cluster.kubectl(uid), before);
        self.cluster.nodes_are_ready(&NODES);
        let again = self.run(&["up", "--output", "json"]).expect(0).result();
        assert_eq!(again["changed"], 0, "{again}");
    }

    fn adopt(&self, ssh: &str, more: &[&str]) -> Run {
        more.iter().fold(self.adopt_to(ssh, &self.inventory()), |run, word| run.arg(word))
    }

    fn adopt_to(&self, ssh: &str, out: &Path) -> Run {
        let lab = &self.cluster.lab;
        let folder = lab.dir().join("theirs");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(lab.known_hosts(), folder.join("known_hosts")).unwrap();
        let run = self.cluster.program.run(&[
            "adopt",
            "--output",
            "json",
            "--ssh",
            ssh,
            "--source",
            "modules",
            "--no-payload",
        ]);
        run.arg("--ssh-identity").arg(lab.key()).arg("-o").arg(out)
    }

    fn refuses_what_is_no_control_plane(&self) {
        let at = |node: &str| format!("root@{}", self.cluster.address(node));
        let cases = [
            (
                self.adopt(&at("w1"), &[]),
                "no control plane of kubeadm: there is no /etc/kubernetes/manifests/kube-apiserver.yaml",
            ),
            (self.adopt("root@", &[]), "is no host"),
            (self.adopt(&at("w1").replace("root", "nobody"), &[]), "no cluster to adopt was found"),
        ];
        for (run, why) in cases {
            let said = run.expect(2).stdout;
            assert!(said.contains(why), "{why}: {said}");
        }
        assert!(!self.inventory().exists());
    }

    /// Files with their times, and objects with their versions, as far as they stand still by themselves.
    pub fn state(&self) -> Vec<String> {
        let files =
            "find /etc /usr /root /var/lib/kubelet /var/lib/etcd -xdev \\( -path /var/lib/etcd/member \
                     -o -path /var/lib/kubelet/pods \\) -prune -o -printf '%p %T@ %C@ %m %s\\n'
                     ls -A /var/lib | sed 's#^#/var/lib/#'; ls -A /run | grep -vx rekindle";
        let mut state: Vec<String> = NODES
            .iter()
            .map(|node| self.cluster.must(node, &format!("({files}) | sed 's/^/{node} /'")))
            .collect();
        // What its own controllers write all the time is left out.
        let objects = format!(
            "for kind in $({KUBECTL} api-resources --verbs=list -o name | grep -vE '^(events|leases|nodes|pods|componentstatuses|csinodes)|metrics'); do
             {KUBECTL} get $kind -A -o jsonpath='{{range .items[*]}}{{.kind}} {{.metadata.namespace}}/{{.metadata.name}} {{.metadata.uid}} {{.metadata.resourceVersion}}{{\"\\n\"}}{{end}}'; done
             {KUBECTL} get pods -A -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.metadata.uid}} {{.metadata.annotations}} {{.spec}} {{.status.containerStatuses[*].containerID}}{{\"\\n\"}}{{end}}'
             {KUBECTL} get nodes -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.metadata.labels}} {{.metadata.annotations}} {{.spec}}{{\"\\n\"}}{{end}}'"
        );
        // kubectl's own cache lies in a home.
        state
            .push(self.cluster.must("cp1", &format!("export HOME=/run/nothing.$$\n{objects}\nrm -rf $HOME")));
        state
    }

    /// One command, and everything that it wrote.
    pub fn adopts(&self) {
        let at = format!("root@{}", self.cluster.address("cp1"));
        let result = self.adopt(&at, &["--name", "theirs"]).expect(0).result();
        assert_eq!(
            (result["drilled"].as_bool(), result["due"].to_string()),
            (Some(true), "[]".to_owned()),
            "{result}"
        );
        let unsaid = result["unsaid"].as_array().unwrap();
        assert!(unsaid.len() == 1 && unsaid[0].as_str().unwrap().contains("--audit-log-path"), "{result}");
        let text = std::fs::read_to_string(self.inventory()).unwrap();
        for line in [
            "name = \"theirs\"",
            "endpoint = \"api.theirs.example:6443\"",
            "event-ttl = \"2h0m0s\"",
            "maxPods = 60",
            "trust = \"ed25519:",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        // The names and addresses are those of the lab's own inventory.
        let lab = std::fs::read_to_string(&self.cluster.inventory).unwrap();
        let nodes = |text: &str| {
            let parsed = inventory::parse("x", text).unwrap().cluster;
            parsed.nodes.into_iter().map(|node| (node.name, node.address, node.role)).collect::<Vec<_>>()
        };
        assert_eq!(nodes(&text), nodes(&lab));
        let again = self.adopt(&at, &[]).expect(2).stdout;
        assert!(again.contains("is there already"), "{again}");
        // Nothing is overwritten by way of another inventory's archive either.
        std::fs::rename(self.inventory(), self.inventory().with_extension("mine")).unwrap();
        std::fs::rename(
            self.inventory().with_extension("files"),
            self.inventory().with_file_name("mine.files"),
        )
        .unwrap();
        let again = self.adopt(&at, &[]).expect(2).stdout;
        assert!(again.contains("there is an archive already at ./archive"), "{again}");
        std::fs::rename(
            self.inventory().with_file_name("mine.files"),
            self.inventory().with_extension("files"),
        )
        .unwrap();
        std::fs::rename(self.inventory().with_extension("mine"), self.inventory()).unwrap();
    }

    /// Every verb that needs no takeover.
    pub fn works(&self) {
        let status = self.run(&["status", "--output", "json"]).expect(0).result();
        assert_eq!(status["complaints"].to_string(), "[]");
        assert_eq!(self.cluster.members(&status), CONTROL_PLANES);
        let made = self.run(&["snapshot", "--output", "json", "--node", "cp2"]).expect(0).result();
        assert_eq!(made["proven"], true, "{made}");
        let drilled = self.run(&["drill", "--output", "json"]).expect(0).result();
        assert_eq!(
            (&drilled["proven"], &drilled["generation"]),
            (&true.into(), &made["generation"]),
            "{drilled}"
        );
        let read = |ended: crate::program::Ended| ended.stdout;
        let secret = ["get", "secret", "theirs", "-o", "jsonpath={.data.word}"];
        let past = secret.iter().fold(self.run(&["at"]).arg("--"), |run, word| run.arg(word));
        assert_eq!(read(past.expect(0)), "eHl6enk=");
        let refused = self.run(&["up", "--output", "json"]).expect(2).stdout;
        assert!(refused.contains("does not take over a cluster yet: cp1, cp2, cp3, w1"), "{refused}");
        let plan = self.run(&["plan"]).expect(0).stdout;
        assert!(plan.contains("cp1: /usr/local/bin/etcdctl (is missing)"), "{plan}");
        let kubeconfig = self.run(&["kubeconfig"]).expect(0).stdout;
        let path = self.cluster.program.home().join("admin.conf");
        std::fs::write(&path, &kubeconfig).unwrap();
        assert!(
            kubeconfig.contains(&format!("server: https://{}:6443", self.cluster.address("cp1"))),
            "{kubeconfig}"
        );
    }

    /// The timer, by itself.
    pub fn is_scheduled(&self) {
        let refused = self.run(&["adopt", "--schedule", "--output", "json"]).expect(2).stdout;
        assert!(
            refused.contains("no place of the archive can be written by the control planes"),
            "{refused}"
        );
        let bucket = Bucket::start(self.cluster.gateway(), 9007);
        std::fs::write(self.inventory().with_file_name("s3.ini"), KEYS).unwrap();
        let text = std::fs::read_to_string(self.inventory()).unwrap();
        let to = format!("to = [\"./archive\", {}]", bucket.destination("theirs", "s3.ini"));
        std::fs::write(self.inventory(), text.replace("to = [\"./archive\"]", &to)).unwrap();
        let files = "find /etc/kubernetes /var/lib/kubelet/config.yaml -printf '%p %T@\\n' | sort";
        let before = CONTROL_PLANES.map(|node| self.cluster.must(node, files));
        self.run(&["adopt", "--schedule", "--output", "json"]).expect(0);
        assert_eq!(CONTROL_PLANES.map(|node| self.cluster.must(node, files)), before);
        assert!(self.cluster.on("w1", "ls /usr/local/bin/rekindle").is_err());
        self.cluster.eventually("a node took a generation and booted it", Duration::from_secs(180), || {
            let listed = self.run(&["archive", "list", "--output", "json"]).ended().result();
            let all = listed["generations"].as_array().cloned().unwrap_or_default();
            all.iter().any(|one| {
                let proofs = one["proofs"].as_array().cloned().unwrap_or_default();
                proofs.iter().any(|proof| {
                    proof["level"] == "L4" && proof["by"].as_str().is_some_and(|by| by.starts_with("cp"))
                })
            })
        });
        let again = self.run(&["adopt", "--schedule", "--output", "json"]).expect(0).result();
        assert_eq!(again["changed"], 0, "{again}");
        self.run(&["status"]).expect(0);
    }
}
