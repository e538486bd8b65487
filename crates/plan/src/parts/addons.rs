//! IN: one live apiserver. OUT: kubeadm's ConfigMaps, roles, cluster-info, kube-proxy, CoreDNS; each node's
//! labels and pod CIDRs. ORDER: on one control plane, any.
//!
//! kubeadm's own phases write every object, so that its join, upgrade and reset find what they know. A
//! ConfigMap is compared three ways by an annotation of the namespace kube-system, `rekindle.dev/CONFIGMAP`; one
//! that somebody else changed is kept.

use super::control_plane::CONFIG;
use crate::{Context, kubeadm, yaml};
use inventory::{Node, Proxy, Role};
use pki::ExposeSecret;
use serde_json::{Value, json};
use step::{Digest, Script, Secret, Step};

/// What pods wait for: kube-proxy and CoreDNS, and the role of the administrator who installs them.
pub fn for_pods(context: &Context) -> Vec<Step> {
    let cluster = context.cluster;
    let mut steps = vec![administrators(context)];
    if cluster.network.proxy != Proxy::None {
        let settings = digest(&kubeadm::kube_proxy(cluster));
        steps.push(config_map("install kube-proxy", "addon kube-proxy", "kube-proxy", &settings));
        steps.push(service_address(context));
    }
    let settings = json!({"dns": kubeadm::dns_address(cluster), "domain": cluster.network.domain});
    steps.push(config_map("install CoreDNS", "addon coredns", "coredns", &digest(&settings)));
    steps
}

/// What people and later runs of kubeadm read.
pub fn for_people(context: &Context) -> Vec<Step> {
    let kubelet = digest(&kubeadm::kubelet(context.cluster, context.cgroups));
    vec![
        config_map(
            "upload kubeadm configuration",
            "upload-config kubeadm",
            "kubeadm-config",
            &kubeadm_settings(context),
        ),
        config_map("upload kubelet configuration", "upload-config kubelet", "kubelet-config", &kubelet),
        cluster_info(context),
    ]
}

/// A CoreDNS that starts before kube-proxy has programmed the API's service address sleeps for seconds before it
/// tries again.
fn service_address(context: &Context) -> Step {
    let url = format!("https://{}/version", kubeadm::host_port(&kubeadm::api_address(context.cluster), 443));
    Step::wait(
        "the API's service address answers",
        Script::new("curl -ks --connect-timeout 0.3 -m 2 -o /dev/null \"$URL\"").set("URL", &url),
    )
    .within(120)
    .hint("rekindle kubectl -- -n kube-system get pods -l k8s-app=kube-proxy -o wide")
}

/// It names the endpoint and the CA, and both can be others after a rebuild.
fn cluster_info(context: &Context) -> Step {
    let done_when = "said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf get configmap -n kube-public cluster-info -o jsonpath='{.data.kubeconfig}' 2>/dev/null) ||\n\
        \t{ echo 'no cluster-info'; exit 1; }\n\
        ca=$(base64 -w 0 </etc/kubernetes/pki/ca.crt)\n\
        for part in \"server: https://$ENDPOINT\" \"$ca\"; do\n\
        \tprintf '%s\\n' \"$said\" | grep -qF \"$part\" || { echo 'it names another endpoint or CA'; exit 1; }\n\
        done";
    let done_when = Script::new(done_when).set("ENDPOINT", &kubeadm::endpoint(context.cluster));
    let run = Script::new("kubeadm init phase bootstrap-token --config \"$CONFIG\" >/dev/null");
    Step::run("write cluster-info and bootstrap roles", done_when, run.set("CONFIG", CONFIG)).within(60)
}

fn digest(value: &Value) -> String {
    Digest::of(yaml::document(value).as_bytes()).hex()
}

/// Binds the administrators' group to cluster-admin, as the first call of kubeadm does. That takes
/// super-admin.conf, which kubeadm wants to lie beside admin.conf; it need not lie anywhere.
///
/// Source: `EnsureAdminClusterRoleBinding` in kubeadm's `app/phases/kubeconfig/kubeconfig.go`.
pub fn administrators(context: &Context) -> Step {
    // The apiserver's own client certificate is an administrator's too, and curl starts faster than kubectl.
    let bound = "bound() {\n\
        \tcurl -ksf -m 5 -o /dev/null --cert /etc/kubernetes/pki/apiserver-kubelet-client.crt \\\n\
        \t\t--key /etc/kubernetes/pki/apiserver-kubelet-client.key \\\n\
        \t\thttps://127.0.0.1:6443/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeadm:cluster-admins\n\
        }\n";
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
fn kubeadm_settings(context: &Context) -> String {
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

/// Labels and pod CIDRs of every Node, one call for those that lack something. A control plane gets the labels of
/// kubeadm's `mark-control-plane` phase with them; its taint was registered with the Node.
///
/// Source: kubeadm's `app/phases/markcontrolplane/markcontrolplane.go`.
pub fn nodes(nodes: &[&Node]) -> Step {
    let mut wanted = String::new();
    for node in nodes {
        let mut asked: Vec<String> =
            node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut labels = json!(node.labels);
        if node.role == Role::ControlPlane {
            asked.push("node-role.kubernetes.io/control-plane=".to_owned());
            labels["node-role.kubernetes.io/control-plane"] = "".into();
            labels["node.kubernetes.io/exclude-from-external-load-balancers"] = "".into();
        }
        let cidrs: Vec<String> = node.pod_cidrs.iter().map(ToString::to_string).collect();
        let mut spec = serde_json::Map::new();
        if let Some(first) = cidrs.first() {
            spec.insert("podCIDR".into(), json!(first));
            spec.insert("podCIDRs".into(), json!(cidrs));
        }
        let patch = json!({"metadata": {"labels": labels}, "spec": spec});
        wanted.push_str(&format!("{}|{}|{}|{patch}\n", node.name, cidrs.join(","), asked.join(",")));
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
