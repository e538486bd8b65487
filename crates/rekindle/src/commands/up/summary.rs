//! How a run ended, in words: what was kept, what failed, the health of the real thing, where the time went, and
//! what to do before relying on it.

use super::payload;
use crate::commands::snapshot::{self, Made};
use crate::commands::{kubeconfig, status};
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::ready::Ready;
use crate::relying::{self, Reliance};
use crate::report::{Reporter, duration};
use crate::vault::{Recipients, Signing};
use archive::Sealed;
use engine::{Found, LaneEnd, Preview, Report};
use pki::ExposeSecret;
use plan::ask::health::Health;
use serde_json::json;
use std::time::{Duration, Instant};
use step::{HostId, Plan, Step};

/// The longest that a change may leave complaints behind it that go by themselves.
const SETTLES: Duration = Duration::from_secs(30);

/// What was sealed, in one line.
pub fn sealed_words(sealed: &Sealed) -> String {
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
pub async fn conclude(
    ready: &Ready,
    done: &Report,
    (sealed, recipients): (&Sealed, &Recipients),
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
    let health = settled(ready, &on).await?;
    let mut complaints = health.complaints(cluster);
    complaints.extend(absent.iter().map(|(host, why)| format!("{host}: {why}")));
    let generation = first_generation(ready, &on, environment, report).await;
    match &generation {
        Ok(made) => complaints.extend(made.iter().flat_map(Made::complaints)),
        Err(failure) => complaints.push(format!("no generation counts yet: {}", failure.message)),
    }
    let counts = generation.as_ref().is_ok_and(|made| Made::counts(made.as_ref()));
    let advice = before_relying(ready, sealed, recipients, counts);
    let payload = payload::seal(ready, recipients, environment, report).await;
    complaints.extend(payload::complaints(&payload));
    complaints.extend(ready.timers.missing.clone());
    match ready.missing(sealed, environment, report) {
        Ok(missing) => {
            complaints.extend(missing.debts.into_iter().map(|debt| format!("archive: {debt}")));
            missing.notes.iter().for_each(|note| report.say(format!("archive: {note}")));
        }
        Err(failure) => complaints.push(format!("archive: {}", failure.message)),
    }
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
    let made = generation.as_ref().ok().and_then(Option::as_ref);
    if let Some(made) = made {
        text.push_str(&format!("{}\n", made.headline()));
    }
    if let Some(headline) = payload::headline(&payload) {
        text.push_str(&format!("{headline}\n"));
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
            "generation": made.map(snapshot::Made::value), "payload": payload::value(&payload), "before_relying": advice,
            "traffic": ready.session.hosts.traffic(), "seconds": started.elapsed().as_secs_f64(),
        }),
    );
    tell_before_relying(ready, &advice, environment, report);
    Ok(match (absent.is_empty(), complaints.is_empty()) {
        (false, _) => Exit::Partly,
        (true, false) => Exit::Due,
        (true, true) => Exit::Done,
    })
}

/// The health of the cluster, once what was changed has settled: a pod of a node that came back may be an endpoint of
/// the cluster's DNS before it answers.
async fn settled(ready: &Ready, on: &HostId) -> Result<Health, Failure> {
    let deadline = Instant::now() + SETTLES;
    loop {
        let health = status::ask(&ready.session, on).await?;
        // What is said of a node that is away stays.
        let stays = !ready.session.absent.is_empty() || Instant::now() >= deadline;
        // What was set aside waits for others.
        let waits = health.complaints(ready.session.cluster()).len() > health.aside.len();
        if stays || !waits {
            return Ok(health);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// A cluster that no generation counts of yet is sealed as it is now.
pub async fn first_generation(
    ready: &Ready,
    on: &HostId,
    environment: &Environment,
    report: &Reporter,
) -> Result<Option<Made>, Failure> {
    let session = &ready.session;
    let Some(node) = session.cluster().node(on.as_str()) else { return Ok(None) };
    let signing = Signing::with(&ready.bundle)?;
    let generations = session.vault.generations_of(&signing)?;
    if generations.newest_counting().is_some_and(|newest| !newest.fenced) {
        session.vault.open_in_passing(&generations, &ready.bundle, environment, report);
        return Ok(None);
    }
    snapshot::take(session, &signing, (node, plan::capture::Origin::Member), environment, report)
        .await
        .map(Some)
}

/// What did not come to its end, as the failure that it is.
pub fn failed(ready: &Ready, done: &Report) -> Option<Failure> {
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

/// An identity that was made just now is the only key there is.
pub fn tell_minted(recipients: &Recipients, report: &Reporter) {
    if let Some(path) = &recipients.minted {
        report.say(format!(
            "keep a copy of {} away from this machine: without it nobody opens the archive",
            path.display()
        ));
    }
}

/// What is missing before one relies on the cluster.
pub fn before_relying(ready: &Ready, sealed: &Sealed, recipients: &Recipients, counts: bool) -> Vec<String> {
    let remembered = ready.session.remembered.as_ref();
    let recipients: Vec<String> = recipients.all.iter().map(ToString::to_string).collect();
    let reliance = Reliance {
        settings: &ready.session.cluster().archive,
        root: sealed.root.to_string(),
        recipients: &recipients,
        kit_confirmed: remembered.is_some_and(|remembered| remembered.public().kit_confirmed.is_some()),
        counts,
    };
    reliance.missing()
}

/// Says it, but for a lab.
pub fn tell_before_relying(ready: &Ready, missing: &[String], environment: &Environment, report: &Reporter) {
    if !missing.is_empty() && !relying::is_a_labs(&ready.session.loaded.folder, &environment.labs) {
        report.say(format!("\n{}", relying::in_words(missing)));
    }
}
