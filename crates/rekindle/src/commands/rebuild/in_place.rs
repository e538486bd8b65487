//! Back to a generation on a cluster that lives: what it would undo is told, what it is today is sealed and proven, and
//! nothing is stopped that we can't stop everywhere.

use crate::commands::snapshot::{self, Made};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::report::Reporter;
use crate::session::Session;
use crate::vault::{Remembered, Signing};
use archive::Generation;
use plan::ask::since::since;
use plan::ask::survey::Member;
use std::collections::BTreeSet;
use std::time::Duration;
use step::HostId;

/// All keys of etcd are asked for, names only.
const ASKING: Duration = Duration::from_secs(120);

/// Whether each control plane can be stopped: one that is left would go on with what is undone.
pub fn reachable(session: &Session, members: &[Member]) -> Result<(), Failure> {
    let wanted = session.cluster().control_planes().map(|node| node.name.as_str());
    let listed = members.iter().map(|member| member.name.as_str()).filter(|name| !name.is_empty());
    let names: BTreeSet<&str> = wanted.chain(listed).collect();
    let silent: Vec<&str> =
        names.into_iter().filter(|name| !session.answers.contains_key(&HostId::new(*name))).collect();
    if silent.is_empty() {
        return Ok(());
    }
    Err(session.with_absent(
        Failure::refused(format!(
            "each control plane is stopped before it goes back, and {} can't be reached",
            silent.join(", ")
        ))
        .hint("bring them back, or take them out of the cluster and of the inventory first"),
    ))
}

/// That there is no cluster that lives.
pub fn nothing_lives() -> Failure {
    Failure::refused(
        "--in-place goes back on a cluster that lives, and no etcd member of this one has a quorum",
    )
    .hint("without --in-place it is built again from the archive")
}

/// What is undone, in words. A run that goes on has sealed the present when it was begun.
pub async fn undone(session: &Session, chosen: &Generation, goes_on: bool) -> Vec<String> {
    let Some(node) = snapshot::members(session).next() else { return Vec::new() };
    let question = [(HostId::new(&node.name), since(chosen.public.revision))];
    let answer = engine::ask_each(&session.hosts, &question, ASKING).await.into_values().next();
    let what = match answer {
        Some(Ok(since)) => since
            .words()
            .map_or_else(|| "nothing was written since".into(), |words| format!("since then: {words}")),
        Some(Err(error)) => format!("what was written since could not be counted: {error}"),
        None => return Vec::new(),
    };
    let sealed = if goes_on {
        "it was sealed when this was begun; what was written after that stays on the disks only"
    } else {
        "all of it is sealed in a generation of its own before anything stops"
    };
    vec![format!("{what}; {sealed}")]
}

/// Seals what is there, from the first member whose snapshot is proven.
///
/// # Errors
/// Why none is: then nothing was stopped.
pub async fn seal_present(
    session: &Session,
    remembered: &Remembered,
    environment: &Environment,
    report: &Reporter,
) -> Result<Made, Failure> {
    let signing = Signing::with(&remembered.bundle)?;
    snapshot::take_proven(session, &signing, environment, report).await.map_err(|unproven| {
        Failure::refused(format!(
            "nothing was stopped, since the cluster can't be sealed as it is today:\n{}",
            unproven.why.join("\n")
        ))
        .hint("mend that first: what is undone must be in a generation that counts")
    })
}
