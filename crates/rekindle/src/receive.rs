//! A snapshot on its way from a node into a spool: what the node says of it, and its bytes, encrypted as they come.

use crate::failure::{Exit, Failure};
use archive::{Capture, IdentityManifest, Secret, Spooled};
use engine::{Hosts, Pipe};
use plan::capture::Captured;
use std::collections::BTreeMap;
use std::io::{PipeWriter, Write};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;
use step::HostId;

/// What the node says may be this long, and so may be what comes before it has said all, in bytes.
const MOST_SAID: usize = 1 << 20;

/// A database of the largest size that etcd supports, over a slow link.
const WITHIN: Duration = Duration::from_secs(3600);

/// Who captures, and what for.
pub struct Receiving<'a> {
    /// The node's address, at which its etcd member serves.
    pub address: IpAddr,
    /// The identity set that the snapshot will name.
    pub identity: &'a IdentityManifest,
    /// Where the ciphertext goes; made.
    pub spool: &'a Path,
    /// The time (RFC 3339).
    pub created: &'a str,
}

/// Takes a snapshot on the host `on` and receives it. The plaintext is never on a disk of this machine, and never whole
/// in its memory.
///
/// # Errors
/// Why there is none: the node's reason, a lost connection, a full disk.
pub async fn snapshot(
    hosts: &Hosts,
    on: &HostId,
    receiving: &Receiving<'_>,
) -> Result<(Captured, Spooled), Failure> {
    let mut arriving = Arriving::new(on, receiving);
    let script = plan::capture::capture(receiving.address);
    let mut take = |pipe, bytes: &[u8]| arriving.take(pipe, bytes);
    let streamed = engine::stream(hosts, on, &script, None, &mut take);
    let status = tokio::time::timeout(WITHIN, streamed).await;
    let status = status
        .map_err(|_| unknown(format!("{on}: no snapshot within {WITHIN:?}")))?
        .map_err(|error| Failure::because(&error).maybe_hint(error.hint()).exit(Exit::Unknown))?;
    arriving.end(status)
}

fn unknown(message: String) -> Failure {
    Failure::refused(message).exit(Exit::Unknown)
}

/// The public keys that the archive knows, by name.
pub fn archived_keys(identity: &IdentityManifest) -> BTreeMap<String, String> {
    identity.public.public_keys.iter().map(|(name, key)| (name.clone(), key.to_string())).collect()
}

