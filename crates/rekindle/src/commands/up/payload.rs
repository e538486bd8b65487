//! The end of `up`: the programs and images of the running version are sealed, with this program, where the archive
//! does not hold them yet. Then a rebuild needs no upstream.

use super::timers::{self, NodeProgram};
use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::payload::{Obtained, program_name};
use crate::ready::{Ready, fetch, stamp};
use crate::report::{Reporter, bytes, duration};
use crate::session::Session;
use crate::vault::{Recipients, digests};
use archive::{Entry, PayloadFile, PayloadSealed, PayloadSet};
use artifacts::export::PACKAGES;
use artifacts::{Arch, OWN_PROGRAM, Sha256};
use pki::Bundle;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use time::format_description::well_known::Rfc3339;

/// A payload set that this run sealed, or brought to a place that lacked it.
pub struct Payload {
    sealed: PayloadSealed,
    files: usize,
    took: Duration,
}

/// What became of it; `None` where there was nothing to do.
pub type Sealing = Result<Option<Payload>, Failure>;

/// Seals it.
pub async fn seal(
    ready: &Ready,
    recipients: &Recipients,
    environment: &Environment,
    report: &Reporter,
) -> Sealing {
    let session = &ready.session;
    if !session.cluster().archive.payload {
        return Ok(None);
    }
    let started = Instant::now();
    let wanted = digests(&ready.payload);
    let recipients: BTreeSet<String> = recipients.all.iter().map(ToString::to_string).collect();
    let theirs = |set: &&PayloadSet| recipients.iter().eq(&set.public.recipients);
    let known = session.remembered.as_ref().map_or(&[][..], |remembered| remembered.payloads());
    let programs = programs(known.iter().find(theirs));
    let is_new = |name: &String| programs.iter().all(|entry| entry.name != *name);
    // A large file is read only where it is needed.
    let mut own: Vec<NodeProgram> = match own_name().filter(is_new) {
        Some(name) => vec![timers::own(name, environment)?],
        None => Vec::new(),
    };
    let of_nodes = ready.timers.program.iter().filter(|program| is_new(&program.name));
    own.extend(of_nodes.filter(|program| own_name().as_ref() != Some(&program.name)).cloned());
    let whole = known.iter().find(|set| theirs(set) && set.has(&wanted));
    let scratch = environment.scratch("payload")?;
    let (mut files, mut again) = (Vec::new(), programs);
    match whole {
        Some(set) if own.is_empty() && set.lacking.is_empty() => return Ok(None),
        // Its objects are there: nothing has to be on this machine.
        Some(set) => {
            let others = set.public.entries.iter().filter(|entry| !entry.name.starts_with(OWN_PROGRAM));
            again.extend(others.cloned());
        }
        None => files = brought(ready, &wanted, scratch.path(), environment, report).await?,
    }
    files.extend(own.into_iter().map(|own| file(own.name, &own.file, (own.sha256, own.size))));
    let created = ready.created();
    let version = session.cluster().kubernetes.to_string();
    let sealed = session.vault.seal_payload(
        (&files, &again),
        &ready.bundle,
        (&version, stamp(&created, environment)),
        environment,
        report,
    )?;
    Ok(Some(Payload { sealed, files: files.len() + again.len(), took: started.elapsed() }))
}

/// Seals the first one of a cluster: what was just brought, and this program.
pub async fn seal_first(
    session: &Session,
    got: &Obtained,
    bundle: &Bundle,
    environment: &Environment,
    report: &Reporter,
) -> Sealing {
    let started = Instant::now();
    let scratch = environment.scratch("payload")?;
    let mut files = files_of(&got.artifacts, scratch.path())?;
    if let Some(name) = own_name() {
        let own = timers::own(name, environment)?;
        files.push(file(own.name, &own.file, (own.sha256, own.size)));
    }
    let created = session.now.format(&Rfc3339).unwrap_or_default();
    let version = session.cluster().kubernetes.to_string();
    let stamp = (version.as_str(), stamp(&created, environment));
    let sealed = session.vault.seal_payload((&files, &[]), bundle, stamp, environment, report)?;
    Ok(Some(Payload { sealed, files: files.len(), took: started.elapsed() }))
}

