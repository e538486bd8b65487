//! What the control planes hold, compared: one cluster has one CA, one key of its service accounts, and the same files.

use super::component::{Component, Pod, paths};
use super::{Configuration, Found, Seen};
use pki::{Authority, Entries, ExposeSecret, Secret};
use std::collections::{BTreeMap, BTreeSet};

/// What all control planes together gave.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// Entries of a bundle, by their names there.
    pub entries: Entries,
    /// Static pods, by component and node.
    pub pods: BTreeMap<Component, BTreeMap<String, Pod>>,
    /// Files that flags name: path in the component → content.
    pub files: BTreeMap<String, Secret>,
    /// Paths that flags name, and where no file lies.
    pub no_files: BTreeSet<String>,
}

/// Why a cluster can't be adopted: one line each.
pub type Refused = Vec<String>;

/// What of a bundle lies where, and what can't be without it.
const PARTS: [(&str, &str, &str); 7] = [
    ("pki/ca.crt", "/etc/kubernetes/pki/ca.crt", "it is the cluster's CA"),
    (
        "pki/ca.key",
        "/etc/kubernetes/pki/ca.key",
        "without it no certificate and no kubeconfig can be made again, so neither a control plane nor a worker",
    ),
    ("pki/front-proxy-ca.crt", "/etc/kubernetes/pki/front-proxy-ca.crt", "aggregated APIs believe it"),
    (
        "pki/front-proxy-ca.key",
        "/etc/kubernetes/pki/front-proxy-ca.key",
        "without it the apiserver can't speak to aggregated APIs (metrics)",
    ),
    ("pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/ca.crt", "etcd's members believe it"),
    ("pki/etcd/ca.key", "/etc/kubernetes/pki/etcd/ca.key", "without it no member of etcd can be made again"),
    ("pki/sa.key", "/etc/kubernetes/pki/sa.key", "without it every token of a service account is refused"),
];

/// The files that the static pods of these nodes name, as they lie on each node: what the second question asks for.
pub fn named(found: &Found) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    for component in Component::ALL {
        let Some(Ok(pod)) =
            found.files.get(&component.manifest()).map(|text| Pod::read(text.expose_secret()))
        else {
            continue;
        };
        for path in files_of(&pod, component) {
            wanted.extend(pod.on_node(&path));
        }
    }
    wanted
}

/// Brings together what each control plane gave, by its name. `keys` are those of CAs that are kept elsewhere.
///
/// # Errors
/// What differs, and what is missing, by name.
pub fn collect(seen: &Seen, found: &BTreeMap<String, Found>, keys: &[Secret]) -> Result<Collected, Refused> {
    elsewhere(seen, found)?;
    let (mut collected, mut refused) = (Collected::default(), Refused::new());
    if let Some(mark) =
        same(found, "the mark of rekindle", |found| found.mark.clone().map(Secret::from), &mut refused)
    {
        collected.entries.insert("cluster/uid".into(), mark);
    }
    for (entry, path, why) in PARTS {
        match same(found, path, |found| found.files.get(path).cloned(), &mut refused) {
            Some(text) => drop(collected.entries.insert(entry.into(), text)),
            None => match kept_elsewhere(&collected.entries, entry, keys) {
                Some(key) => drop(collected.entries.insert(entry.into(), key)),
                None => refused.push(format!("no control plane has {path}: {why}")),
            },
        }
    }
    // What verifies tokens must be what signs them; the bundle keeps the key only.
    same(
        found,
        "/etc/kubernetes/pki/sa.pub",
        |found| found.files.get("/etc/kubernetes/pki/sa.pub").cloned(),
        &mut refused,
    );
    for component in Component::ALL {
        for (node, found) in found {
            let path = component.manifest();
            match found.files.get(&path).map(|text| Pod::read(text.expose_secret())) {
                Some(Ok(pod)) => drop(collected.pods.entry(component).or_default().insert(node.clone(), pod)),
                Some(Err(why)) => refused.push(format!("{node}: {path} can't be read: {why}")),
                None => refused.push(format!("{node}: there is no {path}")),
            }
        }
    }
    for path in named_in_components(&collected) {
        let lies = |node: &String, found: &Found| {
            let pods = Component::ALL.iter().filter_map(|component| collected.pods.get(component)?.get(node));
            pods.filter_map(|pod| pod.on_node(&path)).find_map(|at| found.files.get(&at).cloned())
        };
        let by_node: BTreeMap<&String, Option<Secret>> =
            found.iter().map(|(node, found)| (node, lies(node, found))).collect();
        let text = same_of(&by_node, &path, &mut refused);
        match text {
            Some(text) => drop(collected.files.insert(path, text)),
            None => drop(collected.no_files.insert(path)),
        }
    }
    refused.sort();
    refused.dedup();
    if refused.is_empty() { Ok(collected) } else { Err(refused) }
}

