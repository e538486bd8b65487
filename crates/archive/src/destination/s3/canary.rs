//! What a credential may do with a bucket, tried on an object that is no part of the archive.

use super::error::told;
use super::{S3, failed};
use crate::destination::{Destination as _, DestinationError};
use crate::{Name, Prefix};
use object_store::{
    Error as StoreError, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};

/// What lies under the canary's name. It says what it is to whoever finds it.
const CANARY: &[u8] =
    b"rekindle tries on this object whether a credential can overwrite or delete. No part of the archive.\n";

/// What became of a try that must be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Refused, as it must be.
    Refused,
    /// It was done.
    Allowed,
    /// Nobody knows: what went wrong instead.
    Unclear(String),
}

/// What a credential may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Write over what is there.
    pub overwrite: Tried,
    /// Remove it.
    pub delete: Tried,
}

impl S3 {
    /// Writes the canary where it is not yet, reads it back and lists the archive, all of which must be possible; then
    /// tries to overwrite and to delete it. Nothing else is touched, and where both are refused the canary stays.
    ///
    /// # Errors
    /// Where the bucket cannot be written, read or listed.
    pub fn canary(&self) -> Result<Canary, DestinationError> {
        let name = Name::Canary;
        self.put_new(&name, CANARY)?;
        match self.get(&name, CANARY.len() as u64)? {
            Some(found) if found == CANARY => {}
            _ => return Err(DestinationError::Kind { path: self.path(&name), expected: "canary of ours" }),
        }
        self.list(Prefix::Generations)?;
        let (store, key) = (self.store.clone(), self.key(&name));
        // The same bytes, so that nothing is lost where it is done.
        let overwrite = self.run(0, async move {
            let put =
                store.put_opts(&key, PutPayload::from_static(CANARY), PutOptions::from(PutMode::Overwrite));
            Ok(tried(put.await))
        });
        let (store, key) = (self.store.clone(), self.key(&name));
        let delete = self.run(0, async move { Ok(tried(store.delete(&key).await)) });
        let known = |tried: Result<Tried, _>| tried.map_err(|error| failed("try", &self.path(&name), error));
        Ok(Canary { overwrite: known(overwrite)?, delete: known(delete)? })
    }
}

/// A server refuses by saying so; that it fails, or is not reached, proves nothing.
fn tried<T>(done: Result<T, StoreError>) -> Tried {
    match done {
        Ok(_) => Tried::Allowed,
        Err(StoreError::PermissionDenied { .. }) => Tried::Refused,
        Err(error) => Tried::Unclear(super::S3Error::from(told(&error)).to_string()),
    }
}
