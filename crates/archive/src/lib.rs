//! The archive: what a cluster can be built again from, encrypted, signed, and at several places.
//!
//! An [`Archive`] is a set of [`Destination`]s that hold the same bytes. [`Archive::state`] says what lies there
//! and needs no key; [`Archive::open_identity`] gives back what was sealed; [`Archive::seal_identity`] adds a
//! generation when its content changed, and returns only after it was read back. Between two seals nodes add
//! snapshots of etcd: [`Spool`] encrypts one, [`Archive::publish_snapshot`] signs it with a key that the identity
//! set delegates, [`Archive::prove`] notes what was tried with it, [`Archive::generations`] says what there is, and
//! [`Archive::open_snapshot`] gives one back. The format is written down in `FORMAT.md` beside this crate.
//!
//! Nothing that is read is trusted: names are parsed and never joined to a path, sizes are bounded, a signature
//! is checked before anything is decrypted, and a digest before anything is believed. There is no clock here;
//! the only randomness is what age draws for its keys.

mod canonical;
mod cipher;
mod claim;
mod compose;
mod copies;
mod delegation;
pub mod destination;
mod digest;
mod entries;
mod epoch;
mod error;
mod fault;
mod format;
#[cfg(test)]
mod frozen;
mod generations;
mod identity;
mod key;
mod manifest;
mod named;
mod names;
mod open;
mod opening;
mod payload;
mod printed;
mod proof;
mod prune;
mod publish;
mod recall;
mod recipient;
mod retention;
mod seal;
mod secret;
mod selection;
mod signed;
mod snapshot;
mod spool;
mod standing;
mod survey;
mod upload;
mod words;

pub use claim::{Claimed, Claiming};
pub use copies::{Copies, Site, Writer};
pub use delegation::{Delegation, MAY_PROOF, MAY_SNAPSHOT};
pub use destination::{
    Canary, Credentials, Destination, DestinationError, Folder, Put, S3, S3Settings, Tried,
};
use destination::{Patient, Rehearsal};
pub use digest::{Digest, NotADigest};
pub use entries::{EXPORT_ENTRY, Entry, SNAPSHOT_ENTRY};
pub use epoch::{Claim, fencing};
pub use error::Error;
pub use fault::Fault;
pub use format::READER;
pub use generations::{Generation, Generations};
pub use identity::{Identities, NewIdentity};
pub use key::{ROOT_KEY_ENTRY, RootKey, RootPublic, SigningKey};
pub use manifest::{Cluster, IdentityManifest, IdentityPublic, ManifestId, Object};
pub use names::{Name, Prefix};
pub use open::{Look, Opened};
pub use payload::{PayloadFile, PayloadProgress, PayloadPublic, PayloadSealed, PayloadSealing, PayloadSet};
pub use printed::{Unprinted, printed};
pub use proof::{Level, Proof, Proven};
pub use prune::Pruned;
pub use recall::OpenedSnapshot;
pub use recipient::Recipient;
pub use retention::{Keep, Retention, retain};
pub use seal::{Sealed, Sealing, Stamp};
pub use secret::Secret;
pub use snapshot::{Signer, SnapshotPublic};
pub use spool::{Capture, Spool, Spooled};
pub use standing::{Head, Holding, Rejected, Standing, Trust, Unread};
pub use upload::{Mended, Published};

/// The places of one archive, in the order in which they are asked and written.
#[derive(Debug)]
pub struct Archive {
    destinations: Vec<Box<dyn Destination>>,
    /// What is known of each, in the same order.
    sites: Vec<Site>,
}

impl Archive {
    /// An archive at these destinations, each of which fails alone. The order is part of the meaning: all writers
    /// claim an epoch at the first destination first, so that of two only one goes on.
    ///
    /// # Errors
    /// [`Error::NoDestination`] where the list is empty.
    pub fn at(destinations: Vec<Box<dyn Destination>>) -> Result<Self, Error> {
        let apart = |one: Box<dyn Destination>| (Site::apart(one.describe()), one);
        Self::on(destinations.into_iter().map(apart).collect())
    }

    /// The same, with what is known of each. Of one that was silent once nothing more is asked.
    ///
    /// # Errors
    /// As for [`Archive::at`].
    pub fn on(places: Vec<(Site, Box<dyn Destination>)>) -> Result<Self, Error> {
        if places.is_empty() {
            return Err(Error::NoDestination);
        }
        let (sites, destinations) = places
            .into_iter()
            .map(|(site, one)| (site, Box::new(Patient::with(one)) as Box<dyn Destination>))
            .unzip();
        Ok(Self { destinations, sites })
    }

    /// The same archive for a rehearsal: what lies at its destinations is read and never changed, and what is written goes
    /// to `beside` and is gone with it.
    #[must_use]
    pub fn rehearsed(self, beside: Folder) -> Self {
        let place = Rehearsal::new(self.destinations, beside);
        Self { sites: vec![Site::apart(place.describe())], destinations: vec![Box::new(place)] }
    }

    /// What a person calls each destination, in their order.
    pub fn names(&self) -> Vec<String> {
        self.sites.iter().map(|site| site.at.clone()).collect()
    }

    /// What the copies of a set of an operator come to, which lies at the destinations called `held`.
    pub fn copies(&self, held: &[String]) -> Copies {
        Copies::of(&self.sites, Writer::Operator, held)
    }
}
