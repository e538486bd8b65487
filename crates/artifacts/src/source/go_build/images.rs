//! Images of the programs that were built: one layer with the program where kubeadm's manifests look for it.

use std::collections::BTreeMap;
use std::path::Path;

use super::Built;
use crate::Sha256;
use crate::cache::{Cache, blocking};
use crate::error::Error;
use crate::image::{Layer, Node, Recipe, name_and_digest, pack};
use crate::kubeadm;
use crate::listed::made;
use crate::payload::{Arch, Image};
use crate::source::packages;

/// Counts up when the bytes of an image change for the same programs.
const EDITION: u32 = 1;

/// What an image holds.
struct Contents {
    /// The last part of the image's name.
    name: &'static str,
    /// Folder of its programs.
    folder: &'static str,
    /// The programs, the one that starts first.
    programs: &'static [&'static str],
    user: &'static str,
    /// Whether it needs iptables, nft and conntrack.
    netfilter: bool,
}

const fn contents(name: &'static str, folder: &'static str, programs: &'static [&'static str]) -> Contents {
    Contents { name, folder, programs, user: "", netfilter: false }
}

const BIN: &str = "usr/local/bin/";

/// Paths as kubeadm's manifests have them (cmd/kubeadm/app/phases) and as the official images do.
const CONTENTS: [Contents; 7] = [
    contents("kube-apiserver", BIN, &["kube-apiserver"]),
    contents("kube-controller-manager", BIN, &["kube-controller-manager"]),
    contents("kube-scheduler", BIN, &["kube-scheduler"]),
    Contents { netfilter: true, ..contents("kube-proxy", BIN, &["kube-proxy"]) },
    contents("etcd", BIN, &["etcd", "etcdctl", "etcdutl"]),
    contents("coredns", "", &["coredns"]),
    Contents { user: "65535:65535", ..contents("pause", "", &["pause"]) },
];

/// The archive of an image with the name that kubeadm wants; packed unless it is in the cache.
pub(super) async fn image(
    reference: &str,
    arch: Arch,
    built: &Built<'_>,
    cache: &Cache,
) -> Result<Image, Error> {
    let no_recipe = || Error::NoRecipe { reference: reference.into() };
    let (name, _) = kubeadm::split(reference).ok_or_else(no_recipe)?;
    let contents = CONTENTS.iter().find(|contents| contents.name == name).ok_or_else(no_recipe)?;

    let mut key = format!("{EDITION} {reference} {arch}");
    let mut layers = Vec::new();
    if contents.netfilter {
        let layer = packages::layer(arch, cache).await?;
        key += &format!(" {}", cache.digest(&layer).await?.0);
        layers.push(Layer::Tar(layer));
    }
    let mut nodes = BTreeMap::from([("tmp".to_owned(), Node::SharedFolder)]);
    for program in contents.programs {
        let checked = built.program(program).await?;
        key += &format!(" {}", checked.sha256);
        nodes.insert(format!("{}{program}", contents.folder), Node::Program(checked.file));
    }
    layers.push(Layer::Files(nodes));

    let entrypoint = format!("/{}{}", contents.folder, contents.programs[0]);
    let recipe = Recipe { reference: reference.into(), arch, layers, entrypoint, user: contents.user };
    let key: String = Sha256::of(key).to_string().chars().take(16).collect();
    let listed = made(cache, &format!("image/modules/{name}-{key}"), async |folder: &Path| {
        let folder = folder.to_owned();
        blocking(move || pack(&recipe, &folder, &folder.join("image.tar"))).await.map(drop)
    })
    .await?;
    let archive = listed.checked("image.tar").await?;
    let file = archive.file.clone();
    let (reference, digest) = blocking(move || name_and_digest(&file)).await?;
    Ok(Image::from_checked(reference, digest, archive))
}
