//! A destination that is asked nothing more once it was silent: a run that waits for the same place again and again
//! does nothing else.

use super::{Destination, DestinationError, Put};
use crate::{Name, Prefix};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Another destination, for one run.
#[derive(Debug)]
pub(crate) struct Patient {
    inner: Box<dyn Destination>,
    was_silent: AtomicBool,
}

impl Patient {
    pub(crate) fn with(inner: Box<dyn Destination>) -> Self {
        Self { inner, was_silent: AtomicBool::new(false) }
    }

    fn ask<T>(
        &self,
        ask: impl FnOnce(&dyn Destination) -> Result<T, DestinationError>,
    ) -> Result<T, DestinationError> {
        if self.was_silent.load(Ordering::Relaxed) {
            return Err(DestinationError::GivenUp { at: self.inner.describe() });
        }
        let answer = ask(self.inner.as_ref());
        if let Err(DestinationError::Silent { .. }) = answer {
            self.was_silent.store(true, Ordering::Relaxed);
        }
        answer
    }
}

impl Destination for Patient {
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError> {
        self.ask(|inner| inner.get(name, limit))
    }

    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Put, DestinationError> {
        self.ask(|inner| inner.put_new(name, bytes))
    }

    fn put_new_file(&self, name: &Name, from: &Path) -> Result<Put, DestinationError> {
        self.ask(|inner| inner.put_new_file(name, from))
    }

    fn copy_to(
        &self,
        name: &Name,
        limit: u64,
        to: &mut dyn io::Write,
    ) -> Result<Option<u64>, DestinationError> {
        self.ask(|inner| inner.copy_to(name, limit, to))
    }

    fn remove(&self, name: &Name) -> Result<(), DestinationError> {
        self.ask(|inner| inner.remove(name))
    }

    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError> {
        self.ask(|inner| inner.list(prefix))
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
