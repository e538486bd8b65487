//! One sshd whose addresses are hosts, each with a root folder of its own.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

/// Everything lies in a tmpfs that is mounted here; no other process sees it.
const FOLDER: &str = "/run";
/// The port on every address.
pub const PORT: u16 = 2022;

/// The address of a host, from 0.
pub fn address(host: usize) -> String {
    format!("127.0.{}.{}", 1 + host / 250, 1 + host % 250)
}

/// The user's private key.
pub fn identity() -> String {
    format!("{FOLDER}/fleet/identity")
}

/// The host key, as `known_hosts` writes it.
pub fn host_key() -> String {
    let key = std::fs::read_to_string(format!("{FOLDER}/fleet/key.pub")).expect("the host key");
    key.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()
}

pub fn is_possible() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let has = |program: &str| Command::new(program).arg("-V").output().is_ok();
    cfg!(target_os = "linux") && root && has("unshare") && has("ip") && Path::new("/usr/sbin/sshd").exists()
}

/// The server; it ends with this value.
pub struct Fleet(Child);

impl Fleet {
    pub fn start(hosts: usize) -> Self {
        sh(&include_str!("fleet.sh").replace("@HOSTS@", &hosts.to_string()));
        let programs = [
            ("systemd-run", include_str!("../../suite/fake_node/systemd-run")),
            ("systemctl", include_str!("../../suite/fake_node/systemctl")),
        ];
        for (name, text) in programs {
            // On each host, the stub keeps its units in a folder that a reset empties.
            std::fs::write(format!("{FOLDER}/fleet/bin/{name}"), text.replace("@FOLDER@", "/run/stub"))
                .expect("a stub");
        }
        let mut config = format!(
            "Port {PORT}\nListenAddress 0.0.0.0\nHostKey {FOLDER}/fleet/key\nAuthorizedKeysFile {FOLDER}/fleet/identity.pub\n\
             StrictModes no\nPermitRootLogin prohibit-password\nUsePAM no\nUseDNS no\nPidFile none\nLogLevel ERROR\n\
             MaxStartups 10000\n"
        );
        for host in 0..hosts {
            config +=
                &format!("Match LocalAddress {}\nChrootDirectory {FOLDER}/hosts/{host}\n", address(host));
        }
        std::fs::write(format!("{FOLDER}/fleet/config"), config).expect("the configuration");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f", "/run/fleet/config", "-E", "/run/fleet/log"])
            .spawn()
            .expect("sshd");
        let fleet = Self(child);
        for _ in 0..100 {
            if std::net::TcpStream::connect((address(0), PORT)).is_ok() {
                return fleet;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("sshd does not listen: {}", std::fs::read_to_string("/run/fleet/log").unwrap_or_default());
    }

    /// What the hosts have cost so far: the time on a core of all that sshd has begun, and that is gone.
    pub fn cpu_ms(&self) -> f64 {
        // What a connection leaves behind ends in its own time.
        std::thread::sleep(Duration::from_millis(500));
        let sshd = self.0.id().to_string();
        // A lane outlives its parents; the first process collects it.
        ["1", &sshd].into_iter().map(children_ms).sum()
    }

    /// Every host as it was before its first step.
    pub fn reset(&self) {
        sh("cd /run/hosts && for host in *; do rm -rf $host/srv $host/run $host/var; done
            for host in *; do echo $host/srv $host/run/stub/units $host/var/lib; done | xargs mkdir -p");
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time of a process's children, in steps of 10 ms.
fn children_ms(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    // Of proc_pid_stat(5), 16 and 17; the first of these is the third there.
    let ticks = fields.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() * 10.0
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-euc", script]).status().expect("sh");
    assert!(status.success(), "a script of the fleet failed");
}
