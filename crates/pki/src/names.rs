//! The rules of subject, alternative names and servers, for one node.

use crate::{CommonName, Names, Server};
use inventory::{Cluster, Node};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where every apiserver listens, kubeadm's `bindPort`.
const API_SERVER_PORT: u16 = 6443;

/// The subject's CN on the node of this name.
pub fn common_name(rule: CommonName, node: &str) -> String {
    match rule {
        CommonName::Is(name) => name.to_owned(),
        CommonName::Node => node.to_owned(),
        CommonName::SystemNode => format!("system:node:{node}"),
    }
}

/// The DNS names and the addresses, each once, sorted.
///
/// Source: kubeadm's `GetAPIServerAltNames` and `getAltNames` (`app/util/pkiutil/pki_helpers.go`), and the
/// differences that [`crate::TABLE`] lists.
pub fn alternative_names(rule: Names, cluster: &Cluster, node: &Node) -> (Vec<String>, Vec<IpAddr>) {
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let mut names = vec![node.name.clone()];
    let mut addresses = vec![node.address];
    match rule {
        Names::Nothing | Names::CommonName => return (Vec::new(), Vec::new()),
        Names::Kubelet => addresses.extend(node.second_address),
        Names::EtcdMember => {
            names.push("localhost".into());
            addresses.extend([loopback, Ipv6Addr::LOCALHOST.into()]);
        }
        Names::ApiServer => {
            let domain = &cluster.network.domain;
            names.extend(
                ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"].map(Into::into),
            );
            names.push(format!("kubernetes.default.svc.{domain}"));
            addresses.extend(cluster.network.services.iter().map(first_service));
            addresses.extend(node.second_address);
            addresses.push(loopback);
            for host in cluster.api.cert_names.iter().chain([&cluster.api.host]) {
                match host.parse() {
                    Ok(address) => addresses.push(address),
                    Err(_) => names.push(host.clone()),
                }
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    addresses.sort_unstable();
    addresses.dedup();
    (names, addresses)
}

/// The URL that a kubeconfig on this node names.
pub fn server(rule: Server, cluster: &Cluster, node: &Node) -> String {
    match rule {
        Server::Local => url(&node.address.to_string(), API_SERVER_PORT),
        Server::Endpoint => endpoint(cluster),
    }
}

/// The URL of the API endpoint.
pub fn endpoint(cluster: &Cluster) -> String {
    url(&cluster.api.host, cluster.api.port)
}

fn url(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("https://[{address}]:{port}"),
        Err(_) => format!("https://{host}:{port}"),
    }
}

/// The address of the Service `kubernetes`: the one after the network's own, in both families.
fn first_service(services: &IpNet) -> IpAddr {
    match services.network() {
        IpAddr::V4(network) => Ipv4Addr::from_bits(network.to_bits() + 1).into(),
        IpAddr::V6(network) => Ipv6Addr::from_bits(network.to_bits() + 1).into(),
    }
}
