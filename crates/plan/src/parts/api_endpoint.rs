//! IN: a prepared worker. OUT: a local haproxy with every apiserver behind it, under the endpoint's name.
//! ORDER: before the worker's kubelet.

use super::service;
use crate::kubeadm::{endpoint, host_port};
use crate::{Context, TemplateError, template};
use inventory::{Node, Role};
use serde_json::json;
use step::{File, Script, Step};

/// A worker's haproxy. A control plane's own apiserver is its endpoint, so it needs none.
pub fn steps(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    if node.role != Role::Worker {
        return Ok(Vec::new());
    }
    let servers: Vec<_> = context
        .cluster
        .control_planes()
        .map(|node| json!({"name": node.name, "address": host_port(&node.address.to_string(), 6443)}))
        .collect();
    let url = format!("https://{}/version", endpoint(context.cluster));
    let loopback = if node.address.is_ipv6() { "::1" } else { "127.0.0.1" };
    let values = json!({"bind": host_port(loopback, context.cluster.api.port), "servers": servers});
    Ok(vec![
        Step::file(File::text("/etc/rekindle/haproxy.cfg", template("haproxy.cfg", values)?)),
        Step::file(File::text(
            "/etc/systemd/system/rekindle-api.service",
            template("rekindle-api.service", json!({}))?,
        )),
        service::reloaded("rekindle-api", 30),
        // A kubelet that finds no API when it starts tries again after up to 7 s, and is not Ready before its
        // CSINode is written, for which it is even more patient.
        Step::wait("the API answers", Script::new("curl -ks -m 2 -o /dev/null \"$URL\"").set("URL", &url))
            .within(300)
            .hint("rekindle status shows the apiservers; the lanes of the control planes say why they are not there"),
    ])
}
