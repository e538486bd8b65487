//! A snapshot on its way from a node into a spool: what the node says of it, and its bytes, encrypted as they come.

use crate::failure::{Exit, Failure};
use archive::{Capture, IdentityManifest, SNAPSHOT_ENTRY, Secret, Spool, Spooled};
use engine::{Hosts, Pipe};
use plan::capture::{ArchivedKeys, Captured, Origin};
use std::collections::BTreeMap;
use std::io::{PipeWriter, Read, Write};
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
    /// Where the snapshot is to stay on the node.
    pub keep: Option<&'a str>,
    /// What it is taken from.
    pub origin: Origin,
}

/// A snapshot that was taken and is encrypted; more can be added to it.
pub struct Received {
    /// What the node said of it.
    pub captured: Captured,
    /// Why it proves nothing, although etcd boots on it; sealed with it.
    pub doubts: Vec<String>,
    /// Where it lies.
    pub spool: Spool,
    /// The node.
    pub node: String,
    /// The time (RFC 3339).
    pub created: String,
}

impl Received {
    /// All is there: what it came to.
    pub fn finish(self) -> Result<(Captured, Spooled), Failure> {
        let Self { captured, doubts, spool, node, created } = self;
        let capture = Capture {
            revision: captured.revision,
            etcd_cluster: &captured.cluster,
            node: &node,
            created: &created,
            rekindle: env!("CARGO_PKG_VERSION"),
            facts: &facts(&captured, &doubts),
        };
        let spooled =
            spool.finish(&capture).map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?;
        Ok((captured, spooled))
    }
}

/// Takes a snapshot on the host `on` and receives it. The plaintext is never on a disk of this machine, and never whole
/// in its memory.
///
/// # Errors
/// Why there is none: the node's reason, a lost connection, a full disk.
pub async fn snapshot(hosts: &Hosts, on: &HostId, receiving: &Receiving<'_>) -> Result<Received, Failure> {
    let mut arriving = Arriving::new(on, receiving);
    let script = plan::capture::capture(receiving.address, receiving.origin, receiving.keep);
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

/// What the facts that are doubts begin with.
const DOUBT: &str = "doubt ";

/// Why a snapshot proves nothing, by the facts that were sealed with it.
pub fn doubts(facts: &BTreeMap<String, String>) -> Vec<String> {
    let doubts = facts.iter().filter(|(name, _)| name.starts_with(DOUBT));
    doubts.map(|(_, doubt)| doubt.clone()).collect()
}

/// The keys that the archive knows, by name.
fn archived_keys(identity: &IdentityManifest) -> ArchivedKeys {
    let own = |keys: &BTreeMap<String, archive::Digest>| {
        keys.iter().map(|(name, key)| (name.clone(), key.to_string())).collect()
    };
    let public = &identity.public;
    ArchivedKeys { public: own(&public.public_keys), encryption: own(&public.encryption_keys) }
}

/// What a proof says of it, for anybody.
pub fn figures(captured: &Captured) -> BTreeMap<String, String> {
    [
        ("keys", captured.keys.to_string()),
        ("hash", captured.hash.clone()),
        ("members-compared", captured.compared().count().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Where the snapshot lies, and how many bytes of it came.
type Encrypted = Result<(Spool, u64), archive::Error>;

/// What has arrived so far.
struct Arriving {
    node: String,
    identity: IdentityManifest,
    spool: PathBuf,
    created: String,
    said: Vec<u8>,
    /// Bytes that came before all was said: the two pipes of a connection keep no common order.
    early: Vec<u8>,
    encrypting: Option<(PipeWriter, JoinHandle<Encrypted>)>,
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
        let (identity, spool) = (self.identity.clone(), self.spool.clone());
        let thread = std::thread::spawn(move || {
            let mut spool = Spool::begin(&identity, &spool)?;
            let mut counted = Counted { from: &mut reader, count: 0 };
            spool.add(SNAPSHOT_ENTRY, &mut counted)?;
            let size = counted.count;
            for (name, content) in entries(&captured) {
                spool.add(&name, &mut content.expose())?;
            }
            Ok((spool, size))
        });
        let early = std::mem::take(&mut self.early);
        let _ = writer.write_all(&early);
        self.encrypting = Some((writer, thread));
        Ok(())
    }

    /// What it came to.
    fn end(self, status: i32) -> Result<Received, Failure> {
        let said = String::from_utf8_lossy(&self.said).into_owned();
        let encrypted = self.encrypting.map(|(writer, thread)| {
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
        let (spool, size) = match encrypted {
            Some(Ok(encrypted)) => {
                encrypted.map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?
            }
            Some(Err(_)) => return Err(Failure::refused("encrypting ended in a panic").exit(Exit::Bug)),
            None => return Err(on_node("its bytes did not come")),
        };
        if status != 0 || size != captured.size {
            let why = format!("{size} of {} bytes came (status {status})", captured.size);
            return Err(on_node(&why).exit(Exit::Unknown));
        }
        let doubts = captured.doubts(&archived_keys(&self.identity));
        Ok(Received { captured, doubts, spool, node: self.node, created: self.created })
    }
}

/// Counts what is read.
struct Counted<'a> {
    from: &'a mut dyn Read,
    count: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

fn go_on(well: bool) -> ControlFlow<()> {
    if well { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Nodes, their machine ids and pod networks: what a rebuild compares living workers with. And configuration as it lies on
/// the node.
fn entries(captured: &Captured) -> BTreeMap<String, Secret> {
    let nodes = captured.nodes.iter().map(|(name, node)| {
        let (machine_id, pods) = node.split_once(' ').unwrap_or((node, ""));
        (name, serde_json::json!({"machine_id": machine_id, "pods": pods}))
    });
    let nodes: BTreeMap<_, _> = nodes.collect();
    // A map of strings serializes.
    let nodes = Secret::new(serde_json::to_vec(&nodes).unwrap_or_default());
    let files = captured.files.iter().map(|(name, content)| (name.clone(), Secret::new(content.as_slice())));
    files.chain([("nodes.json".to_owned(), nodes)]).collect()
}

fn facts(captured: &Captured, doubts: &[String]) -> BTreeMap<String, String> {
    let mut facts: BTreeMap<String, String> = [
        ("etcd-version", captured.version.clone()),
        ("keys", captured.keys.to_string()),
        ("hash", captured.hash.clone()),
        ("alarms", captured.alarms.join("; ")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    facts.extend(captured.live.iter().map(|(member, hash)| (format!("hash {member}"), hash.clone())));
    facts.extend(doubts.iter().enumerate().map(|(i, doubt)| (format!("{DOUBT}{i}"), doubt.clone())));
    facts.extend(
        captured.members.iter().enumerate().map(|(i, member)| (format!("member {i}"), member.clone())),
    );
    facts
}
