//! A real registry, `distribution`, built from its Go module; skipped where there is no `go`.

use std::path::Path;
use std::process::Stdio;

use artifacts::{Images, Sha256, Sites, Source, Upstream, build_registry, obtain};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::world::{World, wanted};

const REPOSITORY: &str = "registry.k8s.io/kube-apiserver";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

struct Registry {
    url: String,
    log: tokio::sync::mpsc::UnboundedReceiver<String>,
    _child: Child,
}

impl Registry {
    async fn start(program: &Path, folder: &Path) -> Self {
        let config = folder.join("config.yml");
        let storage = folder.join("registry");
        let text = "version: 0.1\nlog: {formatter: json, accesslog: {disabled: false}}\nhttp: {addr: '127.0.0.1:0'}\n";
        let storage = format!("storage: {{filesystem: {{rootdirectory: '{}'}}}}\n", storage.display());
        std::fs::write(&config, format!("{text}{storage}")).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none").kill_on_drop(true);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, mut log) = tokio::sync::mpsc::unbounded_channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        tokio::spawn(forward(out, tell.clone()));
        tokio::spawn(forward(err, tell));
        loop {
            let line = log.recv().await.expect("the registry ended");
            if let Some((_, address)) = line.split_once("listening on ") {
                let address: String =
                    address.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
                return Self { url: format!("http://{address}"), log, _child: child };
            }
        }
    }

    async fn push_blob(&self, bytes: &[u8]) -> String {
        let (digest, client) =
            (Sha256::of(bytes).oci(), reqwest::Client::builder().no_proxy().build().unwrap());
        let start = client.post(format!("{}/v2/{REPOSITORY}/blobs/uploads/", self.url)).send().await.unwrap();
        let mut url = reqwest::Url::parse(start.headers()["location"].to_str().unwrap()).unwrap();
        url.query_pairs_mut().append_pair("digest", &digest);
        let done = client.put(url).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(done.status(), 201);
        digest
    }

    async fn push_manifest(&self, by: &str, kind: &str, body: &str) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/v2/{REPOSITORY}/manifests/{by}", self.url);
        let done = client.put(url).header("content-type", kind).body(body.to_owned()).send().await.unwrap();
        assert_eq!(done.status(), 201, "{}", done.text().await.unwrap());
    }
}

async fn forward(from: impl tokio::io::AsyncRead + Unpin, to: tokio::sync::mpsc::UnboundedSender<String>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if to.send(line).is_err() {
            return;
        }
    }
}

/// Pushes an image for two platforms; returns the digest of amd64's manifest and its layer.
async fn push(registry: &Registry) -> (String, Vec<u8>) {
    let mut entries = Vec::new();
    let mut amd64 = (String::new(), Vec::new());
    for arch in ["arm64", "amd64"] {
        let layer: Vec<u8> = arch.bytes().cycle().take(3_000_000).collect();
        let config = format!(r#"{{"architecture":"{arch}","os":"linux"}}"#);
        let part = |kind: &str, digest: &str, size: usize| {
            format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#)
        };
        let config = part(CONFIG, &registry.push_blob(config.as_bytes()).await, config.len());
        let layers = part(LAYER, &registry.push_blob(&layer).await, layer.len());
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layers}]}}"#
        );
        let digest = Sha256::of(&body).oci();
        registry.push_manifest(&digest, MANIFEST, &body).await;
        let platform = format!(r#""platform":{{"architecture":"{arch}","os":"linux"}}"#);
        entries.push(format!(
            r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{},{platform}}}"#,
            body.len()
        ));
        amd64 = (digest, layer);
    }
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, entries.join(","));
    registry.push_manifest("v1.36.3", INDEX, &index).await;
    amd64
}

#[tokio::test]
async fn an_image_comes_from_a_real_registry_and_a_cut_layer_goes_on() {
    if std::process::Command::new("go").arg("version").output().is_err() {
        println!("skipped: there is no go to build a registry with");
        return;
    }
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts");
    let program = build_registry(&cache, |progress| println!("{progress:?}")).await.unwrap();
    let world = World::new().await;
    let mut registry = Registry::start(&program, world.folder.path()).await;
    let (digest, layer) = push(&registry).await;

    // As a run leaves it that was killed in the middle of the layer.
    let part = world.cache().join(format!("download/blobs/{}.part", Sha256::of(&layer)));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, &layer[..1_000_000]).unwrap();
    std::fs::write(part.with_extension("part.etag"), format!("\"{}\"", Sha256::of(&layer).oci())).unwrap();

    let sites = Sites::mirror(Some(&world.server.url), Some(&registry.url)).unwrap();
    let source = Source::Upstream(Upstream { sites, http: world.http.clone(), versions: None });
    let images = wanted([], Images::These(vec![format!("{REPOSITORY}:v1.36.3")]));
    let payload = obtain(&source, &images, &world.cache(), |_| ()).await.unwrap();
    assert_eq!(payload.images[0].digest.oci(), digest);
    let archive = std::fs::read(&payload.images[0].archive).unwrap();
    assert!(archive.windows(layer.len()).any(|window| window == layer));

    let asked = format!("/blobs/{}", Sha256::of(&layer).oci());
    loop {
        let line = registry.log.recv().await.expect("the registry ended without telling of the layer");
        if line.contains("GET") && line.contains(&asked) {
            assert!(line.contains("206"), "not continued: {line}");
            break;
        }
    }
}
