//! A destination for one run. It is asked nothing more once it was silent: a run that waits for the same place again
//! and again does nothing else. And what is listed is brought at once, several documents at a time, and kept until
//! the next look at all that is there: a place that is 100 ms away would cost that for each of them.

use super::{Destination, DestinationError, Put};
use crate::signed::MAX_DOCUMENT;
use crate::{Name, Prefix};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many documents are asked for at a time. An SSH server has ten sessions for a connection.
const AT_A_TIME: usize = 8;

/// What is kept, in bytes: of a place that somebody filled with nonsense, no more.
const MOST: usize = 64 << 20;

/// Another destination, for one run.
#[derive(Debug)]
pub(crate) struct Patient {
    inner: Box<dyn Destination>,
    was_silent: AtomicBool,
    documents: Mutex<BTreeMap<Name, Vec<u8>>>,
}

impl Patient {
    pub(crate) fn with(inner: Box<dyn Destination>) -> Self {
        Self { inner, was_silent: AtomicBool::new(false), documents: Mutex::default() }
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

    fn documents(&self) -> MutexGuard<'_, BTreeMap<Name, Vec<u8>>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings documents that are not here yet. One that does not come is asked for again when it is needed, and then it
    /// is said why.
    fn bring(&self, names: &[Name]) {
        let known = self.documents();
        let mut size: usize = known.values().map(Vec::len).sum();
        let wanted: VecDeque<Name> =
            names.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
        drop(known);
        let threads = wanted.len().min(AT_A_TIME);
        // One is brought as fast when it is needed.
        if threads < 2 {
            return;
        }
        let (wanted, found) = (Mutex::new(wanted), Mutex::new(Vec::new()));
        let next = || wanted.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(name) = next() {
                        match self.ask(|inner| inner.get(&name, MAX_DOCUMENT)) {
                            Ok(Some(bytes)) => {
                                found.lock().unwrap_or_else(PoisonError::into_inner).push((name, bytes));
                            }
                            Ok(None) => {}
                            Err(_) if self.was_silent.load(Ordering::Relaxed) => return,
                            Err(_) => {}
                        }
                    }
                });
            }
        });
        for (name, bytes) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
            size += bytes.len();
            if size <= MOST {
                self.documents().insert(name, bytes);
            }
        }
    }
}

impl Destination for Patient {
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError> {
        let known = self.documents().get(name).filter(|bytes| bytes.len() as u64 <= limit).cloned();
        match known {
            Some(bytes) => Ok(Some(bytes)),
            None => self.ask(|inner| inner.get(name, limit)),
        }
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
        self.documents().remove(name);
        self.ask(|inner| inner.remove(name))
    }

    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError> {
        let names = self.ask(|inner| inner.list(prefix))?;
        self.bring(&names);
        Ok(names)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn forget(&self) {
        self.documents().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    /// Ten claims; a question is answered when a second one is asked too.
    #[derive(Debug)]
    struct Slow {
        asked: &'static AtomicUsize,
        two: Barrier,
    }

    impl Destination for Slow {
        fn get(&self, name: &Name, _: u64) -> Result<Option<Vec<u8>>, DestinationError> {
            if self.asked.fetch_add(1, Ordering::SeqCst) < 10 {
                self.two.wait();
            }
            Ok(Some(name.to_string().into_bytes()))
        }

        fn put_new(&self, _: &Name, _: &[u8]) -> Result<Put, DestinationError> {
            Ok(Put::Existed)
        }

        fn put_new_file(&self, _: &Name, _: &Path) -> Result<Put, DestinationError> {
            Ok(Put::Existed)
        }

        fn copy_to(&self, _: &Name, _: u64, _: &mut dyn io::Write) -> Result<Option<u64>, DestinationError> {
            Ok(None)
        }

        fn remove(&self, _: &Name) -> Result<(), DestinationError> {
            Ok(())
        }

        fn list(&self, _: Prefix) -> Result<Vec<Name>, DestinationError> {
            Ok((1..=10).map(Name::Epoch).collect())
        }

        fn describe(&self) -> String {
            "slow".into()
        }
    }

    #[test]
    fn what_is_listed_is_brought_together_and_once() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let place = Patient::with(Box::new(Slow { asked: &ASKED, two: Barrier::new(2) }));
        let asked = || ASKED.load(Ordering::SeqCst);
        let names = place.list(Prefix::Epochs).unwrap();
        assert_eq!((names.len(), asked()), (10, 10));
        for name in &names {
            assert_eq!(place.get(name, MAX_DOCUMENT).unwrap(), Some(name.to_string().into_bytes()));
        }
        assert_eq!(asked(), 10, "it is here");
        // What is removed, what is too large for whoever asks, and all when it is let go, is asked for again.
        place.remove(&names[0]).unwrap();
        place.get(&names[0], MAX_DOCUMENT).unwrap();
        place.get(&names[1], 3).unwrap();
        assert_eq!(asked(), 12);
        place.forget();
        place.get(&names[2], MAX_DOCUMENT).unwrap();
        assert_eq!(asked(), 13);
    }
}
