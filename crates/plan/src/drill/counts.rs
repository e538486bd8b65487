//! etcd's keys against what an apiserver serves.

use super::Undecodable;
use std::collections::{BTreeMap, BTreeSet};

/// Groups whose kinds have keys without the group (pkg/registry of kubernetes). A group that is missing here makes a
/// difference that is named, never one that is passed over.
const PLAIN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Kinds whose keys are named otherwise.
const OTHERWISE: &[(&str, &str)] = &[
    ("nodes", "minions"),
    ("services", "services/specs"),
    ("endpoints", "services/endpoints"),
    ("replicationcontrollers", "controllers"),
    ("ingresses.networking.k8s.io", "ingress"),
];

/// An apiserver's own bookkeeping: no objects, and made anew by the next one.
const OWN: &[&str] = &["masterleases", "peerserverleases", "ranges"];
/// The same outside of `/registry`.
const OWN_OTHER: &[&str] = &["compact_rev_key"];
/// Whose turn it is to take a snapshot, and how far a rebuild came.
const OURS: &[&str] = &["rekindle/snapshot/", "rekindle/rebuild/"];

/// What was counted on both sides.
#[derive(Default)]
pub(super) struct Counts {
    keys: BTreeMap<String, u64>,
    other: BTreeMap<String, u64>,
    served: BTreeMap<String, u64>,
    unlisted: BTreeMap<String, String>,
    incomplete: Option<String>,
    unready: Option<String>,
}

impl Counts {
    /// Keys below `/registry`, by their first parts.
    pub(super) fn key(&mut self, prefix: &str, count: u64) {
        *self.keys.entry(prefix.into()).or_default() += count;
    }

    /// A key elsewhere.
    pub(super) fn other(&mut self, key: &str, count: u64) {
        *self.other.entry(key.into()).or_default() += count;
    }

    /// Objects of a kind, `PLURAL[.GROUP]`, on one page.
    pub(super) fn served(&mut self, kind: &str, count: u64) {
        *self.served.entry(kind.into()).or_default() += count;
    }

    /// A kind that was not listed, and the server's words.
    pub(super) fn unlisted(&mut self, kind: &str, why: &str) {
        self.unlisted.insert(kind.into(), why.trim_end_matches(['"', ',']).into());
    }

    /// Not all kinds are known.
    pub(super) fn incomplete(&mut self, why: &str) {
        self.incomplete = Some(why.into());
    }

    /// The apiserver served without being ready.
    pub(super) fn unready(&mut self, checks: &str) {
        self.unready = Some(checks.trim().into());
    }

    /// Keys, and the objects among them; a kind that two groups serve counts once.
    pub(super) fn totals(&self) -> (u64, u64) {
        let keys = self.keys.values().chain(self.other.values()).sum();
        let by_prefix: BTreeMap<String, u64> =
            self.served.iter().map(|(kind, count)| (prefix(kind), *count)).collect();
        (keys, by_prefix.values().sum())
    }

    /// Objects by kind.
    pub(super) fn into_served(self) -> BTreeMap<String, u64> {
        self.served
    }

    /// All that is on one side only, or could not be read.
    pub(super) fn differences(&self) -> Vec<Undecodable> {
        let mut found = Vec::new();
        let mut say = |what: &str, why: String| found.push(Undecodable { what: what.into(), why });
        if let Some(checks) = &self.unready {
            say("readyz", format!("its kube-apiserver was not ready: {checks}"));
        }
        let mut claimed: BTreeSet<String> = BTreeSet::new();
        for (kind, why) in &self.unlisted {
            claimed.insert(prefix(kind));
            say(kind, format!("not listed: {why}"));
        }
        for (kind, listed) in self.served.iter().filter(|(kind, _)| !self.unlisted.contains_key(*kind)) {
            let prefix = prefix(kind);
            let keys = self.keys.get(&prefix).copied().unwrap_or(0);
            if *listed != keys {
                say(kind, format!("{listed} listed, {keys} keys in etcd"));
            }
            claimed.insert(prefix);
        }
        let nobodys = |prefix: &&String| !claimed.contains(*prefix) && !OWN.contains(&prefix.as_str());
        for prefix in self.keys.keys().filter(nobodys) {
            let why = match &self.incomplete {
                Some(why) => format!("{} keys of a kind that is not served ({why})", self.keys[prefix]),
                None => format!("{} keys of a kind that is not served", self.keys[prefix]),
            };
            say(prefix, why);
        }
        // Ours.
        let known = |key: &&String| {
            OWN_OTHER.contains(&key.as_str()) || OURS.iter().any(|ours| key.starts_with(ours))
        };
        for key in self.other.keys().filter(|key| !known(key)) {
            say(key, "a key that is no object's".into());
        }
        found
    }
}

/// The first parts of the keys of a kind.
fn prefix(kind: &str) -> String {
    if let Some((_, prefix)) = OTHERWISE.iter().find(|(name, _)| *name == kind) {
        return (*prefix).into();
    }
    let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
    if PLAIN.contains(&group) { plural.into() } else { format!("{group}/{plural}") }
}
