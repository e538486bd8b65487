//! A real S3 server, `versitygw`, built from its Go module; what needs it is skipped where there is no `go`.

use archive::{Credentials, S3, S3Settings};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const KEYS: &str = "[default]\naws_access_key_id = tester\naws_secret_access_key = hush-hush\n";

/// The server's process and folder; both go with it.
pub struct Server {
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
    tls: bool,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Whether a server answers there, whatever it says to a request without TLS. A connection alone says less: the port
/// was reserved by a listener of ours, and a process that another thread is just about to start holds that one open
/// for a moment.
fn answers(address: SocketAddr) -> bool {
    let answer = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        // With TLS, the end of the connection is the answer.
        stream.read(&mut [0])
    };
    answer().is_ok()
}

fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        Command::new("go").arg("version").output().ok()?;
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Some(
            runtime
                .block_on(artifacts::build_s3_server(&cache, |progress| println!("{progress:?}")))
                .unwrap(),
        )
    };
    PROGRAM.get_or_init(build).as_deref()
}

impl Server {
    /// With an empty bucket `backups`; `None`, said, where it cannot be built.
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// With TLS by a certificate and its key, both PEM.
    pub fn start_with(tls: Option<(&str, &str)>) -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: there is no go to build an S3 server with");
            return None;
        };
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for sub in ["data/backups", "meta"] {
            std::fs::create_dir_all(folder.path().join(sub)).unwrap();
        }
        std::fs::write(folder.path().join("keys"), KEYS).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command.args(["--quiet", "--port", &address.to_string()]);
        if let Some((certificate, key)) = tls {
            for (flag, text) in [("--cert", certificate), ("--key", key)] {
                let path = folder.path().join(flag);
                std::fs::write(&path, text).unwrap();
                command.arg(flag).arg(path);
            }
        }
        command.arg("posix").arg("--sidecar").arg(folder.path().join("meta")).arg(folder.path().join("data"));
        command.env("ROOT_ACCESS_KEY_ID", "tester").env("ROOT_SECRET_ACCESS_KEY", "hush-hush");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let server = Self { address, folder, tls: tls.is_some(), child };
        for _ in 0..200 {
            if answers(address) {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the S3 server does not listen");
    }

    /// How its bucket is reached, below `prefix`, at its own address.
    pub fn settings(&self, prefix: &str) -> S3Settings {
        let scheme = if self.tls { "https" } else { "http" };
        S3Settings {
            url: format!("s3://backups/{prefix}"),
            endpoint: Some(format!("{scheme}://{}", self.address)),
            region: None,
            path_style: None,
            ca: None,
            credentials: Credentials::File(self.folder.path().join("keys")),
        }
    }

    /// The bucket below `prefix`, reached through `address`.
    pub fn through(&self, address: SocketAddr, prefix: &str) -> S3 {
        S3::new(&S3Settings { endpoint: Some(format!("http://{address}")), ..self.settings(prefix) }).unwrap()
    }

    /// Where the server keeps the object of that key.
    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join("data/backups").join(key)
    }
}
