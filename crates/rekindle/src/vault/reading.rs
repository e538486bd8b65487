//! An archive that is read, by an inventory or by a recovery kit. The kit gives the root key and the places; what the
//! cluster is, its own inventory in the identity set says then.

use super::{Vault, failure, keys::Keys};
use crate::cli::Reading;
use crate::destinations::{Viewpoint, open};
use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::kit::{self, Page};
use crate::loaded::Loaded;
use crate::report::Reporter;
use archive::{Archive, Destination, Standing, Trust};
use inventory::{Cluster, Source};
use std::path::{Path, PathBuf};

/// What a command that reads was pointed at.
pub struct Origin {
    loaded: Option<Loaded>,
    /// Relative paths start here: the folder of the inventory, or of the kit.
    pub folder: PathBuf,
}

impl Origin {
    /// The inventory of today, where there is one.
    pub fn inventory(&self) -> Option<&Path> {
        self.loaded.as_ref().map(|loaded| loaded.path.as_path())
    }

    /// Where programs come from: as the inventory of today says, else as the archived one.
    pub fn source<'a>(&'a self, archived: &'a Cluster) -> &'a Source {
        let cluster = self.loaded.as_ref().map_or(archived, Loaded::cluster);
        &cluster.artifacts.source
    }
}

impl Vault {
    /// The archive that the command line names.
    ///
    /// # Errors
    /// An inventory or a kit that can't be read; a kit that the inventory, or the archive that lies there, is not of.
    pub fn read(
        reading: &Reading,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<(Origin, Self), Failure> {
        let usual = || PathBuf::from("rekindle.toml");
        let path = reading.inventory.clone().or_else(|| reading.kit.is_none().then(usual));
        let loaded = path.map(|path| Loaded::read(&path, report)).transpose()?;
        let identity = &reading.identity;
        let page = reading.kit.as_deref().map(kit::read).transpose()?;
        let vault = match (&loaded, &page) {
            (Some(loaded), Some(page)) => Self::of_both(loaded, page, identity, environment)?,
            (Some(loaded), None) => Self::new(loaded, identity, reading.trust_on_first_use, environment)?,
            (None, Some(page)) => Self::of_kit(page, identity, environment, report)?,
            (None, None) => return Err(Failure::refused("neither an inventory nor a kit")),
        };
        let vault = match &reading.from {
            Some(name) => vault.only(name)?,
            None => vault,
        };
        if let Some(page) = &page {
            vault.is_of(page, report)?;
        }
        let folder = loaded.as_ref().map(|loaded| &loaded.folder).or(page.as_ref().map(|page| &page.folder));
        let folder = folder.cloned().unwrap_or_default();
        Ok((Origin { loaded, folder }, vault))
    }

    /// By a kit alone. A place that can't be asked from here is told and left out: one is enough.
    pub fn of_kit(
        page: &Page,
        identity: &[PathBuf],
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        let ssh = inventory::Kit::ssh();
        let from = Viewpoint { base: &page.folder, ssh: &ssh, environment };
        let mut places: Vec<Box<dyn Destination>> = Vec::new();
        let mut missing = Vec::new();
        for to in &page.kit.to {
            match open(to, &from) {
                Ok(place) => places.push(place.into()),
                Err(failure) => missing.push(failure),
            }
        }
        if places.is_empty()
            && let Some(first) = missing.pop()
        {
            return Err(first);
        }
        for failure in missing {
            report.say(format!("left out: {}", failure.message));
        }
        let archive = Archive::at(places).map_err(|error| failure(&error))?;
        let keys = Keys::new(identity, &[], Path::new("."), environment);
        Ok(Self { archive, trust: Trust::Anchor(page.root), keys, recipients: Vec::new() })
    }

    /// The vault of an inventory by what opened this one: the kit's root key, and the same identity.
    pub fn with_places_of(self, loaded: &Loaded, environment: &Environment) -> Result<Self, Failure> {
        let Self { archive, recipients, .. } = Self::new(loaded, &[], false, environment)?;
        Ok(Self { archive, recipients, ..self })
    }

    /// The vault of an inventory for which a kit speaks.
    pub fn of_both(
        loaded: &Loaded,
        page: &Page,
        identity: &[PathBuf],
        environment: &Environment,
    ) -> Result<Self, Failure> {
        agree(page, loaded.cluster())?;
        let vault = Self::new(loaded, identity, false, environment)?;
        Ok(Self { trust: Trust::Anchor(page.root), ..vault })
    }

    /// Whether what lies there is the archive that the kit was written for.
    pub fn is_of(&self, page: &Page, report: &Reporter) -> Result<(), Failure> {
        let kit = &page.kit;
        let holding = match self.archive.state(&self.trust) {
            Ok(Standing::Holds(holding)) => holding,
            Ok(Standing::Empty) => return Err(Failure::refused("nothing lies at the places of the kit")),
            Err(error @ (archive::Error::Foreign { .. } | archive::Error::Gone { .. })) => {
                let text =
                    format!("{}: this kit is of the cluster {}: {}", page.path, kit.cluster, chain(&error));
                return Err(
                    Failure::refused(text).hint("take the kit of this archive, or the places of this kit")
                );
            }
            Err(error) => return Err(failure(&error)),
        };
        let there = (&holding.cluster.uid, &holding.repo);
        if there != (&kit.uid, &kit.repo) {
            return Err(Failure::refused(format!(
                "{}: the kit is of the cluster {} ({}) in the archive {}, and there lies {} ({}) in {}",
                page.path, kit.cluster, kit.uid, kit.repo, holding.cluster.name, there.0, there.1
            ))
            .hint("was it typed right?"));
        }
        if holding.epoch < kit.epoch {
            report.say(format!(
                "warning: the kit knows epoch {}, and what lies there ends with epoch {}: it was put back, or another place has the newer ones",
                kit.epoch, holding.epoch
            ));
        }
        Ok(())
    }
}

/// A kit and an inventory that are given together are of one archive.
fn agree(page: &Page, cluster: &Cluster) -> Result<(), Failure> {
    let refused = |what: &str, kit: &str, inventory: &str| {
        Failure::refused(format!(
            "{}: {what} is {kit} in the kit, and {inventory} in the inventory",
            page.path
        ))
        .hint("they are of two archives, or one of the two is wrong: give only the one that you trust")
    };
    if page.kit.cluster != cluster.name {
        return Err(refused("the cluster", &page.kit.cluster, &cluster.name));
    }
    match &cluster.archive.trust {
        Some(trust) if trust.parse().ok() != Some(page.root) => {
            Err(refused("the root key", &page.kit.root, trust))
        }
        _ => Ok(()),
    }
}
