//! The laws of the design that can be read off the sources. The others are proved by running: law 3 and 5 end to
//! end, law 6 on the fake node, law 12 on the lab.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Law 1, the table of crates/README.md: who imports whom.
const IMPORTS: [(&str, &[&str]); 9] = [
    ("step", &[]),
    ("inventory", &[]),
    ("pki", &["inventory"]),
    ("plan", &["step", "inventory", "pki"]),
    ("engine", &["step"]),
    ("archive", &[]),
    ("artifacts", &[]),
    ("lab", &[]),
    ("rekindle", &["step", "inventory", "pki", "plan", "engine", "archive", "artifacts", "lab"]),
];

#[test]
fn law_1_a_crate_imports_only_what_the_table_allows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let normal = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null());
        let names =
            normal.map(|dependency| dependency["name"].as_str().unwrap()).filter(|name| ours.contains(name));
        imports.insert(package["name"].as_str().unwrap(), names.collect());
    }
    for (name, allowed) in IMPORTS {
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert_eq!(imports[name], allowed, "{name}");
    }
    let known: BTreeSet<&str> = IMPORTS.iter().map(|(name, _)| *name).chain(["tests"]).collect();
    assert_eq!(ours, known, "a crate that the table does not know");
}

/// Every Rust and shell source of a crate, without its tests.
fn sources(name: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates").join(name).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let test = path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testdata");
            if path.is_dir() && !test {
                folders.push(path);
            } else if !test && path.extension().is_some_and(|ending| ending == "rs" || ending == "sh") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
                found.push((path, code));
            }
        }
    }
    assert!(!found.is_empty(), "{name} has no sources");
    found
}

fn assert_absent(crates: &[&str], words: &[&str]) {
    for name in crates {
        for (path, text) in sources(name) {
            for (i, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                for word in words {
                    assert!(!code.contains(word), "{}:{}: `{word}`", path.display(), i + 1);
                }
            }
        }
    }
}

#[test]
fn law_7_the_engine_knows_no_kubernetes() {
    for name in ["engine", "step"] {
        for (path, text) in sources(name) {
            for word in ["kubeadm", "etcd", "kubelet"] {
                assert!(!text.to_lowercase().contains(word), "{}: `{word}`", path.display());
            }
        }
    }
}

#[test]
fn law_8_only_the_binary_speaks() {
    let silent = ["step", "inventory", "pki", "plan", "engine", "archive", "artifacts", "lab"];
    assert_absent(
        &silent,
        &["println!", "eprintln!", "print!(", "eprint!(", "env::args", "SystemTime::now", "now_utc"],
    );
    // artifacts and lab start programs with an environment of their own; none reads ours.
    assert_absent(&silent, &["env::var(", "env::var_os(", "env::vars"]);
}

#[test]
fn the_pure_crates_do_no_io() {
    let pure = ["step", "inventory", "pki", "plan"];
    assert_absent(
        &pure,
        &["std::fs", "std::net::Tcp", "tokio", "async fn", "Command::new", "Instant::now", "std::io::"],
    );
}

/// The tests above can fail.
#[test]
#[should_panic(expected = "`fn survey`")]
fn a_word_that_is_there_is_found() {
    assert_absent(&["plan"], &["fn survey"]);
}

/// Files stay readable.
#[test]
fn files_are_short() {
    for (name, _) in IMPORTS {
        for (path, text) in sources(name) {
            let lines = text.lines().count();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
        }
    }
}
