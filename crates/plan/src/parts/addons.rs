//! IN: one live apiserver. OUT: kubeadm's ConfigMaps, roles, cluster-info, kube-proxy, CoreDNS; each node's
//! labels and pod CIDRs. ORDER: on one control plane, any.
//!
//! kubeadm's own phases write every object, so that its join, upgrade and reset find what they know. A
//! ConfigMap is compared three ways by an annotation; one that somebody else changed is kept.

use super::control_plane::CONFIG;
use crate::{Context, kubeadm, yaml};
use inventory::{Node, Proxy};
use pki::ExposeSecret;
use serde_json::json;
use step::{Digest, Script, Secret, Step};

/// The annotation: digest of what went in, digest of the data as the API gave it back.
const WROTE: &str = "rekindle.dev/wrote";

/// A shell function: is ConfigMap $1/$2 what we wrote for $3?
const CONFIG_MAP: &str = "export KUBECONFIG=/etc/kubernetes/admin.conf\n\
    data() { kubectl get configmap -n \"$1\" \"$2\" -o jsonpath='{.data}' | sha256sum | cut -d' ' -f1; }\n\
    same() {\n\
    \twrote=$(kubectl get configmap -n \"$1\" \"$2\" -o jsonpath='{.metadata.annotations.rekindle\\.dev/wrote}' 2>/dev/null) || { echo \"$2 is not there\"; exit 1; }\n\
    \t[ -n \"$wrote\" ] || { echo \"$2 was not marked yet\"; exit 1; }\n\
    \t[ \"${wrote#* }\" = \"$(data \"$1\" \"$2\")\" ] || { echo \"ConfigMap $2 was changed by somebody else\"; exit 3; }\n\
    \t[ \"${wrote% *}\" = \"$3\" ] || { echo \"its settings changed\"; exit 1; }\n\
    }\n\
    mark() { kubectl annotate --overwrite configmap -n \"$1\" \"$2\" \"$WROTE=$3 $(data \"$1\" \"$2\")\" >/dev/null; }\n";

/// What kubeadm writes once for a cluster.
pub fn steps(context: &Context) -> Vec<Step> {
    let digest = |value: &serde_json::Value| Digest::of(yaml::document(value).as_bytes()).hex();
    let mut steps = vec![
        upload_config(context, &digest(&kubeadm::cluster_configuration(context.cluster))),
        config_map(
            "upload kubelet configuration",
            "upload-config kubelet",
            "kubelet-config",
            &digest(&kubeadm::kubelet(context.cluster, context.cgroups)),
        ),
        Step::run(
            "write cluster-info and bootstrap roles",
            Script::new(
                "kubectl --kubeconfig=/etc/kubernetes/admin.conf get configmap -n kube-public cluster-info >/dev/null 2>&1 || { echo 'no cluster-info'; exit 1; }",
            ),
            Script::new("kubeadm init phase bootstrap-token --config \"$CONFIG\" >/dev/null").set("CONFIG", CONFIG),
        )
        .within(60),
    ];
    if context.cluster.network.proxy != Proxy::None {
        steps.push(config_map(
            "install kube-proxy",
            "addon kube-proxy",
            "kube-proxy",
            &digest(&kubeadm::kube_proxy(context.cluster)),
        ));
    }
    let coredns = json!({"version": context.cluster.kubernetes.to_string(), "dns": kubeadm::dns_address(context.cluster), "domain": context.cluster.network.domain});
    steps.push(config_map("install CoreDNS", "addon coredns", "coredns", &digest(&coredns)));
    steps
}

/// The first call of any phase that speaks to the API binds the admins' group to cluster-admin, and for that
/// kubeadm wants super-admin.conf beside admin.conf; it lies there for this one call only.
fn upload_config(context: &Context, want: &str) -> Step {
    let run = Script::new(format!(
        "{CONFIG_MAP}super=/etc/kubernetes/super-admin.conf\n\
         trap 'rm -f $super' EXIT\n\
         (umask 077; cat >$super)\n\
         kubeadm init phase upload-config kubeadm --config \"$CONFIG\" >/dev/null\n\
         mark kube-system kubeadm-config \"$WANT\""
    ))
    .input(Secret::new(context.super_admin.expose_secret()));
    let done_when = Script::new(format!("{CONFIG_MAP}same kube-system kubeadm-config \"$WANT\""));
    let set = |script: Script| script.set("WANT", want).set("CONFIG", CONFIG).set("WROTE", WROTE);
    Step::run("upload kubeadm configuration", set(done_when), set(run)).within(60)
}

fn config_map(title: &str, phase: &str, name: &str, want: &str) -> Step {
    let done_when = Script::new(format!("{CONFIG_MAP}same kube-system \"$NAME\" \"$WANT\""));
    let run = Script::new(format!(
        "{CONFIG_MAP}# shellcheck disable=SC2086\n\
         kubeadm init phase $PHASE --config \"$CONFIG\" >/dev/null\n\
         mark kube-system \"$NAME\" \"$WANT\""
    ));
    let set = |script: Script| {
        script.set("NAME", name).set("WANT", want).set("PHASE", phase).set("CONFIG", CONFIG).set("WROTE", WROTE)
    };
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
