//! The keys that encrypt what the API stores, as far as anybody may know them: their names and digests. A snapshot
//! is worth nothing without them, so an identity set names them, and a node compares them with its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inventory::Cluster;
use pki::{ExposeSecret, Secret};
use serde::Deserialize;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use step::Digest;

/// The apiserver's flag that names its `EncryptionConfiguration`.
const FLAG: &str = "encryption-provider-config";

/// Why an `EncryptionConfiguration` can't be understood. Nothing of its text is in it: keys stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// No YAML, or not of this form.
    #[error("{path} is no EncryptionConfiguration")]
    Form {
        /// The file on the control planes.
        path: String,
    },
    /// A secret that the apiserver would not take either.
    #[error("{path}: the secret of {key} is not base64")]
    Secret {
        /// The file on the control planes.
        path: String,
        /// Provider and name.
        key: String,
    },
}

/// apiserver.config.k8s.io/v1, as far as keys go
/// (staging/src/k8s.io/apiserver/pkg/apis/apiserver/v1/types_encryption.go).
#[derive(Deserialize)]
struct Configuration {
    kind: String,
    resources: Vec<Resources>,
}

#[derive(Deserialize)]
struct Resources {
    providers: Vec<BTreeMap<String, Option<Provider>>>,
}

/// `kms` and `identity` have no keys, and only `kms` has an endpoint.
#[derive(Deserialize)]
struct Provider {
    #[serde(default)]
    keys: Vec<Key>,
    #[serde(default)]
    endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Key {
    name: String,
    secret: String,
}

/// The path of the cluster's `EncryptionConfiguration` on its control planes, where it encrypts at all.
pub fn path(cluster: &Cluster) -> Option<&str> {
    cluster.kubeadm.api_server.get(FLAG).map(String::as_str)
}

fn configuration(path: &str, text: &Secret) -> Result<Configuration, EncryptionError> {
    let form = || EncryptionError::Form { path: path.to_owned() };
    let read: Configuration = serde_saphyr::from_str(text.expose_secret()).map_err(|_| form())?;
    if read.kind == "EncryptionConfiguration" { Ok(read) } else { Err(form()) }
}

/// The sockets of key management services that the `EncryptionConfiguration` at `path` names: with one of them, the
/// archive alone reads nothing of what it encrypts.
///
/// # Errors
/// [`EncryptionError::Form`].
pub fn kms(path: &str, text: &Secret) -> Result<BTreeSet<String>, EncryptionError> {
    let read = configuration(path, text)?;
    let providers = read.resources.into_iter().flat_map(|resources| resources.providers).flatten();
    Ok(providers.filter_map(|(_, provider)| provider?.endpoint).collect())
}

/// The keys of the `EncryptionConfiguration` at `path`: `PROVIDER/NAME` → sha256 of the key's own bytes. A name that
/// stands for two keys of one provider gets the number of its list of resources behind an `@`.
///
/// # Errors
/// [`EncryptionError`].
pub fn keys(path: &str, text: &Secret) -> Result<BTreeMap<String, Digest>, EncryptionError> {
    let read = configuration(path, text)?;
    let mut keys = BTreeMap::new();
    for (number, resources) in read.resources.iter().enumerate() {
        let providers = resources.providers.iter().flatten();
        let named = providers.filter_map(|(name, provider)| Some((name, provider.as_ref()?)));
        for (provider, key) in
            named.flat_map(|(name, provider)| provider.keys.iter().map(move |key| (name, key)))
        {
            let name = format!("{provider}/{}", key.name);
            let secret = STANDARD.decode(key.secret.trim());
            let secret =
                secret.map_err(|_| EncryptionError::Secret { path: path.to_owned(), key: name.clone() })?;
            let digest = Digest::of(&secret);
            match keys.entry(name) {
                Entry::Vacant(free) => drop(free.insert(digest)),
                Entry::Occupied(taken) if *taken.get() == digest => {}
                Entry::Occupied(taken) => {
                    let name = format!("{}@{}", taken.key(), number + 1);
                    keys.insert(name, digest);
                }
            }
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/etc/kubernetes/encryption/config.yaml";

    fn read(resources: &str) -> Result<BTreeMap<String, Digest>, EncryptionError> {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n{resources}"
        );
        keys(PATH, &text.into())
    }

    #[test]
    fn keys_are_known_by_provider_and_name() {
        let one = Digest::of(b"0123456789abcdef");
        let other = Digest::of(b"another key 0123");
        let cases: [(&str, &[(&str, Digest)]); 4] = [
            (
                "- resources: [secrets]\n  providers:\n  - secretbox: {keys: [{name: k1, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}\n  - identity: {}\n",
                &[("secretbox/k1", one)],
            ),
            // As people write it, with comments and an old key below the new one.
            (
                "  - resources:\n      - secrets   # and no others\n    providers:\n      - aescbc:\n          keys:\n            - name: new\n              secret: \"YW5vdGhlciBrZXkgMDEyMw==\"\n            - name: old\n              secret: MDEyMzQ1Njc4OWFiY2RlZg==\n      - identity:\n",
                &[("aescbc/new", other), ("aescbc/old", one)],
            ),
            // The same key twice is one; another one of the same name is not.
            (
                "- resources: [secrets]\n  providers: [{aesgcm: {keys: [{name: k, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}}]\n- resources: [configmaps]\n  providers: [{aesgcm: {keys: [{name: k, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}}]\n- resources: [events]\n  providers: [{aesgcm: {keys: [{name: k, secret: YW5vdGhlciBrZXkgMDEyMw==}]}}]\n",
                &[("aesgcm/k", one), ("aesgcm/k@3", other)],
            ),
            (
                "- resources: [secrets]\n  providers:\n  - kms: {apiVersion: v2, name: vault, endpoint: unix:///run/kms.sock}\n",
                &[],
            ),
        ];
        for (resources, expected) in cases {
            let expected = expected.iter().map(|(name, key)| ((*name).to_owned(), *key)).collect();
            assert_eq!(read(resources), Ok(expected), "{resources}");
            let text = format!("kind: EncryptionConfiguration\nresources:\n{resources}");
            let endpoint =
                resources.split_once("endpoint: ").map(|(_, rest)| rest.trim_end_matches("}\n").to_owned());
            assert_eq!(kms(PATH, &text.into()), Ok(endpoint.into_iter().collect()), "{resources}");
        }
    }

    #[test]
    fn what_no_apiserver_takes_is_refused_without_a_word_of_it() {
        let form = EncryptionError::Form { path: PATH.into() };
        let cases = [
            "- providers: [{aescbc: {keys: [{name: k, secret: [hunter2]}]}}]",
            "- hunter2",
            "]",
            "- providers: {aescbc: hunter2}",
        ];
        for resources in cases {
            assert_eq!(read(resources), Err(form.clone()), "{resources}");
        }
        assert_eq!(keys(PATH, &"kind: Pod\nresources: []".to_owned().into()), Err(form));
        let error = read("- providers: [{aescbc: {keys: [{name: k, secret: hunter2!}]}}]").unwrap_err();
        assert_eq!(error.to_string(), format!("{PATH}: the secret of aescbc/k is not base64"));
    }
}
