//! `adopt --schedule`: the snapshots' timer on the control planes of a cluster that was adopted, and nothing else.

use crate::cli;
use crate::commands::up::{judge, sealed_words, timers};
use crate::destinations;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::ready::stamp;
use crate::report::{Reporter, duration};
use crate::session::Session;
use crate::vault::Contents;
use engine::{Blobs, Outcome as Ended, Settings};
use pki::{Bundle, SystemEntropy};
use plan::Growth;
use plan::kubeadm::Cgroups;
use serde_json::json;
use std::time::Instant;
use step::{HostId, Plan};
use time::format_description::well_known::Rfc3339;

/// Installs it, or brings it up to date.
pub async fn run(args: &cli::Adopt, environment: &Environment, report: &Reporter) -> Outcome {
    let started = Instant::now();
    let session = super::seal::open(args, &args.file.inventory, environment, report).await?;
    let remembered = session.remembered.as_ref().ok_or_else(|| {
        Failure::refused("there is no archive yet").hint("`rekindle adopt --ssh USER@HOST -o FILE` makes it")
    })?;
    stands(&session)?;
    let cluster = session.cluster();
    let bundle =
        Bundle::complete(remembered.bundle.entries(), cluster, None, session.now, &mut SystemEntropy)
            .map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?;
    let mut host_keys = session.host_keys().await;
    host_keys.extend(destinations::host_keys(&session.loaded, environment, report).await);
    let timers = timers::timers(&session, &bundle, &host_keys, environment, report).await?;
    let snapshots = timers.snapshots.as_ref().ok_or_else(|| {
        Failure::refused("no place of the archive can be written by the control planes, so there is nothing to schedule")
            .hint("add one under [archive]: to = [\"./archive\", { url = \"s3://…\", credentials = { file = \"…\" } }]")
    })?;
    if let Some(why) = &timers.missing {
        return Err(Failure::refused(why));
    }
    let cgroups = Cgroups::of(cluster, &session.answers);
    let there: Vec<_> = cluster
        .control_planes()
        .filter(|node| session.answers.contains_key(&HostId::new(&node.name)))
        .collect();
    let plan = plan::schedule(cluster, &bundle, snapshots, &there, cgroups)
        .map_err(|error| Failure::because(&error).exit(Exit::Bug))?;
    // A place that is new to the archive holds it before a node looks for it there.
    let local = session.loaded.local_files(environment)?;
    let created = session.now.format(&Rfc3339).unwrap_or_default();
    let recipients = session.vault.recipients(Some(remembered), environment, &created)?;
    let contents = Contents {
        bundle: &bundle,
        loaded: &session.loaded,
        local: &local,
        payload: remembered.payload.as_ref(),
        host_keys: &host_keys,
        cgroups,
        born: true,
        facts: remembered.facts(),
    };
    let sealed = session.vault.seal(
        &contents,
        &recipients.all,
        Some(remembered),
        stamp(&created, environment),
        environment,
    )?;
    if sealed.new {
        report.say(sealed_words(&sealed));
    }
    let missing = session.vault.sealed(&sealed).and(session.vault.bring(&bundle, environment, report)?);
    let preview = engine::preview(&session.hosts, &plan, false).await;
    let mut changed = 0;
    if !preview.nothing_to_do() {
        let blobs: Blobs =
            timers.program.iter().map(|program| (program.digest(), program.file.clone())).collect();
        let settings = Settings { preview: Some(&preview), blobs: &blobs, overwrite: false };
        let done = engine::apply(&session.hosts, &plan, &settings, &session.events).await;
        changed = done.changed();
        if let Some(failure) = failed(&done, &plan) {
            return Err(failure);
        }
    }
    let mut due: Vec<String> = missing.debts;
    due.extend(session.absent.iter().map(|(host, why)| format!("{host}: {why}")));
    let names: Vec<&str> = there.iter().map(|node| node.name.as_str()).collect();
    let what = if changed == 0 { "nothing to do: snapshots are taken" } else { "snapshots are taken now" };
    let every = duration(snapshots.every);
    let mut text =
        format!("{what} every {every} on {} ({})\n", names.join(", "), duration(started.elapsed()));
    due.iter().for_each(|line| text.push_str(&format!("! {line}\n")));
    report.result(text.trim_end(), json!({ "changed": changed, "nodes": names, "due": due }));
    Ok(if due.is_empty() { Exit::Done } else { Exit::Due })
}

/// The archive's cluster, with a quorum, and adopted: of one that `up` made, `up` lays the timer.
fn stands(session: &Session) -> Result<(), Failure> {
    let growth = judge::decide(session, &session.standing())?;
    judge::epoch(session)?;
    if growth == Growth::Laid {
        return Err(Failure::refused("no cluster stands there"));
    }
    if session.answers.values().any(|answer| answer.today.cluster.is_some()) {
        return Err(
            Failure::refused("this cluster is rekindle's own").hint("`rekindle up` installs its timer")
        );
    }
    Ok(())
}

fn failed(done: &engine::Report, plan: &Plan) -> Option<Failure> {
    if done.is_complete() {
        return None;
    }
    let mut lines = Vec::new();
    for (stage, lane, step) in done.failures() {
        if let Ended::Failed(failure) = &step.outcome {
            lines.push(format!("{}: {}: {}: {}", lane.on, stage.name, step.title, failure.reason));
        }
    }
    lines.extend(done.unknown.iter().chain(&done.dropped).map(|(host, why)| format!("{host}: {why}")));
    let exit = if done.unknown.is_empty() { Exit::Partly } else { Exit::Unknown };
    let stages = plan.stages.len();
    let text = if lines.is_empty() { format!("not all of {stages} stages ran") } else { lines.join("\n") };
    Some(Failure::refused(text).exit(exit).hint("run the same command again: what is done is left alone"))
}
