//! Blobs: large files on a channel of their own, resumed where they were cut, and believed by their digest only.
//!
//! They lie in the host's store (`STATE/blobs/SHA256`) until a step has installed them. What is under way bears
//! the name `SHA256.part`; it becomes a blob when the digest of the whole is right.

use crate::event::{Event, Events, tell};
use crate::exec::{Exec, ExecError, Marked, Rest};
use crate::hosts::{Host, Hosts};
use crate::lane::nonce;
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::BTreeMap;
use std::io::{self, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use step::{Digest, HostId, quote};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncSeekExt, ReadBuf};

/// Where blobs are found on this machine.
#[derive(Clone, Debug, Default)]
pub struct Blobs(BTreeMap<Digest, PathBuf>);

impl Blobs {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The file at `path` holds the bytes of this digest.
    pub fn insert(&mut self, sha256: Digest, path: impl Into<PathBuf>) {
        self.0.insert(sha256, path.into());
    }

    /// Where the bytes of a digest are.
    pub fn path(&self, sha256: &Digest) -> Option<&Path> {
        self.0.get(sha256).map(PathBuf::as_path)
    }
}

impl FromIterator<(Digest, PathBuf)> for Blobs {
    fn from_iter<I: IntoIterator<Item = (Digest, PathBuf)>>(blobs: I) -> Self {
        Self(blobs.into_iter().collect())
    }
}

/// A blob that did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    #[error("blob {0} is in no file of this machine")]
    Unknown(Digest),
    #[error("{}: cannot be read: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("blob {0} arrived with other bytes: is its file on this machine whole?")]
    Wrong(Digest),
    #[error("blob {0} cannot be stored: {1}")]
    Store(Digest, String),
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// Two at a time: one fills the link while the other is checked.
const AT_A_TIME: usize = 2;

/// A blob is begun again after this many lost connections at most.
const LOSSES: u32 = 5;

/// A blob that a host lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) sha256: Digest,
    /// In bytes.
    pub(crate) size: u64,
    /// Bytes of it that are there.
    pub(crate) there: u64,
}

/// Sends blobs to a host.
pub(crate) async fn send(
    hosts: &Hosts,
    on: &HostId,
    blobs: &Blobs,
    missing: Vec<Missing>,
    events: &Events,
) -> Result<(), BlobError> {
    let host = hosts.get(on)?;
    let one = |missing: Missing| async move {
        let path = blobs.path(&missing.sha256).ok_or(BlobError::Unknown(missing.sha256))?;
        Blob { digest: missing.sha256, size: missing.size, path, on, events }
            .send(hosts, host, missing.there)
            .await
    };
    let mut sending = stream::iter(missing).map(one).buffer_unordered(AT_A_TIME);
    while let Some(result) = sending.next().await {
        result?;
    }
    Ok(())
}

struct Blob<'a> {
    digest: Digest,
    size: u64,
    path: &'a Path,
    on: &'a HostId,
    events: &'a Events,
}

impl Blob<'_> {
    /// Sends what is behind `there`. After a cut the host is asked again how much it has; bytes that turn out to be
    /// wrong after a cut are sent anew, once.
    async fn send(&self, hosts: &Hosts, host: &Host, mut there: u64) -> Result<(), BlobError> {
        let mut losses = 0;
        let mut anew = false;
        loop {
            match self.store(hosts, host, there).await {
                Err(BlobError::Exec(error)) if error.is_lost() && losses < LOSSES => {
                    losses += 1;
                    tell(self.events, Event::LinkLost { host: self.on.clone(), error: error.to_string() });
                    host.reconnect(&hosts.options).await.map_err(|_| error)?;
                }
                Err(BlobError::Wrong(_)) if there > 0 && !anew => anew = true,
                result => return result,
            }
            match self.there(hosts, host).await {
                Ok(None) => return Ok(()),
                Ok(Some(now)) => there = now,
                Err(BlobError::Exec(error)) if error.is_lost() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn store(&self, hosts: &Hosts, host: &Host, there: u64) -> Result<(), BlobError> {
        let read = |source| BlobError::Read { path: self.path.to_owned(), source };
        let mut file = File::open(self.path).await.map_err(read)?;
        file.seek(SeekFrom::Start(there)).await.map_err(read)?;
        let rest = Progress {
            file,
            sent: there,
            told: there,
            size: self.size,
            digest: self.digest,
            host: self.on.clone(),
            events: self.events.clone(),
        };
        match self.talk(hosts, host, "store", there, Box::new(rest)).await?.as_str() {
            "whole" => Ok(()),
            "wrong" => Err(BlobError::Wrong(self.digest)),
            "short" => {
                let host = self.on.clone();
                Err(ExecError::Lost { host, why: "the blob was cut off".to_owned() }.into())
            }
            why => Err(BlobError::Store(self.digest, why.to_owned())),
        }
    }

    /// How many bytes of the blob are there; `None` is all of them.
    async fn there(&self, hosts: &Hosts, host: &Host) -> Result<Option<u64>, BlobError> {
        let answer = self.talk(hosts, host, "size", 0, Box::new(tokio::io::empty())).await?;
        Ok(if answer == "whole" { None } else { Some(answer.parse().unwrap_or(0)) })
    }

    async fn talk(
        &self,
        hosts: &Hosts,
        host: &Host,
        verb: &str,
        from: u64,
        rest: Rest,
    ) -> Result<String, BlobError> {
        let mark = nonce();
        let script = format!(
            "MARK={mark}\nSTORE={}/blobs\nSHA256={}\nSIZE={}\nFROM={from}\nVERB={verb}\n{}",
            quote(&hosts.options.layout.state),
            self.digest,
            self.size,
            include_str!("blobs.sh"),
        );
        let mut marked = Marked::new(&mark);
        let mut answer = None;
        let ended = host
            .run(Exec::fed(script, rest), &hosts.options, &mut |pipe, bytes| {
                marked.take(pipe, bytes, |line, _| {
                    answer = Some(line.to_owned());
                    ControlFlow::Break(())
                })
            })
            .await?;
        answer.ok_or_else(|| marked.fault(self.on, host.user(), ended).into())
    }
}

/// A file whose reading is told.
struct Progress {
    file: File,
    sent: u64,
    told: u64,
    size: u64,
    digest: Digest,
    host: HostId,
    events: Events,
}

/// Told no more often than this many bytes.
const STRIDE: u64 = 1 << 20;

impl AsyncRead for Progress {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.file).poll_read(context, buffer);
        let read = (buffer.filled().len() - before) as u64;
        self.sent += read;
        if self.sent >= self.told + STRIDE || (read > 0 && self.sent >= self.size) {
            self.told = self.sent;
            let (host, sha256) = (self.host.clone(), self.digest);
            tell(&self.events, Event::BlobProgress { host, sha256, sent: self.sent, size: self.size });
        }
        result
    }
}
