//! Each node's piece of the pod networks. A piece is fixed for the life of a node, so what is written wins,
//! and the others take the next free piece in the order of the file: nodes added at its end move nobody.

use crate::error::Mistake;
use crate::lower::Places;
use crate::parse::Found;
use crate::{Cluster, Cni, Kubeadm, Role};
use ipnet::IpNet;

/// Prefix length of a node's piece: kube-controller-manager's `--node-cidr-mask-size-ipv4` and `-ipv6`, which
/// are 24 and 64 by default (kubeadm's `getClusterNodeMask`, `cmd/kubeadm/app/apis/kubeadm/validation`).
pub(crate) fn node_mask(kubeadm: &Kubeadm, network: &IpNet) -> u8 {
    let (flag, default) = match network {
        IpNet::V4(_) => ("node-cidr-mask-size-ipv4", 24),
        IpNet::V6(_) => ("node-cidr-mask-size-ipv6", 64),
    };
    let written = kubeadm.controller_manager.get(flag);
    written
        .and_then(|mask| mask.parse().ok())
        .filter(|mask| *mask <= network.max_prefix_len())
        .unwrap_or(default)
}

/// Whether two networks share an address.
pub(crate) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// Gives every node that runs pods its pieces; what is written on a node is checked. Too few pieces are left
/// to the rule that counts them.
pub(crate) fn assign(cluster: &mut Cluster, places: &Places, found: &mut Found) {
    if cluster.network.cni != Cni::Routes {
        for node in cluster.nodes.iter_mut().filter(|node| !node.pod_cidrs.is_empty()) {
            let span = places.nodes.get(&node.name).and_then(|place| place.pod_cidr.clone());
            let message = format!("`nodes.{}.pod-cidr` has no effect", node.name);
            found.warnings.push(Mistake::new(span, message, "only `cni = \"routes\"` uses it"));
            node.pod_cidrs.clear();
        }
        return;
    }
    check_written(cluster, places, found);
    let written: Vec<IpNet> = cluster.nodes.iter().flat_map(|node| node.pod_cidrs.clone()).collect();
    let mut without: Vec<_> = cluster
        .nodes
        .iter_mut()
        .filter(|node| node.role != Role::Etcd && node.pod_cidrs.is_empty())
        .collect();
    for network in &cluster.network.pods {
        let Ok(pieces) = network.subnets(node_mask(&cluster.kubeadm, network)) else { continue };
        let mut free = pieces.filter(|piece| !written.iter().any(|taken| overlap(taken, piece)));
        for node in &mut without {
            node.pod_cidrs.extend(free.next());
        }
    }
}

fn check_written(cluster: &Cluster, places: &Places, found: &mut Found) {
    let networks = &cluster.network.pods;
    for (position, node) in cluster.nodes.iter().enumerate().filter(|(_, node)| !node.pod_cidrs.is_empty()) {
        let span = places.nodes.get(&node.name).and_then(|place| place.pod_cidr.clone());
        let mut wrong =
            |message: String, right: String| found.errors.push(Mistake::new(span.clone(), message, right));
        if node.role == Role::Etcd {
            wrong(format!("`{}` runs no pods", node.name), "leave `pod-cidr` out".into());
            continue;
        }
        if node.pod_cidrs.len() != networks.len() {
            let message = format!("`{}` has {} pod networks", node.name, node.pod_cidrs.len());
            wrong(message, format!("one of each of the {} in `network.pods`", networks.len()));
            continue;
        }
        for (piece, network) in node.pod_cidrs.iter().zip(networks) {
            let mask = node_mask(&cluster.kubeadm, network);
            if !network.contains(piece) || piece.prefix_len() != mask {
                wrong(format!("{piece} is no node's piece of {network}"), format!("a /{mask} inside it"));
            }
        }
        for other in &cluster.nodes[..position] {
            if let Some(shared) =
                node.pod_cidrs.iter().find(|one| other.pod_cidrs.iter().any(|two| overlap(one, two)))
            {
                wrong(
                    format!("{shared} is also a pod network of `{}`", other.name),
                    "each node has its own".into(),
                );
            }
        }
    }
}
