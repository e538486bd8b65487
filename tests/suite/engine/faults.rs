//! Lost connections, lost power, two operators, full disks.

use super::*;
use crate::fake_node::When;
use engine::LaneEnd;
use std::time::Duration;

/// The moments of a lane of twelve steps: while it is sent, and before and after each of its lines.
fn moments() -> Vec<When> {
    let mut moments = vec![When::Exec(1), When::Input(2_000), When::Input(20_000), When::Status(1)];
    for step in 0..12 {
        let result = if step == 8 { "unchanged" } else { "changed" };
        for line in [format!(" {step} started\n"), format!(" {step} {result}\n")] {
            moments.push(When::BeforeOutput(line.clone()));
            moments.push(When::AfterOutput(line));
        }
    }
    moments.push(When::BeforeOutput(" end\n".to_owned()));
    moments
}

async fn reference() -> Vec<String> {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    assert!(apply(&hosts, &plan(node.id(), twelve(&node))).await.is_complete());
    content(&node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_at_any_moment_finds_its_lane_again() {
    let wanted = reference().await;
    let mut reattached = 0;
    for moment in moments() {
        let node = FakeNode::start("cp1").await;
        let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let hosts = connect_with(&[&node], node.options(), &events).await;
        node.faults.cut(moment.clone(), false);
        let plan = plan(node.id(), twelve(&node));
        let report = apply_with(&hosts, &plan, false, &events).await;
        assert!(report.is_complete(), "{moment:?}\n{}", told(&report));
        assert_eq!(content(&node), wanted, "{moment:?}");
        assert_eq!(std::fs::read_to_string(node.path("a")).unwrap(), "done\n", "{moment:?}: run once");
        let seen = drain(&mut seen);
        reattached += seen.iter().filter(|event| matches!(event, Event::Reattached { .. })).count();
        let ended = seen.iter().filter(|event| matches!(event, Event::StepEnded { .. })).count();
        assert_eq!(ended, 12, "{moment:?}: each step is told once");
        assert_eq!(apply(&hosts, &plan).await.changed(), 0, "{moment:?}");
    }
    assert!(reattached > 20, "{reattached}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_loses_its_power_at_any_moment_is_mended_by_the_next_run() {
    let wanted = reference().await;
    let mut unknown = 0;
    for moment in moments() {
        let node = FakeNode::start("cp1").await;
        let mut options = node.options();
        options.reconnect.tries = 1;
        let hosts = connect_with(&[&node], options, &no_events()).await;
        node.faults.cut(moment.clone(), true);
        let plan = plan(node.id(), twelve(&node));
        let report = apply(&hosts, &plan).await;
        unknown += usize::from(matches!(report.stages[0].lanes[0].end, LaneEnd::Unknown(_)));
        node.power_off();
        node.faults.answer();
        let hosts = connect(&[&node]).await;
        let second = apply(&hosts, &plan).await;
        assert!(second.is_complete(), "{moment:?}\n{}", told(&second));
        assert_eq!(content(&node), wanted, "{moment:?}");
        let before = tree(&node);
        assert_eq!(apply(&hosts, &plan).await.changed(), 0, "{moment:?}");
        assert_eq!(tree(&node), before, "{moment:?}");
    }
    assert!(unknown > 20, "{unknown}");
}

#[tokio::test]
async fn a_lane_that_is_killed_is_a_failure_and_leaves_no_secrets() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let secret = Script::new("sleep 600").input(Secret::new("tok-en value\n"));
    let steps = vec![mark(&node, "a"), Step::run("hang", Script::new("exit 1"), secret)];
    let plan_of_two = plan(node.id(), steps);
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let kill = async {
        while let Some(event) = seen.recv().await {
            if matches!(event, Event::StepStarted { step: 1, .. }) {
                tokio::time::sleep(Duration::from_millis(300)).await;
                node.kill_units();
                break;
            }
        }
    };
    let (report, ()) = tokio::join!(apply_with(&hosts, &plan_of_two, false, &events), kill);
    insta::assert_snapshot!("killed_lane", told(&report));
    let left = |what: &str| {
        let script = format!("{what} {} || true", node.beside("run").display());
        let left = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(left.stdout).unwrap()
    };
    assert_eq!(left("grep -rl tok-en"), "");
    let spool = left("ls");
    // The rest of what the kill left behind is removed by the next lane.
    assert!(apply(&hosts, &plan(node.id(), vec![mark(&node, "a")])).await.is_complete());
    assert!(!left("ls").contains(spool.trim()), "{spool}");
}

/// A step that takes a second, and leaves two lines with nothing between them.
fn slow(node: &FakeNode, name: &str) -> Step {
    let set = |script: Script| script.set("FILE", &node.path("log")).set("NAME", name);
    Step::run(
        format!("slow {name}"),
        set(Script::new("grep -q \"^$NAME ends\" \"$FILE\" 2>/dev/null || exit 1")),
        set(Script::new("echo \"$NAME begins\" >>\"$FILE\"; sleep 1; echo \"$NAME ends\" >>\"$FILE\"")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_operator_waits_for_the_first() {
    let node = FakeNode::start("cp1").await;
    let (first, second) = (connect(&[&node]).await, connect(&[&node]).await);
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let plans = (plan(node.id(), vec![slow(&node, "one")]), plan(node.id(), vec![slow(&node, "two")]));
    let later = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        apply_with(&second, &plans.1, false, &events).await
    };
    let (one, two) = tokio::join!(apply(&first, &plans.0), later);
    assert!(one.is_complete() && two.is_complete(), "{}\n{}", told(&one), told(&two));
    let log = std::fs::read_to_string(node.path("log")).unwrap();
    assert_eq!(log, "one begins\none ends\ntwo begins\ntwo ends\n");
    assert!(drain(&mut seen).iter().any(|event| matches!(event, Event::LaneWaits { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_with_the_same_lane_follows_the_one_that_runs() {
    let node = FakeNode::start("cp1").await;
    let (first, second) = (connect(&[&node]).await, connect(&[&node]).await);
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let plan = plan(node.id(), vec![slow(&node, "one")]);
    let later = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        apply_with(&second, &plan, false, &events).await
    };
    let (one, two) = tokio::join!(apply(&first, &plan), later);
    assert_eq!((outcomes(&one), outcomes(&two)), (vec![Outcome::Changed], vec![Outcome::Changed]));
    assert_eq!(std::fs::read_to_string(node.path("log")).unwrap(), "one begins\none ends\n");
    assert!(drain(&mut seen).iter().any(|event| matches!(event, Event::Reattached { .. })));
}

#[tokio::test]
async fn a_full_disk_spoils_nothing() {
    let node = FakeNode::start("cp1").await;
    let full = node.path("full");
    let script = format!("mkdir -p {full} && mount -t tmpfs -o size=64k none {full} 2>/dev/null");
    if !std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success() {
        println!("skipped: a small file system cannot be mounted here");
        return;
    }
    let hosts = connect(&[&node]).await;
    let file = |text: String| plan(node.id(), vec![Step::file(File::text(format!("{full}/file"), text))]);
    assert!(apply(&hosts, &file("small\n".to_owned())).await.is_complete());
    let report = apply(&hosts, &file("large\n".repeat(50_000))).await;
    let left = std::fs::read_to_string(format!("{full}/file"));
    let names = std::fs::read_dir(&full).unwrap().count();
    let unmounted = std::process::Command::new("umount").arg(&full).status().unwrap();
    assert!(unmounted.success());
    assert_eq!((left.unwrap().as_str(), names), ("small\n", 1));
    let Outcome::Failed(failure) = &outcomes(&report)[0] else { panic!("{}", told(&report)) };
    assert!(failure.reason.starts_with("cannot be written: "), "{failure:?}");
    assert!(failure.reason.ends_with(" KiB are free there"), "{failure:?}");
}
