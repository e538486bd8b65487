//! The archive of one cluster as a command uses it: where it is, who can open it, what is sealed into it.

mod generations;
mod missing;
mod trust_note;

use crate::cli::Opening;
use crate::destinations::destinations;
use crate::environment::Environment;
use crate::failure::{Failure, chain, file_error};
use crate::loaded::{Loaded, LocalFiles};
use crate::report::Reporter;
use archive::{
    Archive, Delegation, Identities, MAY_PROOF, MAY_SNAPSHOT, NewIdentity, Opened, Recipient, Sealed,
    Sealing, Secret, Stamp, Standing, Trust,
};
use pki::{Bundle, Ca, ExposeSecret};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use generations::{OpenedGeneration, Signing, Tried};
pub use missing::{Missing, bring};
use trust_note::{note_trust, noted_trust};

/// How a person calls a generation.
pub fn generation_name(one: &archive::Generation) -> String {
    generations::name(one.public.epoch, one.public.revision, &one.id)
}

/// How a person calls a generation that was just published.
pub fn published_name(one: &archive::Published) -> String {
    generations::name(one.epoch, one.revision, &one.id)
}

/// Logical names of what is sealed beside the bundle.
const INVENTORY: &str = "inventory.toml";
const PAYLOAD: &str = "payload.json";
const HOST_KEYS: &str = "host-keys.json";
const FILES: &str = "files/";
const PATCHES: &str = "patches/";

/// The archive of an inventory, before anything is known of it.
pub struct Vault {
    archive: Archive,
    trust: Trust,
    identity_files: Vec<PathBuf>,
    recipients: Vec<String>,
    /// Where an identity is made when nobody has one.
    own_identity: PathBuf,
}

/// What an opened archive gave back.
pub struct Remembered {
    opened: Opened,
    /// CAs, keys, identifiers.
    pub bundle: Bundle,
    /// The cluster as it was when it was sealed last.
    pub cluster: Option<inventory::Cluster>,
    /// Its programs and images.
    pub payload: Option<plan::Payload>,
    /// Host keys by node.
    pub host_keys: BTreeMap<String, String>,
    /// Files that arguments name, by their path on the control planes.
    pub files: BTreeMap<String, pki::Secret>,
    /// kubeadm patches by file name.
    pub patches: BTreeMap<String, String>,
}

/// Who will be able to open the archive.
pub struct Recipients {
    /// All of them.
    pub all: Vec<Recipient>,
    /// Where the identity lies that was made just now, if one was.
    pub minted: Option<PathBuf>,
}

/// What is to be sealed.
pub struct Contents<'a> {
    /// CAs, keys, identifiers.
    pub bundle: &'a Bundle,
    /// The inventory and its text.
    pub loaded: &'a Loaded,
    /// The files that it names.
    pub local: &'a LocalFiles,
    /// Programs and images.
    pub payload: &'a plan::Payload,
    /// Host keys by node.
    pub host_keys: &'a BTreeMap<String, String>,
    /// Whether its etcd has a quorum, or had one.
    pub born: bool,
}

impl Remembered {
    /// What the plan's standing needs to know.
    pub fn known(&self) -> plan::Known {
        plan::Known { uid: self.bundle.uid().to_owned(), born: self.opened.holding.born }
    }

    /// Its identity set: what anybody may know of it.
    pub fn public(&self) -> &archive::IdentityPublic {
        &self.opened.public
    }

    /// Every entry of its identity set.
    pub fn entries(&self) -> &BTreeMap<String, Secret> {
        &self.opened.entries
    }

    /// The destinations that lack its identity set, or did not answer.
    pub fn holding(&self) -> &archive::Holding {
        &self.opened.holding
    }
}

impl Vault {
    /// The vault of an inventory. Nothing is read yet.
    pub fn new(
        loaded: &Loaded,
        identity: &[PathBuf],
        trust_on_first_use: bool,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let settings = &loaded.cluster().archive;
        let archive = Archive::on(destinations(loaded, environment)?).map_err(|error| failure(&error))?;
        let own_identity = environment.config.join("identity.txt");
        let identity_files = if !identity.is_empty() {
            identity.to_vec()
        } else if own_identity.exists() {
            vec![own_identity.clone()]
        } else {
            Vec::new()
        };
        let trust = match &settings.trust {
            Some(key) => Trust::Anchor(key.parse().map_err(|error: archive::Error| failure(&error))?),
            None if trust_on_first_use => Trust::FirstUse,
            None => noted_trust(&archive, environment, loaded).map_or(Trust::Unset, Trust::Anchor),
        };
        Ok(Self { archive, trust, identity_files, recipients: settings.recipients.clone(), own_identity })
    }

