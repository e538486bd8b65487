//! A folder of a real sshd on this machine.

use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// OpenSSH's server on this machine with a key of its own; it needs root, and a `/run` that nobody else sees.
const BOOT: &str = "mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f \"$0\"";

struct Sshd {
    folder: TempDir,
    port: u16,
    child: Child,
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

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Sshd {
    fn start() -> Option<Self> {
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt as _;
            own.uid() == 0
        });
        if !is_root || !Path::new("/usr/sbin/sshd").exists() {
            println!("skipped: it needs root and /usr/sbin/sshd");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let args = ["-q", "-t", "ed25519", "-N", "", "-f"];
            assert!(Command::new("ssh-keygen").args(args).arg(at(key)).status().unwrap().success());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             PermitRootLogin prohibit-password\nUsePAM no\nPidFile none\n",
            at("host"),
            at("user.pub")
        );
        std::fs::write(at("config"), config).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", BOOT]).arg(at("config"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sshd = Self { folder, port, child };
        for _ in 0..100 {
            if greets(port) {
                return Some(sshd);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("sshd does not listen");
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("it's/an archive")
    }

    fn place(&self) -> SshFolder {
        let key = std::fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        let options = SshOptions {
            identities: vec![self.folder.path().join("user")],
            pinned: vec![(format!("[127.0.0.1]:{}", self.port), key.trim().to_owned())],
            ..SshOptions::default()
        };
        let address = SshAddress::new("127.0.0.1", self.port, "root").without_root();
        SshFolder::new("ssh://here".into(), address, self.root().to_str().unwrap(), options).unwrap()
    }
}

#[tokio::test]
async fn what_was_put_is_there_and_stays_as_it_is() {
    let Some(sshd) = Sshd::start() else { return };
    let place = sshd.place();
    let bytes: Vec<u8> = (0..2_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
    let object: Name = format!("objects/ab/{}", "ab".repeat(32)).parse().unwrap();
    assert_eq!(place.get(&Name::Format, 10).unwrap(), None);
    assert_eq!(place.list(Prefix::Epochs).unwrap(), []);
    assert_eq!(place.put_new(&Name::Format, b"one").unwrap(), Put::Written);
    assert_eq!(place.put_new(&Name::Format, &bytes).unwrap(), Put::Existed);
    assert_eq!(place.get(&Name::Format, 3).unwrap().as_deref(), Some(&b"one"[..]));
    assert!(matches!(place.get(&Name::Format, 2), Err(DestinationError::TooLarge { .. })));
    let file = sshd.folder.path().join("file");
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(place.put_new_file(&object, &file).unwrap(), Put::Written);
    assert!(place.get(&object, bytes.len() as u64).unwrap().as_deref() == Some(&bytes[..]));
    assert!(matches!(place.get(&object, 1000), Err(DestinationError::TooLarge { .. })));
    assert_eq!(place.put_new(&Name::Epoch(1), b"").unwrap(), Put::Written);
    assert_eq!(place.get(&Name::Epoch(1), 0).unwrap().as_deref(), Some(&b""[..]));
    std::fs::write(sshd.root().join("epoch/.unfinished-1"), "").unwrap();
    assert_eq!(place.list(Prefix::Epochs).unwrap(), [Name::Epoch(1)]);
    let mode = |path: &str| std::fs::metadata(sshd.root().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(""), mode("epoch"), mode("FORMAT")], [0o700, 0o700, 0o600]);
    // Nothing is left of a write, and no link is followed.
    assert_eq!(std::fs::read_dir(sshd.root()).unwrap().count(), 3);
    symlink("FORMAT", sshd.root().join("RECOVER.txt")).unwrap();
    assert!(place.get(&Name::Recover, 10).unwrap_err().to_string().contains("is not a regular file"));
    assert_eq!(place.put_new(&Name::Recover, b"x").unwrap(), Put::Existed);
    for _ in 0..2 {
        place.remove(&Name::Epoch(1)).unwrap();
        assert_eq!(place.get(&Name::Epoch(1), 0).unwrap(), None);
    }
}

#[test]
fn of_two_who_write_one_name_one_is_first_and_a_lost_host_is_an_error() {
    let Some(sshd) = Sshd::start() else { return };
    let places = [sshd.place(), sshd.place()];
    for n in 1..=10 {
        let put = |place: &SshFolder| place.put_new(&Name::Epoch(n), b"claim").unwrap();
        let (a, b) = std::thread::scope(|scope| {
            let (a, b) = (scope.spawn(|| put(&places[0])), scope.spawn(|| put(&places[1])));
            (a.join().unwrap(), b.join().unwrap())
        });
        assert!((a == Put::Written) != (b == Put::Written), "{a:?} {b:?}");
    }
    let folder = sshd.root();
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "a file").unwrap();
    let said = places[0].list(Prefix::Epochs).unwrap_err().to_string();
    assert!(said.contains("is not a folder"), "{said}");
    assert!(places[0].put_new(&Name::Format, b"x").is_err());
    let strange =
        SshFolder { link: Arc::new(Link { options: SshOptions::default(), ..link(&sshd) }), ..sshd.place() };
    let said = strange.get(&Name::Format, 10).unwrap_err().to_string();
    assert!(said.starts_with("cannot read ssh://here/FORMAT: "), "{said}");
    // One that has not yet connected finds nobody.
    let late = sshd.place();
    drop(sshd);
    let said = late.get(&Name::Format, 10).unwrap_err().to_string();
    assert!(said.starts_with("cannot read ssh://here/FORMAT: "), "{said}");
}

fn link(sshd: &Sshd) -> Link {
    let address = SshAddress::new("127.0.0.1", sshd.port, "root").without_root();
    Link { id: HostId::new("here"), address, options: SshOptions::default(), hosts: Mutex::new(None) }
}
