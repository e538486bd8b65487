//! The projects' own sites, or a mirror of them: the same paths, below `MIRROR/HOST/`.
//!
//! Programs come from dl.k8s.io and from GitHub's releases, each checked against the checksum file that its
//! project publishes beside it; images from the registry that their reference names.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::download::{Wish, download};
use super::http::{Client, Http, base_url, shown};
use super::published::Published;
use super::registry::Registry;
use crate::cache::{self, Cache, blocking};
use crate::error::{At as _, Error};
use crate::listed::{Checked, Listed, checksums, made};
use crate::payload::{Arch, Images, Payload, Program, ProgramName, Wanted};
use crate::progress::Report;
use crate::{Sha256, Versions, kubeadm};

/// The source [`crate::Source::Upstream`].
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    /// Whom to ask.
    pub sites: Sites,
    /// How to reach them.
    pub http: Http,
    /// Versions of containerd, runc and the CNI plugins; the ones known for the Kubernetes minor if `None`.
    pub versions: Option<Versions>,
}

/// Base URLs.
#[derive(Clone, Default)]
pub struct Sites {
    files: Option<Url>,
    images: Option<Url>,
}

impl Sites {
    /// A mirror: `https://HOST/PATH` stands for files at `https://HOST/PATH/dl.k8s.io/release/…` and
    /// `…/github.com/…`, and for images at `https://HOST/v2/PATH/registry.k8s.io/…`, which is a project
    /// `PATH/registry.k8s.io` of a Harbor. What is `None` comes from the projects' own sites.
    ///
    /// # Errors
    /// [`Error::BadUrl`].
    pub fn mirror(files: Option<&str>, images: Option<&str>) -> Result<Self, Error> {
        let base = |setting: &str, text: Option<&str>| text.map(|text| base_url(setting, text)).transpose();
        Ok(Self { files: base("the mirror of files", files)?, images: base("the mirror of images", images)? })
    }

    fn file(&self, host: &str, path: &str) -> Result<Url, Error> {
        match &self.files {
            None => base_url("a download", &format!("https://{host}/{path}")),
            Some(base) => {
                let mut url = base.clone();
                url.set_path(&format!("{}/{host}/{path}", base.path().trim_end_matches('/')));
                Ok(url)
            }
        }
    }

    /// The registry for an image and the name of the repository there.
    pub(super) fn repository(&self, host: &str, name: &str) -> Result<(Url, String), Error> {
        match &self.images {
            None => Ok((base_url("a registry", &format!("https://{host}/"))?, name.to_owned())),
            Some(base) => {
                let prefix = base.path().trim_matches('/');
                let slash = if prefix.is_empty() { "" } else { "/" };
                Ok((base.clone(), format!("{prefix}{slash}{host}/{name}")))
            }
        }
    }
}

impl std::fmt::Debug for Sites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let base = |url: &Option<Url>| url.as_ref().map_or_else(|| "upstream".into(), shown);
        write!(f, "Sites {{ files: {}, images: {} }}", base(&self.files), base(&self.images))
    }
}

pub(crate) async fn obtain(
    upstream: &Upstream,
    wanted: &Wanted,
    cache: &Cache,
    report: &Report<'_>,
) -> Result<Payload, Error> {
    let client = Client::new(&upstream.http)?;
    let fetch = Fetch { client: &client, upstream, cache, report };
    let mut payload = Payload::empty(wanted);
    let references = fetch.references(wanted).await?;
    let versions = upstream.versions.as_ref();
    for &name in &wanted.programs {
        let published = Published::of(name, &wanted.kubernetes, wanted.arch, versions, &references)?;
        payload.programs.push(Program::from_checked(name, fetch.program(&published).await?));
    }
    if wanted.images != Images::None {
        let registry = Registry { client: &client, sites: &upstream.sites, cache, report };
        for reference in &references {
            payload.images.push(registry.image(reference, wanted.arch).await?);
        }
    }
    Ok(payload)
}

/// This program for another platform. The project itself publishes none yet, so it is a mirror's.
pub(crate) async fn own_program(
    upstream: &Upstream,
    version: &str,
    name: &str,
    cache: &Cache,
    report: &Report<'_>,
) -> Result<Checked, Error> {
    if upstream.sites.files.is_none() {
        return Err(Error::NoRelease { name: name.to_owned(), place: "upstream, which has no release yet" });
    }
    let client = Client::new(&upstream.http)?;
    let path = format!("v{version}/{name}");
    let sums = format!("{path}.sha256");
    let published = Published { host: "rekindle", path, sums, member: None };
    Fetch { client: &client, upstream, cache, report }.file(&published).await
}

