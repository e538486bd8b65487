//! Where randomness comes from.

use crate::Error;
use aws_lc_rs::rand;
use inventory::KeyAlgorithm;
use rcgen::KeyPair;

/// A source of keys and random bytes.
pub trait Entropy {
    /// A fresh key pair.
    ///
    /// # Errors
    /// [`Error::Entropy`] where none can be made.
    fn key(&mut self, algorithm: KeyAlgorithm) -> Result<KeyPair, Error>;

    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`Error::Entropy`] where there is no randomness.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error>;
}

/// The one implementation outside tests: the operating system's generator by way of aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn key(&mut self, algorithm: KeyAlgorithm) -> Result<KeyPair, Error> {
        let algorithm = match algorithm {
            KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            // 2048 bits is what rcgen makes when it is told no size.
            KeyAlgorithm::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        };
        KeyPair::generate_for(algorithm).map_err(|_| Error::Entropy)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        rand::fill(bytes).map_err(|_| Error::Entropy)
    }
}

/// `2 * N` lower-case hex digits.
pub(crate) fn hex<const N: usize>(entropy: &mut dyn Entropy) -> Result<String, Error> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
