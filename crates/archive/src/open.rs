//! Opening an identity set: from an object's bytes to what was sealed.

use crate::cipher::decrypt;
use crate::entries::{MAX_PRIVATE, Of, Private};
use crate::manifest::{IdentityPublic, Manifest, ManifestId, Object};
use crate::standing::Holding;
use crate::survey::Known;
use crate::{Archive, Destination, Digest, Error, Fault, Identities, Name, Secret, Trust};
use std::collections::BTreeMap;

/// An opened identity set.
#[derive(Debug)]
pub struct Opened {
    /// The manifest of the set.
    pub id: ManifestId,
    /// The bytes of the manifest, which [`crate::IdentityManifest::read`] takes.
    pub manifest: Vec<u8>,
    /// Its public part.
    pub public: IdentityPublic,
    /// Logical name → content.
    pub entries: BTreeMap<String, Secret>,
    /// What the writer noted beside the entries.
    pub facts: BTreeMap<String, String>,
    /// How the archive stood when it was opened.
    pub holding: Holding,
    pub(crate) private: Private,
}

/// Signed documents as they lie there, so that whoever gets them can check them again.
#[derive(Clone, Debug)]
pub struct Look {
    /// The manifest of the newest identity set, which [`crate::IdentityManifest::read`] takes.
    pub identity: Vec<u8>,
    /// The claims of epochs, by epoch, which [`crate::Claim::verify`] takes. There is no line break in them.
    pub claims: Vec<Vec<u8>>,
}

impl Archive {
    /// Opens the newest identity set.
    ///
    /// Every object's digest is checked before the first is decrypted; a copy that is missing or damaged at one
    /// destination is taken from another.
    ///
    /// # Errors
    /// Those of [`Archive::state`]; [`Error::Empty`] where nothing is there; [`Error::Lost`],
    /// [`Error::WrongIdentity`], [`Error::Content`].
    pub fn open_identity(&self, identities: &Identities, trust: &Trust) -> Result<Opened, Error> {
        let known = self.survey_what_is_there(trust)?;
        let newest = known.newest.clone();
        self.open_set(known, newest, identities)
    }

    /// Opens an identity set that need not be the newest, as a snapshot set names it.
    ///
    /// # Errors
    /// As for [`Archive::open_identity`], and [`Error::NoManifest`] where there is no such set.
    pub fn open_identity_set(
        &self,
        id: &ManifestId,
        identities: &Identities,
        trust: &Trust,
    ) -> Result<Opened, Error> {
        let known = self.survey_what_is_there(trust)?;
        let manifest = known.manifests.get(id).cloned().ok_or(Error::NoManifest(*id))?;
        self.open_set(known, manifest, identities)
    }

    /// The bytes of the newest identity set's manifest. Needs no identity.
    ///
    /// # Errors
    /// Those of [`Archive::state`]; [`Error::Empty`] where nothing is there.
    pub fn identity_manifest(&self, trust: &Trust) -> Result<Vec<u8>, Error> {
        Ok(self.look(trust)?.identity)
    }

    /// What a node carries from here to where nothing reaches the archive. Needs no identity.
    ///
    /// # Errors
    /// Those of [`Archive::state`]; [`Error::Empty`] where nothing is there.
    pub fn look(&self, trust: &Trust) -> Result<Look, Error> {
        let known = self.survey_what_is_there(trust)?;
        let claims = known.claims.into_iter().map(|found| found.bytes).collect();
        Ok(Look { identity: known.newest.bytes, claims })
    }

    fn open_set(&self, known: Known, manifest: Manifest, identities: &Identities) -> Result<Opened, Error> {
        let Manifest { id, public, bytes, .. } = manifest;
        let mut objects = BTreeMap::new();
        for object in &public.objects {
            objects.insert(object.sha256, self.fetch(object)?);
        }
        let decrypt = |object: Digest, name: &str, limit: u64| {
            let ciphertext = objects.get(&object).map(Vec::as_slice).unwrap_or_default();
            decrypt(ciphertext, identities, limit).map_err(|failed| failed.of(name, &public.recipients))
        };
        let content = |source| Error::Content { name: Name::Object(public.private).to_string(), source };
        let private = decrypt(public.private, &Name::Object(public.private).to_string(), MAX_PRIVATE)?;
        let private = Private::read(&private, Of::Identity, &public.objects).map_err(content)?;
        let mut entries = BTreeMap::new();
        for entry in &private.entries {
            let mut plain = decrypt(entry.object, &entry.name, entry.size)?;
            entry.check(&plain)?;
            entries.insert(entry.name.clone(), Secret::new(std::mem::take(&mut *plain)));
        }
        let facts = private.facts.clone();
        Ok(Opened { id, manifest: bytes, public, entries, facts, holding: known.holding, private })
    }

    /// The ciphertext of an object, from the first destination that has it unharmed.
    pub(crate) fn fetch(&self, object: &Object) -> Result<Vec<u8>, Error> {
        self.first(object, |destination| fetch_from(destination, object))
    }

    /// What the first destination gives that has the object unharmed.
    pub(crate) fn first<T>(
        &self,
        object: &Object,
        mut from: impl FnMut(&dyn Destination) -> Result<T, String>,
    ) -> Result<T, Error> {
        let mut tried = Vec::new();
        for destination in &self.destinations {
            match from(destination.as_ref()) {
                Ok(got) => return Ok(got),
                Err(why) => tried.push(format!("{}: {why}", destination.describe())),
            }
        }
        Err(Error::Lost { name: Name::Object(object.sha256).to_string(), tried })
    }
}

/// The ciphertext as one destination has it, or why not.
fn fetch_from(destination: &dyn Destination, object: &Object) -> Result<Vec<u8>, String> {
    match destination.get(&Name::Object(object.sha256), object.size) {
        Err(error) => Err(crate::error::chain(&error)),
        Ok(None) => Err(MISSING.into()),
        Ok(Some(bytes)) => object.check((Digest::of(&bytes), bytes.len() as u64)).map(|()| bytes),
    }
}

pub(crate) const MISSING: &str = "it is missing";

impl Object {
    /// Whether a copy with this digest and size is the object; in words why not.
    pub(crate) fn check(&self, (sha256, size): (Digest, u64)) -> Result<(), String> {
        if size != self.size {
            return Err("it is cut off".into());
        }
        if sha256 == self.sha256 { Ok(()) } else { Err("it is damaged".into()) }
    }
}

impl crate::entries::Entry {
    /// Whether this is what was sealed.
    pub(crate) fn check(&self, plain: &[u8]) -> Result<(), Error> {
        let wrong = |source| Err(Error::Content { name: self.name.clone(), source });
        if plain.len() as u64 != self.size {
            return wrong(Fault::Compressed);
        }
        if Digest::of(plain) == self.sha256 { Ok(()) } else { wrong(Fault::Digest) }
    }
}
