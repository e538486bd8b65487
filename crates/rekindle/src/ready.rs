//! A plan with all that it takes to run it: settled before the first byte goes out, sealed before it is applied.

use crate::commands::up::timers::{Timers, timers};
use crate::destinations;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::loaded::LocalFiles;
use crate::payload::{Obtained, obtain};
use crate::report::Reporter;
use crate::session::Session;
use crate::vault::{Contents, Missing, Recipients};
use archive::{Sealed, Stamp};
use artifacts::Arch;
use engine::{Blobs, Event, Preview, Report, Settings};
use pki::{Bundle, NodeFiles, SystemEntropy};
use plan::kubeadm::Cgroups;
use plan::{Context, Growth, Payload, Rebuild};
use std::collections::BTreeMap;
use std::path::PathBuf;
use step::{Digest, Plan};
use time::format_description::well_known::Rfc3339;

/// What is decided before a plan can be made.
pub struct Beginning {
    /// Laid or added.
    pub growth: Growth,
    /// CAs, keys, identifiers.
    pub bundle: Bundle,
    /// Files that the inventory names.
    pub local: LocalFiles,
    /// Programs and images.
    pub brought: Brought,
    /// What comes back, where the cluster is built again.
    pub rebuild: Option<Rebuild>,
    /// What the identity set says of how it came about.
    pub facts: BTreeMap<String, String>,
}

/// Programs and images, and what of them is on this machine.
pub struct Brought {
    /// As plans know them.
    pub payload: Payload,
    /// Their files, where this run brought them.
    pub files: BTreeMap<Digest, PathBuf>,
    /// As they came, likewise.
    pub artifacts: Option<artifacts::Payload>,
}

impl From<Obtained> for Brought {
    fn from(got: Obtained) -> Self {
        Self { payload: got.payload, files: got.files, artifacts: Some(got.artifacts) }
    }
}

/// Everything that is settled before the first byte goes out.
pub struct Ready {
    /// Inventory, archive, connections, answers.
    pub session: Session,
    /// Laid or added.
    pub growth: Growth,
    /// What will be done.
    pub plan: Plan,
    /// CAs, keys, identifiers.
    pub bundle: Bundle,
    /// Programs and images.
    pub payload: Payload,
    /// Files on this machine by digest.
    pub files: BTreeMap<Digest, PathBuf>,
    /// As they came, where this run brought them.
    pub artifacts: Option<artifacts::Payload>,
    /// The nodes' own snapshots.
    pub timers: Timers,
    local: LocalFiles,
    host_keys: BTreeMap<String, String>,
    facts: BTreeMap<String, String>,
    /// The step after which the cluster lives.
    born_with: &'static str,
}

impl Ready {
    /// Makes the plan.
    pub async fn settle(
        session: Session,
        beginning: Beginning,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        let Beginning { growth, bundle, local, brought, rebuild, facts } = beginning;
        let Brought { payload, files, artifacts } = brought;
        let mut host_keys = session.host_keys().await;
        host_keys.extend(destinations::host_keys(&session.loaded, environment, report).await);
        let timers = timers(&session, &bundle, &host_keys, environment, report).await?;
        let making = Making { session: &session, bundle: &bundle, payload: &payload, local: &local };
        let plan = making.plan(growth, rebuild.as_ref(), timers.snapshots.as_ref())?;
        let born_with = if rebuild.is_some() { plan::CLEARED } else { plan::QUORUM };
        Ok(Self {
            session,
            growth,
            plan,
            bundle,
            payload,
            files,
            artifacts,
            timers,
            local,
            host_keys,
            facts,
            born_with,
        })
    }
}

struct Making<'a> {
    session: &'a Session,
    bundle: &'a Bundle,
    payload: &'a Payload,
    local: &'a LocalFiles,
}

impl Making<'_> {
    fn plan(
        &self,
        growth: Growth,
        rebuild: Option<&Rebuild>,
        snapshots: Option<&plan::Snapshots>,
    ) -> Result<Plan, Failure> {
        let Self { session, bundle, payload, local } = self;
        let cluster = session.cluster();
        let entropy = &mut SystemEntropy;
        let pki = |error: pki::Error| Failure::because(&error).maybe_hint(error.hint());
        let mut node_files: BTreeMap<String, NodeFiles> = BTreeMap::new();
        for node in &cluster.nodes {
            let files = bundle.node_files(cluster, node, session.now, entropy).map_err(pki)?;
            node_files.insert(node.name.clone(), files);
        }
        let super_admin = bundle.super_admin_kubeconfig(cluster, session.now, entropy).map_err(pki)?;
        let context = Context {
            cluster,
            bundle,
            node_files: &node_files,
            super_admin: &super_admin,
            payload,
            answers: &session.answers,
            files: &local.files,
            patches: &local.patches,
            cgroups: Cgroups::of(cluster, &session.answers),
            growth,
            epoch: session.epoch(),
            rebuild,
            snapshots,
        };
        plan::up(&context).map_err(|error| Failure::because(&error).exit(Exit::Bug))
    }
}

