//! `up`: the whole line. Inventory, archive, survey; then mint or open, seal, and run the plan.

mod before_touch;
pub mod judge;
pub mod payload;
mod summary;
pub mod timers;

use crate::cli;
use crate::commands::snapshot::Made;
use crate::destinations;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::loaded::LocalFiles;
use crate::payload::{Obtained, obtain};
use crate::report::{Reporter, duration};
use crate::session::Session;
use crate::vault::{Contents, Missing, Recipients, Remembered};
use archive::{Sealed, Stamp};
use artifacts::Arch;
use engine::{Blobs, Event, Preview, Report, Settings};
use pki::{Bundle, NodeFiles, SystemEntropy};
use plan::kubeadm::Cgroups;
use plan::{Context, Growth, Payload};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use step::{Digest, Plan};
use summary::{before_relying, conclude, first_generation, tell_before_relying};
use time::format_description::well_known::Rfc3339;
use timers::{Timers, timers};

pub use summary::{sealed_words, tell_kept, tell_minted};

/// Makes the cluster what the inventory says.
pub async fn run(args: &cli::Up, environment: &Environment, report: &Reporter) -> Outcome {
    let started = Instant::now();
    let session = Session::open(&args.cluster, environment, report).await?;
    judge::made_by_us(&session)?;
    let mut ready = prepare(session, environment, report).await?;
    let preview = match ready.growth {
        // Nothing stands: everything is open.
        Growth::Laid => None,
        Growth::Added => {
            let preview = engine::preview(&ready.session.hosts, &ready.plan, args.overwrite).await;
            tell_kept(&ready.plan, &preview, report);
            if preview.nothing_to_do() {
                // A recipient, a destination or a comment may have changed all the same.
                let (sealed, recipients) = ready.seal(environment)?;
                // And the run that made the last change may have been killed before its end.
                let generation = match ready.session.any_control_plane() {
                    Ok(on) => first_generation(&ready, &on, environment, report).await?,
                    Err(_) => None,
                };
                let advice = before_relying(&ready, &sealed, &recipients, Made::counts(generation.as_ref()));
                let end = Unchanged {
                    generation: generation.as_ref(),
                    missing: ready.missing(&sealed, environment, report)?,
                    payload: payload::seal(&ready, &recipients, environment, report).await,
                    advice: &advice,
                };
                let exit = ready.unchanged(&sealed, &end, started, report);
                tell_before_relying(&ready, &advice, environment, report);
                return Ok(exit);
            }
            Some(preview)
        }
    };
    ready.bring_files(preview.as_ref(), environment, report).await?;
    if ready.growth == Growth::Added && !args.without_snapshot {
        // It names the identity set of the cluster as it is, not as it will be.
        let made = before_touch::generation(&ready, environment, report).await?;
        made.iter().for_each(|made| report.say(made.words()));
    }
    let (sealed, recipients) = ready.seal(environment)?;
    report.say(sealed_words(&sealed));
    tell_minted(&recipients, report);
    let program = ready.timers.program.iter().map(|program| (program.digest(), program.file.clone()));
    let blobs: Blobs = std::mem::take(&mut ready.files).into_iter().chain(program).collect();
    let settings = Settings { preview: preview.as_ref(), blobs: &blobs, overwrite: args.overwrite };
    let (done, born) = ready.apply(&settings, &sealed, environment).await;
    let result = conclude(&ready, &done, (&sealed, &recipients), started, environment, report).await;
    born?;
    result
}

/// What a run that had nothing to do on nodes did for the archive.
struct Unchanged<'a> {
    generation: Option<&'a Made>,
    missing: Missing,
    payload: payload::Sealing,
    advice: &'a [String],
}

/// Everything that is settled before the first byte goes out.
pub struct Ready {
    /// Inventory, archive, connections, answers.
    pub session: Session,
    /// Laid or added.
    pub growth: Growth,
    /// What will be done.
    pub plan: Plan,
    bundle: Bundle,
    payload: Payload,
    files: BTreeMap<Digest, PathBuf>,
    /// As they came, where this run brought them.
    artifacts: Option<artifacts::Payload>,
    local: LocalFiles,
    host_keys: BTreeMap<String, String>,
    /// The nodes' own snapshots.
    timers: Timers,
}

/// Judges what stands, mints or opens, and makes the plan.
pub async fn prepare(
    session: Session,
    environment: &Environment,
    report: &Reporter,
) -> Result<Ready, Failure> {
    let standing = session.standing();
    let growth = judge::decide(&session, &standing)?;
    judge::epoch(&session)?;
    let runs_the_wanted_version = judge::version(&session)?;
    judge::fixed_keys(&session, runs_the_wanted_version)?;
    let first = session.remembered.is_none();
    if first && !session.loaded.parsed.first_up_errors.is_empty() {
        return Err(Failure::refused(session.loaded.parsed.first_up_errors.render(report.colour).trim_end()));
    }
    judge::preflight(&session)?;
    for (host, why) in &session.absent {
        report.say(format!("{host}: takes no part: {why}"));
    }
    let local = session.loaded.local_files(environment)?;
    let cluster = session.cluster();
    let bundle = match &session.remembered {
        Some(remembered) => reopened(remembered, &session)?,
        None => Bundle::mint(cluster, local.own_ca.as_ref(), session.now, &mut SystemEntropy)
            .map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?,
    };
    let (payload, files, artifacts) =
        match session.remembered.as_ref().and_then(|remembered| same_payload(remembered, &session)) {
            Some(payload) => (payload, BTreeMap::new(), None),
            None => {
                let got = fetch(&session, environment, report).await?;
                (got.payload, got.files, Some(got.artifacts))
            }
        };
    let mut host_keys =
        session.remembered.as_ref().map(|remembered| remembered.host_keys.clone()).unwrap_or_default();
    host_keys.extend(
        session.hosts.host_keys().await.into_iter().map(|(host, key)| (host.as_str().to_owned(), key)),
    );
    host_keys.extend(destinations::host_keys(&session.loaded, environment, report).await);
    let timers = timers(&session, &bundle, &host_keys, environment, report).await?;
    let plan = make_plan(&session, &bundle, &payload, &local, growth, timers.snapshots.as_ref())?;
    Ok(Ready { timers, session, growth, plan, bundle, payload, files, artifacts, local, host_keys })
}

