//! Rules for what goes to kubeadm and the components: flags that something else decides, patches that kubeadm
//! would not take, keys of configurations that are ours.

use crate::document::{Document, nearest};
use crate::error::Mistake;
use crate::form::{Argument, At, Named, Overlay};
use crate::parse::Found;
use crate::raw::Raw;
use crate::value::brief;

/// kubeadm's patch targets (`knownTargets` of `cmd/kubeadm/app/util/patches`, 1.36).
const TARGETS: [&str; 6] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubeletconfiguration",
    "corednsdeployment",
];
const PATCH_TYPES: [&str; 3] = ["strategic", "merge", "json"];

const LAID: &str = "etcd's data is laid with these; they are not settable";
const PLAN: &str = "this follows from the nodes of the inventory; it is not settable";

/// Flags that the inventory says elsewhere, or that must follow from it: section, flag, what to do.
#[rustfmt::skip]
const OURS: &[(&str, &str, &str)] = &[
    ("etcd.args", "name", PLAN),
    ("etcd.args", "data-dir", LAID),
    ("etcd.args", "force-new-cluster", LAID),
    ("etcd.args", "initial-cluster", LAID),
    ("etcd.args", "initial-cluster-state", LAID),
    ("etcd.args", "initial-cluster-token", LAID),
    ("etcd.args", "initial-advertise-peer-urls", PLAN),
    ("etcd.args", "advertise-client-urls", PLAN),
    ("etcd.args", "listen-client-urls", PLAN),
    ("etcd.args", "listen-peer-urls", PLAN),
    ("kubeadm.api-server", "advertise-address", PLAN),
    ("kubeadm.api-server", "etcd-servers", PLAN),
    ("kubeadm.api-server", "secure-port", "the port is the one of `api.endpoint`"),
    ("kubeadm.api-server", "service-cluster-ip-range", "set `network.services`"),
    ("kubeadm.controller-manager", "cluster-cidr", "set `network.pods`"),
    ("kubeadm.controller-manager", "service-cluster-ip-range", "set `network.services`"),
    ("kubeadm.controller-manager", "cluster-name", "set `cluster.name`"),
    ("kubeadm.kube-proxy", "mode", "set `network.proxy`"),
    ("kubeadm.kube-proxy", "clusterCIDR", "set `network.pods`"),
    ("kubelet", "clusterDomain", "set `network.domain`"),
    ("kubelet", "clusterDNS", "it is the tenth address of `network.services`"),
];

/// The tables of flags, by path.
pub(super) fn flags(raw: &Raw) -> [(&'static str, &Named<At<Argument>>); 4] {
    [
        ("etcd.args", &raw.etcd.args),
        ("kubeadm.api-server", &raw.kubeadm.api_server),
        ("kubeadm.controller-manager", &raw.kubeadm.controller_manager),
        ("kubeadm.scheduler", &raw.kubeadm.scheduler),
    ]
}

/// Every rule of this file.
pub(super) fn rules(document: &Document, found: &mut Found) {
    let raw = &document.raw;
    for (section, table) in flags(raw) {
        for (flag, value) in table {
            found.take(flag.text(), |text| flag_name(section, text));
            node_mask_is_a_number(flag, value, found);
        }
    }
    overlay("kubeadm.kube-proxy", &raw.kubeadm.kube_proxy, found);
    overlay("kubelet", &raw.kubelet, found);
    for name in raw.kubeadm.patches.keys() {
        found.take(name.text(), patch_name);
    }
    for check in &raw.kubeadm.ignore_preflight {
        if check.is_empty()
            || !check.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            let message = format!("`{}` is no preflight check", brief(check));
            found.error(Mistake::new(
                check.span.clone(),
                message,
                "a name that kubeadm printed, like NumCPU",
            ));
        }
    }
}

fn flag_name(section: &str, text: &str) -> Result<(), Mistake> {
    let bare = text.trim_start_matches('-');
    let good = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !good(text) {
        let mistake =
            Mistake::new(None, format!("`{}` is no flag", brief(text)), "a flag's name without dashes");
        return Err(if good(bare) { mistake.hint(format!("write `{bare}`")) } else { mistake });
    }
    ours(section, text)
}

fn ours(section: &str, name: &str) -> Result<(), Mistake> {
    match OURS.iter().find(|(home, flag, _)| *home == section && *flag == name) {
        Some((_, _, hint)) => Err(Mistake::new(None, format!("`{name}` can't be set in `{section}`"), *hint)),
        None => Ok(()),
    }
}

fn node_mask_is_a_number(flag: &At<String>, value: &At<Argument>, found: &mut Found) {
    let most = match flag.as_str() {
        "node-cidr-mask-size-ipv4" => 32,
        "node-cidr-mask-size-ipv6" => 128,
        _ => return,
    };
    if !value.0.parse::<u8>().is_ok_and(|mask| (1..=most).contains(&mask)) {
        let message = format!("`{}` is no prefix length", brief(&value.0));
        found.error(Mistake::new(value.span.clone(), message, format!("a number from 1 to {most}")));
    }
}

fn overlay(section: &str, table: &Named<At<Overlay>>, found: &mut Found) {
    for key in table.keys() {
        found.take(key.text(), |text| {
            if ["apiVersion", "kind"].contains(&text) {
                let message = format!("`{text}` is not a setting");
                return Err(Mistake::new(None, message, "leave it out: it is always the same"));
            }
            let camel_case = text.starts_with(|first: char| first.is_ascii_lowercase())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !camel_case {
                let message = format!("`{}` is no key of a component's configuration", brief(text));
                return Err(Mistake::new(None, message, "a name like `maxPods`"));
            }
            ours(section, text)
        });
    }
}

/// `target[suffix][+type].{yaml,json}`, as kubeadm's `parseFilename` takes it.
fn patch_name(text: &str) -> Result<(), Mistake> {
    let right = "target[suffix][+strategic|merge|json].yaml or .json";
    let wrong = |hint: String| {
        Err(Mistake::new(None, format!("`{}` is no name of a kubeadm patch", brief(text)), right).hint(hint))
    };
    let Some(stem) = text.strip_suffix(".yaml").or_else(|| text.strip_suffix(".json")) else {
        return wrong("the name ends in .yaml or .json".into());
    };
    let (head, patch_type) = stem.split_once('+').map_or((stem, None), |(head, after)| (head, Some(after)));
    let Some(target) = TARGETS.iter().find(|target| head.starts_with(**target)) else {
        return wrong(match nearest(head, &TARGETS) {
            Some(near) => format!("perhaps the target `{near}`"),
            None => format!("the targets are {}", TARGETS.join(", ")),
        });
    };
    if patch_type.is_some_and(|one| !PATCH_TYPES.contains(&one)) {
        return wrong(format!("the types are {}", PATCH_TYPES.join(", ")));
    }
    let suffix = &head[target.len()..];
    if !suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return wrong("a suffix has letters, digits, - and _".into());
    }
    Ok(())
}
