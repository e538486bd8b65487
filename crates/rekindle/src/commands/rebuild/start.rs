//! What a rebuild starts from: an inventory; or a recovery kit alone, and then the archived inventory is the inventory,
//! with the kit's places and the nodes where they are now. That inventory, and the files that it names, are left in the
//! current folder at the end.

use super::chosen::{FROM, begun, choose};
use super::map::mapped;
use super::places::places;
use crate::cli;
use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::kit::{self, Page};
use crate::loaded::{Loaded, read_text};
use crate::report::Reporter;
use crate::vault::{Remembered, Vault};
use inventory::Cluster;
use pki::{ExposeSecret, Secret};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A fact of the identity set that a rebuild sealed: with which `--map` it was begun.
const MAPPED: &str = "mapped";

/// Inventory and archive, before a node is asked.
pub struct Start {
    /// The inventory.
    pub loaded: Loaded,
    /// The archive.
    pub vault: Vault,
    /// What is to be left here.
    pub left: Option<Left>,
    /// Whether it is the inventory of the newest epoch, by which a cluster that stands may be converged.
    pub is_current: bool,
    /// What the identity set says of it.
    pub facts: BTreeMap<String, String>,
}

impl Start {
    /// Reads what the command line names.
    ///
    /// # Errors
    /// A kit or an inventory that can't be read or is of another archive; a `--map` that can't be; another inventory
    /// that lies where this one will.
    pub fn read(args: &cli::Rebuild, environment: &Environment, report: &Reporter) -> Result<Self, Failure> {
        let from = &args.from;
        let start = match (&from.kit, &from.inventory) {
            (Some(kit), None) => Self::of_kit(&kit::read(kit)?, args, environment, report)?,
            (kit, _) => {
                let cluster = from.cluster();
                let path = &cluster.file.inventory;
                let loaded = Loaded::read(path, report).map_err(|failure| {
                    let kit =
                        "`-i FILE` names an inventory; without one, --kit FILE takes it from the archive";
                    failure.maybe_hint((!path.exists()).then_some(kit))
                })?;
                let vault = match kit {
                    Some(kit) => {
                        let page = kit::read(kit)?;
                        let vault = Vault::of_both(&loaded, &page, &from.identity, environment)?;
                        vault.is_of(&page, report)?;
                        vault
                    }
                    None => Vault::new(&loaded, &from.identity, from.trust_on_first_use, environment)?,
                };
                Self { loaded, vault, left: None, is_current: true, facts: BTreeMap::new() }
            }
        };
        let cluster = start.loaded.cluster();
        let known = |name: &String| name == "all" || cluster.node(name).is_some();
        let unknown: Vec<_> = from.reinstalled.iter().filter(|name| !known(name)).cloned().collect();
        if unknown.is_empty() {
            return Ok(start);
        }
        Err(Failure::refused(format!("--reinstalled {}: the inventory has no such node", unknown.join(", ")))
            .hint(format!("it has {}", names(cluster))))
    }

    fn of_kit(
        page: &Page,
        args: &cli::Rebuild,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        let from = &args.from;
        let vault = Vault::of_kit(page, &from.identity, environment, report)?;
        vault.is_of(page, report)?;
        let newest = vault.open()?.ok_or_else(|| Failure::refused("the archive of this kit is empty"))?;
        let maps = from.map.join(" ");
        let facts: BTreeMap<_, _> =
            (!maps.is_empty()).then(|| (MAPPED.to_owned(), maps.clone())).into_iter().collect();
        let begun = begun(&newest, args.take_over, environment)?;
        let generations = vault.generations_not_from(&args.distrust.not_from)?;
        let chosen = match (&begun, args.generation.as_deref()) {
            (None, None) => None,
            (begun, wanted) => Some(choose(&vault, &generations, wanted, begun.as_ref())?),
        };
        // The newest inventory is the one, but for a generation that somebody names or that was begun with; of a rebuild
        // that came to its end, or was killed right before it, nothing is mapped again.
        let noted = |fact: &str| newest.facts().get(fact).map_or("", String::as_str);
        let is_current = begun.is_none()
            && noted(MAPPED) == maps
            && chosen.is_none_or(|chosen| noted(FROM) == chosen.id.to_string());
        let then = match chosen {
            Some(chosen) if !is_current => vault.identity_named_by(chosen)?,
            _ => newest,
        };
        let mut cluster = then.own_cluster()?.clone();
        if !is_current {
            cluster = mapped(cluster, &from.map, &resolve)?;
        }
        let (to, dropped) = places(&page.kit, &cluster.archive.to);
        for url in dropped {
            report.say(format!("left out: {url}, which is relative to an inventory that lay elsewhere"));
        }
        cluster.archive.to = to;
        cluster.archive.trust = Some(page.root.to_string());
        if !from.ssh_identity.is_empty() {
            let absolute = |path: &PathBuf| {
                path.canonicalize().map_err(|error| file_error("cannot be read", path, &error))
            };
            cluster.ssh.identity = from.ssh_identity.iter().map(absolute).collect::<Result<_, _>>()?;
        }
        let left = Left::of(&mut cluster, &then);
        left.is_free(environment)?;
        let loaded = Loaded::of(&left.path, left.text.clone(), report)?;
        let vault = vault.with_places_of(&loaded, environment)?;
        Ok(Self { loaded, vault, left: Some(left), is_current, facts })
    }
}

