//! What runs on a control plane, by the units that `up` wrote: `look` asks the archive, `fence` stops the node where
//! the archive says so, `capture` takes a snapshot and encrypts it, `upload` publishes it. Each sees only what it needs; none has a key that opens anything.

mod certificates;
mod daily;
mod exposition;
mod fence;
mod laid;
mod member;
mod metrics;
mod settings;

pub use laid::{EVERY, for_nodes};

use settings::Settings;

use crate::cli::NodeCommand;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::receive::{self, Receiving};
use crate::report::{Reporter, bytes, duration};
use crate::vault::{self, failure};
use archive::{IdentityManifest, Level, Secret, SigningKey, Trust};
use engine::{Hosts, Options, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use step::{Ask, HostId, Output, Unreadable};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The newest identity set's manifest, from `look` to `capture`. It is signed, so it matters little who could write it.
const IDENTITY: &str = "/run/rekindle-archive/identity.json";

/// The claims of epochs, one a line, from `look` to `fence`. They are signed, too.
const CLAIMS: &str = "/run/rekindle-archive/epochs.jsonl";

/// From `capture` to `upload`: ciphertext, and what is public of it.
const SPOOL: &str = "/var/lib/rekindle-spool/snapshot";
const CAPTURED: &str = "/var/lib/rekindle-spool/captured.json";

/// For the node exporter's textfile collector.
const METRICS: &str = "/run/rekindle-archive/rekindle.prom";

/// A question to etcd on this machine.
const WITHIN: Duration = Duration::from_secs(10);

/// What a proof will say, when the snapshot is published.
#[derive(Debug, Deserialize, Serialize)]
struct Tried {
    when: String,
    seconds: u64,
    figures: BTreeMap<String, String>,
    doubts: Vec<String>,
    /// Where it was booted by its own Kubernetes.
    booted: Option<daily::Tried>,
}

/// Runs one of the units' commands.
pub async fn run(command: &NodeCommand, report: &Reporter) -> Outcome {
    match command {
        NodeCommand::Certificates => certificates::write().map(|()| Exit::Done),
        NodeCommand::Look => look(),
        NodeCommand::Fence => fence::run(report).await,
        NodeCommand::Capture => capture(report).await,
        NodeCommand::Upload => upload(report),
    }
}

fn look() -> Outcome {
    let folder = credentials()?;
    let settings = Settings::read(&folder)?;
    let seen = settings.archive(&folder)?.look(&settings.trust()?).map_err(|error| failure(&error))?;
    write(Path::new(CLAIMS), &seen.claims.join(&b'\n'))?;
    write(Path::new(IDENTITY), &seen.identity)?;
    Ok(Exit::Done)
}

async fn capture(report: &Reporter) -> Outcome {
    let settings = Settings::read(Path::new(settings::FOLDER))?;
    let (hosts, here) = this_node(&settings).await;
    remove(Path::new(CAPTURED))?;
    remove(Path::new(SPOOL))?;
    let now = OffsetDateTime::now_utc();
    let last = ask(&hosts, &here, &plan::capture::last()).await?;
    // Whoever waited for the lock finds that another has just done it.
    let age = now.unix_timestamp() - last;
    if (0..settings.every * 4 / 5).contains(&age) {
        report.say(format!("another control plane took a snapshot {age} s ago"));
        return Ok(Exit::Done);
    }
    let started = Instant::now();
    let path = Path::new(IDENTITY);
    let manifest = std::fs::read(path).map_err(|error| file_error("cannot be read", path, &error))?;
    let identity = IdentityManifest::read(&manifest, &settings.root()?).map_err(|error| failure(&error))?;
    let created = now.format(&Rfc3339).unwrap_or_default();
    let booted = ask(&hosts, &here, &plan::capture::booted()).await?;
    let due = daily::Times::read(booted).is_due(now.unix_timestamp());
    daily::prepare()?;
    let receiving = Receiving {
        address: settings.address,
        identity: &identity,
        spool: Path::new(SPOOL),
        created: &created,
        keep: due.then_some(daily::SNAPSHOT),
        origin: plan::capture::Origin::Member,
    };
    let mut received = receive::snapshot(&hosts, &here, &receiving).await?;
    let seconds = started.elapsed().as_secs();
    let doubts = received.doubts.clone();
    let mut booted = None;
    // What is not proven without is not proven with it.
    if due && doubts.is_empty() {
        let (back, tried) = daily::run(&hosts, &here, received, now.unix_timestamp()).await?;
        received = back;
        match tried {
            Ok((tried, words)) => {
                report.say(words);
                booted = Some(tried);
                let said = plan::capture::has_booted(now.unix_timestamp());
                ask(&hosts, &here, &Ask { script: said, parse: well }).await?;
            }
            Err(why) => report.say(format!("not booted by its own Kubernetes: {why}")),
        }
    }
    daily::clear()?;
    let (captured, spooled) = received.finish()?;
    let figures = receive::figures(&captured);
    let tried = Tried { when: created, seconds, figures, doubts, booted };
    open_to_all(Path::new(SPOOL))?;
    write(Path::new(CAPTURED), &serde_json::to_vec(&tried).unwrap_or_default())?;
    let said = plan::capture::taken(now.unix_timestamp());
    ask(&hosts, &here, &Ask { script: said, parse: well }).await?;
    report.say(format!(
        "revision {}, {} ({} encrypted), {}",
        captured.revision,
        bytes(spooled.size),
        bytes(spooled.ciphertext),
        duration(started.elapsed())
    ));
    for warning in captured.warnings() {
        report.say(format!("warning: {warning}"));
    }
    for doubt in &tried.doubts {
        report.say(format!("not proven: {doubt}"));
    }
    Ok(Exit::Done)
}

/// This machine as a host that takes scripts.
async fn this_node(settings: &Settings) -> (Hosts, HostId) {
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    let here = HostId::new(&settings.node);
    let (hosts, _) = Hosts::connect(vec![Target::local(here.clone())], Options::default(), &events).await;
    (hosts, here)
}

fn well(output: &Output) -> Result<(), Unreadable> {
    if output.status == 0 { Ok(()) } else { Err(Unreadable(output.stderr.trim().to_owned())) }
}

async fn ask<T>(hosts: &Hosts, here: &HostId, question: &Ask<T>) -> Result<T, Failure> {
    let answer = engine::ask(hosts, here, question, WITHIN).await;
    answer.map_err(|error| Failure::because(&error).exit(Exit::Unknown))
}

fn upload(report: &Reporter) -> Outcome {
    let folder = credentials()?;
    let settings = Settings::read(&folder)?;
    let (archive, trust) = (settings.archive(&folder)?, settings.trust()?);
    let scratch = tempfile::TempDir::new_in(state())
        .map_err(|error| file_error("cannot be written", &state(), &error))?;
    let captured = Path::new(CAPTURED);
    let mut debts = Vec::new();
    if captured.exists() {
        let text = std::fs::read(captured).map_err(|error| file_error("cannot be read", captured, &error))?;
        let tried: Tried = serde_json::from_slice(&text)
            .map_err(|error| Failure::refused(format!("{CAPTURED}: {error}")).exit(Exit::Bug))?;
        debts.extend(publish(&archive, &trust, &settings, tried, &folder, report)?);
    }
    // What a destination missed while it was away is brought to it now.
    let (generations, missing) = vault::bring(&archive, &trust, scratch.path(), report)?;
    debts.extend(missing.debts.iter().cloned());
    missing.tell(report);
    let metrics = metrics::text(&generations, debts.len(), missing.notes.len(), OffsetDateTime::now_utc());
    write(Path::new(METRICS), metrics.as_bytes())?;
    daily::note(&generations)?;
    Ok(if debts.is_empty() { Exit::Done } else { Exit::Due })
}

/// Publishes what was captured, and what was proven of it. Returns why it is not proven; what places lack is asked
/// when all was tried.
fn publish(
    archive: &archive::Archive,
    trust: &Trust,
    settings: &Settings,
    tried: Tried,
    folder: &Path,
    report: &Reporter,
) -> Result<Vec<String>, Failure> {
    let path = folder.join("signing.key");
    let key = std::fs::read(&path).map_err(|error| file_error("cannot be read", &path, &error))?;
    let key = SigningKey::parse(&Secret::new(key)).map_err(|error| failure(&error))?;
    let published =
        archive.publish_snapshot(Path::new(SPOOL), &key, trust).map_err(|error| failure(&error))?;
    let name = vault::published_name(&published);
    let said = |debt: &String| report.say(format!("debt: {debt}"));
    if !tried.doubts.is_empty() {
        let doubts = tried.doubts.into_iter().map(|doubt| format!("{name}: not proven: {doubt}"));
        return Ok(doubts.inspect(said).collect());
    }
    let prove = |level, seconds, what| {
        let tried =
            vault::Tried { level, by: settings.node.clone(), when: tried.when.clone(), seconds, what };
        archive.prove(&tried.proof(&published.id), &key, trust).map_err(|error| failure(&error))
    };
    prove(Level::L3, tried.seconds, tried.figures)?;
    let (mut level, mut missing) = (Level::L3, Vec::new());
    if let Some(booted) = tried.booted {
        if booted.unproven.is_empty() {
            level = Level::L4;
            prove(level, booted.seconds, booted.figures)?;
        }
        let unproven = booted.unproven.into_iter();
        missing.extend(
            unproven.map(|what| format!("{name}: not proven by its own Kubernetes: {what}")).inspect(said),
        );
    }
    report.say(format!("generation {name}: proven ({level}), at {}", published.proven.join(", ")));
    Ok(missing)
}

/// What systemd hands to a unit of its own user.
fn credentials() -> Result<PathBuf, Failure> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    folder.ok_or_else(|| {
        Failure::refused("this command is for the unit that `up` wrote: there are no credentials")
    })
}

fn state() -> PathBuf {
    std::env::var_os("STATE_DIRECTORY").map_or_else(|| "/var/lib/rekindle-upload".into(), PathBuf::from)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let staged = path.with_extension("new");
    let written = std::fs::write(&staged, bytes).and_then(|()| std::fs::rename(&staged, path));
    written.map_err(|error| file_error("cannot be written", path, &error))
}

fn remove(path: &Path) -> Result<(), Failure> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file_error("cannot be removed", path, &error))
        }
        _ => Ok(()),
    }
}

/// Ciphertext is nobody's secret, and `upload` has a user of its own.
fn open_to_all(folder: &Path) -> Result<(), Failure> {
    let failed = |error| file_error("its mode can't be set", folder, &error);
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    set(folder, 0o755).map_err(failed)?;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        set(&entry.map_err(failed)?.path(), 0o644).map_err(failed)?;
    }
    Ok(())
}
