//! Rules across networks: families that match, sizes that kubeadm and the cluster can live with, no overlap.

use crate::document::Document;
use crate::error::Mistake;
use crate::lower::Places;
use crate::parse::Found;
use crate::pods::{node_mask, overlap};
use crate::{Cluster, Cni, Proxy, Role};
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::Range;

/// kubeadm's `PodSubnetNodeMaskMaxDiff`: a node's piece has at most so many bits more than the pod network.
const MOST_PIECE_BITS: u8 = 16;
/// kubeadm's `MaximumBitsForServiceSubnet`.
const MOST_SERVICE_BITS: u8 = 20;
/// A service network needs ten addresses (kubeadm's `MinimumAddressesInServiceSubnet`): four bits.
const FEWEST_SERVICE_BITS: u8 = 4;

fn family(is_ipv6: bool) -> &'static str {
    if is_ipv6 { "IPv6" } else { "IPv4" }
}

fn is_ipv6(network: &IpNet) -> bool {
    matches!(network, IpNet::V6(_))
}

/// Pods, services and node addresses are of the same families, in the same order.
pub(super) fn families(document: &Document, cluster: &Cluster, places: &Places, found: &mut Found) {
    let (pods, services) = (&cluster.network.pods, &cluster.network.services);
    let raw = &document.raw.network;
    let mut good = true;
    for (key, networks, raw) in [("pods", pods, &raw.pods), ("services", services, &raw.services)] {
        let written = raw.as_ref().map_or(1, |at| at.each().len());
        let one_of_each = match &networks[..] {
            [one, two] => is_ipv6(one) != is_ipv6(two),
            _ => (1..=2).contains(&written),
        };
        // A network that was refused has been noted and can't be compared.
        good &= one_of_each && networks.len() == written;
        if !one_of_each {
            let message = format!("`network.{key}` has {written} networks of one family");
            let message = if (1..=2).contains(&written) {
                message
            } else {
                format!("`network.{key}` has {written} networks")
            };
            let span = raw.as_ref().map(|at| at.span.clone());
            found.errors.push(Mistake::new(span, message, "one, or an IPv4 and an IPv6 one for dual stack"));
        }
    }
    if !good {
        return;
    }
    let of = |networks: &[IpNet]| networks.iter().map(is_ipv6).collect::<Vec<_>>();
    if of(pods) != of(services) {
        let words = |networks: &[IpNet]| {
            networks.iter().map(|one| family(is_ipv6(one))).collect::<Vec<_>>().join(", ")
        };
        let message = format!("pods have {} and services have {}", words(pods), words(services));
        let span = places.services.clone().or_else(|| places.pods.clone());
        let mistake = Mistake::new(span, message, "the same families in the same order");
        return found.errors.push(mistake.hint("set both `network.pods` and `network.services`"));
    }
    for node in &cluster.nodes {
        let span = places.nodes.get(&node.name).map(|place| place.address.clone());
        node_families(cluster, node, span, found);
    }
}

fn node_families(cluster: &Cluster, node: &crate::Node, span: Option<Range<usize>>, found: &mut Found) {
    let networks = &cluster.network.services;
    let written = [Some(node.address), node.second_address];
    for (address, network) in written.into_iter().flatten().zip(networks) {
        if address.is_ipv6() != is_ipv6(network) {
            let message = format!("{address} of `{}` is {}", node.name, family(address.is_ipv6()));
            let right = format!("an {} address, as `network.services` begins", family(is_ipv6(network)));
            let right = if networks.len() == 2 {
                "addresses in the order of `network.services`".into()
            } else {
                right
            };
            let hint = "an IPv6 cluster names its networks: pods = \"fd00:10:244::/48\", services = \"fd00:10:96::/112\"";
            let mistake = Mistake::new(span.clone(), message, right);
            return found.errors.push(if address.is_ipv6() && networks.len() == 1 {
                mistake.hint(hint)
            } else {
                mistake
            });
        }
    }
    let addresses = written.into_iter().flatten().count();
    if addresses > networks.len() {
        let message = format!("`{}` has two addresses in a cluster of one family", node.name);
        found.errors.push(Mistake::new(
            span,
            message,
            "one address, or two networks of pods and of services",
        ));
    } else if addresses < networks.len() && cluster.network.cni == Cni::Routes {
        let message = format!("`{}` has one address in a dual-stack cluster", node.name);
        let right = format!("a list: [\"{}\", \"…\"]", node.address);
        let hint = "`cni = \"routes\"` sends each family by way of the node's address of that family";
        found.errors.push(Mistake::new(span, message, right).hint(hint));
    }
}