/// The same bundle as a value of our own.
fn reopened(remembered: &Remembered, session: &Session) -> Result<Bundle, Failure> {
    let entries = remembered.bundle.entries();
    Bundle::complete(entries, session.cluster(), None, session.now, &mut SystemEntropy)
        .map_err(|error| Failure::because(&error).maybe_hint(error.hint()))
}

/// The archived payload, where it is for this version.
fn same_payload(remembered: &Remembered, session: &Session) -> Option<Payload> {
    let same = remembered.cluster.as_ref().is_some_and(|old| old.kubernetes == session.cluster().kubernetes);
    remembered.payload.clone().filter(|_| same)
}

/// The programs and images of a session's cluster.
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

fn architecture(session: &Session) -> Result<Arch, Failure> {
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

fn make_plan(
    session: &Session,
    bundle: &Bundle,
    payload: &Payload,
    local: &LocalFiles,
    growth: Growth,
    snapshots: Option<&plan::Snapshots>,
) -> Result<Plan, Failure> {
    let cluster = session.cluster();
    let entropy = &mut SystemEntropy;
    let pki = |error: pki::Error| Failure::because(&error).maybe_hint(error.hint());
    let mut node_files: BTreeMap<String, NodeFiles> = BTreeMap::new();
    for node in &cluster.nodes {
        node_files
            .insert(node.name.clone(), bundle.node_files(cluster, node, session.now, entropy).map_err(pki)?);
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
        snapshots,
    };
    plan::up(&context).map_err(|error| Failure::because(&error).exit(Exit::Bug))
}

impl Ready {
    /// What is missing on nodes and not here yet is fetched or built now.
    async fn bring_files(
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

    /// Archive before touch.
    fn seal(&self, environment: &Environment) -> Result<(Sealed, Recipients), Failure> {
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
        };
        let stamp = stamp(&created, environment);
        let previous = self.session.remembered.as_ref();
        let sealed = self.session.vault.seal(&contents, &recipients.all, previous, stamp, environment)?;
        Ok((sealed, recipients))
    }

    /// Runs the plan. As soon as etcd has a quorum the archive says so, whatever becomes of the run.
    async fn apply(
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
                if born.is_none() && shows_quorum(&event) {
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

    fn seal_born(&self, sealed: &Sealed, environment: &Environment) -> Result<(), Failure> {
        let created = self.created();
        self.session.vault.seal_born(&sealed.id, &self.bundle, &stamp(&created, environment)).map(drop)
    }

    fn created(&self) -> String {
        self.session.now.format(&Rfc3339).unwrap_or_default()
    }

    /// What places lack of the archive, once the newest generation was brought to all that can be reached.
    fn missing(
        &self,
        sealed: &Sealed,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Missing, Failure> {
        let vault = &self.session.vault;
        Ok(vault.sealed(sealed).and(vault.bring(&self.bundle, environment, report)?))
    }

    fn unchanged(&self, sealed: &Sealed, end: &Unchanged, started: Instant, report: &Reporter) -> Exit {
        let Unchanged { generation, missing, payload, advice } = end;
        let traffic = self.session.hosts.traffic();
        let trips = traffic.values().map(|traffic| traffic.round_trips).max().unwrap_or(0);
        let absent: Vec<_> = self.session.absent.keys().collect();
        report.result(
            &format!("nothing to do: {} is as the inventory says ({})", self.session.cluster().name, duration(started.elapsed())),
            json!({"changed": 0, "round_trips": trips, "traffic": traffic, "absent": absent, "generation": generation.map(Made::value), "payload": payload::value(payload), "before_relying": advice, "seconds": started.elapsed().as_secs_f64()}),
        );
        if sealed.new {
            report.say(sealed_words(sealed));
        }
        let mut debts = missing.debts.clone();
        if let Some(made) = generation {
            report.say(made.headline());
            debts.extend(made.complaints());
        }
        if let Some(headline) = payload::headline(payload) {
            report.say(headline);
        }
        debts.extend(payload::complaints(payload));
        debts.extend(self.timers.missing.clone());
        for line in debts.iter().chain(&missing.notes) {
            report.say(format!("archive: {line}"));
        }
        match (absent.is_empty(), debts.is_empty()) {
            (false, _) => Exit::Partly,
            (true, false) => Exit::Due,
            (true, true) => Exit::Done,
        }
    }
}

fn shows_quorum(event: &Event) -> bool {
    matches!(event, Event::StepEnded { title, outcome: engine::Outcome::Changed | engine::Outcome::Unchanged, .. }
        if title == plan::QUORUM)
}

/// Who seals, and when.
pub fn stamp<'a>(created: &'a str, environment: &'a Environment) -> Stamp<'a> {
    Stamp { created, rekindle: env!("CARGO_PKG_VERSION"), holder: &environment.user, host: &environment.host }
}
