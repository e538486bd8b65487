//! `up`: the whole line. Inventory, archive, survey; then mint or open, seal, and run the plan.

use super::{kubeconfig, status};
use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::loaded::LocalFiles;
use crate::payload::{Obtained, obtain};
use crate::report::{Reporter, duration};
use crate::session::Session;
use crate::vault::{Contents, Recipients, Remembered, note_trust};
use archive::{Sealed, Stamp};
use artifacts::Arch;
use engine::{Blobs, Found, LaneEnd, Preview, Report, Settings};
use inventory::Kind;
use pki::{Bundle, ExposeSecret, NodeFiles, SystemEntropy};
use plan::kubeadm::Cgroups;
use plan::{Context, Growth, Payload, Standing};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use step::{Digest, HostId, Plan, Step};
use time::format_description::well_known::Rfc3339;

/// Makes the cluster what the inventory says.
pub async fn run(args: &cli::Up, environment: &Environment, report: &Reporter) -> Outcome {
    let started = Instant::now();
    let session = Session::open(&args.cluster, environment, report).await?;
    let mut ready = prepare(session, environment, report).await?;
    let preview = match ready.growth {
        // Nothing stands: everything is open.
        Growth::Laid => None,
        Growth::Added => {
            let preview = engine::preview(&ready.session.hosts, &ready.plan, args.overwrite).await;
            tell_kept(&ready.plan, &preview, report);
            if preview.nothing_to_do() {
                // A recipient, a destination or a comment may have changed all the same.
                let (sealed, _) = ready.seal(environment)?;
                return Ok(ready.unchanged(&sealed, started, report));
            }
            Some(preview)
        }
    };
    ready.bring_files(preview.as_ref(), environment, report).await?;
    let (sealed, recipients) = ready.seal(environment)?;
    report.say(sealed_words(&sealed));
    let blobs: Blobs = std::mem::take(&mut ready.files).into_iter().collect();
    let settings = Settings { preview: preview.as_ref(), blobs: &blobs, overwrite: args.overwrite };
    let done = engine::apply(&ready.session.hosts, &ready.plan, &settings, &ready.session.events).await;
    let born = ready.seal_born(&sealed, &done, environment);
    let result = conclude(&ready, &done, started, environment, report).await;
    before_relying(&ready, &sealed, &recipients, report);
    born?;
    result
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
    local: LocalFiles,
    host_keys: BTreeMap<String, String>,
}

/// Judges what stands, mints or opens, and makes the plan.
pub async fn prepare(
    session: Session,
    environment: &Environment,
    report: &Reporter,
) -> Result<Ready, Failure> {
    let standing = session.standing();
    let growth = decide(&session, &standing)?;
    let runs_the_wanted_version = version(&session)?;
    fixed_keys(&session, runs_the_wanted_version)?;
    let first = session.remembered.is_none();
    if first && !session.loaded.parsed.first_up_errors.is_empty() {
        return Err(Failure::refused(session.loaded.parsed.first_up_errors.render(report.colour).trim_end()));
    }
    preflight(&session)?;
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
    let (payload, files) =
        match session.remembered.as_ref().and_then(|remembered| same_payload(remembered, &session)) {
            Some(payload) => (payload, BTreeMap::new()),
            None => {
                let got = fetch(&session, environment, report).await?;
                (got.payload, got.files)
            }
        };
    let mut host_keys =
        session.remembered.as_ref().map(|remembered| remembered.host_keys.clone()).unwrap_or_default();
    host_keys.extend(
        session.hosts.host_keys().await.into_iter().map(|(host, key)| (host.as_str().to_owned(), key)),
    );
    let plan = make_plan(&session, &bundle, &payload, &local, growth)?;
    Ok(Ready { session, growth, plan, bundle, payload, files, local, host_keys })
}

/// The same bundle as a value of our own.
fn reopened(remembered: &Remembered, session: &Session) -> Result<Bundle, Failure> {
    let entries = remembered.bundle.entries();
    Bundle::complete(entries, session.cluster(), None, session.now, &mut SystemEntropy)
        .map_err(|error| Failure::because(&error).maybe_hint(error.hint()))
}

