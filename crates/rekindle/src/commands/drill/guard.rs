//! Takes a lab down when this process is no more, whatever ended it: a child that waits for the end of its input, which
//! comes with ours.

use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use lab::Lab;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A line of input: somebody else's lab is left alone. None: it is taken down.
const WAIT: &str = r#"trap '' HUP INT TERM; read -r _ || exec "$0" lab down --name "$1""#;

/// Whoever waits.
pub struct Guard {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Before the lab is made.
    pub fn set(name: &str, environment: &Environment) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::refused(format!("who takes the lab down does not start: {error}"))
        };
        let program = environment.program.as_deref();
        let program = program.ok_or_else(|| Failure::refused("this program's own file is not known"))?;
        let mut command = Command::new("sh");
        command.args(["-c", WAIT]).arg(program).arg(name);
        // What ends the terminal's other processes leaves it alone.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let input = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, input })
    }

    /// There is nothing of ours.
    pub fn stand_down(mut self) {
        if let Some(mut input) = self.input.take() {
            let _ = input.write_all(b"not ours\n");
        }
        let _ = self.child.wait();
    }

    /// Takes it down now.
    ///
    /// # Errors
    /// Something of it is left.
    pub fn end(mut self, environment: &Environment) -> Result<(), Failure> {
        self.input.take();
        let _ = self.child.wait();
        let left = Lab::list(&environment.labs).unwrap_or_default();
        if !left.contains(&self.name) {
            return Ok(());
        }
        Err(Failure::refused(format!("the lab {} is still there", self.name))
            .exit(Exit::Partly)
            .hint(format!("`rekindle lab down --name {}` says why", self.name)))
    }
}

impl Drop for Guard {
    /// A run that failed waits too: nothing of it is left when it says why.
    fn drop(&mut self) {
        self.input.take();
        let _ = self.child.wait();
    }
}
