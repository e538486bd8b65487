//! What is sealed into an identity set, and under which names.

use super::Remembered;
use crate::failure::Failure;
use crate::loaded::{Loaded, LocalFiles};
use archive::{Delegation, MAY_PROOF, MAY_SNAPSHOT, Secret};
use pki::{Bundle, Ca, ExposeSecret};
use plan::kubeadm::Cgroups;
use std::collections::BTreeMap;

/// Logical names of what is sealed beside the bundle.
pub const INVENTORY: &str = "inventory.toml";
pub const PAYLOAD: &str = "payload.json";
pub const HOST_KEYS: &str = "host-keys.json";
pub const FILES: &str = "files/";
pub const PATCHES: &str = "patches/";
const KUBEADM: &str = "kubeadm/";

/// What is to be sealed.
pub struct Contents<'a> {
    /// CAs, keys, identifiers.
    pub bundle: &'a Bundle,
    /// The inventory and its text.
    pub loaded: &'a Loaded,
    /// The files that it names.
    pub local: &'a LocalFiles,
    /// Programs and images, where they are known.
    pub payload: Option<&'a plan::Payload>,
    /// Host keys by node.
    pub host_keys: &'a BTreeMap<String, String>,
    /// What its nodes' cgroups ask for.
    pub cgroups: Cgroups,
    /// Whether its etcd has a quorum, or had one.
    pub born: bool,
    /// How it came about.
    pub facts: &'a BTreeMap<String, String>,
}

/// Each control plane may add snapshots, and say what it proved of its own.
pub fn delegations(bundle: &Bundle, previous: Option<&Remembered>) -> Vec<Delegation> {
    let epoch = previous.map_or(1, |remembered| remembered.opened.holding.epoch);
    let own = bundle.delegated().iter();
    own.map(|(node, own)| Delegation {
        epoch,
        key: own.public.into(),
        may: vec![MAY_PROOF.into(), MAY_SNAPSHOT.into()],
        node: node.clone(),
    })
    .collect()
}

/// Digests of the public keys of CAs and service accounts.
pub fn public_keys(bundle: &Bundle) -> Result<BTreeMap<String, archive::Digest>, Failure> {
    let digest = |hash: &str| {
        let hex = hash.strip_prefix("sha256:").unwrap_or(hash);
        hex.parse::<archive::Digest>()
            .map_err(|error| Failure::refused(format!("public key hash {hash}: {error}")))
    };
    let mut keys = BTreeMap::new();
    for (name, ca) in [("ca", Ca::Cluster), ("front-proxy-ca", Ca::FrontProxy), ("etcd/ca", Ca::Etcd)] {
        keys.insert(name.to_owned(), digest(bundle.authority(ca).public_key_hash())?);
    }
    keys.insert("sa".to_owned(), digest(bundle.sa_hash())?);
    Ok(keys)
}

/// The keys of the encryption at rest, by provider and name.
pub fn encryption_keys(local: &LocalFiles) -> Result<BTreeMap<String, archive::Digest>, Failure> {
    let keys = local.encryption_keys.iter();
    keys.map(|(name, key)| {
        let digest = key.hex().parse::<archive::Digest>();
        Ok((name.clone(), digest.map_err(|error| Failure::refused(format!("{name}: {error}")))?))
    })
    .collect()
}

/// Logical name → content.
pub fn entries(contents: &Contents) -> BTreeMap<String, Secret> {
    let secret = |text: &pki::Secret| Secret::new(text.expose_secret().as_bytes());
    let mut entries: BTreeMap<String, Secret> =
        contents.bundle.entries().iter().map(|(name, text)| (name.clone(), secret(text))).collect();
    entries.insert(INVENTORY.into(), Secret::new(without_trust(&contents.loaded.text)));
    // Maps of strings and lists of digests: they serialize.
    if let Some(payload) = contents.payload {
        entries.insert(PAYLOAD.into(), Secret::new(serde_json::to_vec(payload).unwrap_or_default()));
    }
    entries.insert(HOST_KEYS.into(), Secret::new(serde_json::to_vec(contents.host_keys).unwrap_or_default()));
    for (path, text) in &contents.local.files {
        entries.insert(format!("{FILES}{}", path.trim_start_matches('/')), secret(text));
    }
    let cluster = contents.loaded.cluster();
    for node in cluster.control_planes() {
        let text = plan::kubeadm::config(cluster, node, contents.cgroups);
        entries.insert(format!("{KUBEADM}{}.yaml", node.name), Secret::new(text.as_bytes()));
    }
    for (name, text) in &contents.local.patches {
        entries.insert(format!("{PATCHES}{name}"), Secret::new(text.as_bytes()));
    }
    entries
}

/// The inventory without its `trust` line, which says nothing that the archive does not know, and which comes
/// after the first seal: adding it makes no new generation.
fn without_trust(text: &str) -> String {
    let is_trust = |line: &&str| {
        line.trim_start().strip_prefix("trust").is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.split_inclusive('\n').filter(|line| !is_trust(line)).collect()
}