/// The files of programs and images, as this run has them, or brought now.
async fn brought(
    ready: &Ready,
    wanted: &BTreeSet<archive::Digest>,
    scratch: &Path,
    environment: &Environment,
    report: &Reporter,
) -> Result<Vec<PayloadFile>, Failure> {
    let fetched;
    let artifacts = match &ready.artifacts {
        Some(artifacts) => artifacts,
        None => {
            report.say("the payload is sealed from this machine's files: they are brought first");
            fetched = fetch(&ready.session, environment, report).await?;
            if digests(&fetched.payload) != *wanted {
                return Err(Failure::refused(
                    "the programs and images that this machine has are other builds than the cluster's",
                )
                .hint("seal from the machine that built them, or name the source that the cluster was made from"));
            }
            &fetched.artifacts
        }
    };
    files_of(artifacts, scratch)
}

fn files_of(artifacts: &artifacts::Payload, scratch: &Path) -> Result<Vec<PayloadFile>, Failure> {
    let laid = artifacts.laid();
    let mut files: Vec<PayloadFile> =
        laid.map(|laid| file(laid.name, laid.file, (laid.sha256, laid.size))).collect();
    let packages = artifacts.packages();
    if !packages.is_empty() {
        let path = scratch.join(PACKAGES);
        std::fs::write(&path, &packages).map_err(|error| file_error("cannot be written", &path, &error))?;
        files.push(file(PACKAGES.into(), &path, (Sha256::of(&packages), packages.len() as u64)));
    }
    Ok(files)
}

fn file(name: String, path: &Path, (sha256, size): (Sha256, u64)) -> PayloadFile {
    PayloadFile { name, path: path.to_owned(), sha256: sha256.bytes().into(), size }
}

/// How this program is called in a payload.
fn own_name() -> Option<String> {
    let system = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    Arch::HERE.map(|arch| program_name(system, arch))
}

/// This program as it was sealed, of the same version, for any platform: who has another seals that too.
fn programs(set: Option<&PayloadSet>) -> Vec<Entry> {
    let same = set.filter(|set| set.public.rekindle == env!("CARGO_PKG_VERSION"));
    let entries = same.into_iter().flat_map(|set| &set.public.entries);
    entries.filter(|entry| entry.name.starts_with(OWN_PROGRAM)).cloned().collect()
}

/// What was sealed, in one line.
pub fn headline(payload: &Sealing) -> Option<String> {
    let Payload { sealed, files, took } = payload.as_ref().ok()?.as_ref()?;
    Some(format!(
        "payload: {files} files, {} ({} encrypted), in {}; at {}",
        bytes(sealed.size),
        bytes(sealed.ciphertext),
        duration(*took),
        sealed.proven.join(", ")
    ))
}

/// What is missing: a cluster that is there needs no payload, so nothing of it fails `up`.
pub fn complaints(payload: &Sealing) -> Vec<String> {
    match payload {
        Ok(None) => Vec::new(),
        Ok(Some(Payload { sealed, .. })) => {
            let failed = sealed.failed.iter();
            failed.map(|one| format!("{}: the payload did not reach it: {}", one.at, one.why)).collect()
        }
        Err(failure) => vec![format!("the payload is not sealed: {}", failure.message)],
    }
}

/// For a program.
pub fn value(payload: &Sealing) -> Value {
    let Ok(Some(Payload { sealed, files, took })) = payload else { return Value::Null };
    json!({
        "new": sealed.new, "files": files, "size": sealed.size, "encrypted": sealed.ciphertext,
        "at": sealed.proven, "seconds": took.as_secs_f64(),
    })
}
