//! A rebuild is `up` with what comes back: what is left of the cluster before is set aside, members are laid from the
//! archived snapshot, and what the snapshot says of machines that are no more is removed before anything acts on it.
//!
//! The order is the point. Leases go before the first apiserver, in one transaction of etcd, so that whoever comes
//! second finds it done. Nodes that are gone, and their pods, go before the controllers; webhooks that would refuse
//! every call, and APIs that nobody serves, are set aside before that, with the way back in an annotation.

mod aside;
mod cni;
mod objects;
mod taken;

use crate::parts::etcd::CTL;
use crate::parts::host::EPOCH;
use crate::{Context, fence};
use inventory::Node;
use step::{Digest, HostId, Lane, Needs, Order, Plan, Script, Stage, Step};

pub use aside::Aside;
use aside::aside;
pub use objects::{Objects, Volume};
pub use taken::{MadeAnew, follow, kubelet};

/// The step after which controllers act on what came back: from then on the cluster lives.
pub const CLEARED: &str = "clear what is no more";

/// What comes back, and what does not.
#[derive(Clone, Debug)]
pub struct Rebuild {
    /// By whom the epoch was claimed, in words.
    pub claim: String,
    /// The claimed epoch.
    pub epoch: u64,
    /// etcd's snapshot: digest and size in bytes.
    pub snapshot: (Digest, u64),
    /// How far its revisions are moved up.
    pub bump: u64,
    /// Nodes of the snapshot that are proven to be no more: their objects go, and the pods that were bound to them.
    pub gone: Vec<String>,
    /// What the pod network keeps of them: kind and name.
    pub kept: Vec<(String, String)>,
    /// Nodes whose kubelet lives: it has reported before anything is decided on.
    pub living: Vec<String>,
    /// Workers whose kubelet lives and that the snapshot does not know: they register again.
    pub unknown: Vec<String>,
    /// What would stand in the way.
    pub aside: Vec<Aside>,
    /// Stop when the apiservers are there.
    pub hold: bool,
    /// The cluster of the epoch before lives: nothing is laid before each of its control planes was stopped.
    pub lives: bool,
    /// Keys that were taken.
    pub made_anew: MadeAnew,
}

/// Stops what is left of the cluster before, on each node that was not made in this epoch, and moves it aside.
pub fn set_aside(context: &Context, rebuild: &Rebuild, nodes: &[&Node]) -> Stage {
    let is_left = |node: &&&Node| {
        context.answer(node).is_some_and(|answer| {
            let today = &answer.today;
            let runs = today.traces.iter().any(|trace| trace.contains("/manifests/"));
            today.epoch != Some(rebuild.epoch) && (runs || today.etcd_data || today.fenced.is_some())
        })
    };
    let lane = |node: &&Node| Lane { on: HostId::new(&node.name), steps: vec![stop(rebuild)] };
    let lanes = nodes.iter().filter(is_left).map(lane).collect();
    Stage { name: "set aside".into(), order: Order::Together, needs: Needs::default(), lanes }
}

/// Without whom nothing is laid: two of three that were not stopped would still be a cluster.
pub fn stopped(context: &Context, control_planes: &[&Node]) -> Needs {
    let of: Vec<HostId> = match context.rebuild {
        Some(rebuild) if rebuild.lives => control_planes.iter().map(|node| HostId::new(&node.name)).collect(),
        _ => Vec::new(),
    };
    Needs { at_least: of.len(), of }
}

/// The same for control planes of before that are in no inventory any more.
pub fn fence_before(rebuild: &Rebuild, hosts: &[HostId]) -> Plan {
    let lanes = hosts.iter().map(|host| Lane { on: host.clone(), steps: vec![stop(rebuild)] }).collect();
    let (order, needs) = (Order::Together, Needs::default());
    Plan { stages: vec![Stage { name: "fence the old cluster".into(), order, needs, lanes }] }
}

