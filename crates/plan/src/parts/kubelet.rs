//! IN: programs, certificates. OUT: the kubelet's configuration and unit; the kubelet running.
//! ORDER: on a control plane before etcd's manifest, on a worker when the API answers.
//!
//! kubeadm's `kubelet-start` phase writes the same three files, but refuses on a worker; so they are written
//! here on every node, by one path, equal to what the cluster's kubelet-config ConfigMap says.

use super::service;
use crate::kubeadm::{CRI_SOCKET, kubelet_flags, kubelet_on_node};
use crate::{Context, TemplateError, template};
use inventory::Node;
use serde_json::json;
use step::{File, Script, Step};

/// Configuration and unit.
pub fn files(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    let flags = template("kubeadm-flags.env", json!({ "flags": kubelet_flags(node) }))?;
    let instance = template("instance-config.yaml", json!({ "cri_socket": CRI_SOCKET }))?;
    let config = kubelet_on_node(context.cluster, context.cgroups);
    let dropin = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf";
    Ok(vec![
        // kubeadm upgrade writes these three anew.
        Step::file(File::text("/var/lib/kubelet/config.yaml", config).unless_changed()),
        Step::file(File::text("/var/lib/kubelet/instance-config.yaml", instance).unless_changed()),
        Step::file(File::text("/var/lib/kubelet/kubeadm-flags.env", flags).unless_changed()),
        Step::file(File::text(
            "/etc/systemd/system/kubelet.service",
            template("kubelet.service", json!({}))?,
        )),
        Step::file(File::text(dropin, template("10-kubeadm.conf", json!({}))?)),
    ])
}

/// The kubelet runs with these files.
pub fn start() -> Step {
    service::running("kubelet", 60)
}

/// The kubelet answers.
pub fn answers() -> Step {
    let healthy = Script::new("curl -sf -m 2 -o /dev/null http://127.0.0.1:10248/healthz");
    Step::wait("kubelet answers", healthy).within(60).hint("journalctl -u kubelet on that node")
}