struct Fetch<'a> {
    client: &'a Client,
    upstream: &'a Upstream,
    cache: &'a Cache,
    report: &'a Report<'a>,
}

impl Fetch<'_> {
    /// The images of this version; asked of a kubeadm for this machine, whatever the nodes are.
    async fn references(&self, wanted: &Wanted) -> Result<Vec<String>, Error> {
        let etcd = [ProgramName::Etcd, ProgramName::Etcdctl, ProgramName::Etcdutl];
        match &wanted.images {
            Images::These(references) => Ok(references.clone()),
            Images::None if !etcd.iter().any(|name| wanted.programs.contains(name)) => Ok(Vec::new()),
            _ => {
                let here = Arch::HERE.filter(|_| cfg!(target_os = "linux"));
                let here = here.ok_or_else(|| Error::NoImageList { arch: wanted.arch.to_string() })?;
                let published = Published::of(ProgramName::Kubeadm, &wanted.kubernetes, here, None, &[])?;
                let kubeadm = self.program(&published).await?;
                kubeadm::images(&kubeadm.file, &wanted.kubernetes).await
            }
        }
    }

    async fn program(&self, published: &Published) -> Result<Checked, Error> {
        let file = self.file(published).await?;
        let Some(member) = &published.member else { return Ok(file) };
        let name = member.rsplit('/').next().unwrap_or(member);
        let below = format!("unpacked/{}/{name}", file.sha256);
        let listed: Listed<'_> = made(self.cache, &below, async |folder: &Path| {
            let (archive, member, to) = (file.file.clone(), member.clone(), folder.join(name));
            blocking(move || unpack(&archive, &member, &to)).await
        })
        .await?;
        listed.checked(name).await
    }

    /// Fetches a published file and checks it against the project's own checksum.
    async fn file(&self, published: &Published) -> Result<Checked, Error> {
        let Published { host, path, .. } = published;
        let url = self.upstream.sites.file(host, path)?;
        let (expected, listed_in, kept) = self.checksum(published).await?;
        let to = self.cache.path(format!("download/{host}/{path}"))?;
        let what = published.file_name();
        let wish =
            Wish { url: &url, headers: HeaderMap::new(), to: &to, mode: 0o755, expected, listed_in, what };
        let size = download(self.client, &wish, self.cache, self.report).await.inspect_err(|error| {
            if matches!(error, Error::WrongDigest { .. }) {
                // The list may be what is wrong: the next run asks for it again.
                let _ = std::fs::remove_file(&kept);
            }
        });
        Ok(Checked { file: to.clone(), sha256: expected, size: size? })
    }

    /// The published digest of a file; asked for once, then kept. Returned with where it is listed and kept.
    async fn checksum(&self, published: &Published) -> Result<(Sha256, String, PathBuf), Error> {
        let url = self.upstream.sites.file(published.host, &published.sums)?;
        let kept = self.cache.path(format!("download/{}/{}", published.host, published.sums))?;
        let find = |text: &str| {
            let sums: BTreeMap<String, Sha256> = checksums(text);
            sums.get(published.file_name()).or_else(|| sums.get("")).copied()
        };
        if let Some(digest) = std::fs::read_to_string(&kept).ok().and_then(|text| find(&text)) {
            return Ok((digest, shown(&url), kept));
        }
        let (_, bytes) = self.client.bytes(&url, &HeaderMap::new()).await?;
        let digest = find(&String::from_utf8_lossy(&bytes))
            .ok_or_else(|| Error::NoChecksum { list: shown(&url), file: published.file_name().into() })?;
        cache::write(&kept, &bytes, 0o644)?;
        Ok((digest, shown(&url), kept))
    }
}

/// Takes one program out of a tar.gz.
fn unpack(archive: &Path, member: &str, to: &Path) -> Result<(), Error> {
    let file = File::open(archive).at("open", archive)?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(std::io::BufReader::new(file)));
    for entry in tar.entries().at("read", archive)? {
        let mut entry = entry.at("read", archive)?;
        let path = entry.path().at("read", archive)?;
        if path.strip_prefix(".").unwrap_or(&path) == Path::new(member) {
            return cache::write_with(to, 0o755, |file| {
                std::io::copy(&mut entry, file).map(drop).at("write", to)
            });
        }
    }
    Err(Error::Unusable { what: archive.display().to_string(), why: format!("it has no {member}") })
}
