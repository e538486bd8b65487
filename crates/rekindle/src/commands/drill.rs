//! `drill`: boots a generation by its own Kubernetes, reads all of it, and says what was proven.

mod guard;
mod lab;

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::generation::Generation;
use crate::report::{Reporter, duration};
use crate::vault::Tried;
use archive::Level;
use engine::Pipe;
use plan::drill::{Drilled, Purpose, Undecodable};
use plan::export::{Frame, Frames};
use std::ops::ControlFlow;
use std::time::Duration;
use step::Output;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// No answer is longer than this, in bytes: a line a kind.
const LONGEST: usize = 8 << 20;

/// One line where all was proven (0), one more for each thing that was not (5).
pub async fn run(args: &cli::Drill, environment: &Environment, report: &Reporter) -> Outcome {
    if args.lab {
        return lab::run(args, environment, report).await;
    }
    let mut which = args.generation.clone();
    if args.from_nothing {
        // With a kit nothing that is noted here is trusted, and with --identity nobody's own is taken.
        which.reading.inventory = None;
    }
    let generation = Generation::open(&which, environment, report).await?;
    let when = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let drilled = drill(&generation).await?;
    let (mut text, proven) = (words(&drilled), drilled.is_proven());
    if proven {
        let noted = generation.prove(tried(&drilled, when, environment));
        if let Err(failure) = noted {
            // A key that can only read is enough to know.
            report.say(format!("note: that it is proven could not be noted: {}", failure.message));
        }
    }
    if let Some(name) = generation.name() {
        text = format!("generation {name}: {text}");
    }
    let value = serde_json::json!({ "generation": generation.name(), "proven": proven, "drilled": drilled });
    report.result(&text, value);
    Ok(if proven { Exit::Done } else { Exit::Due })
}

/// The proof L4 of a generation. A failure with [`Exit::Due`] says why it did not boot.
pub async fn drill(generation: &Generation) -> Result<Drilled, Failure> {
    let mut stdout = Vec::new();
    let mut take = |pipe, bytes: &[u8]| {
        if pipe == Pipe::Out {
            stdout.extend_from_slice(bytes);
        }
        if stdout.len() <= LONGEST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let (status, said) = generation.boot(Purpose::Prove, &mut take).await?;
    judge(generation, (status, said), String::from_utf8_lossy(&stdout).into_owned())
}

/// Takes a page of a kind.
pub type TakePage<'a> = dyn FnMut(&str, &[u8]) -> Result<(), Failure> + Send + 'a;

/// The same, and every page of every kind goes to `page`.
pub async fn drill_through(generation: &Generation, page: &mut TakePage<'_>) -> Result<Drilled, Failure> {
    let (mut frames, mut failed) = (Frames::default(), None);
    let mut take = |pipe, bytes: &[u8]| {
        if pipe != Pipe::Out {
            return ControlFlow::Continue(());
        }
        let due = |error| Failure::because(&error).exit(Exit::Due);
        let found = frames.take(bytes).map_err(due).and_then(|found| {
            found.iter().try_for_each(|frame| match frame {
                Frame::Page(kind, text) => page(kind, text),
                _ => Ok(()),
            })
        });
        match found {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                failed = Some(failure);
                ControlFlow::Break(())
            }
        }
    };
    let ended = generation.boot(Purpose::ProveAndExport, &mut take).await?;
    match failed {
        Some(failure) => Err(failure),
        None => judge(generation, ended, frames.said().to_owned()),
    }
}

fn judge(generation: &Generation, (status, said): (i32, String), stdout: String) -> Result<Drilled, Failure> {
    if status != 0 {
        return Err(Failure::refused(format!("not proven: it ended with {status}: {said}")).exit(Exit::Due));
    }
    let output = Output { status, stdout, stderr: said };
    let mut drilled =
        plan::drill::parse(&output).map_err(|error| Failure::because(&error).exit(Exit::Due))?;
    drilled.undecodable.extend(generation.hash().and_then(|hash| other_hash(&drilled, hash)));
    let doubts = generation.doubts().into_iter();
    drilled.undecodable.extend(doubts.map(|why| Undecodable { what: "when it was taken".into(), why }));
    Ok(drilled)
}

/// What a proven drill comes to, for the archive; `when` as it writes dates.
pub fn tried(drilled: &Drilled, when: String, environment: &Environment) -> Tried {
    let seconds = Duration::try_from_secs_f64(drilled.seconds()).unwrap_or_default().as_secs();
    let what = [("objects".to_owned(), drilled.objects.to_string())].into();
    Tried { level: Level::L4, by: environment.who(), when, seconds, what }
}

/// What etcd holds here is compared with what its members held when the snapshot was taken.
pub fn other_hash(drilled: &Drilled, living: &str) -> Option<Undecodable> {
    let here = format!("{} {}", drilled.hash_kv, drilled.compact_revision);
    let why = || format!("its hash is {here} here, and was {living} on the living members");
    (here != living).then(|| Undecodable { what: "etcd".into(), why: why() })
}

/// In one line, and one more for each thing that was not proven.
pub fn words(drilled: &Drilled) -> String {
    let took = duration(Duration::try_from_secs_f64(drilled.seconds()).unwrap_or_default());
    let objects = thousands(drilled.objects);
    if drilled.is_proven() {
        return format!("booted by its own Kubernetes: all {objects} objects read, {took}");
    }
    let mut text = format!("booted by its own Kubernetes: {objects} objects read, {took}, but not proven:");
    for undecodable in &drilled.undecodable {
        text.push_str(&format!("\n  {}: {}", undecodable.what, undecodable.why));
    }
    text
}

/// `1,204`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_hash_than_the_members_had_is_named() {
        let drilled = Drilled { hash_kv: 7, compact_revision: -1, ..Drilled::default() };
        assert_eq!(other_hash(&drilled, "7 -1"), None);
        for living in ["8 -1", "7 500", ""] {
            assert_eq!(other_hash(&drilled, living).unwrap().what, "etcd", "{living}");
        }
    }

    #[test]
    fn what_a_person_reads() {
        let mut drilled = Drilled { objects: 1204, at: vec![("end".into(), 7.93)], ..Drilled::default() };
        assert_eq!(words(&drilled), "booted by its own Kubernetes: all 1,204 objects read, 7.9 s");
        drilled.undecodable.push(Undecodable { what: "secrets".into(), why: "not listed: no key".into() });
        assert_eq!(
            words(&drilled),
            "booted by its own Kubernetes: 1,204 objects read, 7.9 s, but not proven:\n  secrets: not listed: no key"
        );
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
