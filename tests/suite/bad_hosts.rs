//! Hosts that are not as they should be, to the real binary: each gets one clear message with a hint, the documented
//! exit code, and nothing is written, neither here nor there.

use crate::program::Program;
use crate::sshd_node::SshdNode;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// An inventory in a folder of its own, with nothing beside it but the known hosts.
struct Site {
    program: Program,
    folder: TempDir,
}

impl Site {
    /// Of nodes by name and the rest of their line, reached with this key.
    fn of(nodes: &[(&str, String)], identity: &Path, known_hosts: &str) -> Self {
        let mut text = "[cluster]\nname = \"site\"\nkubernetes = \"1.36.3\"\n[nodes]\n".to_owned();
        for (n, (name, rest)) in nodes.iter().enumerate() {
            text.push_str(&format!("{name} = {{ address = \"10.0.0.{}\", {rest} }}\n", n + 11));
        }
        text.push_str(&format!(
            "[ssh]\nidentity = \"{}\"\n[archive]\nto = [\"./archive\"]\n[host]\ncontainer = true\n",
            identity.display()
        ));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rekindle.toml"), text).unwrap();
        std::fs::write(folder.path().join("known_hosts"), known_hosts).unwrap();
        Self { program: Program::build(), folder }
    }

    /// Of control planes that are known and let us in.
    fn known(nodes: &[&SshdNode]) -> Self {
        let lines: Vec<_> =
            nodes.iter().map(|node| (node.name.as_str(), control_plane(&node.ssh()))).collect();
        let known: String = nodes.iter().map(|node| node.known_as(node.port)).collect();
        Self::of(&lines, &nodes[0].identity(), &known)
    }

    /// What a person is told, where this exit code is expected and nothing may be written.
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let before = files(self.folder.path());
        let ended = self.program.run(arguments).folder(self.folder.path()).expect(code);
        assert_eq!(files(self.folder.path()), before, "something was written: {}", ended.stderr);
        let home: Vec<String> = files(self.program.home()).into_iter().map(|(path, _)| path).collect();
        let allowed = ["/.local/state/rekindle/journal/site.jsonl"];
        assert!(home.iter().all(|path| allowed.contains(&path.as_str())), "{home:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        let said = ended.stderr.split_once("error: ").expect(&ended.stderr).1;
        assert!(!said.contains("error: "), "{said}");
        said.to_owned()
    }
}

fn control_plane(ssh: &str) -> String {
    format!("role = \"control-plane\", ssh = \"{ssh}\"")
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.to_str().unwrap().strip_prefix(folder.to_str().unwrap()).unwrap().to_owned();
                found.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not said: {text}");
    }
}

/// A program on a node that answers instead of the real one.
fn instead_of(program: &str, body: &str) -> String {
    format!(
        "printf '#!/bin/sh\\n%s\\n' '{body}' >/usr/local/sbin/{program}; chmod 755 /usr/local/sbin/{program}\n"
    )
}

fn clock(seconds: i64) -> String {
    instead_of("date", &format!("exec echo $(($(/usr/bin/date +%s) + {seconds}))"))
}

const OTHER_OS: &str = "printf 'ID=alpine\\nVERSION_ID=3.22\\n' >/etc/os-release";

#[test]
fn a_node_that_does_not_let_us_in() {
    if !SshdNode::can_run() {
        return;
    }
    let (node, other) = (SshdNode::start("cp1", ""), SshdNode::start("cp2", ""));
    let (its_key, another) = (node.known_as(node.port), other.known_as(node.port));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let wrong_key = folder.path().join("wrong");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&wrong_key).status();
    assert!(made.unwrap().success());
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let right = file("right", "open sesame\n");
    let wrong = file("wrong-password", "guess\n");
    let good = node.identity();
    let (known, changed) = (node.fingerprint(), other.fingerprint());
    let no_rights = "`deploy` got no root rights";
    for (user, identity, known_hosts, password, words) in [
        ("root", &wrong_key, &its_key, None, vec!["login refused; tried", "/wrong (refused)", "`identity`"]),
        ("root", &pipe, &its_key, None, vec!["/pipe (cannot be read: it is no file)", "hint: name a key"]),
        ("root", &good, &String::new(), None, vec!["host key is not known", &known, "--accept-new"]),
        (
            "root",
            &good,
            &another,
            None,
            vec!["host key changed", &known, &changed, "known_hosts:1", "hint: if"],
        ),
        (
            "nobody",
            &good,
            &its_key,
            None,
            vec!["`nobody` ran no command", "not available", "hint: give `nobody`"],
        ),
        ("deploy", &good, &its_key, None, vec![no_rights, "a password is required", "--sudo-password-file"]),
        (
            "deploy",
            &good,
            &its_key,
            Some(&wrong),
            vec![no_rights, "was not accepted", "hint: log in as root"],
        ),
        ("deploy", &good, &its_key, Some(&right), vec![no_rights, "not in the sudoers file", "hint: log in"]),
    ] {
        let line = format!("user = \"{user}\", {}", control_plane(&node.ssh()));
        let site = Site::of(&[("cp1", line)], identity, known_hosts);
        let flag = password.map(|path| ["--sudo-password-file", path.to_str().unwrap()]);
        let flags: Vec<&str> = flag.into_iter().flatten().collect();
        for (verb, code) in [("up", 2), ("plan", 2), ("status", 4)] {
            let said = site.refused(&[&[verb], &flags[..]].concat(), code);
            says(&said, &["\n  cp1: "]);
            says(&said, &words);
            assert_eq!(said.matches("cp1: ").count(), 1, "told twice: {said}");
        }
    }
    node.assert_untouched();
}

