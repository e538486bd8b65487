//! Every example inventory to its plan: a change of behaviour is a diff of text.

#![cfg(test)]

use inventory::Cluster;
use pki::{Entropy, SystemEntropy};
use plan::ask::survey::{Answer, Facts, Today};
use plan::{Context, Growth, MadeAnew, Payload, Rebuild, Snapshots, kubeadm::Cgroups};
use std::collections::BTreeMap;
use std::fmt::Write;
use step::{Body, Change, Digest, HostId, Plan, Same, Script, Step};

/// Real keys, but the same identifiers each time.
struct Steady(SystemEntropy);

impl Entropy for Steady {
    fn key(&mut self, algorithm: inventory::KeyAlgorithm) -> Result<rcgen::KeyPair, pki::Error> {
        self.0.key(algorithm)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), pki::Error> {
        bytes.fill(0x5a);
        Ok(())
    }
}

fn cluster(file: &str) -> Cluster {
    let path = format!("{}/../../inventories/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    inventory::parse(file, &text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false))).cluster
}

fn answer(node: &inventory::Node, cgroup: u8, stands: bool) -> (HostId, Answer) {
    let facts = Facts {
        os: "debian".into(),
        arch: "x86_64".into(),
        cgroup,
        systemd: true,
        root: true,
        ..Facts::default()
    };
    let today = Today { etcd_data: stands && node.role == inventory::Role::ControlPlane, ..Today::default() };
    (HostId::new(&node.name), Answer { facts, today })
}

fn payload() -> Payload {
    let program =
        |name: &str| plan::Program { name: name.into(), sha256: Digest::of(name.as_bytes()), size: 1 };
    let image = |reference: &str| plan::Image {
        reference: reference.into(),
        digest: format!("sha256:{}", Digest::of(reference.as_bytes())),
        sha256: Digest::of(b"archive"),
        size: 1,
    };
    Payload {
        programs: ["kubeadm", "kubelet", "kubectl", "etcd", "etcdctl", "containerd"].map(program).into(),
        images: ["registry.k8s.io/kube-apiserver:v1.36.3", "registry.k8s.io/pause:3.10.2"].map(image).into(),
        packages: vec![("runc".into(), "runc".into())],
    }
}

fn up(file: &str, cgroup: u8, growth: Growth) -> Plan {
    up_with(file, cgroup, growth, None)
}

fn up_with(file: &str, cgroup: u8, growth: Growth, snapshots: Option<&Snapshots>) -> Plan {
    made(file, cgroup, growth, snapshots, None)
}

/// cp2 still has what it had; the worker lives. Held, the whole cluster does.
fn rebuilt(hold: bool) -> Plan {
    rebuilt_with(hold, MadeAnew::default())
}

fn rebuilt_with(hold: bool, made_anew: MadeAnew) -> Plan {
    let rebuild = Rebuild {
        claim: "epoch 2, claimed by ada on laptop at 2026-11-24T12:00:00Z".into(),
        epoch: 2,
        snapshot: (Digest::of(b"snapshot"), 8),
        bump: 1_000_000_000,
        gone: vec!["cp9".into()],
        kept: vec![("ciliumnodes.cilium.io".into(), "cp9".into())],
        living: vec!["w1".into()],
        unknown: vec!["w1".into()],
        aside: Vec::new(),
        hold,
        lives: hold,
        made_anew,
    };
    made("stacked-3.toml", 2, Growth::Laid, None, Some(&rebuild))
}

fn made(
    file: &str,
    cgroup: u8,
    growth: Growth,
    snapshots: Option<&Snapshots>,
    rebuild: Option<&Rebuild>,
) -> Plan {
    let cluster = cluster(file);
    let now = time::OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
    let entropy = &mut Steady(SystemEntropy);
    let bundle = pki::Bundle::mint(&cluster, None, now, entropy).unwrap();
    let node_files: BTreeMap<_, _> = cluster
        .nodes
        .iter()
        .map(|node| (node.name.clone(), bundle.node_files(&cluster, node, now, entropy).unwrap()))
        .collect();
    let stands =
        |node: &inventory::Node| growth == Growth::Added || (rebuild.is_some() && node.name == "cp2");
    let answers = cluster.nodes.iter().map(|node| answer(node, cgroup, stands(node))).collect();
    let files = cluster.kubeadm.files.keys().map(|path| (path.clone(), "content".into())).collect();
    let patches = cluster.kubeadm.patches.keys().map(|name| (name.clone(), "{}".into())).collect();
    let context = Context {
        cluster: &cluster,
        bundle: &bundle,
        node_files: &node_files,
        super_admin: &"super".into(),
        payload: &payload(),
        answers: &answers,
        files: &files,
        patches: &patches,
        cgroups: Cgroups::of(&cluster, &answers),
        growth,
        epoch: rebuild.map_or(1, |rebuild| rebuild.epoch),
        rebuild,
        snapshots,
    };
    plan::up(&context).unwrap()
}

/// The flat list, as a person would tell it.
fn outline(plan: &Plan) -> String {
    let mut text = String::new();
    for stage in &plan.stages {
        writeln!(text, "{} ({:?})", stage.name, stage.order).unwrap();
        for lane in &stage.lanes {
            writeln!(text, "  {}", lane.on).unwrap();
            for step in &lane.steps {
                writeln!(text, "    {:<4} {:>3} s  {}", kind(step), step.within.as_secs(), step.title)
                    .unwrap();
            }
        }
    }
    text
}

fn kind(step: &Step) -> &'static str {
    match &step.change {
        Change::File(_) => "file",
        Change::Run { .. } => "run",
        Change::Wait(_) => "wait",
        Change::Require(_) => "need",
    }
}

