//! IN: one live apiserver. OUT: kubeadm's ConfigMaps, roles, cluster-info, kube-proxy, CoreDNS; each node's
//! labels and pod CIDRs. ORDER: on one control plane, any.
//!
//! kubeadm's own phases write every object, so that its join, upgrade and reset find what they know. A
//! ConfigMap is compared three ways by an annotation; one that somebody else changed is kept.

use super::control_plane::CONFIG;
use crate::{Context, kubeadm, yaml};
use inventory::{Node, Proxy};
use pki::ExposeSecret;
use serde_json::{Value, json};
use step::{Digest, Script, Secret, Step};

/// A shell function: is ConfigMap $1/$2 what we wrote for $3?
///
/// What we wrote is an annotation of the namespace kube-system, `rekindle.dev/CONFIGMAP`: the digest of what went
/// in, and that of the data as the API gave it back. On the ConfigMap itself `kubeadm upgrade` would remove it.
const CONFIG_MAP: &str = "export KUBECONFIG=/etc/kubernetes/admin.conf\n\
    data() {\n\
    \ttext=$(kubectl get configmap -n \"$1\" \"$2\" -o jsonpath='{.data}' 2>/dev/null) || return 1\n\
    \tprintf %s \"$text\" | sha256sum | cut -d' ' -f1\n\
    }\n\
    same() {\n\
    \thave=$(data \"$1\" \"$2\") || { echo \"$2 is not there\"; exit 1; }\n\
    \twrote=$(kubectl get namespace kube-system -o jsonpath=\"{.metadata.annotations.rekindle\\.dev/$2}\")\n\
    \t[ -n \"$wrote\" ] || { echo \"$2 was not marked yet\"; exit 1; }\n\
    \t[ \"${wrote#* }\" = \"$have\" ] || { echo \"ConfigMap $2 was changed by somebody else\"; exit 3; }\n\
    \t[ \"${wrote% *}\" = \"$3\" ] || { echo \"its settings changed\"; exit 1; }\n\
    }\n\
    mark() { kubectl annotate --overwrite namespace kube-system \"rekindle.dev/$2=$3 $(data \"$1\" \"$2\")\" >/dev/null; }\n";

/// What kubeadm writes once for a cluster.
pub fn steps(context: &Context) -> Vec<Step> {
    let mut steps = vec![
        upload_config(context),
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
    let coredns =
        json!({"dns": kubeadm::dns_address(context.cluster), "domain": context.cluster.network.domain});
    steps.push(config_map("install CoreDNS", "addon coredns", "coredns", &digest(&coredns)));
    steps
}

fn digest(value: &Value) -> String {
    Digest::of(yaml::document(value).as_bytes()).hex()
}

/// What kubeadm made of its configuration, in the API.
fn upload_config(context: &Context) -> Step {
    let done_when = Script::new(format!("{CONFIG_MAP}same kube-system kubeadm-config \"$WANT\""));
    let done_when = done_when.set("WANT", &settings(context));
    Step::run("upload kubeadm configuration", done_when, upload(context)).within(60)
}

/// The administrators' role, in a cluster whose first `up` ended after etcd's quorum and before its first call.
pub fn administrators(context: &Context) -> Step {
    let done_when = Script::new(
        "kubectl --kubeconfig=/etc/kubernetes/admin.conf get clusterrolebinding kubeadm:cluster-admins >/dev/null 2>&1 || { echo 'administrators have no role yet'; exit 1; }",
    );
    Step::run("give administrators their role", done_when, upload(context)).within(60)
}

/// kubeadm's configuration but its version, which is `kubeadm upgrade`'s to change.
fn settings(context: &Context) -> String {
    let mut document = kubeadm::cluster_configuration(context.cluster);
    document["kubernetesVersion"] = Value::Null;
    digest(&document)
}

/// The first call of any phase that speaks to the API binds the admins' group to cluster-admin, and for that
/// kubeadm wants super-admin.conf beside admin.conf; it lies there for this one call only.
fn upload(context: &Context) -> Script {
    Script::new(format!(
        "{CONFIG_MAP}super=/etc/kubernetes/super-admin.conf\n\
         trap 'rm -f $super' EXIT\n\
         (umask 077; cat >$super)\n\
         kubeadm init phase upload-config kubeadm --config \"$CONFIG\" >/dev/null\n\
         mark kube-system kubeadm-config \"$WANT\""
    ))
    .set("WANT", &settings(context))
    .set("CONFIG", CONFIG)
    .input(Secret::new(context.super_admin.expose_secret()))
}

fn config_map(title: &str, phase: &str, name: &str, want: &str) -> Step {
    let done_when = Script::new(format!("{CONFIG_MAP}same kube-system \"$NAME\" \"$WANT\""));
    let run = Script::new(format!(
        "{CONFIG_MAP}# shellcheck disable=SC2086\n\
         kubeadm init phase $PHASE --config \"$CONFIG\" >/dev/null\n\
         mark kube-system \"$NAME\" \"$WANT\""
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
