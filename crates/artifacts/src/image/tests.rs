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
