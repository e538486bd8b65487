//! The sections beside `[cluster]` and `[nodes]`.

use super::destinations::destinations;
use super::{SSH_PORT, USER};
use crate::Keep;
use crate::cluster::*;
use crate::document::Document;
use crate::error::Mistake;
use crate::form::{Argument, At, Named, OneOrMany, Overlay};
use crate::parse::Found;
use crate::raw::{RawApi, RawArchive, RawArtifacts, RawKeep, RawKubeadm, RawNetwork, RawPki, RawSsh};
use crate::value;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Default `network.pods`: flannel's, and everybody's example.
const PODS: &str = "10.244.0.0/16";
/// Default `network.services`: kubeadm's `DefaultServicesSubnet`.
const SERVICES: &str = "10.96.0.0/12";
/// Default `pki.ca-days`: kubeadm's `caCertificateValidityPeriod` of 87600 hours.
const CA_DAYS: u32 = 3650;
/// Default `pki.leaf-days`: kubeadm's `certificateValidityPeriod` of 8760 hours.
const LEAF_DAYS: u32 = 365;
/// The longest validity, in days: X.509's dates end with the year 9999, and nobody plans beyond a century.
const MOST_DAYS: u32 = 36500;

pub(super) fn api(raw: &RawApi, host: String, port: u16, found: &mut Found) -> Api {
    Api {
        mode: raw.mode.as_ref().map_or(ApiMode::Local, |at| at.value),
        host,
        port,
        cert_names: found.all(&texts(&raw.cert_names), value::certificate_name),
    }
}

pub(super) fn network(raw: &RawNetwork, found: &mut Found) -> Network {
    let mut networks = |at: &Option<At<OneOrMany>>, default: &str| -> Vec<IpNet> {
        match at {
            Some(at) => found.all(&at.each(), value::network),
            None => value::network(default).into_iter().collect(),
        }
    };
    Network {
        pods: networks(&raw.pods, PODS),
        services: networks(&raw.services, SERVICES),
        domain: found.or(raw.domain.as_ref(), value::dns_name, || "cluster.local".into()),
        cni: raw.cni.as_ref().map_or(Cni::Routes, |at| at.value.clone()),
        proxy: raw.proxy.as_ref().map_or(Proxy::Nftables, |at| at.value),
    }
}

pub(crate) fn ssh(raw: &RawSsh, found: &mut Found) -> Ssh {
    let user = found.or(raw.user.as_ref(), value::login, || USER.into());
    if let Some(port) = raw.port.as_ref().filter(|port| port.value == 0) {
        found.error(Mistake::new(port.span.clone(), "0 is no port".into(), "a number from 1 to 65535"));
    }
    let bastion = raw
        .bastion
        .as_ref()
        .and_then(|at| found.take(at.text(), |text| value::ssh_target(text, SSH_PORT, &user)));
    let mut files = |at: &Option<At<OneOrMany>>, default: &[&str]| match at {
        Some(at) => found.all(&at.each(), file),
        None => default.iter().map(PathBuf::from).collect(),
    };
    Ssh {
        identity: files(&raw.identity, &[]),
        known_hosts: files(&raw.known_hosts, &["known_hosts", "~/.ssh/known_hosts"]),
        bastion,
    }
}

pub(super) fn pki(document: &Document, found: &mut Found) -> Pki {
    let raw: &RawPki = &document.raw.pki;
    let mut days = |at: &Option<At<u32>>, default: u32| {
        let written = at.as_ref().map_or(default, |at| at.value);
        if let Some(at) = at.as_ref().filter(|_| !(1..=MOST_DAYS).contains(&written)) {
            let message = format!("{written} is no validity in days");
            found.error(Mistake::new(at.span.clone(), message, format!("1 to {MOST_DAYS}")));
        }
        written
    };
    let (ca_days, leaf_days) = (days(&raw.ca_days, CA_DAYS), days(&raw.leaf_days, LEAF_DAYS));
    if let Some(at) =
        raw.leaf_days.as_ref().or(raw.ca_days.as_ref()).filter(|_| leaf_days > ca_days && ca_days > 0)
    {
        let message = format!("leafs of {leaf_days} days would outlive their CA of {ca_days} days");
        found.error(Mistake::new(at.span.clone(), message, "at most `ca-days`"));
    }
    let own_ca = raw.ca.as_ref().and_then(|ca| {
        for (key, written) in [("certificate", &ca.certificate), ("key", &ca.key)] {
            if written.is_none() && !document.is_broken(&format!("pki.ca.{key}")) {
                let mistake = Mistake::new(
                    ca.span.clone(),
                    format!("`pki.ca.{key}` is missing"),
                    "a CA is a certificate and its key: ca = { certificate = \"ca.crt\", key = \"ca.key\" }",
                );
                found.error(mistake.hint(
                    "without the key of the CA no certificate of the cluster can be made: an intermediate CA signed by yours will do",
                ));
            }
        }
        let certificate = ca.certificate.as_ref().and_then(|at| local_file(at, found));
        let key = ca.key.as_ref().and_then(|at| local_file(at, found));
        Some(OwnCa { certificate: certificate?, key: key? })
    });
    let algorithm = raw.algorithm.as_ref().map_or(KeyAlgorithm::EcdsaP256, |at| at.value);
    Pki { algorithm, ca_days, leaf_days, own_ca }
}

