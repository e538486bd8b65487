use std::collections::BTreeMap;
use std::fs;

use super::{Layer, Node, Recipe, name_and_digest, pack};
use crate::{Arch, Sha256};

fn recipe(folder: &std::path::Path) -> Recipe {
    fs::write(folder.join("base.tar"), [0; 1024]).unwrap();
    fs::write(folder.join("etcd"), "the program").unwrap();
    let nodes = BTreeMap::from([
        ("tmp".to_owned(), Node::SharedFolder),
        ("usr/local/bin/etcd".to_owned(), Node::Program(folder.join("etcd"))),
        ("usr/sbin/iptables".to_owned(), Node::Link("xtables-nft-multi".into())),
        ("etc/services".to_owned(), Node::Bytes(b"ssh 22/tcp\n".to_vec(), 0o644)),
    ]);
    Recipe {
        reference: "registry.k8s.io/etcd:3.6.8-0".into(),
        arch: Arch::Amd64,
        layers: vec![Layer::Tar(folder.join("base.tar")), Layer::Files(nodes)],
        entrypoint: "/usr/local/bin/etcd".into(),
        user: "65535:65535",
    }
}

/// Every entry of a tar, with the text of the short ones.
fn listing(bytes: &[u8]) -> String {
    let mut lines = String::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        let text = String::from_utf8(content.clone()).unwrap_or_else(|_| {
            format!(
                "\n    {}",
                listing(&zstd::decode_all(&*content).unwrap()).trim_end().replace('\n', "\n    ")
            )
        });
        let link = entry.link_name().unwrap().map(|to| format!("-> {}", to.display())).unwrap_or_default();
        let (mode, path) = (header.mode().unwrap(), entry.path().unwrap().display().to_string());
        let owner = (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
        lines += &format!("{path} {mode:o} {owner:?} {link}{text}\n");
    }
    lines
}

#[test]
fn the_same_programs_give_the_same_bytes_anywhere_and_the_name_that_containerd_reads() {
    let pack_once = || {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("image.tar");
        let digest = pack(&recipe(folder.path()), folder.path(), &to).unwrap();
        assert_eq!(name_and_digest(&to).unwrap(), ("registry.k8s.io/etcd:3.6.8-0".to_owned(), digest));
        fs::read(&to).unwrap()
    };
    let bytes = pack_once();
    assert!(bytes == pack_once(), "two archives differ");
    insta::assert_snapshot!("archive", listing(&bytes));
    insta::assert_snapshot!(Sha256::of(&bytes), @"ddfcc038a3d7c9597cb44056d10dc4067693cb289cb358ca9bb97cae16bbb49a");
}

#[test]
fn a_program_comes_out_of_its_image_and_a_changed_archive_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    let digest = pack(&recipe(folder.path()), folder.path(), &archive).unwrap();
    let bytes = fs::read(&archive).unwrap();
    let image = crate::Image {
        reference: "registry.k8s.io/etcd:3.6.8-0".into(),
        digest,
        sha256: Sha256::of(&bytes),
        size: bytes.len() as u64,
        archive: archive.clone(),
    };
    let take = |name: &str, cache: &str| {
        runtime.block_on(super::program(&image, name, &folder.path().join(cache), |_| {}))
    };
    assert_eq!(fs::read_to_string(take("etcd", "cache").unwrap()).unwrap(), "the program");
    assert!(take("etcdctl", "cache").unwrap_err().to_string().contains("it has no usr/local/bin/etcdctl"));
    // Any byte of the layer that holds it: the last blob of the archive.
    let at = bytes.len() - 1024 - 512 + 20;
    let at = bytes[..at].iter().rposition(|byte| *byte != 0).unwrap();
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    fs::write(&archive, changed).unwrap();
    let refused = take("etcd", "other").unwrap_err();
    assert!(matches!(refused, crate::Error::WrongDigest { .. } | crate::Error::Io { .. }), "{refused}");
    assert!(!folder.path().join("other/unpacked").join(digest.to_string()).join("etcd").exists());
}
