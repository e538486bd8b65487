//! The same against OpenSSH's own server, where it is installed.

use super::*;
use engine::{SshAddress, Target};
use std::process::{Child, Command};
use std::time::Duration;

/// A server that ends with the test.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An sshd on a free port that lets root in with the node's identity. `None`, with a word, where that cannot be.
fn sshd(node: &FakeNode) -> Option<(Sshd, u16, String)> {
    if !std::path::Path::new("/usr/sbin/sshd").exists() {
        println!("skipped: /usr/sbin/sshd is not installed");
        return None;
    }
    if Command::new("id").arg("-u").output().ok()?.stdout != b"0\n" {
        println!("skipped: a test with sshd needs root");
        return None;
    }
    let folder = node.beside("sshd");
    std::fs::create_dir_all(&folder).ok()?;
    std::fs::create_dir_all("/run/sshd").ok()?;
    let at = |name: &str| folder.join(name).to_str().unwrap_or_default().to_owned();
    let script = format!(
        "set -e; chmod 600 {identity}; chmod 755 {node}; ssh-keygen -q -t rsa -b 2048 -N '' -f {rsa}
         ssh-keygen -q -t ed25519 -N '' -f {key}; ssh-keygen -y -f {identity} >{authorized}",
        identity = node.beside("identity").display(),
        node = node.beside("").display(),
        rsa = at("rsa"),
        key = at("key"),
        authorized = at("authorized"),
    );
    assert!(Command::new("sh").args(["-c", &script]).status().ok()?.success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
         PermitRootLogin prohibit-password\nUsePAM no\nPidFile none\n",
        at("key"),
        at("rsa"),
        at("authorized"),
    );
    std::fs::write(at("config"), config).ok()?;
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f", &at("config"), "-E", &at("log")])
        .spawn()
        .ok()?;
    let key = std::fs::read_to_string(at("rsa.pub")).ok()?;
    Some((Sshd(child), port, key))
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_serves_plans_answers_and_blobs() {
    let node = FakeNode::start("cp1").await;
    let Some((_server, port, key)) = sshd(&node) else { return };
    let mut options = node.options();
    // Only the second of its keys is known: it must be the one that is asked for.
    options.ssh.pinned = vec![(format!("[127.0.0.1]:{port}"), key)];
    let target = || Target::ssh(node.id(), SshAddress::new("127.0.0.1", port, "root"));
    let mut tries = 0;
    let hosts = loop {
        let (hosts, failed) = Hosts::connect(vec![target()], options.clone(), &no_events()).await;
        match failed.first() {
            None => break hosts,
            Some((_, error)) if tries > 50 => panic!("{error}"),
            Some(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let mut plan = plan(node.id(), twelve(&node));
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i ^ (i >> 7)) as u8).collect();
    let blob = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(blob.path(), &bytes).unwrap();
    let digest = step::Digest::of(&bytes);
    plan.stages[0].lanes[0].steps.push(Step::file(File::program(
        node.path("bin/p"),
        digest,
        bytes.len() as u64,
    )));
    let mut blobs = Blobs::new();
    blobs.insert(digest, blob.path());
    let settings = Settings { preview: None, blobs: &blobs, overwrite: false };
    let report = engine::apply(&hosts, &plan, &settings, &no_events()).await;
    assert!(report.is_complete(), "{}", told(&report));
    assert!(engine::preview(&hosts, &plan, false).await.nothing_to_do());
    // More questions at a time than sshd allows sessions.
    let ask =
        step::Ask { script: Script::new("echo 7"), parse: |output| Ok(output.stdout.trim().to_owned()) };
    let one = || async { engine::ask(&hosts, &node.id(), &ask, Duration::from_secs(60)).await.unwrap() };
    let (mut asked, mut set) = (0, Vec::new());
    while asked < 40 {
        set.push(one());
        asked += 1;
    }
    for answer in join(set).await {
        assert_eq!(answer, "7");
    }
}

/// All futures at once.
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
