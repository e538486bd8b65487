//! What can be wrong with keys and certificates.

use time::OffsetDateTime;

/// A refusal. `what` names the thing: an entry of the bundle (`pki/ca.crt`) or `your CA`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An entry that every bundle has is not there.
    #[error("the bundle has no `{0}`")]
    Missing(&'static str),
    /// An entry that is no text of the expected form.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// Which.
        what: String,
        /// In words.
        why: String,
    },
    /// A CA's certificate without its key.
    #[error("{what}: there is a CA certificate, but not its private key")]
    NoKey {
        /// Which CA.
        what: String,
    },
    /// A CA's key without its certificate.
    #[error("{what}: there is a private key, but not the CA certificate that belongs to it")]
    NoCertificate {
        /// Which CA.
        what: String,
    },
    /// A key under a passphrase.
    #[error("{what}: the private key is encrypted with a passphrase")]
    EncryptedKey {
        /// Which CA.
        what: String,
    },
    /// A key that Kubernetes does not take.
    #[error("{what}: the private key is neither RSA nor ECDSA")]
    UnfitKey {
        /// Which.
        what: String,
    },
    /// A certificate and a key of different pairs.
    #[error("{what}: the private key does not belong to the certificate of `{subject}`")]
    KeyMismatch {
        /// Which CA.
        what: String,
        /// Its subject.
        subject: String,
    },
    /// The key belongs to a later certificate of the same file.
    #[error("{what}: the private key belongs to certificate {position} of the file, not to the first")]
    KeyOfLater {
        /// Which CA.
        what: String,
        /// Counted from 1.
        position: usize,
    },
    /// A certificate that may not sign others.
    #[error("{what}: the certificate of `{subject}` is not one of a CA that may sign certificates")]
    NotACa {
        /// Which CA.
        what: String,
        /// Its subject.
        subject: String,
    },
    /// A chain in which one certificate was not signed by the next.
    #[error("{what}: certificate {position} of the file was not signed by the one after it")]
    BrokenChain {
        /// Which CA.
        what: String,
        /// Counted from 1.
        position: usize,
    },
    /// A CA whose time is over.
    #[error("{what}: the certificate expired on {}", .on.date())]
    Expired {
        /// Which CA.
        what: String,
        /// Its end.
        on: OffsetDateTime,
    },
    /// A CA whose time has not come.
    #[error("{what}: the certificate is not valid before {}", .from.date())]
    NotYetValid {
        /// Which CA.
        what: String,
        /// Its beginning.
        from: OffsetDateTime,
    },
    /// A CA's subject that cannot be written as an issuer again, byte for byte.
    #[error(
        "{what}: the subject `{subject}` is empty or repeats an attribute, so no issuer can be written from it"
    )]
    UnfitSubject {
        /// Which CA.
        what: String,
        /// Its subject.
        subject: String,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificate of `{what}`")]
    Sign {
        /// Its CN.
        what: String,
        /// Why.
        source: rcgen::Error,
    },
    /// No random bytes, no key.
    #[error("the system's random generator failed")]
    Entropy,
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoKey { .. } => {
                "rekindle signs every certificate itself: give the key too, have an intermediate CA signed, \
                 or leave the CA out and one is made"
            }
            Self::EncryptedKey { .. } => "decrypt it first: openssl pkey -in KEY -out DECRYPTED",
            Self::UnfitKey { .. } => "use a CA with an ECDSA or RSA key",
            Self::KeyMismatch { .. } => {
                "compare `openssl x509 -in CERTIFICATE -noout -pubkey` with `openssl pkey -in KEY -pubout`"
            }
            Self::KeyOfLater { .. } | Self::BrokenChain { .. } => {
                "put the CA that the key belongs to first, then the CA that signed it, and so on"
            }
            Self::NotACa { .. } => {
                "it needs basic constraints CA:TRUE and, where key usages are listed, Certificate Sign"
            }
            Self::Expired { .. } => "give a CA that is valid for longer than the cluster is meant to live",
            Self::NotYetValid { .. } => "check this machine's clock",
            Self::UnfitSubject { .. } => {
                "use an intermediate CA whose subject has each attribute once, such as `O=Example, CN=k8s`"
            }
            _ => return None,
        })
    }
}
