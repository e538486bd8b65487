//! Is the old cluster really gone? What still answers of it is a witness against a rebuild; what of its machines is
//! proven to be no more, what lives and stays, and what nobody knows, is told before anything is claimed.

use crate::cli;
use crate::commands::archive::age;
use crate::failure::{Exit, Failure};
use crate::report::{Reporter, duration};
use crate::session::Session;
use crate::vault::Remembered;
use archive::Generation;
use engine::{Hosts, Options, Target};
use inventory::{Cluster, Role};
use pki::Ca;
use plan::Objects;
use plan::ask::pods::{Pod, pods};
use plan::ask::survey::Today;
use plan::ask::witnesses::witnesses;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use step::HostId;
use time::OffsetDateTime;

/// A machine that asks needs no longer.
const ASKING: Duration = Duration::from_secs(20);

/// The nodes of the snapshot and of today.
#[derive(Clone, Debug, Default)]
pub struct Old {
    /// Proven to be no more.
    pub gone: Vec<String>,
    /// In the snapshot, not in the inventory, and nobody has proven that they are gone.
    pub doubtful: Vec<String>,
    /// Kubelets that live.
    pub living: Vec<String>,
    /// Of these, the ones that the snapshot does not know.
    pub unknown: Vec<String>,
    /// What still answers.
    pub witnesses: Vec<String>,
}

impl Old {
    /// These are stopped before anything is laid: what of them is doubted is known then.
    pub fn proves(&mut self, stopped: &[String]) {
        let (known, doubtful) =
            std::mem::take(&mut self.doubtful).into_iter().partition(|name| stopped.contains(name));
        self.doubtful = doubtful;
        self.gone.extend::<Vec<String>>(known);
    }
}

/// Looks, and refuses while the old cluster may live.
pub async fn look(
    session: &Session,
    then: &Remembered,
    chosen: &Generation,
    objects: &Objects,
    args: &cli::Rebuild,
    report: &Reporter,
) -> Result<Old, Failure> {
    let cluster = session.cluster();
    let old = then.cluster.as_ref().unwrap_or(cluster);
    let declared = declared(cluster, args)?;
    let mut found = nodes(session, old, objects, args, declared)?;
    // It is known to live, or to have lost its quorum: what we reach is stopped by us, and what we don't is a witness.
    let stopped_by_us = args.in_place || !args.from_disk.is_empty();
    found.witnesses = ask(session, then, old, stopped_by_us, report).await?;
    if !(stopped_by_us && reached(session, old)) {
        found.witnesses.extend(fresh(session, chosen));
    }
    if !declared && !found.witnesses.is_empty() {
        let list: String = found.witnesses.iter().map(|witness| format!("\n  {witness}")).collect();
        return Err(Failure::refused(format!("the cluster {} may still live:{list}", cluster.name)).hint(format!(
            "two clusters of one name would write to the same volumes and names: switch its machines off, then --old-cluster-is-gone={}",
            cluster.name
        )));
    }
    Ok(found)
}

/// Whether a person says that it is gone.
fn declared(cluster: &Cluster, args: &cli::Rebuild) -> Result<bool, Failure> {
    match &args.old_cluster_is_gone {
        Some(name) if *name != cluster.name => Err(Failure::refused(format!(
            "--old-cluster-is-gone={name}: this inventory is of {}",
            cluster.name
        ))),
        name => Ok(name.is_some()),
    }
}

fn nodes(
    session: &Session,
    old: &Cluster,
    objects: &Objects,
    args: &cli::Rebuild,
    declared: bool,
) -> Result<Old, Failure> {
    let cluster = session.cluster();
    let mut found = Old::default();
    if let Some(name) = args.fenced.iter().find(|name| !objects.nodes.contains_key(*name)) {
        return Err(Failure::refused(format!("--fenced {name}: the generation knows no node of this name"))
            .hint(format!(
                "it knows {}",
                objects.nodes.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            )));
    }
    if let Some(name) = args.fenced.iter().find(|name| cluster.node(name).is_some()) {
        return Err(Failure::refused(format!(
            "--fenced {name}: the inventory has a node of this name, so it is to live"
        )));
    }
    for name in objects.nodes.keys().filter(|name| cluster.node(name).is_none()) {
        let was_control_plane = old.node(name).is_some_and(|node| node.role == Role::ControlPlane);
        let is_gone = args.fenced.contains(name) || (declared && was_control_plane);
        if is_gone { &mut found.gone } else { &mut found.doubtful }.push(name.clone());
    }
    for node in cluster.nodes.iter().filter(|node| node.role == Role::Worker) {
        let today = session.answers.get(&HostId::new(&node.name)).map(|answer| &answer.today);
        // The kubelet's port; a node of a cluster that was adopted has no mark.
        let is_old = |today: &Today| today.cluster.is_some() || today.ca.is_some();
        if today.is_some_and(|today| is_old(today) && today.listens.contains(&10250)) {
            found.living.push(node.name.clone());
            if !objects.nodes.contains_key(&node.name) {
                found.unknown.push(node.name.clone());
            }
        }
    }
    Ok(found)
}

