//! `archive export`: all objects of a generation as manifests, a file each; those that a node attached when it booted the
//! generation, else it is booted here.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::generation::Generation;
use crate::report::Reporter;
use crate::vault::Vault;
use engine::Pipe;
use plan::drill::Purpose;
use plan::export::stream::{Documents, Piece};
use plan::export::{Frame, Frames, Manifest, manifests};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

/// Writes them. Kinds that could not be listed are named, and make it exit with 5.
pub async fn run(args: &cli::Generation, to: &Path, environment: &Environment, report: &Reporter) -> Outcome {
    let new = std::fs::read_dir(to).map_or(true, |mut entries| entries.next().is_none());
    if !new {
        return Err(Failure::refused(format!("{}: is not empty", to.display())).hint("name a new folder"));
    }
    let mut writing = Writing { to, environment, tally: Tally::default() };
    let said = match attached(args, &mut writing, report)? {
        true => String::new(),
        false => booted(args, &mut writing, report).await?,
    };
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

/// From what a node attached when it booted the generation, where one did. `false`: none did.
fn attached(args: &cli::Generation, writing: &mut Writing, report: &Reporter) -> Result<bool, Failure> {
    if args.snapshot.is_some() {
        return Ok(false);
    }
    let environment = writing.environment;
    let (_, vault) = Vault::read(&args.reading, environment, report)?;
    let generations = vault.generations_not_from(&args.distrust.not_from)?;
    let chosen = vault.choose(&generations, args.generation.as_deref())?;
    // By what the proof says, nothing is opened in vain.
    if !chosen.proofs.iter().any(|proven| proven.proof.what.contains_key("exported")) {
        return Ok(false);
    }
    let scratch = environment.scratch("export")?;
    let mut reading = Reading { documents: Documents::default(), writing, failed: None };
    let opened = vault.open_generation(&chosen.id, scratch.path(), &mut std::io::sink(), &mut reading);
    if let Some(failure) = reading.failed {
        return Err(failure);
    }
    // What was written counts only if this is well.
    let opened = opened.map_err(|failure| failure.exit(Exit::Partly))?;
    vault.note_opened(chosen, &opened.identity.bundle, environment, report);
    Ok(opened.snapshot.export.is_some())
}

/// By booting it. Returns the end of what was said.
async fn booted(
    args: &cli::Generation,
    writing: &mut Writing<'_>,
    report: &Reporter,
) -> Result<String, Failure> {
    let generation = Generation::open(args, writing.environment, report).await?;
    let (mut frames, mut failed) = (Frames::default(), None);
    let mut take = |pipe, bytes: &[u8]| {
        if pipe == Pipe::Out
            && let Err(failure) = writing.take(&mut frames, bytes)
        {
            failed = Some(failure);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let (_, said) = generation.boot(Purpose::Export, &mut take).await?;
    failed.map_or(Ok(said), Err)
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
    tally: Tally,
}

impl Writing<'_> {
    fn take(&mut self, frames: &mut Frames, bytes: &[u8]) -> Result<(), Failure> {
        for frame in frames.take(bytes).map_err(|error| Failure::because(&error).exit(Exit::Partly))? {
            match frame {
                Frame::Unlisted(kind, why) => self.tally.unlisted.push((kind, why)),
                Frame::Complete => self.tally.complete = true,
                Frame::Page(kind, page) => {
                    // A page that is no list is told of right after it, as a kind that was not listed.
                    let Ok((made, left_out)) = manifests(&kind, &page) else { continue };
                    self.tally.left_out += left_out;
                    made.iter().try_for_each(|manifest| self.manifest(manifest))?;
                }
            }
        }
        Ok(())
    }

    fn manifest(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        let path = self.to.join(&manifest.path);
        // A Secret's content may be in it.
        let written = self.environment.write(&path, manifest.text.as_bytes(), 0o600);
        written.map_err(|error| file_error("cannot be written", &path, &error))?;
        self.tally.written += 1;
        Ok(())
    }
}

/// An attached export, as it comes out of the archive.
struct Reading<'a, 'w> {
    documents: Documents,
    writing: &'a mut Writing<'w>,
    failed: Option<Failure>,
}

impl Reading<'_, '_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let partly = |error: &dyn std::error::Error| Failure::because(error).exit(Exit::Partly);
        for piece in self.documents.take(bytes).map_err(|error| partly(&error))? {
            let tally = &mut self.writing.tally;
            match piece {
                Piece::Manifest(manifest) => self.writing.manifest(&manifest)?,
                Piece::Unlisted(kind, why) => tally.unlisted.push((kind, why)),
                Piece::Complete(written, left_out) => {
                    tally.complete = written == tally.written;
                    tally.left_out = left_out;
                }
            }
        }
        Ok(())
    }
}

impl Write for Reading<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.take(bytes).map(|()| bytes.len()).map_err(|failure| {
            let error = std::io::Error::other(failure.message.clone());
            self.failed = Some(failure);
            error
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
