//! IN: a control plane with its programs. OUT: a timer that takes, proves and publishes snapshots of etcd.
//! ORDER: after the control plane's components; nothing waits for it.
//!
//! Units of their own, so that what can read etcd's keys reaches no other network, and what reaches the archive sees
//! ciphertext only: look, capture, upload; and fence, which stops this control plane where what look brought says so.

use crate::kubeadm::{self, Cgroups};
use crate::programs::ETCD_PROGRAMS;
use crate::{Context, TemplateError, drill, secret, template};
use inventory::{Cluster, Node};
use pki::Bundle;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use step::{Digest, File, HostId, Lane, Needs, Order, Plan, Script, Stage, Step};

/// What the nodes' timers are made from; without it there are none.
#[derive(Clone, Debug)]
pub struct Snapshots {
    /// This program, for the nodes; without one they keep what they have.
    pub program: Option<(Digest, u64)>,
    /// How often.
    pub every: Duration,
    /// What a node's own run reads, by node: `settings.json`.
    pub settings: BTreeMap<String, String>,
    /// Credentials and CAs of destinations, by file name.
    pub files: BTreeMap<String, pki::Secret>,
    /// Mounted folders that are written.
    pub folders: Vec<String>,
}

/// Where the units' credentials lie.
const FOLDER: &str = "/etc/rekindle/archive";

/// How a unit finds etcdctl.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Etcdctl {
    /// It was laid.
    Laid,
    /// It lies in the image of the etcd that runs, in a cluster that was adopted.
    InTheImage,
}

/// The timer of one control plane, and all that it needs.
pub fn steps(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    match context.snapshots {
        None => Ok(vec![none()]),
        Some(snapshots) => timer_of(context.cluster, context.bundle, snapshots, node, Etcdctl::Laid),
    }
}

/// The timers alone, on these control planes of a cluster that was adopted: nothing else of it is touched.
///
/// # Errors
/// A template that can't be rendered.
pub fn schedule(
    cluster: &Cluster,
    bundle: &Bundle,
    snapshots: &Snapshots,
    nodes: &[&Node],
    cgroups: Cgroups,
) -> Result<Plan, TemplateError> {
    let lane = |node: &&Node| {
        let mut steps = timer_of(cluster, bundle, snapshots, node, Etcdctl::InTheImage)?;
        // What the daily proof boots by.
        let config = kubeadm::config(cluster, node, cgroups);
        steps.insert(0, Step::file(File::text(drill::node::KUBEADM, config).mode(0o600)));
        Ok(Lane { on: HostId::new(&node.name), steps })
    };
    let lanes = nodes.iter().map(lane).collect::<Result<_, _>>()?;
    let needs = Needs::default();
    Ok(Plan { stages: vec![Stage { name: "timers".into(), order: Order::Together, needs, lanes }] })
}

fn timer_of(
    cluster: &Cluster,
    bundle: &Bundle,
    snapshots: &Snapshots,
    node: &Node,
    etcdctl: Etcdctl,
) -> Result<Vec<Step>, TemplateError> {
    let (Some(own), Some(settings)) =
        (bundle.delegated().get(&node.name), snapshots.settings.get(&node.name))
    else {
        return Ok(Vec::new());
    };
    let Some((sha256, size)) = snapshots.program else { return Ok(Vec::new()) };
    let mut steps = vec![Step::file(File::program("/usr/local/bin/rekindle", sha256, size))];
    let mut files = vec!["settings.json".to_owned(), "signing.key".to_owned()];
    files.extend(snapshots.files.keys().cloned());
    steps.push(Step::file(File::text(format!("{FOLDER}/settings.json"), settings.clone()).mode(0o600)));
    steps.push(Step::file(File::secret(format!("{FOLDER}/signing.key"), secret(&own.key))));
    for (name, text) in &snapshots.files {
        steps.push(Step::file(File::secret(format!("{FOLDER}/{name}"), secret(text))));
    }
    let program = match etcdctl {
        Etcdctl::Laid => "/usr/local/bin/etcdctl".to_owned(),
        Etcdctl::InTheImage => {
            let path = format!("{FOLDER}/programs.sh");
            steps.push(Step::file(File::text(&path, ETCD_PROGRAMS)));
            format!("/bin/sh -c '. {path} && etcd_programs && exec etcdctl \"$$@\"' etcdctl")
        }
    };
    let members: Vec<String> = cluster.etcd_nodes().map(|node| node.address.to_string()).collect();
    let seconds = snapshots.every.as_secs();
    // Members that begin at the same moment wait for one lock.
    let values = json!({"files": files, "members": members, "etcdctl": program, "seconds": seconds, "spread": (seconds / 20).clamp(1, 10), "folders": snapshots.folders.iter().map(|folder| quoted(folder)).collect::<Vec<_>>()});
    for unit in UNITS {
        let text = template(unit, values.clone())?;
        steps.push(Step::file(File::text(format!("/etc/systemd/system/{unit}"), text)));
    }
    steps.push(timer());
    Ok(steps)
}