/// The old control planes' addresses, asked from here and from each node. One that was made in the epoch that goes on is
/// no witness.
async fn ask(
    session: &Session,
    then: &Remembered,
    old: &Cluster,
    stopped_by_us: bool,
    report: &Reporter,
) -> Result<Vec<String>, Failure> {
    let epoch = session.epoch();
    let ours: BTreeSet<String> = session
        .cluster()
        .nodes
        .iter()
        .filter(|node| {
            let answer = session.answers.get(&HostId::new(&node.name));
            answer.is_some_and(|answer| {
                stopped_by_us || (answer.today.epoch == Some(epoch) && epoch > then.public().epoch)
            })
        })
        .map(|node| node.address.to_string())
        .collect();
    let addresses: Vec<String> = old
        .nodes
        .iter()
        .filter(|node| node.role != Role::Worker)
        .map(|node| node.address.to_string())
        .filter(|address| !ours.contains(address))
        .collect();
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let ca = |ca| then.bundle.authority(ca).certificate();
    let question = witnesses(&addresses, ca(Ca::Cluster), ca(Ca::Etcd));
    let here = HostId::new("here");
    let (local, _) =
        Hosts::connect(vec![Target::local(here)], Options::default(), &report.listen(None)).await;
    let (from_here, from_nodes) = tokio::join!(
        engine::ask_all(&local, &question, ASKING),
        engine::ask_all(&session.hosts, &question, ASKING)
    );
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (host, answer) in from_here.into_iter().chain(from_nodes) {
        let answered = answer.map_err(|error| Failure::because(&error).exit(Exit::Refused));
        match answered {
            Ok(found) => seen.extend(found.iter().map(|one| {
                let what = if one.port == 2379 { "an etcd" } else { "an apiserver" };
                format!(
                    "{} answers on port {}, {what} of this cluster (asked from {host})",
                    one.address, one.port
                )
            })),
            // A machine without curl yet has nothing to say; this one and the others have.
            Err(failure) => {
                report.say(format!("note: {host} could not ask the old addresses: {}", failure.message))
            }
        }
    }
    Ok(seen.into_iter().collect())
}

/// Whether each control plane of the old cluster is a machine that we reach.
fn reached(session: &Session, old: &Cluster) -> bool {
    let answers = |node: &inventory::Node| {
        let own = session.cluster().nodes.iter().find(|own| own.address == node.address);
        own.is_some_and(|own| session.answers.contains_key(&HostId::new(&own.name)))
    };
    old.nodes.iter().filter(|node| node.role != Role::Worker).all(answers)
}

/// Nodes take snapshots by the clock, so a young one has somebody who took it.
fn fresh(session: &Session, chosen: &Generation) -> Option<String> {
    let archive = &session.cluster().archive;
    archive.written_by_nodes().next()?;
    let every = archive.every.unwrap_or(crate::node::EVERY);
    let age = age(chosen, OffsetDateTime::now_utc())?;
    (age < every * 2).then(|| {
        format!(
            "its newest generation was taken {} ago, and one is taken every {}",
            duration(age),
            duration(every)
        )
    })
}

/// Pods on living workers that the generation does not know, by node: their kubelets end them.
pub async fn newer(session: &Session, old: &Old, objects: &Objects) -> BTreeMap<HostId, Vec<Pod>> {
    let questions: Vec<_> = old.living.iter().map(|name| (HostId::new(name), pods())).collect();
    let answers = engine::ask_each(&session.hosts, &questions, ASKING).await;
    let unknown = |(host, answer): (HostId, Result<Vec<Pod>, _>)| {
        let known: BTreeSet<&String> =
            objects.pods.get(host.as_str()).into_iter().flat_map(BTreeMap::values).collect();
        let newer = answer.ok()?.into_iter().filter(|pod| !known.contains(&pod.uid)).collect();
        Some((host, newer))
    };
    answers.into_iter().filter_map(unknown).collect()
}
