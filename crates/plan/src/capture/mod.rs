//! Taking a snapshot of etcd: one script for the operator's connection and for a node's own timer, and what its
//! facts say of the snapshot.

use crate::kubeadm::host_port;
use crate::parts::etcd::CTL;
use crate::programs::with_etcd_programs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::net::IpAddr;
use step::{Ask, Output, Script, Unreadable};

/// A snapshot that was taken, restored in scratch and booted, as the node told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// etcd's cluster id, hexadecimal.
    pub cluster: String,
    /// etcd's version.
    pub version: String,
    /// The revision of the snapshot.
    pub revision: u64,
    /// Keys that the etcd booted on it holds.
    pub keys: u64,
    /// HashKV and compact revision of that etcd.
    pub hash: String,
    /// The same of each member that answered, at the same revision, by client URL.
    pub live: BTreeMap<String, String>,
    /// Members as `etcdctl member list` prints them.
    pub members: Vec<String>,
    /// etcd's alarms.
    pub alarms: Vec<String>,
    /// Whether it was taken from the node's disk, and not from a member with a quorum.
    pub from_disk: bool,
    /// In bytes.
    pub size: u64,
    /// Public keys of the CAs and the service accounts as they lie on the node: name → sha256 of the
    /// SubjectPublicKeyInfo in DER, in hex.
    pub public_keys: BTreeMap<String, String>,
    /// Keys of the encryption at rest as the node's apiserver reads them: `PROVIDER/NAME` → sha256 of the key.
    pub encryption_keys: BTreeMap<String, String>,
    /// The file that says those, where it could not be read.
    pub encryption_unread: Option<String>,
    /// Configuration as it lies on the node: logical name → content.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Nodes: name → machine id and pod CIDR.
    pub nodes: BTreeMap<String, String>,
}

/// What a snapshot is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The node's etcd member, which has a quorum behind it.
    #[default]
    Member,
    /// The node's disk, whether its etcd runs or not: the way out where there is no quorum. Nobody confirms what it
    /// holds, so it never counts.
    Disk,
}

/// The script, for the node with this address, which has an etcd member. The snapshot comes on its standard output;
/// its standard error is for [`Captured::read`]. With `keep`, the snapshot stays on the node under that path.
pub fn capture(address: IpAddr, origin: Origin, keep: Option<&str>) -> Script {
    let client = host_port(&address.to_string(), 2379);
    with_etcd_programs(concat!("set -eu\n", include_str!("capture.sh")))
        .set("CLIENT", &client)
        .set(
            "FROM",
            match origin {
                Origin::Member => "member",
                Origin::Disk => "disk",
            },
        )
        .set("KEEP", keep.unwrap_or_default())
}

/// etcdctl against the node's own member.
fn ctl(words: String) -> Script {
    with_etcd_programs(&format!("etcd_programs\n{CTL}ctl {words}"))
}

/// When a control plane last took a snapshot: seconds since 1970 by its clock, 0 where none did. The key lies in
/// etcd beside the API's own.
pub fn last() -> Ask<i64> {
    Ask { script: ctl(format!("get {LAST} --print-value-only")), parse: seconds }
}

/// Says that a snapshot was taken at `now`.
pub fn taken(now: i64) -> Script {
    ctl(format!("put {LAST} \"$NOW\"")).set("NOW", &now.to_string())
}

/// When a control plane last booted a snapshot by its own Kubernetes, likewise.
pub fn booted() -> Ask<i64> {
    Ask { script: ctl(format!("get {BOOTED} --print-value-only")), parse: seconds }
}

/// Says that a snapshot was booted at `now`.
pub fn has_booted(now: i64) -> Script {
    ctl(format!("put {BOOTED} \"$NOW\"")).set("NOW", &now.to_string())
}

fn seconds(output: &Output) -> Result<i64, Unreadable> {
    if output.status != 0 {
        return Err(Unreadable(output.stderr.trim().to_owned()));
    }
    let text = output.stdout.trim();
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| Unreadable(text.to_owned())) }
}

const LAST: &str = "rekindle/snapshot/last";
const BOOTED: &str = "rekindle/snapshot/booted";

