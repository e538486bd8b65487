//! How a run ended, in words: what was kept, what failed, the health of the real thing, where the time went, and
//! what to do before relying on it.

use super::Ready;
use crate::commands::snapshot::{self, Made};
use crate::commands::{kubeconfig, status};
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::report::{Reporter, duration};
use crate::vault::Recipients;
use archive::Sealed;
use engine::{Found, LaneEnd, Preview, Report};
use pki::ExposeSecret;
use serde_json::json;
use std::time::Instant;
use step::{HostId, Plan, Step};

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
    sealed: &Sealed,
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
    let generation = first_generation(ready, &on, environment, report).await;
    match &generation {
        Ok(made) => complaints.extend(made.iter().flat_map(Made::complaints)),
        Err(failure) => complaints.push(format!("no generation counts yet: {}", failure.message)),
    }
    let missing = ready.missing(sealed, environment, report);
    match missing {
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
            "generation": made.map(snapshot::Made::value),
            "traffic": ready.session.hosts.traffic(), "seconds": started.elapsed().as_secs_f64(),
        }),
    );
    Ok(match (absent.is_empty(), complaints.is_empty()) {
        (false, _) => Exit::Partly,
        (true, false) => Exit::Due,
        (true, true) => Exit::Done,
    })
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
    let signing = session.vault.signing(&ready.bundle)?;
    if session.vault.has_counting(&signing)? {
        return Ok(None);
    }
    snapshot::take(session, &signing, node, environment, report).await.map(Some)
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
pub fn before_relying(ready: &Ready, sealed: &Sealed, recipients: &Recipients, report: &Reporter) {
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
