//! The real binary, run as a person runs it, with a home of its own.

use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Held by each test that has a lab: two at once starve each other on a small machine.
static LAB: Mutex<()> = Mutex::new(());

/// The binary and a home that is empty at first.
pub struct Program {
    path: PathBuf,
    home: TempDir,
}

/// One call of it.
#[must_use = "nothing was run yet: say which exit code is expected"]
pub struct Run {
    command: Command,
}

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a test that has a lab, one at a time. Where there can be none, one line says so.
pub fn with_labs(test: impl FnOnce(Program)) {
    if !Program::can_make_labs() {
        println!("skipped: a lab needs Linux and root");
        return;
    }
    let program = Program::build();
    let _alone = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    test(program);
}

impl Program {
    /// Labs need Linux and root.
    pub fn can_make_labs() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        status.lines().any(|line| line.starts_with("Uid:\t0\t0"))
    }

    /// Builds it in the profile of the tests, so that nothing is compiled twice.
    pub fn build() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--package", "rekindle", "--message-format", "json"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8(output.stdout).unwrap();
        let path = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .find(|path| path.file_name() == Some(OsStr::new("rekindle")))
            .expect("cargo names the executable");
        Self { path, home: tempfile::tempdir().unwrap() }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A call with these arguments. Its cache is the machine's, since it takes minutes to fill.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(&self.path);
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
            PathBuf::from,
        );
        command
            .args(arguments)
            .env("HOME", self.home())
            .env("XDG_CACHE_HOME", cache)
            .env_remove("SSH_AUTH_SOCK");
        command.stdin(Stdio::null());
        Run { command }
    }
}

impl Run {
    /// Run by another program, which gets its path and its arguments as its last ones.
    pub fn by(mut self, words: &[&str]) -> Self {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null());
        self.command = command;
        self
    }

    /// Run by a user without rights; where we are such a user, by us.
    pub fn without_rights(mut self, program: &Program) -> Self {
        if Program::can_make_labs() {
            // Where everybody finds it: the target folder may be root's.
            let copy = program.home().join("rekindle");
            std::fs::copy(&program.path, &copy).unwrap();
            std::fs::set_permissions(program.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
            let mut command = Command::new(copy);
            command.args(self.command.get_args()).env("HOME", program.home()).stdin(Stdio::null());
            command.uid(65534).gid(65534);
            self.command = command;
        }
        self
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn args(self, arguments: &[&str]) -> Self {
        arguments.iter().fold(self, Self::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Run in this folder.
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Another home, and nothing of the machine's cache.
    pub fn home(mut self, home: &Path) -> Self {
        self.command.env("HOME", home).env("XDG_CACHE_HOME", home.join("cache"));
        self
    }

    /// The call itself, for what is not waited for, watched or talked to.
    pub fn command(self) -> Command {
        self.command
    }

    pub fn code(mut self) -> i32 {
        self.command.output().unwrap().status.code().unwrap_or(-1)
    }

    /// Runs it to its end, whatever that is.
    pub fn ended(mut self) -> Ended {
        let output = self.command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Ended { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Runs it and expects this exit code.
    pub fn expect(self, code: i32) -> Ended {
        let shown = format!("{:?}", self.command);
        let ended = self.ended();
        assert_eq!(ended.code, code, "{shown}\n{}\n{}", ended.stdout, ended.stderr);
        ended
    }

    /// Runs it with `--output json` and kills it (SIGKILL) at the first event of which `kill` says so. `None` where
    /// it was killed.
    pub fn kill_when(mut self, mut kill: impl FnMut(&Value) -> bool) -> Option<Ended> {
        let mut errors = tempfile::tempfile().unwrap();
        self.command.stderr(errors.try_clone().unwrap()).stdout(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let mut stdout = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if serde_json::from_str(&line).is_ok_and(|event| kill(&event)) {
                end(child);
                return None;
            }
            stdout += &(line + "\n");
        }
        let code = child.wait().unwrap().code().unwrap_or(-1);
        let mut stderr = String::new();
        errors.rewind().unwrap();
        errors.read_to_string(&mut stderr).unwrap();
        Some(Ended { code, stdout, stderr })
    }

    /// Runs it and kills it (SIGKILL) after so long; tells whether it lived that long.
    pub fn kill_after(mut self, after: std::time::Duration) -> bool {
        let mut child = self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        let lives = child.try_wait().unwrap().is_none();
        end(child);
        lives
    }

    /// The same with all that it started on this machine.
    pub fn kill_all_after(mut self, after: std::time::Duration) -> bool {
        let silent = self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = silent.process_group(0).spawn().unwrap();
        std::thread::sleep(after);
        let lives = child.try_wait().unwrap().is_none();
        if lives {
            let group = format!("-{}", child.id());
            assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
        }
        child.wait().unwrap();
        lives
    }

    /// Runs it and kills it (SIGKILL) as soon as `holds`; tells whether it lived that long.
    pub fn kill_once(mut self, holds: impl Fn() -> bool) -> bool {
        let mut child = self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if holds() {
                end(child);
                return true;
            }
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        false
    }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

impl Ended {
    /// With `--output json`: every event.
    pub fn events(&self) -> impl Iterator<Item = Value> + '_ {
        self.stdout.lines().filter_map(|line| serde_json::from_str(line).ok())
    }

    /// With `--output json`: the result.
    pub fn result(&self) -> Value {
        self.events()
            .find(|event| event["event"] == "result")
            .map(|event| event["result"].clone())
            .expect("a result")
    }
}
