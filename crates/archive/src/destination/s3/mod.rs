//! A bucket of S3, or of a server that speaks its language, as a destination.
//!
//! A write is one conditional PUT (`If-None-Match: *`) that carries the SHA-256 of its body: the server takes it
//! whole, under a name that was free, or not at all. A file is streamed in such a PUT too, which S3 allows up to
//! 5 GiB; no upload in parts, whose conditional end not every server knows. Each call ends: it has 30 s, and a second
//! more for each 64 KiB that it carries.
//!
//! The trait is synchronous and may be called from within an async runtime, so requests run on a worker of their
//! own, and the caller waits for them on a channel.

mod canary;
mod client;
mod credentials;
mod error;

pub use canary::{Canary, Tried};
pub use credentials::Credentials;
pub use error::S3Error;

use self::client::{Client, stream_of};
use self::error::{Told, told};
use super::{Destination, DestinationError, Put, Worker};
use crate::{Name, Prefix};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer as _};
use object_store::{
    BackoffConfig, Error as StoreError, HeaderMap, HeaderValue, ObjectStoreExt as _, PutMode, PutPayload,
    RetryConfig,
};
use object_store::{ObjectStore as _, PutOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Far more generations than retention keeps, and few enough to list.
const MAX_LISTED: usize = 100_000;
/// What S3 takes in one PUT.
const MAX_PUT: u64 = 5 << 30;
/// How long a call may take that carries nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a second below which a link counts as broken.
const SLOWEST: u64 = 64 << 10;
/// How often a write is tried.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// Where a bucket is and how to get in.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// `s3://bucket/prefix`; the prefix may be empty.
    pub url: String,
    /// `https://host[:port]` of another server than Amazon's; `http://` where there is no TLS.
    pub endpoint: Option<String>,
    /// Its region; `us-east-1` without one.
    pub region: Option<String>,
    /// Whether the bucket is the path's first segment and not the host's; without it, where there is an endpoint.
    pub path_style: Option<bool>,
    /// A PEM file with the only CAs that are trusted; the system's without one.
    pub ca: Option<PathBuf>,
    /// Who we are.
    pub credentials: Credentials,
}

/// A bucket, below a prefix. Nothing is asked of it before the first call.
pub struct S3 {
    url: String,
    server: Option<String>,
    prefix: Key,
    store: Arc<AmazonS3>,
    client: Client,
    worker: Worker,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3({})", self.describe())
    }
}

