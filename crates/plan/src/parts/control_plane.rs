//! IN: certificates, configuration, a laid etcd member. OUT: kubeadm's static pods, each when what it needs is
//! up. ORDER: kubelet, etcd, apiserver, then controller-manager and scheduler.
//!
//! kubeadm writes each manifest. It is compared three ways: what went in when we last had it written, what
//! lies there, and what would go in now; a manifest that somebody else changed is kept and shown.

use super::etcd;
use crate::{Context, TemplateError, kubeadm, secret, template};
use inventory::Node;
use serde_json::{Value, json};
use step::{Digest, File, Script, Step};

/// kubeadm's configuration of this node; it holds no secret, but is nobody's business either.
pub const CONFIG: &str = "/etc/rekindle/kubeadm.yaml";

/// kubeadm's configuration, its patches and the user's files.
pub fn files(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    let config = kubeadm::config(context.cluster, node, context.cgroups);
    let mut steps = vec![Step::file(File::text(CONFIG, config).mode(0o600))];
    for (name, text) in patches(context)? {
        steps.push(Step::file(File::text(format!("{}/{name}", kubeadm::PATCHES), text)));
    }
    for (path, text) in context.files {
        steps.push(Step::file(File::secret(path.clone(), secret(text))));
    }
    Ok(steps)
}

/// Ours first; one of the user's for the same target comes after it in the alphabet, so it wins.
fn patches(context: &Context) -> Result<Vec<(String, String)>, TemplateError> {
    let name = "corednsdeployment+strategic.yaml";
    let mut patches = vec![("corednsdeployment0+strategic.yaml".to_owned(), template(name, json!({}))?)];
    patches.extend(context.patches.iter().map(|(name, text)| (name.clone(), text.clone())));
    Ok(patches)
}

/// A static pod that kubeadm writes.
struct StaticPod {
    component: &'static str,
    phase: &'static str,
    live: &'static str,
    /// The key of `ClusterConfiguration` that is this component's own.
    section: &'static str,
}

const ETCD: StaticPod = StaticPod {
    component: "etcd",
    phase: "etcd local",
    live: "http://127.0.0.1:2381/livez",
    section: "etcd",
};
const API_SERVER: StaticPod = StaticPod {
    component: "kube-apiserver",
    phase: "control-plane apiserver",
    live: "https://127.0.0.1:6443/livez",
    section: "apiServer",
};
const CONTROLLER_MANAGER: StaticPod = StaticPod {
    component: "kube-controller-manager",
    phase: "control-plane controller-manager",
    live: "https://127.0.0.1:10257/healthz",
    section: "controllerManager",
};
const SCHEDULER: StaticPod = StaticPod {
    component: "kube-scheduler",
    phase: "control-plane scheduler",
    live: "https://127.0.0.1:10259/livez",
    section: "scheduler",
};

/// etcd's manifest.
pub fn etcd_manifest(context: &Context, node: &Node) -> Result<Step, TemplateError> {
    static_pod(context, node, &ETCD)
}

/// The apiserver, when etcd has a quorum.
pub fn api_server(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    let live = Script::new("curl -ksf -m 2 -o /dev/null https://127.0.0.1:6443/livez");
    let hint =
        "ctr -n k8s.io containers ls, and the newest file in /var/log/pods/kube-system_kube-apiserver-*";
    Ok(vec![
        static_pod(context, node, &API_SERVER)?,
        Step::wait("apiserver is live", live).within(180).hint(hint),
    ])
}

/// What acts on what the apiserver holds.
pub fn controllers(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    Ok(vec![static_pod(context, node, &CONTROLLER_MANAGER)?, static_pod(context, node, &SCHEDULER)?])
}

fn static_pod(context: &Context, node: &Node, pod: &StaticPod) -> Result<Step, TemplateError> {
    let want = inputs(context, node, pod)?;
    let done_when = Script::new(
        "manifest=/etc/kubernetes/manifests/$COMPONENT.yaml\n\
         [ -e \"$manifest\" ] || { echo 'no manifest'; exit 1; }\n\
         wrote=$(cat \"/var/lib/rekindle/wrote/manifest-$COMPONENT\" 2>/dev/null) || wrote='- -'\n\
         [ \"${wrote#* }\" = \"$(sha256sum <\"$manifest\" | cut -d' ' -f1)\" ] || { echo 'the manifest was changed by somebody else'; exit 3; }\n\
         [ \"${wrote% *}\" = \"$WANT\" ] || { echo 'its settings changed'; exit 1; }",
    );
    let run = Script::new(format!("{}{}", quorum_without_me(), include_str!("static_pod.sh")));
    let set = |script: Script| script.set("COMPONENT", pod.component).set("WANT", &want.hex());
    let run = set(run).set("PHASE", pod.phase).set("LIVE", pod.live).set("ALIVE", "120");
    let hint = format!("the newest file in /var/log/pods/kube-system_{}-* on that node", pod.component);
    Ok(Step::run(format!("write manifest of {}", pod.component), set(done_when), run).within(180).hint(hint))
}

/// The quorum gate: every other voter counts only when it answers.
fn quorum_without_me() -> String {
    format!(
        "{}quorum_without_me() {{\n\
         \tvoters=$(ctl member list | grep -c ', false$')\n\
         \thealthy=$(ctl endpoint health --cluster 2>&1 | grep -c 'is healthy' || :)\n\
         \t[ \"$voters\" -eq 1 ] || [ $((healthy - 1)) -ge $((voters / 2 + 1)) ]\n\
         }}\n",
        etcd::CTL
    )
}

/// The digest of all that goes into one manifest, so that a scheduler's flag restarts no apiserver. The version is
/// not in it: `kubeadm upgrade` changes that, and writes the manifests itself.
fn inputs(context: &Context, node: &Node, pod: &StaticPod) -> Result<Digest, TemplateError> {
    let document = kubeadm::cluster_configuration(context.cluster);
    let patches: Vec<_> =
        patches(context)?.into_iter().filter(|(name, _)| name.starts_with(pod.component)).collect();
    // A file that a flag names is read once, at start, so its content counts as well.
    let section = document[pod.section].to_string();
    let files: Vec<_> = context
        .files
        .iter()
        .filter(|(path, _)| section.contains(path.as_str()))
        .map(|(path, text)| (path.clone(), Digest::of(secret(text).expose()).hex()))
        .collect();
    let shared = |key: &str| document.get(key).cloned().unwrap_or(Value::Null);
    let inputs = json!({
        "section": document[pod.section],
        "networking": shared("networking"),
        "address": node.address.to_string(),
        "name": node.name,
        "patches": patches,
        "files": files,
    });
    Ok(Digest::of(inputs.to_string().as_bytes()))
}
