//! What a rebuild can't start from, by the real binary: one clear message, exit code 2, and neither a claim nor anything on
//! a node. With no node at all, and with one that is OpenSSH's own server.

use crate::program::{Ended, Run};
use crate::sealed_site::Site;
use crate::sshd_node::SshdNode;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file of an archive but the proofs, which say that somebody opened it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("proof") {
                    open.push(path);
                }
            } else {
                found.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Runs it, and it is refused with these words; nothing is claimed, and no inventory is left.
fn refused(site: &Site, run: Run, words: &[&str]) -> Ended {
    let before = files(&site.path("archive"));
    let ended = run.expect(2);
    let said = ended.stderr.rsplit_once("error: ").map_or(&*ended.stderr, |(_, said)| said);
    for word in words {
        assert!(said.contains(word), "`{word}` is not said: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(files(&site.path("archive")), before, "something was written: {}", ended.stderr);
    let here = std::fs::read_dir(site.program.home().join("nowhere")).unwrap();
    let here: Vec<_> = here.map(|entry| entry.unwrap().file_name()).collect();
    assert!(here.iter().all(|name| name == "known_hosts" || name == "mine.toml"), "{here:?}");
    ended
}

#[test]
fn what_a_rebuild_cannot_start_from() {
    let (site, other) = (Site::sealed("prod"), Site::sealed("prod"));
    let (kit, text) = site.kit();
    let at = |site: &Site| site.path("archive").display().to_string();
    let written = |name: &str, text: &str| {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name)
    };
    let by_kit = |more: &[&str]| site.by_kit(&[&["rebuild"], more].concat(), &kit);

    // No kit and no anchor.
    refused(&site, site.run(&["rebuild"]), &["rekindle.toml: cannot be read", "--kit FILE"]);
    let bare = written("bare.toml", &site.text);
    let run = site.run(&["rebuild", "-i"]).arg(&bare);
    refused(&site, site.with_identity(run, "identity.txt"), &["trust", "kit"]);
    refused(
        &site,
        site.run(&["rebuild", "--kit"]).arg(&kit),
        &["no identity to open it with", "--identity FILE"],
    );

    // A wrong one, and places that are gone.
    let (_, others) = other.kit();
    let wrong = written("wrong.txt", &others.replace(&at(&other), &at(&site)));
    refused(
        &site,
        site.by_kit(&["rebuild"], &wrong),
        &["this kit is of the cluster prod", "take the kit of"],
    );
    let both = site.on(&["rebuild"]).arg("--kit").arg(&wrong);
    refused(&site, both, &["the root key is", "of two archives"]);
    let gone = written("gone.txt", &text.replace(&at(&site), "/no/such/folder"));
    refused(&site, site.by_kit(&["rebuild"], &gone), &["/no/such/folder"]);

    // Nodes that are nowhere.
    let map = ["--map", "cp9=10.1.0.9", "--map", "cp1=no-such-name.invalid", "--map", "cp1"];
    refused(
        &site,
        by_kit(&map),
        &[
            "--map cp9=10.1.0.9: the archived inventory has no node cp9: it has cp1\n",
            "--map cp1=no-such-name.invalid: the name no-such-name.invalid does not resolve",
            "--map cp1: OLD=NEW is wanted",
            "hint: OLD=ADDRESS",
        ],
    );
    refused(&site, by_kit(&["--map", "cp1=-"]), &["prod.toml", "there are no nodes"]);
    refused(&site, by_kit(&["--reinstalled", "cp7"]), &["--reinstalled cp7: the inventory has no such node"]);
    refused(&site, site.run(&["rebuild", "--map", "cp1=10.0.0.1"]), &["--kit <FILE>"]);

    // An inventory of that name that lies there.
    let mine = site.program.home().join("nowhere/prod.toml");
    std::fs::write(&mine, "mine").unwrap();
    let said = by_kit(&[]).expect(2).stderr;
    assert!(
        said.contains("prod.toml: it is there already") && said.contains("give this one with -i"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
    std::fs::remove_file(&mine).unwrap();

    // Somebody else is at it.
    let fence = site.with_identity(site.on(&["archive", "fence", "--yes=FENCE-prod"]), "identity.txt");
    fence.env("SUDO_USER", "eve").expect(0);
    for run in [by_kit(&[]), site.with_identity(site.on(&["rebuild"]), "identity.txt")] {
        refused(
            &site,
            run.env("SUDO_USER", "ann"),
            &["epoch 2 was claimed by eve on ", "and no cluster was born", "--take-over"],
        );
    }
}

/// A cluster of one control plane, which is this node.
struct OnNode {
    site: Site,
    node: SshdNode,
    kit: PathBuf,
}

impl OnNode {
    fn new(site: Site, otherwise: &str) -> Self {
        let node = SshdNode::start("cp1", otherwise);
        let here = site.program.home().join("nowhere");
        std::fs::create_dir_all(&here).unwrap();
        std::fs::write(here.join("known_hosts"), node.known_as(node.port)).unwrap();
        let kit = site.kit().0;
        Self { site, node, kit }
    }

    fn rebuild(&self, more: &[&str]) -> Run {
        let map = format!("cp1=10.0.0.11,ssh={}", self.node.ssh());
        let run = self.site.by_kit(&["rebuild", "--map", &map], &self.kit);
        more.iter().fold(run.arg("--ssh-identity").arg(self.node.identity()), |run, more| run.arg(more))
    }

    fn refused(&self, run: Run, words: &[&str]) {
        refused(&self.site, run, words);
        self.node.assert_untouched();
    }
}

/// Programs of this machine's own builds, which labs use too.
const MODULES: &str = "[artifacts]\nsource = \"modules\"\n";

#[test]
fn what_stands_in_the_way_on_a_node_or_in_the_generation() {
    if !SshdNode::can_run() {
        return;
    }
    let ground = OnNode::new(Site::sealed_with("prod", MODULES, &[]), "");
    // It does not boot: what it holds is no database of etcd's.
    ground.refused(ground.rebuild(&[]), &["not proven: ", "the snapshot cannot be read"]);
    // No room for it, here: where it is opened, and where it is booted.
    let big: String = (0..40_000u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    ground.site.generation_with(200, &big);
    let small = ground.site.path("small");
    std::fs::create_dir(&small).unwrap();
    let in_little = |run: Run| {
        let mount = format!("mount -t tmpfs -o size=64k none {}; exec \"$0\" \"$@\"", small.display());
        run.by(&["unshare", "-m", "sh", "-c", &mount])
    };
    let cache = in_little(ground.rebuild(&[]).env("XDG_CACHE_HOME", &small));
    ground.refused(
        cache,
        &["cannot write ", "small/rekindle/scratch/generation.", "No space left on device", "make room"],
    );
    let scratch = in_little(ground.rebuild(&["--scratch", small.to_str().unwrap()]));
    ground.refused(scratch, &["small: ", " MiB are needed to restore", "--scratch FOLDER"]);
    // It is damaged, by one bit of its greatest object.
    let objects = files(&ground.site.path("archive/objects"));
    let (path, whole) = objects.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 4;
    std::fs::write(path, bytes).unwrap();
    ground.refused(ground.rebuild(&[]), &["it is damaged"]);
    std::fs::write(path, whole).unwrap();
    // None is called like this.
    ground.refused(ground.rebuild(&["1-999"]), &["1-999: no generation has this name"]);
    ground.refused(
        ground.rebuild(&["--fenced", "w1", "--old-cluster-is-gone=shop", "1-200"]),
        &["not proven: "],
    );
}

#[test]
fn a_machine_that_is_not_empty_or_has_no_room() {
    if !SshdNode::can_run() {
        return;
    }
    let kubeadms = "mkdir -p /etc/kubernetes/manifests; touch /etc/kubernetes/manifests/etcd.yaml";
    let ground = OnNode::new(Site::sealed("prod"), kubeadms);
    ground.refused(
        ground.rebuild(&[]),
        &["does not know:\n  cp1: /etc/kubernetes/manifests/etcd.yaml", "make the nodes empty machines"],
    );
    // 2 GiB and 1 KiB are enough for a node, and too little for what comes.
    let df = "printf '#!/bin/sh\\necho\\necho disk 1 1 2097153 /\\n' >/usr/local/sbin/df; chmod 755 /usr/local/sbin/df";
    let ground = OnNode::new(Site::sealed("prod"), df);
    ground.site.generation_with(200, &"x".repeat(2 << 20));
    ground.refused(
        ground.rebuild(&[]),
        &["cp1: has 2048 MiB free below /var/lib (2054 MiB are needed: 2 GiB, and 3 times the snapshot of 2 MiB)"],
    );
}

#[test]
fn secrets_that_a_kms_encrypts_are_in_no_archive() {
    if !SshdNode::can_run() {
        return;
    }
    let path = "/etc/kubernetes/encryption/config.yaml";
    let sections = format!(
        "{MODULES}[kubeadm.api-server]\nencryption-provider-config = \"{path}\"\n[kubeadm.files]\n\"{path}\" = \"kms.yaml\"\n"
    );
    let text = "kind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - kms: {apiVersion: v2, name: vault, endpoint: unix:///run/kms.sock}\n";
    let file = format!("files{path}");
    let ground = OnNode::new(Site::sealed_with("prod", &sections, &[(&file, text)]), "");
    ground.refused(
        ground.rebuild(&[]),
        &["not proven: /etc/kubernetes/encryption/config.yaml encrypts by a KMS (unix:///run/kms.sock)"],
    );
    let drill = ground.site.by_kit(&["drill"], &ground.kit).expect(5);
    assert!(drill.stderr.contains("encrypts by a KMS (unix:///run/kms.sock)"), "{}", drill.stderr);
}