impl S3 {
    /// The bucket that `settings` name.
    ///
    /// # Errors
    /// Where the URL, the endpoint or the CA file cannot be used.
    pub fn new(settings: &S3Settings) -> Result<Self, DestinationError> {
        let S3Settings { url, endpoint, region, path_style, ca, credentials } = settings;
        let unusable = |why: String| failed("use", url, S3Error::Settings { why });
        let (bucket, prefix) =
            split(url).ok_or_else(|| unusable("it is not like s3://bucket/prefix".to_owned()))?;
        let prefix = Key::parse(prefix).map_err(|error| unusable(error.to_string()))?;
        let client = Client::new(ca.as_deref()).map_err(|error| failed("use", url, error))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region.as_deref().unwrap_or("us-east-1"))
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_checksum_algorithm(Checksum::SHA256)
            // One name at a time, in the request that every server has, and whose refusal is an answer of its own.
            .with_disable_bulk_delete(true)
            .with_retry(retry())
            .with_http_connector(client.clone());
        let path_style = path_style.unwrap_or(endpoint.is_some());
        builder = builder.with_virtual_hosted_style_request(!path_style);
        if let Some(endpoint) = endpoint {
            let endpoint = endpoint.trim_end_matches('/');
            let (scheme, host) = endpoint
                .split_once("://")
                .filter(|(scheme, host)| matches!(*scheme, "http" | "https") && !host.contains('/'))
                .ok_or_else(|| unusable(format!("{endpoint:?} is not like https://host:port")))?;
            // It is taken to name the bucket itself where the path does not.
            builder = builder.with_endpoint(match path_style {
                true => endpoint.to_owned(),
                false => format!("{scheme}://{bucket}.{host}"),
            });
        }
        if let Some(provider) = credentials.provider() {
            builder = builder.with_credentials(provider);
        }
        let store = builder.build().map_err(|error| failed("use", url, told(&error).into()))?;
        let worker = Worker::new("s3").map_err(|source| DestinationError::Io {
            act: "begin with",
            path: url.clone(),
            source,
        })?;
        let url = url.trim_end_matches('/').to_owned();
        let server = endpoint.as_ref().map(|url| url.trim_end_matches('/').to_owned());
        Ok(Self { url, server, prefix, store: Arc::new(store), client, worker })
    }

    /// Runs `work` on the worker, for as long as carrying `bytes` may take.
    fn run<T: Send + 'static>(
        &self,
        bytes: u64,
        work: impl Future<Output = Result<T, S3Error>> + Send + 'static,
    ) -> Result<T, S3Error> {
        let patience = PATIENCE + Duration::from_secs(bytes / SLOWEST);
        self.worker.run(patience, work).ok_or(S3Error::Silent { seconds: patience.as_secs() })?
    }

    fn key(&self, name: &Name) -> Key {
        name.to_string().split('/').fold(self.prefix.clone(), |key, part| key.join(part))
    }

    fn path(&self, name: &Name) -> String {
        format!("{}/{name}", self.url)
    }

    /// What lies under `key`, and how many bytes it has. It is there only where S3 gives it, and missing only where
    /// S3 says so of the object: a missing bucket, or a server that is none of S3, is an error.
    fn begin(&self, key: Key) -> Result<Option<(u64, Body)>, S3Error> {
        let store = self.store.clone();
        self.run(0, async move {
            match store.get(&key).await {
                Ok(found) => Ok(Some((found.meta.size, found.into_stream()))),
                Err(StoreError::NotFound { source, .. }) => match told(source.as_ref()) {
                    Told::Said(said) if said.contains("NoSuchKey") => Ok(None),
                    told => Err(told.into()),
                },
                Err(error) => Err(told(&error).into()),
            }
        })
    }

    fn is_there(&self, name: &Name) -> Result<bool, S3Error> {
        Ok(self.begin(self.key(name))?.is_some())
    }

    /// Writes with `put` until it is done, refused, or was tried often enough.
    fn write<F>(&self, name: &Name, bytes: u64, put: impl Fn(Key) -> F) -> Result<Put, DestinationError>
    where
        F: Future<Output = Result<Outcome, S3Error>> + Send + 'static,
    {
        let wrong = |error| failed("write", &self.path(name), error);
        for attempt in 1.. {
            let last = attempt >= TRIES;
            let outcome = self.run(bytes, put(self.key(name))).map_err(wrong)?;
            if let Outcome::Written = outcome {
                return Ok(Put::Written);
            }
            // Taken, or an answer was lost: of this write, of the one before it, or because the server closes a
            // connection on which it refuses a body. What lies there now decides, and the caller compares it.
            if self.is_there(name).map_err(wrong)? {
                return Ok(Put::Existed);
            }
            match outcome {
                Outcome::Again(error) if last => return Err(wrong(error)),
                // S3 also says so while another writes, who then did not come through.
                Outcome::Taken if last => {
                    let said = "the name is taken, and nothing lies under it".to_owned();
                    return Err(wrong(S3Error::Answer { said }));
                }
                _ => std::thread::sleep(PAUSE * attempt),
            }
        }
        Ok(Put::Existed)
    }
}

type Body = BoxStream<'static, object_store::Result<bytes_of::Bytes>>;

/// The type of pieces, which the store names only as the item of a payload.
mod bytes_of {
    pub(super) type Bytes = <super::PutPayload as IntoIterator>::Item;
}

/// What became of one try.
enum Outcome {
    Written,
    Taken,
    Again(S3Error),
}

impl Destination for S3 {
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError> {
        let mut bytes = Vec::new();
        Ok(self.copy_to(name, limit, &mut bytes)?.map(|_| bytes))
    }

    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Put, DestinationError> {
        let payload = PutPayload::from(bytes.to_vec());
        self.write(name, bytes.len() as u64, |key| {
            let (store, payload) = (self.store.clone(), payload.clone());
            async move {
                match store.put_opts(&key, payload, PutOptions::from(PutMode::Create)).await {
                    Ok(_) => Ok(Outcome::Written),
                    Err(StoreError::AlreadyExists { .. }) => Ok(Outcome::Taken),
                    Err(error @ StoreError::Generic { .. }) => Ok(Outcome::Again(told(&error).into())),
                    Err(error) => Err(told(&error).into()),
                }
            }
        })
    }

