//! A systemd service that runs with what lies on the disk.

use step::{Script, Step};

/// Starts the unit, or restarts it when its process read something else than what lies on the disk now: each
/// of our units writes the sums of what it read to `/run/rekindle-read/NAME` before it starts.
pub fn running(name: &str, seconds: u64) -> Step {
    acted(name, seconds, "restart", "start")
}

/// The same for a unit that can take a new configuration without ending its connections.
pub fn reloaded(name: &str, seconds: u64) -> Step {
    acted(name, seconds, "reload-or-restart", "reload")
}

fn acted(name: &str, seconds: u64, verb: &str, word: &str) -> Step {
    let done_when = Script::new(
        "systemctl is-active -q \"$UNIT\" || { echo 'not running'; exit 1; }\n\
         systemctl is-enabled -q \"$UNIT\" || { echo 'not enabled'; exit 1; }\n\
         [ \"$(systemctl show -p NeedDaemonReload --value \"$UNIT\")\" = no ] || { echo 'its unit file changed'; exit 1; }\n\
         sha256sum -c --status \"/run/rekindle-read/$UNIT\" || { echo 'it runs with older files'; exit 1; }",
    );
    let run = Script::new(
        "systemctl daemon-reload\n\
         systemctl enable -q \"$UNIT\"\n\
         systemctl reset-failed \"$UNIT\" 2>/dev/null || :\n\
         systemctl \"$VERB\" \"$UNIT\"",
    );
    Step::run(format!("{word} {name}"), done_when.set("UNIT", name), run.set("UNIT", name).set("VERB", verb))
        .within(seconds)
        .hint(format!("journalctl -u {name} on that node"))
}
