//! Rules across nodes: no two are one machine, there are control planes, and their number makes a quorum.

use crate::document::Document;
use crate::error::Mistake;
use crate::lower::Places;
use crate::parse::Found;
use crate::value::is_dns_name;
use crate::{ApiMode, Cluster, Node, Role};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses that every virtual machine of a kind has, and what to do about each.
const NAT: [(IpAddr, &str); 2] = [
    (
        IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 5, 15)),
        "every Lima machine has 192.168.5.15 on its default network: start them with `networks: [{ lima: user-v2 }]` and use the addresses of that one",
    ),
    (
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 2, 15)),
        "every VirtualBox machine of Vagrant has 10.0.2.15 on its NAT interface: give them a `private_network` and use the addresses of that one",
    ),
];

fn nat_hint(address: IpAddr) -> Option<&'static str> {
    NAT.iter().find(|(nat, _)| *nat == address).map(|(_, hint)| *hint)
}

fn addresses(node: &Node) -> impl Iterator<Item = IpAddr> {
    [Some(node.address), node.second_address].into_iter().flatten()
}

/// No address, and no way in, belongs to two nodes.
pub(super) fn unique(cluster: &Cluster, places: &Places, found: &mut Found) {
    let mut by_address: BTreeMap<IpAddr, &str> = BTreeMap::new();
    let mut by_target: BTreeMap<(&str, u16), &str> = BTreeMap::new();
    for node in &cluster.nodes {
        let Some(place) = places.nodes.get(&node.name) else { continue };
        let mut told = false;
        for address in addresses(node) {
            let Some(other) = by_address.insert(address, &node.name) else { continue };
            told = true;
            let message = format!("{address} is the address of `{other}` and of `{}`", node.name);
            let mistake = Mistake::new(place.address.clone(), message, "each node has its own");
            found.errors.push(match nat_hint(address) {
                Some(hint) => mistake.hint(hint),
                None => mistake,
            });
        }
        let target = (node.ssh.host.as_str(), node.ssh.port);
        if let Some(other) = by_target.insert(target, &node.name)
            && !told
        {
            let span = place.ssh.clone().unwrap_or_else(|| place.address.clone());
            let message = format!("`{other}` and `{}` are reached at the same place", node.name);
            found.errors.push(Mistake::new(span, message, "another host or port"));
        }
    }
}

/// A single node with an address that only its own host knows.
pub(super) fn host_only_addresses(cluster: &Cluster, places: &Places, found: &mut Found) {
    let mut natted = cluster.nodes.iter().filter_map(|node| Some((node, nat_hint(node.address)?)));
    if let (Some((node, hint)), None) = (natted.next(), natted.next()) {
        let span = places.nodes.get(&node.name).map(|place| place.address.clone());
        let message = format!("{} is usually a NAT address that other machines can't reach", node.address);
        found.warnings.push(Mistake::new(span, message, "").hint(hint));
    }
}

/// There is a control plane, and the number of etcd members survives what it should.
pub(super) fn quorum(document: &Document, cluster: &Cluster, places: &Places, found: &mut Found) {
    if cluster.control_planes().next().is_none() {
        let span = document.raw.nodes.as_ref().map(|nodes| nodes.span.clone());
        let what = if cluster.nodes.is_empty() { "there are no nodes" } else { "no node is a control plane" };
        let right = "cp1 = { address = \"10.0.0.11\", role = \"control-plane\" }";
        found.errors.push(
            Mistake::new(span, what.into(), right).hint("three of them make a highly available cluster"),
        );
        return;
    }
    let members: Vec<&Node> = cluster.etcd_nodes().collect();
    let count = members.len();
    let span = members.last().and_then(|node| places.nodes.get(&node.name)).map(|place| place.name.clone());
    let kind = if cluster.has_external_etcd() { Role::Etcd } else { Role::ControlPlane };
    let word = if kind == Role::Etcd { "etcd nodes" } else { "control planes" };
    if count.is_multiple_of(2) {
        let survives = count.saturating_sub(1) / 2;
        let message = format!("{count} {word} make an even number of etcd members");
        let right =
            format!("{count} members survive the loss of {survives}, no more than {} would", count - 1);
        let hint = format!("take one away or add one: {} survive the loss of {}", count + 1, count / 2);
        found.first_up.push(Mistake::new(span, message, right).hint(hint));
    } else if count == 1 {
        let message = "one etcd member is not highly available".into();
        found.warnings.push(Mistake::new(span, message, format!("three {word} survive the loss of one")));
    }
}

/// The API endpoint is what its mode can serve.
pub(super) fn endpoint(cluster: &Cluster, places: &Places, found: &mut Found) {
    let host = cluster.api.host.as_str();
    let address = host.parse::<IpAddr>().ok();
    let mut wrong = |message: String, right: &str| {
        found.errors.push(Mistake::new(places.endpoint.clone(), message, right));
    };
    if address.is_none() && !is_dns_name(host) {
        return wrong(format!("`{host}` is no DNS name"), "labels of a-z, 0-9 and -, joined by dots");
    }
    match cluster.api.mode {
        ApiMode::Local if address.is_some() => {
            return wrong(
                format!("{host} is an address"),
                "a name: each node resolves it to its own way to the API",
            );
        }
        ApiMode::Vip if address.is_none() => {
            return wrong(
                format!("`{host}` is no address"),
                "a free address in the nodes' network: `api.mode = \"vip\"` puts it on a control plane",
            );
        }
        ApiMode::Local | ApiMode::Vip | ApiMode::External => {}
    }
    let taken = |node: &&Node| node.name == host || addresses(node).any(|own| Some(own) == address);
    if let Some(node) = cluster.nodes.iter().find(taken) {
        wrong(format!("`{host}` is the node `{}`", node.name), "the endpoint outlives each single node");
    }
}
