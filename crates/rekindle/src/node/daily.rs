//! Once a day, the node that takes a snapshot also boots it by its own Kubernetes: the proof L4, and all objects as
//! manifests for whoever has no Kubernetes at hand. A snapshot never fails by it.

use super::{remove, write};
use crate::boot::{Booted, boot};
use crate::commands::drill::{other_hash, words};
use crate::failure::{Exit, Failure, file_error};
use crate::receive::Received;
use archive::{EXPORT_ENTRY, Generations, Level, Signer};
use engine::{Hosts, Pipe};
use plan::drill::node::{ADMIN, FOLDERS, KUBEADM, OnNode, SPACE, named_files};
use plan::export::{Frame, Frames, manifests, stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{PipeWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use step::{HostId, Output};
use time::OffsetDateTime;

/// Where a snapshot stays until it was booted.
pub const SNAPSHOT: &str = "/var/lib/rekindle/drill/snapshot.db";
/// When the newest generation was taken that a node booted, as `upload` last read it from the archive.
const ARCHIVED: &str = "/run/rekindle-archive/booted";
/// When this node last tried in vain.
const FAILED: &str = "/var/lib/rekindle-spool/not-booted";

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// 100 MB take less than a minute.
const WITHIN: Duration = Duration::from_secs(1200);

/// A file that is longer is none of those that an apiserver reads, in bytes.
const LONGEST_FILE: u64 = 1 << 20;

/// What a boot came to.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Tried {
    /// How long it took.
    pub seconds: u64,
    /// Figures that anybody may know.
    pub figures: BTreeMap<String, String>,
    /// What was not proven, by name. Empty: the snapshot is proven.
    pub unproven: Vec<String>,
}

/// When it was done, in seconds since 1970; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The newest in the archive, as this node knows it.
    pub archived: i64,
    /// The newest that any node booted, published or not.
    pub booted: i64,
    /// The newest that this node tried in vain.
    pub failed: i64,
}

impl Times {
    /// Those that lie on this node, and etcd's.
    pub fn read(booted: i64) -> Self {
        let read = |path: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        Self { archived: read(ARCHIVED), booted, failed: read(FAILED) }
    }

    /// Whether it is time: the archive has none of this day (UTC). Within an hour nobody boots again, since a
    /// generation may be on its way, and what failed needs time.
    pub fn is_due(self, now: i64) -> bool {
        // By a clock that is ahead, it may be of tomorrow.
        let done = (0..=1).contains(&(self.archived.div_euclid(DAY) - now.div_euclid(DAY)));
        let recent = |then: i64| (0..HOUR).contains(&(now - then));
        !done && !recent(self.booted) && !recent(self.failed)
    }
}

/// Notes for the next run what the archive holds.
pub fn note(generations: &Generations) -> Result<(), Failure> {
    let by_a_node = |one: &&archive::Generation| {
        let is = |proven: &archive::Proven| {
            proven.proof.level >= Level::L4 && matches!(proven.signed_by, Signer::Node(_))
        };
        one.proofs.iter().any(is)
    };
    let taken = generations.all.iter().filter(by_a_node).filter_map(archive::Generation::created).max();
    let taken = taken.map_or(0, OffsetDateTime::unix_timestamp);
    write(Path::new(ARCHIVED), taken.to_string().as_bytes())
}

/// An empty folder for the snapshot; what a killed run left there goes.
pub fn prepare() -> Result<(), Failure> {
    clear()?;
    let made = DirBuilder::new().mode(0o700).recursive(true).create(SPACE);
    made.map_err(|error| file_error("cannot be made", Path::new(SPACE), &error))
}

/// Nothing of a boot stays.
pub fn clear() -> Result<(), Failure> {
    remove(Path::new(SPACE))
}