/// The nodes of an inventory, in one line.
pub fn names(cluster: &Cluster) -> String {
    cluster.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the machine's own resolver says of a name.
fn resolve(name: &str) -> Vec<std::net::IpAddr> {
    use std::net::ToSocketAddrs;
    (name, 0).to_socket_addrs().map(|found| found.map(|one| one.ip()).collect()).unwrap_or_default()
}

/// An inventory with the files that it names, for the current folder.
pub struct Left {
    path: PathBuf,
    text: String,
    /// Relative to it.
    files: BTreeMap<PathBuf, Secret>,
}

impl Left {
    /// Local files of the inventory become those of the archive, beside it.
    fn of(cluster: &mut Cluster, then: &Remembered) -> Self {
        let folder = PathBuf::from(format!("{}-files", cluster.name));
        let mut files = BTreeMap::new();
        let mut lay = |path: &mut PathBuf, below: &str, text: Option<Secret>| {
            if let Some(text) = text {
                *path = folder.join(below.trim_start_matches('/'));
                files.insert(path.clone(), text);
            }
        };
        for (on_node, path) in &mut cluster.kubeadm.files {
            lay(path, on_node, then.files.get(on_node).cloned());
        }
        for (name, path) in &mut cluster.kubeadm.patches {
            lay(path, &format!("patches/{name}"), then.patches.get(name).map(|text| text.as_str().into()));
        }
        Self { path: format!("{}.toml", cluster.name).into(), text: inventory::effective(cluster), files }
    }

    /// Every file with its bytes and mode, the inventory last: where it is, all is.
    fn all(&self) -> impl Iterator<Item = (&Path, &str, u32)> {
        let files = self.files.iter().map(|(path, text)| (path.as_path(), text.expose_secret(), 0o600));
        files.chain([(self.path.as_path(), self.text.as_str(), 0o644)])
    }

    /// Nothing else lies where these will.
    fn is_free(&self, environment: &Environment) -> Result<(), Failure> {
        let is_other = |(path, text, _): &(&Path, &str, u32)| {
            path.symlink_metadata().is_ok() && read_text(path).ok().as_deref() != Some(*text)
        };
        match self.all().find(is_other) {
            None => Ok(()),
            Some((path, ..)) => Err(Failure::refused(format!(
                "{}: it is there already, and the inventory from the archive is another one",
                environment.path(Path::new("."), path).display()
            ))
            .hint("run it in another folder, where the inventory can be left; or give this one with -i")),
        }
    }

    /// Leaves them; over no file.
    pub fn write(&self, environment: &Environment, report: &Reporter) {
        for (path, text, mode) in self.all() {
            match environment.write_new(path, text.as_bytes(), mode) {
                // An earlier run of the same rebuild left it, or somebody's own lies there by now.
                Ok(true | false) => {}
                Err(error) => {
                    let failure = file_error("cannot be written", path, &error);
                    report.say(format!(
                        "! {} (`rekindle archive extract --name inventory.toml` has it)",
                        failure.message
                    ));
                    return;
                }
            }
        }
        report.say(format!("the inventory is {}: go on with -i {0}", self.path.display()));
    }
}
