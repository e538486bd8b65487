//! Connecting: host keys, users' keys, bastions, root rights.

use super::*;
use crate::fake_node::write_program;
use engine::{ConnectError, SshAddress, Target};
use std::time::Duration;

async fn refused(target: Target, options: Options) -> ConnectError {
    let (hosts, mut failed) = Hosts::connect(vec![target], options, &no_events()).await;
    assert_eq!(hosts.ids().count(), 0);
    failed.remove(0).1
}

fn shown(error: &ConnectError) -> String {
    use std::error::Error as _;
    let source = error.source().map(|source| format!(" ({source})")).unwrap_or_default();
    format!("{}{source}\n  hint: {}", masked(&error.to_string()), error.hint().unwrap_or_default())
}

#[tokio::test]
async fn a_host_whose_key_is_not_the_known_one_gets_nothing() {
    let (node, other) = (FakeNode::start("cp1").await, FakeNode::start("cp2").await);
    let name = format!("[127.0.0.1]:{}", node.address.port());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ssh/known_hosts");
    let mut options = node.options();
    options.ssh.pinned = vec![(name.clone(), other.host_key())];
    let mut errors = vec![refused(node.target(), options.clone()).await];
    options.ssh.pinned.clear();
    options.ssh.known_hosts = vec![file.clone()];
    errors.push(refused(node.target(), options.clone()).await);
    options.ssh.accept_new = true;
    let (hosts, failed) = Hosts::connect(vec![node.target()], options.clone(), &no_events()).await;
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(hosts.host_keys().await[&node.id()], node.host_key());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{name} {}\n", node.host_key()));
    options.ssh.accept_new = false;
    let (_, failed) = Hosts::connect(vec![node.target()], options.clone(), &no_events()).await;
    assert!(failed.is_empty(), "it is known now");
    options.ssh.accept_new = true;
    std::fs::write(&file, format!("{name} {}\n", other.host_key())).unwrap();
    errors.push(refused(node.target(), options.clone()).await);
    std::fs::write(&file, format!("@revoked * {}\n", node.host_key())).unwrap();
    errors.push(refused(node.target(), options).await);
    assert_eq!(node.faults.execs(), 0);
    let mut text = errors.iter().map(shown).collect::<Vec<_>>().join("\n");
    text =
        text.replace(&node.fingerprint(), "SHA256:ITS-OWN").replace(&other.fingerprint(), "SHA256:ANOTHER");
    insta::assert_snapshot!("host_keys", text);
}

