//! What would be done.

use super::*;
use engine::{Found, Settings, preview};
use std::time::Duration;
use step::{Ask, Output};

#[tokio::test]
async fn a_preview_tells_what_would_be_done_and_changes_nothing() {
    let node = FakeNode::start("cp1").await;
    std::fs::create_dir_all(node.path("etc")).unwrap();
    std::fs::write(node.path("etc/one.conf"), "old text\n").unwrap();
    std::fs::write(node.path("absent"), "old").unwrap();
    std::fs::write(node.path("leaf"), "wanted, by somebody\n").unwrap();
    let hosts = connect(&[&node]).await;
    let mut plan = plan(node.id(), twelve(&node));
    plan.stages[0].lanes[0].steps.extend([
        Step::new("require memory", step::Change::Require(Script::new("echo 'too little memory'; exit 1"))),
        Step::run("upgraded by hand", Script::new("echo 'is 1.36.4'; exit 3"), Script::new("exit 1")),
        Step::run("asks too early", Script::new("no-such-program"), Script::nothing()),
    ]);
    let before = tree(&node);
    let found = preview(&hosts, &plan, false).await;
    assert_eq!(tree(&node), before);
    assert!(!found.nothing_to_do());
    let lines: Vec<String> = found
        .steps()
        .map(|(_, _, step, previewed)| {
            let title = &plan.stages[0].lanes[0].steps[step].title;
            let current = previewed.current.as_ref().map(|bytes| String::from_utf8_lossy(bytes));
            format!(
                "{title}: {:?}{}",
                previewed.found,
                current.map(|text| format!(" {text:?}")).unwrap_or_default()
            )
        })
        .collect();
    insta::assert_snapshot!("preview", masked(&lines.join("\n")));
    let overwriting = preview(&hosts, &plan, true).await;
    assert_eq!(overwriting.get(0, &node.id(), 13).unwrap().found, Found::Open("is 1.36.4".into()));
}

#[tokio::test]
async fn a_probe_that_hangs_is_ended_with_all_that_it_began_and_the_others_are_asked() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let hang = |name: &str, body: &str| {
        let probe = Script::new(format!("{body} echo $! >\"$PID\"; wait")).set("PID", &node.path(name));
        Step::run(name, probe, Script::nothing()).within(1)
    };
    let steps =
        vec![hang("polite", "sleep 600 &"), hang("deaf", "trap '' TERM; sleep 600 &"), mark(&node, "after")];
    std::fs::create_dir_all(node.path("")).unwrap();
    let found = preview(&hosts, &plan(node.id(), steps), false).await;
    let found = |step| found.get(0, &node.id(), step).unwrap().found.clone();
    for step in [0, 1] {
        assert_eq!(found(step), Found::Unknown("not done within 1 s".to_owned()));
    }
    assert!(matches!(found(2), Found::Open(_)), "{:?}", found(2));
    for name in ["polite", "deaf"] {
        let pid = std::fs::read_to_string(node.path(name)).unwrap();
        let lives = std::path::Path::new("/proc").join(pid.trim()).join("exe").exists();
        assert!(!lives, "what `{name}` began still runs");
    }
}

fn whole(output: &Output) -> Result<String, step::Unreadable> {
    Ok(output.stdout.clone())
}

#[tokio::test]
async fn where_nothing_is_open_two_round_trips_tell_so() {
    let node = FakeNode::start("cp1").await;
    let first = connect(&[&node]).await;
    let plan = Plan {
        stages: vec![
            stage("files", Order::Together, vec![Lane { on: node.id(), steps: twelve(&node) }]),
            stage("more", Order::OneByOne, vec![Lane { on: node.id(), steps: vec![mark(&node, "d")] }]),
        ],
    };
    assert!(apply(&first, &plan).await.is_complete());
    let hosts = connect(&[&node]).await;
    let question = Ask { script: Script::new("hostname"), parse: whole };
    engine::ask_all(&hosts, &question, Duration::from_secs(10)).await[&node.id()].as_ref().unwrap();
    let found = preview(&hosts, &plan, false).await;
    assert!(found.nothing_to_do());
    let settings = Settings { preview: Some(&found), blobs: &Blobs::new(), overwrite: false };
    let report = engine::apply(&hosts, &plan, &settings, &no_events()).await;
    assert!(report.is_complete() && report.changed() == 0, "{}", told(&report));
    let traffic = report.traffic[&node.id()];
    assert_eq!(traffic.round_trips, 2);
    println!("sent {} bytes, received {}", traffic.sent, traffic.received);
}

#[tokio::test]
async fn with_a_preview_only_lanes_with_an_open_step_run() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let lane = |name| vec![Lane { on: node.id(), steps: vec![mark(&node, name)] }];
    let plan = Plan {
        stages: vec![stage("one", Order::Together, lane("a")), stage("two", Order::Together, lane("b"))],
    };
    std::fs::write(node.path("a"), "done\n").unwrap();
    let found = preview(&hosts, &plan, false).await;
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let settings = Settings { preview: Some(&found), blobs: &Blobs::new(), overwrite: false };
    let report = engine::apply(&hosts, &plan, &settings, &events).await;
    assert_eq!(outcomes(&report), [Outcome::Unchanged, Outcome::Changed]);
    let started: Vec<String> = drain(&mut seen)
        .into_iter()
        .filter_map(|event| match event {
            Event::LaneStarted { stage, .. } => Some(stage),
            _ => None,
        })
        .collect();
    assert_eq!(started, ["two"]);
}
