//! Old etcd members that come back beside a restored one at an address of theirs: what an ordinary restore suffers
//! (the default token, the same CA: it finds itself a follower of the old cluster), and a rebuild does not. Bare
//! processes on loopback, with the programs and the certificates of a real cluster.

use artifacts::{Arch, Images, ProgramName, Source, Wanted};
use inventory::Cluster;
use pki::{Body, Bundle, ExposeSecret, SystemEntropy};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What etcd has where nobody names a token, as kubeadm does not.
const DEFAULT_TOKEN: &str = "etcd-cluster";

const PKI: &str = "/etc/kubernetes/pki/etcd/";

#[test]
fn old_members_that_come_back_destroy_an_ordinary_restore_and_not_a_rebuild() {
    let Some(site) = Site::find() else { return };
    let old = Bundle::mint(&site.cluster, None, time::OffsetDateTime::now_utc(), &mut SystemEntropy).unwrap();
    let new = old.successor(&site.cluster, time::OffsetDateTime::now_utc(), &mut SystemEntropy).unwrap();
    site.lay(&old, "old");
    site.lay(&new, "new");
    site.grow();
    let cases = [
        ("an ordinary restore", DEFAULT_TOKEN, "old", false),
        ("another CA alone", DEFAULT_TOKEN, "new", true),
        ("another token alone", new.etcd_token(), "old", true),
        ("a rebuild", new.etcd_token(), "new", true),
    ];
    for (name, token, ca, expected) in cases {
        assert_eq!(site.survives(token, ca), expected, "{name}");
    }
}

/// Three addresses, the programs, and a folder for all of it.
struct Site {
    cluster: Cluster,
    etcd: PathBuf,
    etcdctl: PathBuf,
    etcdutl: PathBuf,
    folder: tempfile::TempDir,
}

