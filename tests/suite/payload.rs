//! The programs and images of a running cluster are sealed, once, and come back as a folder that takes upstream's place.

use crate::lab_cluster::LabCluster;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Turns the payload on, and off again.
pub fn the_payload_is_sealed_once_and_takes_upstreams_place(cluster: &LabCluster) {
    let before = std::fs::read_to_string(&cluster.inventory).unwrap();
    cluster.edit(|text| text.replace("payload = false", "payload = true"));
    let status = cluster.run("status").expect(5).result();
    assert!(status["complaints"].to_string().contains("are not sealed"), "{status}");

    // Killed when all is encrypted and nothing written yet; the next run goes on from there.
    let encrypted = |event: &Value| event["what"] == "payload: encrypted";
    assert!(cluster.run("up").kill_when(encrypted).is_none(), "it was not killed");
    let archive = cluster.lab.dir().join("archive");
    let files = files_of(&archive);
    let sealed = cluster.run("up").expect(0).result();
    let payload = &sealed["payload"];
    assert_eq!((&payload["new"], &sealed["changed"]), (&true.into(), &0.into()), "{sealed}");
    let names: BTreeSet<String> = show(cluster);
    for name in ["kubelet", "containerd", "images/kube-apiserver_v1.36.3.tar", "rekindle-linux-amd64"] {
        assert!(names.contains(name) || cfg!(not(target_arch = "x86_64")), "{name} in {names:?}");
    }
    let after = files_of(&archive);
    // Who opened the archive is noted once a day.
    let is_proof = |path: &Path| path.components().any(|part| part.as_os_str() == "proof");
    let new = after.difference(&files).filter(|path| !is_proof(path)).count();
    assert_eq!(new, names.len() + 1, "an object each, and the manifest");
    cluster.run("status").expect(0);

    // A second run writes nothing.
    let files = files_of(&archive);
    let again = cluster.run("up").expect(0).result();
    assert_eq!((&again["payload"], files_of(&archive)), (&Value::Null, files), "{again}");

    // What comes back is all that a machine needs that never saw upstream.
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("folder");
    let extract = |to: &Path| {
        let run = cluster.program.run(&["archive", "extract", "--payload", "--output", "json", "-i"]);
        run.arg(&cluster.inventory).arg(to)
    };
    extract(&folder).expect(0);
    let elsewhere = cluster.lab.dir().join("elsewhere.toml");
    let text = std::fs::read_to_string(&cluster.inventory).unwrap();
    let source = format!("source = {{ folder = \"{}\" }}", folder.display());
    assert!(text.contains("source = \"modules\""), "{text}");
    std::fs::write(&elsewhere, text.replace("source = \"modules\"", &source)).unwrap();
    let run = cluster.program.run(&["artifacts", "fetch", "--output", "json", "-i"]).arg(&elsewhere);
    let fetched = run.home(home.path()).expect(0).result();
    let programs = fetched["payload"]["programs"].as_array().unwrap();
    assert!(programs.iter().any(|program| program["name"] == "kubelet"), "{fetched}");
    std::fs::remove_file(&elsewhere).unwrap();

    // Again: what lies there is left. A file that was changed since is not overwritten.
    extract(&folder).expect(0);
    std::fs::write(folder.join("kubectl"), "changed").unwrap();
    let refused = extract(&folder).expect(2);
    assert!(refused.stdout.contains("with other bytes"), "{}", refused.stdout);
    // A damaged object is named, and nothing of it is believed.
    let object = largest(&archive.join("objects"));
    let whole = std::fs::read(&object).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&object, damaged).unwrap();
    let refused = extract(&home.path().join("other")).expect(2);
    assert!(refused.stdout.contains("it is damaged"), "{}", refused.stdout);
    assert!(!home.path().join("other/SHA256SUMS").exists());
    std::fs::write(&object, whole).unwrap();

    std::fs::write(&cluster.inventory, before).unwrap();
    cluster.run("up").expect(0);
}

/// The names in the payload of the newest generation.
fn show(cluster: &LabCluster) -> BTreeSet<String> {
    let run = cluster.program.run(&["archive", "show", "--output", "json", "-i"]).arg(&cluster.inventory);
    let shown = run.expect(0).result();
    let entries = shown["entries"].as_array().unwrap().iter();
    let payload = entries.filter(|entry| entry["set"] == "payload");
    payload.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

fn files_of(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files_of(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

fn largest(folder: &Path) -> PathBuf {
    let size = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    files_of(folder).into_iter().max_by_key(size).unwrap()
}
