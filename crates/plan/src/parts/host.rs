//! IN: a Debian or Ubuntu machine. OUT: the mark of the cluster, packages, kernel modules, sysctls, no swap,
//! the endpoint's name in /etc/hosts. ORDER: first of all; the mark first of these.

use crate::{Context, TemplateError, template};
use inventory::{Node, Role};
use serde_json::json;
use step::{File, Script, Step};

/// Where a node says whose it is.
pub const MARK: &str = "/var/lib/rekindle/cluster";

/// Where it says in which epoch it was made.
pub const EPOCH: &str = "/var/lib/rekindle/epoch";

/// Debian's and Ubuntu's packages, each by a program of it that must be found.
const PACKAGES: [(&str, &str); 9] = [
    ("conntrack", "conntrack"),
    ("curl", "curl"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("socat", "socat"),
    ("mount", "mount"),
];

/// The host's steps.
pub fn steps(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    let mut steps = vec![Step::file(File::text(MARK, format!("{}\n", context.bundle.uid())))];
    steps.push(Step::file(File::text(EPOCH, format!("{}\n", context.epoch))));
    steps.push(packages(context, node));
    let container = context.cluster.host.container;
    if !container {
        steps.push(Step::file(File::text(
            "/etc/modules-load.d/rekindle.conf",
            template("modules.conf", json!({}))?,
        )));
        steps.push(modules());
    }
    let ipv6 = context.cluster.network.pods.iter().any(|net| net.addr().is_ipv6());
    let sysctls = template("sysctl.conf", json!({ "ipv6": ipv6 }))?;
    steps.push(Step::file(File::text("/etc/sysctl.d/99-rekindle.conf", sysctls)));
    steps.push(sysctl());
    if !container && context.cluster.kubelet.get("failSwapOn") != Some(&false.into()) {
        steps.push(no_swap());
    }
    steps.push(endpoint_name(context, node));
    Ok(steps)
}

fn packages(context: &Context, node: &Node) -> Step {
    let mut wanted: Vec<(&str, &str)> = PACKAGES.to_vec();
    if node.role == Role::Worker {
        wanted.push(("haproxy", "haproxy"));
    }
    wanted.extend(
        context.payload.packages.iter().map(|(program, package)| (program.as_str(), package.as_str())),
    );
    let pairs: Vec<String> = wanted.iter().map(|(program, package)| format!("{program}:{package}")).collect();
    let missing = "missing=\n\
        for pair in $PAIRS; do command -v \"${pair%:*}\" >/dev/null || missing=\"$missing ${pair#*:}\"; done\n";
    let done_when =
        Script::new(format!("{missing}[ -z \"$missing\" ] || {{ echo \"missing:$missing\"; exit 1; }}"));
    // Debian's haproxy starts a service of its own; ours has its own unit.
    let run = Script::new(format!(
        "{missing}export DEBIAN_FRONTEND=noninteractive\n\
         apt-get -q -o DPkg::Lock::Timeout=120 update\n\
         # shellcheck disable=SC2086\n\
         apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $missing\n\
         case $missing in *haproxy*) systemctl disable -q --now haproxy ;; esac"
    ));
    let pairs = pairs.join(" ");
    Step::run("install packages", done_when.set("PAIRS", &pairs), run.set("PAIRS", &pairs))
        .within(600)
        .hint("the node's own package sources must offer them; `apt-get update` there shows more")
}

fn modules() -> Step {
    Step::run(
        "load kernel modules",
        Script::new(
            "for module in overlay br_netfilter nf_conntrack; do\n\
             [ -d \"/sys/module/$module\" ] || { echo \"$module is not loaded\"; exit 1; }\ndone",
        ),
        Script::new("modprobe -a overlay br_netfilter nf_conntrack"),
    )
}

fn sysctl() -> Step {
    Step::run(
        "set kernel parameters",
        Script::new(
            "while IFS='= ' read -r key value; do\n\
             case $key in ''|'#'*) continue ;; esac\n\
             [ \"$(cat \"/proc/sys/$(echo \"$key\" | tr . /)\")\" = \"$value\" ] || { echo \"$key is not $value\"; exit 1; }\n\
             done </etc/sysctl.d/99-rekindle.conf",
        ),
        Script::new("sysctl -q -p /etc/sysctl.d/99-rekindle.conf"),
    )
}

fn no_swap() -> Step {
    Step::run(
        "turn swap off",
        Script::new(
            "[ \"$(wc -l </proc/swaps)\" -le 1 ] || { echo 'swap is on'; exit 1; }\n\
             ! grep -Eq '^[^#].*[[:space:]]swap[[:space:]]' /etc/fstab 2>/dev/null || { echo 'swap is in /etc/fstab'; exit 1; }",
        ),
        Script::new(
            "swapoff -a\n\
             [ ! -e /etc/fstab ] || sed -i.before-rekindle -E '/^[^#].*[[:space:]]swap[[:space:]]/s/^/# rekindle: /' /etc/fstab",
        ),
    )
    .within(120)
    .hint("or set `failSwapOn = false` in [kubelet]")
}

/// The endpoint's name leads to this node's own door: its apiserver, or a worker's haproxy.
fn endpoint_name(context: &Context, node: &Node) -> Step {
    let address = match node.role {
        Role::Worker if node.address.is_ipv6() => "::1".to_owned(),
        Role::Worker => "127.0.0.1".to_owned(),
        Role::ControlPlane | Role::Etcd => node.address.to_string(),
    };
    let line = format!("{address} {} # rekindle", context.cluster.api.host);
    Step::run(
        "name the API endpoint",
        Script::new("grep -qxF -- \"$LINE\" /etc/hosts || { echo 'not in /etc/hosts'; exit 1; }")
            .set("LINE", &line),
        // Written beside and moved over: a reader never sees half of it.
        Script::new(
            "{ grep -v ' # rekindle$' /etc/hosts || :; printf '%s\\n' \"$LINE\"; } >/etc/.hosts.rekindle\n\
             chmod 644 /etc/.hosts.rekindle\n\
             mv -f /etc/.hosts.rekindle /etc/hosts",
        )
        .set("LINE", &line),
    )
}
