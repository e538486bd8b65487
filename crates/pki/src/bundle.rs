//! What must never be lost: everything that a rebuild cannot make anew.

use crate::entropy::hex;
use crate::inspect::key_hash;
use crate::{Authority, Ca, Entropy, Error, OwnCa, Secret, pem};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use inventory::Cluster;
use rcgen::PublicKeyData as _;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// A bundle as the archive keeps it: logical name → text. Names that are not a bundle's are left alone.
pub type Entries = BTreeMap<String, Secret>;

const UID: &str = "cluster/uid";
const ETCD_TOKEN: &str = "etcd/token";
const SA_KEY: &str = "pki/sa.key";
const ROOT_KEY: &str = "pki/root.key";
/// Keys of control planes that may sign snapshots: `delegated/NODE.key`.
const DELEGATED: &str = "delegated/";

/// The names of a CA's certificate and key.
const fn names(ca: Ca) -> (&'static str, &'static str) {
    match ca {
        Ca::Cluster => ("pki/ca.crt", "pki/ca.key"),
        Ca::FrontProxy => ("pki/front-proxy-ca.crt", "pki/front-proxy-ca.key"),
        Ca::Etcd => ("pki/etcd/ca.crt", "pki/etcd/ca.key"),
    }
}

/// The CAs, the service accounts' key, the archive's root key, and what tells this cluster from others.
#[derive(Clone, Debug)]
pub struct Bundle {
    uid: String,
    etcd_token: String,
    cluster_ca: Authority,
    front_proxy_ca: Authority,
    etcd_ca: Authority,
    sa_key: Secret,
    sa_public: String,
    sa_hash: String,
    root_key: Secret,
    root_public: [u8; 32],
    delegated: BTreeMap<String, Delegated>,
}

/// What an epoch has from the one before it, unless it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// The CA of apiservers, kubelets and people.
    ClusterCa,
    /// The CA of what apiservers say to aggregated ones.
    FrontProxyCa,
    /// The key that signs service account tokens.
    ServiceAccounts,
}

/// The key of one control plane that may sign snapshots, and nothing else.
#[derive(Clone, Debug)]
pub struct Delegated {
    /// Ed25519, PKCS#8 PEM.
    pub key: Secret,
    /// Its public half (RFC 8032).
    pub public: [u8; 32],
}