/// Which plan fits what stands; a sentence where none does.
fn decide(session: &Session, standing: &Standing) -> Result<Growth, Failure> {
    let names = |hosts: &[HostId]| hosts.iter().map(HostId::as_str).collect::<Vec<_>>().join(", ");
    match standing {
        Standing::Empty | Standing::HalfBorn => Ok(Growth::Laid),
        Standing::Ours { .. } => Ok(Growth::Added),
        Standing::Stranger(found) => {
            let list: String = found.iter().map(|(host, what)| format!("\n  {host}: {what}")).collect();
            Err(Failure::refused(format!("there is something on these nodes that the archive does not know:{list}")).hint(
                "give the inventory the archive of that cluster, or make the nodes empty machines first: `kubeadm reset`, and what the README lists under \"without rekindle\"",
            ))
        }
        Standing::Lost { with_data, emptied, silent } => {
            let mut text = String::from("the cluster's etcd has no quorum");
            for (hosts, what) in
                [(with_data, "have their etcd data"), (emptied, "have none"), (silent, "do not answer")]
            {
                if !hosts.is_empty() {
                    text.push_str(&format!("\n  {}: {what}", names(hosts)));
                }
            }
            Err(session.with_absent(Failure::refused(text).hint(
                "bring back the machines that have data; where they are gone for good, `rekindle rebuild` makes the cluster again from the archive",
            )))
        }
        Standing::Unclear { silent } => {
            let text = format!("too few etcd nodes answered to tell what stands: {} did not", names(silent));
            Err(session.with_absent(Failure::refused(text)))
        }
    }
}

/// Nobody's upgrade is rolled back, and none is begun or finished here. Tells whether something runs the inventory's
/// version, and nothing another one.
fn version(session: &Session) -> Result<bool, Failure> {
    let wanted = session.cluster().kubernetes.to_string();
    let running = plan::running(session.cluster(), &session.answers);
    let (same, other): (Vec<_>, Vec<_>) = running.iter().partition(|running| running.version == wanted);
    if other.is_empty() {
        return Ok(!same.is_empty());
    }
    let list: String = other
        .iter()
        .map(|found| format!("\n  {}: its {} runs {}", found.host, found.what, found.version))
        .collect();
    Err(Failure::refused(format!("the inventory says Kubernetes {wanted}, and not all of the cluster runs it:{list}")).hint(
        "`up` does not upgrade: run `kubeadm upgrade` node by node (README, \"Without rekindle\"), then write the version that all nodes run into the inventory",
    ))
}

/// A fixed key that changed is refused, with the way to do it. The version is none where the cluster runs the new one.
fn fixed_keys(session: &Session, runs_the_wanted_version: bool) -> Result<(), Failure> {
    let Some(old) = session.remembered.as_ref().and_then(|remembered| remembered.cluster.as_ref()) else {
        return Ok(());
    };
    let refused: Vec<String> = inventory::changes(old, session.cluster())
        .into_iter()
        .filter(|change| !(runs_the_wanted_version && change.key == "cluster.kubernetes"))
        .filter_map(|change| match change.kind {
            Kind::Fixed(way) => {
                let value = |value: Option<String>| value.unwrap_or_else(|| "nothing".into());
                Some(format!(
                    "`{}` can't change from {} to {}: {way}",
                    change.key,
                    value(change.old),
                    value(change.new)
                ))
            }
            _ => None,
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Failure::refused(refused.join("\n"))) }
}

fn preflight(session: &Session) -> Result<(), Failure> {
    let problems = plan::problems(session.cluster(), &session.answers, session.now.unix_timestamp());
    if problems.is_empty() {
        return Ok(());
    }
    let list: String = problems
        .iter()
        .map(|problem| format!("\n  {}: {} ({})", problem.host, problem.what, problem.hint))
        .collect();
    Err(Failure::refused(format!("nodes are not fit yet:{list}")))
}

/// The archived payload, where it is for this version.
fn same_payload(remembered: &Remembered, session: &Session) -> Option<Payload> {
    let same = remembered.cluster.as_ref().is_some_and(|old| old.kubernetes == session.cluster().kubernetes);
    remembered.payload.clone().filter(|_| same)
}