pub(super) fn archive(raw: &RawArchive, found: &mut Found) -> Archive {
    let recipients = raw.recipients.as_ref().map_or_else(Vec::new, |at| found.all(&at.each(), recipient));
    Archive {
        to: destinations(raw.to.as_ref(), found),
        recipients,
        identity_command: raw.identity_command.as_ref().map_or_else(Vec::new, |at| command(at, found)),
        trust: raw.trust.as_ref().and_then(|at| found.take(at.text(), trust)),
        every: raw.every.as_ref().and_then(|at| found.take(at.text(), value::duration)),
        keep: raw.keep.as_ref().map_or_else(Keep::default, |at| keep(&at.value, found)),
        payload: raw.payload.as_ref().is_none_or(|at| at.value),
    }
}

/// Below 3 generations and 7 days nothing goes, so less is a mistake and not a wish.
fn keep(raw: &RawKeep, found: &mut Found) -> Keep {
    let Keep { last, daily, monthly } = Keep::default();
    let mut value = |at: &Option<At<u32>>, default: u32, least: u32, what: &str| match at {
        Some(at) if at.value < least => {
            let says = format!("`keep` has {} {what}", at.value);
            let expected = format!("{least} at least are always kept");
            found.errors.push(Mistake::new(at.span.clone(), says, expected));
            default
        }
        Some(at) => at.value,
        None => default,
    };
    Keep {
        last: value(&raw.last, last, 3, "of the last generations"),
        daily: value(&raw.daily, daily, 7, "days"),
        monthly: value(&raw.monthly, monthly, 0, "months"),
    }
}

fn command(at: &At<Vec<At<String>>>, found: &mut Found) -> Vec<String> {
    let right = "[\"program\", \"argument\", …]";
    if at.value.first().is_none_or(|program| program.is_empty()) {
        found.error(Mistake::new(at.span.clone(), "the command has no program".into(), right));
    }
    if let Some(secret) = at.value.iter().find(|word| word.contains("AGE-SECRET-KEY-")) {
        let mistake = Mistake::new(secret.span.clone(), "a secret key stands in the inventory".into(), right);
        found.error(mistake.hint("the command prints it: put it where that finds it, and mint another one"));
    }
    at.value.iter().map(|word| word.value.clone()).collect()
}

fn recipient(text: &str) -> Result<String, Mistake> {
    let good = text.starts_with("age1") || text.starts_with("ssh-ed25519 ") || text.starts_with("ssh-rsa ");
    if good && !text.contains(char::is_control) {
        return Ok(text.into());
    }
    let right = "a public key: \"age1…\" or \"ssh-ed25519 …\"";
    let mistake = Mistake::new(None, format!("`{}` is no age recipient", value::brief(text)), right);
    Err(if text.starts_with("AGE-SECRET-KEY-") {
        let message = "a secret key stands in the inventory".into();
        Mistake { message, ..mistake }
            .hint("put its public half here (`age-keygen -y`) and make a new key: this one was written down")
    } else {
        mistake
    })
}

fn trust(text: &str) -> Result<String, Mistake> {
    if !text.is_empty() && !text.contains(|letter: char| letter.is_control()) {
        return Ok(text.into());
    }
    Err(Mistake::new(
        None,
        "the archive's root public key is empty".into(),
        "the line that the first `up` printed",
    ))
}

pub(super) fn source(raw: &RawArtifacts, found: &mut Found) -> Source {
    let Some(At { value: source, span }) = &raw.source else { return Source::Upstream };
    let refused = match source {
        Source::Mirror(url) => {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let good = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
                && !url.contains(|letter: char| letter.is_whitespace() || letter.is_control());
            (!good).then(|| (format!("`{}` is no mirror", value::brief(url)), "a URL: https://host/path"))
        }
        Source::Folder(folder) if folder.as_os_str().is_empty() => {
            Some(("the folder is empty".into(), "a path"))
        }
        Source::Upstream | Source::Modules | Source::Folder(_) => None,
    };
    if let Some((message, right)) = refused {
        found.error(Mistake::new(span.clone(), message, right));
    }
    source.clone()
}

pub(super) fn kubeadm(raw: &RawKubeadm, found: &mut Found) -> Kubeadm {
    let mut files = |named: &Named<At<PathBuf>>| -> BTreeMap<String, PathBuf> {
        named.iter().filter_map(|(name, at)| Some((name.value.clone(), local_file(at, found)?))).collect()
    };
    Kubeadm {
        patches: files(&raw.patches),
        files: files(&raw.files),
        api_server: arguments(&raw.api_server),
        controller_manager: arguments(&raw.controller_manager),
        scheduler: arguments(&raw.scheduler),
        kube_proxy: overlay(&raw.kube_proxy),
        ignore_preflight: raw.ignore_preflight.iter().map(|at| at.value.clone()).collect(),
    }
}

pub(super) fn arguments(named: &Named<At<Argument>>) -> BTreeMap<String, String> {
    named.iter().map(|(name, at)| (name.value.clone(), at.value.0.clone())).collect()
}

pub(super) fn overlay(named: &Named<At<Overlay>>) -> serde_json::Map<String, serde_json::Value> {
    named.iter().map(|(name, at)| (name.value.clone(), at.value.0.clone())).collect()
}

fn texts(list: &[At<String>]) -> Vec<At<&str>> {
    list.iter().map(At::text).collect()
}

fn local_file(at: &At<PathBuf>, found: &mut Found) -> Option<PathBuf> {
    let text = At { value: at.value.to_str().unwrap_or_default(), span: at.span.clone() };
    found.take(text, file)
}

pub(super) fn file(text: &str) -> Result<PathBuf, Mistake> {
    if text.is_empty() || text.contains(char::is_control) {
        let what = if text.is_empty() { "nothing".into() } else { format!("`{}`", value::brief(text)) };
        return Err(Mistake::new(None, format!("{what} is no path"), "a file or folder"));
    }
    Ok(Path::new(text).into())
}
