//! Stages: order, needs, requirements, hosts that drop out.

use super::*;

fn failing() -> Step {
    Step::run("fail", Script::new("exit 1"), Script::new("echo 'no luck'; exit 9"))
}

fn lane(node: &FakeNode, steps: Vec<Step>) -> Lane {
    Lane { on: node.id(), steps }
}

async fn three() -> [FakeNode; 3] {
    [FakeNode::start("cp1").await, FakeNode::start("cp2").await, FakeNode::start("cp3").await]
}

#[tokio::test]
async fn a_host_that_fails_takes_no_part_in_later_stages() {
    let [one, two, three] = three().await;
    let hosts = connect(&[&one, &two]).await;
    let plan = Plan {
        stages: vec![
            stage(
                "first",
                Order::Together,
                vec![lane(&one, vec![failing()]), lane(&two, vec![mark(&two, "a")]), lane(&three, vec![])],
            ),
            stage(
                "second",
                Order::Together,
                vec![lane(&one, vec![mark(&one, "b")]), lane(&two, vec![mark(&two, "b")])],
            ),
        ],
    };
    insta::assert_snapshot!("host_drops_out", told(&apply(&hosts, &plan).await));
    assert!(!std::path::Path::new(&one.path("b")).exists());
}

#[tokio::test]
async fn one_by_one_stops_at_the_first_failure() {
    let [one, two, three] = three().await;
    let hosts = connect(&[&one, &two, &three]).await;
    let lanes = vec![
        lane(&one, vec![mark(&one, "a")]),
        lane(&two, vec![failing()]),
        lane(&three, vec![mark(&three, "a")]),
    ];
    let later = vec![lane(&one, vec![mark(&one, "b")]), lane(&three, vec![mark(&three, "b")])];
    let plan =
        Plan { stages: vec![stage("roll", Order::OneByOne, lanes), stage("later", Order::Together, later)] };
    insta::assert_snapshot!("one_by_one", told(&apply(&hosts, &plan).await));
}

#[tokio::test]
async fn a_stage_starts_while_its_needs_hold() {
    let [one, two, three] = three().await;
    let hosts = connect(&[&one, &two, &three]).await;
    let all = || vec![one.id(), two.id(), three.id()];
    let mut stages = Vec::new();
    for (name, fails) in [("first", None), ("second", Some(0)), ("third", Some(1)), ("fourth", None)] {
        let steps = |i: usize, node: &FakeNode| {
            if fails == Some(i) { vec![failing()] } else { vec![mark(node, name)] }
        };
        let lanes =
            [&one, &two, &three].iter().enumerate().map(|(i, node)| lane(node, steps(i, node))).collect();
        let mut stage = stage(name, Order::Together, lanes);
        stage.needs = Needs { of: all(), at_least: 2 };
        stages.push(stage);
    }
    insta::assert_snapshot!("needs", told(&apply(&hosts, &Plan { stages }).await));
}

#[tokio::test]
async fn all_problems_of_all_hosts_are_told_before_anything_is_changed() {
    let [one, two, three] = three().await;
    let hosts = connect(&[&one, &two, &three]).await;
    let require = |title: &str, script: &str| Step::new(title, step::Change::Require(Script::new(script)));
    let memory = || require("memory", "echo '1.7 GB is too little'; exit 1");
    let port = || require("port 6443", "echo 'used by pid 7 (nginx)'; exit 1");
    let good = || require("a kernel", "true");
    let plan = Plan {
        stages: vec![
            stage(
                "prepare",
                Order::Together,
                vec![
                    lane(&one, vec![memory(), good(), mark(&one, "a"), port()]),
                    lane(&two, vec![good(), mark(&two, "a")]),
                    lane(&three, vec![port(), mark(&three, "a")]),
                ],
            ),
            stage("later", Order::Together, vec![lane(&two, vec![mark(&two, "b")])]),
        ],
    };
    insta::assert_snapshot!("requirements", told(&apply(&hosts, &plan).await));
    let nothing = |node: &FakeNode| std::fs::read_dir(node.path("")).unwrap().count() == 0;
    assert!(nothing(&one) && nothing(&two) && nothing(&three));
    let good = Plan {
        stages: vec![stage("prepare", Order::Together, vec![lane(&two, vec![good(), mark(&two, "a")])])],
    };
    assert_eq!(outcomes(&apply(&hosts, &good).await), [Outcome::Unchanged, Outcome::Changed]);
}
