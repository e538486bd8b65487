//! `archive prune`: what goes and why, the question, and the removal.

use super::{age, signer};
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::ready;
use crate::report::{Reporter, duration};
use crate::vault::{Vault, generation_name};
use archive::{Generations, Keep, ManifestId, Pruned, Retention, retain};
use serde_json::{Value, json};
use std::fmt::Write as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Shows, asks, removes.
pub fn run(
    vault: &Vault,
    keep: inventory::Keep,
    yes: bool,
    environment: &Environment,
    report: &Reporter,
) -> Outcome {
    let generations = vault.generations()?;
    let now = OffsetDateTime::now_utc();
    let keep = Keep { last: keep.last, daily: keep.daily, monthly: keep.monthly };
    let retention = retain(&generations, keep, now);
    let listed = table(&generations, &retention, now);
    if let Some(veto) = &retention.veto {
        report.result(&listed, value(&generations, &retention, None));
        return Err(Failure::refused(format!("nothing is removed: {veto}")));
    }
    if retention.remove.is_empty() {
        report.result(&listed, value(&generations, &retention, None));
        return Ok(Exit::Done);
    }
    if !yes {
        ask(&listed, retention.remove.len(), report)?;
    }
    let created = now.format(&Rfc3339).unwrap_or_default();
    let pruned = vault.prune(&retention, &ready::stamp(&created, environment))?;
    let mut text = if yes { listed } else { String::new() };
    let _ = writeln!(text, "removed {} generations and {} objects", pruned.removed.len(), pruned.objects);
    if pruned.left > 0 {
        let _ = writeln!(text, "! {} more go with the next run", pruned.left);
    }
    for failed in &pruned.failed {
        let _ = writeln!(text, "! {}: not all is removed, the next run goes on: {}", failed.at, failed.why);
    }
    report.result(text.trim_end(), value(&generations, &retention, Some(&pruned)));
    Ok(if pruned.failed.is_empty() && pruned.left == 0 { Exit::Done } else { Exit::Due })
}

fn ask(listed: &str, count: usize, report: &Reporter) -> Result<(), Failure> {
    let hint = "--yes removes them without asking";
    let Some(answer) = report.ask(&format!("{listed}\nremove {count} generations for good? [y/N] ")) else {
        return Err(Failure::refused(format!("{listed}\n{count} generations would be removed")).hint(hint));
    };
    match answer.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::refused("nothing was removed").hint(hint)),
    }
}

/// Every generation with what becomes of it.
fn table(generations: &Generations, retention: &Retention, now: OffsetDateTime) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{:<28} {:<10} {:<12} {:<7} WHY", "GENERATION", "AGE", "SIGNED BY", "");
    for one in &generations.all {
        let Some((does, why)) = fate(retention, &one.id) else { continue };
        let age = age(one, now).map_or_else(|| "-".into(), duration);
        let _ = writeln!(text, "{:<28} {age:<10} {:<12} {does:<7} {why}", generation_name(one), signer(one));
    }
    let _ = write!(text, "{} stay, {} go", retention.keep.len(), retention.remove.len());
    text
}

fn fate<'a>(retention: &'a Retention, id: &ManifestId) -> Option<(&'static str, &'a str)> {
    let of = |list: &'a [(ManifestId, String)]| list.iter().find(|(one, _)| one == id).map(|(_, why)| &**why);
    of(&retention.remove).map(|why| ("removed", why)).or(of(&retention.keep).map(|why| ("kept", why)))
}

fn value(generations: &Generations, retention: &Retention, pruned: Option<&Pruned>) -> Value {
    let list = |list: &[(ManifestId, String)]| -> Vec<Value> {
        let named = |(id, why): &(ManifestId, String)| json!({"generation": generations.get(id).map(generation_name), "why": why});
        list.iter().map(named).collect()
    };
    let failed = |pruned: &Pruned| -> Vec<Value> {
        pruned.failed.iter().map(|one| json!({"at": one.at, "why": one.why})).collect()
    };
    json!({
        "keep": list(&retention.keep), "remove": list(&retention.remove), "veto": retention.veto,
        "removed": pruned.map(|pruned| pruned.removed.len()), "objects": pruned.map(|pruned| pruned.objects),
        "left": pruned.map(|pruned| pruned.left), "failed": pruned.map(failed),
    })
}
