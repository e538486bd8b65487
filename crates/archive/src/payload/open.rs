//! Taking files out of a payload set.

use super::PayloadSet;
use crate::cipher::decrypt_stream;
use crate::entries::Entry;
use crate::{Archive, Error, Fault, Identities};
use std::io::{self, Seek as _, Write};
use std::path::Path;

impl Archive {
    /// Writes one file of a payload set to `to`. What was written counts only if this returns well: then it has the
    /// digest that the set names.
    ///
    /// The ciphertext is fetched to `scratch` and checked before it is decrypted; a copy that is missing or damaged
    /// at one destination is taken from another. Nothing of it is left there.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::WrongIdentity`], [`Error::Content`]; [`Error::File`] where `scratch` or `to` takes
    /// no more.
    pub fn open_payload_file(
        &self,
        set: &PayloadSet,
        entry: &Entry,
        identities: &Identities,
        scratch: &Path,
        to: &mut dyn Write,
    ) -> Result<(), Error> {
        let object = set.public.objects.iter().find(|object| object.sha256 == entry.object);
        let object =
            object.ok_or_else(|| Error::Content { name: entry.name.clone(), source: Fault::Digest })?;
        let mut file = self.fetch_file(object, scratch)?.into_file();
        let failed = |source| Error::File { act: "read", path: scratch.display().to_string(), source };
        file.rewind().map_err(failed)?;
        decrypt_stream(io::BufReader::new(file), identities, (entry.sha256, entry.size), to)
            .map_err(|failed| failed.of(&entry.name, &set.public.recipients))
    }
}
