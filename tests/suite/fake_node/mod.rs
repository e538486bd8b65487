//! A node for tests: a real SSH server in this process that hands commands to a real `sh`, with a stub of
//! `systemd-run` and `systemctl` first in its PATH, and with faults on demand.
//!
//! All of its files lie in one temporary folder. What runs on it outlives its connections, as on a real node, and
//! dies with [`FakeNode::power_off`].

mod faults;
mod server;
mod session;

pub use faults::When;

use engine::{Layout, Options, Reconnect, SshAddress, SshOptions, Target};
use faults::Faults;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use step::HostId;
use tempfile::TempDir;

const SYSTEMD_RUN: &str = include_str!("systemd-run");
const SYSTEMCTL: &str = include_str!("systemctl");

/// A running node.
pub struct FakeNode {
    /// Where its SSH server listens.
    pub address: SocketAddr,
    /// Its faults and what it has seen.
    pub faults: Arc<Faults>,
    name: HostId,
    folder: TempDir,
    host_key: PublicKey,
    server: tokio::task::JoinHandle<()>,
}

/// A key that is nobody's secret.
pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

impl FakeNode {
    /// A node of this name, with a host key of its own.
    pub async fn start(name: &str) -> Self {
        static SEED: AtomicUsize = AtomicUsize::new(100);
        let seed = u8::try_from(SEED.fetch_add(1, Ordering::Relaxed) % 250).unwrap();
        let folder = TempDir::new().unwrap();
        for (file, text) in [("systemd-run", SYSTEMD_RUN), ("systemctl", SYSTEMCTL)] {
            write_program(
                &folder.path().join("bin").join(file),
                &text.replace("@FOLDER@", &path(folder.path())),
            );
        }
        for sub in ["units", "root", "state"] {
            std::fs::create_dir_all(folder.path().join(sub)).unwrap();
        }
        let identity = key(1).to_openssh(Default::default()).unwrap();
        std::fs::write(folder.path().join("identity"), identity.as_bytes()).unwrap();
        let faults = Arc::new(Faults::default());
        let host_key = key(seed);
        let public = host_key.public_key().clone();
        let programs = path(&folder.path().join("bin"));
        let (address, server) =
            server::listen(host_key, key(1).public_key().clone(), programs, faults.clone()).await;
        Self { address, faults, name: HostId::new(name), folder, host_key: public, server }
    }

    /// Its name in plans.
    pub fn id(&self) -> HostId {
        self.name.clone()
    }

    /// The way to it.
    pub fn target(&self) -> Target {
        Target::ssh(self.id(), SshAddress::new("127.0.0.1", self.address.port(), "root"))
    }

    /// The same for a user who is not root.
    pub fn target_of(&self, user: &str) -> Target {
        Target::ssh(self.id(), SshAddress::new("127.0.0.1", self.address.port(), user))
    }

    /// Options that reach it: its key is pinned.
    pub fn options(&self) -> Options {
        let name = format!("[127.0.0.1]:{}", self.address.port());
        Options {
            ssh: SshOptions {
                identities: vec![self.folder.path().join("identity")],
                pinned: vec![(name, self.host_key.to_openssh().unwrap())],
                connect_within: Duration::from_secs(10),
                ..SshOptions::default()
            },
            layout: Layout {
                run: path(&self.folder.path().join("run")),
                state: path(&self.folder.path().join("state")),
                path: format!(
                    "{}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    path(self.folder.path())
                ),
            },
            reconnect: Reconnect { tries: 3, within: Duration::from_secs(10) },
        }
    }

    /// A path below its root, for plans.
    pub fn path(&self, below: &str) -> String {
        path(&self.folder.path().join("root").join(below))
    }

    /// A path beside its root: `run`, `state`, `argv`.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        self.host_key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The key that it should show, as `known_hosts` writes it.
    pub fn host_key(&self) -> String {
        self.host_key.to_openssh().unwrap()
    }

    /// Everything that runs on it is killed, and what lies in memory is gone.
    pub fn power_off(&self) {
        self.kill_units();
        let _ = std::fs::remove_dir_all(self.beside("run"));
    }

    /// Every unit is killed, as the kernel does when memory runs out.
    pub fn kill_units(&self) {
        for unit in std::fs::read_dir(self.beside("units")).unwrap().flatten() {
            let Ok(pid) = std::fs::read_to_string(unit.path().join("pid")) else { continue };
            kill_session(pid.trim());
            let _ = std::fs::remove_dir_all(unit.path());
        }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.server.abort();
        self.power_off();
    }
}

/// Kills every process of a session.
fn kill_session(leader: &str) {
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        // PID (NAME) STATE PARENT GROUP SESSION
        let Some((pid, rest)) = stat.split_once(' ') else { continue };
        let session = rest.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(3));
        if session == Some(leader) {
            let _ = std::process::Command::new("kill")
                .args(["-9", pid])
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Writes an executable.
pub fn write_program(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
