//! What of an object is a person's.

use serde_json::{Map, Value};

/// Kinds that no person writes.
const NOBODYS: &[&str] = &[
    "certificatesigningrequests.certificates.k8s.io",
    "controllerrevisions.apps",
    "csinodes.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
    "events",
    "events.events.k8s.io",
    "ipaddresses.networking.k8s.io",
    "leasecandidates.coordination.k8s.io",
    "leases.coordination.k8s.io",
    "nodes",
    "resourceslices.resource.k8s.io",
    "servicecidrs.networking.k8s.io",
    "storageversions.internal.apiserver.k8s.io",
    "volumeattachments.storage.k8s.io",
];

/// Objects that every cluster has of itself: kind, name.
const OF_ITSELF: &[(&str, &str)] = &[
    ("configmaps", "kube-root-ca.crt"),
    ("configmaps", "extension-apiserver-authentication"),
    ("configmaps", "kube-apiserver-legacy-service-account-token-tracking"),
    ("priorityclasses.scheduling.k8s.io", "system-cluster-critical"),
    ("priorityclasses.scheduling.k8s.io", "system-node-critical"),
    ("serviceaccounts", "default"),
];

/// Types of Secrets that hold a token of this cluster.
const TOKENS: &[&str] = &["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

const SERVER_SET: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    // Their uids are of this cluster: another one would collect the object as garbage.
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Whether an object is left out.
pub(super) fn is_left_out(kind: &str, item: &Value) -> bool {
    let metadata = &item["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let owned = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| owners.iter().any(|owner| owner["controller"] == true));
    let has = |key: &str, name: &str| metadata[key].get(name).is_some();
    NOBODYS.contains(&kind)
        || OF_ITSELF.contains(&(kind, name))
        || owned
        || metadata["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
        || metadata["annotations"]["apf.kubernetes.io/autoupdate-spec"] == "true"
        || match kind {
            "endpoints" => {
                has("labels", "endpoints.kubernetes.io/managed-by")
                    || has("annotations", "endpoints.kubernetes.io/last-change-trigger-time")
                    || name == "kubernetes"
            }
            "endpointslices.discovery.k8s.io" => {
                has("labels", "endpointslice.kubernetes.io/managed-by") || name == "kubernetes"
            }
            "services" => name == "kubernetes" && metadata["namespace"] == "default",
            "secrets" => item["type"].as_str().is_some_and(|kind| TOKENS.contains(&kind)),
            "apiservices.apiregistration.k8s.io" => item["spec"].get("service").is_none_or(Value::is_null),
            _ => false,
        }
}

/// Takes out what a server sets.
pub(super) fn clean(kind: &str, item: &mut Value) {
    remove(item, &["status"]);
    remove(&mut item["metadata"], SERVER_SET);
    remove(&mut item["metadata"]["annotations"], &["deployment.kubernetes.io/revision"]);
    prune(&mut item["metadata"], &["annotations", "labels"]);
    match kind {
        "namespaces" => remove(item, &["spec"]),
        "persistentvolumes" => remove(&mut item["spec"]["claimRef"], &["resourceVersion", "uid"]),
        "pods" => remove(&mut item["spec"], &["nodeName"]),
        "jobs.batch" if item["spec"]["manualSelector"] != true => {
            remove(&mut item["spec"], &["selector"]);
            let own = [
                "controller-uid",
                "batch.kubernetes.io/controller-uid",
                "job-name",
                "batch.kubernetes.io/job-name",
            ];
            remove(&mut item["metadata"]["labels"], &own);
            remove(&mut item["spec"]["template"]["metadata"]["labels"], &own);
        }
        _ => {}
    }
    // Asking for what was not there has left a null.
    if let Value::Object(map) = item {
        without_nulls(map);
    }
}

fn remove(value: &mut Value, keys: &[&str]) {
    if let Value::Object(map) = value {
        for key in keys {
            map.remove(*key);
        }
    }
}

fn prune(value: &mut Value, keys: &[&str]) {
    if let Value::Object(map) = value {
        map.retain(|key, value| {
            !(keys.contains(&key.as_str()) && value.as_object().is_some_and(Map::is_empty))
        });
    }
}

/// Of the object, its metadata and its spec: a null deeper down may mean something to a custom resource.
fn without_nulls(map: &mut Map<String, Value>) {
    map.retain(|_, value| !value.is_null());
    for key in ["metadata", "spec"] {
        if let Some(Value::Object(inner)) = map.get_mut(key) {
            inner.retain(|_, value| !value.is_null());
        }
    }
}
