//! IN: a prepared host. OUT: programs, containerd running with our configuration, images in it.
//! ORDER: before the kubelet.

use super::service;
use crate::{Context, TemplateError, template};
use inventory::{Node, Role};
use serde_json::json;
use step::{Change, File, Script, Step};

/// Where archives lie until they are imported.
const ARCHIVES: &str = "/var/lib/rekindle/images";

/// Programs that only a control plane runs.
const CONTROL_PLANE_ONLY: [&str; 3] = ["etcd", "etcdctl", "etcdutl"];

/// Programs, containerd, images.
pub fn steps(context: &Context, node: &Node) -> Result<Vec<Step>, TemplateError> {
    let control_plane = node.role == Role::ControlPlane;
    let mut steps = Vec::new();
    for program in &context.payload.programs {
        if control_plane || !CONTROL_PLANE_ONLY.contains(&program.name.as_str()) {
            // `kubeadm upgrade` asks people to put newer ones here.
            steps.push(
                Step::file(File::program(program.path(), program.sha256, program.size).unless_changed())
                    .within(120),
            );
        }
    }
    let pause =
        context.payload.image("pause").map_or("registry.k8s.io/pause:3.10.2", |image| &image.reference);
    let config = template(
        "containerd-config.toml",
        json!({
            "pause": pause,
            "in_container": context.cluster.host.container,
            "systemd_cgroup": !context.cgroups.by_kubelet,
        }),
    )?;
    steps.push(Step::file(File::text("/etc/containerd/config.toml", config)));
    let unit = template("containerd.service", json!({}))?;
    steps.push(Step::file(File::text("/etc/systemd/system/containerd.service", unit)));
    steps.push(service::running("containerd", 60));
    steps.extend(images(context, control_plane));
    Ok(steps)
}

fn needed_by_workers(reference: &str) -> bool {
    ["/pause:", "/kube-proxy:", "/coredns:"].iter().any(|name| reference.contains(name))
}

/// The images that this node needs: their archives, where containerd has not got them yet, and one import.
fn images(context: &Context, control_plane: bool) -> Vec<Step> {
    let wanted =
        context.payload.images.iter().filter(|image| control_plane || needed_by_workers(&image.reference));
    let mut steps = Vec::new();
    let mut list_of = String::new();
    for image in wanted {
        let path = format!("{ARCHIVES}/{}.tar", image.sha256);
        let there = Script::new(include_str!("image_is_there.sh"));
        let there =
            there.set("REFERENCE", &image.reference).set("DIGEST", &image.digest).set("ARCHIVE", &path);
        let file = File::program(&path, image.sha256, image.size).mode(0o600).holds(there);
        steps.push(Step::new(format!("bring {}", image.reference), Change::File(file)).within(300));
        list_of.push_str(&format!("{} {} {path}\n", image.reference, image.digest));
    }
    let each = |act: &str| {
        let listing = "list=/run/rekindle-read/images\nmkdir -p /run/rekindle-read\n\
            ctr -n k8s.io images ls >$list.$$\nmv -f $list.$$ $list\n";
        let open = "grep -q \"^$reference .*$digest\" $list ||";
        let list = "printf '%s' \"$LIST\" | while read -r reference digest archive; do";
        Script::new(format!("{listing}{list}\n\t{open} {act}\ndone")).set("LIST", &list_of)
    };
    let done_when = each("{ echo \"$reference is not in containerd\"; exit 1; }");
    // Importing is bound by the disk and by one lock in containerd: one after the other is as fast.
    let run = each(
        "{ ctr -n k8s.io images import --local \"$archive\" >/dev/null && rm -f \"$archive\"; } || exit 1",
    );
    steps.push(Step::run("import images", done_when, run).within(600));
    steps
}
