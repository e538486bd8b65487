//! PEM text (RFC 7468).

use crate::{Error, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// One block with lines of 64 characters.
pub fn encode(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// All certificates of a text, in order, other blocks left out. Fails when there is none.
pub fn certificates(what: &str, text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |why: String| Error::Unreadable { what: what.to_owned(), why };
    let found = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    if found.is_empty() {
        return Err(unreadable("it holds no PEM block `CERTIFICATE`".into()));
    }
    Ok(found)
}

/// The first private key of a text (PKCS#8, PKCS#1 or SEC 1), RSA or ECDSA, and its own block alone: what
/// stands before it, such as `EC PARAMETERS`, is left out.
pub fn key(what: &str, text: &str) -> Result<(KeyPair, Secret), Error> {
    let what = || what.to_owned();
    if text.contains("ENCRYPTED") {
        return Err(Error::EncryptedKey { what: what() });
    }
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| Error::Unreadable {
        what: what(),
        // The parser's own words could repeat pieces of the key.
        why: "it holds no PEM block `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`".into(),
    })?;
    let label = match der {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let key = KeyPair::try_from(&der).map_err(|_| Error::UnfitKey { what: what() })?;
    if key.algorithm() == &rcgen::PKCS_ED25519 {
        return Err(Error::UnfitKey { what: what() });
    }
    Ok((key, Secret::from(encode(label, der.secret_der()))))
}
