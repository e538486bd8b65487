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
    remove(item, "", &["status"]);
    remove(item, "/metadata", SERVER_SET);
    remove(item, "/metadata/annotations", &["deployment.kubernetes.io/revision"]);
    if let Some(Value::Object(metadata)) = item.get_mut("metadata") {
        let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        metadata.retain(|key, value| !(["annotations", "labels"].contains(&key.as_str()) && is_empty(value)));
    }
    match kind {
        "namespaces" => remove(item, "", &["spec"]),
        "persistentvolumes" => remove(item, "/spec/claimRef", &["resourceVersion", "uid"]),
        "pods" => remove(item, "/spec", &["nodeName"]),
        "jobs.batch" if item["spec"]["manualSelector"] != true => {
            remove(item, "/spec", &["selector"]);
            remove(item, "/metadata/labels", OF_A_JOB);
            remove(item, "/spec/template/metadata/labels", OF_A_JOB);
        }
        _ => {}
    }
}

/// Labels by which a Job's controller finds its Pods.
const OF_A_JOB: &[&str] =
    &["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"];

/// Of what lies at a JSON pointer, if it is there and an object.
fn remove(item: &mut Value, at: &str, keys: &[&str]) {
    if let Some(Value::Object(map)) = item.pointer_mut(at) {
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
}
