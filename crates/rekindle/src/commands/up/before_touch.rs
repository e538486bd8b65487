//! Before a cluster that stands is changed, its etcd is sealed: as it is now, from the first member that gives a
//! snapshot that can be proven.

use crate::commands::snapshot::{self, Made, Unproven};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::ready::Ready;
use crate::report::Reporter;
use crate::vault::Signing;
use plan::capture::Origin;

/// Makes a generation, from one member after the other until one is proven; else the best that there was. `None` where
/// nothing is to be lost yet: the run that made the cluster never came to its first generation.
///
/// # Errors
/// Why each member gave none; then nothing was changed.
pub async fn generation(
    ready: &Ready,
    environment: &Environment,
    report: &Reporter,
) -> Result<Option<Made>, Failure> {
    let session = &ready.session;
    let signing = Signing::with(&ready.bundle)?;
    let mut refusals = match snapshot::take_proven(session, &signing, environment, report).await {
        Ok(made) | Err(Unproven { made: Some(made), .. }) => return Ok(Some(made)),
        Err(Unproven { why, .. }) => why,
    };
    // What a disk has is never proven: the first is as good as any.
    for node in snapshot::members(session) {
        match snapshot::take(session, &signing, (node, Origin::Disk), environment, report).await {
            Ok(made) => return Ok(Some(made)),
            Err(failure) => refusals.push(failure.message),
        }
    }
    let why = refusals.join("\n");
    if session.vault.generations_of(&signing)?.newest_counting().is_none() {
        report.say(format!("no generation counts yet: {why}"));
        return Ok(None);
    }
    let failure = Failure::refused(format!(
        "nothing was changed, since no member of etcd can be sealed before:\n{why}"
    ));
    Err(failure.hint(
        "mend that; or say `--without-snapshot`: what happened since the newest generation is then nowhere but on the nodes",
    ))
}
