//! The sections of an adopted cluster's inventory, one after the other.

use super::collected::Collected;
use super::component::{Component, paths};
use super::overlay::Overlays;
use super::text::{Destinations, Machines, Reach, UNSAID};
use super::toml::{inline, key, list, string};
use super::{Configuration, Seen, SeenNode};
use crate::kubeadm;
use pki::Secret;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Labels that kubeadm, the kubelet or a cloud set by themselves.
const NOT_THEIRS: [&str; 7] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    "node.kubernetes.io/exclude-from-external-load-balancers",
    "kubeadm.alpha.kubernetes.io/cri-socket",
];

/// DaemonSets of pod networks by the end of their names.
const CNIS: [(&str, &str); 7] = [
    ("flannel", "kube-flannel-ds"),
    ("Calico", "calico-node"),
    ("Cilium", "cilium"),
    ("Weave Net", "weave-net"),
    ("kube-router", "kube-router"),
    ("Antrea", "antrea-agent"),
    ("Canal", "canal"),
];

/// Everything that an inventory is written from.
pub struct Writer<'a> {
    pub name: Option<&'a str>,
    pub seen: &'a Seen,
    pub configuration: &'a Configuration,
    pub collected: &'a Collected,
    pub machines: Machines,
    pub reach: &'a Reach,
    pub destinations: &'a Destinations,
}

