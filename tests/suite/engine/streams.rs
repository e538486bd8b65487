//! Scripts whose output is handed on as it comes.

use super::*;
use engine::{ExecError, Pipe};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// Output and exit status of a script that reads `input`.
async fn streamed(hosts: &Hosts, script: &Script, input: Option<Vec<u8>>) -> (Vec<u8>, Vec<u8>, i32) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let input = input.map(|bytes| Box::new(std::io::Cursor::new(bytes)) as engine::Rest);
    let mut take = |pipe, bytes: &[u8]| {
        if pipe == Pipe::Out { &mut out } else { &mut err }.extend_from_slice(bytes);
        ControlFlow::Continue(())
    };
    let on = hosts.ids().next().unwrap();
    let run = engine::stream(hosts, on, script, input, &mut take);
    let status = tokio::time::timeout(Duration::from_secs(30), run).await.expect("it ends").unwrap();
    (out, err, status)
}

#[tokio::test(flavor = "multi_thread")]
async fn output_comes_while_the_script_runs() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let heard = node.path("heard");
    let script = Script::new(
        "echo first; until [ -e \"$HEARD\" ]; do sleep 0.05; done; echo second; echo third >&2; exit 7",
    )
    .set("HEARD", &heard);
    let mut said = String::new();
    let mut take = |pipe, bytes: &[u8]| {
        said.push_str(&format!("{pipe:?} {}", String::from_utf8_lossy(bytes)));
        if bytes == b"first\n" {
            std::fs::write(&heard, "").unwrap();
        }
        ControlFlow::Continue(())
    };
    let id = node.id();
    let run = engine::stream(&hosts, &id, &script, None, &mut take);
    let status = tokio::time::timeout(Duration::from_secs(30), run).await.expect("the first line came");
    assert_eq!(status.unwrap(), 7);
    assert!(said.starts_with("Out first\n"), "nothing of the login shell's: {said}");
    assert!(said.contains("Out second\n") && said.contains("Err third\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn input_is_handed_over_byte_by_byte_and_its_end_is_told() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i ^ (i >> 7)) as u8).collect();
    let (out, err, status) =
        streamed(&hosts, &Script::new("cat; echo ended >&2; exit 3"), Some(bytes.clone())).await;
    assert_eq!((status, String::from_utf8_lossy(&err).as_ref()), (3, "ended\n"));
    assert!(out == bytes, "{} bytes came back of {}", out.len(), bytes.len());
    let (out, _, status) = streamed(&hosts, &Script::new("wc -c"), None).await;
    assert_eq!((out, status), (b"0\n".to_vec(), 0), "without input there is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_nobody_listens_any_more() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let endless = Script::new("while echo more; do :; done");
    let mut heard = 0;
    let mut take = |_, _: &[u8]| {
        heard += 1;
        if heard > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert_eq!(engine::stream(&hosts, &node.id(), &endless, None, &mut take).await.unwrap(), 141);
    // A silent program does not notice by itself.
    let silent = Script::new("echo $$ >\"$PID\"; exec sleep 60").set("PID", &node.path("pid"));
    let mut take = |_, _: &[u8]| ControlFlow::Continue(());
    let id = node.id();
    let run = engine::stream(&hosts, &id, &silent, None, &mut take);
    assert!(tokio::time::timeout(Duration::from_secs(2), run).await.is_err());
    drop(hosts);
    let shell = std::fs::read_to_string(node.path("pid")).unwrap();
    gone(&shell).await;
}

/// Waits until a process has ended.
async fn gone(pid: &str) {
    let process = format!("/proc/{}", pid.trim());
    for _ in 0..200 {
        if !Path::new(&process).exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("process {pid} is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_told_from_what_the_script_did() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let mut take = |_, _: &[u8]| ControlFlow::Continue(());
    node.faults.cut(crate::fake_node::When::AfterOutput("cut here".into()), false);
    let cut = Script::new("echo cut here; sleep 5");
    let error = engine::stream(&hosts, &node.id(), &cut, None, &mut take).await.unwrap_err();
    assert!(matches!(error, ExecError::Lost { .. }), "{error}");
    let hosts = connect(&[&node]).await;
    node.faults.force_command("echo This account is not available.; exit 1");
    let error = engine::stream(&hosts, &node.id(), &cut, None, &mut take).await.unwrap_err();
    assert!(error.to_string().contains("it said `This account is not available.`"), "{error}");
}
