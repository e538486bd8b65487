//! What was read is sealed: the identity set, a generation, programs and images; and the generation is drilled.

use crate::cli;
use crate::commands::drill;
use crate::commands::snapshot::{self, Made};
use crate::commands::up::{payload, sealed_words, tell_minted};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::ready::{fetch, stamp};
use crate::report::Reporter;
use crate::session::Session;
use crate::vault::{Contents, Signing};
use pki::Bundle;
use plan::capture::Origin;
use plan::kubeadm::Cgroups;
use std::collections::BTreeMap;
use std::path::Path;
use step::HostId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// By the inventory that was just written, as every later command.
pub async fn open(
    args: &cli::Adopt,
    out: &Path,
    environment: &Environment,
    report: &Reporter,
) -> Result<Session, Failure> {
    let reaching = cli::Cluster {
        file: cli::InventoryFile { inventory: out.to_owned() },
        identity: args.identity.clone(),
        accept_new: args.accept_new,
        trust_on_first_use: false,
        sudo_password_file: args.sudo_password_file.clone(),
    };
    Session::open(&reaching, environment, report).await
}

/// What became of it.
pub struct Sealed {
    /// The generation.
    pub made: Made,
    /// What is in the archive beside it, for a person.
    pub lines: Vec<String>,
    /// What is missing.
    pub due: Vec<String>,
}

/// Seals what the cluster is, a generation of what it holds, and what it runs by.
pub async fn seal(
    session: &Session,
    bundle: &Bundle,
    environment: &Environment,
    report: &Reporter,
) -> Result<Sealed, Failure> {
    let (mut lines, mut due) = (Vec::new(), Vec::new());
    let got = match session.cluster().archive.payload {
        false => None,
        // A cluster that lives needs none of it.
        true => match fetch(session, environment, report).await {
            Ok(got) => Some(got),
            Err(failure) => {
                due.push(format!(
                    "programs and images are not sealed, so a rebuild would need their source: {}",
                    failure.message
                ));
                None
            }
        },
    };
    let local = session.loaded.local_files(environment)?;
    let created = session.now.format(&Rfc3339).unwrap_or_default();
    let recipients = session.vault.recipients(None, environment, &created)?;
    let contents = Contents {
        bundle,
        loaded: &session.loaded,
        local: &local,
        payload: got.as_ref().map(|got| &got.payload),
        host_keys: &session.host_keys().await,
        cgroups: Cgroups::of(session.cluster(), &session.answers),
        born: true,
        facts: &BTreeMap::new(),
    };
    let sealed =
        session.vault.seal(&contents, &recipients.all, None, stamp(&created, environment), environment)?;
    report.say(sealed_words(&sealed));
    tell_minted(&recipients, report);
    let made = generation(session, bundle, environment, report).await?;
    due.extend(made.complaints());
    if let Some(got) = &got {
        let sealing = payload::seal_first(session, got, bundle, environment, report).await;
        lines.extend(payload::headline(&sealing));
        due.extend(payload::complaints(&sealing));
    }
    due.extend(session.vault.sealed(&sealed).debts);
    due.sort();
    due.dedup();
    Ok(Sealed { made, lines, due })
}

/// From the first control plane that gives one.
async fn generation(
    session: &Session,
    bundle: &Bundle,
    environment: &Environment,
    report: &Reporter,
) -> Result<Made, Failure> {
    let signing = Signing::with(bundle)?;
    let mut refusals = Vec::new();
    for node in session.cluster().etcd_nodes() {
        if !session.hosts.contains(&HostId::new(&node.name)) {
            continue;
        }
        match snapshot::take(session, &signing, (node, Origin::Member), environment, report).await {
            Ok(made) => return Ok(made),
            Err(failure) => refusals.push(failure.message),
        }
    }
    let text = format!("no control plane gave a snapshot:\n{}", refusals.join("\n"));
    Err(session.with_absent(Failure::refused(text)))
}

/// The proof L4 of what was just sealed, here.
pub async fn drilled(
    args: &cli::Adopt,
    out: &Path,
    environment: &Environment,
    report: &Reporter,
) -> Result<String, Failure> {
    let which = cli::Generation {
        reading: cli::Reading {
            inventory: Some(out.to_owned()),
            kit: None,
            identity: args.identity.clone(),
            from: None,
            trust_on_first_use: false,
        },
        distrust: cli::Distrust { not_from: Vec::new() },
        generation: None,
        snapshot: None,
        scratch: None,
    };
    let generation = Generation::open(&which, environment, report).await?;
    let when = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let drilled = drill::drill(&generation).await?;
    if !drilled.is_proven() {
        return Err(Failure::refused(drill::words(&drilled)));
    }
    generation.prove(drill::tried(&drilled, when, environment))?;
    Ok(drill::words(&drilled))
}