/// A path in a list of a unit; one that is not there is no error of the unit.
fn quoted(path: &str) -> String {
    format!("\"-{}\"", path.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

const UNITS: [&str; 5] = [
    "rekindle-look.service",
    "rekindle-fence.service",
    "rekindle-capture.service",
    "rekindle-upload.service",
    "rekindle-snapshot.timer",
];

/// Without a place that nodes can write, they have no timer, no program for it and no credentials.
fn none() -> Step {
    let units = UNITS.map(|unit| format!("/etc/systemd/system/{unit}")).join(" ");
    let left = format!("{FOLDER} /usr/local/bin/rekindle {units}");
    let probe = format!("for left in {left}; do [ ! -e \"$left\" ] || {{ echo \"$left\"; exit 1; }}; done");
    let run = format!(
        "[ ! -e /etc/systemd/system/rekindle-snapshot.timer ] || systemctl disable -q --now rekindle-snapshot.timer\n\
         rm -rf {left}\nsystemctl daemon-reload"
    );
    Step::run("no snapshots by the clock", Script::new(probe), Script::new(run)).within(30)
}

/// The timer runs, by the files that lie there.
fn timer() -> Step {
    let probe = "for unit in $UNITS; do\n\
         \tstate=$(systemctl show -p NeedDaemonReload \"$unit\")\n\
         \t[ \"$state\" = NeedDaemonReload=no ] || { echo \"$unit: its file changed\"; exit 1; }\n\
         done\n\
         systemctl is-enabled rekindle-snapshot.timer\n\
         systemctl is-active rekindle-snapshot.timer";
    // A timer that runs keeps its old times until it is started again.
    let run = "systemctl daemon-reload\nsystemctl enable -q rekindle-snapshot.timer\nsystemctl restart rekindle-snapshot.timer";
    Step::run(
        "start rekindle-snapshot.timer",
        Script::new(probe).set("UNITS", &UNITS.join(" ")),
        Script::new(run),
    )
    .within(30)
    .hint("journalctl -u rekindle-look -u rekindle-fence -u rekindle-capture -u rekindle-upload on that node")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upload_unit_writes_mounted_folders_and_nothing_else() {
        let folders = ["/mnt/backup/prod", "/mnt/100% \"ours\""].map(quoted);
        let values = json!({"files": ["settings.json"], "folders": folders});
        let unit = template("rekindle-upload.service", values).unwrap();
        let written: Vec<&str> = unit.lines().filter(|line| line.starts_with("ReadWritePaths=")).collect();
        let expected = [r#"ReadWritePaths="-/mnt/backup/prod""#, r#"ReadWritePaths="-/mnt/100%% \"ours\"""#];
        assert_eq!(written, expected, "{unit}");
        let none = template("rekindle-upload.service", json!({"files": [], "folders": []})).unwrap();
        assert!(!none.contains("ReadWritePaths") && none.ends_with("TimeoutStopSec=5\n"), "{none}");
    }
}
