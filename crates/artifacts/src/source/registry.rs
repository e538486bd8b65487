//! Pulling an image from a registry into an archive, as OCI's distribution-spec 1.1 says: `/v2/` tells whether a
//! token is needed, a tag leads to an index, that to a manifest for one platform, that to blobs.

use std::fs;
use std::path::Path;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::download::{Wish, download};
use super::http::{Client, shown};
use super::upstream::Sites;
use crate::Sha256;
use crate::cache::{Cache, blocking};
use crate::error::{At as _, Error};
use crate::image::{Blob, Content, Descriptor, Index, Manifest, archive, media, name_and_digest};
use crate::kubeadm;
use crate::listed::made;
use crate::payload::{Arch, Image};
use crate::progress::Report;

pub(crate) struct Registry<'a> {
    pub(crate) client: &'a Client,
    pub(crate) sites: &'a Sites,
    pub(crate) cache: &'a Cache,
    pub(crate) report: &'a Report<'a>,
}

/// One repository of one registry, with the token that opens it.
struct Repository {
    base: Url,
    name: String,
    headers: HeaderMap,
}

/// What a token server answers.
#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

impl Registry<'_> {
    /// The archive of an image for one processor; pulled unless it is in the cache.
    pub(crate) async fn image(&self, reference: &str, arch: Arch) -> Result<Image, Error> {
        let below = format!("image/upstream/{}_{arch}", reference.replace(['/', ':', '@'], "_"));
        let listed =
            made(self.cache, &below, async |folder: &Path| self.pull(reference, arch, folder).await).await?;
        let archive = listed.checked("image.tar").await?;
        let file = archive.file.clone();
        let (reference, digest) = blocking(move || name_and_digest(&file)).await?;
        Ok(Image::from_checked(reference, digest, archive))
    }

    async fn pull(&self, reference: &str, arch: Arch, folder: &Path) -> Result<(), Error> {
        let unusable = |why: String| Error::Unusable { what: format!("the image {reference}"), why };
        let (path, tag) = reference.rsplit_once(':').ok_or_else(|| unusable("it has no tag".into()))?;
        let (host, name) = path.split_once('/').ok_or_else(|| unusable("it names no registry".into()))?;
        let (base, name) = self.sites.repository(host, name)?;
        let repository = self.enter(base, name).await?;

        let (kind, bytes) = self.manifest(&repository, tag).await?;
        let (described, bytes) = if matches!(kind.as_str(), media::INDEX | media::DOCKER_LIST) {
            let index: Index = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
            let chosen =
                choose(index, arch).ok_or_else(|| unusable(format!("there is none for linux/{arch}")))?;
            let (_, bytes) = self.manifest(&repository, &chosen.digest).await?;
            (chosen, bytes)
        } else {
            (Descriptor::new(&kind, Sha256::of(&bytes), bytes.len() as u64), bytes)
        };
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
        let described = Descriptor::new(&described.media_type, Sha256::of(&bytes), bytes.len() as u64);

        let what = kubeadm::split(reference).map_or(reference, |(name, _)| name);
        let mut blobs = vec![Blob::of(bytes)];
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            blobs.push(self.blob(&repository, part, what).await?);
        }
        let files: Vec<_> = blobs.iter().filter_map(Blob::file).collect();
        let (reference, to) = (reference.to_owned(), folder.join("image.tar"));
        blocking(move || archive(&reference, described, arch, blobs, &to)).await?;
        // Their bytes are in the archive now.
        files.iter().try_for_each(|file| fs::remove_file(file).at("remove", file))
    }

    /// Asks a registry whether it wants a token, and gets one that may pull.
    async fn enter(&self, base: Url, name: String) -> Result<Repository, Error> {
        let mut headers = HeaderMap::new();
        let challenge = self.client.challenge(&api(&base, "")).await?;
        if let Some(challenge) = challenge.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()) {
            let url = token_url(challenge, &name).ok_or_else(|| Error::Unusable {
                what: shown(&base),
                why: format!("it wants to be entered in a way that is not known here: {challenge}"),
            })?;
            let (_, bytes) = self.client.bytes(&url, &HeaderMap::new()).await?;
            let unusable =
                |why: String| Error::Unusable { what: format!("the token of {}", shown(&url)), why };
            let Token { token } =
                serde_json::from_slice(&bytes).map_err(|_| unusable("it is no token".into()))?;
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| unusable("it does not fit into a header".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Repository { base, name, headers })
    }

    /// A manifest by tag or digest: its media type and bytes. One that was asked for by digest has it.
    async fn manifest(&self, repository: &Repository, by: &str) -> Result<(String, Vec<u8>), Error> {
        let url = api(&repository.base, &format!("{}/manifests/{by}", repository.name));
        let mut headers = repository.headers.clone();
        let accepted = [media::INDEX, media::DOCKER_LIST, media::MANIFEST, media::DOCKER_MANIFEST].join(", ");
        headers.extend(HeaderValue::try_from(accepted).ok().map(|accepted| (ACCEPT, accepted)));
        let (answer, bytes) = self.client.bytes(&url, &headers).await?;
        let said = answer.get("docker-content-digest").and_then(|value| value.to_str().ok());
        let expected = if by.contains(':') { Some(by) } else { said };
        if let Some(expected) = expected.and_then(|digest| digest.parse().ok()) {
            let found = Sha256::of(&bytes);
            if found != expected {
                let listed_in = if by.contains(':') { "its index" } else { "the registry" }.to_owned();
                return Err(Error::WrongDigest { what: shown(&url), found, expected, listed_in });
            }
        }
        let kind = answer.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok((kind.split(';').next().unwrap_or_default().trim().to_owned(), bytes))
    }

    async fn blob(&self, repository: &Repository, part: &Descriptor, what: &str) -> Result<Blob, Error> {
        let url = api(&repository.base, &format!("{}/blobs/{}", repository.name, part.digest));
        let unusable =
            |error: crate::ParseSha256Error| Error::Unusable { what: shown(&url), why: error.to_string() };
        let digest: Sha256 = part.digest.parse().map_err(unusable)?;
        let to = self.cache.path(format!("download/blobs/{digest}"))?;
        let wish = Wish {
            url: &url,
            headers: repository.headers.clone(),
            to: &to,
            mode: 0o644,
            expected: digest,
            listed_in: "its manifest".into(),
            what,
        };
        download(self.client, &wish, self.cache, self.report).await?;
        Ok(Blob { digest, content: Content::File(to) })
    }
}

fn api(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("/v2/{path}"));
    url
}

fn choose(index: Index, arch: Arch) -> Option<Descriptor> {
    index.manifests.into_iter().find(|manifest| {
        manifest.platform.as_ref().is_some_and(|is| is.os == "linux" && is.architecture == arch.as_str())
    })
}

/// The URL that gives a token, from `Bearer realm="…",service="…"` (distribution-spec's token authentication).
fn token_url(challenge: &str, name: &str) -> Option<Url> {
    let (scheme, parameters) = challenge.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let value = |key: &str| {
        let start = parameters.find(&format!("{key}=\""))? + key.len() + 2;
        let length = parameters[start..].find('"')?;
        Some(&parameters[start..start + length])
    };
    let mut url = Url::parse(value("realm")?).ok()?;
    let mut query = url.query_pairs_mut();
    if let Some(service) = value("service") {
        query.append_pair("service", service);
    }
    query.append_pair("scope", &format!("repository:{name}:pull"));
    drop(query);
    Some(url)
}
