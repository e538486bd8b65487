//! Nobody's change is rolled back.

use super::*;

async fn once(hosts: &Hosts, node: &FakeNode, file: &File, overwrite: bool) -> String {
    let plan = plan(node.id(), vec![Step::file(file.clone())]);
    let found = engine::preview(hosts, &plan, overwrite).await;
    let report = apply_with(hosts, &plan, overwrite, &no_events()).await;
    let now = std::fs::read_to_string(&file.path).unwrap().trim().to_owned();
    format!("{:?} then {:?}: {now}", found.get(0, &node.id(), 0).unwrap().found, outcomes(&report)[0])
}

#[tokio::test]
async fn a_file_that_somebody_changed_since_our_last_write_is_kept() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let file = |text: &str| File::text(node.path("manifest"), format!("{text}\n")).unless_changed();
    let write = |text: &str| std::fs::write(node.path("manifest"), format!("{text}\n")).unwrap();
    let mut lines = vec![
        format!("first write: {}", once(&hosts, &node, &file("one"), false).await),
        format!("again: {}", once(&hosts, &node, &file("one"), false).await),
        format!("we want another: {}", once(&hosts, &node, &file("two"), false).await),
    ];
    write("by hand");
    lines.push(format!("changed by hand: {}", once(&hosts, &node, &file("two"), false).await));
    lines.push(format!("and we want another: {}", once(&hosts, &node, &file("three"), false).await));
    lines.push(format!("overwriting: {}", once(&hosts, &node, &file("three"), true).await));
    lines.push(format!("ours again: {}", once(&hosts, &node, &file("four"), false).await));
    write("five");
    lines.push(format!("somebody wrote what we want: {}", once(&hosts, &node, &file("five"), false).await));
    std::fs::remove_file(node.path("manifest")).unwrap();
    lines.push(format!("removed: {}", once(&hosts, &node, &file("five"), false).await));
    std::fs::remove_dir_all(node.beside("state/wrote")).unwrap();
    lines.push(format!("nothing recorded, the same: {}", once(&hosts, &node, &file("five"), false).await));
    lines.push(format!("nothing recorded, another: {}", once(&hosts, &node, &file("six"), false).await));
    insta::assert_snapshot!("kept_files", lines.join("\n"));
}

#[tokio::test]
async fn the_record_of_a_write_is_what_sha256sum_checks() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let file = File::text(node.path("etc/manifest.yaml"), "bytes\n").unless_changed();
    assert!(apply(&hosts, &plan(node.id(), vec![Step::file(file.clone())])).await.is_complete());
    let record = node.beside("state/wrote").join(file.path.replace('/', "!"));
    let check = std::process::Command::new("sha256sum").arg("-c").arg(record).output().unwrap();
    assert!(check.status.success(), "{check:?}");
}

#[tokio::test]
async fn what_a_probe_calls_changed_is_kept_unless_overwritten() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let done = Script::new(
        "case $(cat \"$FILE\" 2>/dev/null) in ours) ;; '') exit 1 ;; *) echo 'edited'; exit 3 ;; esac",
    );
    let run = Script::new("echo ours >\"$FILE\"");
    let set = |script: Script| script.set("FILE", &node.path("map"));
    let leaf = File::text(node.path("leaf"), "ours\n").holds(done.clone().set("FILE", &node.path("leaf")));
    let plan = plan(node.id(), vec![Step::run("map", set(done), set(run)), Step::file(leaf)]);
    assert_eq!(outcomes(&apply(&hosts, &plan).await), [Outcome::Changed, Outcome::Changed]);
    std::fs::write(node.path("map"), "theirs\n").unwrap();
    std::fs::write(node.path("leaf"), "theirs\n").unwrap();
    let kept = || Outcome::Kept("edited".to_owned());
    assert_eq!(outcomes(&apply(&hosts, &plan).await), [kept(), kept()]);
    assert!(engine::preview(&hosts, &plan, false).await.nothing_to_do());
    let overwritten = apply_with(&hosts, &plan, true, &no_events()).await;
    assert_eq!(outcomes(&overwritten), [Outcome::Changed, Outcome::Changed]);
    assert_eq!(std::fs::read_to_string(node.path("leaf")).unwrap(), "ours\n");
}

#[tokio::test]
async fn a_file_of_ours_is_removed_and_a_changed_one_is_kept() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let file = |name: &str| File::text(node.path(name), "ours\n").unless_changed();
    let absent = |name: &str| Step::file(File::absent(node.path(name)).unless_changed());
    let both = vec![Step::file(file("one")), Step::file(file("two"))];
    assert!(apply(&hosts, &plan(node.id(), both)).await.is_complete());
    std::fs::write(node.path("two"), "theirs\n").unwrap();
    let report = apply(&hosts, &plan(node.id(), vec![absent("one"), absent("two")])).await;
    assert_eq!(outcomes(&report), [Outcome::Changed, Outcome::Kept("is there, by another hand".to_owned())]);
}

/// An archive whose contents are where they belong need not come again.
#[tokio::test]
async fn a_file_that_its_probe_can_do_without_is_not_brought() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let archive = File::text(node.path("archive"), "bytes\n").holds(Script::nothing());
    let plan = plan(node.id(), vec![Step::file(archive)]);
    assert!(engine::preview(&hosts, &plan, false).await.nothing_to_do());
    assert_eq!(outcomes(&apply(&hosts, &plan).await), [Outcome::Unchanged]);
    assert!(!std::path::Path::new(&node.path("archive")).exists());
}
