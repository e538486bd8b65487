//! A generation's own kube-apiserver on its etcd snapshot, on loopback in a network namespace of its own: the proof L4,
//! and the way to ask the past.
//!
//! kubeadm itself says the apiserver's flags, in a root that holds what a control plane holds. Programs run there as
//! nobody; keys lie in memory, the database in a scratch folder; all of it ends with the namespace's first process,
//! which ends when whoever waits is gone. Each kind is listed in full at the snapshot's revision, so that what the
//! apiserver itself writes while it starts counts nowhere.

mod counts;
pub mod node;

use crate::kubeadm::{self, Cgroups};
use crate::programs::with_etcd_programs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use counts::Counts;
use inventory::{Cluster, Node};
use pki::{Body, ExposeSecret, NodeFiles};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use step::{Output, Script, Secret, Unreadable, quote};

/// The script's exit status where the machine can't do it at all; the last line on standard error says why.
pub const REFUSED: i32 = 198;
/// Its exit status where the generation did not boot, likewise.
pub const NOT_BOOTED: i32 = 199;

/// Paths of the programs on the machine that drills.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are the programs' own")]
pub struct Programs {
    pub etcd: String,
    pub etcdctl: String,
    pub etcdutl: String,
    pub kubeadm: String,
    pub kubectl: String,
    /// Empty on a node, where the others are names: it lies in the image of the one that runs there.
    pub kube_apiserver: String,
}

/// What is to be booted.
pub struct Drill<'a> {
    /// The cluster as it was.
    pub cluster: &'a Cluster,
    /// The control plane whose apiserver it is to be.
    pub node: &'a Node,
    /// Its PKI files, minted now.
    pub node_files: &'a NodeFiles,
    /// `super-admin.conf`.
    pub super_admin: &'a pki::Secret,
    /// Files that arguments name, by their path on the control planes.
    pub files: &'a BTreeMap<String, pki::Secret>,
    /// The user's kubeadm patches, by file name.
    pub patches: &'a BTreeMap<String, String>,
    /// On the machine that drills.
    pub programs: &'a Programs,
    /// The snapshot's file there.
    pub snapshot: &'a str,
    /// A folder on a disk there: 1.5 times the snapshot must fit.
    pub space: &'a str,
}

/// What the booted generation is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// To prove it: [`parse`] understands the output.
    Prove,
    /// To run kubectl with these arguments: the output and exit status are kubectl's.
    Ask(&'a [String]),
    /// To list all objects: [`crate::export`] understands the output.
    Export,
    /// To prove it and to list all objects: [`crate::export::Frames`] tells the two apart.
    ProveAndExport,
}

impl Drill<'_> {
    /// The script, for root. Its input must stay open until it ends: the end of the input ends it.
    pub fn script(&self, purpose: Purpose<'_>) -> Script {
        boot(self.programs, self.snapshot, self.space, purpose).input(self.input())
    }

    /// `PATH BASE64` a file, then a dot.
    fn input(&self) -> Secret {
        let mut text = String::new();
        let mut put = |path: &str, content: &str| put(&mut text, path, content);
        let leafs = self.node_files.leafs.iter().flat_map(|leaf| &leaf.files);
        for file in self.node_files.files.iter().chain(leafs) {
            match &file.body {
                Body::Public(content) => put(&file.path, content),
                Body::Secret(content) => put(&file.path, content.expose_secret()),
                Body::Link(_) => {}
            }
        }
        put(SUPER_ADMIN, &at_loopback(self.super_admin.expose_secret()));
        put("/etc/rekindle/kubeadm.yaml", &kubeadm::config(self.cluster, self.node, Cgroups::default()));
        // kubeadm wants the folder, whether there is a patch or not.
        put(&format!("{}/none", kubeadm::PATCHES), "");
        for (name, content) in self.patches {
            put(&format!("{}/{name}", kubeadm::PATCHES), content);
        }
        for (path, content) in self.files {
            put(path, content.expose_secret());
        }
        text.push_str(".\n");
        Secret::new(text)
    }
}

/// Whose kubeconfig asks.
const SUPER_ADMIN: &str = "/etc/kubernetes/super-admin.conf";

