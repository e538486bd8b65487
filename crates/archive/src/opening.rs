//! Who truly opened a generation, and when: the proofs L2.

use crate::cipher::decrypt;
use crate::entries::{MAX_PRIVATE, Of, Private};
use crate::open::MISSING;
use crate::proof::{Level, Proven};
use crate::{Archive, Error, Fault, Generation, Generations, Identities, Name, Recipient, Signer};

impl Archive {
    /// Opens the private part of a generation, and nothing more: that its ciphertext is whole and that one of the
    /// identities fits. Returns the recipient that they are of.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::WrongIdentity`], [`Error::Content`].
    pub fn open_private(&self, generation: &Generation, identities: &Identities) -> Result<Recipient, Error> {
        let public = &generation.public;
        let name = Name::Object(public.private).to_string();
        let object = public.objects.iter().find(|object| object.sha256 == public.private);
        let lost = || Error::Lost { name: name.clone(), tried: vec![MISSING.into()] };
        let ciphertext = self.fetch(object.ok_or_else(lost)?)?;
        let plain = decrypt(&ciphertext[..], identities, MAX_PRIVATE)
            .map_err(|failed| failed.of(&name, &public.recipients))?;
        let content = |source: Fault| Error::Content { name: name.clone(), source };
        Private::read(&plain, Of::Snapshot, &public.objects).map_err(content)?;
        let fits = identities.opener(&public.recipients).cloned();
        fits.ok_or_else(|| Error::WrongIdentity { recipients: public.recipients.clone() })
    }
}

impl Identities {
    /// The first public half that is one of `recipients`.
    pub fn opener(&self, recipients: &[String]) -> Option<&Recipient> {
        self.recipients().find(|own| recipients.contains(&own.to_string()))
    }
}

impl Generations {
    /// What is known of people who opened a generation: the root key's proofs of L2, and of L4 and higher, for which
    /// somebody opened it first. A node opens nothing, and L3 is proven before anything is sealed.
    pub fn openings(&self) -> impl Iterator<Item = &Proven> {
        let opened = |proven: &&Proven| proven.signed_by == Signer::Root && proven.proof.level != Level::L3;
        self.all.iter().flat_map(|one| &one.proofs).filter(opened).filter(|one| one.proof.level > Level::L1)
    }
}