#[test]
fn a_node_that_says_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let site = Site::of(&[("cp1", control_plane(&at))], Path::new("none"), "");
    let said = site.refused(&["up"], 2);
    says(&said, &["cp1: root@", &at, "no answer within 15s", "hint: is the machine on"]);
}

#[test]
fn all_that_is_wrong_with_all_nodes_is_told_at_once() {
    if !SshdNode::can_run() {
        return;
    }
    // In use by us, or by somebody else; only control planes need it.
    let _port = std::net::TcpListener::bind("127.0.0.1:10259");
    let freebsd = instead_of("uname", "[ $1 = -s ] && exec echo FreeBSD; exec /usr/bin/uname $1");
    let nodes = [
        ("cp1", String::new()),
        ("cp2", clock(600)),
        ("w1", OTHER_OS.to_owned()),
        ("w2", freebsd),
        ("w3", clock(-600)),
        ("w4", "rmdir /run/systemd/system".to_owned()),
        ("w5", String::new()),
    ]
    .map(|(name, otherwise)| SshdNode::start(name, &otherwise));
    let role = |node: &SshdNode| if node.name.starts_with('w') { "worker" } else { "control-plane" };
    let mut lines: Vec<(&str, String)> = nodes
        .iter()
        .map(|node| (node.name.as_str(), format!("role = \"{}\", ssh = \"{}\"", role(node), node.ssh())))
        .collect();
    lines.push(("cp3", control_plane("127.0.0.1:1")));
    let known: String = nodes.iter().map(|node| node.known_as(node.port)).collect();
    let site = Site::of(&lines, &nodes[0].identity(), &known);
    for verb in ["up", "plan"] {
        let said = site.refused(&[verb], 2);
        says(
            &said,
            &[
                "nodes are not fit yet",
                "\n  cp1: something listens on port 10259 already (`ss -ltnp",
                "\n  cp2: its clock is 60",
                " s ahead of ours (let it follow a time server",
                "\n  cp2: something listens on port 10259",
                "\n  cp3: root@127.0.0.1:1: connection refused (is sshd running",
                "\n  w1: runs alpine 3.22 (nodes are prepared on Debian and Ubuntu",
                "\n  w2: runs FreeBSD ",
                "\n  w3: its clock is ",
                " s behind ours",
                "\n  w4: does not run systemd (",
                "hint: ",
            ],
        );
        assert!(!said.contains("w5"), "a node that is well is named: {said}");
    }
    says(
        &site.refused(&["status"], 4),
        &["no control plane's apiserver answers", "\n  cp3: ", "hint: is sshd"],
    );
    nodes.iter().for_each(SshdNode::assert_untouched);
}

#[test]
fn a_node_that_is_not_empty_or_another_clusters() {
    if !SshdNode::can_run() {
        return;
    }
    let kubeadms = "mkdir -p /etc/kubernetes/manifests /var/lib/kubelet /var/lib/etcd/member/wal
        touch /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/admin.conf /var/lib/kubelet/config.yaml \
            /var/lib/etcd/member/wal/0-0.wal";
    let marked = "mkdir -p /var/lib/rekindle; echo 0123456789abcdef >/var/lib/rekindle/cluster";
    let (one, two, three) =
        (SshdNode::start("cp1", kubeadms), SshdNode::start("cp2", marked), SshdNode::start("cp3", OTHER_OS));
    let site = Site::known(&[&one, &two, &three]);
    for verb in ["up", "plan"] {
        let said = site.refused(&[verb], 2);
        says(
            &said,
            &[
                "something on these nodes that the archive does not know",
                "\n  cp1: /etc/kubernetes/manifests/etcd.yaml, /etc/kubernetes/admin.conf, /var/lib/kubelet/config.yaml, ",
                "/var/lib/etcd/member/wal/0-0.wal\n",
                "\n  cp2: /var/lib/rekindle/cluster names another cluster, 0123456789abcdef\n",
                "\n  cp3: runs alpine",
                "hint: give the inventory the archive of that cluster, or",
                "kubeadm reset",
            ],
        );
    }
    [one, two, three].iter().for_each(SshdNode::assert_untouched);
}
