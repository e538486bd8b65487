//! The root key: what signs an archive, and its public half, which is the trust anchor.

use crate::digest::{hex, unhex};
use crate::{Error, Secret};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The entry of an identity set that holds the root key, so that whoever can open can sign.
pub const ROOT_KEY_ENTRY: &str = "pki/root.key";

/// The public half of the root key: `ed25519:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPublic([u8; 32]);

impl RootPublic {
    const PREFIX: &str = "ed25519:";

    /// Whether `signature` is this key's over `message` (Ed25519, RFC 8032).
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for RootPublic {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for RootPublic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.strip_prefix(Self::PREFIX).and_then(unhex).map(Self).ok_or(Error::RootPublic)
    }
}

impl fmt::Display for RootPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, hex(&self.0))
    }
}

impl fmt::Debug for RootPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RootPublic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RootPublic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A key that signs because the root key says so ([`crate::Delegation`]): Ed25519 like the root key itself.
pub type SigningKey = RootKey;

/// The root key itself. It is never printed.
pub struct RootKey {
    pair: Ed25519KeyPair,
}

impl RootKey {
    /// Reads an Ed25519 private key: PKCS#8, as DER or as PEM (`PRIVATE KEY`).
    ///
    /// # Errors
    /// [`Error::RootKey`] for anything else.
    pub fn parse(key: &Secret) -> Result<Self, Error> {
        let bytes = key.expose();
        let pair = if bytes.starts_with(b"-----BEGIN ") {
            let der = pem_body(bytes).ok_or(Error::RootKey)?;
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        } else {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)
        };
        pair.map(|pair| Self { pair }).map_err(|_| Error::RootKey)
    }

    /// The public half.
    ///
    /// # Errors
    /// [`Error::RootKey`], which an Ed25519 key never gives.
    pub fn public(&self) -> Result<RootPublic, Error> {
        self.pair.public_key().as_ref().try_into().map(RootPublic).map_err(|_| Error::RootKey)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey")
    }
}

/// The bytes of the first block of a PEM text (RFC 7468).
fn pem_body(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(text).ok()?;
    let body = text.strip_prefix("-----BEGIN PRIVATE KEY-----")?.split("-----END PRIVATE KEY-----").next()?;
    let digits: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|char| !char.is_ascii_whitespace()).collect());
    STANDARD.decode(digits.as_bytes()).ok().map(Zeroizing::new)
}
