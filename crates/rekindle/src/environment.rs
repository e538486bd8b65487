//! What the environment says, read once: whose files these are, where they belong, how to reach out.

use crate::failure::{Failure, file_error};
use std::path::{Path, PathBuf};

/// The user who called us, and their folders. Under sudo that is the caller, not root.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Their home.
    pub home: PathBuf,
    /// `~/.config/rekindle`: identities.
    pub config: PathBuf,
    /// `~/.cache/rekindle`: what a killed run goes on with, and scratch.
    pub cache: PathBuf,
    /// In it, programs and images.
    pub artifacts: PathBuf,
    /// `~/.local/state/rekindle`: journals. Removing it costs nothing.
    pub state: PathBuf,
    /// Where labs lie.
    pub labs: PathBuf,
    /// Root file systems that labs share; on the same disk, since nodes link into them.
    pub rootfs: PathBuf,
    /// User and group that new files belong to, where those are not our own.
    pub owner: Option<(u32, u32)>,
    /// The agent's socket.
    pub ssh_agent: Option<PathBuf>,
    /// Keys to S3 for the operator's own run: `AWS_ACCESS_KEY_ID` with its secret, or AWS's shared file.
    pub s3_credentials: Option<archive::Credentials>,
    /// The user's name, for a claim that says who.
    pub user: String,
    /// This machine's name.
    pub host: String,
    /// This program's own file, for nodes of the same platform.
    pub program: Option<PathBuf>,
    /// `NO_COLOR` is set.
    pub no_colour: bool,
    /// Whether we are root.
    pub root: bool,
}

impl Environment {
    /// Reads it.
    pub fn read() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let number = |name: &str| var(name).and_then(|value| value.to_str()?.parse::<u32>().ok());
        let root = effective_user() == Some(0);
        let caller = number("SUDO_UID").zip(number("SUDO_GID")).filter(|(user, _)| root && *user != 0);
        let caller_home = caller.and_then(|(user, _)| home_of(user));
        let foreign = caller_home.is_some();
        let home = caller_home.or_else(|| var("HOME").map(PathBuf::from)).unwrap_or_else(|| "/root".into());
        // sudo keeps the caller's XDG folders only by accident, so they count for nobody but ourselves.
        let folder = |name: &str, below: &str| {
            let set = var(name).map(PathBuf::from).filter(|path| path.is_absolute() && !foreign);
            set.unwrap_or_else(|| home.join(below)).join("rekindle")
        };
        let lab_home = var("REKINDLE_LAB_HOME").map_or_else(|| "/var/lib/rekindle-lab".into(), PathBuf::from);
        let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| var(name));
        Self {
            config: folder("XDG_CONFIG_HOME", ".config"),
            cache: folder("XDG_CACHE_HOME", ".cache"),
            artifacts: folder("XDG_CACHE_HOME", ".cache").join("artifacts"),
            state: folder("XDG_STATE_HOME", ".local/state"),
            labs: lab_home.join("labs"),
            rootfs: lab_home.join("rootfs"),
            owner: caller,
            ssh_agent: var("SSH_AUTH_SOCK").map(PathBuf::from),
            s3_credentials: s3_credentials(&home),
            user: user.map_or_else(|| "unknown".into(), |name| name.to_string_lossy().into_owned()),
            host: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map_or_else(|_| "unknown".into(), |name| name.trim().to_owned()),
            program: std::env::current_exe().ok(),
            no_colour: var("NO_COLOR").is_some(),
            root,
            home,
        }
    }

    /// Who runs this, at which machine.
    pub fn who(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }

    /// `~/…` under the user's home, everything else below `base`.
    pub fn path(&self, base: &Path, path: &Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.home.join(rest),
            Err(_) => base.join(path),
        }
    }

    /// Makes a folder (0700 where it is new) that belongs to the user.
    pub fn make_folder(&self, folder: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make_folder(parent)?;
        }
        std::fs::DirBuilder::new().mode(0o700).create(folder)?;
        self.give(folder)
    }

    /// A folder (0700) that is gone after the run. What killed runs left is removed on the way.
    pub fn scratch(&self, what: &str) -> Result<tempfile::TempDir, Failure> {
        let folder = self.cache.join("scratch");
        let failed = |error| file_error("cannot be made", &folder, &error);
        self.make_folder(&folder).map_err(failed)?;
        for entry in std::fs::read_dir(&folder).map_err(failed)?.flatten() {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| name.split('.').nth(1)?.parse::<u32>().ok());
            if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
                // It is in nobody's way.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let prefix = format!("{what}.{}.", std::process::id());
        tempfile::Builder::new().prefix(&prefix).tempdir_in(&folder).map_err(failed)
    }

    /// Writes a file of the user's at once, with its final mode.
    pub fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
        self.write_beside(path, bytes, mode)?.persist(path).map(drop).map_err(|error| error.error)
    }

    /// The same, unless a file is there; tells whether it was written.
    pub fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<bool> {
        match self.write_beside(path, bytes, mode)?.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.error),
        }
    }

    fn write_beside(&self, path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<tempfile::NamedTempFile> {
        use std::io::Write;
        use std::os::unix::fs::PermissionsExt;
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.make_folder(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        self.give(file.path())?;
        Ok(file)
    }

    /// Gives a file to the user, where we are somebody else.
    pub fn give(&self, path: &Path) -> std::io::Result<()> {
        match self.owner {
            Some((user, group)) => std::os::unix::fs::lchown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

/// Variables first, then the file that they or AWS name.
fn s3_credentials(home: &Path) -> Option<archive::Credentials> {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let secret = |name: &str| var(name).map(archive::Secret::new);
    if let Some((id, secret_key)) = var("AWS_ACCESS_KEY_ID").zip(secret("AWS_SECRET_ACCESS_KEY")) {
        let token = secret("AWS_SESSION_TOKEN");
        return Some(archive::Credentials::Keys { id, secret: secret_key, token });
    }
    let file =
        var("AWS_SHARED_CREDENTIALS_FILE").map_or_else(|| home.join(".aws/credentials"), PathBuf::from);
    file.exists().then_some(archive::Credentials::File(file))
}

fn effective_user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn home_of(user: u32) -> Option<PathBuf> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(user)).then(|| fields.get(5).map(PathBuf::from)).flatten()
    })
}
