//! A certificate authority: minted, opened, or brought by the user.
//!
//! `ca.crt` is always exactly one certificate, that of the CA which signs, also where it is an intermediate
//! of a larger PKI. kubeadm reads the first certificate of the file and takes it as the root;
//! kube-controller-manager refuses a signing certificate file with more than one
//! (`pkg/controller/certificates/signer/ca_provider.go`); and with the larger PKI's root in `ca.crt`, the
//! apiserver would let in everybody to whom any CA below that root gave a certificate that says
//! `O = system:masters`. Go takes an intermediate as a trust anchor by itself; OpenSSL does so with
//! `-partial_chain`.

use crate::inspect::key_hash;
use crate::{Ca, Entropy, Error, Secret, Subject, Usage, pem};
use inventory::KeyAlgorithm;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use secrecy::ExposeSecret as _;
use std::fmt;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;

/// Clocks differ: what is made is valid from five minutes ago, as with kubeadm.
const BACKDATED: Duration = Duration::minutes(5);

/// A CA's certificate and key, which belong together.
#[derive(Clone)]
pub struct Authority {
    certificate: String,
    key: Secret,
    issuer: Arc<Issuer<'static, KeyPair>>,
    what: String,
    not_after: OffsetDateTime,
    public_key_hash: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("what", &self.what)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a CA as kubeadm does: its CN is also its only DNS name.
    pub(crate) fn mint(
        ca: Ca,
        algorithm: KeyAlgorithm,
        days: u32,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Error> {
        let name = ca.common_name();
        let key = entropy.key(algorithm)?;
        let mut params = params(name, None, now, now + Duration::days(days.into()), entropy)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        params.subject_alt_names = vec![dns(name)?];
        let certificate = params.self_signed(&key).map_err(|source| sign_error(name, source))?;
        Self::open(ca.path(), &certificate.pem(), &Secret::from(key.serialize_pem()))
    }

    /// Opens a CA that was minted or taken in before, expired or not. `what` names it in errors.
    pub(crate) fn open(what: &str, certificate: &str, key: &Secret) -> Result<Self, Error> {
        let chain = pem::certificates(what, certificate)?;
        let (pair, key) = pem::key(what, key.expose_secret())?;
        let x509 = parse(what, &chain[0])?;
        check_key(what, &chain, &pair)?;
        check_ca(what, &x509)?;
        let not_after = x509.validity().not_after.to_datetime();
        let public_key_hash = key_hash(x509.public_key().raw);
        let subject = x509.subject().to_string();
        let unfit = || Error::UnfitSubject { what: what.to_owned(), subject: subject.clone() };
        if x509.subject().iter().next().is_none() {
            return Err(unfit());
        }
        let issuer = Issuer::from_ca_cert_der(&chain[0], pair).map_err(|_| unfit())?;
        if !writes_issuer(&issuer, &x509)? {
            return Err(unfit());
        }
        let certificate = pem::encode("CERTIFICATE", &chain[0]);
        Ok(Self {
            certificate,
            key,
            issuer: Arc::new(issuer),
            what: what.to_owned(),
            not_after,
            public_key_hash,
        })
    }

    /// Whether this key is that of a CA's certificate, both PEM.
    pub fn belong(certificate: &str, key: &Secret) -> bool {
        Self::open("a CA", certificate, key).is_ok()
    }

    /// Its one certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key, PEM.
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// `sha256:` and the hash of its public key, as `kubeadm join --discovery-token-ca-cert-hash` takes it.
    pub fn public_key_hash(&self) -> &str {
        &self.public_key_hash
    }

    /// When it ends.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// When a leaf that is made `now` ends: after `days`, but never after the CA.
    ///
    /// # Errors
    /// [`Error::Expired`] where the CA's own time is over.
    pub(crate) fn leaf_end(&self, days: u32, now: OffsetDateTime) -> Result<OffsetDateTime, Error> {
        self.must_last(now)?;
        Ok(self.not_after.min(now + Duration::days(days.into())))
    }

    pub(crate) fn must_last(&self, now: OffsetDateTime) -> Result<(), Error> {
        if self.not_after > now {
            return Ok(());
        }
        Err(Error::Expired { what: self.what.clone(), on: self.not_after })
    }

    /// Signs a leaf for `key`, PEM.
    pub(crate) fn issue(
        &self,
        subject: &Subject,
        key: &KeyPair,
        now: OffsetDateTime,
        end: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<String, Error> {
        let name = &subject.common_name;
        let mut params = params(name, subject.organization, now, end, entropy)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = subject
            .usages
            .iter()
            .map(|usage| match usage {
                Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
                Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            })
            .collect();
        for host in &subject.names {
            params.subject_alt_names.push(dns(host)?);
        }
        params.subject_alt_names.extend(subject.addresses.iter().copied().map(SanType::IpAddress));
        let certificate = params.signed_by(key, &*self.issuer).map_err(|source| sign_error(name, source))?;
        Ok(certificate.pem())
    }
}

/// What all certificates have in common: subject (O before CN, as Go writes it), period, a positive serial
/// of 63 bits, and kubeadm's two key usages.
fn params(
    common_name: &str,
    organization: Option<&str>,
    now: OffsetDateTime,
    end: OffsetDateTime,
    entropy: &mut dyn Entropy,
) -> Result<CertificateParams, Error> {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    let mut serial = [0; 8];
    entropy.fill(&mut serial)?;
    let serial = (u64::from_be_bytes(serial) >> 1).max(1);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = now - BACKDATED;
    params.not_after = end;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    Ok(params)
}

fn dns(name: &str) -> Result<SanType, Error> {
    name.try_into().map(SanType::DnsName).map_err(|source| sign_error(name, source))
}

fn sign_error(name: &str, source: rcgen::Error) -> Error {
    Error::Sign { what: name.to_owned(), source }
}

pub(crate) fn parse<'a>(what: &str, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    x509_parser::parse_x509_certificate(der)
        .map(|(_, x509)| x509)
        .map_err(|error| Error::Unreadable { what: what.to_owned(), why: error.to_string() })
}

fn check_ca(what: &str, x509: &X509Certificate<'_>) -> Result<(), Error> {
    let may_sign = match x509.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    if x509.is_ca() && may_sign {
        return Ok(());
    }
    Err(Error::NotACa { what: what.to_owned(), subject: x509.subject().to_string() })
}

/// Whether the key is that of the first certificate; if it is that of a later one, the error says so.
fn check_key(what: &str, chain: &[CertificateDer<'_>], key: &KeyPair) -> Result<(), Error> {
    for (i, der) in chain.iter().enumerate() {
        if parse(what, der)?.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            continue;
        }
        return match i {
            0 => Ok(()),
            _ => Err(Error::KeyOfLater { what: what.to_owned(), position: i + 1 }),
        };
    }
    Err(Error::KeyMismatch { what: what.to_owned(), subject: parse(what, &chain[0])?.subject().to_string() })
}

/// Whether the CA's subject survives as an issuer, byte for byte: verifiers compare bytes, and rcgen keeps
/// one value for each kind of attribute.
fn writes_issuer(issuer: &Issuer<'_, KeyPair>, ca: &X509Certificate<'_>) -> Result<bool, Error> {
    let sign = |source| sign_error("a trial", source);
    let trial = CertificateParams::default().signed_by(issuer.key(), issuer).map_err(sign)?;
    Ok(parse("a trial", trial.der())?.issuer().as_raw() == ca.subject().as_raw())
}
