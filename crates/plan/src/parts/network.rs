//! IN: programs. OUT: for `cni = "routes"`, the CNI configuration and the routes to other nodes' pods.
//! ORDER: before the kubelet, so that the Node is Ready with its first status.

use super::service;
use crate::kubeadm::addresses;
use crate::{Context, TemplateError, template};
use inventory::{Cni, Node};
use ipnet::IpNet;
use serde_json::json;
use step::{File, Step};

/// Bridge, host-local, one static route to each other node's piece of the pod network.
pub fn steps(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    if context.cluster.network.cni != Cni::Routes {
        return Ok(Vec::new());
    }
    let conflist =
        template("10-rekindle.conflist", json!({ "pod_cidrs": node.pod_cidrs, "defaults": defaults(node) }))?;
    let routes = template("routes.sh", json!({ "routes": routes(context, node), "pods": pods(context) }))?;
    Ok(vec![
        Step::file(File::text("/etc/cni/net.d/10-rekindle.conflist", conflist)),
        Step::file(File::text("/etc/rekindle/routes.sh", routes)),
        Step::file(File::text(
            "/etc/systemd/system/rekindle-routes.service",
            template("rekindle-routes.service", json!({}))?,
        )),
        service::running("rekindle-routes", 30),
    ])
}

fn defaults(node: &Node) -> Vec<&'static str> {
    node.pod_cidrs.iter().map(|net| if net.addr().is_ipv6() { "::/0" } else { "0.0.0.0/0" }).collect()
}

fn pods(context: &Context) -> Vec<serde_json::Value> {
    let family = |net: &IpNet| if net.addr().is_ipv6() { "ip6" } else { "ip" };
    context.cluster.network.pods.iter().map(|net| json!({"family": family(net), "net": net})).collect()
}

/// A route goes by way of the other node's address of the same family.
fn routes(context: &Context, node: &Node) -> Vec<serde_json::Value> {
    let others = context.cluster.nodes.iter().filter(|other| other.name != node.name);
    others
        .flat_map(|other| {
            other.pod_cidrs.iter().filter_map(|net| {
                let v6 = net.addr().is_ipv6();
                let via = addresses(other).find(|address| address.is_ipv6() == v6)?;
                Some(json!({"cidr": net, "via": via, "v6": v6}))
            })
        })
        .collect()
}
