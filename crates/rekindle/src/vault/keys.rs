//! Who opens the archive: the files that the command line names, else what the inventory's command prints, else this
//! user's own identity.

use super::failure;
use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use archive::{Identities, Secret, Unprinted};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// A command of a password store waits for a finger on a key, not for longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the identities come from. They are read when something is to be opened, and once.
pub struct Keys {
    files: Vec<PathBuf>,
    command: Vec<String>,
    /// Where the command runs.
    folder: PathBuf,
    /// Where an identity is made when nobody has one.
    pub own: PathBuf,
    read: OnceLock<Identities>,
}

impl Keys {
    /// Those of the command line; without any, those of `command`, which runs in `folder`.
    pub fn new(files: &[PathBuf], command: &[String], folder: &Path, environment: &Environment) -> Self {
        let own = environment.config.join("identity.txt");
        let mut files = files.to_vec();
        let command = if files.is_empty() { command.to_vec() } else { Vec::new() };
        if files.is_empty() && command.is_empty() && own.exists() {
            files.push(own.clone());
        }
        Self { files, command, folder: folder.to_path_buf(), own, read: OnceLock::new() }
    }

    /// Whether a command gives the identity.
    pub fn are_a_commands(&self) -> bool {
        !self.command.is_empty()
    }

    /// All of them.
    pub fn identities(&self) -> Result<&Identities, Failure> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let read = self.obtain()?;
        Ok(self.read.get_or_init(|| read))
    }

    fn obtain(&self) -> Result<Identities, Failure> {
        if let Some(program) = self.command.first() {
            let what = format!("identity-command `{program}`");
            let printed = run(&self.command, &self.folder).map_err(|why| {
                Failure::refused(format!("{what}: {why}")).hint("--identity FILE goes before it")
            })?;
            return Identities::parse(&printed, &what).map_err(|error| failure(&error));
        }
        let mut all: Option<Identities> = None;
        for path in &self.files {
            let text = std::fs::read(path).map_err(|error| file_error("cannot be read", path, &error))?;
            let read = Identities::parse(&Secret::new(text), &path.display().to_string())
                .map_err(|error| failure(&error))?;
            all = Some(match all {
                Some(before) => before.and(read),
                None => read,
            });
        }
        all.ok_or_else(|| {
            Failure::refused("the archive is there, and no identity to open it with")
                .hint(format!("--identity FILE, or put it at {}", self.own.display()))
        })
    }
}

/// What the command prints. In words why not, without a word of its output: exit status and the first line of its
/// standard error.
fn run(command: &[String], folder: &Path) -> Result<Secret, String> {
    // A thread of its own: whoever asks may be inside of a runtime.
    let (command, folder) = (command.to_vec(), folder.to_path_buf());
    let running = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(printed(&command, &folder, PATIENCE))
    });
    running.join().map_err(|_| "it was given up".to_owned())?
}

async fn printed(command: &[String], folder: &Path, patience: Duration) -> Result<Secret, String> {
    let [program, arguments @ ..] = command else { return Err("it has no program".into()) };
    let path = if program.contains('/') { folder.join(program) } else { program.into() };
    let mut command = tokio::process::Command::new(path);
    let printed = archive::printed(command.args(arguments).current_dir(folder), patience).await;
    printed.map_err(|why| match why {
        Unprinted::Failed { status, said } => {
            let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let line: String = line.chars().filter(|char| !char.is_control()).take(200).collect();
            format!("{status}: {line}").trim_end_matches(": ").to_owned()
        }
        why => why.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, patience: Duration) -> Result<Secret, String> {
        let command = ["sh", "-c", script].map(str::to_owned);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(printed(&command, Path::new("/"), patience))
    }

    #[test]
    fn a_command_that_fails_says_why_and_nothing_of_its_output() {
        assert_eq!(sh("pwd", PATIENCE).unwrap().expose(), b"/\n");
        for (script, said) in [
            (
                "echo AGE-SECRET-KEY-1X; echo >&2; echo vault is locked >&2; echo more >&2; exit 3",
                "exit status: 3: vault is locked",
            ),
            ("echo AGE-SECRET-KEY-1X; exit 4", "exit status: 4"),
            ("printf '\\033[2Jgone\\n' >&2; exit 1", "exit status: 1: [2Jgone"),
            ("echo AGE-SECRET-KEY-1X; kill -9 $$", "signal: 9 (SIGKILL)"),
        ] {
            assert_eq!(sh(script, PATIENCE).unwrap_err(), said, "{script}");
        }
        let said = sh("echo AGE-SECRET-KEY-1X; exec sleep 60", Duration::from_secs(1)).unwrap_err();
        assert_eq!(said, "it has not ended after 1 s");
        let missing = run(&["/no/such/program".into()], Path::new("/")).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
    }
}
