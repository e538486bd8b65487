//! A CA that the user brings: checked, then an [`Authority`] like any other. The issuers that its file lists
//! after it are checked too, and left out of what goes to nodes.

use crate::authority::parse;
use crate::{Authority, Error, Secret, pem};
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

/// A CA that the user brings, as its files say.
#[derive(Clone, Debug)]
pub struct OwnCa {
    /// PEM: the CA that signs, then (optionally) its issuers.
    pub certificate: String,
    /// PEM: its key.
    pub key: Secret,
}

impl Authority {
    /// Takes a user's CA in: beside what `open` asks, it must be valid now and its chain must hold.
    pub(crate) fn take(own: &OwnCa, now: OffsetDateTime) -> Result<Self, Error> {
        let what = "your CA";
        if !own.key.expose_secret().contains("PRIVATE KEY-----") {
            return Err(Error::NoKey { what: what.into() });
        }
        let chain = pem::certificates(what, &own.certificate)?;
        let authority = Self::open(what, &own.certificate, &own.key)?;
        for (i, pair) in chain.windows(2).enumerate() {
            let (signed, signer) = (parse(what, &pair[0])?, parse(what, &pair[1])?);
            if signed.issuer().as_raw() != signer.subject().as_raw()
                || signed.verify_signature(Some(signer.public_key())).is_err()
            {
                return Err(Error::BrokenChain { what: what.into(), position: i + 1 });
            }
        }
        let from = parse(what, &chain[0])?.validity().not_before.to_datetime();
        if from > now {
            return Err(Error::NotYetValid { what: what.into(), from });
        }
        authority.must_last(now)?;
        Ok(authority)
    }
}
