//! `archive`: what lies at the destinations, how it comes out, and what goes. No node is asked.

pub mod booted;
mod fence;
mod kit;
mod payload;
pub mod policy;
mod prune;
mod recipients;

use super::export;
use crate::cli::{ArchiveCommand, PolicyCommand, Reading};
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::report::{Reporter, bytes, duration};
use crate::vault::{Missing, OpenedGeneration, Vault, generation_name};
use archive::{EXPORT_ENTRY, Generation, Generations, SNAPSHOT_ENTRY, Signer};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use time::OffsetDateTime;

/// Runs one of its verbs.
pub async fn run(command: &ArchiveCommand, environment: &Environment, report: &Reporter) -> Outcome {
    match command {
        ArchiveCommand::List { reading, distrust } => {
            let vault = vault(reading, environment, report)?;
            list(&vault.generations_not_from(&distrust.not_from)?, report)
        }
        ArchiveCommand::Show { reading, distrust, generation } => {
            let vault = vault(reading, environment, report)?;
            show(&vault, generation.as_deref(), &distrust.not_from, environment, report)
        }
        ArchiveCommand::Kit(args) => kit::run(args, environment, report),
        ArchiveCommand::Fence(args) => fence::run(args, environment, report),
        ArchiveCommand::Policy(PolicyCommand::S3 { file, wanted, principal }) => {
            policy::run(file, *wanted, principal.as_deref(), report)
        }
        ArchiveCommand::Recipients(command) => recipients::run(command, environment, report),
        ArchiveCommand::Prune { opening, yes } => {
            let (loaded, vault) = Vault::of(opening, environment, report)?;
            prune::run(&vault, loaded.cluster().archive.keep, *yes, environment, report)
        }
        ArchiveCommand::Extract { reading, distrust, generation, name, all, payload, to } => {
            let vault = vault(reading, environment, report)?;
            if *payload {
                return payload::extract(&vault, generation.as_deref(), to, environment, report);
            }
            let wanted = if *all { None } else { Some(&name[..]) };
            let chosen = (generation.as_deref(), &distrust.not_from[..]);
            extract(&vault, chosen, wanted, to, environment, report)
        }
        ArchiveCommand::Export { generation, to } => export::run(generation, to, environment, report).await,
    }
}

fn vault(reading: &Reading, environment: &Environment, report: &Reporter) -> Result<Vault, Failure> {
    Vault::read(reading, environment, report).map(|(_, vault)| vault)
}

fn list(generations: &Generations, report: &Reporter) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let mut text = String::new();
    let row = |text: &mut String, cells: [&str; 6]| {
        let [name, age, size, proven, by, at] = cells;
        let _ = writeln!(text, "{name:<28} {age:<10} {size:<10} {proven:<10} {by:<12} {at}");
    };
    row(&mut text, ["GENERATION", "AGE", "SIZE", "PROVEN", "SIGNED BY", "AT"]);
    for one in &generations.all {
        let size: u64 = one.public.objects.iter().map(|object| object.size).sum();
        let cells = [
            generation_name(one),
            age(one, now).map_or_else(|| "-".into(), duration),
            bytes(size),
            one.level().map_or_else(|| "no".into(), |level| level.to_string()),
            signer(one),
            one.held_by.join(", "),
        ];
        row(&mut text, cells.each_ref().map(String::as_str));
        if let Some(words) = booted::in_words(one, now) {
            let _ = writeln!(text, "  {words}");
        }
        for note in notes(one) {
            let _ = writeln!(text, "  ! {note}");
        }
    }
    let complaints = complaints(generations);
    if generations.heads.len() > 1 {
        // Legal and harmless: two wrote at once, or at places that the other does not see.
        let _ = writeln!(
            text,
            "{} heads: no writer saw all others; the next operator's snapshot joins them",
            generations.heads.len()
        );
    }
    for complaint in &complaints {
        let _ = writeln!(text, "! {complaint}");
    }
    let notes = Missing::of_newest(generations, &[]).notes;
    for note in &notes {
        let _ = writeln!(text, "{note}");
    }
    let values: Vec<Value> = generations.all.iter().map(|one| value(one, now)).collect();
    report.result(text.trim_end(), json!({"generations": values, "complaints": complaints, "notes": notes}));
    Ok(if complaints.is_empty() { Exit::Done } else { Exit::Due })
}

/// One generation, for a person: name, age, what was proven by whom.
pub fn in_words(one: &Generation, now: OffsetDateTime) -> String {
    let age = age(one, now).map_or_else(|| "of unknown age".into(), |age| format!("{} ago", duration(age)));
    let proof = one.proofs.first().map_or_else(
        || "not proven".into(),
        |proven| format!("{} by {} in {} s", proven.proof.level, proven.proof.by, proven.proof.seconds),
    );
    format!("{} ({age}, {proof})", generation_name(one))
}

