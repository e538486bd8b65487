//! Lab nodes that are prepared and hold their images, and are made empty between rounds.

use crate::program::Program;
use lab::Lab;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The nodes, with the program that made them.
pub struct Machines {
    pub program: Program,
    pub lab: Lab,
    pub inventory: PathBuf,
}

impl Machines {
    /// Three control planes and a worker; an earlier run's go first.
    pub fn make(name: &str) -> Self {
        let program = Program::build();
        program.run(&["lab", "down", "--name", name]).expect(0);
        program.run(&["lab", "nodes", "--name", name, "--source", "modules", "--yes"]).expect(0);
        let lab = Lab::open(Path::new("/var/lib/rekindle-lab/labs"), name).expect("the lab");
        let inventory = lab.dir().join("lab.toml");
        Self { program, lab, inventory }
    }

    pub fn ssh(&self, node: &str, script: &str) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.lab.ssh_args(node).expect("ssh arguments")).arg(script).stdin(Stdio::null());
        command
    }

    /// Prepared nodes without a cluster.
    pub fn reset(&self, nodes: &[&str]) {
        let reset = |node: &&str| {
            self.ssh(node, include_str!("reset.sh")).stdout(Stdio::null()).spawn().expect("ssh")
        };
        let children: Vec<_> = nodes.iter().map(reset).collect();
        for mut child in children {
            assert!(child.wait().expect("ssh").success(), "a node was not reset");
        }
        // Writes of the round before are not this round's cost.
        std::thread::sleep(std::time::Duration::from_secs(3));
    }

    pub fn forget_archive(&self) {
        let _ = std::fs::remove_dir_all(self.lab.dir().join("archive"));
    }
}

/// Of the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
