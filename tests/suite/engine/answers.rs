//! Questions and what comes of them.

use super::*;
use engine::{AskError, ask, ask_all};
use std::time::Duration;
use step::{Ask, Output, Unreadable};

const SOON: Duration = Duration::from_secs(20);

fn whole(output: &Output) -> Result<Output, Unreadable> {
    Ok(output.clone())
}

fn number(output: &Output) -> Result<u32, Unreadable> {
    output.stdout.trim().parse().map_err(|_| Unreadable(format!("`{}` is no number", output.stdout.trim())))
}

#[tokio::test]
async fn an_answer_is_what_the_script_wrote_whatever_the_login_says() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let scripts = [
        Script::new("echo one; echo two >&2; printf 'no end'"),
        Script::new("exit 3"),
        Script::new("false; echo not reached"),
        Script::new("cat").input(Secret::new("first 'line'\nsecond $line")),
        Script::new("cat").input(Secret::new(vec![b'x', 0, 1, 10])),
        Script::new("printf '%s|' \"$VALUE\" \"$#\" \"${USER-unset}\" \"$LC_ALL\"")
            .set("VALUE", "it's $(id)"),
        Script::new("echo MARK begin; echo MARK end 0"),
        Script::new("if"),
    ];
    let mut lines = Vec::new();
    for script in scripts {
        let text = script.text();
        let output = ask(&hosts, &node.id(), &Ask { script, parse: whole }, SOON).await.unwrap();
        lines.push(format!("{text}\n  {output:?}"));
    }
    insta::assert_snapshot!("answers", lines.join("\n"));
}

#[tokio::test]
async fn a_question_without_an_answer_says_why() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let questions = [
        ("no number", Script::new("echo many; echo 'cannot count' >&2; exit 1"), SOON),
        ("no end", Script::new("sleep 600"), Duration::from_secs(1)),
        ("a flood", Script::new("yes"), SOON),
    ];
    let mut lines = Vec::new();
    for (what, script, within) in questions {
        let error = ask(&hosts, &node.id(), &Ask { script, parse: number }, within).await.unwrap_err();
        lines.push(format!("{what}: {error}"));
    }
    let unknown =
        ask(&hosts, &HostId::new("cp9"), &Ask { script: Script::nothing(), parse: number }, SOON).await;
    lines.push(format!("no host: {}", unknown.unwrap_err()));
    node.faults.force_command("echo 'This account is not available.'; exit 1");
    let shell =
        ask(&hosts, &node.id(), &Ask { script: Script::nothing(), parse: number }, SOON).await.unwrap_err();
    let AskError::Exec(shell) = shell else { panic!("{shell}") };
    lines.push(format!("a strange shell: {shell}\n  hint: {}", shell.hint().unwrap()));
    insta::assert_snapshot!("no_answers", lines.join("\n"));
}

#[tokio::test]
async fn all_hosts_are_asked_at_once_and_none_waits_for_another() {
    let nodes = [FakeNode::start("cp1").await, FakeNode::start("cp2").await, FakeNode::start("cp3").await];
    let hosts = connect(&[&nodes[0], &nodes[1], &nodes[2]]).await;
    nodes[1].faults.force_command("sleep 600");
    nodes[2].faults.cut(crate::fake_node::When::Exec(1), false);
    let answers =
        ask_all(&hosts, &Ask { script: Script::new("echo 7"), parse: number }, Duration::from_secs(5)).await;
    let shown: Vec<String> = answers
        .iter()
        .map(|(host, answer)| match answer {
            Ok(number) => format!("{host}: {number}"),
            Err(AskError::Deadline { .. }) => format!("{host}: too late"),
            Err(AskError::Exec(error)) if error.is_lost() => format!("{host}: lost"),
            Err(error) => format!("{host}: {error}"),
        })
        .collect();
    assert_eq!(shown, ["cp1: 7", "cp2: too late", "cp3: lost"]);
}