/// Ends with its value.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Site {
    fn find() -> Option<Self> {
        if Command::new("go").arg("version").output().is_err()
            || TcpListener::bind(("127.77.0.1", 2379)).is_err()
        {
            println!("skipped: there is no go, or no address for an etcd");
            return None;
        }
        let node = |n: u8| format!("cp{n} = {{ address = \"10.77.0.{n}\", role = \"control-plane\" }}\n");
        let nodes = node(1) + &node(2) + &node(3);
        let text = format!(
            "[cluster]\nname = \"old\"\nkubernetes = \"1.36.3\"\n[nodes]\n{nodes}[archive]\nto = [\"./archive\"]\n"
        );
        let mut cluster = inventory::parse("old.toml", &text).unwrap().cluster;
        for (n, node) in (1..).zip(&mut cluster.nodes) {
            node.address = [127, 77, 0, n].into();
        }
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
            PathBuf::from,
        );
        let wanted = Wanted {
            kubernetes: cluster.kubernetes.clone(),
            arch: Arch::HERE?,
            programs: [ProgramName::Etcd, ProgramName::Etcdctl, ProgramName::Etcdutl].into(),
            images: Images::None,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let cache = cache.join("rekindle/artifacts");
        let got = runtime.block_on(artifacts::obtain(&Source::Modules, &wanted, &cache, |_| {})).unwrap();
        let program = |name| got.program(name).unwrap().file.clone();
        Some(Self {
            etcd: program(ProgramName::Etcd),
            etcdctl: program(ProgramName::Etcdctl),
            etcdutl: program(ProgramName::Etcdutl),
            cluster,
            folder: tempfile::tempdir().unwrap(),
        })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Each member's certificates, below `whose`.
    fn lay(&self, bundle: &Bundle, whose: &str) {
        for node in &self.cluster.nodes {
            let now = time::OffsetDateTime::now_utc();
            let made = bundle.node_files(&self.cluster, node, now, &mut SystemEntropy).unwrap();
            let folder = self.at(whose).join(&node.name);
            std::fs::create_dir_all(&folder).unwrap();
            for file in made.files.iter().chain(made.leafs.iter().flat_map(|leaf| &leaf.files)) {
                let Some(name) = file.path.strip_prefix(PKI) else { continue };
                match &file.body {
                    Body::Public(text) => std::fs::write(folder.join(name), text).unwrap(),
                    Body::Secret(text) => std::fs::write(folder.join(name), text.expose_secret()).unwrap(),
                    Body::Link(_) => {}
                }
            }
        }
    }

    fn list(members: std::ops::RangeInclusive<u8>) -> String {
        members.map(|n| format!("cp{n}=https://127.77.0.{n}:2380")).collect::<Vec<_>>().join(",")
    }

    fn start(&self, n: u8, data: &Path, list: &str, whose: &str) -> Member {
        let pki = self.at(whose).join(format!("cp{n}"));
        let file = |name: &str| pki.join(name).into_os_string();
        let (client, peer) = (format!("https://127.77.0.{n}:2379"), format!("https://127.77.0.{n}:2380"));
        let log = std::fs::File::create(data.with_extension("log")).unwrap();
        let mut command = Command::new(&self.etcd);
        command.args([
            "--name",
            &format!("cp{n}"),
            "--unsafe-no-fsync",
            "--log-level",
            "error",
            "--data-dir",
        ]);
        command.arg(data).args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        // As kubeadm writes it for the first member and for those that join.
        let state = if list.contains(',') { "existing" } else { "new" };
        command.args(["--initial-cluster", list, "--initial-cluster-state", state]);
        command.args([
            "--heartbeat-interval",
            "50",
            "--election-timeout",
            "500",
            "--client-cert-auth",
            "--peer-client-cert-auth",
        ]);
        for (flag, name) in [
            ("--trusted-ca-file", "ca.crt"),
            ("--cert-file", "server.crt"),
            ("--key-file", "server.key"),
            ("--peer-trusted-ca-file", "ca.crt"),
            ("--peer-cert-file", "peer.crt"),
            ("--peer-key-file", "peer.key"),
        ] {
            command.arg(flag).arg(file(name));
        }
        Member(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn ctl(&self, n: u8, whose: &str, arguments: &[&str]) -> Output {
        let pki = self.at(whose).join(format!("cp{n}"));
        Command::new(&self.etcdctl)
            .args([
                "--endpoints",
                &format!("https://127.77.0.{n}:2379"),
                "--dial-timeout=1s",
                "--command-timeout=2s",
            ])
            .arg("--cacert")
            .arg(pki.join("ca.crt"))
            .arg("--cert")
            .arg(pki.join("healthcheck-client.crt"))
            .arg("--key")
            .arg(pki.join("healthcheck-client.key"))
            .args(arguments)
            .output()
            .unwrap()
    }

    fn said(&self, n: u8, whose: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.ctl(n, whose, arguments).stdout).unwrap()
    }

    fn until(&self, n: u8, whose: &str, arguments: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while !self.ctl(n, whose, arguments).status.success() {
            assert!(Instant::now() < deadline, "member {n}: {arguments:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// One member, then two that join it; a snapshot; their power fails.
    fn grow(&self) {
        let data = |n: u8| self.at(&format!("data{n}"));
        let mut members = vec![self.start(1, &data(1), &Self::list(1..=1), "old")];
        self.until(1, "old", &["get", "before"]);
        for n in 2..=3 {
            let peer = format!("--peer-urls=https://127.77.0.{n}:2380");
            self.until(1, "old", &["member", "add", &format!("cp{n}"), &peer]);
            members.push(self.start(n, &data(n), &Self::list(1..=n), "old"));
            self.until(n, "old", &["get", "before"]);
        }
        self.until(1, "old", &["put", "before", "yes"]);
        let snapshot = self.at("snapshot.db");
        self.until(1, "old", &["snapshot", "save", snapshot.to_str().unwrap()]);
    }

    /// Restores the first, alone, writes to it, lets the others come back with what they had; whether it is then what it
    /// was.
    fn survives(&self, token: &str, ca: &str) -> bool {
        let work = tempfile::tempdir_in(self.folder.path()).unwrap();
        let restored = work.path().join("restored");
        let (list, peer) = (Self::list(1..=1), "https://127.77.0.1:2380");
        let done = Command::new(&self.etcdutl)
            .args(["snapshot", "restore"])
            .arg(self.at("snapshot.db"))
            .args(["--name", "cp1", "--initial-cluster", &list, "--initial-advertise-peer-urls", peer])
            .args(["--initial-cluster-token", token, "--data-dir"])
            .arg(&restored)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        let mut first = self.start(1, &restored, &list, ca);
        self.until(1, ca, &["put", "after", "yes"]);
        let alone = self.said(1, ca, &["member", "list"]);
        assert_eq!(alone.lines().count(), 1, "{alone}");

        let back: Vec<Member> = (2..=3)
            .map(|n| {
                let data = work.path().join(format!("data{n}"));
                let copied =
                    Command::new("cp").arg("-r").arg(self.at(&format!("data{n}"))).arg(&data).status();
                assert!(copied.unwrap().success());
                self.start(n, &data, &Self::list(1..=3), "old")
            })
            .collect();
        // In any case the two have their old quorum: whoever asks them gets old answers, so they are to be fenced too.
        self.until(2, "old", &["get", "before"]);
        std::thread::sleep(Duration::from_secs(3));
        assert!(self.said(2, "old", &["get", "after"]).is_empty());
        assert_eq!(back.len(), 2);
        let lives = first.0.try_wait().unwrap().is_none();
        lives
            && self.said(1, ca, &["member", "list"]) == alone
            && self.said(1, ca, &["get", "after", "--print-value-only"]) == "yes\n"
            && self.ctl(1, ca, &["put", "later", "yes"]).status.success()
            && self.said(2, "old", &["get", "later"]).is_empty()
    }
}
