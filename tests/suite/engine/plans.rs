//! Plans run, again and again.

use super::*;

#[tokio::test]
async fn a_first_apply_changes_and_a_second_changes_nothing() {
    let node = FakeNode::start("cp1").await;
    std::fs::write(node.path("absent"), "old").unwrap();
    let hosts = connect(&[&node]).await;
    let plan = plan(node.id(), twelve(&node));
    let first = apply(&hosts, &plan).await;
    insta::assert_snapshot!("first_apply", told(&first) + "\n\n" + &content(&node).join("\n"));
    let before = tree(&node);
    let second = apply(&hosts, &plan).await;
    assert!(outcomes(&second).iter().all(|outcome| *outcome == Outcome::Unchanged), "{}", told(&second));
    assert!(second.is_complete());
    assert_eq!(tree(&node), before, "no byte, mode or time has changed");
    assert_eq!(second.traffic[&node.id()].round_trips, 2, "one a lane");
}

#[tokio::test]
async fn this_machine_runs_the_same_plans() {
    let node = FakeNode::start("here").await;
    let (hosts, failed) =
        Hosts::connect(vec![engine::Target::local(node.id())], node.options(), &no_events()).await;
    assert!(failed.is_empty());
    let plan = plan(node.id(), twelve(&node));
    let first = apply(&hosts, &plan).await;
    assert!(first.is_complete() && first.changed() > 8, "{}", told(&first));
    let second = apply(&hosts, &plan).await;
    assert!(outcomes(&second).iter().all(|outcome| *outcome == Outcome::Unchanged), "{}", told(&second));
    assert_eq!(node.faults.execs(), 0, "no connection was made");
}

#[tokio::test]
async fn a_file_is_put_back_in_bytes_mode_owner_and_kind() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let file = node.path("etc/file");
    let plan = plan(node.id(), vec![Step::file(File::text(&file, "wanted\n").mode(0o640))]);
    let spoil = [
        "true",
        "echo other >FILE",
        "chmod 0644 FILE",
        "chown 4242:4243 FILE",
        "rm FILE",
        "rm FILE; ln -s /etc/passwd FILE",
        "rm FILE; mkfifo FILE",
        "echo left from a crash >.TEMP; rm FILE",
        "ln -s /etc/passwd .TEMP; rm FILE",
        "rm FILE; mkdir FILE",
    ];
    let mut lines = Vec::new();
    for spoil in spoil {
        let script = spoil.replace(".TEMP", &node.path("etc/.file.rekindle")).replace("FILE", &file);
        std::process::Command::new("sh")
            .args(["-c", &format!("mkdir -p $(dirname {file}); {script}")])
            .status()
            .unwrap();
        let before = engine::preview(&hosts, &plan, false).await;
        let found = before.get(0, &node.id(), 0).unwrap().clone();
        let report = apply(&hosts, &plan).await;
        let script =
            format!("stat -c '%F %a %U:%G' {file}; cat {file}; ls -A $(dirname {file}) | tr '\\n' ' '");
        let after = std::process::Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
        let after = String::from_utf8(after).unwrap().trim().replace('\n', ", ");
        lines.push(format!("{spoil}\n  {:?}\n  {:?}\n  {after}", found.found, outcomes(&report)[0]));
    }
    insta::assert_snapshot!("files_put_back", masked(&lines.join("\n")));
}

#[tokio::test]
async fn what_fails_is_told_with_its_last_words() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let not = || Script::new("echo 'not there'; exit 1");
    let cases = [
        Step::run("an action that fails", not(), Script::new("seq 30; echo oops >&2; exit 7")),
        Step::run("an action that helps nobody", not(), Script::new("echo tried")),
        Step::run("a probe that fails", Script::new("echo reading; no-such-program"), Script::nothing()),
        Step::run("a body of `set -e`", Script::new("false; echo not reached"), Script::new("false; true")),
        Step::run("an unset variable", not(), Script::new("echo \"$NOBODY_SET_THIS\"")),
        Step::run("an action that hangs", not(), Script::new("echo started; sleep 600")).within(1),
        Step::run("a probe that hangs", Script::new("sleep 600"), Script::nothing()).within(1),
        Step::wait("a wait without end", Script::new("echo 'no quorum'; exit 7")).within(1),
        Step::file(File::text("/dev/null/file", "no folder")),
        Step::file(File::text("relative", "no path")),
        Step::file(File::text("/proc/file", "no writing")),
    ];
    let mut lines = Vec::new();
    for step in cases {
        let after = mark(&node, "after");
        lines.push(told(&apply(&hosts, &plan(node.id(), vec![step, after])).await));
    }
    insta::assert_snapshot!("failures", lines.join("\n"));
    assert!(!std::path::Path::new(&node.path("after")).exists(), "a lane ends at its first failure");
}

#[tokio::test]
async fn forty_files_cost_few_programs_when_nothing_changes() {
    let node = FakeNode::start("cp1").await;
    let ran = node.beside("ran");
    for tool in [
        "stat",
        "sha256sum",
        "mv",
        "rm",
        "mkdir",
        "chmod",
        "chown",
        "cp",
        "cat",
        "tail",
        "head",
        "id",
        "wc",
        "sh",
    ] {
        let text = format!("#!/bin/sh\necho {tool} >>'{}'\nexec /usr/bin/{tool} \"$@\"\n", ran.display());
        crate::fake_node::write_program(&node.beside("bin").join(tool), &text);
    }
    let hosts = connect(&[&node]).await;
    let file = |i: usize| Step::file(File::text(node.path(&format!("etc/{i}")), format!("file {i}\n")));
    let plan = plan(node.id(), (0..40).map(file).collect());
    let mut counts = Vec::new();
    for changed in [40, 0] {
        std::fs::write(&ran, "").unwrap();
        assert_eq!(apply(&hosts, &plan).await.changed(), changed);
        let ran = std::fs::read_to_string(&ran).unwrap();
        counts.push((
            ran.lines().filter(|tool| ["stat", "sha256sum"].contains(tool)).count(),
            ran.lines().count(),
        ));
    }
    let [(looks, all), (looks_again, all_again)] = counts[..] else { panic!("{counts:?}") };
    assert!(looks <= 5 && all < 80, "{looks} looks, {all} programs for 40 new files");
    assert!(looks_again == 2 && all_again < 20, "{looks_again} looks, {all_again} programs for 40 old ones");
}
