//! Paths that arguments name must be there: a component whose flag names a file that nobody lays does not
//! start, on all control planes at once.

use super::kubeadm::flags;
use crate::document::Document;
use crate::error::Mistake;
use crate::form::At;
use crate::parse::Found;
use crate::value::brief;
use std::collections::BTreeMap;
use std::path::PathBuf;

const KUBERNETES: &str = "/etc/kubernetes/";

/// What kubeadm lays below `/etc/kubernetes` and its components can read
/// (`cmd/kubeadm/app/phases/{certs,kubeconfig}`).
const LAID: &[&str] = &[
    "controller-manager.conf",
    "scheduler.conf",
    "pki/ca.crt",
    "pki/ca.key",
    "pki/apiserver.crt",
    "pki/apiserver.key",
    "pki/apiserver-kubelet-client.crt",
    "pki/apiserver-kubelet-client.key",
    "pki/apiserver-etcd-client.crt",
    "pki/apiserver-etcd-client.key",
    "pki/front-proxy-ca.crt",
    "pki/front-proxy-ca.key",
    "pki/front-proxy-client.crt",
    "pki/front-proxy-client.key",
    "pki/sa.key",
    "pki/sa.pub",
    "pki/etcd/ca.crt",
    "pki/etcd/ca.key",
    "pki/etcd/server.crt",
    "pki/etcd/server.key",
    "pki/etcd/peer.crt",
    "pki/etcd/peer.key",
    "pki/etcd/healthcheck-client.crt",
    "pki/etcd/healthcheck-client.key",
];

/// Directories of the host that kubeadm mounts into the components: certificates of public CAs.
const MOUNTED: &[&str] =
    &["/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"];

/// Flags whose values begin with `/` and are no files: paths of URLs.
const URL_PATHS: &[&str] = &["authorization-always-allow-paths"];

/// Directories that hold other things than one component's files.
const CROWDED: &[&str] = &[
    "/etc/kubernetes",
    "/etc/ssl",
    "/etc/ssl/certs",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/share",
    "/var/lib",
    "/var/log",
];

/// Every rule of this file.
pub(super) fn rules(document: &Document, found: &mut Found) {
    let files = &document.raw.kubeadm.files;
    for path in files.keys() {
        found.take(path.text(), node_path);
    }
    let files: BTreeMap<&str, &At<PathBuf>> =
        files.iter().map(|(path, file)| (path.value.as_str(), file)).collect();
    for (section, table) in flags(&document.raw) {
        for (flag, value) in table.iter().filter(|(flag, _)| !URL_PATHS.contains(&flag.as_str())) {
            for path in paths(&value.0).filter(|path| !is_laid(path) && !files.contains_key(path)) {
                let message = format!("`{section}.{}` names {}, which nobody lays", flag.value, brief(path));
                found.error(Mistake::new(value.span.clone(), message, "a path in `kubeadm.files`").hint(
                    match flag.ends_with("log-path") || flag.ends_with("log-file") {
                        true => "\"-\" writes to standard output, where `kubectl logs` finds it".into(),
                        false => format!("[kubeadm.files]\n\"{}\" = \"the-file-here\"", brief(path)),
                    },
                ));
            }
        }
    }
}

/// The absolute paths in a flag's value: alone, in a list (`/a.crt,/a.key:name` of `--tls-sni-cert-key`), or
/// as a `file://` URL.
fn paths(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').filter_map(|piece| {
        let piece = piece.trim().trim_start_matches("file://").trim_start_matches("unix://");
        let path = piece.starts_with('/').then(|| piece.split(':').next()).flatten()?;
        (path.len() > 1).then_some(path)
    })
}

/// Whether something lies at this path of every control plane, or is mounted there, without the inventory saying so.
pub fn is_laid(path: &str) -> bool {
    let under = |directory: &str| {
        path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path.strip_prefix(KUBERNETES).is_some_and(|rest| LAID.contains(&rest))
        || MOUNTED.iter().any(|directory| under(directory))
        || ["/etc/kubernetes/pki", "/var/lib/etcd"].contains(&path.trim_end_matches('/'))
}

/// Whether `kubeadm.files` can name this path of the control planes.
pub fn can_be_laid(path: &str) -> bool {
    node_path(path).is_ok()
}

/// A path that a file of the user's can lie at. Its directory is mounted into the components.
fn node_path(text: &str) -> Result<(), Mistake> {
    let refused = |message: String, right: &str| Err(Mistake::new(None, message, right));
    let shown = brief(text);
    let parts: Vec<&str> = text.split('/').skip(1).collect();
    if !text.starts_with('/')
        || parts.iter().any(|part| ["", ".", ".."].contains(part))
        || text.contains(char::is_control)
    {
        return refused(format!("`{shown}` is no path on a node"), "an absolute path without . and ..");
    }
    if text.contains([',', ':']) {
        return refused(
            format!("`{shown}` holds a comma or a colon"),
            "a path that flags and mounts can name",
        );
    }
    if text.starts_with("/etc/kubernetes/pki/") || text.starts_with("/etc/kubernetes/manifests/") {
        return refused(
            format!("{shown} is kubeadm's"),
            "a directory of your own, like /etc/kubernetes/audit/",
        );
    }
    let directory = text.rsplit_once('/').map_or("", |(directory, _)| directory);
    if parts.len() < 3 || CROWDED.contains(&directory) {
        let message = format!("the directory of {shown} can't be given to a component");
        return Err(Mistake::new(None, message, "a directory of your own, like /etc/kubernetes/audit/")
            .hint("the whole directory is mounted into the component, and this one holds other things"));
    }
    Ok(())
}