async fn fetch(session: &Session, environment: &Environment, report: &Reporter) -> Result<Obtained, Failure> {
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
            self.files = fetch(&self.session, environment, report).await?.files;
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
            payload: &self.payload,
            host_keys: &self.host_keys,
        };
        let stamp = stamp(&created, environment);
        let sealed =
            self.session.vault.seal(&contents, &recipients.all, self.session.remembered.as_ref(), stamp)?;
        if self.session.remembered.is_none() {
            note_trust(environment, &self.session.loaded, &sealed)?;
        }
        Ok((sealed, recipients))
    }

    /// Once etcd had a quorum the archive says so, whatever becomes of the run.
    fn seal_born(&self, sealed: &Sealed, done: &Report, environment: &Environment) -> Result<(), Failure> {
        let known = self.session.remembered.as_ref().is_some_and(|remembered| remembered.known().born);
        let quorum = done.steps().any(|(_, _, step)| {
            step.title == plan::QUORUM
                && matches!(step.outcome, engine::Outcome::Changed | engine::Outcome::Unchanged)
        });
        if known || !(quorum || self.growth == Growth::Added) {
            return Ok(());
        }
        let created = self.created();
        self.session.vault.seal_born(&sealed.id, &self.bundle, &stamp(&created, environment)).map(drop)
    }

    fn created(&self) -> String {
        self.session.now.format(&Rfc3339).unwrap_or_default()
    }

    fn unchanged(&self, sealed: &Sealed, started: Instant, report: &Reporter) -> Exit {
        let traffic = self.session.hosts.traffic();
        let trips = traffic.values().map(|traffic| traffic.round_trips).max().unwrap_or(0);
        let absent: Vec<_> = self.session.absent.keys().collect();
        report.result(
            &format!("nothing to do: {} is as the inventory says ({})", self.session.cluster().name, duration(started.elapsed())),
            json!({"changed": 0, "round_trips": trips, "traffic": traffic, "absent": absent, "seconds": started.elapsed().as_secs_f64()}),
        );
        if sealed.new {
            report.say(sealed_words(sealed));
        }
        let debts = &sealed.failed;
        for debt in debts {
            report.say(format!("archive: {}: {}", debt.at, debt.why));
        }
        match (absent.is_empty(), debts.is_empty()) {
            (false, _) => Exit::Partly,
            (true, false) => Exit::Due,
            (true, true) => Exit::Done,
        }
    }
}

fn stamp<'a>(created: &'a str, environment: &'a Environment) -> Stamp<'a> {
    Stamp { created, rekindle: env!("CARGO_PKG_VERSION"), holder: &environment.user, host: &environment.host }
}

fn sealed_words(sealed: &Sealed) -> String {
    let places = sealed.proven.join(", ");
    if sealed.new {
        format!("sealed identity set {} and read it back: {places}", sealed.number)
    } else {
        format!("the archive holds all of it: {places}")
    }
}

/// What somebody else changed is shown and left alone.
pub fn tell_kept(plan: &Plan, preview: &Preview, report: &Reporter) {
    for (stage, host, step, previewed) in preview.steps() {
        if let Found::Kept(how) = &previewed.found {
            let title = step_at(plan, stage, host, step).map_or("", |step| &step.title);
            report.say(format!("{host}: kept {title}: {how} (--overwrite puts ours back)"));
        }
    }
}

/// A step by its place.
pub fn step_at<'a>(plan: &'a Plan, stage: usize, host: &HostId, step: usize) -> Option<&'a Step> {
    plan.stages.get(stage)?.lanes.iter().find(|lane| lane.on == *host)?.steps.get(step)
}

