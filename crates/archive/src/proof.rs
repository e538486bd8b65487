//! Proofs: what was tried with a snapshot set, by whom, and how long it took.

use crate::delegation::MAY_PROOF;
use crate::manifest::{Manifest, ManifestId, is_display, keep};
use crate::signed::{self, Body};
use crate::snapshot::{Signer, Snapshot, is_delegated};
use crate::{Error, Fault, Name, RootPublic, SigningKey, canonical, names};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

const KIND: &str = "proof";

/// How much was tried. Each says what the ones before it say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// The ciphertext was read back, with the same digests.
    L1,
    /// A recipient opened it.
    L2,
    /// etcd was restored from it and booted, and its keys' hash is the living members'.
    L3,
    /// The API server was booted on that, and everything in it decoded.
    L4,
    /// A cluster was rebuilt from it.
    L5,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What was proven of a snapshot set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The node, or who at which machine.
    pub by: String,
    /// How much was tried.
    pub level: Level,
    /// The snapshot set.
    pub manifest: ManifestId,
    /// Tells the proofs of one set apart: 1 to 64 of `a-z 0-9 -`, the first no `-`.
    pub run: String,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Figures that anybody may know: `objects`, `keys`, `revision`, `hash_kv`, ….
    pub what: BTreeMap<String, String>,
    /// When, by the prover's clock (RFC 3339). For display only.
    pub when: String,
}

/// A date as documents say it, in UTC.
pub(crate) fn date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(|date| date.to_offset(UtcOffset::UTC))
}

impl Proof {
    /// [`Proof::when`] as a date; `None` where it is none.
    pub fn date(&self) -> Option<OffsetDateTime> {
        date(&self.when)
    }
}

/// A proof whose signature counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// What it says.
    pub proof: Proof,
    /// By whose word.
    pub signed_by: Signer,
}

impl Proof {
    /// The bytes of its file.
    pub(crate) fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, Error> {
        self.check().map_err(Error::Describe)?;
        Body::new(KIND, self, key.public()?).map_err(Error::Describe)?.sign(key)
    }

    /// Reads what lies under `name`; `None` where the snapshot set is not among `snapshots`.
    ///
    /// # Errors
    /// Where nobody signed it who may, or it is not what it must be.
    pub(crate) fn read(
        name: &Name,
        bytes: &[u8],
        root: &RootPublic,
        sets: &BTreeMap<ManifestId, Manifest>,
        snapshots: &BTreeMap<ManifestId, Snapshot>,
    ) -> Result<Option<Proven>, Fault> {
        let document = signed::read(bytes)?;
        let key = document.signer;
        let body = document.verify_by(|key| key == root || is_delegated(key, sets))?;
        if body.kind() != KIND {
            return Err(Fault::Kind(KIND));
        }
        let proof: Self = body.content()?;
        proof.check()?;
        if proof.name() != *name {
            return Err(Fault::Misnamed);
        }
        let Some(snapshot) = snapshots.get(&proof.manifest) else { return Ok(None) };
        let signed_by = may_prove(&key, snapshot, sets)?;
        Ok(Some(Proven { proof, signed_by }))
    }

    /// Where it lies.
    pub(crate) fn name(&self) -> Name {
        Name::Proof { tag: self.manifest.tag(), run: self.run.clone() }
    }

    fn check(&self) -> Result<(), Fault> {
        let figure = |(name, value): (&String, &String)| is_display(name, 64) && is_display(value, 1024);
        keep(&[
            ("by", is_display(&self.by, 255)),
            ("run", names::is_run(&self.run)),
            ("seconds", self.seconds <= canonical::MAX_INTEGER),
            ("what", self.what.len() <= 64 && self.what.iter().all(figure)),
            ("when", is_display(&self.when, 40)),
        ])
    }
}

/// The root key proves everything, a node's key what it may and what is of its own node.
pub(crate) fn may_prove(
    key: &RootPublic,
    snapshot: &Snapshot,
    sets: &BTreeMap<ManifestId, Manifest>,
) -> Result<Signer, Fault> {
    let public = &snapshot.public;
    if *key == public.root {
        return Ok(Signer::Root);
    }
    let may = |delegation: &crate::Delegation| {
        delegation.allows(MAY_PROOF, key, public.epoch, &public.node)
            && snapshot.signed_by() == Signer::Node(delegation.node.clone())
    };
    let identity = sets.get(&public.identity).map(|set| &set.public);
    if identity.is_some_and(|identity| identity.delegations.iter().any(may)) {
        return Ok(Signer::Node(public.node.clone()));
    }
    Err(Fault::NotDelegated { key: *key, node: public.node.clone() })
}
