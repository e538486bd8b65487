//! What changed of who may do what, from one kept generation to the next: a thief may have left something in the one that
//! comes back.

use crate::cli;
use crate::commands::archive::in_words;
use crate::commands::drill::drill_through;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::generation::{Generation, take_chosen};
use crate::report::Reporter;
use crate::session::Session;
use crate::vault::generation_name;
use archive::Generations;
use inventory::Source;
use plan::access::Access;
use std::fmt::Write as _;
use std::path::Path;
use time::OffsetDateTime;

/// The first that counts of each day before the chosen one, the oldest first. Each takes some seconds to boot.
fn compared<'g>(generations: &'g Generations, chosen: &archive::Generation) -> Vec<&'g archive::Generation> {
    let place = |one: &archive::Generation| (one.public.epoch, one.public.revision);
    let older = generations.all.iter().rev().filter(|one| one.is_proven() && place(one) < place(chosen));
    let mut days = Vec::new();
    let first = |one: &&archive::Generation| {
        let day = one.created().map(OffsetDateTime::date);
        let new = !days.contains(&day);
        days.push(day);
        new
    };
    older.filter(first).collect()
}

/// For a person: what changed between each two, the chosen one last. One that does not boot is named, and left out.
pub async fn text(
    session: &Session,
    generations: &Generations,
    (chosen, last): (&archive::Generation, Access),
    from: (&Source, &Path),
    args: &cli::Rebuild,
    environment: &Environment,
    report: &Reporter,
) -> String {
    let now = OffsetDateTime::now_utc();
    let (mut text, mut before) = (String::new(), None::<(String, Access)>);
    let mut tell = |name: String, access: Access, text: &mut String| {
        if let Some((was, old)) = before.take() {
            let changes = old.changes(&access);
            let count = if changes.is_empty() { "nothing" } else { "" };
            // Writing to a String can't fail.
            let _ = writeln!(text, "who may do what, from {was} to {name}: {count}");
            for one in changes {
                let _ = writeln!(text, "  {} {} {}: {}", one.how, one.kind, one.name, one.what);
            }
        }
        before = Some((name, access));
    };
    let older = compared(generations, chosen);
    if older.is_empty() {
        return "no older generation is kept: what a thief changed in roles and webhooks can't be shown\n"
            .into();
    }
    for one in older {
        match read(session, one, from, args, environment, report).await {
            Ok(access) => tell(in_words(one, now), access, &mut text),
            Err(failure) => {
                let _ = writeln!(text, "! {} could not be read: {}", generation_name(one), failure.message);
            }
        }
    }
    tell(generation_name(chosen), last, &mut text);
    text
}

async fn read(
    session: &Session,
    one: &archive::Generation,
    from: (&Source, &Path),
    args: &cli::Rebuild,
    environment: &Environment,
    report: &Reporter,
) -> Result<Access, Failure> {
    let taken = take_chosen(&session.vault, one, environment, report)?;
    let generation = Generation::of(taken, from, args.scratch.as_deref(), environment, report).await?;
    let mut access = Access::default();
    let mut page =
        |kind: &str, text: &[u8]| access.take(kind, text).map_err(|error| Failure::because(&error));
    drill_through(&generation, &mut page).await?;
    Ok(access)
}
