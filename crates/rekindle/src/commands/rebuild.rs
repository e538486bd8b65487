//! `rebuild`: the same cluster again, from the archive. What it needs is proven to be there before the first host is
//! touched: the generation is opened and booted here, programs and images lie here, the epoch is claimed, the identity
//! set of the new epoch is sealed. Then it is the line of `up`, with members laid from the snapshot.
//!
//! A run that was killed is run again: the archive says which generation the epoch was begun with, the nodes say which of
//! them were made in it, and each step proves itself.

mod before;
mod chosen;
mod from_disk;
mod in_place;
mod map;
mod old;
mod places;
mod programs;
mod renewal;
mod shown;
mod since;
mod start;

use crate::cli;
use crate::commands::drill::{drill_through, tried};
use crate::commands::up::{self, conclude, judge, sealed_words, tell_minted};
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::generation::{Generation, take_chosen};
use crate::ready::{Beginning, Ready, stamp};
use crate::report::{Reporter, duration};
use crate::session::Session;
use crate::vault::{Recipients, Remembered, Signing, fenced_by, generation_name};
use artifacts::Sha256;
use before::Before;
use chosen::{Begun, begun, choose, moved_by};
use engine::Settings;
use pki::{Bundle, SystemEntropy};
use plan::access::Access;
use plan::drill::Drilled;
use plan::{Growth, Objects, Rebuild, Standing};
use programs::Programs;
use renewal::Renewal;
use serde_json::json;
use start::Start;
use std::collections::BTreeMap;
use std::time::Instant;
use step::Digest;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Shows, asks, claims, builds.
pub async fn run(args: &cli::Rebuild, environment: &Environment, report: &Reporter) -> Outcome {
    let started = Instant::now();
    let (cluster, anew) = (args.from.cluster(), Some(&args.from.reinstalled[..]));
    let Start { loaded, vault, left, is_current, facts: mapped } = Start::read(args, environment, report)?;
    let vault = vault.without(&args.without)?;
    let session = Session::reach(loaded, vault, &cluster, anew, environment, report).await?;
    let remembered = session.remembered.as_ref().ok_or_else(empty)?;
    if stands(&session, begun(remembered, args.take_over, environment)?.as_ref(), args)? {
        if !is_current {
            return Err(Failure::refused(
                "the cluster of this epoch stands, built with another generation or --map",
            )
            .hint("leave both out to converge it; nothing of a living cluster is built again"));
        }
        report.say("the cluster of this epoch stands: what is left to do is `up`'s");
        left.iter().for_each(|left| left.write(environment, report));
        let up = cli::Up { cluster, overwrite: false, without_snapshot: false };
        return up::converge(session, &up, started, environment, report).await;
    }
    let built = build(session, args, (Stage::Real, mapped), environment, report).await?;
    let Built { ready, done, born, sealed, recipients, programs, .. } = built;
    if args.hold {
        let name = ready.session.cluster().name.clone();
        return held(&ready, &done, &name, started, report);
    }
    let result = conclude(&ready, &done, (&sealed, &recipients), started, environment, report).await;
    born?;
    left.iter().for_each(|left| left.write(environment, report));
    if result.is_ok() {
        programs.forget();
    }
    result
}

/// Whether it is for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The cluster's own machines.
    Real,
    /// Machines that go when it is over: nobody is asked whether the old cluster is gone, and nobody agrees.
    Rehearsal,
}

/// What came of it.
pub struct Built {
    /// All that was settled before.
    pub ready: Ready,
    /// What the engine says.
    pub done: engine::Report,
    /// Whether the archive took it that the cluster lives.
    pub born: Result<(), Failure>,
    /// The generation's name.
    pub generation: String,
    /// What was read of it here, before any machine was touched.
    pub drilled: Drilled,
    /// What it says.
    pub objects: Objects,
    sealed: archive::Sealed,
    recipients: Recipients,
    programs: Programs,
}

