//! `drill --lab`: a whole rebuild in a lab on this host, as one held control plane. It is the line of `rebuild` on a
//! machine that forwards nothing and knows no other; what it claims and seals lies in the lab's folder, over the
//! archive, which is only read. The lab goes with this process, however that ends.

use super::guard::Guard;
use super::{thousands, words};
use crate::cli;
use crate::commands::rebuild::{self, Built, Stage};
use crate::commands::up;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::loaded::Loaded;
use crate::report::{Reporter, duration};
use crate::session::Session;
use crate::vault::{Origin, Remembered, Vault, generation_name, unreadable};
use inventory::{Rehearsed, Source};
use lab::{Lab, LabSpec, NodeSpec, RootfsSpec, Severity, Want};
use plan::ask::counted::{Counted, Difference, counted, differences};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use step::HostId;

/// Every kind is listed, by names.
const COUNTING: Duration = Duration::from_secs(300);

/// A name is a label: 63 characters at most.
const LONGEST_NAME: usize = 63;

/// Builds it, counts, compares, and takes it down.
pub async fn run(args: &cli::Drill, environment: &Environment, report: &Reporter) -> Outcome {
    let started = Instant::now();
    let (origin, vault) = Vault::read(&args.generation.reading, environment, report)?;
    let wanted = name_of(&vault, args)?;
    let identity = vault.identity_of(Some(&wanted))?;
    let cluster = identity.own_cluster()?;
    let node = cluster.control_planes().next().ok_or_else(unreadable)?.name.clone();
    let mut name = format!("drill-{}", cluster.name);
    name.truncate(LONGEST_NAME);
    let name = name.trim_end_matches('-');
    fit(name, environment, report)?;
    let guard = Guard::set(name, environment)?;
    let lab = match machine(name, &node, environment, report) {
        Err(lab::Error::Exists { .. }) => {
            guard.stand_down();
            return Err(under_way(name));
        }
        made => made.map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?,
    };
    let source = origin.source(cluster);
    let loaded = inventory(&identity, &node, (source, &origin.folder), &lab, environment, report)?;
    let rebuilt = rehearse(args, &wanted, (loaded, vault), &lab, environment, report).await?;
    let end = compare(args, &origin, &node, &rebuilt, environment, report).await?;
    guard.end(environment)?;
    Ok(end.tell(&rebuilt, started.elapsed(), report))
}

/// The generation that a rebuild would take.
fn name_of(vault: &Vault, args: &cli::Drill) -> Result<String, Failure> {
    let args = &args.generation;
    let generations = vault.generations_not_from(&args.distrust.not_from)?;
    vault.choose_counting(&generations, args.generation.as_deref()).map(generation_name)
}

fn under_way(name: &str) -> Failure {
    Failure::refused(format!("the lab {name} is there: another drill of this cluster is under way"))
        .hint(format!("if it is not, `rekindle lab down --name {name}` removes it"))
}

/// Whether this host can have it.
fn fit(name: &str, environment: &Environment, report: &Reporter) -> Result<(), Failure> {
    if !environment.root {
        return Err(Failure::refused("a lab's nodes are containers, and only root can make them")
            .hint("run it with sudo"));
    }
    let missing = lab::packages::missing();
    if !missing.is_empty() {
        return Err(Failure::refused(format!("a lab needs {}", missing.join(", ")))
            .hint(lab::packages::command(&missing)));
    }
    let there = Lab::list(&environment.labs).map_err(|error| Failure::because(&error))?;
    if there.iter().any(|lab| lab == name) {
        return Err(under_way(name));
    }
    let want = Want { nodes: 1, labs_dir: environment.labs.clone(), cache: environment.rootfs.clone() };
    for finding in lab::check(&want) {
        match finding.severity {
            Severity::Blocks => return Err(Failure::refused(finding.what).hint(finding.mend)),
            Severity::Hurts => report.say(format!("warning: {} ({})", finding.what, finding.mend)),
        }
    }
    Ok(())
}

/// An empty machine: programs and images come to it as they would come to any.
fn machine(name: &str, node: &str, environment: &Environment, report: &Reporter) -> Result<Lab, lab::Error> {
    let tell = |line: &str| report.say(line);
    let rootfs = lab::rootfs::prepare(&environment.rootfs, &RootfsSpec::default(), &tell)?;
    let spec = LabSpec {
        name: name.to_owned(),
        labs_dir: environment.labs.clone(),
        rootfs,
        nodes: vec![NodeSpec { name: node.to_owned(), foreign_host_name: None }],
        owner: environment.owner,
    };
    Lab::create(&spec, &tell)
}

/// The archived inventory, for that machine.
fn inventory(
    identity: &Remembered,
    node: &str,
    (source, base): (&Source, &Path),
    lab: &Lab,
    environment: &Environment,
    report: &Reporter,
) -> Result<Loaded, Failure> {
    let address = lab.nodes().first().map(|node| node.address.to_string()).unwrap_or_default();
    let source = match source {
        Source::Folder(folder) => Source::Folder(environment.path(base, folder)),
        source => source.clone(),
    };
    let (key, known_hosts) = (lab.key(), lab.known_hosts());
    let rehearsed = Rehearsed {
        node,
        address: &address,
        identity: &key.to_string_lossy(),
        known_hosts: &known_hosts.to_string_lossy(),
        source: &source,
    };
    let text = identity.inventory().and_then(|text| inventory::rehearsed(&text, &rehearsed));
    let text = text.ok_or_else(unreadable)?;
    let path = lab.dir().join("lab.toml");
    environment
        .write(&path, text.as_bytes(), 0o644)
        .map_err(|error| file_error("cannot be written", &path, &error))?;
    // That one control plane is few is what a rehearsal is.
    let parsed = inventory::parse(&path.display().to_string(), &text)
        .map_err(|mistakes| Failure::refused(mistakes.render(report.colour)))?;
    Ok(Loaded { folder: lab.dir().to_path_buf(), path, text, parsed })
}

