//! IN: certificates and programs. OUT: this member's data directory. ORDER: before etcd's manifest.
//!
//! Where the cluster is empty, every member is laid by `etcdutl snapshot restore` with the whole list; where
//! it stands, a member without a disk is removed and added again as a learner.

use crate::kubeadm::host_port;
use crate::parts::host::EPOCH;
use crate::{Context, Growth, Rebuild};
use inventory::Node;
use step::{File, Script, Step};

/// The step that shows a quorum: once it ended well, the cluster is born.
pub const QUORUM: &str = "etcd has a quorum";

/// Where the archived snapshot lies while a member is laid from it.
const SNAPSHOT: &str = "/var/lib/rekindle/etcd-snapshot.db";

fn peer_url(node: &Node) -> String {
    format!("https://{}", host_port(&node.address.to_string(), 2380))
}

fn client_url(node: &Node) -> String {
    format!("https://{}", host_port(&node.address.to_string(), 2379))
}

/// The data directory, by the way that the cluster's standing asks for.
pub fn data(context: &Context, node: &Node) -> Vec<Step> {
    let there = Script::new(
        "for log in /var/lib/etcd/member/wal/*.wal; do [ ! -e \"$log\" ] || exit 0; done\necho 'no log of a member'\nexit 1",
    );
    let data = match context.growth {
        Growth::Laid => Step::run("lay etcd member", there.clone(), lay(context, node)).within(600),
        Growth::Added => Step::run("add etcd member as a learner", there.clone(), rejoin(context, node))
            .within(300)
            .hint("etcd must have a quorum; `rekindle status` shows the members"),
    };
    let snapshot = context.rebuild.map(|rebuild| snapshot(rebuild, &there));
    snapshot.into_iter().chain([data, without_scratch()]).collect()
}

/// The archived snapshot, for as long as no member was laid from it. One of the epoch before, which is set aside first,
/// says nothing: what is sent is decided before that.
fn snapshot(rebuild: &Rebuild, there: &Script) -> Step {
    let (sha256, size) = rebuild.snapshot;
    let wanted = Script::new(format!(
        "{{ [ \"$(cat {EPOCH} 2>/dev/null)\" = \"$EPOCH\" ] && ({}) >/dev/null; }} || echo \"$SHA256  {SNAPSHOT}\" | sha256sum -c --status",
        there.text()
    ));
    let wanted = wanted.set("SHA256", &sha256.hex()).set("EPOCH", &rebuild.epoch.to_string());
    let file = File::program(SNAPSHOT, sha256, size).mode(0o600);
    Step::file(file.holds(wanted)).within(600)
}

/// A run that was killed after the member had its log did not remove what it worked with.
fn without_scratch() -> Step {
    const SCRATCH: &str = "/var/lib/rekindle/etcd-laying /var/lib/.etcd.laying /var/lib/rekindle/etcd-joining \
                           /var/lib/rekindle/etcd.yaml.rejoining /var/lib/rekindle/etcd-snapshot.db";
    Step::run(
        "remove what an interrupted run left of etcd",
        Script::new(format!(
            "for left in {SCRATCH}; do [ ! -e \"$left\" ] || {{ echo \"$left\"; exit 1; }}; done"
        )),
        Script::new(format!("rm -rf {SCRATCH}")),
    )
}

fn lay(context: &Context, node: &Node) -> Script {
    let members: Vec<String> =
        context.cluster.etcd_nodes().map(|node| format!("{}={}", node.name, peer_url(node))).collect();
    let (snapshot, bump) =
        context.rebuild.map_or((String::new(), 0), |rebuild| (SNAPSHOT.into(), rebuild.bump));
    Script::new(include_str!("etcd_lay.sh"))
        .set("SNAPSHOT", &snapshot)
        .set("BUMP", &bump.to_string())
        .set("BEFORE", &before(context, node).unwrap_or_default())
        .set("NAME", &node.name)
        .set("LIST", &members.join(","))
        .set("TOKEN", context.bundle.etcd_token())
        .set("PEER", &peer_url(node))
}

/// Where a laid member with data asks whether the one before it has its port open: members that start at once wait
/// for each other's answer in etcd's initial corruption check, 7 s a peer.
fn before(context: &Context, node: &Node) -> Option<String> {
    context.rebuild?;
    let answered = context.cluster.etcd_nodes().filter(|node| context.answered(node));
    let last = answered.take_while(|other| other.name != node.name).last();
    last.map(|other| format!("{}/members", peer_url(other)))
}

fn rejoin(context: &Context, node: &Node) -> Script {
    Script::new(include_str!("etcd_rejoin.sh"))
        .set("NAME", &node.name)
        .set("ADDRESS", &node.address.to_string())
        .set("PEER", &peer_url(node))
        .set("OTHERS", &others(context, node))
}

/// Client URLs of the members beside `node` that stand.
fn others(context: &Context, node: &Node) -> String {
    let standing = context.cluster.etcd_nodes().filter(|other| other.name != node.name);
    let standing = standing.filter(|other| {
        let host = step::HostId::new(&other.name);
        context.answers.get(&host).is_some_and(|answer| answer.today.etcd_data)
    });
    standing.map(client_url).collect::<Vec<_>>().join(",")
}

/// A shell function that runs etcdctl against this node's own member.
pub const CTL: &str = "ctl() {\n\
    \tetcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt --dial-timeout=3s --command-timeout=5s \\\n\
    \t\t--cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key \"$@\"\n\
    }\n";

/// The member serves; with a quorum, it also votes.
pub fn ready(context: &Context, node: &Node) -> Vec<Step> {
    let readyz = Script::new("curl -sf -m 3 -o /dev/null http://127.0.0.1:2381/readyz");
    let ready = Step::wait(QUORUM, readyz).within(180).hint(
        "etcd needs a majority of its members: look for a node that did not come up, then run the same command again",
    );
    if context.growth == Growth::Laid {
        return vec![ready];
    }
    let voter = Script::new(format!(
        "{CTL}ctl member list | grep -F \", $PEER, \" | grep -q ', false$' || {{ echo 'a learner still'; exit 1; }}"
    ));
    // A learner answers no question about members, so the others are asked; the leader refuses until the
    // learner has nearly all of its log.
    let promote = Script::new(
        "ctl() {\n\
         \tetcdctl --endpoints=\"$OTHERS\" --cacert=/etc/kubernetes/pki/etcd/ca.crt --dial-timeout=3s --command-timeout=5s \\\n\
         \t\t--cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key \"$@\"\n\
         }\n\
         id=$(ctl member list | grep -F \", $PEER, \" | cut -d, -f1)\n\
         tries=0\n\
         until said=$(ctl member promote \"$id\" 2>&1); do\n\
         tries=$((tries + 1)); [ $tries -lt 60 ] || { echo \"$said\"; exit 1; }; sleep 0.5\n\
         done",
    );
    let set = |script: Script| script.set("PEER", &peer_url(node)).set("OTHERS", &others(context, node));
    let serves = Script::new("curl -sf -m 3 -o /dev/null http://127.0.0.1:2381/livez");
    vec![
        Step::wait("etcd member serves", serves).within(180),
        Step::run("promote etcd member", set(voter), set(promote)).within(60),
        ready,
    ]
}