fn empty() -> Failure {
    Failure::refused("the archive is empty: there is nothing to rebuild from")
        .hint("`rekindle up` makes a new cluster")
}

/// The line: proven here, agreed to, claimed, sealed, built.
pub async fn build(
    mut session: Session,
    args: &cli::Rebuild,
    (stage, mapped): (Stage, BTreeMap<String, String>),
    environment: &Environment,
    report: &Reporter,
) -> Result<Built, Failure> {
    let remembered = session.remembered.as_ref().ok_or_else(empty)?;
    let begun = begun(remembered, args.take_over, environment)?;
    let disks = from_disk::seal(&session, remembered, begun.as_ref(), args, environment, report).await?;
    let mut generations = session.vault.generations_not_from(&args.distrust.not_from)?;
    let (chosen, mut notes, lost) = match from_disk::choose(&disks, &generations)? {
        Some(choice) => (choice.taken, choice.notes, Some(choice.lost)),
        None => {
            let wanted = args.generation.as_deref();
            (choose(&session.vault, &generations, wanted, begun.as_ref())?, Vec::new(), None)
        }
    };
    let chosen = &chosen.clone();
    if args.in_place {
        notes.extend(in_place::undone(&session, chosen, begun.is_some()).await);
    } else if begun.is_none() && disks.is_empty() {
        notes.extend(from_disk::unnamed(&session));
    }
    let taken = take_chosen(&session.vault, chosen, environment, report)?;
    if stage == Stage::Real {
        fits(&session, &taken.remembered)?;
    }
    let snapshot_size = std::fs::metadata(&taken.snapshot).map_or(0, |found| found.len());
    let begun_in = begun.as_ref().map_or(0, |begun| begun.epoch);
    let room = plan::room(session.cluster(), &session.answers, snapshot_size, begun_in);
    judge::preflight_with(&session, room)?;
    let now_sealed = begun.as_ref().map(|_| remembered);
    let renewal = Renewal::settle(&args.renewal, now_sealed, &taken.remembered, &session, environment)?;
    let programs = Programs::find(&session, &taken.remembered, environment, report)?;
    let brought = programs.brought(&session, &taken.remembered, environment, report).await?;
    let snapshot = taken.snapshot.clone();
    let from = (&programs.source, programs.base.as_path());
    let generation = Generation::of(taken, from, args.scratch.as_deref(), environment, report).await;
    let generation = generation.map_err(|failure| failure.exit(Exit::Refused))?;
    let then = generation.remembered();
    let (drilled, objects, access) = prove(&generation).await?;
    let when = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let tried = tried(&drilled, when, environment);
    if drilled.is_proven()
        && let Err(failure) = session.vault.prove(&chosen.id, tried, &Signing::with(&then.bundle)?)
    {
        report.say(format!("note: that it is proven could not be noted: {}", failure.message));
    }
    // The one that goes on, or the next that is free.
    let own =
        remembered.holding().unfinished().filter(|claim| claim.is_of(&environment.user, &environment.host));
    let epoch = own.map_or(session.epoch() + 1, |claim| claim.epoch);
    let (old, before) = match stage {
        Stage::Real => {
            let old = old::look(&session, then, chosen, &objects, args, report).await;
            let mut old = old.map_err(|failure| failure.and(&notes))?;
            let before = Before::look(&session, then, epoch, &args.from.cluster(), environment).await?;
            old.proves(&before.stopped);
            (old, Some(before))
        }
        Stage::Rehearsal => Default::default(),
    };
    let newer = old::newer(&session, &old, &objects).await;
    let since = match args.renewal.after_theft && begun.is_none() {
        true => since::text(&session, &generations, (chosen, access), from, args, environment, report).await,
        false => String::new(),
    };
    let show = shown::Show {
        session: &session,
        chosen,
        drilled: &drilled,
        objects: &objects,
        old: &old,
        newer: &newer,
        renewal: &renewal,
        before: before.as_ref(),
        since: &since,
        epoch,
        notes: &notes,
        lost: lost.as_deref(),
    };
    if stage == Stage::Real {
        shown::agree(&show, begun.is_some(), args, report)?;
    }
    if args.in_place && begun.is_none() {
        let made = in_place::seal_present(&session, remembered, environment, report).await?;
        report.say(made.headline());
        generations = session.vault.generations_not_from(&args.distrust.not_from)?;
    }

    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let fences = match &begun {
        Some(begun) => begun.fences.clone(),
        None => generations.running().iter().map(|one| one.public.etcd_cluster.clone()).collect(),
    };
    let claimed = session.vault.claim(remembered, &fences, args.take_over, stamp(&now, environment))?;
    for failed in &claimed.failed {
        report.say(format!("! the claim of epoch {}: {failed}", claimed.claim.epoch));
    }
    let (sha256, size) =
        Sha256::of_file(&snapshot).map_err(|error| file_error("cannot be read", &snapshot, &error))?;
    let snapshot_digest = Digest::from_bytes(sha256.bytes());
    let bump = begun.as_ref().map_or_else(|| moved_by(&generations, chosen), |begun| begun.bump);
    // The archive as it is now: of this epoch.
    session.remembered = session.vault.open()?;
    let bundle = bundle(&session, begun.as_ref(), then, &renewal)?;
    // What an epoch was begun with is in its own identity set.
    let now_sealed = session.remembered.as_ref();
    let sets = if begun.is_some() { [now_sealed, Some(then)] } else { [Some(then), now_sealed] };
    let local = session.loaded.archived_files(&sets, environment)?;
    let (local, made_anew) = renewal.files(local, &session)?;
    let rebuild = Rebuild {
        claim: fenced_by(&claimed.claim).words(),
        epoch: claimed.claim.epoch,
        snapshot: (snapshot_digest, size),
        bump,
        gone: old.gone.clone(),
        kept: old.gone.iter().filter_map(|name| objects.kept.get(name)).flatten().cloned().collect(),
        living: old.living.clone(),
        unknown: old.unknown.clone(),
        aside: objects.aside.clone(),
        hold: args.hold,
        lives: args.in_place,
        made_anew,
    };
    let fencing = rebuild.clone();
    let mut facts: BTreeMap<String, String> = chosen::facts(chosen, bump).into_iter().chain(mapped).collect();
    facts.extend(renewal.fact());
    let beginning = Beginning { growth: Growth::Laid, bundle, local, brought, rebuild: Some(rebuild), facts };
    let mut ready = Ready::settle(session, beginning, environment, report).await?;
    let (sealed, recipients) = ready.seal(environment)?;
    report.say(sealed_words(&sealed));
    tell_minted(&recipients, report);
    if let Some(said) = renewal.write(ready.local(), ready.session.epoch(), environment)? {
        report.say(said);
    }
    if let Some(before) = before {
        before.fence(&fencing, &ready.session).await?;
    }
    let mut blobs = ready.blobs();
    blobs.insert(snapshot_digest, &snapshot);
    let settings = Settings { preview: None, blobs: &blobs, overwrite: false };
    let (done, born) = ready.apply(&settings, &sealed, environment).await;
    let generation = generation_name(chosen);
    Ok(Built { ready, done, born, generation, drilled, objects, sealed, recipients, programs })
}

