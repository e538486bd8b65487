//! Bad input to the real binary: one clear message with a hint, the documented exit code, nothing half-written.

use crate::program::Program;
use std::os::unix::fs::PermissionsExt;

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
fn what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let memory = "/proc/self/mem".to_owned();
    std::fs::write(at("latin1"), b"# caf\xe9\n").unwrap();
    for (path, words) in [
        (at("pipe"), ["pipe: is no file", "hint: "]),
        (memory.clone(), ["/proc/self/mem: cannot be read: Input/output error", "hint: "]),
        (at("latin1"), ["latin1: is no UTF-8 text", "hint: "]),
        (at("no/such.toml"), ["such.toml: cannot be read: No such file", "rekindle init"]),
    ] {
        says(&refused(&["up", "-i", &path], None), &words);
    }
    let password = ["up", "--sudo-password-file", &memory];
    says(&refused(&password, Some(NOBODY)), &["/proc/self/mem: cannot be read", "hint: "]);
    let unread_known_hosts = format!("{NOBODY}[ssh]\nknown-hosts = \"/proc/self\"\n");
    says(
        &refused(&["up"], Some(&unread_known_hosts)),
        &["error: /proc/self: cannot be read or written: Is a directory", "hint: name another file"],
    );
}

#[test]
fn an_inventory_of_somebody_else() {
    let program = Program::build();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.toml");
    std::fs::write(&path, NOBODY).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let run = program.run(&["up", "-i", path.to_str().unwrap()]).without_rights(&program);
    let ended = run.expect(2);
    says(&ended.stderr, &["theirs.toml: cannot be read: Permission denied", "hint: it belongs to somebody"]);
}

#[test]
fn a_question_without_a_terminal() {
    if !Program::can_make_labs() {
        println!("skipped: `lab up` asks root only");
        return;
    }
    let program = Program::build();
    let labs = tempfile::tempdir().unwrap();
    // In a mount namespace of its own, where one of the programs is none.
    let script = "at=$(command -v mmdebstrap) && mount --bind /dev/null \"$at\"; exec \"$0\" lab up";
    let ended = program
        .run(&[])
        .by(&["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script])
        .env("REKINDLE_LAB_HOME", labs.path())
        .expect(2);
    says(&ended.stderr, &["error: a lab needs mmdebstrap", "apt-get install", "hint: --yes installs them"]);
    assert_eq!(std::fs::read_dir(labs.path()).unwrap().count(), 0);
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
