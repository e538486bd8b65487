//! What a generation's objects mean for whoever builds its cluster again: who was there, what ran where, what is in no
//! snapshot, and what would stand in the way.

use super::{Aside, aside, cni};
use crate::export::items;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use step::Unreadable;

/// All that is asked of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Objects {
    /// Nodes by name, with their first pod CIDR (empty where they have none).
    pub nodes: BTreeMap<String, String>,
    /// Pods by node: `NAMESPACE/NAME` and the uid.
    pub pods: BTreeMap<String, BTreeMap<String, String>>,
    /// Volumes: their content is in no archive.
    pub volumes: Vec<Volume>,
    /// What is set aside while the cluster is built again.
    #[serde(skip)]
    pub aside: Vec<Aside>,
    /// Kinds that a webhook converts (`PLURAL.GROUP`): nobody reads them while it does not answer.
    pub converted: BTreeSet<String>,
    /// Volumes that are attached, with the node: `VOLUME on NODE`.
    pub attached: BTreeSet<String>,
    /// Jobs that had not ended: what of them ran since then runs again. `NAMESPACE/NAME`.
    pub jobs: BTreeSet<String>,
    /// The pod network, where it is one that we know by its DaemonSet.
    pub cni: Option<&'static str>,
    /// What it keeps of a node, by node: `KIND NAME`.
    pub kept: BTreeMap<String, BTreeSet<(String, String)>>,
    /// Services that something outside of the cluster balances: `NAMESPACE/NAME`.
    pub balancers: BTreeSet<String>,
}

/// A PersistentVolume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// A CSI driver, or the kind of volume: `local`, `nfs`.
    pub driver: String,
    /// Whose it is: `NAMESPACE/NAME`.
    pub claim: Option<String>,
    /// The nodes that it is pinned to.
    pub nodes: BTreeSet<String>,
}

impl Objects {
    /// Adds one page of one kind (`PLURAL[.GROUP]`); most kinds say nothing.
    ///
    /// # Errors
    /// The page is no list of objects.
    pub fn take(&mut self, kind: &str, page: &[u8]) -> Result<(), Unreadable> {
        if !Self::KINDS.contains(&kind) && !cni::speaks(kind) {
            return Ok(());
        }
        let items = items(kind, page)?;
        self.aside.extend(aside(kind, &items));
        for item in &items {
            self.object(kind, item);
        }
        Ok(())
    }

    const KINDS: [&str; 10] = [
        "nodes",
        "pods",
        "persistentvolumes",
        "services",
        "volumeattachments.storage.k8s.io",
        "jobs.batch",
        "customresourcedefinitions.apiextensions.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "apiservices.apiregistration.k8s.io",
    ];

    fn object(&mut self, kind: &str, item: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &item["metadata"];
        let name = text(&metadata["name"]);
        let of_namespace = || format!("{}/{name}", text(&metadata["namespace"]));
        match kind {
            "nodes" => drop(self.nodes.insert(name, text(&item["spec"]["podCIDR"]))),
            "pods" => {
                if let Some(node) = item["spec"]["nodeName"].as_str() {
                    let of_node = self.pods.entry(node.to_owned()).or_default();
                    of_node.insert(of_namespace(), text(&metadata["uid"]));
                }
            }
            "persistentvolumes" => self.volumes.push(volume(name, &item["spec"])),
            "services" if item["spec"]["type"] == "LoadBalancer" => {
                self.balancers.insert(of_namespace());
            }
            "daemonsets.apps" => self.cni = self.cni.or(cni::of_daemon(&name)),
            _ if cni::speaks(kind) => {
                if let Some(node) = cni::node(kind, item) {
                    self.kept.entry(node).or_default().insert((kind.to_owned(), name));
                }
            }
            "volumeattachments.storage.k8s.io" if item["status"]["attached"] == true => {
                let spec = &item["spec"];
                let volume = text(&spec["source"]["persistentVolumeName"]);
                self.attached.insert(format!("{volume} on {}", text(&spec["nodeName"])));
            }
            "jobs.batch" if !has_ended(item) => {
                self.jobs.insert(of_namespace());
            }
            _ if item["spec"]["conversion"]["strategy"] == "Webhook" => {
                self.converted.insert(name);
            }
            _ => {}
        }
    }
}

/// Whether a Job has come to an end, well or not.
fn has_ended(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    let ends =
        |one: &Value| (one["type"] == "Complete" || one["type"] == "Failed") && one["status"] == "True";
    conditions.into_iter().any(ends)
}