/// What a proof says of it, for anybody.
pub fn figures(captured: &Captured) -> BTreeMap<String, String> {
    [
        ("keys", captured.keys.to_string()),
        ("hash", captured.hash.clone()),
        ("members-compared", captured.live.len().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// What has arrived so far.
struct Arriving {
    node: String,
    identity: IdentityManifest,
    spool: PathBuf,
    created: String,
    said: Vec<u8>,
    /// Bytes that came before all was said: the two pipes of a connection keep no common order.
    early: Vec<u8>,
    encrypting: Option<(PipeWriter, JoinHandle<Result<Spooled, archive::Error>>)>,
    failed: Option<String>,
}

impl Arriving {
    fn new(on: &HostId, receiving: &Receiving) -> Self {
        Self {
            node: on.as_str().to_owned(),
            identity: receiving.identity.clone(),
            spool: receiving.spool.to_owned(),
            created: receiving.created.to_owned(),
            said: Vec::new(),
            early: Vec::new(),
            encrypting: None,
            failed: None,
        }
    }

    fn take(&mut self, pipe: Pipe, bytes: &[u8]) -> ControlFlow<()> {
        let room = match pipe {
            Pipe::Err => {
                self.said.extend_from_slice(bytes);
                self.said.len() <= MOST_SAID
            }
            Pipe::Out => match &mut self.encrypting {
                // A reader that failed says why when it is joined.
                Some((writer, _)) => return go_on(writer.write_all(bytes).is_ok()),
                None => {
                    self.early.extend_from_slice(bytes);
                    self.early.len() <= 64 * MOST_SAID
                }
            },
        };
        let begun = if pipe == Pipe::Err { self.begin() } else { Ok(()) };
        if let Err(why) = begun {
            self.failed = Some(why);
            return ControlFlow::Break(());
        }
        go_on(room)
    }

    /// Begins to encrypt, once all is known.
    fn begin(&mut self) -> Result<(), String> {
        if self.encrypting.is_some() || !self.said.ends_with(b"taken yes\n") {
            return Ok(());
        }
        let captured = Captured::read(&String::from_utf8_lossy(&self.said)).map_err(|error| error.0)?;
        let (mut reader, mut writer) = std::io::pipe().map_err(|error| error.to_string())?;
        let (identity, spool, created, node) =
            (self.identity.clone(), self.spool.clone(), self.created.clone(), self.node.clone());
        let thread = std::thread::spawn(move || {
            let (entries, facts) = (entries(&captured), facts(&captured));
            let capture = Capture {
                identity: &identity,
                revision: captured.revision,
                etcd_cluster: &captured.cluster,
                node: &node,
                created: &created,
                rekindle: env!("CARGO_PKG_VERSION"),
                entries: &entries,
                facts: &facts,
                snapshot: &mut reader,
            };
            archive::spool(capture, &spool)
        });
        let early = std::mem::take(&mut self.early);
        let _ = writer.write_all(&early);
        self.encrypting = Some((writer, thread));
        Ok(())
    }

    /// What it came to.
    fn end(self, status: i32) -> Result<(Captured, Spooled), Failure> {
        let said = String::from_utf8_lossy(&self.said).into_owned();
        let spooled = self.encrypting.map(|(writer, thread)| {
            drop(writer);
            thread.join()
        });
        let on_node = |why: &str| {
            Failure::refused(format!("{}: no snapshot: {why}", self.node))
                .hint("`rekindle status` shows how etcd is; `--node NAME` takes it on another control plane")
        };
        if let Some(why) = self.failed {
            return Err(on_node(&why));
        }
        let captured = Captured::read(&said).map_err(|error| on_node(&error.0))?;
        let spooled = match spooled {
            Some(Ok(spooled)) => {
                spooled.map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?
            }
            Some(Err(_)) => return Err(Failure::refused("encrypting ended in a panic").exit(Exit::Bug)),
            None => return Err(on_node("its bytes did not come")),
        };
        if status != 0 || spooled.size != captured.size {
            let why = format!("{} of {} bytes came (status {status})", spooled.size, captured.size);
            return Err(on_node(&why).exit(Exit::Unknown));
        }
        Ok((captured, spooled))
    }
}

fn go_on(well: bool) -> ControlFlow<()> {
    if well { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Nodes, their machine ids and pod networks: what a rebuild compares living workers with.
fn entries(captured: &Captured) -> BTreeMap<String, Secret> {
    let nodes = captured.nodes.iter().map(|(name, node)| {
        let (machine_id, pods) = node.split_once(' ').unwrap_or((node, ""));
        (name, serde_json::json!({"machine_id": machine_id, "pods": pods}))
    });
    let nodes: BTreeMap<_, _> = nodes.collect();
    // A map of strings serializes.
    [("nodes.json".to_owned(), Secret::new(serde_json::to_vec(&nodes).unwrap_or_default()))].into()
}

fn facts(captured: &Captured) -> BTreeMap<String, String> {
    let mut facts: BTreeMap<String, String> = [
        ("etcd-version", captured.version.clone()),
        ("keys", captured.keys.to_string()),
        ("hash", captured.hash.clone()),
        ("alarms", captured.alarms.join("; ")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    facts.extend(captured.live.iter().map(|(member, hash)| (format!("hash {member}"), hash.clone())));
    facts.extend(
        captured.members.iter().enumerate().map(|(i, member)| (format!("member {i}"), member.clone())),
    );
    facts
}
