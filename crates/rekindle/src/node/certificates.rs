//! How long the certificates of this node last: those below /etc/kubernetes, those in its kubeconfigs, the kubelet's.
//!
//! It is read as root, before `look`, whose unit's own user sees none of these files; only the dates go on.

use super::exposition::Exposition;
use crate::failure::{Failure, file_error};
use pki::{Certificate, ExposeSecret, Kubeconfig};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Beside the archive's metrics.
const METRICS: &str = "/run/rekindle-archive/certificates.prom";

/// Few enough that nobody fills a text with names.
const MOST: usize = 500;

/// Writes the metrics of this node's certificates.
pub fn write() -> Result<(), Failure> {
    replace(Path::new(METRICS), text(Path::new("/")).as_bytes())
}

/// A new file in place of an old one. The folder is another user's, so that nothing in it is followed or reused.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let written = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.persist(path).map_err(|error| error.error)
    };
    written().map(drop).map_err(|error| file_error("cannot be written", path, &error))
}

/// The metrics of the certificates below `root`.
fn text(root: &Path) -> String {
    let mut files = Vec::new();
    collect(&root.join("etc/kubernetes"), 2, &mut files);
    files.extend(
        ["kubelet.crt", "kubelet-client-current.pem"].map(|name| root.join("var/lib/kubelet/pki").join(name)),
    );
    let (mut ends, mut unreadable) = (Vec::new(), Vec::new());
    for path in files {
        let shown = format!("/{}", path.strip_prefix(root).unwrap_or(&path).display());
        let Ok(text) = std::fs::read_to_string(&path) else {
            // The kubelet's own need not be there.
            if path.exists() {
                unreadable.push((vec![shown], 1));
            }
            continue;
        };
        // A kubeconfig holds a key.
        let text = pki::Secret::from(text);
        let text = text.expose_secret();
        let certificate = match path.extension().and_then(|end| end.to_str()) {
            Some("conf") => Kubeconfig::read(&shown, text).map(|config| config.certificate),
            _ => Certificate::from_pem(&shown, text).map(Some),
        };
        match certificate {
            Ok(Some(certificate)) => {
                let ca = if certificate.is_ca { "yes" } else { "no" };
                ends.push((vec![shown, ca.to_owned()], certificate.not_after.unix_timestamp()));
            }
            // A kubeconfig that names a file of the kubelet's, which is read above.
            Ok(None) => {}
            Err(_) => unreadable.push((vec![shown], 1)),
        }
    }
    let mut metrics = Exposition::default();
    metrics.gauges(
        "certificate_expiry_timestamp_seconds",
        "When a certificate of this node, or the one in a kubeconfig, is over.",
        &["path", "ca"],
        ends,
    );
    metrics.gauges("certificate_unreadable", "A file that should hold a certificate.", &["path"], unreadable);
    metrics.text()
}

/// Certificates and kubeconfigs in a folder and in so many levels below it.
fn collect(folder: &Path, below: u32, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let is = |end: &str| path.extension().is_some_and(|found| found == end);
        if path.is_dir() && below > 0 {
            collect(&path, below - 1, files);
        } else if path.is_file() && (is("crt") || is("conf")) && files.len() < MOST {
            files.push(path);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::exposition::tests::{Parsed, parse};
    use super::*;
    use pki::{Body, Bundle, SystemEntropy};
    use std::collections::BTreeSet;
    use time::OffsetDateTime;

    /// The metrics of a control plane as it is laid, with one file that is no certificate.
    pub fn of_a_node() -> Parsed {
        let text = "[cluster]\nname = \"prod\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
                    cp1 = { address = \"10.0.0.11\", role = \"control-plane\" }\n";
        let cluster = inventory::parse("prod", text).unwrap().cluster;
        let now = OffsetDateTime::now_utc();
        let bundle = Bundle::mint(&cluster, None, now, &mut SystemEntropy).unwrap();
        let node = bundle.node_files(&cluster, &cluster.nodes[0], now, &mut SystemEntropy).unwrap();
        let root = tempfile::tempdir().unwrap();
        let place = |path: &str| root.path().join(path.trim_start_matches('/'));
        for file in node.files.iter().chain(node.leafs.iter().flat_map(|leaf| &leaf.files)) {
            std::fs::create_dir_all(place(&file.path).parent().unwrap()).unwrap();
            match &file.body {
                Body::Public(text) => std::fs::write(place(&file.path), text).unwrap(),
                Body::Secret(text) => std::fs::write(place(&file.path), text.expose_secret()).unwrap(),
                Body::Link(to) => std::os::unix::fs::symlink(place(to), place(&file.path)).unwrap(),
            }
        }
        std::fs::write(place("/etc/kubernetes/pki/own \"ca\".crt"), "no certificate").unwrap();
        let text = super::text(root.path());
        parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
    }

    #[test]
    fn every_certificate_and_kubeconfig_of_a_node_is_told_once() {
        let parsed = of_a_node();
        let found = &parsed["rekindle_certificate_expiry_timestamp_seconds"];
        let paths: BTreeSet<&str> = found.keys().map(|labels| labels[0].1.as_str()).collect();
        for path in [
            "/etc/kubernetes/pki/ca.crt",
            "/etc/kubernetes/pki/apiserver.crt",
            "/etc/kubernetes/pki/apiserver-etcd-client.crt",
            "/etc/kubernetes/pki/etcd/ca.crt",
            "/etc/kubernetes/pki/etcd/peer.crt",
            "/etc/kubernetes/pki/front-proxy-client.crt",
            "/etc/kubernetes/admin.conf",
            "/etc/kubernetes/controller-manager.conf",
            "/etc/kubernetes/scheduler.conf",
            "/var/lib/kubelet/pki/kubelet.crt",
            "/var/lib/kubelet/pki/kubelet-client-current.pem",
        ] {
            assert!(paths.contains(path), "{path} is not in {paths:?}");
        }
        let now = OffsetDateTime::now_utc().unix_timestamp() as f64;
        for (labels, end) in found {
            let days = (end - now) / 86400.0;
            let expected = if labels[1].1 == "yes" { 3640.0..3660.0 } else { 360.0..366.0 };
            assert!(expected.contains(&days), "{labels:?}: {days}");
        }
        let odd = vec![("path".to_owned(), "/etc/kubernetes/pki/own \"ca\".crt".to_owned())];
        assert_eq!(parsed["rekindle_certificate_unreadable"].keys().collect::<Vec<_>>(), [&odd]);
        // A node without any has no metric, and no empty group.
        assert_eq!(super::text(tempfile::tempdir().unwrap().path()), "");
    }
}
