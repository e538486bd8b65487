//! What a command does with generations: publish, prove, choose and open one.

use super::{Remembered, Vault, failure, remembered, root_key};
use crate::failure::Failure;
use archive::{
    Generation, Generations, IdentityManifest, Level, ManifestId, OpenedSnapshot, Proof, Pruned, Published,
    Retention, RootKey, RootPublic, Stamp, Trust,
};
use pki::Bundle;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// How a person calls a generation: as its manifest's file, without folder and ending.
pub fn name(epoch: u64, revision: u64, id: &ManifestId) -> String {
    format!("{epoch}-{revision}-{}", id.tag())
}

/// What was tried, and what it came to.
pub struct Tried {
    /// How much.
    pub level: Level,
    /// Where: the node, or who at which machine.
    pub by: String,
    /// When (RFC 3339).
    pub when: String,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Figures that anybody may know.
    pub what: BTreeMap<String, String>,
}

impl Tried {
    /// The proof that it is of a generation.
    pub fn proof(self, id: &ManifestId) -> Proof {
        let Self { level, by, when, seconds, what } = self;
        // One run a second and level is told apart, in the alphabet that a name has.
        let run: String = when.chars().filter(char::is_ascii_digit).collect();
        let run = format!("{}-{run}", level.to_string().to_lowercase());
        Proof { by, level, manifest: *id, run, seconds, what, when }
    }
}

/// A snapshot set and the identity set that it names, opened.
pub struct OpenedGeneration {
    /// What was captured.
    pub snapshot: OpenedSnapshot,
    /// What the cluster is.
    pub identity: Remembered,
}

/// By what the archive is written and judged, whatever the command line trusts: the root key of a bundle.
pub struct Signing {
    key: RootKey,
    root: RootPublic,
}

impl Signing {
    /// With the root key of `bundle`.
    pub fn with(bundle: &Bundle) -> Result<Self, Failure> {
        let key = RootKey::parse(&root_key(bundle)).map_err(|error| failure(&error))?;
        let root = key.public().map_err(|error| failure(&error))?;
        Ok(Self { key, root })
    }

    fn trust(&self) -> Trust {
        Trust::Anchor(self.root)
    }
}

impl Vault {
    /// Every generation at the destinations. Needs no identity.
    pub fn generations(&self) -> Result<Generations, Failure> {
        self.archive.generations(&self.trust).map_err(|error| failure(&error))
    }

    /// The same without those of nodes that are distrusted.
    pub fn generations_not_from(&self, nodes: &[String]) -> Result<Generations, Failure> {
        self.generations()?.not_from(nodes).map_err(|node| {
            Failure::refused(format!("--not-from {node}: no generation is of this node"))
                .hint("`rekindle archive list` shows who signed them")
        })
    }

    /// The newest identity set, which a new generation will name.
    pub fn newest_identity(&self, signing: &Signing) -> Result<IdentityManifest, Failure> {
        let manifest = self.archive.identity_manifest(&signing.trust()).map_err(|error| failure(&error))?;
        IdentityManifest::read(&manifest, &signing.root).map_err(|error| failure(&error))
    }

    /// Every generation, where the archive may be younger than the trust in it.
    pub fn generations_of(&self, signing: &Signing) -> Result<Generations, Failure> {
        self.archive.generations(&signing.trust()).map_err(|error| failure(&error))
    }

    /// Publishes a spooled snapshot, signed with the root key.
    pub fn publish(&self, spool: &Path, signing: &Signing) -> Result<Published, Failure> {
        self.archive.publish_snapshot(spool, &signing.key, &signing.trust()).map_err(|error| failure(&error))
    }

    /// Notes what was proven of a generation.
    pub fn prove(&self, id: &ManifestId, tried: Tried, signing: &Signing) -> Result<(), Failure> {
        self.archive
            .prove(&tried.proof(id), &signing.key, &signing.trust())
            .map(drop)
            .map_err(|error| failure(&error))
    }

    /// Removes what `retention` says goes, signed with the root key of the newest identity set.
    pub fn prune(&self, retention: &Retention, stamp: &Stamp) -> Result<Pruned, Failure> {
        let remembered = self.open()?.ok_or_else(|| Failure::refused("there is no archive"))?;
        self.archive.prune(retention, &root_key(&remembered.bundle), stamp).map_err(|error| failure(&error))
    }

    /// The generation whose name begins with `wanted`, or the newest.
    pub fn choose<'g>(
        &self,
        generations: &'g Generations,
        wanted: Option<&str>,
    ) -> Result<&'g Generation, Failure> {
        let list = "`rekindle archive list` shows the generations";
        let Some(wanted) = wanted else {
            return generations.newest().ok_or_else(|| {
                Failure::refused("the archive holds no generation yet").hint("`rekindle snapshot` makes one")
            });
        };
        let named = |one: &&Generation| {
            let name = name(one.public.epoch, one.public.revision, &one.id);
            name.starts_with(wanted) || one.id.tag().starts_with(wanted)
        };
        let found: Vec<&Generation> = generations.all.iter().filter(named).collect();
        match found[..] {
            [one] => Ok(one),
            [] => Err(Failure::refused(format!("{wanted}: no generation has this name")).hint(list)),
            _ => {
                Err(Failure::refused(format!("{wanted}: {} generations begin like this", found.len()))
                    .hint(list))
            }
        }
    }

    /// The identity set that a generation names, opened.
    pub fn identity_named_by(&self, one: &Generation) -> Result<Remembered, Failure> {
        let identities = self.keys.identities()?;
        let opened = self.archive.open_identity_set(&one.public.identity, identities, &self.trust);
        remembered(opened.map_err(|error| failure(&error))?)
    }

    /// The generation whose name begins with `wanted`, whether it counts or not; without a name the newest that counts.
    pub fn choose_counting<'g>(
        &self,
        generations: &'g Generations,
        wanted: Option<&str>,
    ) -> Result<&'g Generation, Failure> {
        if wanted.is_some() {
            return self.choose(generations, wanted);
        }
        generations.newest_counting().ok_or_else(|| {
            Failure::refused("no generation counts: none was restored, booted and compared").hint(
                "`rekindle archive list` shows what there is, and why; name one to take it all the same",
            )
        })
    }

    /// Opens one; etcd's snapshot goes to `to`, all objects as manifests to `export`, where it has them.
    pub fn open_generation(
        &self,
        id: &ManifestId,
        scratch: &Path,
        to: &mut dyn Write,
        export: &mut dyn Write,
    ) -> Result<OpenedGeneration, Failure> {
        let identities = self.keys.identities()?;
        let snapshot = self
            .archive
            .open_snapshot(id, identities, &self.trust, scratch, to, export)
            .map_err(|error| failure(&error))?;
        let identity = self
            .archive
            .open_identity_set(&snapshot.public.identity, identities, &self.trust)
            .map_err(|error| failure(&error))?;
        Ok(OpenedGeneration { snapshot, identity: remembered(identity)? })
    }
}
