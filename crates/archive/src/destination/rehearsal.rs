//! All places of an archive as one that nobody changes: what is there is read, what is written goes into a folder beside.

use super::{Destination, DestinationError, Folder, Put};
use crate::{Name, Prefix};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Reads below, writes beside.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    /// In the order in which they are asked; one at least.
    below: Vec<Box<dyn Destination>>,
    beside: Folder,
}

impl Rehearsal {
    pub(crate) fn new(below: Vec<Box<dyn Destination>>, beside: Folder) -> Self {
        Self { below, beside }
    }

    /// The folder, then the places.
    fn places(&self) -> impl Iterator<Item = &dyn Destination> {
        let beside: &dyn Destination = &self.beside;
        [beside].into_iter().chain(self.below.iter().map(AsRef::as_ref))
    }

    fn is_below(&self, name: &Name) -> Result<bool, DestinationError> {
        for place in &self.below {
            if place.copy_to(name, u64::MAX, &mut io::sink())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Knows whether anything was written.
struct Begun<'a> {
    to: &'a mut dyn io::Write,
    begun: bool,
}

impl io::Write for Begun<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun = true;
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Destination for Rehearsal {
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError> {
        let mut failed = None;
        for place in self.places() {
            match place.get(name, limit) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        // Where none has it, one that could not be asked may.
        failed.map_or(Ok(None), Err)
    }

    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Put, DestinationError> {
        if self.is_below(name)? { Ok(Put::Existed) } else { self.beside.put_new(name, bytes) }
    }

    fn put_new_file(&self, name: &Name, from: &Path) -> Result<Put, DestinationError> {
        if self.is_below(name)? { Ok(Put::Existed) } else { self.beside.put_new_file(name, from) }
    }

    fn copy_to(
        &self,
        name: &Name,
        limit: u64,
        to: &mut dyn io::Write,
    ) -> Result<Option<u64>, DestinationError> {
        let mut failed = None;
        for place in self.places() {
            let mut piecewise = Begun { to: &mut *to, begun: false };
            match place.copy_to(name, limit, &mut piecewise) {
                Ok(Some(size)) => return Ok(Some(size)),
                Ok(None) => {}
                // Another copy can't go on behind half of this one.
                Err(error) if piecewise.begun => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn remove(&self, name: &Name) -> Result<(), DestinationError> {
        self.beside.remove(name)
    }

    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError> {
        let (mut names, mut failed, mut answered) = (BTreeSet::new(), None, false);
        names.extend(self.beside.list(prefix)?);
        for place in &self.below {
            match place.list(prefix) {
                Ok(found) => {
                    answered = true;
                    names.extend(found);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) if !answered => Err(error),
            _ => Ok(names.into_iter().collect()),
        }
    }

    fn describe(&self) -> String {
        let names: Vec<String> = self.below.iter().map(|place| place.describe()).collect();
        format!("a rehearsal of {}", names.join(", "))
    }

    fn forget(&self) {
        self.below.iter().for_each(|place| place.forget());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_there_changes() {
        let folders =
            [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, two, beside] = folders.each_ref().map(|folder| Folder::new(folder.path(), None));
        let name = |epoch| Name::Epoch(epoch);
        one.put_new(&name(1), b"one").unwrap();
        two.put_new(&name(2), b"two").unwrap();
        let below: Vec<Box<dyn Destination>> = vec![Box::new(one.clone()), Box::new(two.clone())];
        let place = Rehearsal::new(below, beside.clone());
        assert_eq!(place.put_new(&name(2), b"other").unwrap(), Put::Existed);
        assert_eq!(place.put_new(&name(3), b"three").unwrap(), Put::Written);
        assert_eq!(place.put_new(&name(3), b"again").unwrap(), Put::Existed);
        let all = [1, 2, 3].map(|epoch| place.get(&name(epoch), 9).unwrap().unwrap());
        assert_eq!(all, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        assert_eq!(place.get(&name(4), 9).unwrap(), None);
        assert_eq!(place.list(Prefix::Epochs).unwrap().len(), 3);
        for epoch in 1..=3 {
            place.remove(&name(epoch)).unwrap();
        }
        assert_eq!(place.list(Prefix::Epochs).unwrap().len(), 2, "what lies below stays");
        assert_eq!(one.list(Prefix::Epochs).unwrap(), [name(1)]);
        assert_eq!(two.list(Prefix::Epochs).unwrap(), [name(2)]);
    }
}