impl Writer<'_> {
    /// The text, with the place for what can't be said.
    pub fn text(&self, overlays: &Overlays, unsaid: &mut BTreeSet<String>) -> String {
        let mut text = format!(
            "# Written by `rekindle adopt`, from a cluster that kubeadm made.\n{UNSAID}\n[cluster]\nname = {}\nkubernetes = {}\n",
            string(self.name.unwrap_or(match self.configuration.cluster_name.as_str() {
                "" => "kubernetes",
                name => name,
            })),
            string(&self.seen.version)
        );
        self.nodes(&mut text);
        self.api(&mut text, unsaid);
        self.network(&mut text);
        self.ssh(&mut text);
        self.pki(&mut text, unsaid);
        self.archive(&mut text);
        for component in
            [Component::Etcd, Component::ApiServer, Component::ControllerManager, Component::Scheduler]
        {
            self.flags(component, &mut text, unsaid);
        }
        table(&mut text, "kubeadm.kube-proxy", &overlays.proxy);
        let files = self.files();
        if !files.is_empty() {
            text.push_str("\n[kubeadm.files]\n");
            for (path, local, _) in files {
                let _ = writeln!(text, "{} = {}", string(&path), string(&local));
            }
        }
        table(&mut text, "kubelet", &overlays.kubelet);
        if self.machines.container {
            text.push_str("\n# Nodes are containers that share a kernel.\n[host]\ncontainer = true\n");
        }
        text
    }

    fn nodes(&self, text: &mut String) {
        let (control_planes, others): (Vec<&SeenNode>, Vec<&SeenNode>) =
            self.seen.nodes.iter().partition(|node| node.is_control_plane());
        text.push_str("\n[nodes]\n");
        for node in control_planes.into_iter().chain(others) {
            let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
            let mut fields = vec![format!(
                "address = {}",
                match &addresses[..] {
                    [one] => string(one),
                    several => list(several),
                }
            )];
            if node.is_control_plane() {
                fields.push("role = \"control-plane\"".into());
            }
            if let Some(target) = self.reach.targets.get(&node.name) {
                let usual =
                    addresses.first().is_some_and(|address| *address == target.host) && target.port == 22;
                if !usual {
                    let host = kubeadm::host_port(&target.host, target.port);
                    fields.push(format!(
                        "ssh = {}",
                        string(if target.port == 22 { &target.host } else { &host })
                    ));
                }
                if target.user != "root" {
                    fields.push(format!("user = {}", string(&target.user)));
                }
            }
            let is_theirs = |key: &str| !NOT_THEIRS.contains(&key) && !key.starts_with("beta.kubernetes.io/");
            let labels: Map<String, Value> = node
                .labels
                .iter()
                .filter(|(key, _)| is_theirs(key))
                .map(|(key, value)| (key.clone(), value.as_str().into()))
                .collect();
            if !labels.is_empty() {
                fields.push(format!("labels = {}", inline(&Value::Object(labels))));
            }
            let role = |taint: &str| {
                ["control-plane", "master"]
                    .iter()
                    .any(|role| taint == format!("node-role.kubernetes.io/{role}:NoSchedule"))
            };
            let passing = |taint: &str| {
                ["node.kubernetes.io/", "node.cilium.io/", "node.cloudprovider.kubernetes.io/"]
                    .iter()
                    .any(|own| taint.starts_with(own))
            };
            let taints: Vec<String> =
                node.taints.iter().filter(|taint| !role(taint) && !passing(taint)).cloned().collect();
            if !taints.is_empty() {
                fields.push(format!("taints = {}", list(&taints)));
            }
            if self.machines.routes && !node.pods.is_empty() {
                fields.push(format!(
                    "pod-cidr = {}",
                    if let [one] = &node.pods[..] { string(one) } else { list(&node.pods) }
                ));
            }
            let _ = writeln!(text, "{} = {{ {} }}", key(&node.name), fields.join(", "));
        }
    }

    fn api(&self, text: &mut String, unsaid: &mut BTreeSet<String>) {
        let endpoint = &self.configuration.control_plane_endpoint;
        let host = endpoint.rsplit_once(':').map_or(endpoint.as_str(), |(host, _)| host);
        let bare = host.trim_matches(['[', ']']);
        let is_name = bare.parse::<std::net::IpAddr>().is_err() && !bare.is_empty();
        let mut names: Vec<String> = self.configuration.api_server.cert_sans.clone();
        text.push_str("\n[api]\n");
        if is_name {
            let _ = writeln!(text, "endpoint = {}", string(endpoint));
        } else {
            let stands = if endpoint.is_empty() {
                "no control plane endpoint".into()
            } else {
                format!("the control plane endpoint {endpoint}")
            };
            unsaid.insert(format!("{stands}, where an inventory wants a name"));
            names.push(bare.to_owned());
        }
        let known = |name: &str| ["", "localhost", "127.0.0.1"].contains(&name) || is_name && name == bare;
        names.retain(|name| !known(name));
        names.dedup();
        if !names.is_empty() {
            let _ = writeln!(text, "cert-names = {}", list(&names));
        }
    }

    fn network(&self, text: &mut String) {
        let networking = &self.configuration.networking;
        text.push_str("\n[network]\n");
        for (key, nets) in [("pods", &networking.pod_subnet), ("services", &networking.service_subnet)] {
            let nets: Vec<String> =
                nets.split(',').map(str::trim).filter(|net| !net.is_empty()).map(str::to_owned).collect();
            match &nets[..] {
                [] => {}
                [one] => drop(writeln!(text, "{key} = {}", string(one))),
                several => drop(writeln!(text, "{key} = {}", list(several))),
            }
        }
        if !["", "cluster.local"].contains(&networking.dns_domain.as_str()) {
            let _ = writeln!(text, "domain = {}", string(&networking.dns_domain));
        }
        if self.machines.routes {
            text.push_str("cni = \"routes\"\n");
        } else {
            let _ = writeln!(text, "# {}: it is in the cluster, and left alone.\ncni = \"none\"", self.cni());
        }
        let _ = writeln!(text, "proxy = {}", string(self.proxy_mode()));
    }

    /// The pod network by its DaemonSet.
    fn cni(&self) -> String {
        let found = CNIS.iter().find(|(_, daemonset)| {
            self.seen.daemonsets.iter().any(|name| name.rsplit('/').next() == Some(daemonset))
        });
        found.map_or_else(|| "A pod network that is not known".into(), |(name, _)| (*name).into())
    }

    fn proxy_mode(&self) -> &'static str {
        let mode = serde_saphyr::from_str::<Value>(&self.seen.proxy)
            .ok()
            .map(|config| config["mode"].as_str().unwrap_or_default().to_owned());
        match mode.as_deref() {
            _ if self.seen.proxy.is_empty() => "none",
            Some("nftables") => "nftables",
            Some("ipvs") => "ipvs",
            _ => "iptables",
        }
    }

    fn ssh(&self, text: &mut String) {
        let Reach { identity, bastion, .. } = self.reach;
        if identity.is_empty() && bastion.is_none() {
            return;
        }
        text.push_str("\n[ssh]\n");
        if !identity.is_empty() {
            let _ = writeln!(text, "identity = {}", list(identity));
        }
        if let Some(bastion) = bastion {
            let _ = writeln!(text, "bastion = {}", string(bastion));
        }
    }

    fn pki(&self, text: &mut String, unsaid: &mut BTreeSet<String>) {
        let configuration = self.configuration;
        text.push_str("\n[pki]\n");
        let algorithm = match configuration.encryption_algorithm.as_str() {
            "ECDSA-P256" => "ECDSA-P256",
            "" | "RSA-2048" => "RSA-2048",
            other => {
                unsaid.insert(format!("new keys are {other}"));
                if other.starts_with("ECDSA") { "ECDSA-P256" } else { "RSA-2048" }
            }
        };
        let _ = writeln!(text, "algorithm = {}", string(algorithm));
        for (key, period) in [
            ("leaf-days", &configuration.certificate_validity_period),
            ("ca-days", &configuration.ca_certificate_validity_period),
        ] {
            let hours = period.split_once('h').and_then(|(hours, _)| hours.parse::<u64>().ok());
            if let Some(days) = hours.map(|hours| hours / 24).filter(|days| *days > 0) {
                let _ = writeln!(text, "{key} = {days}");
            }
        }
        if !["", "registry.k8s.io"].contains(&configuration.image_repository.as_str()) {
            unsaid.insert(format!("images come from {}", configuration.image_repository));
        }
        for (gate, on) in &configuration.feature_gates {
            unsaid.insert(format!("kubeadm's feature gate {gate} is {on}"));
        }
        for (name, component) in [
            ("apiServer", &configuration.api_server),
            ("controllerManager", &configuration.controller_manager),
            ("scheduler", &configuration.scheduler),
        ] {
            for volume in &component.extra_volumes {
                let path = volume["mountPath"].as_str().unwrap_or_default().trim_end_matches('/');
                let is_below = |file: &&String| {
                    file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                let mut named = self.collected.files.keys().chain(&self.collected.no_files);
                if named.all(|file| !is_below(&file)) {
                    unsaid.insert(format!("kubeadm's {name} mounts {path}"));
                }
            }
            if !component.extra_envs.is_empty() {
                unsaid.insert(format!("kubeadm's {name} has environment variables"));
            }
        }
    }

    fn archive(&self, text: &mut String) {
        let Destinations { to, recipients, trust, source, payload, .. } = self.destinations;
        let _ = writeln!(text, "\n[archive]\nto = {}", list(to));
        if !recipients.is_empty() {
            let _ = writeln!(text, "recipients = {}", list(recipients));
        }
        if let Some(trust) = trust {
            let _ = writeln!(text, "trust = {}", string(trust));
        }
        if !payload {
            text.push_str("payload = false\n");
        }
        if let Some(source) = source {
            let _ = writeln!(text, "\n[artifacts]\nsource = {source}");
        }
    }

    /// What runs beside kubeadm's own flags, on the first control plane; where another one differs, that is said.
    fn flags(&self, component: Component, text: &mut String, unsaid: &mut BTreeSet<String>) {
        let Some(pods) = self.collected.pods.get(&component) else { return };
        let domain = match self.configuration.networking.dns_domain.as_str() {
            "" => "cluster.local",
            domain => domain,
        };
        let issuer = format!("https://kubernetes.default.svc.{domain}");
        let mut all = pods.iter().map(|(node, pod)| (node, pod.theirs(component, &issuer)));
        let Some((first, flags)) = all.next() else { return };
        let name = component.name();
        for (node, other) in all {
            for flag in flags.keys().chain(other.keys()).filter(|flag| flags.get(*flag) != other.get(*flag)) {
                unsaid.insert(format!("{name}: {node} and {first} differ in --{flag}"));
            }
        }
        let mut lines = String::new();
        for (flag, values) in &flags {
            if let Some(why) = self.unsayable(flag, values) {
                unsaid.insert(format!("{name}: --{flag}={}: {why}", values.join(&format!(" --{flag}="))));
            } else if let [value] = &values[..] {
                let _ = writeln!(lines, "{} = {}", key(flag), string(value));
            }
        }
        if lines.is_empty() {
            return;
        }
        match component {
            Component::Etcd => text.push_str("\n[etcd.args]\n"),
            other => drop(write!(text, "\n[{}]\n", other.section())),
        }
        text.push_str(&lines);
    }

    fn unsayable(&self, flag: &str, values: &[String]) -> Option<String> {
        let [value] = values else { return Some("it stands there more than once".into()) };
        let good = flag.starts_with(|first: char| first.is_ascii_lowercase())
            && flag.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !good {
            return Some("an inventory has no such name".into());
        }
        let path = paths(value).find(|path| !inventory::is_laid(path) && !self.can_be_named(path))?;
        (flag != "authorization-always-allow-paths").then(|| format!("an inventory can't name {path}"))
    }

    fn can_be_named(&self, path: &str) -> bool {
        self.collected.files.contains_key(path) && inventory::can_be_laid(path)
    }

    /// Path on the control planes, path here, content.
    pub fn files(&self) -> Vec<(String, String, &Secret)> {
        let files = self.collected.files.iter().filter(|(path, _)| inventory::can_be_laid(path));
        files.map(|(path, text)| (path.clone(), format!("{}{path}", self.destinations.files), text)).collect()
    }
}

fn table(text: &mut String, name: &str, values: &Map<String, Value>) {
    if values.is_empty() {
        return;
    }
    let _ = write!(text, "\n[{name}]\n");
    for (name, value) in values {
        let _ = writeln!(text, "{} = {}", key(name), inline(value));
    }
}
