//! `archive extract --payload`: programs and images, as a folder that `up` takes in the place of upstream.

use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::report::{Reporter, bytes};
use crate::vault::Vault;
use serde_json::json;
use std::path::Path;

/// Lays it into a folder.
pub fn extract(
    vault: &Vault,
    generation: Option<&str>,
    to: &Path,
    environment: &Environment,
    report: &Reporter,
) -> Outcome {
    let identity = vault.identity_of(generation)?;
    let kubernetes = &identity.public().kubernetes;
    let set = identity.own_payload().ok_or_else(|| {
        Failure::refused(format!("the programs and images of Kubernetes {kubernetes} are not sealed"))
            .hint("`rekindle up` seals them, unless `payload = false` is under [archive]")
    })?;
    let laid = vault.lay_payload(set, to, environment, report)?;
    let size: u64 = set.public.entries.iter().map(|entry| entry.size).sum();
    let text = format!(
        "payload of Kubernetes {kubernetes}: {} files, {}, in {}\nunder [artifacts]: source = {{ folder = \"{}\" }}",
        laid.len(),
        bytes(size),
        to.display(),
        to.canonicalize().unwrap_or_else(|_| to.to_owned()).display()
    );
    report.result(
        &text,
        json!({"kubernetes": kubernetes, "size": size, "files": laid.into_values().collect::<Vec<_>>()}),
    );
    Ok(Exit::Done)
}
