//! `archive export`: all objects of a generation as manifests, a file each.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::generation::Generation;
use crate::report::Reporter;
use engine::Pipe;
use plan::drill::Purpose;
use plan::export::{Frame, Frames, manifests};
use std::ops::ControlFlow;
use std::path::Path;

/// Writes them. Kinds that could not be listed are named, and make it exit with 5.
pub async fn run(args: &cli::Generation, to: &Path, environment: &Environment, report: &Reporter) -> Outcome {
    let new = std::fs::read_dir(to).map_or(true, |mut entries| entries.next().is_none());
    if !new {
        return Err(Failure::refused(format!("{}: is not empty", to.display())).hint("name a new folder"));
    }
    let generation = Generation::open(args, environment, report).await?;
    let mut writing = Writing { to, environment, frames: Frames::default(), tally: Tally::default() };
    let mut failed = None;
    let mut take = |pipe, bytes: &[u8]| {
        if pipe == Pipe::Out
            && let Err(failure) = writing.take(bytes)
        {
            failed = Some(failure);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let (_, said) = generation.boot(Purpose::Export, &mut take).await?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    let tally = writing.tally;
    if !tally.complete {
        return Err(Failure::refused(format!("the export was cut off: {said}")).exit(Exit::Partly));
    }
    let mut text =
        format!("{} objects written to {}, {} left out", tally.written, to.display(), tally.left_out);
    for (kind, why) in &tally.unlisted {
        text.push_str(&format!("\n  {kind}: not listed: {why}"));
    }
    let value = serde_json::json!({
        "to": to, "written": tally.written, "left_out": tally.left_out, "unlisted": tally.unlisted,
    });
    report.result(&text, value);
    Ok(if tally.unlisted.is_empty() { Exit::Done } else { Exit::Due })
}

#[derive(Default)]
struct Tally {
    written: usize,
    left_out: usize,
    unlisted: Vec<(String, String)>,
    complete: bool,
}

struct Writing<'a> {
    to: &'a Path,
    environment: &'a Environment,
    frames: Frames,
    tally: Tally,
}

impl Writing<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let partly = |error: &dyn std::error::Error| Failure::because(error).exit(Exit::Partly);
        for frame in self.frames.take(bytes).map_err(|error| partly(&error))? {
            match frame {
                Frame::Unlisted(kind, why) => self.tally.unlisted.push((kind, why)),
                Frame::Complete => self.tally.complete = true,
                Frame::Page(kind, page) => {
                    // A page that is no list is told of right after it, as a kind that was not listed.
                    let Ok((made, left_out)) = manifests(&kind, &page) else { continue };
                    self.tally.left_out += left_out;
                    for manifest in made {
                        let path = self.to.join(&manifest.path);
                        // A Secret's content may be in it.
                        let written = self.environment.write(&path, manifest.text.as_bytes(), 0o600);
                        written.map_err(|error| file_error("cannot be written", &path, &error))?;
                        self.tally.written += 1;
                    }
                }
            }
        }
        Ok(())
    }
}
