//! A cluster's archive that was made without nodes, for the real binary: sealed, with generations that count.

use crate::program::{Program, Run};
use archive::{
    Archive, Capture, Folder, IdentityManifest, Level, NewIdentity, Proof, RootKey, SNAPSHOT_ENTRY, Sealing,
    Secret, Spool, Stamp, Trust,
};
use pki::ExposeSecret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const STAMP: Stamp<'static> =
    Stamp { created: "2026-11-24T12:00:00Z", rekindle: "0.1.0", holder: "ada", host: "laptop" };

/// A cluster's archive and inventory, and nobody's home.
pub struct Site {
    pub program: Program,
    folder: TempDir,
    pub bundle: pki::Bundle,
    /// The inventory, up to what is under `[archive]`.
    pub text: String,
    pub identity: NewIdentity,
}

impl Site {
    /// Sealed, with a generation at this revision that counts.
    pub fn sealed(name: &str) -> Self {
        Self::sealed_with(name, "", &[])
    }

    /// The same with more sections of the inventory, and more entries beside it.
    pub fn sealed_with(name: &str, sections: &str, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nodes = "cp1 = { address = \"10.0.0.11\", role = \"control-plane\" }";
        let text = format!(
            "[cluster]\nname = \"{name}\"\nkubernetes = \"1.36.3\"\n[nodes]\n{nodes}\n{sections}[archive]\n"
        );
        let cluster = inventory::parse("x", &text).unwrap().cluster;
        let now = time::OffsetDateTime::now_utc();
        let bundle = pki::Bundle::mint(&cluster, None, now, &mut pki::SystemEntropy).unwrap();
        let identity = NewIdentity::mint(STAMP.created).unwrap();
        let site = Self { program: Program::build(), folder, bundle, text, identity };
        std::fs::write(site.path("identity.txt"), site.identity.file.expose()).unwrap();
        site.inventory("");
        site.seal(more);
        site.generation(100);
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn archive(&self) -> Archive {
        Archive::at(vec![Box::new(Folder::new(self.path("archive"), None))]).unwrap()
    }

    pub fn key(&self) -> RootKey {
        RootKey::parse(&Secret::new(self.bundle.root_key().expose_secret().as_bytes())).unwrap()
    }

    pub fn trust(&self) -> Trust {
        Trust::Anchor(self.key().public().unwrap())
    }

    /// Writes the inventory, with more under `[archive]`.
    pub fn inventory(&self, more: &str) {
        let trust = self.key().public().unwrap();
        std::fs::write(self.path("rekindle.toml"), format!("{}trust = \"{trust}\"\n{more}", self.text))
            .unwrap();
    }

    fn seal(&self, more: &[(&str, &str)]) {
        let mut entries: BTreeMap<String, Secret> = self
            .bundle
            .entries()
            .iter()
            .map(|(name, text)| (name.clone(), Secret::new(text.expose_secret().as_bytes())))
            .collect();
        entries.insert("inventory.toml".into(), Secret::new(self.text.as_bytes()));
        entries.extend(more.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text))));
        let none = BTreeMap::new();
        let name = self.text.split('"').nth(1).unwrap().to_owned();
        let sealing = Sealing {
            cluster: &archive::Cluster { name, uid: self.bundle.uid().to_owned() },
            kubernetes: "1.36.3",
            public_keys: &none,
            encryption_keys: &none,
            entries: &entries,
            facts: &BTreeMap::new(),
            recipients: std::slice::from_ref(&self.identity.recipient),
            delegations: &[],
            previous: None,
            born: true,
            stamp: STAMP,
        };
        self.archive().seal_identity(&sealing).unwrap();
    }

    /// Publishes one, proven by the node.
    pub fn generation(&self, revision: u64) {
        self.generation_of(revision, STAMP.created);
    }

    /// The same, taken at another time.
    pub fn generation_of(&self, revision: u64, created: &str) {
        self.publish(revision, created, &format!("what etcd held at {revision}"));
    }

    /// The same, of another etcd.
    pub fn generation_with(&self, revision: u64, held: &str) {
        self.publish(revision, STAMP.created, held);
    }

    fn publish(&self, revision: u64, created: &str, held: &str) {
        let (archive, key) = (self.archive(), self.key());
        let manifest = archive.identity_manifest(&self.trust()).unwrap();
        let identity = IdentityManifest::read(&manifest, &key.public().unwrap()).unwrap();
        let to = self.path(&format!("spool-{revision}"));
        let mut spool = Spool::begin(&identity, &to).unwrap();
        spool.add(SNAPSHOT_ENTRY, &mut held.as_bytes()).unwrap();
        let capture = Capture {
            revision,
            etcd_cluster: "cdf818194e3a8c32",
            node: "cp1",
            created,
            rekindle: STAMP.rekindle,
            facts: &BTreeMap::new(),
        };
        spool.finish(&capture).unwrap();
        let id = archive.publish_snapshot(&to, &key, &self.trust()).unwrap().id;
        let (by, run, when) = ("cp1".into(), "l3".into(), created.into());
        let proof =
            Proof { by, level: Level::L3, manifest: id, run, seconds: 1, what: BTreeMap::new(), when };
        archive.prove(&proof, &key, &self.trust()).unwrap();
    }

    /// Runs it where nothing is but what the arguments name; no inventory either, unless `-i` says so.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let nowhere = self.program.home().join("nowhere");
        std::fs::create_dir_all(&nowhere).unwrap();
        self.program.run(arguments).folder(&nowhere)
    }

    /// The same on the inventory.
    pub fn on(&self, arguments: &[&str]) -> Run {
        self.run(arguments).arg("-i").arg(self.path("rekindle.toml"))
    }

    pub fn with_identity(&self, run: Run, name: &str) -> Run {
        run.arg("--identity").arg(self.path(name))
    }

    pub fn by_kit(&self, arguments: &[&str], kit: &Path) -> Run {
        self.with_identity(self.run(arguments).arg("--kit").arg(kit), "identity.txt")
    }

    /// The kit, and its text.
    pub fn kit(&self) -> (PathBuf, String) {
        let path = self.path("kit.txt");
        self.on(&["archive", "kit"]).arg("--to").arg(&path).expect(0);
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    }

    pub fn proofs(&self) -> Vec<Value> {
        let listed = self.on(&["archive", "list", "--output", "json"]).expect(0).result();
        let generations = listed["generations"].as_array().unwrap();
        generations.iter().flat_map(|one| one["proofs"].as_array().unwrap().clone()).collect()
    }

    pub fn words(&self) -> String {
        self.key().public().unwrap().words().join(" ")
    }
}
