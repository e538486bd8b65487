//! Whether a plan may be made at all: what stands, what runs, what changed in the inventory, and what the nodes
//! lack. Every refusal is made here, before any change.

use crate::failure::Failure;
use crate::session::Session;
use crate::vault::Remembered;
use inventory::Kind;
use plan::{Growth, Problem, Standing};
use std::collections::BTreeMap;
use step::HostId;

/// Which plan fits what stands; a sentence where none does.
pub fn decide(session: &Session, standing: &Standing) -> Result<Growth, Failure> {
    let names = |hosts: &[HostId]| hosts.iter().map(HostId::as_str).collect::<Vec<_>>().join(", ");
    match standing {
        Standing::Empty | Standing::HalfBorn => Ok(Growth::Laid),
        Standing::Ours { .. } => Ok(Growth::Added),
        Standing::Stranger(found) => {
            let mut by_host: BTreeMap<&HostId, Vec<&str>> = BTreeMap::new();
            for (host, what) in found {
                by_host.entry(host).or_default().push(what);
            }
            let list: String =
                by_host.iter().map(|(host, found)| format!("\n  {host}: {}", found.join(", "))).collect();
            let text = format!("there is something on these nodes that the archive does not know:{list}");
            let failure = Failure::refused(text).hint(
                "give the inventory the archive of that cluster, or make the nodes empty machines first: `kubeadm reset`, and what the README lists under \"Without rekindle\"",
            );
            Err(with_problems(session, failure, |host| !by_host.contains_key(host)))
        }
        Standing::Fenced(nodes) => Err(session.fenced(nodes)),
        Standing::Lost { with_data, emptied, silent } => {
            let mut text = String::from("the cluster's etcd has no quorum");
            for (hosts, what) in
                [(with_data, "have their etcd data"), (emptied, "have none"), (silent, "do not answer")]
            {
                if !hosts.is_empty() {
                    text.push_str(&format!("\n  {}: {what}", names(hosts)));
                }
            }
            Err(session.with_absent(Failure::refused(text).hint(
                "bring back the machines that have data; where they are gone for good, `rekindle rebuild` makes the cluster again from the archive",
            )))
        }
        Standing::Unclear { silent } => {
            let text = format!("too few etcd nodes answered to tell what stands: {} did not", names(silent));
            Err(with_problems(session, Failure::refused(text), |_| true))
        }
    }
}

/// A cluster that was adopted is not taken over: what `up` would change of it is for `plan` to show.
pub fn made_by_us(session: &Session) -> Result<(), Failure> {
    let Some(known) = session.remembered.as_ref().map(Remembered::known) else { return Ok(()) };
    // Another cluster's node is a stranger.
    let foreign =
        session.answers.iter().filter(|(_, answer)| answer.today.cluster.is_none() && known.owns(answer));
    let names: Vec<&str> = foreign.map(|(host, _)| host.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} was adopted, and `up` does not take over a cluster yet: {}",
        session.cluster().name,
        names.join(", ")
    );
    Err(Failure::refused(text).hint(
        "`rekindle plan` shows what would differ; `rekindle adopt --schedule` installs the snapshots' timer; status, snapshot, drill, at and kubectl work as they are",
    ))
}

/// Where an epoch was claimed and no cluster was born in it, the cluster before it is not brought back, and none is
/// laid beside the rebuild that may be going on.
pub fn epoch(session: &Session) -> Result<(), Failure> {
    let holding = session.remembered.as_ref().map(Remembered::holding);
    let Some(claim) = holding.and_then(archive::Holding::unfinished) else { return Ok(()) };
    let archive::Claim { epoch, holder, host, created, .. } = claim;
    let what = if claim.fences.is_empty() {
        String::new()
    } else {
        format!(", and fences the etcd cluster {}", claim.fences.join(", "))
    };
    Err(Failure::refused(format!(
        "epoch {epoch} was claimed by {holder} on {host} at {created}{what}; no cluster was born in it"
    ))
    .hint("`up` brings no fenced cluster back; `rekindle rebuild` will go on in that epoch"))
}

/// Nobody's upgrade is rolled back, and none is begun or finished here. Tells whether something runs the inventory's
/// version, and nothing another one.
pub fn version(session: &Session) -> Result<bool, Failure> {
    let wanted = session.cluster().kubernetes.to_string();
    let running = plan::running(session.cluster(), &session.answers);
    let (same, other): (Vec<_>, Vec<_>) = running.iter().partition(|running| running.version == wanted);
    if other.is_empty() {
        return Ok(!same.is_empty());
    }
    let list: String = other
        .iter()
        .map(|found| format!("\n  {}: its {} runs {}", found.host, found.what, found.version))
        .collect();
    Err(Failure::refused(format!("the inventory says Kubernetes {wanted}, and not all of the cluster runs it:{list}")).hint(
        "`up` does not upgrade: run `kubeadm upgrade` node by node (README, \"Without rekindle\"), then write the version that all nodes run into the inventory",
    ))
}

/// A fixed key that changed is refused, with the way to do it. The version is none where the cluster runs the new one.
pub fn fixed_keys(session: &Session, runs_the_wanted_version: bool) -> Result<(), Failure> {
    let Some(old) = session.remembered.as_ref().and_then(|remembered| remembered.cluster.as_ref()) else {
        return Ok(());
    };
    fixed_since(session, old, |key| runs_the_wanted_version && key == "cluster.kubernetes")
}

/// The same, compared with the cluster as it was then; some keys `may` have changed.
pub fn fixed_since(
    session: &Session,
    old: &inventory::Cluster,
    may: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let refused: Vec<String> = inventory::changes(old, session.cluster())
        .into_iter()
        .filter(|change| !may(&change.key))
        .filter_map(|change| match change.kind {
            Kind::Fixed(way) => {
                let value = |value: Option<String>| value.unwrap_or_else(|| "nothing".into());
                Some(format!(
                    "`{}` can't change from {} to {}: {way}",
                    change.key,
                    value(change.old),
                    value(change.new)
                ))
            }
            _ => None,
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Failure::refused(refused.join("\n"))) }
}

pub fn preflight(session: &Session) -> Result<(), Failure> {
    preflight_with(session, Vec::new())
}

/// The same, with what else is wrong with nodes.
pub fn preflight_with(session: &Session, more: Vec<Problem>) -> Result<(), Failure> {
    if more.is_empty() && problems(session).is_empty() {
        return Ok(());
    }
    let mut failure =
        Failure::refused("nodes are not fit yet:").hint("nothing was changed: mend these, and run it again");
    for Problem { host, what, hint } in more {
        failure.message.push_str(&format!("\n  {host}: {what} ({hint})"));
    }
    Err(with_problems(session, failure, |_| true))
}

fn problems(session: &Session) -> Vec<Problem> {
    plan::problems(session.cluster(), &session.answers, session.now.unix_timestamp())
}

/// Adds what is wrong with the nodes that answered, and why the others did not: one run tells all of it.
fn with_problems(session: &Session, mut failure: Failure, of: impl Fn(&HostId) -> bool) -> Failure {
    for Problem { host, what, hint } in problems(session).iter().filter(|problem| of(&problem.host)) {
        failure.message.push_str(&format!("\n  {host}: {what} ({hint})"));
    }
    session.with_absent(failure)
}
