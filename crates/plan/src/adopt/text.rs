//! A cluster as an inventory says it: the text of `prod.toml`, and what no inventory can say yet.

use super::collected::{Collected, Refused};
use super::component::Component;
use super::overlay::{Overlays, overlays};
use super::writer::Writer;
use super::{Configuration, Seen};
use crate::kubeadm::Cgroups;
use inventory::{Cluster, SshTarget};
use pki::{ExposeSecret, Secret};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// How the nodes are reached.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// By node; a node that is not here is reached at its address.
    pub targets: BTreeMap<String, SshTarget>,
    /// Private key files.
    pub identity: Vec<String>,
    /// A jump host, as it was written.
    pub bastion: Option<String>,
}

/// Where the archive will lie, and from where programs come.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    /// As `to` takes them.
    pub to: Vec<String>,
    /// age recipients.
    pub recipients: Vec<String>,
    /// The root key, once there is one.
    pub trust: Option<String>,
    /// `[artifacts] source`, as TOML.
    pub source: Option<String>,
    /// The folder of files that flags name, relative to the inventory.
    pub files: String,
    /// Whether programs and images are sealed too.
    pub payload: bool,
}

/// The nodes' own side of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machines {
    /// Our own routes lie there.
    pub routes: bool,
    /// They are containers.
    pub container: bool,
    /// Their cgroups.
    pub cgroups: Cgroups,
}

/// An inventory, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The inventory's text.
    pub text: String,
    /// What it says.
    pub cluster: Cluster,
    /// What it can't say, in words: `up` would change it.
    pub unsaid: Vec<String>,
    /// Files that it names: path relative to it → content.
    pub files: BTreeMap<String, Secret>,
}

/// Writes the inventory of what was seen.
///
/// # Errors
/// What keeps this cluster from being adopted, one line each.
pub fn adoption(
    name: Option<&str>,
    seen: &Seen,
    collected: &Collected,
    machines: Machines,
    reach: &Reach,
    destinations: &Destinations,
) -> Result<Adoption, Refused> {
    let configuration = Configuration::read(&seen.kubeadm).map_err(|why| vec![why])?;
    impossible(collected)?;
    let writer =
        Writer { name, seen, configuration: &configuration, collected, machines, reach, destinations };
    let mut unsaid = BTreeSet::new();
    let base = writer.text(&Overlays::default(), &mut unsaid);
    let bare = read(&base)?;
    let overlays = overlays(seen, machines.cgroups, &bare, &mut unsaid)?;
    let text = writer.text(&overlays, &mut unsaid);
    let mut comments = String::new();
    for line in &unsaid {
        let _ = writeln!(comments, "# Not said here, and `up` would change it: {}", line.replace('\n', " "));
    }
    let text = text.replacen(UNSAID, &comments, 1);
    let files = writer.files().into_iter().map(|(_, local, text)| (local, text.clone())).collect();
    Ok(Adoption { cluster: read(&text)?, text, unsaid: unsaid.into_iter().collect(), files })
}

/// Where the list of what can't be said goes.
pub(super) const UNSAID: &str = "# unsaid\n";

fn read(text: &str) -> Result<Cluster, Refused> {
    let words = |mistake: &inventory::Mistake| {
        let right =
            if mistake.right.is_empty() { String::new() } else { format!(" (wanted: {})", mistake.right) };
        format!("an inventory can't say it yet: {}{right}", mistake.message)
    };
    inventory::parse("the inventory", text)
        .map(|parsed| parsed.cluster)
        .map_err(|mistakes| mistakes.iter().map(words).collect())
}

/// What can't be adopted at all, by name.
fn impossible(collected: &Collected) -> Result<(), Refused> {
    let mut refused = Refused::new();
    for (node, pod) in collected.pods.get(&Component::ApiServer).into_iter().flatten() {
        match pod.flag("secure-port") {
            None | Some("6443") => {}
            Some(port) => {
                refused.push(format!("{node}: its apiserver listens on port {port}, and only 6443 is known"))
            }
        }
        // A snapshot without its keys is worth nothing.
        if let Some(path) = pod.flag("encryption-provider-config")
            && !(collected.files.contains_key(path) && inventory::can_be_laid(path))
        {
            refused.push(format!(
                "{node}: the keys of the encryption at rest lie in {path}, and an inventory can't name that: move the file to a directory of its own, like /etc/kubernetes/encryption/"
            ));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

impl Adoption {
    /// The files by their path on the control planes.
    pub fn by_path(&self) -> BTreeMap<String, Secret> {
        let named = self.cluster.kubeadm.files.iter();
        let of =
            |local: &std::path::Path| self.files.get(local.to_str()?).map(|text| text.expose_secret().into());
        named.filter_map(|(path, local)| Some((path.clone(), of(local)?))).collect()
    }
}
