//! A bucket of a real S3 server that lab nodes reach on their own network.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What its clients say.
pub const KEYS: &str = "[default]\naws_access_key_id = tester\naws_secret_access_key = hush-hush\n";

/// What a user without rights of his own says, whom a bucket's policy may let in.
pub const NODES_KEYS: &str = "[default]\naws_access_key_id = nodes\naws_secret_access_key = quiet\n";

const USERS: &str = r#"{"accessAccounts":{"nodes":{"access":"nodes","secret":"quiet","role":"user","userID":0,"groupID":0,"projectID":0}}}"#;

/// A server with the bucket `backups`; its process goes with it, its data when `Bucket` is dropped.
pub struct Bucket {
    program: PathBuf,
    address: SocketAddr,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Bucket {
    /// Builds the server where it is not yet, and starts it.
    pub fn start(address: IpAddr, port: u16) -> Self {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let program = runtime.block_on(artifacts::build_s3_server(&cache, |_| {})).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for sub in ["data/backups", "meta", "iam"] {
            std::fs::create_dir_all(folder.path().join(sub)).unwrap();
        }
        std::fs::write(folder.path().join("iam/users.json"), USERS).unwrap();
        let mut bucket = Self { program, address: SocketAddr::new(address, port), folder, child: None };
        bucket.serve();
        bucket
    }

    /// Starts it again after [`Bucket::end`], with what it held.
    pub fn serve(&mut self) {
        let (data, meta) = (self.folder.path().join("data"), self.folder.path().join("meta"));
        let mut command = Command::new(&self.program);
        command
            .args(["--quiet", "--port", &self.address.to_string(), "--iam-dir"])
            .arg(self.folder.path().join("iam"))
            .args(["posix", "--sidecar"])
            .arg(meta)
            .arg(data);
        command.env("ROOT_ACCESS_KEY_ID", "tester").env("ROOT_SECRET_ACCESS_KEY", "hush-hush");
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        for _ in 0..200 {
            if TcpStream::connect(self.address).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the S3 server does not listen");
    }

    /// Gives the bucket a policy; what the server says of it.
    pub fn set_policy(&self, policy: &str) -> String {
        let url = format!("http://{}/backups?policy=", self.address);
        let output = Command::new("curl")
            .args(["-sS", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "tester:hush-hush", "-X", "PUT"])
            .args(["-H", &format!("x-amz-content-sha256: {}", step::Digest::of(policy.as_bytes()))])
            .args(["-H", "content-type: application/json", "--data-binary", policy, &url])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// It dies.
    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As an inventory names it; `keys` is a file with [`KEYS`].
    pub fn destination(&self, prefix: &str, keys: &str) -> String {
        format!(
            "{{ url = \"s3://backups/{prefix}\", endpoint = \"{}\", credentials = {{ file = \"{keys}\" }} }}",
            self.endpoint()
        )
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.end();
    }
}
