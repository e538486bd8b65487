//! `up`: the whole line. Inventory, archive, survey; then mint or open, seal, and run the plan.

mod before_touch;
pub mod judge;
pub mod payload;
mod summary;
pub mod timers;

use crate::cli;
use crate::commands::snapshot::Made;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::ready::{Beginning, Brought, Ready, fetch};
use crate::report::{Reporter, duration};
use crate::session::Session;
use crate::vault::{Missing, Remembered};
use archive::Sealed;
use engine::Settings;
use pki::{Bundle, SystemEntropy};
use plan::{Growth, Payload};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;
use summary::{before_relying, first_generation, tell_before_relying};
pub use summary::{conclude, failed, sealed_words, tell_kept, tell_minted};

/// Makes the cluster what the inventory says.
pub async fn run(args: &cli::Up, environment: &Environment, report: &Reporter) -> Outcome {
    let started = Instant::now();
    let session = Session::open(&args.cluster, environment, report).await?;
    converge(session, args, started, environment, report).await
}

/// The same where everything was opened already.
pub async fn converge(
    session: Session,
    args: &cli::Up,
    started: Instant,
    environment: &Environment,
    report: &Reporter,
) -> Outcome {
    judge::made_by_us(&session)?;
    let mut ready = prepare(session, environment, report).await?;
    let preview = match ready.growth {
        // Nothing stands: everything is open.
        Growth::Laid => None,
        Growth::Added => {
            let preview = engine::preview(&ready.session.hosts, &ready.plan, args.overwrite).await;
            tell_kept(&ready.plan, &preview, report);
            if preview.nothing_to_do() {
                // A recipient, a destination or a comment may have changed all the same.
                let (sealed, recipients) = ready.seal(environment)?;
                // And the run that made the last change may have been killed before its end.
                let generation = match ready.session.any_control_plane() {
                    Ok(on) => first_generation(&ready, &on, environment, report).await?,
                    Err(_) => None,
                };
                let advice = before_relying(&ready, &sealed, &recipients, Made::counts(generation.as_ref()));
                let end = Unchanged {
                    generation: generation.as_ref(),
                    missing: ready.missing(&sealed, environment, report)?,
                    payload: payload::seal(&ready, &recipients, environment, report).await,
                    advice: &advice,
                };
                let exit = ready.unchanged(&sealed, &end, started, report);
                tell_before_relying(&ready, &advice, environment, report);
                return Ok(exit);
            }
            Some(preview)
        }
    };
    ready.bring_files(preview.as_ref(), environment, report).await?;
    if ready.growth == Growth::Added && !args.without_snapshot {
        // It names the identity set of the cluster as it is, not as it will be.
        let made = before_touch::generation(&ready, environment, report).await?;
        made.iter().for_each(|made| report.say(made.words()));
    }
    let (sealed, recipients) = ready.seal(environment)?;
    report.say(sealed_words(&sealed));
    tell_minted(&recipients, report);
    let blobs = ready.blobs();
    let settings = Settings { preview: preview.as_ref(), blobs: &blobs, overwrite: args.overwrite };
    let (done, born) = ready.apply(&settings, &sealed, environment).await;
    let result = conclude(&ready, &done, (&sealed, &recipients), started, environment, report).await;
    born?;
    result
}

/// What a run that had nothing to do on nodes did for the archive.
struct Unchanged<'a> {
    generation: Option<&'a Made>,
    missing: Missing,
    payload: payload::Sealing,
    advice: &'a [String],
}

/// Judges what stands, mints or opens, and makes the plan.
pub async fn prepare(
    session: Session,
    environment: &Environment,
    report: &Reporter,
) -> Result<Ready, Failure> {
    let standing = session.standing();
    let growth = judge::decide(&session, &standing)?;
    judge::epoch(&session)?;
    let runs_the_wanted_version = judge::version(&session)?;
    judge::fixed_keys(&session, runs_the_wanted_version)?;
    let first = session.remembered.is_none();
    if first && !session.loaded.parsed.first_up_errors.is_empty() {
        return Err(Failure::refused(session.loaded.parsed.first_up_errors.render(report.colour).trim_end()));
    }
    judge::preflight(&session)?;
    for (host, why) in &session.absent {
        report.say(format!("{host}: takes no part: {why}"));
    }
    let local = session.loaded.local_files(environment)?;
    let bundle = match &session.remembered {
        Some(remembered) => reopened(remembered, &session)?,
        None => Bundle::mint(
            session.cluster(),
            session.loaded.own_ca(environment)?.as_ref(),
            session.now,
            &mut SystemEntropy,
        )
        .map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?,
    };
    let brought = match session.remembered.as_ref().and_then(|remembered| same_payload(remembered, &session))
    {
        Some(payload) => Brought { payload, files: BTreeMap::new(), artifacts: None },
        None => fetch(&session, environment, report).await?.into(),
    };
    // How the cluster came about stays true.
    let facts = session.remembered.as_ref().map(|remembered| remembered.facts().clone()).unwrap_or_default();
    let beginning = Beginning { growth, bundle, local, brought, rebuild: None, facts };
    Ready::settle(session, beginning, environment, report).await
}

/// The same bundle as a value of our own.
fn reopened(remembered: &Remembered, session: &Session) -> Result<Bundle, Failure> {
    let entries = remembered.bundle.entries();
    Bundle::complete(entries, session.cluster(), None, session.now, &mut SystemEntropy)
        .map_err(|error| Failure::because(&error).maybe_hint(error.hint()))
}

/// The archived payload, where it is for this version.
fn same_payload(remembered: &Remembered, session: &Session) -> Option<Payload> {
    let same = remembered.cluster.as_ref().is_some_and(|old| old.kubernetes == session.cluster().kubernetes);
    remembered.payload.clone().filter(|_| same)
}

impl Ready {
    fn unchanged(&self, sealed: &Sealed, end: &Unchanged, started: Instant, report: &Reporter) -> Exit {
        let Unchanged { generation, missing, payload, advice } = end;
        let traffic = self.session.hosts.traffic();
        let trips = traffic.values().map(|traffic| traffic.round_trips).max().unwrap_or(0);
        let absent: Vec<_> = self.session.absent.keys().collect();
        report.result(
            &format!("nothing to do: {} is as the inventory says ({})", self.session.cluster().name, duration(started.elapsed())),
            json!({"changed": 0, "round_trips": trips, "traffic": traffic, "absent": absent, "generation": generation.map(Made::value), "payload": payload::value(payload), "before_relying": advice, "seconds": started.elapsed().as_secs_f64()}),
        );
        if sealed.new {
            report.say(sealed_words(sealed));
        }
        let mut debts = missing.debts.clone();
        if let Some(made) = generation {
            report.say(made.headline());
            debts.extend(made.complaints());
        }
        if let Some(headline) = payload::headline(payload) {
            report.say(headline);
        }
        debts.extend(payload::complaints(payload));
        debts.extend(self.timers.missing.clone());
        for line in debts.iter().chain(&missing.notes) {
            report.say(format!("archive: {line}"));
        }
        match (absent.is_empty(), debts.is_empty()) {
            (false, _) => Exit::Partly,
            (true, false) => Exit::Due,
            (true, true) => Exit::Done,
        }
    }
}
