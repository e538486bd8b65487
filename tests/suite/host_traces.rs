//! What a lab could leave on the host: mounts, links, cgroups, processes.

use std::collections::BTreeSet;
use std::process::Command;

/// The host at one moment.
pub struct Traces(BTreeSet<String>);

impl Traces {
    pub fn now() -> Self {
        let mut found = BTreeSet::new();
        let mut add = |kind: &str, program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            found.extend(text.lines().map(|line| format!("{kind}: {line}")));
        };
        add("mount", "findmnt", &["--raw", "--noheadings", "--output", "TARGET,FSTYPE"]);
        add("link", "sh", &["-c", "ip -o link | cut -d: -f2"]);
        add("cgroup", "find", &["/sys/fs/cgroup", "-type", "d", "-name", "*lab*"]);
        // A dead process holds nothing any more; when it is collected is up to the host's init, some take seconds.
        let running = "ps -eo stat=,args= | grep -v '^Z' | sed 's/^[^ ]* *//'";
        add(
            "process",
            "sh",
            &["-c", &format!("{running} | grep -E 'systemd-nspawn|kube|[e]tcd --' | grep -v grep")],
        );
        Self(found)
    }

    /// Compares with the moment before.
    pub fn assert_nothing_was_left(&self) {
        let now = Self::now();
        let left: Vec<_> = now.0.difference(&self.0).collect();
        assert!(left.is_empty(), "left on the host: {left:#?}");
    }
}
