//! Taking a snapshot of etcd: one script for the operator's connection and for a node's own timer, and what its
//! facts say of the snapshot.

use crate::kubeadm::host_port;
use crate::parts::etcd::CTL;
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
    /// In bytes.
    pub size: u64,
    /// Public keys of the CAs and the service accounts as they lie on the node: name → sha256 of the
    /// SubjectPublicKeyInfo in DER, in hex.
    pub public_keys: BTreeMap<String, String>,
    /// Nodes: name → machine id and pod CIDR.
    pub nodes: BTreeMap<String, String>,
}

/// The script, for the node with this address, which has an etcd member. The snapshot comes on its standard output;
/// its standard error is for [`Captured::read`].
pub fn capture(address: IpAddr) -> Script {
    let client = host_port(&address.to_string(), 2379);
    Script::new(format!("set -eu\n{}", include_str!("capture.sh"))).set("CLIENT", &client)
}

/// When a control plane last took a snapshot: seconds since 1970 by its clock, 0 where none did. The key lies in
/// etcd beside the API's own.
pub fn last() -> Ask<i64> {
    let parse = |output: &Output| {
        let text = output.stdout.trim();
        if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| Unreadable(text.to_owned())) }
    };
    Ask { script: Script::new(format!("{CTL}ctl get {LAST} --print-value-only")), parse }
}

/// Says that a snapshot was taken at `now`.
pub fn taken(now: i64) -> Script {
    Script::new(format!("{CTL}ctl put {LAST} \"$NOW\"")).set("NOW", &now.to_string())
}

const LAST: &str = "rekindle/snapshot/last";

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

    /// Why this snapshot proves nothing, although etcd boots on it: empty when all is well. `public_keys` are those
    /// of the identity set that it is going to name.
    pub fn doubts(&self, public_keys: &BTreeMap<String, String>) -> Vec<String> {
        let mut doubts = Vec::new();
        let compacted = |hash: &str| hash.split_once(' ').map(|(_, compacted)| compacted.to_owned());
        let alike: Vec<_> =
            self.live.iter().filter(|(_, hash)| compacted(hash) == compacted(&self.hash)).collect();
        if alike.is_empty() {
            doubts.push("no member told its hash at this revision, so nothing was compared".into());
        }
        for (member, _) in alike.iter().filter(|(_, hash)| **hash != self.hash) {
            doubts.push(format!("the member {member} holds other data at revision {}", self.revision));
        }
        doubts.extend(
            self.alarms
                .iter()
                .filter(|alarm| alarm.contains("CORRUPT"))
                .map(|alarm| format!("etcd: alarm {alarm}")),
        );
        for (name, live) in &self.public_keys {
            match public_keys.get(name) {
                Some(archived) if archived == live => {}
                _ => doubts.push(format!(
                    "the key of `{name}` on the node is not the one in the archive: `rekindle up --overwrite` puts the archived one back"
                )),
            }
        }
        doubts
    }
}

fn number(key: &str, value: &str) -> Result<u64, Unreadable> {
    value.parse().map_err(|_| Unreadable(format!("{key} `{value}`")))
}

#[cfg(test)]
mod tests;