/// The end of a run: what failed, or the health of the real thing and where the time went.
async fn conclude(
    ready: &Ready,
    done: &Report,
    started: Instant,
    environment: &Environment,
    report: &Reporter,
) -> Outcome {
    let absent = &ready.session.absent;
    if let Some(failure) = failed(ready, done) {
        return Err(failure);
    }
    let cluster = ready.session.cluster();
    let on = cluster
        .control_planes()
        .map(|node| HostId::new(&node.name))
        .find(|host| !absent.contains_key(host) && !done.dropped.contains_key(host));
    let on = on.ok_or_else(|| Failure::refused("no control plane is left to ask").exit(Exit::Unknown))?;
    let health = status::ask(&ready.session, &on).await?;
    let mut complaints = health.complaints(cluster);
    complaints.extend(absent.iter().map(|(host, why)| format!("{host}: {why}")));
    let path = environment.config.join("kubeconfig").join(&cluster.name);
    let admin = kubeconfig::admin(&ready.session.loaded, &ready.bundle, None)?;
    environment
        .write(&path, admin.expose_secret().as_bytes(), 0o600)
        .map_err(|error| file_error("cannot be written", &path, &error).exit(Exit::Partly))?;
    let mut text = status::table(cluster, &health, &complaints);
    for stage in done
        .stages
        .iter()
        .filter(|stage| stage.lanes.iter().any(|lane| !matches!(lane.end, LaneEnd::NotRun(_))))
    {
        text.push_str(&format!("{:<20} {}\n", stage.name, duration(stage.took)));
    }
    text.push_str(&format!(
        "{:<20} {}\nkubeconfig: {}\n",
        "in all",
        duration(started.elapsed()),
        path.display()
    ));
    let stages: Vec<_> = done
        .stages
        .iter()
        .map(|stage| json!({"name": stage.name, "seconds": stage.took.as_secs_f64()}))
        .collect();
    report.result(
        &text,
        json!({
            "changed": done.changed(), "health": health, "complaints": complaints, "stages": stages, "kubeconfig": path,
            "traffic": ready.session.hosts.traffic(), "seconds": started.elapsed().as_secs_f64(),
        }),
    );
    Ok(match (absent.is_empty(), complaints.is_empty()) {
        (false, _) => Exit::Partly,
        (true, false) => Exit::Due,
        (true, true) => Exit::Done,
    })
}

fn failed(ready: &Ready, done: &Report) -> Option<Failure> {
    if done.is_complete() {
        return None;
    }
    let mut lines = Vec::new();
    let mut hint = None;
    for (stage, lane, step) in done.failures() {
        let engine::Outcome::Failed(failure) = &step.outcome else { continue };
        let line = ready.session.loaded.parsed.node_lines.get(lane.on.as_str());
        let place = line
            .map_or_else(String::new, |line| format!(" ({}:{line})", ready.session.loaded.path.display()));
        lines.push(format!("{}{place}: {}: {}: {}", lane.on, stage.name, step.title, failure.reason));
        let tail = failure.tail();
        if !tail.trim().is_empty() && tail.trim() != failure.reason.trim() {
            lines.extend(tail.lines().map(|line| format!("    {line}")));
        }
        hint = hint.or_else(|| step.hint.clone());
    }
    let failing: Vec<&HostId> = done.failures().map(|(_, lane, _)| &lane.on).collect();
    for (host, why) in
        done.unknown.iter().chain(done.dropped.iter().filter(|(host, _)| !failing.contains(host)))
    {
        lines.push(format!("{host}: {why}"));
    }
    if let Some(stopped) = &done.stopped {
        lines.push(stopped.to_string());
    }
    let unknown =
        !done.unknown.is_empty() || done.lanes().any(|(_, lane)| matches!(lane.end, LaneEnd::Unknown(_)));
    let exit = if unknown { Exit::Unknown } else { Exit::Partly };
    let hint = hint.unwrap_or_else(|| "run the same command again: what is done is left alone".into());
    Some(Failure::refused(lines.join("\n")).exit(exit).hint(hint))
}

/// What to do before relying on the cluster.
fn before_relying(ready: &Ready, sealed: &Sealed, recipients: &Recipients, report: &Reporter) {
    let settings = &ready.session.cluster().archive;
    let mut lines = Vec::new();
    if let Some(path) = &recipients.minted {
        lines.push(format!(
            "keep a copy of {} away from this machine: without it nobody opens the archive",
            path.display()
        ));
    }
    if settings.trust.is_none() {
        lines.push(format!("put into the inventory, under [archive]: trust = \"{}\"", sealed.root));
    }
    if settings.recipients.len() < 2 {
        let own = recipients.all.first().map(ToString::to_string).unwrap_or_default();
        lines.push(format!("name a second recipient that is kept offline, under [archive]: recipients = [\"{own}\", \"age1…\"]"));
    }
    if !sealed.failed.is_empty() {
        lines.extend(
            sealed
                .failed
                .iter()
                .map(|unread| format!("the archive did not reach {}: {}", unread.at, unread.why)),
        );
    }
    if ready.session.remembered.is_none() && !lines.is_empty() {
        let list: String = lines.iter().map(|line| format!("\n  - {line}")).collect();
        report.say(format!("\nbefore you rely on this:{list}"));
    }
}