    /// The inventory that the command line names, and its vault.
    pub fn of(
        opening: &Opening,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<(Loaded, Self), Failure> {
        let loaded = Loaded::read(&opening.file.inventory, report)?;
        let vault = Self::new(&loaded, &opening.identity, opening.trust_on_first_use, environment)?;
        Ok((loaded, vault))
    }

    /// The root key that this inventory's archive is trusted by, if it is.
    pub fn trusted_root(&self) -> Option<String> {
        match &self.trust {
            Trust::Anchor(root) => Some(root.to_string()),
            _ => None,
        }
    }

    /// Opens the newest identity set; `None` where the destinations are empty.
    pub fn open(&self) -> Result<Option<Remembered>, Failure> {
        if let Standing::Empty = self.archive.state(&self.trust).map_err(|error| failure(&error))? {
            return Ok(None);
        }
        let identities = self.identities()?;
        let opened = self.archive.open_identity(&identities, &self.trust).map_err(|error| failure(&error))?;
        remembered(opened).map(Some)
    }

    fn identities(&self) -> Result<Identities, Failure> {
        let mut all: Option<Identities> = None;
        for path in &self.identity_files {
            let text = std::fs::read(path).map_err(|error| file_error("cannot be read", path, &error))?;
            let read = Identities::parse(&Secret::new(text), &path.display().to_string())
                .map_err(|error| failure(&error))?;
            all = Some(match all {
                Some(before) => before.and(read),
                None => read,
            });
        }
        all.ok_or_else(|| {
            Failure::refused("the archive is there, and no identity to open it with")
                .hint(format!("--identity FILE, or put it at {}", self.own_identity.display()))
        })
    }

    /// Who will be able to open the archive. Those that the inventory names, else those of
    /// the last seal; where there is neither, an identity is made.
    pub fn recipients(
        &self,
        previous: Option<&Remembered>,
        environment: &Environment,
        created: &str,
    ) -> Result<Recipients, Failure> {
        let parse = |text: &String| text.parse::<Recipient>().map_err(|error| failure(&error));
        let known = previous.map_or(&[][..], |remembered| &remembered.opened.public.recipients);
        for named in [&self.recipients[..], known] {
            if !named.is_empty() {
                return Ok(Recipients {
                    all: named.iter().map(parse).collect::<Result<_, _>>()?,
                    minted: None,
                });
            }
        }
        let path = &self.own_identity;
        let mut minted = None;
        if !path.exists() {
            let new = NewIdentity::mint(created).map_err(|error| failure(&error))?;
            let written = environment.write_new(path, new.file.expose(), 0o600);
            // Another run may have been first: then its identity is the one.
            if written.map_err(|error| file_error("cannot be written", path, &error))? {
                minted = Some(path.clone());
            }
        }
        Ok(Recipients { all: vec![own_recipient(path)?], minted })
    }

    /// Seals what changed and reads it back; nothing is written where nothing changed.
    pub fn seal(
        &self,
        contents: &Contents,
        recipients: &[Recipient],
        previous: Option<&Remembered>,
        stamp: Stamp,
        environment: &Environment,
    ) -> Result<Sealed, Failure> {
        let cluster = contents.loaded.cluster();
        let bundle = contents.bundle;
        if previous.is_none() {
            note_trust(environment, contents.loaded, bundle)?;
        }
        let sealing = Sealing {
            cluster: &archive::Cluster { name: cluster.name.clone(), uid: bundle.uid().to_owned() },
            kubernetes: &cluster.kubernetes.to_string(),
            public_keys: &public_keys(bundle)?,
            encryption_keys: &BTreeMap::new(),
            entries: &entries(contents),
            facts: &BTreeMap::new(),
            delegations: &delegations(bundle, previous),
            recipients,
            previous: previous.map(|remembered| &remembered.opened),
            born: contents.born,
            stamp,
        };
        self.archive.seal_identity(&sealing).map_err(|error| failure(&error))
    }

    /// Who can open the newest identity set. Needs no identity.
    pub fn sealed_to(&self) -> Result<Vec<String>, Failure> {
        match self.archive.state(&self.trust).map_err(|error| failure(&error))? {
            Standing::Holds(holding) => Ok(holding.newest.public.recipients),
            Standing::Empty => {
                Err(Failure::refused("there is no archive yet").hint("the first `rekindle up` makes it"))
            }
        }
    }

    /// Seals the newest identity set anew, the same but for who can open it.
    pub fn seal_to(&self, recipients: &[String], stamp: &Stamp) -> Result<Sealed, Failure> {
        let opened =
            self.archive.open_identity(&self.identities()?, &self.trust).map_err(|error| failure(&error))?;
        let parse = |text: &String| text.parse::<Recipient>().map_err(|error| failure(&error));
        let public = &opened.public;
        let sealing = Sealing {
            cluster: &public.cluster,
            kubernetes: &public.kubernetes,
            public_keys: &public.public_keys,
            encryption_keys: &public.encryption_keys,
            entries: &opened.entries,
            facts: &opened.facts,
            recipients: &recipients.iter().map(parse).collect::<Result<Vec<_>, _>>()?,
            delegations: &public.delegations,
            previous: Some(&opened),
            born: opened.holding.born,
            stamp: *stamp,
        };
        self.archive.seal_identity(&sealing).map_err(|error| failure(&error))
    }

    /// Seals that etcd had a quorum.
    pub fn seal_born(
        &self,
        sealed: &archive::ManifestId,
        bundle: &Bundle,
        stamp: &Stamp,
    ) -> Result<Sealed, Failure> {
        self.archive.seal_born(sealed, &root_key(bundle), stamp).map_err(|error| failure(&error))
    }
}

/// The key that signs the archive.
fn root_key(bundle: &Bundle) -> Secret {
    Secret::new(bundle.root_key().expose_secret().as_bytes())
}

/// Each control plane may add snapshots, and say what it proved of its own.
fn delegations(bundle: &Bundle, previous: Option<&Remembered>) -> Vec<Delegation> {
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

/// The public half of an identity, which age-keygen's own comment names.
fn own_recipient(path: &Path) -> Result<Recipient, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| file_error("cannot be read", path, &error))?;
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: "));
    let public = public.ok_or_else(|| {
        Failure::refused(format!("{} does not name its public key", path.display()))
            .hint("write the recipient into the inventory: recipients = [\"age1…\"] under [archive]")
    })?;
    public.trim().parse().map_err(|error: archive::Error| failure(&error))
}