/// What is overdue where the nodes take snapshots by the clock: nothing new for twice as long as wanted.
pub fn overdue(
    generations: &Generations,
    archive: &inventory::Archive,
    now: OffsetDateTime,
) -> Option<String> {
    archive.written_by_nodes().next()?;
    let every = archive.every.unwrap_or(crate::node::EVERY);
    let age = age(generations.newest_counting()?, now)?;
    (age > every * 2).then(|| {
        format!(
            "no generation that counts for {}, and one is wanted every {}",
            duration(age),
            duration(every)
        )
    })
}

/// By the writer's clock, so it may be missing; nothing is decided by it.
pub fn age(one: &Generation, now: OffsetDateTime) -> Option<Duration> {
    (now - one.created()?).try_into().ok()
}

fn signer(one: &Generation) -> String {
    match &one.signed_by {
        Signer::Root => "an operator".into(),
        Signer::Node(node) => node.clone(),
    }
}

fn notes(one: &Generation) -> Vec<String> {
    let fenced = one.fenced.then(|| "from a fenced cluster: never the newest".to_owned());
    let revoked = one.revoked.then(|| "the key that signed it is no longer delegated".to_owned());
    one.suspect.iter().map(|why| format!("suspect, never used: {why}")).chain(fenced).chain(revoked).collect()
}

/// What is missing or odd, in words.
pub fn complaints(generations: &Generations) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    found.extend(
        generations.rejected.iter().map(|one| format!("{}: {}: left out: {}", one.at, one.name, one.why)),
    );
    found.extend(Missing::of_newest(generations, &[]).debts);
    match (generations.newest(), generations.newest_counting()) {
        (_, None) => found.push("no generation counts yet: none was restored and compared".into()),
        (Some(newest), Some(counting)) if newest.id != counting.id => {
            found.push(format!("the newest generation, {}, is not proven", generation_name(newest)));
        }
        _ => {}
    }
    found
}

/// One generation, for a program.
pub fn value(one: &Generation, now: OffsetDateTime) -> Value {
    let proofs: Vec<Value> = one
        .proofs
        .iter()
        .map(|proven| {
            let proof = &proven.proof;
            json!({"level": proof.level, "by": proof.by, "when": proof.when, "seconds": proof.seconds, "what": proof.what})
        })
        .collect();
    json!({
        "generation": generation_name(one), "epoch": one.public.epoch, "revision": one.public.revision,
        "created": one.public.created, "age_seconds": age(one, now).map(|age| age.as_secs()), "node": one.public.node,
        "signed_by": signer(one), "counts": one.counts(), "proofs": proofs, "at": one.held_by,
        "suspect": one.suspect, "fenced": one.fenced, "revoked": one.revoked,
    })
}

/// The chosen generation, or the newest that is not of some nodes; its snapshot written to `to`.
fn open(
    vault: &Vault,
    (wanted, not_from): (Option<&str>, &[String]),
    to: &mut dyn Write,
    export: &mut dyn Write,
    environment: &Environment,
    report: &Reporter,
) -> Result<(String, OpenedGeneration), Failure> {
    let generations = vault.generations_not_from(not_from)?;
    let chosen = vault.choose(&generations, wanted)?;
    let scratch = environment.scratch("open")?;
    let opened = vault.open_generation(&chosen.id, scratch.path(), to, export)?;
    vault.note_opened(chosen, &opened.identity.bundle, environment, report);
    Ok((generation_name(chosen), opened))
}