/// Every public text of one host, except certificates, whose bytes differ each time, in kubeconfigs too.
fn texts(plan: &Plan, host: &str) -> String {
    let mut text = String::new();
    let lanes = plan.stages.iter().flat_map(|stage| &stage.lanes).filter(|lane| lane.on.as_str() == host);
    for step in lanes.flat_map(|lane| &lane.steps) {
        if let Change::File(file) = &step.change
            && let Body::Text(body) = &file.body
            && !file.path.contains("/pki/")
        {
            let body: Vec<&str> = body
                .lines()
                .map(|line| line.split("certificate-authority-data: L").next().unwrap())
                .collect();
            writeln!(text, "=== {} {:o}\n{}\n", file.path, file.mode, body.join("\n")).unwrap();
        }
    }
    text
}

fn timers(program: Option<(Digest, u64)>) -> Snapshots {
    Snapshots {
        program,
        every: std::time::Duration::from_secs(600),
        settings: ["cp1", "cp2", "cp3"].map(|node| (node.to_owned(), "{}".to_owned())).into(),
        files: BTreeMap::new(),
        folders: Vec::new(),
    }
}

/// Of a cluster that was adopted nothing else is touched, and etcdctl is where its etcd's image has it.
#[test]
fn a_schedule_is_the_timers_and_nothing_else() {
    let cluster = cluster("stacked-3.toml");
    let now = time::OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
    let bundle = pki::Bundle::mint(&cluster, None, now, &mut SystemEntropy).unwrap();
    let nodes: Vec<_> = cluster.control_planes().take(2).collect();
    let snapshots = timers(Some((Digest::of(b"rekindle"), 8)));
    let plan = plan::schedule(&cluster, &bundle, &snapshots, &nodes, Cgroups::default()).unwrap();
    let mut text = outline(&plan);
    let capture = texts(&plan, "cp1");
    let capture = capture.lines().filter(|line| line.starts_with("ExecStart=") && line.contains("capture"));
    capture.for_each(|line| writeln!(text, "{line}").unwrap());
    insta::assert_snapshot!(text);
}

