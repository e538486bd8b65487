//! The same boot on a control plane, once a day: its files are the ones that lie there, its apiserver is the program in
//! the image of the one that runs there, and it gives way to all that lives there.

use super::{Programs, Purpose, at_loopback, boot, put};
use crate::kubeadm::PATCHES;
use pki::ExposeSecret;
use std::collections::BTreeMap;
use step::{Script, Secret};

/// Folders whose files the boot reads, with what lies below them.
pub const FOLDERS: [&str; 2] = ["/etc/kubernetes/pki", PATCHES];
/// kubeadm's configuration of the node.
pub const KUBEADM: &str = "/etc/rekindle/kubeadm.yaml";
/// The kubeconfig of an administrator.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// Where the scratch lies; it is gone after a boot, and before the next one.
pub const SPACE: &str = "/var/lib/rekindle/drill";

/// Memory that must be free before anything is started, in MiB: twice what a small cluster needs. A database adds
/// three times its size.
const MEMORY: &str = "700";

/// What is to be booted, as it lies on the node.
#[derive(Clone, Copy, Debug)]
pub struct OnNode<'a> {
    /// Files by path: those of [`FOLDERS`], [`KUBEADM`], [`ADMIN`], and those that [`named_files`] says.
    pub files: &'a BTreeMap<String, pki::Secret>,
    /// The snapshot's file.
    pub snapshot: &'a str,
}

impl OnNode<'_> {
    /// The script, for root: its output is that of [`Purpose::ProveAndExport`]. Its input must stay open until it ends.
    pub fn script(&self) -> Script {
        // Found where they lie.
        let program = |name: &str| name.to_owned();
        let programs = Programs {
            etcd: program("etcd"),
            etcdctl: program("etcdctl"),
            etcdutl: program("etcdutl"),
            kubeadm: program("kubeadm"),
            kubectl: program("kubectl"),
            kube_apiserver: String::new(),
        };
        boot(&programs, self.snapshot, SPACE, Purpose::ProveAndExport)
            .set("MEMORY", MEMORY)
            .input(self.input())
    }

    fn input(&self) -> Secret {
        let mut text = String::new();
        // kubeadm wants the folder, whether there is a patch or not.
        put(&mut text, &format!("{PATCHES}/none"), "");
        for (path, content) in self.files {
            match path.as_str() {
                ADMIN => {
                    put(&mut text, super::SUPER_ADMIN, &at_loopback(content.expose_secret()));
                }
                path => put(&mut text, path, content.expose_secret()),
            }
        }
        text.push_str(".\n");
        Secret::new(text)
    }
}

/// The files that the components' flags name, by what kubeadm's configuration says of their volumes.
pub fn named_files(kubeadm: &str) -> Vec<String> {
    let paths = kubeadm.lines().filter_map(|line| {
        let value = line.trim_start().trim_start_matches("- ").strip_prefix("hostPath: ")?;
        // We wrote it, so what is quoted is quoted as JSON is.
        if value.starts_with('"') { serde_json::from_str(value).ok() } else { Some(value.to_owned()) }
    });
    let mut paths: Vec<String> = paths.filter(|path| path.starts_with('/')).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn what_kubeadm_mounts_is_read() {
        let text = "apiServer:\n  extraVolumes:\n  - hostPath: /etc/audit.yaml\n    mountPath: /etc/audit.yaml\n  - hostPath: \"/etc/a b\"\n\
                    scheduler:\n  extraVolumes:\n  - hostPath: /etc/audit.yaml\n  - hostPath: \"cut off\n  - hostPath: relative\n";
        assert_eq!(named_files(text), ["/etc/a b", "/etc/audit.yaml"]);
    }

    #[test]
    fn the_boot_is_handed_what_lies_on_the_node() {
        let files = [
            ("/etc/kubernetes/pki/sa.key", "key"),
            (KUBEADM, "kind: ClusterConfiguration"),
            (ADMIN, "clusters:\n- cluster:\n    server: https://api.x:6443\n"),
        ];
        let files = files.map(|(path, content)| (path.to_owned(), content.into())).into();
        let script = OnNode { files: &files, snapshot: "/var/lib/rekindle/drill/snapshot.db" }.script();
        assert!(script.text().contains("MEMORY=700\n") && script.text().contains("APISERVER=''\n"));
        let input = String::from_utf8(script.stdin().unwrap().expose().to_vec()).unwrap();
        let read = |line: &str| {
            let (path, text) = line.split_once(' ').unwrap_or((line, ""));
            (path.to_owned(), String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
        };
        let wanted = [
            ("/etc/kubernetes/patches/none", ""),
            // Whoever asks, asks the apiserver that is booted.
            (
                "/etc/kubernetes/super-admin.conf",
                "clusters:\n- cluster:\n    server: https://127.0.0.1:6443\n    tls-server-name: kubernetes\n",
            ),
            ("/etc/kubernetes/pki/sa.key", "key"),
            ("/etc/rekindle/kubeadm.yaml", "kind: ClusterConfiguration"),
            (".", ""),
        ];
        let wanted = wanted.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(input.lines().map(read).collect::<Vec<_>>(), wanted);
    }
}