/// The line of `rebuild`, all that it writes here in the lab's folder.
async fn rehearse(
    args: &cli::Drill,
    generation: &str,
    (loaded, vault): (Loaded, Vault),
    lab: &Lab,
    environment: &Environment,
    report: &Reporter,
) -> Result<Built, Failure> {
    let environment = &Environment { cache: lab.dir().join("cache"), ..environment.clone() };
    let vault = vault.rehearsed(&lab.dir().join("archive"));
    let mut remembered = vault.open()?;
    if let Some(remembered) = &mut remembered {
        // The machine is another one than the one whose name it has.
        remembered.host_keys.clear();
    }
    let args = cli::Rebuild {
        generation: Some(generation.to_owned()),
        distrust: args.generation.distrust.clone(),
        hold: true,
        scratch: args.generation.scratch.clone(),
        ..cli::Rebuild::default()
    };
    let session =
        Session::of(loaded, (vault, remembered), &args.from.cluster(), None, environment, report).await?;
    let built =
        rebuild::build(session, &args, (Stage::Rehearsal, BTreeMap::new()), environment, report).await?;
    match up::failed(&built.ready, &built.done) {
        Some(failure) => Err(Failure::refused(format!("not rebuilt: {}", failure.message)).exit(Exit::Due)),
        None => Ok(built),
    }
}

/// What was found.
struct End {
    here: Counted,
    /// The generation and what was built.
    differences: Vec<Difference>,
    /// The generation and the living cluster; why not, where it was not asked.
    live: Result<Vec<Difference>, String>,
}

async fn compare(
    args: &cli::Drill,
    origin: &Origin,
    node: &str,
    built: &Built,
    environment: &Environment,
    report: &Reporter,
) -> Result<End, Failure> {
    let Built { ready, drilled, objects, .. } = built;
    // Its own static pods are not all there while it is held.
    let here = engine::ask(&ready.session.hosts, &HostId::new(node), &counted(Some(node)), COUNTING)
        .await
        .map_err(|error| Failure::because(&error).exit(Exit::Due))?;
    let mut then = drilled.served.clone();
    let own = objects.pods.get(node).map_or(0, |pods| pods.len() as u64);
    then.entry("pods".into()).and_modify(|count| *count = count.saturating_sub(own));
    let differences = differences(&then, &here);
    let live = live(args, origin, &drilled.served, environment, report).await;
    Ok(End { here, differences, live })
}

/// What the living cluster has by now.
async fn live(
    args: &cli::Drill,
    origin: &Origin,
    then: &BTreeMap<String, u64>,
    environment: &Environment,
    report: &Reporter,
) -> Result<Vec<Difference>, String> {
    let reading = &args.generation.reading;
    let inventory = origin.inventory().ok_or("no inventory says where it is")?;
    let cluster = cli::Cluster {
        file: cli::InventoryFile { inventory: inventory.to_path_buf() },
        identity: reading.identity.clone(),
        trust_on_first_use: reading.trust_on_first_use,
        ..cli::Cluster::default()
    };
    let session = Session::open(&cluster, environment, report).await.map_err(|failure| failure.message)?;
    let on = session.any_control_plane().map_err(|failure| failure.message)?;
    let now = engine::ask(&session.hosts, &on, &counted(None), COUNTING).await;
    now.map(|now| differences(then, &now)).map_err(|error| error.to_string())
}

impl End {
    fn tell(&self, built: &Built, took: Duration, report: &Reporter) -> Exit {
        let Built { done, drilled, generation, .. } = built;
        let (objects, kinds) = self.here.totals();
        let rebuilt: Duration = done.stages.iter().map(|stage| stage.took).sum();
        let mut text = format!(
            "generation {generation}: {}\nrebuilt in a lab as one held control plane, with no way out: {} objects of {kinds} kinds served, events and leases aside; {} from an empty machine to its API, {} in all",
            words(drilled),
            thousands(objects),
            duration(rebuilt),
            duration(took),
        );
        let lacking: Vec<&Difference> =
            self.differences.iter().filter(|found| found.other < found.one).collect();
        for Difference { kind, one, other } in &self.differences {
            text.push_str(&format!("\n  {kind}: {one} in the generation, {other} here"));
        }
        for (kind, why) in &self.here.unlisted {
            text.push_str(&format!("\n  {kind}: not listed here: {why}"));
        }
        match &self.live {
            Err(why) => text.push_str(&format!("\nthe living cluster was not compared: {why}")),
            Ok(same) if same.is_empty() => {
                text.push_str("\nthe living cluster has as many objects of each kind today");
            }
            Ok(found) => {
                text.push_str("\nthe living cluster has today");
                for Difference { kind, one, other } in found {
                    text.push_str(&format!("\n  {kind}: {other}, and the generation {one}"));
                }
            }
        }
        let proven = drilled.is_proven() && lacking.is_empty() && self.here.unlisted.is_empty();
        let value = json!({
            "generation": generation, "proven": proven, "drilled": drilled, "served": self.here,
            "differences": self.differences, "live": self.live.as_ref().ok(), "not_compared": self.live.as_ref().err(),
            "rebuilt_seconds": rebuilt.as_secs_f64(), "seconds": took.as_secs_f64(),
        });
        report.result(&text, value);
        if proven { Exit::Done } else { Exit::Due }
    }
}
