//! Sealing an identity set: whether there is anything to seal, and in which order it is done.

use crate::compose::{Place, compose, delegations, recipients};
use crate::entries::MAX_ENTRY;
use crate::manifest::{Cluster, IdentityPublic, MAX_ENTRIES, MAX_SET, Manifest, ManifestId};
use crate::publish::{Outcome, Publication};
use crate::standing::Unread;
use crate::survey::{Known, Survey};
use crate::{
    Archive, Delegation, Digest, Error, Opened, ROOT_KEY_ENTRY, Recipient, RootKey, RootPublic, Secret,
    Trust, format, names,
};
use std::collections::BTreeMap;

/// Who seals, and when. For people to read; nothing is decided by it.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The time (RFC 3339).
    pub created: &'a str,
    /// The version of rekindle.
    pub rekindle: &'a str,
    /// Who runs the command.
    pub holder: &'a str,
    /// The machine on which it runs.
    pub host: &'a str,
}

/// What an identity set is to be.
#[derive(Clone, Copy, Debug)]
pub struct Sealing<'a> {
    /// Whose it is.
    pub cluster: &'a Cluster,
    /// The cluster's version of Kubernetes.
    pub kubernetes: &'a str,
    /// Public keys of the CAs and service accounts: file's name → sha256 of the SubjectPublicKeyInfo in DER.
    pub public_keys: &'a BTreeMap<String, Digest>,
    /// Keys that encrypt Secrets in etcd: name → sha256 of the key.
    pub encryption_keys: &'a BTreeMap<String, Digest>,
    /// Logical name → content. [`ROOT_KEY_ENTRY`] is the key that signs.
    pub entries: &'a BTreeMap<String, Secret>,
    /// What else only recipients may know.
    pub facts: &'a BTreeMap<String, String>,
    /// Who will be able to open it.
    pub recipients: &'a [Recipient],
    /// Who else may sign what.
    pub delegations: &'a [Delegation],
    /// The set that was opened before; `None` to begin an archive where there is none.
    pub previous: Option<&'a Opened>,
    /// Whether the cluster ever had a quorum of etcd. Once said, it stays said for the epoch.
    pub born: bool,
    /// Who and when.
    pub stamp: Stamp<'a>,
}

/// What a seal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The newest identity set's manifest.
    pub id: ManifestId,
    /// Its epoch.
    pub epoch: u64,
    /// Its number, for people.
    pub number: u64,
    /// The trust anchor: the root public key.
    pub root: RootPublic,
    /// Whether there was anything to seal.
    pub new: bool,
    /// Destinations that hold it. Those that were written gave back every byte; one at least is named.
    pub proven: Vec<String>,
    /// Destinations that do not.
    pub failed: Vec<Unread>,
}

impl Archive {
    /// Seals an identity set, if its content differs from the one that was opened before, and reads it back.
    /// Without a difference nothing is written, but a destination that lacks the newest set gets it.
    ///
    /// # Errors
    /// [`Error::Occupied`] where a new archive meets one, [`Error::Moved`] where somebody sealed since,
    /// [`Error::Claimed`] where somebody began an archive here at the same time, [`Error::NotProven`] where no
    /// destination holds it in the end; what is wrong with the set; those of [`Archive::state`].
    pub fn seal_identity(&self, sealing: &Sealing) -> Result<Sealed, Error> {
        let key = RootKey::parse(sealing.entries.get(ROOT_KEY_ENTRY).ok_or(Error::NoRootKey)?)?;
        check(sealing)?;
        let Some(opened) = sealing.previous else { return self.begin(sealing, &key) };
        let root = key.public()?;
        if opened.public.root != root {
            return Err(Error::OtherRootKey { found: root, expected: opened.public.root });
        }
        let known = self.known(&root)?;
        if known.newest.id != opened.id {
            return Err(Error::Moved { opened: opened.id, newest: known.newest.id });
        }
        let (found, expected) = (&known.holding.cluster.uid, &sealing.cluster.uid);
        if found != expected {
            return Err(Error::OtherCluster { found: found.clone(), expected: expected.clone() });
        }
        // A newer epoch ended the delegations of the one before, and its snapshots name a set of their own epoch.
        if opened.public.epoch == known.holding.epoch && !differs(sealing, opened) {
            return if sealing.born && !known.holding.born {
                self.bear(&known, &known.newest, &key, &sealing.stamp)
            } else {
                self.mend(&known, &key, &sealing.stamp)
            };
        }
        let parents = opened.holding.heads.iter().map(|head| (head.id, head.public.number)).collect();
        let (epoch, repo) = (known.holding.epoch, known.holding.repo.clone());
        let born = sealing.born || known.holding.born;
        let publication = compose(sealing, &key, Place { repo, epoch, parents, born })?;
        let outcome = self.publish(&publication)?;
        self.claim(Some(&known), &publication.manifest, &key, &sealing.stamp)?;
        Ok(sealed(&publication.manifest, true, outcome))
    }

