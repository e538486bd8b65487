//! Destinations by the names that people call them: some of an archive, for a command that is to ask no others.

use crate::{Archive, Error};

impl Archive {
    /// The same archive without some of its destinations, which are called as [`crate::Destination::describe`] says,
    /// or as the beginning of that before a bracket.
    ///
    /// # Errors
    /// [`Error::NoSuchDestination`] where a name is nobody's or ambiguous; [`Error::NoDestination`] where none is
    /// left.
    pub fn without(self, names: &[String]) -> Result<Self, Error> {
        names.iter().try_fold(self, |archive, name| {
            let index = archive.index_of(name)?;
            archive.kept(|other| other != index)
        })
    }

    /// The same archive with one destination only, called likewise.
    ///
    /// # Errors
    /// [`Error::NoSuchDestination`].
    pub fn only(self, name: &str) -> Result<Self, Error> {
        let index = self.index_of(name)?;
        self.kept(|other| other == index)
    }

    fn index_of(&self, name: &str) -> Result<usize, Error> {
        let called = |own: &str| own == name || own.split_once(" (").is_some_and(|(short, _)| short == name);
        let found: Vec<usize> =
            (0..self.sites.len()).filter(|index| called(&self.sites[*index].at)).collect();
        let [index] = found[..] else {
            let (many, known) = (!found.is_empty(), self.describe());
            return Err(Error::NoSuchDestination { name: name.to_owned(), many, known });
        };
        Ok(index)
    }

    fn kept(self, keeps: impl Fn(usize) -> bool) -> Result<Self, Error> {
        let places = self.sites.into_iter().zip(self.destinations).enumerate();
        let (sites, destinations): (Vec<_>, Vec<_>) =
            places.filter(|(index, _)| keeps(*index)).map(|(_, place)| place).unzip();
        if destinations.is_empty() { Err(Error::NoDestination) } else { Ok(Self { destinations, sites }) }
    }
}
