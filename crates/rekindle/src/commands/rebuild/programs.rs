//! Programs and images of a rebuild: the archive's own payload, so that no upstream is asked.

use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::payload::obtain;
use crate::ready::{Brought, architecture, fetch};
use crate::report::Reporter;
use crate::session::Session;
use crate::vault::Remembered;
use inventory::Source;
use std::path::PathBuf;

/// Where programs and images come from.
pub struct Programs {
    /// Their source.
    pub source: Source,
    /// Where its relative paths start.
    pub base: PathBuf,
    /// Our own folder, where the archive's payload was laid.
    laid: Option<PathBuf>,
}

impl Programs {
    /// The archive's own payload, laid here, or what the inventory says.
    pub fn find(
        session: &Session,
        then: &Remembered,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        let Some(set) = then.own_payload() else {
            report.say(
                "the archive holds no programs and images of this version: they are taken from the inventory's source",
            );
            let source = session.cluster().artifacts.source.clone();
            return Ok(Self { source, base: session.loaded.folder.clone(), laid: None });
        };
        let folder = environment.cache.join("rebuild").join(then.bundle.uid()).join(set.id.tag());
        environment.make_folder(&folder).map_err(|error| file_error("cannot be made", &folder, &error))?;
        session.vault.lay_payload(set, &folder, environment, report)?;
        Ok(Self { source: Source::Folder(folder.clone()), base: folder.clone(), laid: Some(folder) })
    }

    /// What goes to the nodes.
    pub async fn brought(
        &self,
        session: &Session,
        then: &Remembered,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Brought, Failure> {
        let wanted = &session.cluster().kubernetes;
        if then.cluster.as_ref().is_some_and(|old| old.kubernetes != *wanted) {
            return fetch(session, environment, report).await.map(Into::into);
        }
        let arch = architecture(session)?;
        obtain(&self.source, &self.base, wanted, arch, environment, report).await.map(Into::into)
    }

    /// A killed run goes on with what lies here; after its end nobody wants it.
    pub fn forget(&self) {
        if let Some(folder) = &self.laid {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
