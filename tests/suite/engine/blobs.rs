//! Large files on their own channel.

use super::*;
use crate::fake_node::When;
use step::Digest;

/// Bytes that do not repeat.
fn bytes(size: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..size).map(next).collect()
}

struct Files {
    _folder: tempfile::TempDir,
    blobs: Blobs,
    digests: Vec<(Digest, u64)>,
}

fn files(sizes: &[usize]) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let mut blobs = Blobs::new();
    let mut digests = Vec::new();
    for (i, size) in sizes.iter().enumerate() {
        let bytes = bytes(*size, u8::try_from(i).unwrap());
        let path = folder.path().join(i.to_string());
        std::fs::write(&path, &bytes).unwrap();
        let digest = Digest::of(&bytes);
        blobs.insert(digest, path);
        digests.push((digest, *size as u64));
    }
    Files { _folder: folder, blobs, digests }
}

async fn run(hosts: &Hosts, plan: &Plan, files: &Files, events: &Events) -> Report {
    let settings = Settings { preview: None, blobs: &files.blobs, overwrite: false };
    engine::apply(hosts, plan, &settings, events).await
}

fn programs(node: &FakeNode, files: &Files) -> Plan {
    let step = |(i, (digest, size)): (usize, &(Digest, u64))| {
        Step::file(File::program(node.path(&format!("bin/{i}")), *digest, *size))
    };
    plan(node.id(), files.digests.iter().enumerate().map(step).collect())
}

fn store(node: &FakeNode) -> usize {
    std::fs::read_dir(node.beside("state/blobs")).map_or(0, |store| store.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_sent_installed_and_not_sent_again() {
    let node = FakeNode::start("cp1").await;
    let files = files(&[0, 1, 300_000, 3_000_000]);
    let hosts = connect(&[&node]).await;
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let plan = programs(&node, &files);
    let report = run(&hosts, &plan, &files, &events).await;
    assert!(report.is_complete() && report.changed() == 4, "{}", told(&report));
    let largest = std::fs::read(node.path("bin/3")).unwrap();
    assert_eq!(Digest::of(&largest), files.digests[3].0);
    assert_eq!(store(&node), 0, "what is installed is stored no more");
    let progress: Vec<(u64, u64)> = drain(&mut seen)
        .into_iter()
        .filter_map(|event| match event {
            Event::BlobProgress { sha256, sent, size, .. } if sha256 == files.digests[3].0 => {
                Some((sent, size))
            }
            _ => None,
        })
        .collect();
    assert_eq!(progress.last(), Some(&(3_000_000, 3_000_000)));
    let before = report.traffic[&node.id()].sent;
    let second = run(&hosts, &plan, &files, &events).await;
    assert_eq!(second.changed(), 0);
    assert!(second.traffic[&node.id()].sent - before < 60_000, "nothing large is sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_was_cut_off_is_resumed() {
    let node = FakeNode::start("cp1").await;
    let files = files(&[8_000_000]);
    let hosts = connect(&[&node]).await;
    node.faults.cut(When::Input(5_000_000), false);
    let report = run(&hosts, &programs(&node, &files), &files, &no_events()).await;
    assert!(report.is_complete(), "{}", told(&report));
    assert!(!node.faults.pending(), "it was cut");
    let sent = report.traffic[&node.id()].sent;
    assert!(sent < 12_500_000, "{sent} bytes: what had arrived was not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_with_other_bytes_is_sent_anew() {
    let node = FakeNode::start("cp1").await;
    let files = files(&[500_000]);
    let part = node.beside("state/blobs").join(format!("{}.part", files.digests[0].0));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(part, bytes(100_000, 77)).unwrap();
    let hosts = connect(&[&node]).await;
    let report = run(&hosts, &programs(&node, &files), &files, &no_events()).await;
    assert!(report.is_complete(), "{}", told(&report));
}

#[tokio::test]
async fn a_blob_whose_file_is_wrong_or_missing_stops_its_host() {
    let node = FakeNode::start("cp1").await;
    let hosts = connect(&[&node]).await;
    let mut files = files(&[1000]);
    let plan = programs(&node, &files);
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), bytes(1000, 9)).unwrap();
    files.blobs.insert(files.digests[0].0, other.path());
    let wrong = told(&run(&hosts, &plan, &files, &no_events()).await);
    files.blobs = Blobs::new();
    let missing = told(&run(&hosts, &plan, &files, &no_events()).await);
    insta::assert_snapshot!("bad_blobs", format!("{wrong}\n\n{missing}"));
    assert_eq!(store(&node), 0);
}