#[tokio::test]
async fn an_unreachable_host_is_told_by_class() {
    let node = FakeNode::start("cp1").await;
    let mut options = node.options();
    options.ssh.connect_within = Duration::from_secs(1);
    let at = |host: &str, port| Target::ssh(HostId::new("cp9"), SshAddress::new(host, port, "root"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut errors = vec![
        refused(at("127.0.0.1", closed), options.clone()).await,
        refused(at("no-such-host.invalid", 22), options.clone()).await,
    ];
    node.faults.hang();
    errors.push(refused(node.target(), options).await);
    insta::assert_snapshot!("unreachable", errors.iter().map(shown).collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn a_refused_login_names_what_was_tried() {
    let node = FakeNode::start("cp1").await;
    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str, passphrase: &str| {
        let path = folder.path().join(name);
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", passphrase, "-f", path.to_str().unwrap()])
            .status();
        assert!(made.unwrap().success());
        path
    };
    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, "no key").unwrap();
    let mut options = node.options();
    options.ssh.identities =
        vec![folder.path().join("missing"), garbage, key("locked", "pass phrase"), key("unknown", "")];
    options.ssh.agent = Some(folder.path().join("agent"));
    let error = refused(node.target(), options.clone()).await;
    insta::assert_snapshot!("login_refused", shown(&error).replace(folder.path().to_str().unwrap(), "~"));
    options.ssh.identities.extend(node.options().ssh.identities);
    let (_, failed) = Hosts::connect(vec![node.target()], options, &no_events()).await;
    assert!(failed.is_empty(), "a good key after bad ones is found: {failed:?}");
}

#[tokio::test]
async fn the_agents_keys_are_tried() {
    let node = FakeNode::start("cp1").await;
    let socket = node.beside("agent");
    let Ok(mut agent) = std::process::Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).spawn()
    else {
        println!("skipped: no ssh-agent here");
        return;
    };
    for _ in 0..100 {
        if socket.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut options = node.options();
    let identity = options.ssh.identities.remove(0);
    std::process::Command::new("chmod").arg("600").arg(&identity).status().unwrap();
    let added =
        std::process::Command::new("ssh-add").arg(identity).env("SSH_AUTH_SOCK", &socket).output().unwrap();
    options.ssh.agent = Some(socket);
    let (_, failed) = Hosts::connect(vec![node.target()], options, &no_events()).await;
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(added.status.success(), "{added:?}");
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn hosts_behind_a_bastion_share_its_connection() {
    let (bastion, one, two) =
        (FakeNode::start("bastion").await, FakeNode::start("cp1").await, FakeNode::start("cp2").await);
    let via = |node: &FakeNode| {
        let bastion = SshAddress::new("127.0.0.1", bastion.address.port(), "root");
        Target::ssh(node.id(), SshAddress::new("127.0.0.1", node.address.port(), "root").via(bastion))
    };
    let all = options(&[&bastion, &one, &two]);
    let (hosts, failed) = Hosts::connect(vec![via(&one), via(&two)], all.clone(), &no_events()).await;
    assert!(failed.is_empty(), "{failed:?}");
    let plan = plan(one.id(), twelve(&one));
    assert!(apply(&hosts, &plan).await.is_complete());
    bastion.faults.hang();
    let mut impatient = all;
    impatient.ssh.connect_within = Duration::from_secs(1);
    let error = refused(via(&one), impatient).await;
    assert!(matches!(error, ConnectError::Unreachable { .. } | ConnectError::Bastion(_)), "{error}");
}

/// sudo, as far as we use it: asks by `-p`, knows one password, and counts how often it was asked.
const SUDO: &str = r#"#!/bin/sh
prompt=
while :; do
    case $1 in
    -n) [ -f @FOLDER@/free ] || { echo 'sudo: a password is required' >&2; exit 1; } ;;
    -p) prompt=$2; shift ;;
    -S | -k) ;;
    --) shift; break ;;
    *) break ;;
    esac
    shift
done
[ -f @FOLDER@/free ] || for try in 1 2 3; do
    [ "$try" = 1 ] || echo 'Sorry, try again.' >&2
    printf %s "$prompt" >&2
    IFS= read -r password || exit 1
    echo asked >>@FOLDER@/asked
    [ "$password" != 'open sesame' ] || break
done
[ -f @FOLDER@/free ] || [ "$password" = 'open sesame' ] || exit 1
exec "$@"
"#;

#[tokio::test]
async fn a_user_who_is_not_root_becomes_root_by_sudo() {
    let node = FakeNode::start("cp1").await;
    let folder = node.beside("");
    write_program(
        &node.beside("bin/sudo"),
        &SUDO.replace("@FOLDER@", folder.to_str().unwrap().trim_end_matches('/')),
    );
    let asked = || std::fs::read_to_string(node.beside("asked")).unwrap_or_default().lines().count();
    let plan = plan(node.id(), twelve(&node));
    let mut options = node.options();
    let error = refused(node.target_of("deploy"), options.clone()).await;
    let mut text = shown(&error);
    options.ssh.sudo_password = Some(Secret::new("wrong"));
    let (hosts, _) = Hosts::connect(vec![node.target_of("deploy")], options.clone(), &no_events()).await;
    let report = apply(&hosts, &plan).await;
    text = format!("{text}\n{}", told(&report).lines().last().unwrap());
    assert_eq!(asked(), 1, "a wrong password is tried once");
    options.ssh.sudo_password = Some(Secret::new("open sesame"));
    let (hosts, _) = Hosts::connect(vec![node.target_of("deploy")], options.clone(), &no_events()).await;
    assert!(apply(&hosts, &plan).await.is_complete());
    assert_eq!(asked(), 2);
    std::fs::write(node.beside("free"), "").unwrap();
    let (hosts, _) = Hosts::connect(vec![node.target_of("deploy")], options, &no_events()).await;
    assert_eq!(apply(&hosts, &plan).await.changed(), 0);
    assert_eq!(asked(), 2, "where sudo does not ask, it gets no password");
    insta::assert_snapshot!("sudo", text);
}
