//! A node for tests: OpenSSH's own server, chrooted into a copy of this machine's file system that costs nothing
//! (an overlay in memory), so that anything about it can be made otherwise, and anything written there is seen.
//!
//! Needs Linux, root and sshd. It ends with the test, and leaves nothing.

use crate::fake_node::key;
use crate::program::Program;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What every node has, whatever machine this is: a system that is taken, and room. `deploy` is a user without
/// rights whose password is `open sesame`.
const FIT: &str = r#"
printf 'ID=debian\nVERSION_ID="12"\n' >/etc/os-release
mkdir -p /run/systemd/system /run/sshd /usr/local/sbin /home/deploy
printf '#!/bin/sh\n' >/usr/local/sbin/apt-get
chmod 755 /usr/local/sbin/apt-get
rm -f /root/.bashrc
rm -rf /etc/kubernetes /var/lib/kubelet /var/lib/etcd /var/lib/rekindle /etc/rekindle
echo 'deploy:x:7777:7777::/home/deploy:/bin/sh' >>/etc/passwd
echo "deploy:$(openssl passwd -6 'open sesame'):19000:0:99999:7:::" >>/etc/shadow
"#;

/// Runs in a mount namespace of its own: $1 is the node's folder, $2 the script that makes it otherwise.
const BOOT: &str = r#"set -eu
cd "$1"
mount -t tmpfs -o size=16g tmpfs node
mkdir node/upper node/work node/root
mount -t overlay overlay -o lowerdir=/,upperdir=node/upper,workdir=node/work node/root
for folder in proc dev; do mount --rbind /$folder node/root/$folder; done
mount --bind node node/root/mnt
chroot node/root /bin/sh -euc "$2"
exec chroot node/root /usr/sbin/sshd -D -e -f "$1/config"
"#;

/// A running node.
pub struct SshdNode {
    pub name: String,
    pub port: u16,
    folder: TempDir,
    sshd: Child,
    written: String,
}

/// Whether sshd answers there. A connection alone says less: the port was reserved by a listener of ours, and a process
/// that another thread is just about to start holds that one open for a moment.
fn greets(port: u16) -> bool {
    let greeting = || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut greeting = [0; 4];
        std::io::Read::read_exact(&mut stream, &mut greeting).map(|()| greeting)
    };
    greeting().is_ok_and(|greeting: [u8; 4]| greeting == *b"SSH-")
}

impl SshdNode {
    /// Says why there are none, where that is so.
    pub fn can_run() -> bool {
        let can = Program::can_make_labs() && Path::new("/usr/sbin/sshd").exists();
        if !can {
            println!("skipped: a node with sshd needs root and /usr/sbin/sshd");
        }
        can
    }

    /// A fit machine that `otherwise`, a script that runs there as root, has changed.
    pub fn start(name: &str, otherwise: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
        std::fs::create_dir(at("node")).unwrap();
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at("host")]).status();
        assert!(made.unwrap().success());
        std::fs::write(at("identity.pub"), key(1).public_key().to_openssh().unwrap()).unwrap();
        std::fs::write(at("identity"), key(1).to_openssh(Default::default()).unwrap()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             PermitRootLogin prohibit-password\nUsePAM no\nPidFile none\n",
            at("host"),
            at("identity.pub"),
        );
        std::fs::write(at("config"), config).unwrap();
        let machine_id = format!("echo {port:032x} >/etc/machine-id");
        let sshd = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "/bin/sh", "-c", BOOT, "boot"])
            .arg(folder.path())
            .arg(format!("{FIT}\n{machine_id}\n{otherwise}"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(at("log")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut node = Self { name: name.to_owned(), port, folder, sshd, written: String::new() };
        let start = Instant::now();
        while !greets(port) {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", node.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        node.written = node.files();
        node
    }

    /// `host:port`, as an inventory's `ssh` takes it.
    pub fn ssh(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The key that all of these nodes take, for every user.
    pub fn identity(&self) -> PathBuf {
        self.folder.path().join("identity")
    }

    /// Its own key, as `known_hosts` writes it, under a name.
    pub fn known_as(&self, port: u16) -> String {
        let key = std::fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        format!("[127.0.0.1]:{port} {key}")
    }

    /// As `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        let output =
            Command::new("ssh-keygen").arg("-lf").arg(self.folder.path().join("host.pub")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    /// A file on it, as it is seen from here.
    pub fn path(&self, on_node: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{on_node}", self.sshd.id()))
    }

    /// Fails where a file was written, changed or removed since it was started.
    pub fn assert_untouched(&self) {
        assert_eq!(self.files(), self.written, "something was written on {}", self.name);
    }

    /// What differs from this machine's own files, with sizes and times.
    fn files(&self) -> String {
        let output =
            Command::new("find").arg(self.path("/mnt/upper")).args(["-printf", "%P %s %T@\n"]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        // sudo notes there who gave a password.
        let ours = |line: &&str| !line.starts_with("run/sudo") && !line.starts_with("run ");
        let mut lines: Vec<&str> = text.lines().filter(ours).collect();
        assert!(lines.len() > 10, "{lines:?}");
        lines.sort_unstable();
        lines.join("\n")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for SshdNode {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}