/// One node's part of it.
pub fn stop(rebuild: &Rebuild) -> Step {
    let done_when = format!(
        "[ \"$(cat {EPOCH} 2>/dev/null)\" != \"$EPOCH\" ] || exit 0\n\
         for left in /etc/kubernetes/manifests/* /var/lib/etcd/member /var/lib/rekindle/fenced; do\n\
         \t[ ! -e \"$left\" ] || {{ echo \"$left\"; exit 1; }}\n\
         done"
    );
    let run = format!("{}{}", fence::stop(&rebuild.claim).text(), include_str!("rebuild/set_aside.sh"));
    let set = |text: String| Script::new(text).set("EPOCH", &rebuild.epoch.to_string());
    Step::run("stop the control plane of the epoch before, and move it aside", set(done_when), set(run))
        .within(120)
}

/// Removes who was leader, which apiservers there were, and when kubelets reported last.
pub fn leases(rebuild: &Rebuild) -> Step {
    let taken = &rebuild.made_anew;
    let (done_when, run) = once(rebuild, "leases", "they are there", include_str!("rebuild/leases.sh"));
    let run = run.set("ROOTS", taken.roots()).set("TAKEN", &taken.deletions());
    Step::run("remove leases of the epoch before", done_when, run).within(120)
}

/// Removes what the snapshot says of machines that are no more, and waits for those that are there. The `first` control
/// plane does it; where it does not, any other.
pub fn clear(rebuild: &Rebuild, first: bool) -> Step {
    let aside: String = rebuild.aside.iter().map(Aside::line).collect();
    let (done_when, run) = once(rebuild, "cleared", "not yet", include_str!("rebuild/clear.sh"));
    let run = run
        .set("PATIENCE", if first { "0" } else { "20" })
        .set("GONE", &rebuild.gone.join(" "))
        .set("KEPT", &rebuild.kept.iter().map(|(kind, name)| format!("{kind}\t{name}\n")).collect::<String>())
        .set("LIVING", &rebuild.living.join(" "))
        .set("ASIDE", &aside)
        .set("ROOTS", rebuild.made_anew.roots());
    Step::run(CLEARED, done_when, run).within(300)
}

/// The probe and the action of what is done once in an epoch: the action leaves its MARK in etcd.
fn once(rebuild: &Rebuild, what: &str, not_yet: &str, run: &str) -> (Script, Script) {
    let mark = format!("rekindle/rebuild/{}/{what}", rebuild.epoch);
    let done_when =
        format!("[ -n \"$(ctl get --print-value-only \"$MARK\")\" ] || {{ echo '{not_yet}'; exit 1; }}");
    let set = |text: &str| Script::new(format!("{CTL}{text}")).set("MARK", &mark);
    (set(&done_when), set(run))
}

/// A kubelet registers its Node once, when it starts (kubernetes#71398).
pub fn register(rebuild: &Rebuild, node: &Node) -> Option<Step> {
    let mark = format!("/var/lib/rekindle/registered-{}", rebuild.epoch);
    let step = || kubelet_anew("register this node again", "the snapshot does not know this node", &mark);
    rebuild.unknown.contains(&node.name).then(step)
}

/// Restarts the kubelet where the file `mark` does not say that it was.
fn kubelet_anew(title: &str, not_yet: &str, mark: &str) -> Step {
    let set = |text: &str| Script::new(text).set("MARK", mark);
    let done_when = set(&format!("[ -e \"$MARK\" ] || {{ echo '{not_yet}'; exit 1; }}"));
    let run = set("systemctl restart kubelet\nmkdir -p \"${MARK%/*}\"\n: >\"$MARK\"");
    Step::run(title, done_when, run)
}

/// Every kubelet has reported since the rebuild: until then a Node is as it was when the snapshot was taken.
pub fn reported(nodes: &[&Node]) -> Step {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let script = Script::new(
        "# shellcheck disable=SC2086\n\
         kubectl --kubeconfig=/etc/kubernetes/admin.conf get lease -n kube-node-lease $NAMES >/dev/null 2>&1",
    );
    Step::wait("kubelets have reported", script.set("NAMES", &names.join(" "))).within(180)
}

/// What a rebuild set aside comes back when its backend is there.
pub fn put_back() -> Step {
    let body = include_str!("rebuild/put_back.sh");
    let done_when = Script::new(format!(
        "{body}all=$(ready)\n[ -z \"$all\" ] || {{ echo \"$all\" | cut -f1,2; exit 1; }}"
    ));
    let run = Script::new(format!("{body}put_back"));
    Step::run("put back what a rebuild set aside", done_when, run).within(60)
}
