//! IN: a prepared worker. OUT: a local haproxy with every apiserver behind it, under the endpoint's name.
//! ORDER: before the worker's kubelet.

use super::service;
use crate::kubeadm::host_port;
use crate::{Context, TemplateError, template};
use inventory::{Node, Role};
use serde_json::json;
use step::{File, Step};

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
    let loopback = if node.address.is_ipv6() { "::1" } else { "127.0.0.1" };
    let values = json!({"bind": host_port(loopback, context.cluster.api.port), "servers": servers});
    Ok(vec![
        Step::file(File::text("/etc/rekindle/haproxy.cfg", template("haproxy.cfg", values)?)),
        Step::file(File::text(
            "/etc/systemd/system/rekindle-api.service",
            template("rekindle-api.service", json!({}))?,
        )),
        service::reloaded("rekindle-api", 30),
    ])
}
