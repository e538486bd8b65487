//! From what a set is to be to a manifest and the objects that are new: known objects are named again.

use crate::cipher::encrypt;
use crate::entries::{Entry, Of, Private};
use crate::manifest::{IdentityPublic, KIND, Manifest, ManifestId, Object};
use crate::publish::Publication;
use crate::signed::Body;
use crate::{Delegation, Digest, Error, Opened, RootKey, Sealing};
use std::collections::BTreeMap;

/// In one order and each once, so that the inventory's order is no difference.
pub(crate) fn recipients(sealing: &Sealing) -> Vec<String> {
    let mut recipients: Vec<_> = sealing.recipients.iter().map(ToString::to_string).collect();
    recipients.sort();
    recipients.dedup();
    recipients
}

/// The same for the delegations.
pub(crate) fn delegations(sealing: &Sealing) -> Vec<Delegation> {
    let mut delegations = sealing.delegations.to_vec();
    delegations.sort();
    delegations.dedup();
    delegations
}

/// Where in the archive's order a set comes.
pub(crate) struct Place {
    pub repo: String,
    pub epoch: u64,
    /// Manifest → number.
    pub parents: BTreeMap<ManifestId, u64>,
    pub born: bool,
}

/// The objects that are not yet there, and the manifest over all.
pub(crate) fn compose(sealing: &Sealing, key: &RootKey, place: Place) -> Result<Publication, Error> {
    let known = sealing.previous.filter(|opened| opened.public.recipients == recipients(sealing));
    let mut objects: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut fresh = BTreeMap::new();
    let mut add = |plain: &[u8]| -> Result<Digest, Error> {
        let bytes = encrypt(plain, sealing.recipients)?;
        let sha256 = Digest::of(&bytes);
        objects.insert(sha256, bytes.len() as u64);
        fresh.insert(sha256, bytes);
        Ok(sha256)
    };
    let mut again = Vec::new();
    let mut entries = Vec::new();
    for (name, content) in sealing.entries {
        let (plain, sha256) = (content.expose(), Digest::of(content.expose()));
        let object = match known.and_then(|opened| object_of(opened, &sha256)) {
            Some(object) => {
                again.push(object);
                object.sha256
            }
            None => add(plain)?,
        };
        entries.push(Entry { name: name.clone(), object, sha256, size: plain.len() as u64 });
    }
    let private =
        Private::new(Of::Identity, entries, sealing.facts.clone()).write().map_err(Error::Describe)?;
    let private = add(&private)?;
    objects.extend(again.into_iter().map(|object| (object.sha256, object.size)));
    let root = key.public()?;
    let public = IdentityPublic {
        born: place.born,
        cluster: sealing.cluster.clone(),
        created: sealing.stamp.created.to_owned(),
        delegations: delegations(sealing),
        encryption_keys: sealing.encryption_keys.clone(),
        epoch: place.epoch,
        // Of the same root key, or there would be no previous set.
        kit_confirmed: sealing.previous.and_then(|opened| opened.public.kit_confirmed.clone()),
        kubernetes: sealing.kubernetes.to_owned(),
        number: 1 + place.parents.values().max().copied().unwrap_or(0),
        objects: objects.into_iter().map(|(sha256, size)| Object { sha256, size }).collect(),
        parents: place.parents.into_keys().collect(),
        private,
        public_keys: sealing.public_keys.clone(),
        recipients: recipients(sealing),
        rekindle: sealing.stamp.rekindle.to_owned(),
        repo: place.repo,
        root,
    };
    let body = Body::new(KIND, &public, root).map_err(Error::Describe)?;
    Ok(Publication { manifest: Manifest::sign(body, key)?, fresh })
}

/// The object of the opened set that holds this plaintext for the same recipients.
fn object_of(opened: &Opened, plain: &Digest) -> Option<Object> {
    let entry = opened.private.entries.iter().find(|entry| entry.sha256 == *plain)?;
    opened.public.objects.iter().find(|object| object.sha256 == entry.object).copied()
}
