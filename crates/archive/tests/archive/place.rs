//! A destination in memory that can be made to fail, and a small cluster to seal.

use archive::{
    Archive, Cluster, Delegation, Destination, DestinationError, Digest, Identities, Name, NewIdentity,
    Opened, Prefix, Put, ROOT_KEY_ENTRY, Recipient, RootKey, RootPublic, Sealed, Sealing, Secret, Stamp,
};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};

/// Clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    name: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    puts: usize,
    /// After so many writes all that follow fail.
    puts_left: Option<usize>,
    down: bool,
    /// Keeps half of each write that it acknowledges.
    lies: bool,
    /// Where the writers of manifests wait for each other.
    meeting: Option<Arc<Barrier>>,
}

impl Memory {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap())
    }

    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.with(|state| state.files.clone())
    }

    pub fn set(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.with(|state| state.files.insert(name.into(), bytes.into()));
    }

    pub fn remove(&self, name: &str) {
        self.with(|state| state.files.remove(name)).expect("nothing to remove");
    }

    /// The one file whose name begins so.
    pub fn only(&self, prefix: &str) -> (String, Vec<u8>) {
        let mut found: Vec<_> =
            self.files().into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        assert_eq!(found.len(), 1, "{prefix} in {:?}", self.files().keys());
        found.remove(0)
    }

    pub fn count(&self, prefix: &str) -> usize {
        self.files().keys().filter(|name| name.starts_with(prefix)).count()
    }

    pub fn puts(&self) -> usize {
        self.with(|state| state.puts)
    }

    pub fn fail_after(&self, puts: Option<usize>) {
        self.with(|state| state.puts_left = puts);
    }

    pub fn down(&self, down: bool) {
        self.with(|state| state.down = down);
    }

    pub fn lies(&self, lies: bool) {
        self.with(|state| state.lies = lies);
    }

    /// Two writers of a manifest go on only together, so that neither has seen the other's.
    pub fn meet(&self, meet: bool) {
        self.with(|state| state.meeting = meet.then(|| Arc::new(Barrier::new(2))));
    }

    /// Another place with the same files.
    pub fn copy(&self) -> Self {
        let copy = Self::new(&self.name);
        copy.with(|state| state.files = self.files());
        copy
    }

    pub fn archive(&self) -> Archive {
        at(&[self])
    }
}

pub fn at(places: &[&Memory]) -> Archive {
    Archive::at(places.iter().map(|place| Box::new((*place).clone()) as Box<dyn Destination>).collect())
        .unwrap()
}

fn broken(what: &str) -> DestinationError {
    DestinationError::Other(what.to_owned().into())
}

impl Destination for Memory {
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError> {
        self.with(|state| match state.files.get(&name.to_string()) {
            _ if state.down => Err(broken("no route to host")),
            Some(bytes) if bytes.len() as u64 > limit => {
                Err(DestinationError::TooLarge { path: name.to_string(), limit })
            }
            found => Ok(found.cloned()),
        })
    }

    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Put, DestinationError> {
        let meeting = self.with(|state| state.meeting.clone());
        if let (Some(meeting), Name::Manifest { .. }) = (meeting, name) {
            meeting.wait();
        }
        self.with(|state| {
            if state.down || state.puts_left == Some(0) {
                return Err(broken("no space left on device"));
            }
            state.puts += 1;
            state.puts_left = state.puts_left.map(|left| left - 1);
            if state.files.contains_key(&name.to_string()) {
                return Ok(Put::Existed);
            }
            let kept = if state.lies { &bytes[..bytes.len() / 2] } else { bytes };
            state.files.insert(name.to_string(), kept.to_vec());
            Ok(Put::Written)
        })
    }

    fn put_new_file(&self, name: &Name, from: &Path) -> Result<Put, DestinationError> {
        self.put_new(name, &std::fs::read(from).unwrap())
    }

    fn copy_to(&self, name: &Name, limit: u64, to: &mut dyn Write) -> Result<Option<u64>, DestinationError> {
        let Some(bytes) = self.get(name, limit)? else { return Ok(None) };
        to.write_all(&bytes).map_err(|error| DestinationError::Other(error.into()))?;
        Ok(Some(bytes.len() as u64))
    }

    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError> {
        self.with(|state| {
            if state.down {
                return Err(broken("no route to host"));
            }
            let names = state.files.keys().filter(|name| name.starts_with(prefix.as_str()));
            Ok(names.filter_map(|name| name.parse().ok()).collect())
        })
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

/// A root key that is the same in every run: an Ed25519 seed in PKCS#8 (RFC 8410).
pub fn root_key(seed: u8) -> Secret {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([seed; 32]);
    Secret::new(der)
}

pub fn root(seed: u8) -> RootPublic {
    RootKey::parse(&root_key(seed)).unwrap().public().unwrap()
}

pub const STAMP: Stamp<'static> =
    Stamp { created: "2026-11-24T12:00:00Z", rekindle: "0.1.0", holder: "ada", host: "laptop" };

/// All that a seal needs, owned.
pub struct Set {
    pub cluster: Cluster,
    pub kubernetes: String,
    pub public_keys: BTreeMap<String, Digest>,
    pub entries: BTreeMap<String, Secret>,
    pub facts: BTreeMap<String, String>,
    pub recipients: Vec<Recipient>,
    pub delegations: Vec<Delegation>,
    pub identities: Identities,
    pub born: bool,
}

/// A small cluster whose root key is made of `seed`.
pub fn set(seed: u8) -> Set {
    let key = NewIdentity::mint(STAMP.created).unwrap();
    let entries = [
        (ROOT_KEY_ENTRY, root_key(seed)),
        ("pki/ca.crt", Secret::new(*b"-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n")),
        ("pki/ca.key", Secret::new(vec![seed; 100])),
    ];
    Set {
        cluster: Cluster { name: "prod".into(), uid: format!("{seed:02x}").repeat(16) },
        kubernetes: "1.36.3".into(),
        public_keys: [("ca".to_owned(), Digest::of(b"ca")), ("sa".to_owned(), Digest::of(b"sa"))].into(),
        entries: entries.into_iter().map(|(name, content)| (name.to_owned(), content)).collect(),
        facts: [("by".to_owned(), "a test".to_owned())].into(),
        recipients: vec![key.recipient],
        delegations: Vec::new(),
        identities: Identities::parse(&key.file, "a test").unwrap(),
        born: false,
    }
}

impl Set {
    pub fn sealing<'a>(&'a self, previous: Option<&'a Opened>) -> Sealing<'a> {
        static NONE: BTreeMap<String, Digest> = BTreeMap::new();
        Sealing {
            cluster: &self.cluster,
            kubernetes: &self.kubernetes,
            public_keys: &self.public_keys,
            encryption_keys: &NONE,
            entries: &self.entries,
            facts: &self.facts,
            recipients: &self.recipients,
            delegations: &self.delegations,
            previous,
            born: self.born,
            stamp: STAMP,
        }
    }

    pub fn seal(&self, archive: &Archive, previous: Option<&Opened>) -> Result<Sealed, archive::Error> {
        archive.seal_identity(&self.sealing(previous))
    }
}

/// What was opened, as plain bytes.
pub fn plain(entries: &BTreeMap<String, Secret>) -> BTreeMap<String, Vec<u8>> {
    entries.iter().map(|(name, content)| (name.clone(), content.expose().to_vec())).collect()
}

/// An error with its causes.
pub fn words(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", words(source)),
        None => error.to_string(),
    }
}
