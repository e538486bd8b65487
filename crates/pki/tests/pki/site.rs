//! A cluster to test with, and one of its nodes' files on disk.

use inventory::{Cluster, KeyAlgorithm, Role};
use pki::{Body, Bundle, Entropy, Error, ExposeSecret, NodeFile, NodeFiles, SystemEntropy};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use time::{Date, Month, OffsetDateTime};

/// Three control planes and a worker, as `tests/kubeadm/ipv4.txt` has them.
pub fn ipv4() -> Cluster {
    let text = r#"
        [cluster]
        name = "prod"
        kubernetes = "1.36.3"
        [nodes]
        cp1 = { address = "10.0.0.11", role = "control-plane" }
        cp2 = { address = "10.0.0.12", role = "control-plane" }
        cp3 = { address = "10.0.0.13", role = "control-plane" }
        w1 = { address = "10.0.0.21" }
        [api]
        endpoint = "api.prod.internal"
        cert-names = ["k8s.example.com", "192.0.2.7"]
        [network]
        pods = "10.244.0.0/16"
        services = "10.96.0.0/12"
        [archive]
        to = "./archive"
    "#;
    inventory::parse("prod.toml", text).unwrap().cluster
}

/// Two service networks, IPv6 first, RSA keys, an address as endpoint: `tests/kubeadm/ipv6-dual-rsa.txt`.
pub fn ipv6_dual_rsa() -> Cluster {
    let mut cluster = ipv4();
    for node in &mut cluster.nodes {
        node.address = node.address.to_string().replace("10.0.0.", "fd00:10::").parse().unwrap();
    }
    cluster.api.host = "fd00:10::10".into();
    cluster.api.cert_names = vec!["fd00:10::99".into()];
    cluster.network.services = vec!["fd00:96::/112".parse().unwrap(), "10.96.0.0/16".parse().unwrap()];
    cluster.network.domain = "k8s.example".into();
    cluster.pki.algorithm = KeyAlgorithm::Rsa2048;
    cluster
}

/// Two of the control planes become an external etcd's members.
pub fn external_etcd() -> Cluster {
    let mut cluster = ipv4();
    for node in &mut cluster.nodes[1..3] {
        node.role = Role::Etcd;
        node.name = node.name.replace("cp", "etcd");
    }
    cluster
}

/// A noon. Verifications name it too, so that no test depends on the day on which it runs.
pub fn noon() -> OffsetDateTime {
    Date::from_calendar_date(2026, Month::November, 24).unwrap().with_hms(12, 0, 0).unwrap().assume_utc()
}

pub fn mint(cluster: &Cluster) -> Bundle {
    Bundle::mint(cluster, None, noon(), &mut SystemEntropy).unwrap()
}

pub fn node_files(bundle: &Bundle, cluster: &Cluster, node: &str) -> NodeFiles {
    bundle.node_files(cluster, cluster.node(node).unwrap(), noon(), &mut SystemEntropy).unwrap()
}

/// Keys that can be made, and no other randomness.
pub struct NoBytes;

impl Entropy for NoBytes {
    fn key(&mut self, algorithm: KeyAlgorithm) -> Result<rcgen::KeyPair, Error> {
        SystemEntropy.key(algorithm)
    }

    fn fill(&mut self, _: &mut [u8]) -> Result<(), Error> {
        Err(Error::Entropy)
    }
}

/// Files of a node below a folder that stands for its root.
pub struct Root(TempDir);

impl Root {
    pub fn empty() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Everything that the node gets.
    pub fn of(bundle: &Bundle, cluster: &Cluster, node: &str) -> Self {
        let root = Self::empty();
        let files = node_files(bundle, cluster, node);
        files.files.iter().for_each(|file| root.lay(file));
        files.leafs.iter().flat_map(|leaf| &leaf.files).for_each(|file| root.lay(file));
        root
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    pub fn lay(&self, file: &NodeFile) {
        let path = self.at(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = match &file.body {
            Body::Public(text) => text.as_str(),
            Body::Secret(secret) => secret.expose_secret(),
            Body::Link(to) => return symlink(self.at(to), path).unwrap(),
        };
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).unwrap();
    }

    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.at(path);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a line of shell here: its output, or its output and errors when it fails.
    pub fn sh(&self, line: &str) -> Result<String, String> {
        let output = Command::new("sh").args(["-euc", line]).current_dir(self.path()).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(text(&output.stdout) + &text(&output.stderr))
    }

    /// What `tests/kubeadm/facts.sh` says of the files.
    pub fn facts(&self) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubeadm/facts.sh");
        self.sh(&format!("sh '{script}' .")).unwrap()
    }
}