    fn put_new_file(&self, name: &Name, from: &Path) -> Result<Put, DestinationError> {
        let unread = |source| DestinationError::Io { act: "read", path: from.display().to_string(), source };
        let (size, digest) = client::sum(from).map_err(unread)?;
        if size > MAX_PUT {
            return Err(DestinationError::TooLarge { path: from.display().to_string(), limit: MAX_PUT });
        }
        // Rather than send all of it to be told.
        if self.is_there(name).map_err(|error| failed("write", &self.path(name), error))? {
            return Ok(Put::Existed);
        }
        let mut headers = HeaderMap::new();
        headers.insert("if-none-match", HeaderValue::from_static("*"));
        let digest = HeaderValue::from_str(&digest).map_err(|error| unread(io::Error::other(error)))?;
        headers.insert("x-amz-checksum-sha256", digest);
        self.write(name, size, |key| {
            let (store, client, headers) = (self.store.clone(), self.client.clone(), headers.clone());
            let from = from.to_owned();
            async move {
                let mut signed = SignedUrlOptions::new();
                signed.signed_headers = headers.clone();
                // Signed for this body alone by its checksum; the time is that of the longest upload.
                let time = PATIENCE + Duration::from_secs(size / SLOWEST);
                let url = store.signed_url_opts(reqwest::Method::PUT, &key, time, &signed).await;
                let url = url.map_err(|error| S3Error::from(told(&error)))?;
                let body = stream_of(&from, size).await.map_err(|source| S3Error::Source { source })?;
                client.put(url, headers, size, body).await
            }
        })
    }

    fn copy_to(&self, name: &Name, limit: u64, to: &mut dyn Write) -> Result<Option<u64>, DestinationError> {
        let path = self.path(name);
        let wrong = |error| failed("read", &path, error);
        let too_large = || DestinationError::TooLarge { path: path.clone(), limit };
        let Some((size, mut body)) = self.begin(self.key(name)).map_err(wrong)? else { return Ok(None) };
        if size > limit {
            return Err(too_large());
        }
        let mut copied = 0u64;
        loop {
            let next = self.run(0, async move { Ok((body.next().await, body)) });
            let (piece, rest) = next.map_err(wrong)?;
            body = rest;
            let Some(piece) = piece else { break };
            let piece = piece.map_err(|error| wrong(told(&error).into()))?;
            copied += piece.len() as u64;
            // The size that was announced need not be the one that comes.
            if copied > limit {
                return Err(too_large());
            }
            to.write_all(&piece).map_err(|source| DestinationError::Io {
                act: "copy",
                path: path.clone(),
                source,
            })?;
        }
        if copied != size {
            return Err(wrong(S3Error::Cut { copied, size }));
        }
        Ok(Some(copied))
    }

    fn remove(&self, name: &Name) -> Result<(), DestinationError> {
        let (store, key) = (self.store.clone(), self.key(name));
        let removed = self.run(0, async move {
            match store.delete(&key).await {
                Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
                Err(error) => Err(S3Error::from(told(&error))),
            }
        });
        removed.map_err(|error| failed("remove", &self.path(name), error))
    }

    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError> {
        let path = format!("{}/{}", self.url, prefix.as_str());
        let below = self.prefix.clone().join(prefix.as_str().trim_end_matches('/'));
        let store = self.store.clone();
        let listed = self.run(MAX_LISTED as u64, async move {
            let mut listing = store.list(Some(&below));
            let mut keys = Vec::new();
            while let Some(found) = listing.next().await {
                keys.push(found.map_err(|error| S3Error::from(told(&error)))?.location);
                if keys.len() > MAX_LISTED {
                    break;
                }
            }
            Ok(keys)
        });
        let keys = listed.map_err(|error| failed("list", &path, error))?;
        if keys.len() > MAX_LISTED {
            return Err(DestinationError::TooMany { path, limit: MAX_LISTED });
        }
        let name = |key: &Key| {
            let parts: Vec<_> = key.prefix_match(&self.prefix)?.collect();
            parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/").parse().ok()
        };
        Ok(keys.iter().filter_map(name).collect())
    }

    fn describe(&self) -> String {
        // The same bucket and prefix may be on two servers.
        match &self.server {
            Some(server) => format!("{} ({server})", self.url),
            None => self.url.clone(),
        }
    }
}

/// The bucket and the prefix of a URL.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let good = (3..=63).contains(&bucket.len()) && bucket.bytes().all(allowed);
    good.then_some((bucket, prefix.trim_end_matches('/')))
}

/// Within `PATIENCE`, and few enough that one that is down is soon said to be.
fn retry() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: PAUSE, max_backoff: Duration::from_secs(2), base: 2. };
    RetryConfig { backoff, max_retries: TRIES as usize - 1, retry_timeout: Duration::from_secs(15) }
}

fn failed(act: &'static str, path: &str, why: S3Error) -> DestinationError {
    if let S3Error::Silent { seconds } = why {
        return DestinationError::Silent { act, path: path.to_owned(), seconds };
    }
    DestinationError::Other(Box::new(error::S3Failure { act, path: path.to_owned(), why }))
}