/// The script without its input.
fn boot(programs: &Programs, snapshot: &str, space: &str, purpose: Purpose<'_>) -> Script {
    let (mode, arguments) = match purpose {
        Purpose::Prove => ("prove", String::new()),
        Purpose::Ask(words) => ("ask", words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")),
        Purpose::Export => ("export", String::new()),
        Purpose::ProveAndExport => ("both", String::new()),
    };
    with_etcd_programs(include_str!("drill/outside.sh"))
        .set("DB", snapshot)
        .set("SPACE", space)
        .set("ETCD", &programs.etcd)
        .set("ETCDCTL", &programs.etcdctl)
        .set("ETCDUTL", &programs.etcdutl)
        .set("KUBEADM", &programs.kubeadm)
        .set("KUBECTL", &programs.kubectl)
        .set("APISERVER", &programs.kube_apiserver)
        .set("MODE", mode)
        .set("ARGUMENTS", &arguments)
        .set("INSIDE", include_str!("drill/inside.sh"))
}

/// `PATH BASE64`.
fn put(text: &mut String, path: &str, content: &str) {
    // Writing to a String can't fail.
    let _ = writeln!(text, "{path} {}", STANDARD.encode(content));
}

/// The same kubeconfig for the apiserver that is booted.
fn at_loopback(kubeconfig: &str) -> String {
    let line = |line: &str| {
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.trim_start().starts_with("server: ") {
            true => format!("{indent}server: https://127.0.0.1:6443\n{indent}tls-server-name: kubernetes\n"),
            false => format!("{line}\n"),
        }
    };
    kubeconfig.lines().map(line).collect()
}

/// What a drill saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Drilled {
    /// Seconds since the start at the end of each stage, in their order: `restored`, `etcd`, `keys`, `apiserver`,
    /// `resources`, `listed`, `end`.
    pub at: Vec<(String, f64)>,
    /// Objects that the apiserver listed.
    pub objects: u64,
    /// Keys in etcd.
    pub keys: u64,
    /// The snapshot's revision.
    pub revision: u64,
    /// etcd's HashKV at it.
    pub hash_kv: u64,
    /// The revision that the hash begins after; -1 where nothing was ever compacted.
    pub compact_revision: i64,
    /// All that was not proven, by name. Empty: the generation is proven.
    pub undecodable: Vec<Undecodable>,
}

/// Something that was not proven.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Undecodable {
    /// A kind, a prefix of keys, or `token`.
    pub what: String,
    /// In words.
    pub why: String,
}

impl Drilled {
    /// Whether everything was read.
    pub fn is_proven(&self) -> bool {
        self.undecodable.is_empty()
    }

    /// How long it took, in seconds.
    pub fn seconds(&self) -> f64 {
        self.at.last().map_or(0.0, |(_, seconds)| *seconds)
    }
}

/// Understands what the script prints for [`Purpose::Prove`].
///
/// # Errors
/// The output was cut off or is not the script's.
pub fn parse(output: &Output) -> Result<Drilled, Unreadable> {
    let mut drilled = Drilled::default();
    let (mut counts, mut start, mut complete, mut token) = (Counts::default(), None, false, None);
    for line in output.stdout.lines() {
        let unreadable = || Unreadable(format!("unknown line `{line}`"));
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
        match key {
            "at" => {
                let now: f64 = rest.parse().map_err(|_| unreadable())?;
                let start = *start.get_or_insert(now);
                if first != "start" {
                    drilled.at.push((first.into(), ((now - start) * 100.0).round() / 100.0));
                }
            }
            "revision" => drilled.revision = value.parse().map_err(|_| unreadable())?,
            "hash_kv" => drilled.hash_kv = value.parse().map_err(|_| unreadable())?,
            "compact_revision" => drilled.compact_revision = value.parse().map_err(|_| unreadable())?,
            "keys" => counts.key(first, rest.parse().map_err(|_| unreadable())?),
            "other" => counts.other(first, rest.parse().map_err(|_| unreadable())?),
            "served" => counts.served(first, rest.parse().map_err(|_| unreadable())?),
            "unlisted" => counts.unlisted(first, rest),
            "incomplete" => counts.incomplete(value),
            "unready" => counts.unready(value),
            "token" => token = Some(value.to_owned()),
            "complete" => complete = true,
            _ => return Err(unreadable()),
        }
    }
    if !complete {
        return Err(Unreadable("the answer was cut off".into()));
    }
    (drilled.keys, drilled.objects) = counts.totals();
    drilled.undecodable = counts.differences();
    match token.as_deref() {
        Some("ok") => {}
        why => drilled.undecodable.push(Undecodable {
            what: "token".into(),
            why: format!(
                "one that the service accounts' key signed was not accepted: {}",
                why.unwrap_or("not tried")
            ),
        }),
    }
    Ok(drilled)
}

#[cfg(test)]
mod tests;
