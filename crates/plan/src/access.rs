//! Who may do what, and who is asked before it is done: roles, bindings, webhooks, admission policies, aggregated APIs.
//! Whoever took a cluster's keys may have left some; the generations that are kept show when.

use crate::export::items;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use step::Unreadable;

/// All of it in one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access(BTreeMap<(String, String), BTreeMap<&'static str, Value>>);

/// One object that came, went or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// `+`, `-` or `~`.
    pub how: char,
    /// `clusterrolebindings`.
    pub kind: String,
    /// `NAMESPACE/NAME` or `NAME`, with nothing in it that a terminal would act on.
    pub name: String,
    /// What it gives, or which parts differ. The same holds for it.
    pub what: String,
}

/// Kinds, as `PLURAL.GROUP`, and what of them counts.
const KINDS: [(&str, &[&str]); 11] = [
    ("clusterrolebindings.rbac.authorization.k8s.io", &["roleRef", "subjects"]),
    ("clusterroles.rbac.authorization.k8s.io", &["aggregationRule", "rules"]),
    ("rolebindings.rbac.authorization.k8s.io", &["roleRef", "subjects"]),
    ("roles.rbac.authorization.k8s.io", &["rules"]),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", &["webhooks"]),
    ("mutatingwebhookconfigurations.admissionregistration.k8s.io", &["webhooks"]),
    ("validatingadmissionpolicies.admissionregistration.k8s.io", &["spec"]),
    ("validatingadmissionpolicybindings.admissionregistration.k8s.io", &["spec"]),
    ("mutatingadmissionpolicies.admissionregistration.k8s.io", &["spec"]),
    ("mutatingadmissionpolicybindings.admissionregistration.k8s.io", &["spec"]),
    ("apiservices.apiregistration.k8s.io", &["spec"]),
];

impl Access {
    /// Adds one page of one kind; most kinds say nothing.
    ///
    /// # Errors
    /// The page is no list of objects.
    pub fn take(&mut self, kind: &str, page: &[u8]) -> Result<(), Unreadable> {
        let Some((_, parts)) = KINDS.iter().find(|(known, _)| *known == kind) else { return Ok(()) };
        for item in items(kind, page)? {
            let text = |key: &str| item["metadata"][key].as_str().unwrap_or_default();
            let name = match text("namespace") {
                "" => text("name").to_owned(),
                namespace => format!("{namespace}/{}", text("name")),
            };
            let part = |part: &&'static str| Some((*part, item.get(*part)?.clone()));
            let what = parts.iter().filter_map(part).collect();
            self.0.insert((kind.to_owned(), name), what);
        }
        Ok(())
    }

    /// What is otherwise in the later one.
    pub fn changes(&self, later: &Self) -> Vec<Changed> {
        let all: BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        let change = |key: &(String, String)| {
            let (how, what) = match (self.0.get(key), later.0.get(key)) {
                (None, Some(now)) => ('+', gives(now)),
                (Some(was), None) => ('-', gives(was)),
                (Some(was), Some(now)) if was != now => ('~', differs(was, now)),
                _ => return None,
            };
            let kind = key.0.split('.').next().unwrap_or_default().to_owned();
            Some(Changed {
                how,
                kind,
                name: key.1.escape_debug().to_string(),
                what: what.escape_debug().to_string(),
            })
        };
        all.into_iter().filter_map(change).collect()
    }
}