/// Boots what was received and adds all objects to it. `Err` says why it was not tried or did not boot; `words` is for
/// the journal.
pub async fn run(
    hosts: &Hosts,
    here: &HostId,
    received: Received,
    now: i64,
) -> Result<(Received, Result<(Tried, String), String>), Failure> {
    let Received { captured, mut spool, node, created, doubts } = received;
    let (reader, writer) = std::io::pipe().map_err(|error| Failure::because(&error).exit(Exit::Unknown))?;
    let thread = std::thread::spawn(move || {
        let mut reader = reader;
        let added = spool.add(EXPORT_ENTRY, &mut reader);
        (spool, added)
    });
    let mut exporting = Exporting {
        frames: Frames::default(),
        writer,
        written: 0,
        left_out: 0,
        unlisted: Vec::new(),
        complete: false,
    };
    let ended = attempt(hosts, here, &mut exporting).await;
    let Exporting { frames, writer, written, complete, .. } = exporting;
    drop(writer);
    let (mut spool, added) =
        thread.join().map_err(|_| Failure::refused("encrypting ended in a panic").exit(Exit::Bug))?;
    let whole = complete && added.is_ok();
    if !whole {
        spool.remove(EXPORT_ENTRY).map_err(|error| Failure::because(&error))?;
    }
    let tried = ended.and_then(|()| {
        let output = Output { stdout: frames.said().to_owned(), ..Output::default() };
        let mut drilled = plan::drill::parse(&output).map_err(|error| error.0)?;
        drilled.undecodable.extend(other_hash(&drilled, &captured.hash));
        let mut figures: BTreeMap<String, String> = [("objects", drilled.objects), ("keys", drilled.keys)]
            .map(|(name, number)| (name.to_owned(), number.to_string()))
            .into();
        if whole {
            figures.insert("exported".into(), written.to_string());
        }
        let seconds = Duration::try_from_secs_f64(drilled.seconds()).unwrap_or_default().as_secs();
        let unproven = drilled.undecodable.iter().map(|one| format!("{}: {}", one.what, one.why)).collect();
        Ok((Tried { seconds, figures, unproven }, words(&drilled)))
    });
    if !matches!(&tried, Ok((tried, _)) if tried.unproven.is_empty()) {
        write(Path::new(FAILED), now.to_string().as_bytes())?;
    }
    Ok((Received { captured, spool, node, created, doubts }, tried))
}

async fn attempt(hosts: &Hosts, here: &HostId, exporting: &mut Exporting) -> Result<(), String> {
    let files = files()?;
    let script = OnNode { files: &files, snapshot: SNAPSHOT }.script();
    let mut failed = None;
    let mut take = |pipe, bytes: &[u8]| {
        if pipe == Pipe::Out
            && let Err(why) = exporting.take(bytes)
        {
            failed = Some(why);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let ended = tokio::time::timeout(WITHIN, boot(hosts, here, &script, &mut take)).await;
    if let Some(why) = failed {
        return Err(why);
    }
    match ended {
        Err(_) => Err(format!("it took longer than {WITHIN:?}")),
        Ok(Err(failure)) => Err(failure.message),
        Ok(Ok(Booted::Refused(why) | Booted::Not(why))) => Err(why),
        Ok(Ok(Booted::Ended(0, _))) => Ok(()),
        Ok(Ok(Booted::Ended(status, said))) => Err(format!("it ended with {status}: {said}")),
    }
}

/// Pages on their way into the export.
struct Exporting {
    frames: Frames,
    writer: PipeWriter,
    written: usize,
    left_out: usize,
    unlisted: Vec<(String, String)>,
    complete: bool,
}

impl Exporting {
    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        for frame in self.frames.take(bytes).map_err(|error| error.0)? {
            let text = match frame {
                Frame::Unlisted(kind, why) => {
                    self.unlisted.push((kind, why));
                    continue;
                }
                Frame::Page(kind, page) => {
                    // A page that is no list is told of right after it, as a kind that was not listed.
                    let Ok((made, left_out)) = manifests(&kind, &page) else { continue };
                    self.written += made.len();
                    self.left_out += left_out;
                    made.iter().map(stream::document).collect()
                }
                Frame::Complete => {
                    self.complete = true;
                    stream::end(&self.unlisted, self.written, self.left_out)
                }
            };
            self.writer.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// What the booted apiserver reads, by path.
fn files() -> Result<BTreeMap<String, pki::Secret>, String> {
    let mut paths: Vec<PathBuf> = [KUBEADM, ADMIN].map(PathBuf::from).into();
    let kubeadm = std::fs::read_to_string(KUBEADM).map_err(|error| format!("{KUBEADM}: {error}"))?;
    paths.extend(named_files(&kubeadm).into_iter().map(PathBuf::from));
    let mut folders: Vec<PathBuf> = FOLDERS.map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        // There need be no patches.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { paths.push(path) }
        }
    }
    let mut files = BTreeMap::new();
    for path in paths {
        let small = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LONGEST_FILE);
        let name = path.to_str().filter(|name| !name.contains(char::is_whitespace));
        if let (true, Some(name)) = (small, name)
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            files.insert(name.to_owned(), text.into());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_booted_once() {
        let noon = 20_000 * DAY + 12 * HOUR;
        let due = |archived, booted, failed| Times { archived, booted, failed }.is_due(noon);
        assert!(due(0, 0, 0), "never");
        assert!(due(noon - 13 * HOUR, 0, 0), "yesterday");
        assert!(!due(noon - 11 * HOUR, 0, 0), "this morning");
        assert!(!due(noon + DAY, 0, 0), "by a clock that is ahead");
        assert!(due(noon + 9 * DAY, 0, 0), "by a clock that is wrong");
        assert!(!due(0, noon - HOUR / 2, 0), "another node's is on its way");
        assert!(due(0, noon - 2 * HOUR, 0), "it never came to the archive");
        assert!(!due(0, 0, noon - HOUR / 2), "it failed here");
        assert!(due(0, 0, noon - 2 * HOUR), "it is tried again");
    }
}
