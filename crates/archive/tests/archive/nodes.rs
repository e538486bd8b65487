//! Control planes with delegated keys, and what they capture.

use crate::place::{Memory, STAMP, Set, root, root_key, set};
use archive::{
    Archive, Capture, Delegation, Error, Generation, Generations, IdentityManifest, Level, MAY_PROOF,
    MAY_SNAPSHOT, ManifestId, Opened, OpenedSnapshot, Proof, Published, RootKey, SNAPSHOT_ENTRY, Secret,
    SigningKey, Spool, Spooled, Trust,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

pub const ANCHOR: fn() -> Trust = || Trust::Anchor(root(1));

/// A control plane by the seed of its key: `cp-11`, `cp-12`, ….
#[derive(Clone, Copy)]
pub struct Node(pub u8);

impl Node {
    pub fn name(self) -> String {
        format!("cp-{}", self.0)
    }

    pub fn key(self) -> SigningKey {
        RootKey::parse(&root_key(self.0)).unwrap()
    }

    pub fn delegation(self, epoch: u64) -> Delegation {
        let may = vec![MAY_PROOF.to_owned(), MAY_SNAPSHOT.to_owned()];
        Delegation { epoch, key: root(self.0), may, node: self.name() }
    }
}

pub const ONE: Node = Node(11);
pub const TWO: Node = Node(12);

/// A cluster with two control planes, sealed, and a folder for captures.
pub struct Nodes {
    pub set: Set,
    pub identity: IdentityManifest,
    pub etcd_cluster: &'static str,
    pub dir: TempDir,
}

impl Nodes {
    /// Sealed at these places.
    pub fn sealed_at(archive: &Archive) -> Self {
        let mut set = set(1);
        set.delegations = vec![TWO.delegation(1), ONE.delegation(1)];
        set.seal(archive, None).unwrap();
        let identity =
            IdentityManifest::read(&archive.identity_manifest(&ANCHOR()).unwrap(), &root(1)).unwrap();
        Self { set, identity, etcd_cluster: "cdf818194e3a8c32", dir: TempDir::new().unwrap() }
    }

    pub fn sealed() -> (Memory, Self) {
        let place = Memory::new("memory");
        let nodes = Self::sealed_at(&place.archive());
        (place, nodes)
    }

    /// What a node captures at a revision.
    pub fn capture(&self, node: Node, revision: u64) -> PathBuf {
        self.try_capture(node, revision, &mut &db(revision)[..]).unwrap().0
    }

    pub fn try_capture(
        &self,
        node: Node,
        revision: u64,
        snapshot: &mut dyn std::io::Read,
    ) -> Result<(PathBuf, Spooled), Error> {
        let folder = TempDir::new_in(self.dir.path()).unwrap().keep().join("spool");
        let mut spool = Spool::begin(&self.identity, &folder)?;
        spool.add(SNAPSHOT_ENTRY, snapshot)?;
        for (name, content) in &entries() {
            spool.add(name, &mut content.expose())?;
        }
        let spooled = spool.finish(&Capture {
            revision,
            etcd_cluster: self.etcd_cluster,
            node: &node.name(),
            created: STAMP.created,
            rekindle: STAMP.rekindle,
            facts: &[("members".to_owned(), "3".to_owned())].into(),
        })?;
        Ok((folder, spooled))
    }

    /// Captures and publishes.
    pub fn publish(&self, archive: &Archive, node: Node, revision: u64) -> Result<Published, Error> {
        archive.publish_snapshot(&self.capture(node, revision), &node.key(), &ANCHOR())
    }

    pub fn open(&self, archive: &Archive, id: &ManifestId) -> Result<(OpenedSnapshot, Vec<u8>), Error> {
        let mut to = Vec::new();
        let opened = archive.open_snapshot(
            id,
            &self.set.identities,
            &ANCHOR(),
            self.dir.path(),
            &mut to,
            &mut std::io::sink(),
        )?;
        Ok((opened, to))
    }

    /// Seals the set again as it is now, and carries its manifest.
    pub fn seal_again(&mut self, archive: &Archive) {
        let opened: Opened = archive.open_identity(&self.set.identities, &ANCHOR()).unwrap();
        assert!(self.set.seal(archive, Some(&opened)).unwrap().new);
        let bytes = archive.identity_manifest(&ANCHOR()).unwrap();
        self.identity = IdentityManifest::read(&bytes, &root(1)).unwrap();
    }

    /// Whether nothing but the destinations remembers anything.
    pub fn is_scratch_empty(&self) -> bool {
        std::fs::read_dir(self.dir.path()).unwrap().all(|entry| entry.unwrap().path().is_dir())
    }
}

/// The bytes of a snapshot: some that compress and some that do not, different at each revision.
pub fn db(revision: u64) -> Vec<u8> {
    let mut state = revision.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise = (0..20_000).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    format!("snapshot {revision}").into_bytes().into_iter().chain(noise).chain([0; 300_000]).collect()
}

pub fn entries() -> BTreeMap<String, Secret> {
    [("nodes.json".to_owned(), Secret::new(*b"[{\"name\":\"cp-11\"}]"))].into()
}

pub fn proof(id: ManifestId, level: Level, run: &str) -> Proof {
    Proof {
        by: "cp-11".into(),
        level,
        manifest: id,
        run: run.into(),
        seconds: 3,
        what: [("keys".to_owned(), "420".to_owned())].into(),
        when: STAMP.created.into(),
    }
}

pub fn generations(archive: &Archive) -> Generations {
    archive.generations(&ANCHOR()).unwrap()
}

pub fn revisions(generations: &Generations) -> Vec<u64> {
    generations.all.iter().map(|generation| generation.public.revision).collect()
}

pub fn whys(generations: &Generations) -> Vec<&str> {
    generations.rejected.iter().map(|one| one.why.as_str()).collect()
}

pub fn only(generations: &Generations) -> &Generation {
    assert_eq!(generations.all.len(), 1, "{:?}", generations.rejected);
    &generations.all[0]
}