fn show(
    vault: &Vault,
    wanted: Option<&str>,
    not_from: &[String],
    environment: &Environment,
    report: &Reporter,
) -> Outcome {
    let (mut nowhere, mut neither) = (std::io::sink(), std::io::sink());
    let (name, opened) = open(vault, (wanted, not_from), &mut nowhere, &mut neither, environment, report)?;
    let mut entries: Vec<(&str, u64, &str)> = vec![(SNAPSHOT_ENTRY, opened.snapshot.size, "snapshot")];
    entries.extend(opened.snapshot.export.map(|size| (EXPORT_ENTRY, size, "snapshot")));
    for (set, from) in [("snapshot", &opened.snapshot.entries), ("identity", opened.identity.entries())] {
        entries.extend(from.iter().map(|(name, entry)| (name.as_str(), entry.expose().len() as u64, set)));
    }
    let payload = opened.identity.own_payload().map(|set| &set.public);
    let files = payload.into_iter().flat_map(|public| &public.entries);
    entries.extend(files.map(|entry| (entry.name.as_str(), entry.size, "payload")));
    let identity = opened.identity.public();
    let mut text = format!(
        "generation {name}: cluster {} (Kubernetes {}), epoch {}, revision {}, taken on {} at {}\nidentity set of {}, for {} recipients\n\n",
        identity.cluster.name,
        identity.kubernetes,
        opened.snapshot.public.epoch,
        opened.snapshot.public.revision,
        opened.snapshot.public.node,
        opened.snapshot.public.created,
        identity.created,
        identity.recipients.len()
    );
    for (name, size, set) in &entries {
        let _ = writeln!(text, "{name:<48} {:>10}  {set}", bytes(*size));
    }
    match payload {
        None => text.push_str("payload: not sealed\n"),
        Some(public) => {
            let size: u64 = public.entries.iter().map(|entry| entry.size).sum();
            let encrypted = public.objects.iter().map(|object| object.size).sum();
            let _ = writeln!(text, "payload: {} ({} encrypted)", bytes(size), bytes(encrypted));
        }
    }
    for (name, fact) in &opened.snapshot.facts {
        let _ = writeln!(text, "{name}: {fact}");
    }
    let listed: Vec<Value> =
        entries.iter().map(|(name, size, set)| json!({"name": name, "size": size, "set": set})).collect();
    let value = json!({"generation": name, "entries": listed, "facts": opened.snapshot.facts});
    report.result(text.trim_end(), value);
    Ok(Exit::Done)
}

fn extract(
    vault: &Vault,
    generation: (Option<&str>, &[String]),
    wanted: Option<&[String]>,
    to: &Path,
    environment: &Environment,
    report: &Reporter,
) -> Outcome {
    let wants = |name: &str| wanted.is_none_or(|wanted| wanted.iter().any(|one| one == name));
    make_empty(to)?;
    let mut large = [SNAPSHOT_ENTRY, EXPORT_ENTRY].map(|entry| Large::new(entry, to, wants(entry)));
    let [snapshot, export] = &mut large;
    let opened = open(vault, generation, snapshot, export, environment, report);
    // What was written counts only if all of it was right.
    let (name, opened) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            let _ = large.iter().try_for_each(|large| std::fs::remove_file(&large.path));
            return Err(failure);
        }
    };
    let mut files: Vec<PathBuf> =
        large.into_iter().filter(|large| large.file.is_some()).map(|large| large.path).collect();
    let entries = opened.snapshot.entries.iter().chain(opened.identity.entries());
    for (entry, content) in entries.filter(|(entry, _)| wants(entry)) {
        // The archive takes no name that could leave the folder.
        let path = to.join(entry);
        let write = create(&path)?.write_all(content.expose());
        write.map_err(|error| file_error("cannot be written", &path, &error))?;
        files.push(path);
    }
    let known = |name: &&String| {
        **name != SNAPSHOT_ENTRY
            && (**name != EXPORT_ENTRY || opened.snapshot.export.is_none())
            && !opened.snapshot.entries.contains_key(*name)
            && !opened.identity.entries().contains_key(*name)
    };
    if let Some(missing) = wanted.into_iter().flatten().find(known) {
        return Err(Failure::refused(format!("{missing}: generation {name} has no entry of this name"))
            .hint("`rekindle archive show` lists them"));
    }
    let text = format!("generation {name}: {} files in {}", files.len(), to.display());
    report.result(&text, json!({"generation": name, "files": files}));
    Ok(Exit::Done)
}

/// An entry that is written as it comes, into a file that is made with its first byte.
struct Large {
    path: PathBuf,
    wanted: bool,
    file: Option<std::fs::File>,
}

impl Large {
    fn new(entry: &str, to: &Path, wanted: bool) -> Self {
        Self { path: to.join(entry), wanted, file: None }
    }
}

impl Write for Large {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !self.wanted {
            return Ok(bytes.len());
        }
        if self.file.is_none() {
            self.file = Some(create(&self.path).map_err(|failure| std::io::Error::other(failure.message))?);
        }
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn make_empty(folder: &Path) -> Result<(), Failure> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(file_error("cannot be made", folder, &error)),
    }
    let mut found =
        std::fs::read_dir(folder).map_err(|error| file_error("cannot be read", folder, &error))?;
    match found.next() {
        None => Ok(()),
        Some(_) => Err(Failure::refused(format!("{}: the folder is not empty", folder.display()))
            .hint("name a new one: nothing is ever overwritten")),
    }
}

/// A new file (0600) in new folders (0700).
fn create(path: &Path) -> Result<std::fs::File, Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
    made.map_err(|error| file_error("cannot be made", folder, &error))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| file_error("cannot be written", path, &error))
}
