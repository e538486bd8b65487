//! The 20 steps: as a plan, and as a script that a person would write.

use std::fmt::Write as _;
use step::{File, HostId, Lane, Needs, Order, Plan, Script, Stage, Step};

/// On every host the same.
pub fn plan(hosts: &[HostId]) -> Plan {
    let lanes = hosts.iter().map(|host| Lane { on: host.clone(), steps: steps() }).collect();
    let (name, needs) = ("prepare".to_owned(), Needs::default());
    Plan { stages: vec![Stage { name, order: Order::Together, needs, lanes }] }
}

fn steps() -> Vec<Step> {
    let mut steps = vec![
        check("the kernel tells its version", "[ -r /proc/version ]"),
        check("stat is there", "command -v stat >/dev/null"),
        check("there is a place for configuration", "[ -d /etc ]"),
        check("root is a user", "grep -q '^root:' /etc/passwd"),
        check("nothing refuses", "[ ! -e /srv/refused ]"),
    ];
    steps.extend(
        ["", "/data", "/log", "/conf.d", "/spool"].map(|folder| directory(&format!("/srv/app{folder}"))),
    );
    steps.extend(files().into_iter().map(|(path, text)| Step::file(File::text(path, text))));
    steps.push(Step::file(File::text("/srv/app/run.sh", RUN).mode(0o750)));
    steps.push(Step::file(File::link("/srv/app/current", "conf.d/0.conf")));
    steps.push(Step::run(
        "a line",
        Script::new("grep -qx 'listen = 1' /srv/app/lines || { echo 'the line is missing'; exit 1; }"),
        Script::new("echo 'listen = 1' >>/srv/app/lines"),
    ));
    steps
}

fn check(title: &str, that: &str) -> Step {
    Step::run(title, Script::new(that), Script::new("exit 1"))
}

fn directory(path: &str) -> Step {
    let there = Script::new("[ -d \"$FOLDER\" ] || { echo \"$FOLDER is missing\"; exit 1; }");
    Step::run(path, there.set("FOLDER", path), Script::new("mkdir -p -- \"$FOLDER\"").set("FOLDER", path))
}

const RUN: &str = "#!/bin/sh\nexec /usr/bin/env true\n";

/// Five files, and two templates as they are rendered.
fn files() -> Vec<(String, String)> {
    let file = |i: usize| {
        (format!("/srv/app/conf.d/{i}.conf"), format!("# file {i}\n{}", "key = value\n".repeat(15)))
    };
    let template = |i: usize| {
        let rows = (0..40).fold(String::new(), |mut text, row| {
            let _ = writeln!(text, "server node-{row} 10.{i}.0.{row}:6443 check inter 2s");
            text
        });
        (format!("/srv/app/template-{i}.cfg"), format!("defaults\n  mode tcp\n{rows}"))
    };
    (0..5).map(file).chain((0..2).map(template)).collect()
}

/// The same without any proof.
pub fn plain() -> String {
    let write = |(path, body): (String, String)| format!("cat >{path} <<'END'\n{body}END\n");
    with_files(include_str!("plain.sh"), write)
}

/// The same by a person who wants to run it again.
pub fn careful() -> String {
    let write = |(path, body): (String, String)| {
        let mode = if body == RUN { "0750" } else { "0644" };
        format!("put {path} {mode} <<'END'\n{body}END\n")
    };
    with_files(include_str!("careful.sh"), write)
}

fn with_files(script: &str, write: impl Fn((String, String)) -> String) -> String {
    let run = ("/srv/app/run.sh".to_owned(), RUN.to_owned());
    let text: String = files().into_iter().chain([run]).map(write).collect();
    script.replace("@FILES@\n", &text)
}
