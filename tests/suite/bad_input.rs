//! Bad input to the real binary: one clear message with a hint, the documented exit code, nothing half-written.

use crate::program::Program;

/// A cluster whose nodes are on this machine, behind ports that nothing listens on.
const NOBODY: &str = "[cluster]\nname = \"nobody\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
    cp1 = { address = \"10.0.0.11\", ssh = \"127.0.0.1:1\", role = \"control-plane\" }\n";

/// Runs `arguments` with `rekindle.toml` in an empty folder, and returns what was said to a person.
fn refused(arguments: &[&str], inventory: Option<&str>) -> String {
    let program = Program::build();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rekindle.toml");
    if let Some(text) = inventory {
        std::fs::write(&path, text).unwrap();
    }
    let ended = program.run(arguments).folder(folder.path()).expect(2);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, inventory.map(|_| path).into_iter().collect::<Vec<_>>(), "something was written");
    assert!(!program.home().join(".config").exists(), "an identity was made before anything was right");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: ") || ended.stderr.contains("\nerror: "), "{}", ended.stderr);
    ended.stderr
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not said: {text}");
    }
}

#[test]
fn an_inventory_that_is_not_there() {
    for verb in ["check", "up", "plan", "status"] {
        says(&refused(&[verb], None), &["rekindle.toml: cannot be read", "hint: ", "rekindle init"]);
    }
}

#[test]
fn a_folder_instead_of_an_inventory() {
    says(&refused(&["up", "-i", "."], None), &[".: is a folder", "hint: "]);
}

#[test]
fn toml_that_is_none() {
    says(&refused(&["up"], Some("[cluster\nname = 1")), &["rekindle.toml:1:"]);
}

#[test]
fn ten_megabytes() {
    let text = "# nothing\n".repeat(1 << 20);
    says(&refused(&["check"], Some(&text)), &["larger than 1 MiB"]);
}

#[test]
fn every_mistake_in_one_go() {
    let text =
        "[cluster]\nname = \"Prod!\"\nkubernetes = \"1.20.0\"\n[nodes]\ncp1 = { adress = \"10.0.0.1\" }\n";
    says(
        &refused(&["up"], Some(text)),
        &["rekindle.toml:2:", "rekindle.toml:3:", "rekindle.toml:5:", "address"],
    );
}

#[test]
fn a_node_that_nobody_answers_for() {
    says(&refused(&["up"], Some(NOBODY)), &["cp1", "127.0.0.1:1", "connection refused", "hint: "]);
}

#[test]
fn a_kubeconfig_of_a_cluster_that_was_never_made() {
    says(&refused(&["kubeconfig"], Some(NOBODY)), &["the archive is empty", "hint: "]);
}

#[test]
fn help_has_examples_and_completions_are_written() {
    let program = Program::build();
    let help = program.run(&["up", "--help"]).expect(0).stdout;
    says(&help, &["Examples:", "--accept-new", "--overwrite"]);
    let script = program.run(&["completions", "bash"]).expect(0).stdout;
    says(&script, &["_rekindle", "kubeconfig"]);
}