/// Programs and images from the source that the inventory names.
pub async fn fetch(
    session: &Session,
    environment: &Environment,
    report: &Reporter,
) -> Result<Obtained, Failure> {
    let arch = architecture(session)?;
    let cluster = session.cluster();
    obtain(&cluster.artifacts.source, &session.loaded.folder, &cluster.kubernetes, arch, environment, report)
        .await
}

/// The one architecture of all nodes.
pub fn architecture(session: &Session) -> Result<Arch, Failure> {
    let mut found: Vec<&str> = session.answers.values().map(|answer| answer.facts.arch.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        ["x86_64"] => Ok(Arch::Amd64),
        ["aarch64"] => Ok(Arch::Arm64),
        _ => Err(Failure::refused(format!(
            "nodes of one architecture are needed, x86_64 or aarch64: found {}",
            found.join(", ")
        ))),
    }
}

impl Ready {
    /// What is missing on nodes and not here yet is fetched or built now.
    pub async fn bring_files(
        &mut self,
        preview: Option<&Preview>,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<(), Failure> {
        let lacks = |preview: &Preview| self.session.hosts.ids().any(|host| preview.missing_bytes(host) > 0);
        let needed = preview.is_none_or(lacks);
        if needed && self.files.is_empty() {
            let got = fetch(&self.session, environment, report).await?;
            (self.files, self.artifacts) = (got.files, Some(got.artifacts));
        }
        Ok(())
    }

    /// All files that this run may send.
    pub fn blobs(&mut self) -> Blobs {
        let program = self.timers.program.iter().map(|program| (program.digest(), program.file.clone()));
        std::mem::take(&mut self.files).into_iter().chain(program).collect()
    }

    /// Archive before touch.
    pub fn seal(&self, environment: &Environment) -> Result<(Sealed, Recipients), Failure> {
        let created = self.created();
        let recipients =
            self.session.vault.recipients(self.session.remembered.as_ref(), environment, &created)?;
        let contents = Contents {
            bundle: &self.bundle,
            loaded: &self.session.loaded,
            local: &self.local,
            payload: Some(&self.payload),
            host_keys: &self.host_keys,
            cgroups: Cgroups::of(self.session.cluster(), &self.session.answers),
            born: self.is_born(),
            facts: &self.facts,
        };
        let stamp = stamp(&created, environment);
        let previous = self.session.remembered.as_ref();
        let sealed = self.session.vault.seal(&contents, &recipients.all, previous, stamp, environment)?;
        Ok((sealed, recipients))
    }

    /// Runs the plan. As soon as the cluster lives the archive says so, whatever becomes of the run.
    pub async fn apply(
        &self,
        settings: &Settings<'_>,
        sealed: &Sealed,
        environment: &Environment,
    ) -> (Report, Result<(), Failure>) {
        let mut born = self.is_born().then_some(Ok(()));
        let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let apply = async move { engine::apply(&self.session.hosts, &self.plan, settings, &events).await };
        let listen = async {
            while let Some(event) = heard.recv().await {
                if born.is_none() && self.shows_life(&event) {
                    born = Some(self.seal_born(sealed, environment));
                }
                let _ = self.session.events.send(event);
            }
        };
        let (done, ()) = tokio::join!(apply, listen);
        (done, born.unwrap_or(Ok(())))
    }

    /// Whether etcd has a quorum, or had one.
    fn is_born(&self) -> bool {
        let known = self.session.remembered.as_ref().is_some_and(|remembered| remembered.known().born);
        known || self.growth == Growth::Added
    }

    fn shows_life(&self, event: &Event) -> bool {
        matches!(event, Event::StepEnded { title, outcome: engine::Outcome::Changed | engine::Outcome::Unchanged, .. }
            if title == self.born_with)
    }

    fn seal_born(&self, sealed: &Sealed, environment: &Environment) -> Result<(), Failure> {
        let created = self.created();
        self.session.vault.seal_born(&sealed.id, &self.bundle, &stamp(&created, environment)).map(drop)
    }

    /// The files that the inventory names.
    pub fn local(&self) -> &LocalFiles {
        &self.local
    }

    /// When this run began, as it is written down.
    pub fn created(&self) -> String {
        self.session.now.format(&Rfc3339).unwrap_or_default()
    }

    /// What places lack of the archive, once the newest generation was brought to all that can be reached.
    pub fn missing(
        &self,
        sealed: &Sealed,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Missing, Failure> {
        let vault = &self.session.vault;
        Ok(vault.sealed(sealed).and(vault.bring(&self.bundle, environment, report)?))
    }
}

/// Who seals, and when.
pub fn stamp<'a>(created: &'a str, environment: &'a Environment) -> Stamp<'a> {
    Stamp { created, rekindle: env!("CARGO_PKG_VERSION"), holder: &environment.user, host: &environment.host }
}