impl Bundle {
    /// Makes a new bundle; the CA of the cluster is `own_ca` where there is one.
    ///
    /// # Errors
    /// A refusal of `own_ca`, in words; [`Error::Entropy`].
    pub fn mint(
        cluster: &Cluster,
        own_ca: Option<&OwnCa>,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Error> {
        Self::complete(Entries::new(), cluster, own_ca, now, entropy)
    }

    /// Opens what `entries` hold and makes what they lack. `own_ca` counts only where they hold no CA.
    ///
    /// # Errors
    /// Where an entry is unreadable, or half of a pair: nothing is ever made to fit what is there.
    pub fn complete(
        mut entries: Entries,
        cluster: &Cluster,
        own_ca: Option<&OwnCa>,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Error> {
        let pki = &cluster.pki;
        for ca in Ca::ALL {
            let (certificate, key) = names(ca);
            if entries.contains_key(certificate) || entries.contains_key(key) {
                continue;
            }
            let authority = match own_ca {
                Some(own) if ca == Ca::Cluster => Authority::take(own, now)?,
                _ => Authority::mint(ca, pki.algorithm, pki.ca_days, now, entropy)?,
            };
            entries.insert(certificate.into(), authority.certificate().into());
            entries.insert(key.into(), authority.key().clone());
        }
        for name in [UID, ETCD_TOKEN] {
            if !entries.contains_key(name) {
                entries.insert(name.into(), hex::<16>(entropy)?.into());
            }
        }
        if !entries.contains_key(SA_KEY) {
            entries.insert(SA_KEY.into(), entropy.key(pki.algorithm)?.serialize_pem().into());
        }
        if !entries.contains_key(ROOT_KEY) {
            entries.insert(ROOT_KEY.into(), mint_signing_key(entropy)?);
        }
        for node in cluster.control_planes() {
            if let Entry::Vacant(place) = entries.entry(format!("{DELEGATED}{}.key", node.name)) {
                place.insert(mint_signing_key(entropy)?);
            }
        }
        Self::from_entries(&entries)
    }

    /// The same cluster in another epoch: etcd's CA, its token and the control planes' signing keys are made anew, so
    /// that nothing of the epoch before can speak to it or for it.
    ///
    /// # Errors
    /// As [`Bundle::complete`].
    pub fn successor(
        &self,
        cluster: &Cluster,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Error> {
        self.successor_without(&BTreeSet::new(), None, cluster, now, entropy)
    }

    /// The same, and what was taken is made anew too: whatever it signed is worth nothing then. A cluster's CA that was
    /// taken is replaced by `own_ca` where there is one.
    ///
    /// # Errors
    /// As [`Bundle::complete`].
    pub fn successor_without(
        &self,
        taken: &BTreeSet<Taken>,
        own_ca: Option<&OwnCa>,
        cluster: &Cluster,
        now: OffsetDateTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Error> {
        let (certificate, key) = names(Ca::Etcd);
        let mut old = vec![certificate, key, ETCD_TOKEN];
        for taken in taken {
            match taken {
                Taken::ClusterCa => old.extend(<[&str; 2]>::from(names(Ca::Cluster))),
                Taken::FrontProxyCa => old.extend(<[&str; 2]>::from(names(Ca::FrontProxy))),
                Taken::ServiceAccounts => old.push(SA_KEY),
            }
        }
        let mut entries = self.entries();
        entries.retain(|name, _| !old.contains(&name.as_str()) && !name.starts_with(DELEGATED));
        Self::complete(entries, cluster, own_ca, now, entropy)
    }

    /// Opens a whole bundle. An expired CA can be opened, but signs nothing.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::NoKey`], [`Error::NoCertificate`], and what is wrong with an entry.
    pub fn from_entries(entries: &Entries) -> Result<Self, Error> {
        let text = |name: &'static str| entries.get(name).ok_or(Error::Missing(name));
        let authority = |ca: Ca| {
            let (certificate, key) = names(ca);
            match (entries.get(certificate), entries.get(key)) {
                (Some(text), Some(key)) => Authority::open(certificate, text.expose_secret(), key),
                (Some(_), None) => Err(Error::NoKey { what: certificate.into() }),
                (None, Some(_)) => Err(Error::NoCertificate { what: key.into() }),
                (None, None) => Err(Error::Missing(certificate)),
            }
        };
        let (sa_pair, sa_key) = pem::key(SA_KEY, text(SA_KEY)?.expose_secret())?;
        let root_key = text(ROOT_KEY)?.clone();
        Ok(Self {
            uid: identifier(UID, text(UID)?)?,
            etcd_token: identifier(ETCD_TOKEN, text(ETCD_TOKEN)?)?,
            cluster_ca: authority(Ca::Cluster)?,
            front_proxy_ca: authority(Ca::FrontProxy)?,
            etcd_ca: authority(Ca::Etcd)?,
            sa_public: pem::encode("PUBLIC KEY", &sa_pair.subject_public_key_info()),
            sa_hash: key_hash(&sa_pair.subject_public_key_info()),
            sa_key,
            root_public: signing_public(ROOT_KEY, &root_key)?,
            root_key,
            delegated: delegated(entries)?,
        })
    }

    /// The whole bundle, for the archive: certificates and keys of the three CAs (`pki/ca.crt`, `pki/ca.key`,
    /// …), `pki/sa.key`, `pki/root.key`, `delegated/NODE.key`, `cluster/uid`, `etcd/token`.
    pub fn entries(&self) -> Entries {
        let mut entries = Entries::from([
            (UID.to_owned(), self.uid.as_str().into()),
            (ETCD_TOKEN.to_owned(), self.etcd_token.as_str().into()),
            (SA_KEY.to_owned(), self.sa_key.clone()),
            (ROOT_KEY.to_owned(), self.root_key.clone()),
        ]);
        for ca in Ca::ALL {
            let (certificate, key) = names(ca);
            let authority = self.authority(ca);
            entries.insert(certificate.into(), authority.certificate().into());
            entries.insert(key.into(), authority.key().clone());
        }
        let delegated = self.delegated.iter();
        entries.extend(delegated.map(|(node, own)| (format!("{DELEGATED}{node}.key"), own.key.clone())));
        entries
    }

    /// Tells this cluster from every other: 32 hex digits, public.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// etcd's `--initial-cluster-token`: 32 hex digits, public.
    pub fn etcd_token(&self) -> &str {
        &self.etcd_token
    }

    /// One of the three CAs.
    pub fn authority(&self, ca: Ca) -> &Authority {
        match ca {
            Ca::Cluster => &self.cluster_ca,
            Ca::FrontProxy => &self.front_proxy_ca,
            Ca::Etcd => &self.etcd_ca,
        }
    }

    /// The key that signs service account tokens, PEM.
    pub fn sa_key(&self) -> &Secret {
        &self.sa_key
    }

    /// Its public half, PKIX PEM.
    pub fn sa_public(&self) -> &str {
        &self.sa_public
    }

    /// `sha256:` and the hash of the public half.
    pub fn sa_hash(&self) -> &str {
        &self.sa_hash
    }

    /// The Ed25519 key that signs the archive, PKCS#8 PEM.
    pub fn root_key(&self) -> &Secret {
        &self.root_key
    }

    /// Its public half, the archive's trust anchor: 32 bytes (RFC 8032).
    pub fn root_public(&self) -> [u8; 32] {
        self.root_public
    }

    /// The keys of control planes that may sign snapshots, by node.
    pub fn delegated(&self) -> &BTreeMap<String, Delegated> {
        &self.delegated
    }
}

/// From a seed, so that the randomness is the caller's. PKCS#8 version 1, which OpenSSL reads too.
fn mint_signing_key(entropy: &mut dyn Entropy) -> Result<Secret, Error> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    entropy.fill(&mut *seed)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| Error::Entropy)?;
    let der = pair.to_pkcs8v1().map_err(|_| Error::Entropy)?;
    Ok(pem::encode("PRIVATE KEY", der.as_ref()).into())
}

fn delegated(entries: &Entries) -> Result<BTreeMap<String, Delegated>, Error> {
    let own = entries.iter().filter_map(|(name, key)| {
        let node = name.strip_prefix(DELEGATED)?.strip_suffix(".key")?;
        Some((name, node, key))
    });
    own.map(|(name, node, key)| {
        let public = signing_public(name, key)?;
        Ok((node.to_owned(), Delegated { key: key.clone(), public }))
    })
    .collect()
}

fn signing_public(name: &str, key: &Secret) -> Result<[u8; 32], Error> {
    let unreadable = || Error::Unreadable { what: name.into(), why: "it is no Ed25519 key in PKCS#8".into() };
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|_| unreadable())?;
    let pair =
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| unreadable())?;
    pair.public_key().as_ref().try_into().map_err(|_| unreadable())
}

/// An identifier goes into command lines and file names, so its form is checked.
fn identifier(name: &'static str, text: &Secret) -> Result<String, Error> {
    let text = text.expose_secret().trim();
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 32 && text.bytes().all(hex) {
        return Ok(text.to_owned());
    }
    Err(Error::Unreadable { what: name.into(), why: "it is not 32 hex digits".into() })
}