impl Captured {
    /// Understands what the script said.
    ///
    /// # Errors
    /// Why no snapshot was taken, or what is not as the script writes it.
    pub fn read(said: &str) -> Result<Self, Unreadable> {
        let mut captured = Self::default();
        let mut taken = false;
        let mut other = String::new();
        for line in said.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let pair = || value.split_once(' ').map(|(one, rest)| (one.to_owned(), rest.to_owned()));
            match key {
                "refused" => return Err(Unreadable(value.to_owned())),
                "from" => captured.from_disk = value == "disk",
                "cluster" => captured.cluster = value.into(),
                "version" => captured.version = value.into(),
                "revision" => captured.revision = number(key, value)?,
                "keys" => captured.keys = number(key, value)?,
                "size" => captured.size = number(key, value)?,
                "hash" => captured.hash = value.into(),
                "live" => captured.live.extend(pair()),
                "member" => captured.members.push(value.into()),
                "alarm" => captured.alarms.push(value.into()),
                "public-key" => captured.public_keys.extend(pair()),
                "encryption-key" => {
                    captured.encryption_keys.extend(pair().map(|(digest, name)| (name, digest)));
                }
                "encryption-unread" => captured.encryption_unread = Some(value.into()),
                "file" => captured.files.extend(pair().and_then(|(path, text)| file(&path, &text))),
                "node" => captured.nodes.extend(pair()),
                "taken" => taken = true,
                _ => {
                    other.push_str(line);
                    other.push('\n');
                }
            }
        }
        if taken && captured.revision > 0 {
            return Ok(captured);
        }
        let other = other.trim();
        Err(Unreadable(if other.is_empty() { "the node said nothing of it".into() } else { other.into() }))
    }

    /// Members whose hash was compared with that of the restored snapshot: the hash begins after the same compaction.
    pub fn compared(&self) -> impl Iterator<Item = (&str, &str)> {
        let compacted = |hash: &str| hash.split_once(' ').map(|(_, compacted)| compacted.to_owned());
        let own = compacted(&self.hash);
        let live = self.live.iter().filter(move |(_, hash)| compacted(hash) == own);
        live.map(|(member, hash)| (member.as_str(), hash.as_str()))
    }

    /// Why this snapshot proves nothing, although etcd boots on it: empty when all is well. `archived` is what the
    /// identity set says that it is going to name.
    pub fn doubts(&self, archived: &ArchivedKeys) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.from_disk {
            doubts.push("it is what one node's disk has: no quorum confirms it".into());
        } else if self.compared().next().is_none() {
            doubts.push("no member told its hash at this revision, so nothing was compared".into());
        }
        for (member, _) in self.compared().filter(|(_, hash)| *hash != self.hash) {
            doubts.push(format!("the member {member} holds other data at revision {}", self.revision));
        }
        doubts.extend(
            self.alarms
                .iter()
                .filter(|alarm| alarm.contains("CORRUPT"))
                .map(|alarm| format!("etcd: alarm {alarm}")),
        );
        for (name, live) in &self.public_keys {
            match archived.public.get(name) {
                Some(archived) if archived == live => {}
                _ => doubts.push(format!(
                    "the key of `{name}` on the node is not the one in the archive: `rekindle up --overwrite` puts the archived one back"
                )),
            }
        }
        doubts.extend(self.encryption_unread.iter().map(|path| {
            format!(
                "{path}: the node cannot read which keys its apiserver encrypts with, so none was compared"
            )
        }));
        for (name, live) in &self.encryption_keys {
            // A name that stands for two keys has a number behind it.
            let mut known = archived.encryption.iter().filter(|(key, _)| {
                key.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
            });
            match archived.encryption.get(name) {
                _ if known.any(|(_, key)| key == live) => {}
                Some(_) => doubts.push(format!(
                    "encryption key `{name}` on the node is not the one in the archive: `rekindle up --overwrite` puts the archived one back"
                )),
                None => doubts.push(format!(
                    "encryption key `{name}` on the node is not in the archive: `rekindle up` with its file in the inventory seals it"
                )),
            }
        }
        doubts
    }

    /// What does not make it worth less, and is to be said: etcd's other alarms travel in a snapshot.
    pub fn warnings(&self) -> Vec<String> {
        let other = self.alarms.iter().filter(|alarm| !alarm.contains("CORRUPT"));
        other.map(|alarm| format!("etcd: alarm {alarm}")).collect()
    }
}

/// Digests of keys that an identity set holds, by name.
#[derive(Clone, Debug, Default)]
pub struct ArchivedKeys {
    /// Of the CAs and the service accounts: sha256 of the SubjectPublicKeyInfo, in hex.
    pub public: BTreeMap<String, String>,
    /// Of the encryption at rest: `PROVIDER/NAME` → sha256 of the key, in hex.
    pub encryption: BTreeMap<String, String>,
}

/// The content of a node's file, and what it is called in a snapshot set. What else a person put there has names that
/// an archive may not take, and is left out.
fn file(path: &str, text: &str) -> Option<(String, Vec<u8>)> {
    let name = match path {
        "/etc/rekindle/kubeadm.yaml" => "kubeadm.yaml",
        "/var/lib/kubelet/config.yaml" => "kubelet/config.yaml",
        "/var/lib/kubelet/kubeadm-flags.env" => "kubelet/kubeadm-flags.env",
        path => {
            let own = path.strip_prefix("/etc/kubernetes/")?;
            let name = own.strip_prefix("manifests/")?;
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
            let fits = name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(plain);
            if fits { own } else { return None }
        }
    };
    Some((format!("node/{name}"), STANDARD.decode(text).ok()?))
}

fn number(key: &str, value: &str) -> Result<u64, Unreadable> {
    value.parse().map_err(|_| Unreadable(format!("{key} `{value}`")))
}

#[cfg(test)]
mod tests;
