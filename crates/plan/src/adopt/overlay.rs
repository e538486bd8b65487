//! What a component's stored configuration says beyond what an inventory without it would render.

use super::{Refused, Seen};
use crate::kubeadm::{self, Cgroups};
use inventory::Cluster;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What is laid over the components' configurations.
#[derive(Default)]
pub struct Overlays {
    pub kubelet: Map<String, Value>,
    pub proxy: Map<String, Value>,
}

/// What the stored configurations say beyond an inventory that says nothing of them.
pub fn overlays(
    seen: &Seen,
    cgroups: Cgroups,
    bare: &Cluster,
    unsaid: &mut BTreeSet<String>,
) -> Result<Overlays, Refused> {
    let read = |what: &str, text: &str| -> Result<Value, Refused> {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_saphyr::from_str(text)
            .map_err(|error| vec![format!("the ConfigMap {what} can't be read: {error}")])
    };
    let kubelet = read("kubelet-config", &seen.kubelet)?;
    let ours = kubeadm::kubelet(bare, cgroups);
    let dns = &kubelet["clusterDNS"];
    if !dns.is_null() && dns != &ours["clusterDNS"] {
        unsaid.insert(format!(
            "kubelets are told the DNS address {dns}, and the service network's is {}",
            ours["clusterDNS"]
        ));
    }
    let proxy = read("kube-proxy", &seen.proxy)?;
    // What kubeadm says by itself, of its own cluster.
    let mut without = proxy.clone();
    if let Some(client) = without.get_mut("clientConnection").and_then(Value::as_object_mut) {
        client.retain(|key, _| key != "kubeconfig");
    }
    if without["bindAddress"] == "0.0.0.0" || without["bindAddress"] == "::" {
        without["bindAddress"] = Value::Null;
    }
    Ok(Overlays {
        kubelet: beyond(
            &kubelet,
            &ours,
            &["apiVersion", "kind", "clusterDNS", "clusterDomain", "containerRuntimeEndpoint"],
        ),
        proxy: beyond(
            &without,
            &kubeadm::kube_proxy(bare),
            &["apiVersion", "kind", "mode", "clusterCIDR", "hostnameOverride"],
        ),
    })
}

/// The keys of `stands` that `ours` lacks or has otherwise, zero values of Go left out: laid over `ours`, they make
/// what stands. Keys of `except` are not looked at.
fn beyond(stands: &Value, ours: &Value, except: &[&str]) -> Map<String, Value> {
    let mut beyond = difference(stands, ours);
    beyond.retain(|key, _| !except.contains(&key.as_str()));
    beyond
}

fn difference(stands: &Value, ours: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    let Value::Object(stands) = stands else { return found };
    for (key, value) in stands {
        match (value, ours.get(key)) {
            (value, Some(own)) if value == own => {}
            (Value::Object(_), own) => {
                let inner = difference(value, own.unwrap_or(&Value::Null));
                if !inner.is_empty() {
                    found.insert(key.clone(), Value::Object(inner));
                }
            }
            (value, own) if is_zero(value) && own.is_none_or(is_zero) => {}
            (value, _) => drop(found.insert(key.clone(), value.clone())),
        }
    }
    found
}

/// Go writes the zero value of a field that nobody set.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0s",
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_zero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_an_inventory_must_say_is_left() {
        let ours =
            json!({"a": {"enabled": false, "ttl": "0s"}, "driver": "systemd", "port": 10248, "rotate": true});
        let cases = [
            (ours.clone(), json!({})),
            (
                json!({"a": {"enabled": true, "ttl": "0s"}, "driver": "systemd"}),
                json!({"a": {"enabled": true}}),
            ),
            // A zero value says nothing where ours says nothing, and something where ours does.
            (json!({"max": 0, "list": [], "map": {"x": null}, "text": ""}), json!({})),
            (json!({"rotate": false, "port": 0}), json!({"rotate": false, "port": 0})),
            (
                json!({"evictionHard": {"nodefs.available": "0%"}, "skipped": 1}),
                json!({"evictionHard": {"nodefs.available": "0%"}}),
            ),
        ];
        for (stands, wanted) in cases {
            assert_eq!(Value::Object(beyond(&stands, &ours, &["skipped"])), wanted, "{stands}");
        }
    }
}