/// A binding in words: what to whom; of anything else its form is enough to find it.
fn gives(parts: &BTreeMap<&'static str, Value>) -> String {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    if let Some(role) = parts.get("roleRef") {
        return format!("{} to {}", text(role, "name"), subjects(parts));
    }
    let list = |key: &str| parts.get(key).and_then(Value::as_array);
    if let Some(webhooks) = list("webhooks") {
        let whom = |webhook: &Value| {
            let client = &webhook["clientConfig"];
            match client["url"].as_str() {
                Some(url) => url.to_owned(),
                None => {
                    format!("{}/{}", text(&client["service"], "namespace"), text(&client["service"], "name"))
                }
            }
        };
        return format!("asks {}", webhooks.iter().map(whom).collect::<Vec<_>>().join(", "));
    }
    if let Some(rules) = list("rules") {
        let words = |rule: &Value, key: &str| {
            rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        };
        let may = |rule: &Value| {
            format!("{} {}", words(rule, "verbs"), words(rule, "resources")).trim_end().to_owned()
        };
        return format!("may {}", rules.iter().map(may).collect::<Vec<_>>().join("; "));
    }
    let service = parts.get("spec").map(|spec| &spec["service"]).filter(|service| service.is_object());
    service.map_or_else(String::new, |service| {
        format!("asks {}/{}", text(service, "namespace"), text(service, "name"))
    })
}

fn subjects(parts: &BTreeMap<&'static str, Value>) -> String {
    let list = parts.get("subjects").and_then(Value::as_array).into_iter().flatten();
    let whom = |subject: &Value| {
        let text = |key: &str| subject[key].as_str().unwrap_or_default();
        match text("namespace") {
            "" => format!("{} {}", text("kind"), text("name")),
            namespace => format!("{} {namespace}/{}", text("kind"), text("name")),
        }
    };
    let words = list.map(whom).collect::<Vec<_>>().join(", ");
    if words.is_empty() { "nobody".into() } else { words }
}

fn differs(was: &BTreeMap<&'static str, Value>, now: &BTreeMap<&'static str, Value>) -> String {
    let all: BTreeSet<_> = was.keys().chain(now.keys()).collect();
    let parts: Vec<&str> = all.into_iter().filter(|part| was.get(*part) != now.get(*part)).copied().collect();
    match (gives(was), gives(now)) {
        (was, now) if was != now => format!("{now}; was: {was}"),
        _ => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn access(pages: &[(&str, Value)]) -> Access {
        let mut access = Access::default();
        for (kind, items) in pages {
            access.take(kind, json!({ "items": items }).to_string().as_bytes()).unwrap();
        }
        access
    }

    #[test]
    fn what_changed_is_told() {
        let bindings = "clusterrolebindings.rbac.authorization.k8s.io";
        let roles = "roles.rbac.authorization.k8s.io";
        let webhooks = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
        let apis = "apiservices.apiregistration.k8s.io";
        let bound = |name: &str, whom: &str| {
            json!({"metadata": {"name": name, "resourceVersion": whom}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "User", "name": whom}]})
        };
        let may = |verbs: &[&str]| json!([{"metadata": {"name": "reader", "namespace": "shop"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]}]);
        let asks = |policy: &str| json!([{"metadata": {"name": "sidecar"}, "webhooks": [{"name": "a.example.com", "failurePolicy": policy, "clientConfig": {"url": "https://evil.example"}}]}]);
        let served = json!([{"metadata": {"name": "v1.evil"}, "spec": {"group": "evil", "service": {"namespace": "x", "name": "y"}}}]);
        let same = json!({"metadata": {"name": "same", "resourceVersion": "1"}, "roleRef": {"name": "view"}});
        let same_later =
            json!({"metadata": {"name": "same", "resourceVersion": "2"}, "roleRef": {"name": "view"}});
        let before = access(&[
            (bindings, json!([same, bound("gone", "ada")])),
            (roles, may(&["get"])),
            (webhooks, asks("Ignore")),
            ("secrets", json!("no list, and not read")),
        ]);
        let later = access(&[
            (bindings, json!([same_later, bound("backdoor", "mallory\u{1b}[2J")])),
            (roles, may(&["get", "*"])),
            (webhooks, asks("Fail")),
            (apis, served),
        ]);
        assert_eq!(before.changes(&before), []);
        let lines: String = before
            .changes(&later)
            .iter()
            .map(|one| format!("{} {} {}: {}\n", one.how, one.kind, one.name, one.what))
            .collect();
        insta::assert_snapshot!(lines);
        assert!(Access::default().take(bindings, b"{").is_err());
    }
}
