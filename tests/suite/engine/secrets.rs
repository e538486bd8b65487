//! A secret is seen by nobody but the file or the script that it is for.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The poison is put together at run time, so that it is in no argument of the test itself.
fn poison(of: &str) -> String {
    ["po", "is", "on", "-", of, "-value"].concat()
}

/// Looks into the arguments and the environment of every process until told to stop.
fn watch(needle: &'static str, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut found = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            for process in std::fs::read_dir("/proc").unwrap().flatten() {
                for file in ["cmdline", "environ"] {
                    let bytes = std::fs::read(process.path().join(file)).unwrap_or_default();
                    let text = String::from_utf8_lossy(&bytes);
                    if text.contains(needle) {
                        found.push(text.into_owned());
                    }
                }
            }
        }
        found
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_event_journal_argument_environment_or_error() {
    let node = FakeNode::start("cp1").await;
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = watch("poison-", stop.clone());
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let hosts = connect_with(&[&node], node.options(), &events).await;
    let secret = |of: &str| Secret::new(poison(of));
    let at = |name: &str| node.path(name);
    let leaks = Script::new("cat; cat \"$KEY\" >&2; exit 3").set("KEY", &at("key")).input(secret("act"));
    let steps = vec![
        Step::file(File::secret(at("key"), secret("file"))),
        Step::run(
            "probe",
            Script::new("cat; [ -s \"$KEY\" ]").set("KEY", &at("key")).input(secret("probe")),
            leaks.clone(),
        ),
        Step::run("act", Script::new("cat; exit 1").input(secret("reason")), leaks),
    ];
    let plan = plan(node.id(), steps);
    let found = engine::preview(&hosts, &plan, false).await;
    let report = apply_with(&hosts, &plan, false, &events).await;
    let ask = step::Ask {
        script: Script::new("sleep 0.1; cat >/dev/null").input(secret("ask")),
        parse: |_| Ok(()),
    };
    engine::ask(&hosts, &node.id(), &ask, std::time::Duration::from_secs(20)).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let seen = drain(&mut seen);
    let journal = node.beside("journal");
    let mut writer = engine::Journal::open(&journal, "run", || "now".to_owned()).unwrap();
    seen.iter().for_each(|event| writer.write(event).unwrap());
    let places = [
        ("events", format!("{seen:?}")),
        ("journal", std::fs::read_to_string(journal).unwrap()),
        ("preview", format!("{found:?}")),
        ("report", format!("{report:?} {}", told(&report))),
        ("plan", format!("{plan:?}")),
        ("commands", node.faults.commands().join("\n")),
        ("systemd-run", std::fs::read_to_string(node.beside("argv")).unwrap()),
        ("arguments and environments", watcher.join().unwrap().join("\n")),
    ];
    for (place, text) in places {
        assert!(!text.contains("poison-"), "{place}: {text}");
        assert!(!text.is_empty() || place.starts_with("arguments"), "{place} is empty");
    }
    assert!(
        matches!(&outcomes(&report)[2], Outcome::Failed(failure) if failure.output.contains("[secret]")),
        "{report:?}"
    );
    assert_eq!(std::fs::read_to_string(at("key")).unwrap(), poison("file"));
    let left = std::process::Command::new("grep")
        .arg("-rl")
        .arg("poison-")
        .arg(node.beside("run"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(left.stdout).unwrap(), "", "nothing is left in the spool");
}

#[test]
fn the_watcher_sees_an_argument_and_an_environment() {
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = watch("canary-", stop.clone());
    let canary = ["can", "ary-1"].concat();
    let children = [
        std::process::Command::new("sh").args(["-c", "sleep 1", &canary]).spawn(),
        std::process::Command::new("sleep").arg("1").env("CANARY", &canary).spawn(),
    ];
    children.into_iter().for_each(|child| drop(child.unwrap().wait()));
    stop.store(true, Ordering::Relaxed);
    let found = watcher.join().unwrap();
    assert!(found.iter().any(|text| text.contains("sleep 1")), "{found:?}");
    assert!(found.iter().any(|text| text.contains("CANARY=")), "{found:?}");
}
