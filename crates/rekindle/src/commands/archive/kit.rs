//! `archive kit`: the page, and the four words of it typed again.

use crate::cli::KitArgs;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::kit::{self, Notes};
use crate::loaded::Loaded;
use crate::ready;
use crate::report::Reporter;
use crate::vault::Vault;
use archive::Holding;
use serde_json::json;
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Prints it, writes it, or confirms it.
pub fn run(args: &KitArgs, environment: &Environment, report: &Reporter) -> Outcome {
    let (loaded, vault) = Vault::of(&args.opening, environment, report)?;
    let holding = vault.holding()?;
    if args.confirm {
        return confirm(args, &vault, &holding, environment, report);
    }
    print(args.to.as_deref(), &loaded, &holding, environment, report)
}

fn print(
    to: Option<&Path>,
    loaded: &Loaded,
    holding: &Holding,
    environment: &Environment,
    report: &Reporter,
) -> Outcome {
    let program = environment
        .program
        .as_ref()
        .ok_or_else(|| Failure::refused("this program does not find its own file"))?;
    let bytes = std::fs::read(program).map_err(|error| file_error("cannot be read", program, &error))?;
    let sha256 = step::Digest::of(&bytes).hex();
    let now = now();
    let made = format!("written {now} by {} at {}", environment.user, environment.host);
    let kit = kit::of(holding, loaded, environment);
    let platform = format!("{} {}", std::env::consts::ARCH, std::env::consts::OS);
    let notes = Notes {
        recipients: &holding.newest.public.recipients,
        to: &loaded.cluster().archive.to,
        host: &environment.host,
        made: &made,
        program: (env!("CARGO_PKG_VERSION"), &platform, &sha256),
    };
    let page = kit::page(&kit, &notes);
    let value = json!({
        "cluster": holding.cluster, "root": kit.root, "words": kit.words, "repo": kit.repo, "epoch": kit.epoch,
        "to": kit.to, "recipients": notes.recipients, "program": sha256, "page": page, "file": to,
        "confirmed": holding.newest.public.kit_confirmed,
    });
    let Some(path) = to else {
        report.result(&page, value);
        return Ok(Exit::Done);
    };
    let written = environment.write_new(path, page.as_bytes(), 0o644);
    if !written.map_err(|error| file_error("cannot be written", path, &error))? {
        return Err(Failure::refused(format!("{}: it is there already", path.display()))
            .hint("name a new file: nothing is ever overwritten"));
    }
    let next = "print it, keep it where the cluster is not, and type its words into `rekindle archive kit --confirm`";
    report.result(&format!("{}: {next}", path.display()), value);
    Ok(Exit::Done)
}

fn confirm(
    args: &KitArgs,
    vault: &Vault,
    holding: &Holding,
    environment: &Environment,
    report: &Reporter,
) -> Outcome {
    let typed = match &args.words {
        Some(words) => words.clone(),
        None => ask(&holding.cluster.name, report)?,
    };
    if kit::words(&typed) != holding.root.words() {
        return Err(Failure::refused("these are not the four words of this archive's root key")
            .hint("they stand at the top of the page; `rekindle archive kit` prints a new one"));
    }
    let created = now();
    let sealed = vault.seal_kit_confirmed(&ready::stamp(&created, environment))?;
    let mut text = format!("the kit is confirmed: sealed identity set {}", sealed.number);
    for failed in &sealed.failed {
        text += &format!("\n! {failed}");
    }
    report.result(&text, json!({"confirmed": created, "number": sealed.number, "at": sealed.proven}));
    Ok(if sealed.failed.is_empty() { Exit::Done } else { Exit::Due })
}

fn ask(cluster: &str, report: &Reporter) -> Result<String, Failure> {
    let typed = report.ask(&format!("the four words on the recovery kit of {cluster}, from paper: "));
    typed.ok_or_else(|| {
        Failure::refused("the four words of the kit are asked for at a terminal")
            .hint("--words \"a b c d\" gives them without one")
    })
}

fn now() -> String {
    OffsetDateTime::now_utc()
        .replace_nanosecond(0)
        .unwrap_or_else(|_| OffsetDateTime::now_utc())
        .format(&Rfc3339)
        .unwrap_or_default()
}