fn public_keys(bundle: &Bundle) -> Result<BTreeMap<String, archive::Digest>, Failure> {
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

fn entries(contents: &Contents) -> BTreeMap<String, Secret> {
    let secret = |text: &pki::Secret| Secret::new(text.expose_secret().as_bytes());
    let mut entries: BTreeMap<String, Secret> =
        contents.bundle.entries().iter().map(|(name, text)| (name.clone(), secret(text))).collect();
    entries.insert(INVENTORY.into(), Secret::new(without_trust(&contents.loaded.text)));
    // Maps of strings and lists of digests: they serialize.
    entries.insert(PAYLOAD.into(), Secret::new(serde_json::to_vec(contents.payload).unwrap_or_default()));
    entries.insert(HOST_KEYS.into(), Secret::new(serde_json::to_vec(contents.host_keys).unwrap_or_default()));
    for (path, text) in &contents.local.files {
        entries.insert(format!("{FILES}{}", path.trim_start_matches('/')), secret(text));
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

fn remembered(opened: Opened) -> Result<Remembered, Failure> {
    let text = |name: &str| {
        opened.entries.get(name).map(|entry| String::from_utf8_lossy(entry.expose()).into_owned())
    };
    let own: pki::Entries = opened
        .entries
        .iter()
        .map(|(name, entry)| (name.clone(), String::from_utf8_lossy(entry.expose()).into_owned().into()))
        .collect();
    let bundle = Bundle::from_entries(&own)
        .map_err(|error| Failure::refused(format!("the identity set can't be used: {}", chain(&error))))?;
    let cluster =
        text(INVENTORY).and_then(|text| inventory::parse(INVENTORY, &text).ok()).map(|parsed| parsed.cluster);
    let payload = text(PAYLOAD).and_then(|json| serde_json::from_str(&json).ok());
    let host_keys = text(HOST_KEYS).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    let below = |folder: &'static str| {
        let own =
            opened.entries.iter().filter_map(move |(name, entry)| Some((name.strip_prefix(folder)?, entry)));
        own.map(|(name, entry)| (name.to_owned(), String::from_utf8_lossy(entry.expose()).into_owned()))
    };
    let files = below(FILES).map(|(name, text)| (format!("/{name}"), text.into())).collect();
    let patches = below(PATCHES).collect();
    Ok(Remembered { bundle, cluster, payload, host_keys, files, patches, opened })
}

/// An error of the archive, with what a person can do.
pub fn failure(error: &archive::Error) -> Failure {
    Failure::because(error).maybe_hint(error.hint())
}
