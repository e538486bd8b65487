//! IN: one live apiserver. OUT: kubeadm's ConfigMaps, roles, cluster-info, kube-proxy, CoreDNS; each node's
//! labels and pod CIDRs. ORDER: on one control plane, any.
//!
//! kubeadm's own phases write every object, so that its join, upgrade and reset find what they know. A
//! ConfigMap is compared three ways by an annotation of the namespace kube-system, `rekindle.dev/CONFIGMAP`; one
//! that somebody else changed is kept.

use super::control_plane::CONFIG;
use crate::{Context, kubeadm, yaml};
use inventory::{Node, Proxy};
use pki::ExposeSecret;
use serde_json::{Value, json};
use step::{Digest, Script, Secret, Step};

/// What kubeadm writes once for a cluster. First what pods wait for, then what people and later runs read.
pub fn steps(context: &Context) -> Vec<Step> {
    let mut steps = Vec::new();
    if context.cluster.network.proxy != Proxy::None {
        steps.push(config_map(
            "install kube-proxy",
            "addon kube-proxy",
            "kube-proxy",
            &digest(&kubeadm::kube_proxy(context.cluster)),
        ));
    }
    let coredns =
        json!({"dns": kubeadm::dns_address(context.cluster), "domain": context.cluster.network.domain});
    steps.push(config_map("install CoreDNS", "addon coredns", "coredns", &digest(&coredns)));
    steps.push(config_map(
        "upload kubeadm configuration",
        "upload-config kubeadm",
        "kubeadm-config",
        &settings(context),
    ));
    steps.push(config_map(
        "upload kubelet configuration",
        "upload-config kubelet",
        "kubelet-config",
        &digest(&kubeadm::kubelet(context.cluster, context.cgroups)),
    ));
    steps.push(cluster_info());
    steps
}

/// This control plane's share of them, dealt one by one: where a cluster is born, its control planes live at the
/// same moment, and none of these waits for another.
pub fn share(context: &Context, control_planes: &[&Node], node: &Node) -> Vec<Step> {
    let seat = control_planes.iter().position(|other| other.name == node.name);
    let dealt = |index: usize| Some(index % control_planes.len().max(1)) == seat;
    let steps = steps(context).into_iter().enumerate();
    steps.filter(|(index, _)| dealt(*index)).map(|(_, step)| step).collect()
}

fn cluster_info() -> Step {
    let done_when = "kubectl --kubeconfig=/etc/kubernetes/admin.conf get configmap -n kube-public cluster-info >/dev/null 2>&1 ||\n\
        { echo 'no cluster-info'; exit 1; }";
    let run = Script::new("kubeadm init phase bootstrap-token --config \"$CONFIG\" >/dev/null");
    Step::run("write cluster-info and bootstrap roles", Script::new(done_when), run.set("CONFIG", CONFIG))
        .within(60)
}

fn digest(value: &Value) -> String {
    Digest::of(yaml::document(value).as_bytes()).hex()
}

/// Binds the administrators' group to cluster-admin, as the first call of kubeadm does. That takes
/// super-admin.conf, which kubeadm wants to lie beside admin.conf; it need not lie anywhere.
///
/// Source: `EnsureAdminClusterRoleBinding` in kubeadm's `app/phases/kubeconfig/kubeconfig.go`.
pub fn administrators(context: &Context) -> Step {
    let bound = "bound() { kubectl --kubeconfig=/etc/kubernetes/admin.conf get clusterrolebinding kubeadm:cluster-admins >/dev/null 2>&1; }\n";
    let done_when =
        Script::new(format!("{bound}bound || {{ echo 'administrators have no role yet'; exit 1; }}"));
    // An apiserver knows of a new binding a moment later.
    let run = Script::new(format!(
        "{bound}said=$(kubectl --kubeconfig=/dev/stdin create clusterrolebinding kubeadm:cluster-admins \\\n\
         \t--clusterrole=cluster-admin --group=kubeadm:cluster-admins 2>&1) ||\n\
         \tcase $said in *'already exists'*) ;; *) echo \"$said\"; exit 1 ;; esac\n\
         tries=0\n\
         until bound || [ $tries -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done"
    ))
    .input(Secret::new(context.super_admin.expose_secret()));
    Step::run("give administrators their role", done_when, run).within(60)
}

/// kubeadm's configuration but its version, which is `kubeadm upgrade`'s to change.
fn settings(context: &Context) -> String {
    let mut document = kubeadm::cluster_configuration(context.cluster);
    document["kubernetesVersion"] = Value::Null;
    digest(&document)
}

fn config_map(title: &str, phase: &str, name: &str, want: &str) -> Step {
    let body = include_str!("config_map.sh");
    let done_when = Script::new(format!("{body}is_ours"));
    let run = Script::new(format!(
        "{body}# shellcheck disable=SC2086\nkubeadm init phase $PHASE --config \"$CONFIG\" >/dev/null\nmark"
    ));
    let set =
        |script: Script| script.set("NAME", name).set("WANT", want).set("PHASE", phase).set("CONFIG", CONFIG);
    Step::run(title, set(done_when), set(run)).within(60)
}

/// Labels and pod CIDRs of every Node, one call for those that lack something.
pub fn nodes(nodes: &[&Node]) -> Step {
    let mut wanted = String::new();
    for node in nodes {
        let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let cidrs: Vec<String> = node.pod_cidrs.iter().map(ToString::to_string).collect();
        let mut spec = serde_json::Map::new();
        if let Some(first) = cidrs.first() {
            spec.insert("podCIDR".into(), json!(first));
            spec.insert("podCIDRs".into(), json!(cidrs));
        }
        let patch = json!({"metadata": {"labels": node.labels}, "spec": spec});
        wanted.push_str(&format!("{}|{}|{}|{patch}\n", node.name, cidrs.join(","), labels.join(",")));
    }
    let body = include_str!("nodes.sh");
    let set = |script: Script| script.set("WANTED", &wanted);
    Step::run(
        "label nodes and name their pod networks",
        set(Script::new(format!("{body}open_nodes | grep . && exit 1 || exit 0"))),
        set(Script::new(format!("{body}patch_open_nodes"))),
    )
    .within(60)
}
