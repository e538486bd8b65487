//! `snapshot`: a generation now. Taken and proven on a control plane, encrypted as it comes, published at every
//! destination that can be reached from here.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::receive::{self, Receiving};
use crate::report::{Reporter, bytes, duration};
use crate::session::Session;
use crate::vault::{Missing, Signing, Tried, published_name};
use archive::{Level, ManifestId, Published, Spooled};
use inventory::Node;
use plan::capture::{Captured, Origin};
use serde_json::json;
use std::time::Instant;
use step::HostId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Takes one.
pub async fn run(args: &cli::Snapshot, environment: &Environment, report: &Reporter) -> Outcome {
    let started = Instant::now();
    let session = Session::open(&args.cluster, environment, report).await?;
    let remembered = session.remembered.as_ref().ok_or_else(|| {
        Failure::refused("there is no archive yet").hint("`rekindle up` builds the cluster and seals it")
    })?;
    let signing = Signing::with(&remembered.bundle)?;
    let from = match &args.from_disk {
        Some(name) => (choose(&session, Some(name))?, Origin::Disk),
        None => (choose(&session, args.node.as_deref())?, Origin::Member),
    };
    let made = take(&session, &signing, from, environment, report).await?;
    let generations = session.vault.generations_of(&signing)?;
    session.vault.open_in_passing(&generations, &remembered.bundle, environment, report);
    let mut value = made.value();
    value["seconds"] = started.elapsed().as_secs_f64().into();
    report.result(&format!("{}\n{}", made.words(), duration(started.elapsed())), value);
    Ok(if made.complaints().is_empty() { Exit::Done } else { Exit::Due })
}

/// A new generation.
pub struct Made {
    published: Published,
    captured: Captured,
    spooled: Spooled,
    node: String,
    doubts: Vec<String>,
    missing: Missing,
}

/// Takes a snapshot on one control plane, and publishes it.
///
/// # Errors
/// A member that takes none, no destination that took it.
pub async fn take(
    session: &Session,
    signing: &Signing,
    (node, origin): (&Node, Origin),
    environment: &Environment,
    report: &Reporter,
) -> Result<Made, Failure> {
    let scratch = environment.scratch("snapshot")?;
    let created = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let identity = &session.vault.newest_identity(signing)?;
    let spool = scratch.path().join("spool");
    let from = match origin {
        Origin::Member => "etcd",
        Origin::Disk => "what its disk has of etcd",
    };
    report.say(format!(
        "{}: snapshot of {from}: taken, restored and booted there, then encrypted here",
        node.name
    ));
    let on = HostId::new(&node.name);
    let receiving =
        Receiving { address: node.address, identity, spool: &spool, created: &created, keep: None, origin };
    let begun = Instant::now();
    let received = receive::snapshot(&session.hosts, &on, &receiving).await?;
    let doubts = received.doubts.clone();
    let (captured, spooled) = received.finish()?;
    for warning in captured.warnings() {
        report.say(format!("warning: {warning}"));
    }
    let proven_in = begun.elapsed();
    let published = session.vault.publish(&spool, signing)?;
    if doubts.is_empty() {
        let tried = Tried {
            level: Level::L3,
            by: node.name.clone(),
            when: created,
            seconds: proven_in.as_secs(),
            what: receive::figures(&captured),
        };
        session.vault.prove(&published.id, tried, signing)?;
    }
    let missing = session.vault.published(&published);
    missing.notes.iter().for_each(|note| report.say(note));
    Ok(Made { published, captured, spooled, node: node.name.clone(), doubts, missing })
}

/// The nodes whose etcd member answered with a quorum behind it.
pub fn members(session: &Session) -> impl Iterator<Item = &Node> {
    session.cluster().etcd_nodes().filter(|node| {
        let host = HostId::new(&node.name);
        session.answers.get(&host).is_some_and(|answer| answer.today.members.is_some())
    })
}

/// What there is where no member's snapshot could be proven.
pub struct Unproven {
    /// The first that was taken all the same.
    pub made: Option<Made>,
    /// Why each is not proven, or was not taken.
    pub why: Vec<String>,
}

/// A generation from one member after the other, until one is proven.
pub async fn take_proven(
    session: &Session,
    signing: &Signing,
    environment: &Environment,
    report: &Reporter,
) -> Result<Made, Unproven> {
    let mut unproven = Unproven { made: None, why: Vec::new() };
    for node in members(session) {
        match take(session, signing, (node, Origin::Member), environment, report).await {
            Ok(made) if made.is_proven() => return Ok(made),
            Ok(made) => {
                let complaints = made.complaints().into_iter();
                unproven.why.extend(complaints.map(|why| format!("{}: {why}", node.name)));
                unproven.made = unproven.made.or(Some(made));
            }
            Err(failure) => unproven.why.push(failure.message),
        }
    }
    Err(unproven)
}

/// The named control plane, or the first that has an etcd member with a quorum behind it.
pub fn choose<'s>(session: &'s Session, named: Option<&str>) -> Result<&'s Node, Failure> {
    if let Some(name) = named {
        let node = session.cluster().etcd_nodes().find(|node| node.name == name);
        return node.ok_or_else(|| Failure::refused(format!("{name}: no node with etcd has this name")));
    }
    members(session).next().ok_or_else(|| {
        session.with_absent(
            Failure::refused("no etcd member answers with a quorum behind it")
                .exit(Exit::Unknown)
                .hint("`--from-disk NODE` seals what a node's disk has; it counts for nothing, since nobody confirms it"),
        )
    })
}

impl Made {
    /// Its manifest.
    pub fn id(&self) -> ManifestId {
        self.published.id
    }

    /// etcd's revision.
    pub fn revision(&self) -> u64 {
        self.captured.revision
    }

    /// Whether it counts, if a destination has it.
    pub fn is_proven(&self) -> bool {
        self.doubts.is_empty()
    }

    /// What is missing: doubts, and destinations that do not have it.
    pub fn complaints(&self) -> Vec<String> {
        let doubts = self.doubts.iter().map(|doubt| format!("not proven: {doubt}"));
        doubts.chain(self.missing.debts.iter().cloned()).collect()
    }

    /// Whether a generation counts: the one that was made, or, where none was, one that was there.
    pub fn counts(made: Option<&Self>) -> bool {
        made.is_none_or(Self::is_proven)
    }

    /// For a person: what was made, and what is missing, a line each.
    pub fn words(&self) -> String {
        let complaints = self.complaints().into_iter().map(|complaint| format!("\n! {complaint}"));
        complaints.fold(self.headline(), |words, complaint| words + &complaint)
    }

    /// What was made, in one line.
    pub fn headline(&self) -> String {
        let Self { published, captured, spooled, node, .. } = self;
        let proven = if self.is_proven() {
            format!(
                "restored and booted on {node}, {} keys, the same hash as {} members",
                captured.keys,
                captured.compared().count()
            )
        } else {
            "NOT PROVEN".to_owned()
        };
        format!(
            "generation {}: revision {}, {} ({} encrypted), {proven}; at {}",
            published_name(published),
            captured.revision,
            bytes(spooled.size),
            bytes(spooled.ciphertext),
            published.proven.join(", "),
        )
    }

    /// For a program.
    pub fn value(&self) -> serde_json::Value {
        json!({
            "generation": published_name(&self.published), "epoch": self.published.epoch, "revision": self.captured.revision,
            "keys": self.captured.keys, "size": self.spooled.size, "encrypted": self.spooled.ciphertext,
            "node": self.node, "proven": self.is_proven(), "doubts": self.doubts,
            "at": self.published.proven, "complaints": self.complaints(),
        })
    }
}