/// Networks hold the nodes and are not larger than kubeadm allows.
pub(super) fn sizes(cluster: &Cluster, places: &Places, found: &mut Found) {
    let nodes = cluster.nodes.iter().filter(|node| node.role != Role::Etcd).count();
    for network in &cluster.network.pods {
        let mask = node_mask(&cluster.kubeadm, network);
        let bits = mask.saturating_sub(network.prefix_len());
        let room = 1usize.checked_shl(bits.into()).unwrap_or(usize::MAX);
        let room = if network.prefix_len() > mask { 0 } else { room };
        if room < nodes {
            let needed = usize::BITS - (nodes.max(1) - 1).leading_zeros();
            let message =
                format!("{network} has room for {room} nodes of a /{mask} each, and there are {nodes}");
            let right = format!("a /{} or larger", u32::from(mask).saturating_sub(needed));
            found.errors.push(Mistake::new(places.pods.clone(), message, right).hint(
                "smaller pieces are `kubeadm.controller-manager`'s `node-cidr-mask-size-ipv4` or `-ipv6`",
            ));
        } else if bits > MOST_PIECE_BITS {
            let message = format!("{network} is too large for pieces of a /{mask}");
            let right = format!("a /{} or smaller", mask - MOST_PIECE_BITS);
            found.errors.push(
                Mistake::new(places.pods.clone(), message, right)
                    .hint("kubeadm allows 16 bits between the pod network and a node's piece"),
            );
        }
    }
    for network in &cluster.network.services {
        let bits = network.max_prefix_len() - network.prefix_len();
        if !(FEWEST_SERVICE_BITS..=MOST_SERVICE_BITS).contains(&bits) {
            let size = if bits > MOST_SERVICE_BITS { "large" } else { "small" };
            let most = network.max_prefix_len();
            let right = format!("a /{} to /{}", most - MOST_SERVICE_BITS, most - FEWEST_SERVICE_BITS);
            let message = format!("{network} is too {size} for services");
            found.errors.push(Mistake::new(places.services.clone(), message, right));
        }
    }
}

/// No address has two meanings.
pub(super) fn overlaps(cluster: &Cluster, places: &Places, found: &mut Found) {
    let (pods, services) = (&cluster.network.pods, &cluster.network.services);
    for (pod, service) in pods.iter().flat_map(|pod| services.iter().map(move |service| (pod, service))) {
        if overlap(pod, service) {
            let span = places.services.clone().or_else(|| places.pods.clone());
            let message = format!("pods ({pod}) and services ({service}) overlap");
            found.errors.push(Mistake::new(span, message, "networks that share no address"));
        }
    }
    let named = pods.iter().map(|one| ("pods", one)).chain(services.iter().map(|one| ("services", one)));
    for (key, network) in named {
        let place = if key == "pods" { &places.pods } else { &places.services };
        let inside: Vec<(&str, IpAddr)> = cluster
            .nodes
            .iter()
            .flat_map(|node| {
                [Some(node.address), node.second_address]
                    .into_iter()
                    .flatten()
                    .map(|own| (node.name.as_str(), own))
            })
            .filter(|(_, address)| network.contains(address))
            .collect();
        if let [(name, address), others @ ..] = &inside[..] {
            let node = places.nodes.get(*name).map(|place| place.address.clone());
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            let message = format!("{address} (`{name}`{more}) lies in the network of {key}, {network}");
            let mistake = Mistake::new(place.clone().or(node), message, "a network that no machine is in");
            found.errors.push(match place {
                Some(_) => mistake,
                None => mistake.hint(format!("{network} is the default; set `network.{key}` to another one")),
            });
        }
        if let Some(address) = cluster.api.host.parse::<IpAddr>().ok().filter(|one| network.contains(one)) {
            let message = format!("the endpoint {address} lies in the network of {key}, {network}");
            found.errors.push(Mistake::new(
                places.endpoint.clone(),
                message,
                "an address of the nodes' network",
            ));
        }
    }
}

/// A mode that is on its way out.
pub(super) fn proxy(document: &Document, found: &mut Found) {
    if let Some(at) = document.raw.network.proxy.as_ref().filter(|at| at.value == Proxy::Ipvs) {
        let message = "kube-proxy's ipvs mode is deprecated since Kubernetes 1.35".into();
        found.warnings.push(Mistake::new(at.span.clone(), message, "\"nftables\" is the default"));
    }
}
