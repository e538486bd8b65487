//! Images from a registry.

use artifacts::{Arch, Images, Sha256};

use crate::server::{Fault, Server};
use crate::world::{World, long, wanted};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

type Change<'a> = &'a dyn Fn(&World);

fn manifest(server: &Server, repository: &str, by: &str, kind: &str, body: &str) {
    let path = format!("/v2/{repository}/manifests/{by}");
    server.serve(&path, body);
    let digest = Sha256::of(body).oci();
    server.change(&path, |served| {
        served
            .headers
            .extend([("content-type".into(), kind.into()), ("docker-content-digest".into(), digest)]);
    });
}

/// Serves an image with one layer; returns the digest of its manifest.
fn image(server: &Server, repository: &str, by: Option<&str>, kind: &str, layer: &[u8]) -> (String, usize) {
    let part = |bytes: &[u8]| {
        let digest = Sha256::of(bytes).oci();
        server.serve(&format!("/v2/{repository}/blobs/{digest}"), bytes);
        format!(r#"{{"mediaType":"some","digest":"{digest}","size":{}}}"#, bytes.len())
    };
    let (config, layer) = (part(format!("config of {repository}").as_bytes()), part(layer));
    let body = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{config},"layers":[{layer}]}}"#);
    let digest = Sha256::of(&body).oci();
    manifest(server, repository, by.unwrap_or(&digest), kind, &body);
    (digest, body.len())
}

/// The registry of the three images that the world's kubeadm lists.
fn registry(server: &Server) {
    server.serve("/v2/", "{}");
    let name = "registry.k8s.io/kube-apiserver";
    let (amd64, size) = image(server, name, None, MANIFEST, &long());
    let other = Sha256::of("another platform's").oci();
    let entry = |arch: &str, digest: &str| {
        format!(
            r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{arch}"}}}}"#
        )
    };
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{},{}]}}"#,
        entry("s390x", &other),
        entry("amd64", &amd64)
    );
    manifest(server, name, "v1.36.3", INDEX, &index);
    image(server, "registry.k8s.io/coredns/coredns", Some("v1.14.2"), DOCKER, b"coredns");
    image(server, "registry.k8s.io/etcd", Some("3.6.8-0"), MANIFEST, b"etcd");
}

#[tokio::test]
async fn the_images_that_kubeadm_lists_are_pulled_once_for_the_platform_of_the_nodes() {
    let world = World::new().await;
    registry(&world.server);
    let images = wanted([], Images::AsKubeadmLists);
    let payload = world.obtain(&images).await.unwrap();
    insta::assert_snapshot!("images", world.table(&payload));
    insta::assert_snapshot!("image_requests", world.server.log());
    insta::assert_snapshot!("archive", listing(&payload.images[0].archive));

    assert_eq!(world.obtain(&images).await.unwrap(), payload);
    assert_eq!(world.server.log(), "");
    assert_eq!(std::fs::read_dir(world.cache().join("download/blobs")).unwrap().count(), 0);
}

/// Names, modes, times and the short contents of an archive.
fn listing(archive: &std::path::Path) -> String {
    let mut lines = Vec::new();
    for entry in tar::Archive::new(std::fs::File::open(archive).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let mut text = String::new();
        if header.size().unwrap() < 1000 {
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        }
        let path = entry.path().unwrap().display().to_string();
        let numbers = (header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap());
        lines.push(format!("{path} {:o} {} {} {text}", numbers.0, numbers.1, numbers.2));
    }
    lines.join("\n")
}

#[tokio::test]
async fn a_registry_that_wants_a_token_gets_one() {
    let world = World::new().await;
    registry(&world.server);
    let realm = format!(r#"Bearer realm="{}/token?a=b",service="the registry""#, world.server.url);
    world.server.serve("/token", r#"{"access_token":"sesame"}"#);
    let etcd = "/v2/registry.k8s.io/etcd/manifests/3.6.8-0";
    for path in ["/v2/", etcd] {
        world.server.change(path, |served| served.wants = Some(("Bearer sesame".into(), realm.clone())));
    }
    let references = vec!["registry.k8s.io/etcd:3.6.8-0".to_owned()];
    world.obtain(&wanted([], Images::These(references))).await.unwrap();
    insta::assert_snapshot!(world.server.log());
}

#[tokio::test]
async fn an_image_that_is_not_what_its_registry_says_is_refused() {
    let blob = format!("/v2/registry.k8s.io/etcd/blobs/{}", Sha256::of("etcd").oci());
    let tag = "/v2/registry.k8s.io/etcd/manifests/3.6.8-0";
    let cases: [(&str, &str, Change); 7] = [
        ("other layer", "registry.k8s.io/etcd:3.6.8-0", &|world| world.server.serve(&blob, "wrong")),
        ("no layer", "registry.k8s.io/etcd:3.6.8-0", &|world| world.server.remove(&blob)),
        ("other manifest", "registry.k8s.io/etcd:3.6.8-0", &|world| {
            world.server.change(tag, |served| served.body.push(b' '));
        }),
        ("no JSON", "registry.k8s.io/etcd:3.6.8-0", &|world| world.server.serve(tag, "<html>")),
        ("unknown way in", "registry.k8s.io/etcd:3.6.8-0", &|world| {
            world.server.change("/v2/", |served| served.wants = Some(("x".into(), "Negotiate".into())));
        }),
        ("no such tag", "registry.k8s.io/etcd:3.0.0", &|_| ()),
        ("no tag", "registry.k8s.io/etcd", &|_| ()),
    ];
    let mut seen = String::new();
    for (case, reference, change) in cases {
        let world = World::new().await;
        registry(&world.server);
        change(&world);
        let error = world.obtain(&wanted([], Images::These(vec![reference.into()]))).await.unwrap_err();
        seen += &format!("# {case}\n{}\n\n", world.words(&error));
    }
    let world = World::new().await;
    registry(&world.server);
    let mut arm = wanted([], Images::These(vec!["registry.k8s.io/kube-apiserver:v1.36.3".into()]));
    arm.arch = Arch::Arm64;
    seen += &format!("# other platform\n{}\n", world.words(&world.obtain(&arm).await.unwrap_err()));
    insta::assert_snapshot!("refused_images", seen);
}

#[tokio::test]
async fn a_layer_that_was_cut_goes_on() {
    let world = World::new().await;
    registry(&world.server);
    let blob = format!("/v2/registry.k8s.io/kube-apiserver/blobs/{}", Sha256::of(long()).oci());
    world.server.fail(&blob, [Fault::Cut(150_000)]);
    let references = vec!["registry.k8s.io/kube-apiserver:v1.36.3".to_owned()];
    world.obtain(&wanted([], Images::These(references))).await.unwrap();
    let log: Vec<String> =
        world.server.log().lines().filter(|line| line.contains(&blob)).map(String::from).collect();
    insta::assert_snapshot!(log.join("\n").replace(&blob, "BLOB"));
}
