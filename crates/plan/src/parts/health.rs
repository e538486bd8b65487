//! IN: everything else. OUT: nothing; it waits until the cluster is what was promised. ORDER: last.

use crate::Context;
use crate::ask::health::dns;
use inventory::{Cni, Node};
use step::{Script, Step};

/// Every one of these Nodes is there.
pub fn registered(nodes: &[&Node]) -> Step {
    let script = Script::new(
        "# shellcheck disable=SC2086\nkubectl --kubeconfig=/etc/kubernetes/admin.conf get node $NAMES >/dev/null 2>&1",
    );
    Step::wait("nodes are registered", script.set("NAMES", &names(nodes))).within(120)
}

/// Nodes Ready, the cluster's DNS answering. Without a CNI of ours, only what needs none is waited for.
pub fn steps(context: &Context, nodes: &[&Node]) -> Vec<Step> {
    if context.cluster.network.cni == Cni::None {
        return Vec::new();
    }
    let ready = Script::new(
        "# shellcheck disable=SC2086\n\
         kubectl --kubeconfig=/etc/kubernetes/admin.conf wait --for=condition=Ready --timeout=60s node $NAMES >/dev/null 2>&1",
    );
    vec![
        Step::wait("nodes are Ready", ready.set("NAMES", &names(nodes))).within(180).hint("rekindle status"),
        Step::wait("DNS answers", dns(context.cluster, "dns_answers"))
            .within(180)
            .hint("rekindle kubectl -- -n kube-system get pods -o wide"),
    ]
}

fn names(nodes: &[&Node]) -> String {
    nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
}
