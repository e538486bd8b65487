//! Upstream in small: the same layout, files of a few bytes, a kubeadm that is a shell script.

use std::path::PathBuf;
use std::time::Duration;

use artifacts::{
    Arch, Error, Http, Images, Payload, ProgramName, Sha256, Sites, Source, Upstream, Wanted, obtain,
};
use tempfile::TempDir;

use crate::server::Server;

pub const KUBEADM: &str = r#"#!/bin/sh
case "$*" in
"config images list --kubernetes-version v1.36.3")
    printf '%s\n' registry.k8s.io/kube-apiserver:v1.36.3 registry.k8s.io/coredns/coredns:v1.14.2 registry.k8s.io/etcd:3.6.8-0 ;;
"version -o short") echo v1.36.3 ;;
*) echo "unknown: $*" >&2; exit 1 ;;
esac
"#;

/// A file long enough to be cut.
pub fn long() -> Vec<u8> {
    (0..200_000_u32).map(|n| (n % 251) as u8).collect()
}

pub struct World {
    pub server: Server,
    pub folder: TempDir,
    pub http: Http,
}

impl World {
    pub async fn new() -> Self {
        let world = Self {
            server: Server::start().await,
            folder: tempfile::tempdir().unwrap(),
            http: Http {
                stall: Duration::from_secs(20),
                least: 1000,
                tries: 3,
                pause: Duration::from_millis(1),
                ..Http::default()
            },
        };
        world.programs();
        world
    }

    fn programs(&self) {
        let kubernetes = "/dl.k8s.io/release/v1.36.3/bin/linux/amd64";
        for (name, body) in
            [("kubeadm", KUBEADM.as_bytes().to_vec()), ("kubelet", long()), ("kubectl", b"kubectl".to_vec())]
        {
            self.server.serve(&format!("{kubernetes}/{name}.sha256"), Sha256::of(&body).to_string());
            self.server.serve(&format!("{kubernetes}/{name}"), body);
        }
        let release = |path: &str, sums: &str, body: Vec<u8>| {
            let (folder, file) = path.rsplit_once('/').unwrap();
            let line = format!("{}  other\n{}  {file}\n", Sha256::of("other"), Sha256::of(&body));
            self.server.serve(&format!("/github.com/{folder}/{sums}"), line);
            self.server.serve(&format!("/github.com/{path}"), body);
        };
        let etcd = "etcd-v3.6.8-linux-amd64";
        release(
            &format!("etcd-io/etcd/releases/download/v3.6.8/{etcd}.tar.gz"),
            "SHA256SUMS",
            tar_gz(&["etcd", "etcdctl", "etcdutl"].map(|name| format!("{etcd}/{name}"))),
        );
        release(
            "containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-linux-amd64.tar.gz",
            "containerd-2.3.7-linux-amd64.tar.gz.sha256sum",
            tar_gz(&["bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr"].map(String::from)),
        );
        release(
            "opencontainers/runc/releases/download/v1.5.2/runc.amd64",
            "runc.sha256sum",
            b"runc".to_vec(),
        );
        release(
            "containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz",
            "cni-plugins-linux-amd64-v1.9.1.tgz.sha256",
            tar_gz(&["./bridge", "./host-local", "./loopback", "./portmap"].map(String::from)),
        );
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn mirror(&self) -> Source {
        self.mirror_at(&self.server.url)
    }

    pub fn mirror_at(&self, url: &str) -> Source {
        let sites = Sites::mirror(Some(url), Some(url)).unwrap();
        Source::Upstream(Upstream { sites, http: self.http.clone(), versions: None })
    }

    pub async fn obtain(&self, wanted: &Wanted) -> Result<Payload, Error> {
        obtain(&self.mirror(), wanted, &self.cache(), |_| ()).await
    }

    /// A text without what differs from run to run.
    pub fn plain(&self, text: &str) -> String {
        let text = text.replace(&self.server.url, "http://SERVER");
        text.replace(self.folder.path().to_str().unwrap(), "FOLDER")
    }

    /// An error as a person sees it: message, causes, hint.
    pub fn words(&self, error: &Error) -> String {
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            words += &format!("\ncaused by: {error}");
            cause = error.source();
        }
        words += &error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        self.plain(&words)
    }

    /// A payload as a table.
    pub fn table(&self, payload: &Payload) -> String {
        let mut lines = Vec::new();
        for program in &payload.programs {
            let bytes = std::fs::read(&program.file).unwrap();
            assert_eq!((Sha256::of(&bytes), bytes.len() as u64), (program.sha256, program.size));
            lines.push(format!("{} {} {}", program.name, program.size, program.file.display()));
        }
        for packaged in &payload.packaged {
            lines.push(format!("{} from package {}", packaged.name, packaged.package));
        }
        for image in &payload.images {
            let bytes = std::fs::read(&image.archive).unwrap();
            assert_eq!((Sha256::of(&bytes), bytes.len() as u64), (image.sha256, image.size));
            lines.push(format!("{} {} {}", image.reference, image.digest.oci(), image.archive.display()));
        }
        self.plain(&lines.join("\n"))
    }
}

pub fn wanted(programs: impl IntoIterator<Item = ProgramName>, images: Images) -> Wanted {
    let kubernetes = "1.36.3".parse().unwrap();
    Wanted { kubernetes, arch: Arch::Amd64, programs: programs.into_iter().collect(), images }
}

/// A tar.gz with these files, each containing its own name.
fn tar_gz(names: &[String]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for name in names {
        let mut header = tar::Header::new_gnu();
        header.set_size(name.len() as u64);
        header.set_mode(0o755);
        // By hand: the builder's own way takes "./" away, which real archives have.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, name.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}