fn volume(name: String, spec: &Value) -> Volume {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // What is no setting of all volumes is the kind of this one.
    let settings = [
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    ];
    let kind = spec.as_object().into_iter().flatten().find(|(key, _)| !settings.contains(&key.as_str()));
    let driver = match kind {
        Some((key, value)) if key == "csi" => text(&value["driver"]),
        Some((key, _)) => key.clone(),
        None => String::new(),
    };
    let claim = &spec["claimRef"];
    let claim = claim.is_object().then(|| format!("{}/{}", text(&claim["namespace"]), text(&claim["name"])));
    let terms = spec["nodeAffinity"]["required"]["nodeSelectorTerms"].as_array().into_iter().flatten();
    let expressions = terms.flat_map(|term| term["matchExpressions"].as_array().into_iter().flatten());
    let named = expressions.filter(|one| one["key"] == "kubernetes.io/hostname" && one["operator"] == "In");
    let nodes = named.flat_map(|one| one["values"].as_array().into_iter().flatten()).map(text).collect();
    Volume { name, driver, claim, nodes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_said_of_a_cluster() {
        let mut objects = Objects::default();
        let pages = [
            (
                "daemonsets.apps",
                json!({"items": [{"metadata": {"name": "calico-node", "namespace": "kube-system"}}]}),
            ),
            (
                "blockaffinities.crd.projectcalico.org",
                json!({"items": [{"metadata": {"name": "w1-10-0-0-0-26"}, "spec": {"node": "w1"}}]}),
            ),
            (
                "ipamblocks.crd.projectcalico.org",
                json!({"items": [
                {"metadata": {"name": "10-0-0-0-26"}, "spec": {"affinity": "host:w1"}}, {"metadata": {"name": "free"}, "spec": {}}]}),
            ),
            ("ipamhosts.crd.projectcalico.org", json!({"items": [{"metadata": {"name": "w1"}}]})),
            ("ciliumnodes.cilium.io", json!({"items": [{"metadata": {"name": "cp1"}}]})),
            (
                "ciliumendpoints.cilium.io",
                json!({"items": [{"metadata": {"name": "web-1", "namespace": "shop"}}]}),
            ),
            (
                "nodes",
                json!({"items": [{"metadata": {"name": "cp1"}, "spec": {"podCIDR": "10.244.0.0/24"}}, {"metadata": {"name": "w1"}}]}),
            ),
            (
                "pods",
                json!({"items": [
                {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u1"}, "spec": {"nodeName": "w1"}},
                {"metadata": {"name": "web-2", "namespace": "shop", "uid": "u2"}, "spec": {}}]}),
            ),
            (
                "persistentvolumes",
                json!({"items": [
                {"metadata": {"name": "disk"}, "spec": {"capacity": {"storage": "1Gi"}, "csi": {"driver": "ebs.csi.aws.com"}, "claimRef": {"namespace": "shop", "name": "data"}}},
                {"metadata": {"name": "here"}, "spec": {"local": {"path": "/mnt"}, "volumeMode": "Filesystem", "nodeAffinity": {"required": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"]}]}]}}}}]}),
            ),
            (
                "services",
                json!({"items": [{"metadata": {"name": "front", "namespace": "shop"}, "spec": {"type": "LoadBalancer"}}, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "ClusterIP"}}]}),
            ),
            (
                "customresourcedefinitions.apiextensions.k8s.io",
                json!({"items": [{"metadata": {"name": "widgets.example.com"}, "spec": {"conversion": {"strategy": "Webhook"}}}]}),
            ),
            (
                "volumeattachments.storage.k8s.io",
                json!({"items": [{"metadata": {"name": "csi-1"}, "spec": {"nodeName": "w1", "source": {"persistentVolumeName": "disk"}}, "status": {"attached": true}}]}),
            ),
            (
                "jobs.batch",
                json!({"items": [
                {"metadata": {"name": "done", "namespace": "shop"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}},
                {"metadata": {"name": "busy", "namespace": "shop"}, "status": {"active": 1}}]}),
            ),
            ("secrets", json!("no list, and not read")),
        ];
        for (kind, page) in pages {
            objects.take(kind, page.to_string().as_bytes()).unwrap();
        }
        insta::assert_json_snapshot!(objects);
        assert!(objects.take("nodes", b"{").is_err());
    }
}