    /// Seals that the cluster was born: the set `id` again, the same objects, with that one field set. Does
    /// nothing where the newest epoch's sets say so already.
    ///
    /// # Errors
    /// [`Error::NoManifest`] where `id` is not an identity set of this archive; those of
    /// [`Archive::seal_identity`].
    pub fn seal_born(&self, id: &ManifestId, root_key: &Secret, stamp: &Stamp) -> Result<Sealed, Error> {
        let key = RootKey::parse(root_key)?;
        let known = self.known(&key.public()?)?;
        let manifest = known.manifests.get(id).ok_or(Error::NoManifest(*id))?;
        if known.holding.born {
            return self.mend(&known, &key, stamp);
        }
        self.bear(&known, manifest, &key, stamp)
    }

    pub(crate) fn known(&self, root: &RootPublic) -> Result<Known, Error> {
        match self.survey(&Trust::Anchor(*root))? {
            Survey::Holds(known) => Ok(*known),
            Survey::Empty { .. } => Err(Error::Gone { expected: *root, asked: self.describe() }),
        }
    }

    /// The first set of an archive. Its epoch is claimed after its manifest is there: a command that is killed
    /// in between has left what the next one opens and goes on with, while a claim without a manifest would
    /// bind the archive to a key that nobody has.
    fn begin(&self, sealing: &Sealing, key: &RootKey) -> Result<Sealed, Error> {
        let repo = match self.survey(&Trust::Unset) {
            Ok(Survey::Empty { repo }) => repo,
            Ok(Survey::Holds(_)) => return Err(Error::Occupied { at: self.describe() }),
            Err(Error::NoAnchor { at, .. }) => return Err(Error::Occupied { at }),
            Err(error) => return Err(error),
        };
        let repo = match repo {
            Some(repo) => repo,
            None => format::repo_of(&key.public()?),
        };
        let place = Place { repo, epoch: 1, parents: BTreeMap::new(), born: sealing.born };
        let publication = compose(sealing, key, place)?;
        let outcome = self.publish(&publication)?;
        self.claim(None, &publication.manifest, key, &sealing.stamp)?;
        Ok(sealed(&publication.manifest, true, outcome))
    }

    /// Seals that a person typed the words of the recovery kit at the time of the stamp: the newest set again, the
    /// same objects, with that one field set. Later seals carry it over.
    ///
    /// # Errors
    /// Those of [`Archive::seal_identity`].
    pub fn seal_kit_confirmed(&self, root_key: &Secret, stamp: &Stamp) -> Result<Sealed, Error> {
        let key = RootKey::parse(root_key)?;
        let known = self.known(&key.public()?)?;
        self.repeat(&known, &known.newest, ("kit_confirmed", stamp.created.into()), &key, stamp)
    }

