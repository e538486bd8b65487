//! The archive of one cluster as a command uses it: where it is, who can open it, what is sealed into it.

mod contents;
mod epochs;
mod generations;
mod keys;
mod missing;
mod opened;
mod payload;
mod reading;
mod trust_note;

use crate::cli::Opening;
use crate::destinations::destinations;
use crate::environment::Environment;
use crate::failure::{Failure, chain, file_error};
use crate::loaded::Loaded;
use crate::report::Reporter;
use archive::{
    Archive, Holding, NewIdentity, Opened, Recipient, Sealed, Sealing, Secret, Stamp, Standing, Trust,
};
use pki::{Bundle, ExposeSecret};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use contents::Contents;
use contents::{
    FILES, HOST_KEYS, INVENTORY, PATCHES, PAYLOAD, delegations, encryption_keys, entries, public_keys,
};
pub use epochs::fenced_by;
pub use generations::{OpenedGeneration, Signing, Tried};
use keys::Keys;
pub use missing::{Missing, bring};
pub use opened::{LastOpened, openings};
pub use payload::digests;
pub use reading::Origin;
use trust_note::{note_trust, noted_trust};

/// How a person calls a generation.
pub fn generation_name(one: &archive::Generation) -> String {
    generations::name(one.public.epoch, one.public.revision, &one.id)
}

/// How a person calls a generation that was just published.
pub fn published_name(one: &archive::Published) -> String {
    generations::name(one.epoch, one.revision, &one.id)
}

/// The archive of an inventory, before anything is known of it.
pub struct Vault {
    archive: Archive,
    trust: Trust,
    keys: Keys,
    recipients: Vec<String>,
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

/// That the inventory in an identity set says nothing to this program.
pub fn unreadable() -> Failure {
    Failure::refused("the archive's own inventory can't be read").hint("use the rekindle that wrote it")
}

impl Remembered {
    /// The cluster as it was when it was sealed.
    pub fn own_cluster(&self) -> Result<&inventory::Cluster, Failure> {
        self.cluster.as_ref().ok_or_else(unreadable)
    }

    /// What the plan's standing needs to know.
    pub fn known(&self) -> plan::Known {
        let ca = self.bundle.authority(pki::Ca::Cluster).public_key_hash().to_owned();
        plan::Known { uid: self.bundle.uid().to_owned(), ca, born: self.opened.holding.born }
    }

    /// Its identity set: what anybody may know of it.
    pub fn public(&self) -> &archive::IdentityPublic {
        &self.opened.public
    }

    /// What its identity set says of how it came about.
    pub fn facts(&self) -> &BTreeMap<String, String> {
        &self.opened.facts
    }

    /// The text of its inventory.
    pub fn inventory(&self) -> Option<String> {
        let entry = self.opened.entries.get(INVENTORY)?;
        String::from_utf8(entry.expose().to_vec()).ok()
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
        let keys = Keys::new(identity, &settings.identity_command, &loaded.folder, environment);
        let trust = match &settings.trust {
            Some(key) => Trust::Anchor(key.parse().map_err(|error: archive::Error| failure(&error))?),
            None if trust_on_first_use => Trust::FirstUse,
            None => noted_trust(&archive, environment, loaded).map_or(Trust::Unset, Trust::Anchor),
        };
        Ok(Self { archive, trust, keys, recipients: settings.recipients.clone() })
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
        remembered(self.open_newest()?).map(Some)
    }

    /// Whether nothing was ever sealed there.
    pub fn is_empty(&self) -> Result<bool, Failure> {
        let state = self.archive.state(&self.trust).map_err(|error| failure(&error))?;
        Ok(matches!(state, Standing::Empty))
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
        if self.keys.are_a_commands() {
            return Err(Failure::refused("`identity-command` prints an identity, and nobody says whose")
                .hint("write its public key into the inventory: recipients = [\"age1…\"] under [archive]"));
        }
        let path = &self.keys.own;
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
            encryption_keys: &encryption_keys(contents.local)?,
            entries: &entries(contents),
            facts: contents.facts,
            delegations: &delegations(bundle, previous),
            recipients,
            previous: previous.map(|remembered| &remembered.opened),
            born: contents.born,
            stamp,
        };
        self.archive.seal_identity(&sealing).map_err(|error| failure(&error))
    }

    /// The archive as it stands. Needs no identity.
    pub fn holding(&self) -> Result<Holding, Failure> {
        match self.archive.state(&self.trust).map_err(|error| failure(&error))? {
            Standing::Holds(holding) => Ok(*holding),
            Standing::Empty => {
                Err(Failure::refused("there is no archive yet").hint("the first `rekindle up` makes it"))
            }
        }
    }

    /// Seals the newest identity set anew, the same but for who can open it.
    pub fn seal_to(&self, recipients: &[String], stamp: &Stamp) -> Result<Sealed, Failure> {
        let opened = self.open_newest()?;
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

    fn open_newest(&self) -> Result<Opened, Failure> {
        self.archive.open_identity(self.keys.identities()?, &self.trust).map_err(|error| failure(&error))
    }

    /// Seals that a person typed the words of the recovery kit.
    pub fn seal_kit_confirmed(&self, stamp: &Stamp) -> Result<Sealed, Failure> {
        let remembered = remembered(self.open_newest()?)?;
        let key = root_key(&remembered.bundle);
        self.archive.seal_kit_confirmed(&key, stamp).map_err(|error| failure(&error))
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
