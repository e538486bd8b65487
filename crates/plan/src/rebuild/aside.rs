//! Webhooks that refuse every call while nobody answers them, and APIs that nobody serves: set aside before anything
//! writes, with the way back in an annotation of the object itself, so that whoever comes later can go it.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What the object waits for: `NAMESPACE/SERVICE`, by spaces.
const WAITS_FOR: &str = "/metadata/annotations/rekindle.dev~1waits-for";
/// The JSON patch that makes it what it was.
const PUT_BACK: &str = "/metadata/annotations/rekindle.dev~1put-back";

/// One object that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// As kubectl takes it: `validatingwebhookconfigurations.admissionregistration.k8s.io`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `NAMESPACE/SERVICE`, each.
    pub services: BTreeSet<String>,
    patch: String,
}

impl Aside {
    /// For the node's script.
    pub(super) fn line(&self) -> String {
        format!("{}\t{}\t{}\n", self.kind, self.name, self.patch)
    }
}

/// What is to be set aside of the objects of one kind (`PLURAL.GROUP`); a webhook that fails open, or that lies outside
/// of the cluster, is left alone.
pub fn aside(kind: &str, items: &[Value]) -> Vec<Aside> {
    let open: fn(&Value) -> Opened = match kind {
        "validatingwebhookconfigurations.admissionregistration.k8s.io"
        | "mutatingwebhookconfigurations.admissionregistration.k8s.io" => webhooks,
        "apiservices.apiregistration.k8s.io" => api,
        _ => return Vec::new(),
    };
    let one = |item: &Value| {
        let Opened { services, mut there, mut back } = open(item);
        if services.is_empty() {
            return None;
        }
        let waits_for = services.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        back.extend([WAITS_FOR, PUT_BACK].map(|path| json!({"op": "remove", "path": path})));
        if item["metadata"]["annotations"].is_null() {
            there.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
        }
        there.push(json!({"op": "add", "path": WAITS_FOR, "value": waits_for}));
        there.push(json!({"op": "add", "path": PUT_BACK, "value": Value::from(back).to_string()}));
        let name = item["metadata"]["name"].as_str()?.to_owned();
        Some(Aside { kind: kind.to_owned(), name, services, patch: Value::from(there).to_string() })
    };
    items.iter().filter_map(one).collect()
}

/// Whom it waits for, and the steps of both patches.
#[derive(Default)]
struct Opened {
    services: BTreeSet<String>,
    there: Vec<Value>,
    back: Vec<Value>,
}

fn service(client: &Value) -> Option<String> {
    let text = |key: &str| client["service"][key].as_str().filter(|text| is_name(text));
    Some(format!("{}/{}", text("namespace")?, text("name")?))
}

/// A name of the API goes into lines of words.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

/// They fail open meanwhile, and nobody waits long for them.
fn webhooks(item: &Value) -> Opened {
    let Opened { mut services, mut there, mut back } = Opened::default();
    for (i, webhook) in item["webhooks"].as_array().into_iter().flatten().enumerate() {
        // The API's own default.
        let closed = webhook["failurePolicy"].as_str().unwrap_or("Fail") == "Fail";
        let Some(service) = service(&webhook["clientConfig"]).filter(|_| closed) else { continue };
        services.insert(service);
        let path = |key: &str| format!("/webhooks/{i}/{key}");
        // Somebody who rewrote the list meanwhile knows better.
        back.push(json!({"op": "test", "path": path("name"), "value": webhook["name"]}));
        for (key, open) in [("failurePolicy", json!("Ignore")), ("timeoutSeconds", json!(1))] {
            there.push(json!({"op": "add", "path": path(key), "value": open}));
            let own = &webhook[key];
            back.push(match own.is_null() {
                true => json!({"op": "remove", "path": path(key)}),
                false => json!({"op": "replace", "path": path(key), "value": own}),
            });
        }
    }
    Opened { services, there, back }
}

/// Meanwhile nobody is asked: calls get "not found" at once, and whoever lists all APIs gets all the others.
fn api(item: &Value) -> Opened {
    let spec = &item["spec"];
    let Some(service) = service(spec) else { return Opened::default() };
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for key in ["service", "caBundle", "insecureSkipTLSVerify"] {
        if !spec[key].is_null() {
            let path = format!("/spec/{key}");
            there.push(json!({"op": "remove", "path": path}));
            back.push(json!({"op": "add", "path": path, "value": spec[key]}));
        }
    }
    Opened { services: [service].into(), there, back }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(aside: &Aside) -> Value {
        serde_json::from_str(&aside.patch).unwrap()
    }

    #[test]
    fn what_fails_closed_is_opened_and_the_way_back_is_written_down() {
        let client =
            json!({"service": {"namespace": "policy", "name": "gate", "port": 443}, "caBundle": "QQ=="});
        let items = [
            json!({"metadata": {"name": "gate"}, "webhooks": [
                {"name": "open.example.com", "failurePolicy": "Ignore", "clientConfig": client},
                {"name": "all.example.com", "failurePolicy": "Fail", "timeoutSeconds": 10, "clientConfig": client},
            ]}),
            json!({"metadata": {"name": "elsewhere"}, "webhooks": [
                {"name": "a.example.com", "failurePolicy": "Fail", "clientConfig": {"url": "https://example.com"}},
            ]}),
            json!({"metadata": {"name": "hostile"}, "webhooks": [
                {"name": "a", "failurePolicy": "Fail", "clientConfig": {"service": {"namespace": "a b", "name": "$(id)"}}},
            ]}),
        ];
        let found = aside("validatingwebhookconfigurations.admissionregistration.k8s.io", &items);
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["gate"]);
        assert_eq!(found[0].services, ["policy/gate".to_owned()].into());
        insta::assert_json_snapshot!("webhooks", patch(&found[0]));
    }

    #[test]
    fn an_api_of_the_cluster_itself_is_nobodys_backend() {
        let items = [
            json!({"metadata": {"name": "v1.apps", "annotations": {}}, "spec": {"group": "apps", "version": "v1"}}),
            json!({"metadata": {"name": "v1beta1.metrics.k8s.io", "annotations": {"a": "b"}}, "spec": {
                "group": "metrics.k8s.io", "insecureSkipTLSVerify": true,
                "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443}}}),
        ];
        let found = aside("apiservices.apiregistration.k8s.io", &items);
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["v1beta1.metrics.k8s.io"]);
        insta::assert_json_snapshot!("api", patch(&found[0]));
        assert_eq!(aside("pods", &items), []);
    }
}