/// The end of a run that stops before anything acts on what came back.
fn held(ready: &Ready, done: &engine::Report, name: &str, started: Instant, report: &Reporter) -> Outcome {
    if let Some(failure) = up::failed(ready, done) {
        return Err(failure);
    }
    let took = duration(started.elapsed());
    let text = format!(
        "{name} is held: etcd and the apiservers are there, and nothing acts on what came back ({took})\n\
         look at it: rekindle kubectl -i {} -- get nodes\n\
         go on: the same command with --release instead of --hold",
        ready.session.loaded.path.display()
    );
    let value =
        json!({"held": true, "epoch": ready.session.epoch(), "seconds": started.elapsed().as_secs_f64()});
    report.result(&text, value);
    Ok(Exit::Done)
}

/// Whether the cluster of the newest epoch stands already.
///
/// # Errors
/// Something that must not be built over: another cluster's nodes, a cluster that lives, too few machines.
fn stands(session: &Session, begun: Option<&Begun>, args: &cli::Rebuild) -> Result<bool, Failure> {
    let standing = session.standing();
    match &standing {
        Standing::Stranger(_) => return judge::decide(session, &standing).map(|_| false),
        Standing::Ours { members, .. } => {
            let epochs = session.answers.values().filter(|answer| answer.today.members.is_some());
            let newest = epochs.filter_map(|answer| answer.today.epoch).max();
            let is_newest = newest == Some(session.epoch());
            if is_newest && begun.is_some() {
                return Ok(false);
            }
            if args.in_place {
                return in_place::reachable(session, members).map(|()| false);
            }
            if is_newest && session.epoch() > 1 {
                return Ok(true);
            }
            return Err(Failure::refused(format!(
                "the cluster {} lives: its etcd has a quorum",
                session.cluster().name
            ))
            .hint(
                "`rekindle up` brings back nodes that it lacks; --in-place GEN goes back to a generation",
            ));
        }
        _ if args.in_place && begun.is_none() => return Err(in_place::nothing_lives()),
        _ => {}
    }
    let etcd: Vec<_> = session.cluster().etcd_nodes().collect();
    let here =
        etcd.iter().filter(|node| session.answers.contains_key(&step::HostId::new(&node.name))).count();
    if here * 2 <= etcd.len() {
        return Err(session.with_absent(Failure::refused(format!(
            "{here} of {} machines for etcd answer, and a majority is needed",
            etcd.len()
        ))));
    }
    Ok(false)
}

