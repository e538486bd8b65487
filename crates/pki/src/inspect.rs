//! Reading certificates and kubeconfigs: what they say and how long they last.

use crate::{Error, Usage, pem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject's first CN, or nothing.
    pub common_name: String,
    /// The subject's Os.
    pub organizations: Vec<String>,
    /// The issuer's first CN, or nothing.
    pub issuer: String,
    /// DNS names.
    pub names: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Extended key usages; others than these two are left out.
    pub usages: Vec<Usage>,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// Its first moment.
    pub not_before: OffsetDateTime,
    /// Its last.
    pub not_after: OffsetDateTime,
    /// `sha256:` and the hash of its public key (SubjectPublicKeyInfo) in hex, as kubeadm pins a CA.
    pub public_key_hash: String,
}

impl Certificate {
    /// Reads the first certificate of a PEM text. `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn from_pem(what: &str, text: &str) -> Result<Self, Error> {
        let unreadable = |why: String| Error::Unreadable { what: what.to_owned(), why };
        let chain = pem::certificates(what, text)?;
        let (_, x509) =
            x509_parser::parse_x509_certificate(&chain[0]).map_err(|error| unreadable(error.to_string()))?;
        let (names, addresses) = alternative_names(&x509);
        let strings = |values: &mut dyn Iterator<Item = &x509_parser::x509::AttributeTypeAndValue<'_>>| {
            values.filter_map(|value| value.as_str().ok()).map(str::to_owned).collect::<Vec<_>>()
        };
        Ok(Self {
            common_name: strings(&mut x509.subject().iter_common_name())
                .into_iter()
                .next()
                .unwrap_or_default(),
            organizations: strings(&mut x509.subject().iter_organization()),
            issuer: strings(&mut x509.issuer().iter_common_name()).into_iter().next().unwrap_or_default(),
            names,
            addresses,
            usages: usages(&x509),
            is_ca: x509.is_ca(),
            not_before: x509.validity().not_before.to_datetime(),
            not_after: x509.validity().not_after.to_datetime(),
            public_key_hash: key_hash(x509.public_key().raw),
        })
    }

    /// Whole days that are left, negative when it is over.
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        (self.not_after - now).whole_seconds().div_euclid(24 * 60 * 60)
    }
}

/// `sha256:` and the SHA-256 of a SubjectPublicKeyInfo in hex, as kubeadm pins keys (RFC 7469, in hex).
pub(crate) fn key_hash(public_key: &[u8]) -> String {
    let digest = Sha256::digest(public_key);
    digest.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}

fn usages(x509: &X509Certificate<'_>) -> Vec<Usage> {
    let Ok(Some(extension)) = x509.extended_key_usage() else { return Vec::new() };
    let said =
        [(Usage::ServerAuth, extension.value.server_auth), (Usage::ClientAuth, extension.value.client_auth)];
    said.into_iter().filter(|(_, said)| *said).map(|(usage, _)| usage).collect()
}

fn alternative_names(x509: &X509Certificate<'_>) -> (Vec<String>, Vec<IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let Ok(Some(extension)) = x509.subject_alternative_name() else { return (names, addresses) };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    (names, addresses)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4().or_else(|_| v6()).ok()
}

/// What a kubeconfig with one cluster and one user says; its key is never looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubeconfig {
    /// The API's URL.
    pub server: String,
    /// The embedded CA certificate, PEM.
    pub ca: Option<String>,
    /// The embedded client certificate.
    pub certificate: Option<Certificate>,
    /// The client certificate's file, where it is not embedded.
    pub certificate_path: Option<String>,
}

impl Kubeconfig {
    /// Reads a kubeconfig in the shape in which kubeadm, kubectl and this crate write it: block YAML, one
    /// key a line.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where a key is there twice, the server is missing or a certificate is unreadable.
    pub fn read(what: &str, text: &str) -> Result<Self, Error> {
        let unreadable = |why: String| Error::Unreadable { what: what.to_owned(), why };
        let value = |key: &str| {
            let mut values = text.lines().filter_map(|line| {
                let (found, value) = line.trim_start_matches([' ', '-']).split_once(": ")?;
                (found == key).then(|| value.trim().trim_matches('"').to_owned())
            });
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(unreadable(format!("it has more than one `{key}`"))),
                (value, None) => Ok(value),
            }
        };
        let decoded = |key: &str| {
            let Some(value) = value(key)? else { return Ok(None) };
            let bytes = STANDARD.decode(value).map_err(|_| unreadable(format!("`{key}` is not base64")))?;
            String::from_utf8(bytes).map(Some).map_err(|_| unreadable(format!("`{key}` is not PEM")))
        };
        let certificate = decoded("client-certificate-data")?;
        Ok(Self {
            server: value("server")?.ok_or_else(|| unreadable("it has no `server`".into()))?,
            ca: decoded("certificate-authority-data")?,
            certificate: certificate.map(|text| Certificate::from_pem(what, &text)).transpose()?,
            certificate_path: value("client-certificate")?,
        })
    }
}
