//! `artifacts`: programs and images beforehand, for a machine that has the network, or the time.

use crate::cli::ArtifactsCommand;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::loaded::Loaded;
use crate::payload::{Obtained, obtain};
use crate::report::{Reporter, bytes};
use artifacts::Arch;
use serde_json::json;
use std::path::PathBuf;

/// Fetches, and exports where asked to.
pub async fn run(command: &ArtifactsCommand, environment: &Environment, report: &Reporter) -> Outcome {
    let (file, to): (_, Option<&PathBuf>) = match command {
        ArtifactsCommand::Fetch(file) => (file, None),
        ArtifactsCommand::Export { file, to } => (file, Some(to)),
    };
    let loaded = Loaded::read(&file.inventory, report)?;
    let cluster = loaded.cluster();
    let arch = Arch::HERE
        .ok_or_else(|| Failure::refused("nodes of this machine's architecture are not supported"))?;
    let Obtained { artifacts, payload, .. } =
        obtain(&cluster.artifacts.source, &loaded.folder, &cluster.kubernetes, arch, environment, report)
            .await?;
    if let Some(to) = to {
        artifacts.export(to).map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?;
    }
    let size: u64 = payload
        .programs
        .iter()
        .map(|program| program.size)
        .chain(payload.images.iter().map(|image| image.size))
        .sum();
    let place = to.map_or_else(|| environment.artifacts.clone(), Clone::clone);
    let text = format!(
        "{} programs and {} images of Kubernetes {}, {}, in {}",
        payload.programs.len(),
        payload.images.len(),
        cluster.kubernetes,
        bytes(size),
        place.display()
    );
    report.result(&text, json!({"payload": payload, "folder": place}));
    Ok(Exit::Done)
}
