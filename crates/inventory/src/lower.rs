//! The file's values, one by one: [`Raw`] to a [`Cluster`] with every default filled in. A value that is
//! wrong is noted and its default put in its place, so that the rules across values still see the rest.

mod destinations;
mod sections;

pub(crate) use destinations::destinations;
pub(crate) use sections::ssh;

use crate::check::labels;
use crate::cluster::*;
use crate::document::Document;
use crate::error::Mistake;
use crate::form::At;
use crate::parse::Found;
use crate::raw::RawNode;
use crate::{DEFAULT_KUBERNETES, pods, value};
use semver::Version;
use std::collections::BTreeMap;
use std::ops::Range;

/// sshd's port.
const SSH_PORT: u16 = 22;
/// The login where none is written.
const USER: &str = "root";

/// Where things stand in the text, for rules across them. What has no place is a default.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub nodes: BTreeMap<String, NodePlace>,
    pub pods: Option<Range<usize>>,
    pub services: Option<Range<usize>>,
    pub endpoint: Option<Range<usize>>,
}

/// Where a node stands.
#[derive(Debug)]
pub(crate) struct NodePlace {
    pub name: Range<usize>,
    pub address: Range<usize>,
    pub ssh: Option<Range<usize>>,
    pub pod_cidr: Option<Range<usize>>,
}

/// What the file says, and where it says it.
pub(crate) fn lower(document: &Document, found: &mut Found) -> (Cluster, Places) {
    let raw = &document.raw;
    let mut places = Places {
        pods: raw.network.pods.as_ref().map(|at| at.span.clone()),
        services: raw.network.services.as_ref().map(|at| at.span.clone()),
        endpoint: raw.api.endpoint.as_ref().map(|at| at.span.clone()),
        ..Places::default()
    };
    let (name, kubernetes) = identity(document, found);
    let (host, port) = found
        .or(raw.api.endpoint.as_ref(), value::endpoint, || (format!("api.{name}.internal"), value::API_PORT));
    let mut cluster = Cluster {
        name,
        kubernetes,
        nodes: nodes(document, found, &mut places),
        api: sections::api(&raw.api, host, port, found),
        network: sections::network(&raw.network, found),
        ssh: sections::ssh(&raw.ssh, found),
        etcd: Etcd { args: sections::arguments(&raw.etcd.args) },
        pki: sections::pki(document, found),
        archive: sections::archive(&raw.archive, found),
        artifacts: Artifacts { source: sections::source(&raw.artifacts, found) },
        kubeadm: sections::kubeadm(&raw.kubeadm, found),
        kubelet: sections::overlay(&raw.kubelet),
        host: Host { container: raw.host.container },
    };
    pods::assign(&mut cluster, &places, found);
    (cluster, places)
}

fn identity(document: &Document, found: &mut Found) -> (String, Version) {
    let section = document.raw.cluster.as_ref();
    let span = section.map(|at| at.span.clone());
    let mut missing = |key: &str, right: &str| {
        if !document.is_broken(&format!("cluster.{key}")) {
            found.error(Mistake::new(span.clone(), format!("`cluster.{key}` is missing"), right));
        }
    };
    let name = section.and_then(|section| section.name.as_ref());
    let kubernetes = section.and_then(|section| section.kubernetes.as_ref());
    if name.is_none() {
        missing("name", "give the cluster a name: name = \"prod\"");
    }
    if kubernetes.is_none() {
        missing("kubernetes", "say which version: kubernetes = \"1.36.3\"");
    }
    let name = found.or(name, value::label, || "unnamed".into());
    (name, found.or(kubernetes, value::kubernetes_version, || DEFAULT_KUBERNETES))
}

fn nodes(document: &Document, found: &mut Found, places: &mut Places) -> Vec<Node> {
    let raw = &document.raw;
    let Some(section) = &raw.nodes else { return Vec::new() };
    let mut written: Vec<_> = section.iter().collect();
    written.sort_by_key(|(name, _)| name.span.start);
    written.into_iter().filter_map(|(name, node)| one_node(document, name, node, found, places)).collect()
}

fn one_node(
    document: &Document,
    name: &At<String>,
    raw: &RawNode,
    found: &mut Found,
    places: &mut Places,
) -> Option<Node> {
    let good_name = found.take(name.text(), value::label);
    let addresses = match &raw.address {
        Some(at) => {
            if !(1..=2).contains(&at.each().len()) {
                let message = format!("`{}` has {} addresses", value::brief(name), at.each().len());
                found.error(Mistake::new(at.span.clone(), message, "one, or an IPv4 and an IPv6 one"));
            }
            found.all(&at.each(), value::address)
        }
        None => {
            if !document.is_broken(&format!("nodes.{}.address", name.value)) {
                let message = format!("`nodes.{}.address` is missing", value::brief(name));
                found.error(Mistake::new(name.span.clone(), message, "what nodes use among themselves"));
            }
            Vec::new()
        }
    };
    let defaults = &document.raw.ssh;
    let default_user = defaults.user.as_ref().and_then(|at| value::login(at).ok());
    let user = found.or(raw.user.as_ref(), value::login, || default_user.unwrap_or_else(|| USER.into()));
    let port = defaults.port.as_ref().map_or(SSH_PORT, |at| at.value);
    let ssh = raw.ssh.as_ref().and_then(|at| {
        if at.contains('@') {
            let mistake = Mistake::new(at.span.clone(), format!("`{}` names a user", value::brief(at)), "");
            found.error(mistake.hint("the user goes in `user`"));
            return None;
        }
        found.take(at.text(), |text| value::ssh_target(text, port, &user))
    });
    let labels = labels::labels(&raw.labels, found);
    let taints = labels::taints(&raw.taints, found);
    let pod_cidrs = raw.pod_cidr.as_ref().map_or_else(Vec::new, |at| found.all(&at.each(), value::network));
    let written = raw.address.as_ref().map_or(0, |at| at.each().len());
    let (name_text, address) = (good_name?, *addresses.first().filter(|_| addresses.len() == written)?);
    places.nodes.insert(
        name_text.clone(),
        NodePlace {
            name: name.span.clone(),
            address: raw.address.as_ref().map_or(name.span.clone(), |at| at.span.clone()),
            ssh: raw.ssh.as_ref().map(|at| at.span.clone()),
            pod_cidr: raw.pod_cidr.as_ref().map(|at| at.span.clone()),
        },
    );
    Some(Node {
        name: name_text,
        address,
        second_address: addresses.get(1).copied(),
        ssh: ssh.unwrap_or_else(|| SshTarget { host: address.to_string(), port, user }),
        role: raw.role.as_ref().map_or(Role::Worker, |at| at.value),
        labels,
        taints,
        pod_cidrs,
    })
}