    fn bear(
        &self,
        known: &Known,
        manifest: &Manifest,
        key: &RootKey,
        stamp: &Stamp,
    ) -> Result<Sealed, Error> {
        self.repeat(known, manifest, ("born", true.into()), key, stamp)
    }

    /// `manifest` once more, with one field set. Its only parent is the set that it repeats: another head keeps its
    /// own content and stays one.
    fn repeat(
        &self,
        known: &Known,
        manifest: &Manifest,
        (field, value): (&str, serde_json::Value),
        key: &RootKey,
        stamp: &Stamp,
    ) -> Result<Sealed, Error> {
        let mut body = manifest.body.clone();
        let number = manifest.public.number + 1;
        body.set(field, &value)
            .and_then(|()| body.set("born", &(known.holding.born || field == "born")))
            .and_then(|()| body.set("created", &stamp.created))
            .and_then(|()| body.set("epoch", &known.holding.epoch))
            .and_then(|()| body.set("number", &number))
            .and_then(|()| body.set("parents", &[manifest.id]))
            .and_then(|()| body.set("rekindle", &stamp.rekindle))
            .map_err(Error::Describe)?;
        let publication = Publication { manifest: Manifest::sign(body, key)?, fresh: BTreeMap::new() };
        let outcome = self.publish(&publication)?;
        self.claim(Some(known), &publication.manifest, key, stamp)?;
        Ok(sealed(&publication.manifest, true, outcome))
    }

    /// Nothing new: the destinations that lack the newest set get it, and the claim where it is missing.
    fn mend(&self, known: &Known, key: &RootKey, stamp: &Stamp) -> Result<Sealed, Error> {
        let publication = Publication { manifest: known.newest.clone(), fresh: BTreeMap::new() };
        let outcome = self.publish_where_lacking(&publication, &known.holders_of(&known.newest.id))?;
        self.claim(Some(known), &publication.manifest, key, stamp)?;
        Ok(sealed(&publication.manifest, false, outcome))
    }
}

fn sealed(manifest: &Manifest, new: bool, outcome: Outcome) -> Sealed {
    let IdentityPublic { epoch, number, root, .. } = manifest.public;
    Sealed { id: manifest.id, epoch, number, root, new, proven: outcome.proven, failed: outcome.failed }
}

/// What a reader would refuse is refused before anything is written.
fn check(sealing: &Sealing) -> Result<(), Error> {
    if sealing.recipients.is_empty() {
        return Err(Error::NoRecipient);
    }
    if let Some(name) = names::misfit(sealing.entries.keys().map(String::as_str)) {
        return Err(Error::EntryName { name: name.to_owned() });
    }
    let too_large = |what: &str, size, limit| Err(Error::TooLarge { what: what.to_owned(), size, limit });
    if sealing.entries.len() > MAX_ENTRIES {
        return too_large("the number of entries", sealing.entries.len() as u64, MAX_ENTRIES as u64);
    }
    let size = |content: &Secret| content.expose().len() as u64;
    if let Some((name, content)) = sealing.entries.iter().find(|(_, content)| size(content) > MAX_ENTRY) {
        return too_large(name, size(content), MAX_ENTRY);
    }
    // Ciphertext of incompressible entries is a little larger than they are.
    let sum = sealing.entries.values().map(size).sum();
    if sum > MAX_SET / 2 { too_large("the set", sum, MAX_SET / 2) } else { Ok(()) }
}

fn differs(sealing: &Sealing, opened: &Opened) -> bool {
    let wanted = sealing.entries.iter().map(|(name, content)| (name.as_str(), Digest::of(content.expose())));
    let public = &opened.public;
    !opened.private.contents().eq(wanted)
        || opened.facts != *sealing.facts
        || public.recipients != recipients(sealing)
        || public.delegations != delegations(sealing)
        || public.cluster != *sealing.cluster
        || public.kubernetes != sealing.kubernetes
        || public.public_keys != *sealing.public_keys
        || public.encryption_keys != *sealing.encryption_keys
}