#[test]
fn timers_are_laid_taken_away_or_left_as_they_are() {
    let of_timers = |snapshots: Option<&Snapshots>| {
        let text = outline(&up_with("stacked-3.toml", 2, Growth::Added, snapshots));
        let named = |line: &&str| line.contains("rekindle-snapshot.timer") || line.contains("by the clock");
        text.lines().filter(named).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let with = timers;
    let count = |lines: &[String], what: &str| lines.iter().filter(|line| line.contains(what)).count();
    let laid = of_timers(Some(&with(Some((Digest::of(b"rekindle"), 8)))));
    assert_eq!((count(&laid, "start rekindle-snapshot.timer"), count(&laid, "no snapshots")), (3, 0));
    assert_eq!(count(&of_timers(None), "no snapshots by the clock"), 3);
    // No program for the nodes' platform: nobody knows better than what lies there.
    assert_eq!(of_timers(Some(&with(None))), Vec::<String>::new());
}

#[test]
fn a_new_cluster() {
    insta::assert_snapshot!(outline(&up("stacked-3.toml", 2, Growth::Laid)));
}

#[test]
fn a_cluster_that_stands() {
    insta::assert_snapshot!(outline(&up("stacked-3.toml", 2, Growth::Added)));
}

#[test]
fn the_same_cluster_again() {
    let outline = outline(&rebuilt(false));
    insta::assert_snapshot!(outline);
    // Held, nothing acts on what came back.
    let held = self::outline(&rebuilt(true));
    assert!(held.contains("apiserver is live"));
    for acts in ["manifest of kube-controller-manager", "manifest of kube-scheduler", plan::CLEARED, "finish"]
    {
        assert!(outline.contains(acts) && !held.contains(acts), "{acts}");
    }
    // Where the cluster lives, nothing is laid before all of its control planes were stopped.
    let laid =
        |plan: Plan| plan.stages.into_iter().find(|stage| stage.name == "bring up").unwrap().needs.at_least;
    assert_eq!([laid(rebuilt(false)), laid(rebuilt(true))], [0, 3]);
}

#[test]
fn files_of_a_lab_on_cgroup_v1() {
    let plan = up("lab.toml", 1, Growth::Laid);
    insta::assert_snapshot!("control_plane_on_v1", texts(&plan, "cp1"));
    insta::assert_snapshot!("worker_on_v1", texts(&plan, "w1"));
}

#[test]
fn files_of_every_key() {
    insta::assert_snapshot!(texts(&up("everything.toml", 2, Growth::Laid), "cp1"));
}

#[test]
fn files_of_dual_stack() {
    insta::assert_snapshot!(texts(&up("dual-stack.toml", 2, Growth::Laid), "cp1"));
}

fn scripts(plan: &Plan) -> Vec<(String, Script)> {
    let mut found = Vec::new();
    for step in plan.stages.iter().flat_map(|stage| &stage.lanes).flat_map(|lane| &lane.steps) {
        let mut add =
            |part: &str, script: &Script| found.push((format!("{}: {part}", step.title), script.clone()));
        match &step.change {
            Change::Run { done_when, run } => {
                add("probe", done_when);
                add("act", run);
            }
            Change::Wait(script) | Change::Require(script) => add("wait", script),
            Change::File(file) => {
                if let Same::Holds(script) = &file.same {
                    add("probe", script);
                }
            }
        }
    }
    found
}

/// A secret reaches a node as a file's content or on standard input; script text is what `ps` may show.
#[test]
fn no_script_holds_a_secret() {
    for file in ["stacked-3.toml", "everything.toml"] {
        let scripts = scripts(&up(file, 2, Growth::Laid));
        assert!(scripts.len() > 50);
        for (title, script) in scripts {
            let text = script.text();
            for poison in ["PRIVATE KEY", "client-key-data: L", "super"] {
                let named =
                    text.contains(poison) && !(poison == "super" && text.contains("super-admin.conf"));
                assert!(!named, "{title} holds `{poison}`");
            }
        }
    }
}

/// A lane that runs already is known by the text of its scripts: what is minted anew must not make it another.
#[test]
fn scripts_are_the_same_in_every_run() {
    let texts = || -> Vec<(String, String)> {
        let scripts = scripts(&up("everything.toml", 2, Growth::Laid));
        scripts.into_iter().map(|(title, script)| (title, script.text())).collect()
    };
    let other: Vec<_> = texts().into_iter().zip(texts()).filter(|(one, two)| one != two).collect();
    assert!(other.is_empty(), "{other:#?}");
}

/// Every script that a node runs is clean, by the linter that people use; without it, at least the shell reads it.
#[test]
fn scripts_are_posix_and_clean() {
    let mut scripts: Vec<_> = [Growth::Laid, Growth::Added]
        .into_iter()
        .flat_map(|growth| scripts(&up("everything.toml", 1, growth)))
        .collect();
    scripts.extend(self::scripts(&rebuilt(false)));
    let keys = [pki::Taken::ClusterCa, pki::Taken::ServiceAccounts].into();
    scripts.extend(self::scripts(&rebuilt_with(false, MadeAnew { keys, encryption: Vec::new() })));
    scripts.push(("witnesses".into(), plan::ask::witnesses::witnesses(&[], "A", "B").script));
    scripts.push(("pods".into(), plan::ask::pods::pods().script));
    scripts.push(("since".into(), plan::ask::since::since(9).script));
    scripts.push(("counted".into(), plan::ask::counted::counted(Some("cp1")).script));
    scripts.push(("survey".into(), plan::ask::survey::survey().script));
    scripts.push(("health".into(), plan::ask::health::health(&cluster("stacked-3.toml")).script));
    scripts.push((
        "capture".into(),
        plan::capture::capture("10.0.0.11".parse().unwrap(), plan::capture::Origin::Disk, None),
    ));
    scripts.push(("adopt cluster".into(), plan::adopt::ask_cluster().script));
    scripts.push(("adopt node".into(), plan::adopt::ask_node(plan::adopt::FILES).script));
    scripts.push(("last".into(), plan::capture::last().script));
    scripts.push(("taken".into(), plan::capture::taken(1_700_000_000)));
    // One holds the other as a value, which the linter takes for a mistake.
    for (title, body) in [
        ("drill outside", include_str!("../src/drill/outside.sh")),
        ("drill inside", include_str!("../src/drill/inside.sh")),
    ] {
        scripts.push((title.into(), Script::new(body)));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (i, (title, script)) in scripts.iter().enumerate() {
        if !seen.insert(script.text()) {
            continue;
        }
        let name: String = title.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = folder.path().join(format!("{i:03}-{name}.sh"));
        std::fs::write(&path, format!("#!/bin/sh\nset -eu\n{}\n", script.text())).unwrap();
        paths.push(path);
    }
    assert!(paths.len() > 20);
    let linter = std::process::Command::new("shellcheck").arg("--version").output().is_ok();
    let mut command = if linter {
        let mut command = std::process::Command::new("shellcheck");
        // SC2034: a probe and its action share their settings, so one of them may not use all.
        command.args(["-s", "sh", "-S", "style", "-e", "SC2034"]).args(&paths);
        command
    } else {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "for f; do sh -n \"$f\" || exit 1; done", "sh"]).args(&paths);
        command
    };
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn drill(purpose: plan::drill::Purpose<'_>) -> Script {
    let cluster = cluster("everything.toml");
    let now = time::OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
    let entropy = &mut Steady(SystemEntropy);
    let bundle = pki::Bundle::mint(&cluster, None, now, entropy).unwrap();
    let node = cluster.control_planes().next().unwrap();
    let path = |name: &str| format!("/cache/{name}");
    plan::drill::Drill {
        cluster: &cluster,
        node,
        node_files: &bundle.node_files(&cluster, node, now, entropy).unwrap(),
        super_admin: &bundle.super_admin_kubeconfig(&cluster, now, entropy).unwrap(),
        files: &cluster.kubeadm.files.keys().map(|path| (path.clone(), "content".into())).collect(),
        patches: &BTreeMap::from([("kube-apiserver0+merge.yaml".to_owned(), "{}".to_owned())]),
        programs: &plan::drill::Programs {
            etcd: path("etcd"),
            etcdctl: path("etcdctl"),
            etcdutl: path("etcdutl"),
            kubeadm: path("kubeadm"),
            kubectl: path("kubectl"),
            kube_apiserver: path("kube-apiserver"),
        },
        snapshot: "/tmp/a b.db",
        space: "/var/lib/rekindle/drill",
    }
    .script(purpose)
}

/// Keys come on standard input, and everything that a control plane's apiserver reads is there.
#[test]
fn a_drill_is_handed_what_a_control_plane_has() {
    let script = drill(plan::drill::Purpose::Ask(&["get".into(), "it's".into()]));
    assert!(!script.text().contains("PRIVATE KEY"));
    let input = String::from_utf8(script.stdin().unwrap().expose().to_vec()).unwrap();
    assert!(input.ends_with("\n.\n"));
    let paths: Vec<&str> =
        input.lines().filter_map(|line| line.split_once(' ')).map(|(path, _)| path).collect();
    for path in [
        "/etc/kubernetes/pki/ca.crt",
        "/etc/kubernetes/pki/sa.key",
        "/etc/kubernetes/pki/sa.pub",
        "/etc/kubernetes/pki/front-proxy-client.key",
        "/etc/kubernetes/pki/apiserver.crt",
        "/etc/kubernetes/super-admin.conf",
        "/etc/kubernetes/encryption/config.yaml",
        "/etc/kubernetes/patches/kube-apiserver0+merge.yaml",
        "/etc/rekindle/kubeadm.yaml",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
}
