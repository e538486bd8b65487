//! Opening: from an object's bytes to what was sealed, and an identity set as a whole.

use crate::entries::{MAX_PRIVATE, Private};
use crate::manifest::{IdentityPublic, ManifestId, Object};
use crate::standing::Holding;
use crate::survey::Survey;
use crate::{Archive, Destination, Digest, Error, Fault, Identities, Name, Secret, Trust};
use std::collections::BTreeMap;
use std::io::Read as _;
use zeroize::Zeroizing;

/// An opened identity set.
#[derive(Debug)]
pub struct Opened {
    /// The manifest of the set.
    pub id: ManifestId,
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

impl Archive {
    /// Opens the newest identity set.
    ///
    /// Every object's digest is checked before the first is decrypted; a copy that is missing or damaged at one
    /// destination is taken from another.
    ///
    /// # Errors
    /// Those of [`Archive::state`]; [`Error::Gone`] where nothing is there; [`Error::Lost`],
    /// [`Error::WrongIdentity`], [`Error::Content`].
    pub fn open_identity(&self, identities: &Identities, trust: &Trust) -> Result<Opened, Error> {
        let known = match self.survey(trust)? {
            Survey::Holds(known) => *known,
            Survey::Empty { .. } => return Err(Error::Empty { asked: self.describe() }),
        };
        let public = known.newest.public;
        let mut objects = BTreeMap::new();
        for object in &public.objects {
            objects.insert(object.sha256, self.fetch(object)?);
        }
        let decrypt = |object: Digest, name: &str, limit: u64| {
            let ciphertext = objects.get(&object).map(Vec::as_slice).unwrap_or_default();
            decrypt(ciphertext, identities, limit).map_err(|failed| match failed {
                Failed::NoKey => Error::WrongIdentity { recipients: public.recipients.clone() },
                Failed::Fault(source) => Error::Content { name: name.to_owned(), source },
            })
        };
        let content = |source| Error::Content { name: Name::Object(public.private).to_string(), source };
        let private = decrypt(public.private, &Name::Object(public.private).to_string(), MAX_PRIVATE)?;
        let private = Private::read(&private, &public).map_err(content)?;
        let mut entries = BTreeMap::new();
        for entry in &private.entries {
            let mut plain = decrypt(entry.object, &entry.name, entry.size)?;
            let wrong = |source| Error::Content { name: entry.name.clone(), source };
            if plain.len() as u64 != entry.size {
                return Err(wrong(Fault::Compressed));
            }
            if Digest::of(&plain) != entry.sha256 {
                return Err(wrong(Fault::Digest));
            }
            entries.insert(entry.name.clone(), Secret::new(std::mem::take(&mut *plain)));
        }
        let facts = private.facts.clone();
        Ok(Opened { id: known.newest.id, public, entries, facts, holding: known.holding, private })
    }

    /// The ciphertext of an object, from the first destination that has it unharmed.
    pub(crate) fn fetch(&self, object: &Object) -> Result<Vec<u8>, Error> {
        let mut tried = Vec::new();
        for destination in &self.destinations {
            match fetch_from(destination.as_ref(), object) {
                Ok(bytes) => return Ok(bytes),
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
        Ok(None) => Err("it is missing".into()),
        Ok(Some(bytes)) if bytes.len() as u64 != object.size => Err("it is cut off".into()),
        Ok(Some(bytes)) if Digest::of(&bytes) != object.sha256 => Err("it is damaged".into()),
        Ok(Some(bytes)) => Ok(bytes),
    }
}

enum Failed {
    NoKey,
    Fault(Fault),
}

/// age, then zstd; never more than `limit` bytes. Only for ciphertext whose digest a signed manifest names.
fn decrypt(ciphertext: &[u8], identities: &Identities, limit: u64) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let failed = |error| match error {
        age::DecryptError::NoMatchingKeys => Failed::NoKey,
        _ => Failed::Fault(Fault::Age),
    };
    let compressed = age::Decryptor::new(ciphertext)
        .and_then(|decryptor| decryptor.decrypt(identities.keys()))
        .map_err(failed)?;
    let compressed_badly = |_| Failed::Fault(Fault::Compressed);
    let plain = zstd::stream::read::Decoder::new(compressed).map_err(compressed_badly)?;
    // Of the final size where the size is known, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit).unwrap_or(0)));
    plain.take(limit + 1).read_to_end(&mut bytes).map_err(compressed_badly)?;
    if bytes.len() as u64 > limit { Err(Failed::Fault(Fault::Compressed)) } else { Ok(bytes) }
}
