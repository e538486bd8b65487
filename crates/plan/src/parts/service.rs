//! A systemd service that runs with what lies on the disk.

use step::{Script, Step};

/// Starts the unit, or restarts it when its process is not what lies on the disk now: each of our units writes the
/// sums of the configuration that it read to `/run/rekindle-read/NAME` before it starts, and the kernel tells of a
/// program that was replaced.
pub fn running(name: &str, seconds: u64) -> Step {
    acted(name, seconds, "restart", "start")
}

/// The same for a unit that can take a new configuration without ending its connections.
pub fn reloaded(name: &str, seconds: u64) -> Step {
    acted(name, seconds, "reload-or-restart", "reload")
}

fn acted(name: &str, seconds: u64, verb: &str, word: &str) -> Step {
    let done_when = Script::new(include_str!("service_runs.sh"));
    // To enable a unit makes systemd read all units again, which takes it a tenth of a second.
    let run = Script::new(
        "state=$(systemctl show -p UnitFileState,NeedDaemonReload,ActiveState \"$UNIT\")\n\
         case $state in\n\
         *UnitFileState=enabled*NeedDaemonReload=no* | *NeedDaemonReload=no*UnitFileState=enabled*) ;;\n\
         *UnitFileState=enabled*) systemctl daemon-reload ;;\n\
         *) systemctl enable -q \"$UNIT\" ;;\n\
         esac\n\
         case $state in *ActiveState=failed*) systemctl reset-failed \"$UNIT\" ;; esac\n\
         systemctl \"$VERB\" \"$UNIT\"",
    );
    Step::run(format!("{word} {name}"), done_when.set("UNIT", name), run.set("UNIT", name).set("VERB", verb))
        .within(seconds)
        .hint(format!("journalctl -u {name} on that node"))
}
