//! The keys that encrypt what the API stores, as far as anybody may know them: their names and digests. A snapshot
//! is worth nothing without them, so an identity set names them, and a node compares them with its own.

use crate::yaml;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inventory::Cluster;
use pki::{ExposeSecret, Secret};
use serde::Deserialize;
use serde_json::{Value, json};
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
    /// Nothing of it is encrypted with a key that could be replaced.
    #[error("{path} encrypts with no key of its own: a KMS keeps its keys itself")]
    NoKey {
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

/// A new key, and what is encrypted with it from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstKey {
    /// Its name in the file.
    pub name: String,
    /// How a value begins that is encrypted with it
    /// (staging/src/k8s.io/apiserver/pkg/server/options/encryptionconfig/config.go).
    pub prefix: String,
    /// Kinds as the file has them: `secrets`.
    pub resources: Vec<String>,
}

/// The same configuration with the key `name` before all others, wherever the first provider is one
/// with keys. The others stay, so that what they encrypted can be read. Where the key is there already, nothing changes.
///
/// # Errors
/// [`EncryptionError`].
pub fn with_new_key(
    path: &str,
    text: &Secret,
    name: &str,
    secret: &[u8; 32],
) -> Result<(Secret, Vec<FirstKey>), EncryptionError> {
    let form = || EncryptionError::Form { path: path.to_owned() };
    keys(path, text)?;
    let mut read: Value = serde_saphyr::from_str(text.expose_secret()).map_err(|_| form())?;
    let mut first = Vec::new();
    let mut changed = false;
    for resources in read.get_mut("resources").and_then(Value::as_array_mut).ok_or_else(form)? {
        let kinds: Vec<String> = resources["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(Into::into)
            .collect();
        let provider = resources.pointer_mut("/providers/0").and_then(Value::as_object_mut);
        let Some(provider) = provider else { continue };
        let Some((kind, settings)) = provider.iter_mut().next() else { continue };
        let Some(keys) = settings.get_mut("keys").and_then(Value::as_array_mut) else { continue };
        if keys.first().is_none_or(|key| key["name"] != name) {
            keys.insert(0, json!({"name": name, "secret": STANDARD.encode(secret)}));
            changed = true;
        }
        let prefix = format!("k8s:enc:{kind}:v1:{name}:");
        first.push(FirstKey { name: name.to_owned(), prefix, resources: kinds });
    }
    if first.is_empty() {
        return Err(EncryptionError::NoKey { path: path.to_owned() });
    }
    let text = if changed { yaml::document(&read).into() } else { text.clone() };
    Ok((text, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/etc/kubernetes/encryption/config.yaml";

    fn read(resources: &str) -> Result<BTreeMap<String, Digest>, EncryptionError> {
        keys(PATH, &configuration(resources))
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

    fn configuration(resources: &str) -> Secret {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n{resources}"
        );
        text.into()
    }

    #[test]
    fn a_new_key_comes_first_and_the_others_stay() {
        let text = configuration(
            "- resources: [secrets, configmaps]\n  providers:\n  - secretbox: {keys: [{name: k1, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}\n  - identity: {}\n\
             - resources: [events]\n  providers: [{identity: {}}, {aescbc: {keys: [{name: k2, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}}]\n",
        );
        let (made, first) = with_new_key(PATH, &text, "epoch-2", &[7; 32]).unwrap();
        insta::assert_snapshot!(made.expose_secret());
        insta::assert_debug_snapshot!(first);
        assert_eq!(keys(PATH, &made).unwrap()["secretbox/epoch-2"], Digest::of(&[7; 32]));
        // A run that goes on makes no other one.
        let (again, same) = with_new_key(PATH, &made, "epoch-2", &[8; 32]).unwrap();
        assert_eq!((again.expose_secret(), same), (made.expose_secret(), first));
        for none in [
            "- resources: [secrets]\n  providers: [{identity: {}}]\n",
            "- resources: [secrets]\n  providers:\n  - kms: {apiVersion: v2, name: vault, endpoint: unix:///run/kms.sock}\n",
        ] {
            let refused = with_new_key(PATH, &configuration(none), "epoch-2", &[7; 32]).unwrap_err();
            assert_eq!(refused, EncryptionError::NoKey { path: PATH.into() }, "{none}");
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