/// What is fixed in a cluster's life is fixed in its next one, but for a newer patch version, and where its machines are
/// and what they do.
fn fits(session: &Session, then: &Remembered) -> Result<(), Failure> {
    let old = then.own_cluster()?;
    let (was, wanted) = (&old.kubernetes, &session.cluster().kubernetes);
    if (was.major, was.minor) != (wanted.major, wanted.minor) || wanted < was {
        return Err(Failure::refused(format!(
            "the generation is of Kubernetes {was}, and the inventory says {wanted}"
        ))
        .hint("rebuild it with its own version or a newer patch of it; upgrade it when it lives"));
    }
    let machines =
        |key: &str| key.starts_with("nodes.") && [".address", ".role"].iter().any(|end| key.ends_with(end));
    judge::fixed_since(session, old, |key| key == "cluster.kubernetes" || machines(key))
}

/// Boots the generation here and reads all of it.
///
/// # Errors
/// It did not boot, or something of it could not be read: nothing was touched.
async fn prove(generation: &Generation) -> Result<(Drilled, Objects, Access), Failure> {
    let (mut objects, mut access) = (Objects::default(), Access::default());
    let mut page = |kind: &str, text: &[u8]| {
        let taken = objects.take(kind, text).and_then(|()| access.take(kind, text));
        taken.map_err(|error| Failure::because(&error))
    };
    let drilled =
        drill_through(generation, &mut page).await.map_err(|failure| failure.exit(Exit::Refused))?;
    Ok((drilled, objects, access))
}

/// The bundle of the new epoch: as it was sealed when this was begun, or made now.
fn bundle(
    session: &Session,
    begun: Option<&Begun>,
    then: &Remembered,
    renewal: &Renewal,
) -> Result<Bundle, Failure> {
    let pki = |error: pki::Error| Failure::because(&error).maybe_hint(error.hint());
    let (cluster, entropy) = (session.cluster(), &mut SystemEntropy);
    match (begun, &session.remembered) {
        (Some(_), Some(now)) => {
            Bundle::complete(now.bundle.entries(), cluster, None, session.now, entropy).map_err(pki)
        }
        _ => renewal.bundle(then, session).map_err(pki),
    }
}
