//! `plan`: what `up` would change: each open step in its order, and the diff of each file. Changes nothing.

use super::up;
use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::ready::Ready;
use crate::report::Reporter;
use crate::session::Session;
use engine::{Found, Preview};
use plan::Growth;
use serde_json::{Value, json};
use similar::TextDiff;
use std::fmt::Write;
use step::{Body, Change, Order, Same, Step};

/// Previews every step of every lane.
pub async fn run(args: &cli::Plan, environment: &Environment, report: &Reporter) -> Outcome {
    let session = Session::open(&args.up.cluster, environment, report).await?;
    let ready = up::prepare(session, environment, report).await?;
    let preview = engine::preview(&ready.session.hosts, &ready.plan, args.up.overwrite).await;
    if let Some((host, why)) = preview.failed().iter().next() {
        return Err(Failure::refused(format!("{host}: {why}")).exit(Exit::Unknown));
    }
    up::tell_kept(&ready.plan, &preview, report);
    if ready.growth == Growth::Added && preview.nothing_to_do() {
        report.result("no changes", json!({ "changes": [] }));
        return Ok(Exit::Done);
    }
    let (text, changes) = changes(&ready, &preview);
    report.result(&text, json!({ "changes": changes }));
    Ok(if args.exit_code { Exit::Changes } else { Exit::Done })
}

fn changes(ready: &Ready, preview: &Preview) -> (String, Vec<Value>) {
    let (mut text, mut changes) = (String::new(), Vec::new());
    if ready.growth == Growth::Laid {
        text.push_str("a new cluster: certificates and keys are minted, etcd is laid\n");
    }
    for (index, stage) in ready.plan.stages.iter().enumerate() {
        let way = if stage.order == Order::OneByOne { ", one node after the other" } else { "" };
        let mut stage_text = String::new();
        for lane in &stage.lanes {
            for (at, step) in lane.steps.iter().enumerate() {
                let Some(previewed) = preview.get(index, &lane.on, at) else { continue };
                let (Found::Open(why) | Found::Unknown(why)) = &previewed.found else { continue };
                let diff = diff(step, previewed.current.as_deref());
                let _ = writeln!(stage_text, "  {}: {} ({why})", lane.on, step.title);
                for line in diff.lines() {
                    let _ = writeln!(stage_text, "      {line}");
                }
                changes.push(json!({"stage": stage.name, "host": lane.on, "step": step.title, "why": why, "diff": diff}));
            }
        }
        if !stage_text.is_empty() {
            let _ = write!(text, "{}{way}\n{stage_text}", stage.name);
        }
    }
    (text, changes)
}

/// The change of a public file, line by line; of any other, nothing.
fn diff(step: &Step, current: Option<&[u8]>) -> String {
    let Change::File(file) = &step.change else { return String::new() };
    let (Body::Text(wanted), Same::Bytes | Same::UnlessChanged) = (&file.body, &file.same) else {
        return String::new();
    };
    let Some(current) = current else { return String::new() };
    let current = String::from_utf8_lossy(current);
    TextDiff::from_lines(current.as_ref(), wanted).unified_diff().context_radius(2).to_string()
}