/// The one of these keys that is a CA's whose certificate is known.
fn kept_elsewhere(entries: &Entries, entry: &str, keys: &[Secret]) -> Option<Secret> {
    let certificate = entries.get(&format!("{}.crt", entry.strip_suffix(".key")?))?;
    keys.iter().find(|key| Authority::belong(certificate.expose_secret(), key)).cloned()
}

/// Where kubeadm keeps things elsewhere than a rebuild would, that is said first: nothing else would be found.
fn elsewhere(seen: &Seen, found: &BTreeMap<String, Found>) -> Result<(), Refused> {
    let configuration = Configuration::read(&seen.kubeadm).map_err(|why| vec![why])?;
    let mut refused = Refused::new();
    if let Some(etcd) = &configuration.etcd.external {
        refused.push(format!(
            "etcd is external ({}), and only a stacked one can be adopted yet",
            etcd.endpoints.join(", ")
        ));
    }
    let data = configuration.etcd.local.as_ref().map_or("", |etcd| etcd.data_dir.as_str());
    if !["", "/var/lib/etcd"].contains(&data.trim_end_matches('/')) {
        refused.push(format!("etcd's data lies in {data}, and only /var/lib/etcd is known"));
    }
    // kubespray's is /etc/kubernetes/ssl, with a link to it.
    let certificates = configuration.certificates_dir.trim_end_matches('/');
    for (node, found) in found {
        if !["", "/etc/kubernetes/pki", &found.pki].contains(&certificates) {
            refused.push(format!(
                "{node}: certificates lie in {certificates}, and /etc/kubernetes/pki is no link to it"
            ));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

/// Paths in the components that nobody lays there by himself.
fn named_in_components(collected: &Collected) -> BTreeSet<String> {
    let pods =
        collected.pods.iter().flat_map(|(component, pods)| pods.values().map(move |pod| (pod, *component)));
    pods.flat_map(|(pod, component)| files_of(pod, component)).collect()
}

/// Those of one component; kubeadm's own flags name what is minted or collected by itself, wherever it lies.
fn files_of(pod: &Pod, component: Component) -> BTreeSet<String> {
    let theirs = pod.theirs(component, "");
    let paths = theirs.values().flatten().flat_map(|value| paths(value));
    paths.filter(|path| !inventory::is_laid(path)).map(str::to_owned).collect()
}

fn same(
    found: &BTreeMap<String, Found>,
    what: &str,
    of: impl Fn(&Found) -> Option<Secret>,
    refused: &mut Refused,
) -> Option<Secret> {
    same_of(&found.iter().map(|(node, found)| (node, of(found))).collect(), what, refused)
}

/// The one text that all nodes have which have any.
fn same_of(by_node: &BTreeMap<&String, Option<Secret>>, what: &str, refused: &mut Refused) -> Option<Secret> {
    let mut all = by_node.iter().filter_map(|(node, text)| Some((node, text.as_ref()?)));
    let (first, text) = all.next()?;
    for (node, other) in all {
        if other.expose_secret().trim() != text.expose_secret().trim() {
            refused.push(format!("{first} and {node} differ in {what}"));
        }
    }
    Some(text.clone())
}
