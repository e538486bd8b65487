//! The engine against a fake node: real SSH, a real shell, and faults.

mod answers;
mod blobs;
mod faults;
mod kept;
mod login;
mod plans;
mod previews;
mod real_sshd;
mod secrets;
mod stages;
mod streams;

use crate::fake_node::FakeNode;
use engine::{Blobs, Event, Events, Hosts, Options, Outcome, Report, Settings};
use step::{File, HostId, Lane, Needs, Order, Plan, Script, Secret, Stage, Step};
use tokio::sync::mpsc::UnboundedReceiver;

/// Events nobody listens to.
fn no_events() -> Events {
    tokio::sync::mpsc::unbounded_channel().0
}

async fn connect(nodes: &[&FakeNode]) -> Hosts {
    connect_with(nodes, options(nodes), &no_events()).await
}

async fn connect_with(nodes: &[&FakeNode], options: Options, events: &Events) -> Hosts {
    let targets = nodes.iter().map(|node| node.target()).collect();
    let (hosts, failed) = Hosts::connect(targets, options, events).await;
    assert!(failed.is_empty(), "{failed:?}");
    hosts
}

/// Of the first node; the keys of all are pinned.
fn options(nodes: &[&FakeNode]) -> Options {
    let mut options = nodes[0].options();
    for node in &nodes[1..] {
        options.ssh.pinned.extend(node.options().ssh.pinned);
    }
    options
}

fn stage(name: &str, order: Order, lanes: Vec<Lane>) -> Stage {
    Stage { name: name.to_owned(), order, needs: Needs::default(), lanes }
}

fn plan(on: HostId, steps: Vec<Step>) -> Plan {
    Plan { stages: vec![stage("only", Order::Together, vec![Lane { on, steps }])] }
}

async fn apply(hosts: &Hosts, plan: &Plan) -> Report {
    apply_with(hosts, plan, false, &no_events()).await
}

async fn apply_with(hosts: &Hosts, plan: &Plan, overwrite: bool, events: &Events) -> Report {
    let blobs = Blobs::new();
    engine::apply(hosts, plan, &Settings { preview: None, blobs: &blobs, overwrite }, events).await
}

/// One line a step, and what became of the rest.
fn told(report: &Report) -> String {
    let mut lines = Vec::new();
    for (stage, lane) in report.lanes() {
        lines.push(format!("{} {}: {:?}", stage.name, lane.on, lane.end));
        lines.extend(lane.steps.iter().map(|step| match &step.outcome {
            Outcome::Failed(failure) => {
                format!(
                    "  {}: failed: {} [{}]",
                    step.title,
                    failure.reason,
                    failure.tail().replace('\n', " | ")
                )
            }
            outcome => format!("  {}: {outcome:?}", step.title),
        }));
    }
    lines.extend(report.stopped.iter().map(ToString::to_string));
    lines.extend(report.dropped.iter().map(|(host, why)| format!("dropped {host}: {why}")));
    lines.extend(report.unknown.iter().map(|(host, why)| format!("unknown {host}: {why}")));
    masked(&lines.join("\n"))
}

/// `text` without what differs in every run: temporary folders and ports.
fn masked(text: &str) -> String {
    let mut pieces = text.split("/tmp/.tmp");
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        masked.push('~');
        masked.push_str(&piece[6..]);
    }
    let mut pieces = masked.split("127.0.0.1:");
    let mut without_ports = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        without_ports.push_str("127.0.0.1:PORT");
        without_ports.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    without_ports
}

fn outcomes(report: &Report) -> Vec<Outcome> {
    report.steps().map(|(_, _, step)| step.outcome.clone()).collect()
}

fn drain(events: &mut UnboundedReceiver<Event>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

/// A step that leaves a line in a file, and is done when the line is there.
fn mark(node: &FakeNode, name: &str) -> Step {
    let done = Script::new("[ -f \"$FILE\" ] || { echo \"$FILE is missing\"; exit 1; }")
        .set("FILE", &node.path(name));
    let run = Script::new("echo done >>\"$FILE\"").set("FILE", &node.path(name));
    Step::run(format!("mark {name}"), done, run)
}

/// Twelve steps of every kind.
fn twelve(node: &FakeNode) -> Vec<Step> {
    let at = |name: &str| node.path(name);
    let holds = Script::new("grep -q wanted \"$FILE\" || { echo 'is no wanted one'; exit 1; }")
        .set("FILE", &at("leaf"));
    let secret = Script::new("cat >\"$FILE\"").set("FILE", &at("token")).input(Secret::new("tok-en value\n"));
    vec![
        Step::file(File::text(at("etc/one.conf"), "one\n'two' \"three\" $four `five`\n")),
        Step::file(File::secret(at("pki/ca.key"), Secret::new("secret key\n"))),
        Step::file(File::text(at("pki/run.sh"), "#!/bin/sh\n").mode(0o755)),
        mark(node, "a"),
        Step::file(File::link(at("link"), "etc/one.conf")),
        Step::file(File::absent(at("absent"))),
        Step::file(File::text(at("leaf"), "wanted, and no more\n").holds(holds)),
        mark(node, "b"),
        Step::wait("wait for b", Script::new("[ -f \"$FILE\" ]").set("FILE", &at("b"))),
        Step::run("write the token", Script::new("[ -s \"$FILE\" ]").set("FILE", &at("token")), secret),
        Step::file(File::text(at("no newline"), "no newline at the end")),
        mark(node, "c"),
    ]
}

/// Every file below the node's root: its mode, its time and its bytes.
fn tree(node: &FakeNode) -> Vec<String> {
    let script = format!(
        "cd '{}' && find . -printf '%p %m %T@ %l\\n' | sort && find . -type f | sort | xargs -d '\\n' sha256sum",
        node.path("")
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The same without times.
fn content(node: &FakeNode) -> Vec<String> {
    let without_time = |line: String| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.retain(|word| !(word.contains('.') && word.parse::<f64>().is_ok()));
        words.join(" ")
    };
    tree(node).into_iter().map(without_time).collect()
}
