//! A cluster on a lab of its own: the program, the lab, its inventory, and ways to reach the nodes.

use crate::program::{Program, Run};
use lab::Lab;
use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// On the control planes.
pub const KUBECTL: &str = "kubectl --kubeconfig=/etc/kubernetes/admin.conf";

/// Against the control plane's own member.
pub const ETCDCTL: &str = "tls=/etc/kubernetes/pki/etcd; etcdctl --endpoints=https://127.0.0.1:2379 --cacert=$tls/ca.crt \
                           --cert=$tls/healthcheck-client.crt --key=$tls/healthcheck-client.key";

/// What the Service `web` answers by its name: a node's own resolver is pointed at the cluster's DNS for one command.
const ASK_WEB: &str = "unshare -m sh -c 'echo nameserver 10.96.0.10 >/tmp/resolv.conf; mount --bind /tmp/resolv.conf /etc/resolv.conf; \
                       curl -sf -m 10 http://web.default.svc.cluster.local:8080/health'";

/// The lab goes when this does, unless a test failed: then it stays to be looked at.
pub struct LabCluster {
    pub program: Program,
    pub lab: Lab,
    pub inventory: PathBuf,
    name: &'static str,
}

impl LabCluster {
    /// Machines for a cluster; `spare` ones are left out of the inventory. An earlier run's lab goes first.
    pub fn machines(program: Program, name: &'static str, options: &[&str], spare: &[&str]) -> Self {
        program.run(&["lab", "down", "--name", name]).expect(0);
        let mut nodes = program.run(&["lab", "nodes", "--name", name, "--source", "modules", "--yes"]);
        for option in options {
            nodes = nodes.arg(option);
        }
        nodes.expect(0);
        let lab = Lab::open(Path::new("/var/lib/rekindle-lab/labs"), name).unwrap();
        let inventory = lab.dir().join("lab.toml");
        let cluster = Self { program, lab, inventory, name };
        let is_spare = |line: &&str| spare.iter().any(|node| line.starts_with(&format!("{node} = ")));
        cluster.edit(|text| text.split_inclusive('\n').filter(|line| !is_spare(line)).collect());
        cluster
    }

    /// The lab's and the cluster's.
    pub fn name(&self) -> &str {
        self.name
    }

    /// A verb on this cluster's inventory, with JSON as its output.
    pub fn run(&self, verb: &str) -> Run {
        self.program.run(&[verb, "--output", "json", "-i"]).arg(&self.inventory)
    }

    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.inventory).unwrap();
        std::fs::write(&self.inventory, change(text)).unwrap();
    }

    pub fn address(&self, node: &str) -> String {
        self.lab.nodes().into_iter().find(|found| found.name == node).unwrap().address.to_string()
    }

    /// The host's own address on the nodes' network.
    pub fn gateway(&self) -> IpAddr {
        let address = self.address("cp1");
        let (network, _) = address.rsplit_once('.').unwrap();
        format!("{network}.1").parse().unwrap()
    }

    /// Every generation, as `archive list` tells it, the newest first.
    pub fn generations(&self) -> Vec<Value> {
        let run = self.program.run(&["archive", "list", "--output", "json", "-i"]).arg(&self.inventory);
        run.ended().result()["generations"].as_array().unwrap().clone()
    }

    /// Runs a script on a node; what it printed, or both its streams when it fails.
    pub fn on(&self, node: &str, script: &str) -> Result<String, String> {
        let output = std::process::Command::new("ssh")
            .args(self.lab.ssh_args(node).unwrap())
            .arg(script)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() { Ok(stdout) } else { Err(format!("{stdout}{stderr}")) }
    }

    pub fn must(&self, node: &str, script: &str) -> String {
        self.on(node, script).unwrap_or_else(|said| panic!("{node}: `{script}` failed:\n{said}"))
    }

    /// Copies files from one node to another, with their modes.
    pub fn copy(&self, from: &str, to: &str, paths: &[&str]) {
        let packed = self.must(from, &format!("tar cz -C / {} | base64", paths.join(" ")));
        self.must(to, &format!("base64 -d <<'END' | tar xz -C /\n{packed}END\n"));
    }

    /// Makes these nodes empty machines, all at once.
    pub fn wipe(&self, nodes: &[&str]) {
        std::thread::scope(|scope| {
            for node in nodes {
                scope.spawn(|| self.lab.wipe(node).unwrap());
            }
        });
    }

    pub fn kubectl(&self, arguments: &str) -> String {
        self.must("cp1", &format!("{KUBECTL} {arguments}"))
    }

    pub fn eventually(&self, what: &str, within: Duration, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + within;
        while !holds() {
            assert!(Instant::now() < deadline, "not within {within:?}: {what}");
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// kube-proxy programs a new Service within seconds.
    pub fn web_answers(&self, node: &str, within: Duration) {
        self.eventually("the Service answers", within, || self.on(node, ASK_WEB).as_deref() == Ok("OK"));
    }

    pub fn nodes_are_ready(&self, names: &[&str]) {
        let names = names.join(" ");
        self.kubectl(&format!("wait --for=condition=Ready --timeout=120s node {names}"));
    }

    /// Names of etcd's members, as `status` tells them.
    pub fn members(&self, status: &Value) -> Vec<String> {
        let members = status["health"]["members"].as_array().unwrap();
        let mut names: Vec<String> =
            members.iter().map(|member| member["name"].as_str().unwrap().into()).collect();
        names.sort();
        names
    }
}

impl Drop for LabCluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.program.run(&["lab", "down", "--name", self.name]).expect(0);
        }
    }
}
