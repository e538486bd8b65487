//! The HTTP client: names are resolved here and not by the C library, whose resolver a static program lacks;
//! answers that are held in memory are bounded; nothing is redirected.

use super::error::{S3Error, answer, summary, told};
use super::{Outcome, bytes_of::Bytes};
use base64::Engine as _;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use object_store::HeaderMap;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How long a connection may take.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// The largest answer that is held in memory: a page of a listing, an error document.
const MAX_ANSWER: usize = 8 << 20;
/// How much of an error document is read.
const MAX_ERROR: usize = 64 << 10;
/// How much of a file is in memory at a time.
const PIECE: usize = 256 << 10;

/// What the store and the streamed writes send requests with. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Client(reqwest::Client);

impl Client {
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, S3Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent("rekindle")
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Names::default()))
            .http1_only();
        if let Some(ca) = ca {
            let unusable = |why: String| S3Error::Ca { path: ca.display().to_string(), why };
            let pem = std::fs::read(ca).map_err(|error| unusable(error.to_string()))?;
            let found = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| unusable(S3Error::from(told(&error)).to_string()))?;
            if found.is_empty() {
                return Err(unusable("there is none in it".to_owned()));
            }
            builder = builder.tls_certs_only(found);
        }
        builder.build().map(Self).map_err(|error| told(&error).into())
    }

    /// One PUT with a streamed body, which the URL is signed for.
    pub(super) async fn put(
        &self,
        url: reqwest::Url,
        headers: HeaderMap,
        size: u64,
        body: reqwest::Body,
    ) -> Result<Outcome, S3Error> {
        let request = self.0.put(url).headers(headers).header("content-length", size).body(body);
        let response = match request.send().await {
            Ok(response) => response,
            // The URL carries a signature.
            Err(error) => return Ok(Outcome::Again(told(&error.without_url()).into())),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(Outcome::Written);
        }
        let document = collect(response.bytes_stream().boxed(), MAX_ERROR).await.unwrap_or_default();
        let said = format!("{status}: {}", summary(&String::from_utf8_lossy(&document)));
        let error = S3Error::Answer { said: answer(&said) };
        match status.as_u16() {
            409 | 412 => Ok(Outcome::Taken),
            408 | 429 | 500.. => Ok(Outcome::Again(error)),
            _ => Err(error),
        }
    }
}

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // Whoever reads an object bounds it himself.
        let is_object = request.method() == reqwest::Method::GET && request.uri().query().is_none();
        let response = self.0.call(request).await?;
        let failed = !response.status().is_success();
        if !failed && is_object {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let limit = if failed { MAX_ERROR } else { MAX_ANSWER };
        let bytes = match collect(body.bytes_stream(), limit).await {
            Ok(bytes) => bytes,
            Err(Collect::Broken(_)) if failed => Vec::new(),
            Err(Collect::TooLarge(bytes)) if failed => bytes,
            Err(Collect::TooLarge(_)) => {
                let why = io::Error::other(format!("an answer of more than {limit} bytes"));
                return Err(HttpError::new(HttpErrorKind::Decode, why));
            }
            Err(Collect::Broken(error)) => return Err(error),
        };
        let bytes = if failed { summary(&String::from_utf8_lossy(&bytes)).into_bytes() } else { bytes };
        Ok(HttpResponse::from_parts(parts, Bytes::from(bytes).into()))
    }
}

/// Why an answer is not there whole.
enum Collect<E> {
    Broken(E),
    /// What came until then.
    TooLarge(Vec<u8>),
}

async fn collect<E>(mut from: BoxStream<'_, Result<Bytes, E>>, limit: usize) -> Result<Vec<u8>, Collect<E>> {
    let mut all = Vec::new();
    while let Some(piece) = from.next().await {
        all.extend_from_slice(&piece.map_err(Collect::Broken)?);
        if all.len() > limit {
            return Err(Collect::TooLarge(all));
        }
    }
    Ok(all)
}

/// The size of a file, and the SHA-256 of its content in base64.
pub(super) fn sum(path: &Path) -> io::Result<(u64, String)> {
    let mut file = std::fs::File::open(path)?;
    let (mut size, mut sum, mut piece) = (0, Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => {
                size += read as u64;
                sum.update(&piece[..read]);
            }
        }
    }
    Ok((size, base64::engine::general_purpose::STANDARD.encode(sum.finalize())))
}

/// The first `size` bytes of a file, piece by piece.
pub(super) async fn stream_of(path: &Path, size: u64) -> io::Result<reqwest::Body> {
    let file = tokio::fs::File::open(path).await?.take(size);
    let pieces = stream::try_unfold(file, async |mut file| {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
        Ok::<_, io::Error>((read > 0).then_some((piece, file)))
    });
    Ok(reqwest::Body::wrap_stream(pieces))
}

/// Names by `/etc/hosts` and the name servers of `/etc/resolv.conf`, in Rust; by the first alone where there is no
/// such file. Made at the first question, since it belongs to the runtime that asks.
#[derive(Clone, Default)]
struct Names(Arc<OnceLock<TokioResolver>>);

impl Names {
    fn resolver(&self) -> Result<&TokioResolver, hickory_resolver::net::NetError> {
        if let Some(resolver) = self.0.get() {
            return Ok(resolver);
        }
        let provider = TokioRuntimeProvider::default();
        let resolver = TokioResolver::builder_tokio()
            .unwrap_or_else(|_| TokioResolver::builder_with_config(ResolverConfig::default(), provider))
            .build()?;
        Ok(self.0.get_or_init(|| resolver))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.resolver()?.lookup_ip(name.as_str()).await?;
            // The port is the URL's.
            let addresses: Vec<_> = found.iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
