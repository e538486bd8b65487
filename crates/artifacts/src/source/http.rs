//! Fetching over HTTP: the proxy that was given, a bounded number of tries, and a deadline that asks for progress
//! instead of an end.

use std::error::Error as StdError;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};

use crate::error::Error;

/// How servers are reached.
#[derive(Debug, Clone)]
pub struct Http {
    /// The proxy for every request, if there is one.
    pub proxy: Option<Proxy>,
    /// Hosts that are reached without the proxy, as the variable `NO_PROXY` lists them.
    pub no_proxy: String,
    /// A server has to send `least` bytes in each span of this length, and its first answer within it.
    pub stall: Duration,
    /// See `stall`.
    pub least: u64,
    /// Tries in a row that bring less than `least` bytes before a file is given up.
    pub tries: u32,
    /// The wait before the second try; doubled for each one after it.
    pub pause: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            proxy: None,
            no_proxy: String::new(),
            stall: Duration::from_secs(30),
            least: 64 << 10,
            tries: 4,
            pause: Duration::from_millis(500),
        }
    }
}

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A proxy's URL. What it shows of itself has no user and no password.
#[derive(Clone)]
pub struct Proxy(Url);

impl Proxy {
    /// Reads `[http://][USER:PASSWORD@]HOST:PORT` or the same with `https://`.
    ///
    /// # Errors
    /// [`Error::BadUrl`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        // As curl does: HOST:PORT alone is what many environments have.
        let text = if text.is_empty() || text.contains("://") { text } else { &format!("http://{text}") };
        base_url("the proxy", text).map(Self)
    }
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// An `http` or `https` URL with a host. The text is not repeated in the error: it may hold a password.
pub(crate) fn base_url(setting: &str, text: &str) -> Result<Url, Error> {
    let bad = |why: String| Error::BadUrl { setting: setting.into(), why };
    let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        _ => Err(bad("it does not start with http:// or https:// and a host".into())),
    }
}

/// A URL without user, password and query: registries redirect to URLs that are signed in their query.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Both fail only for URLs that can't have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// A client with its settings.
pub(crate) struct Client {
    pub(crate) http: Http,
    inner: reqwest::Client,
}

/// Why one try failed.
pub(crate) enum Failure {
    /// Worth another try; said by the network.
    Network(Box<dyn StdError + Send + Sync>),
    /// The server's answer; worth another try if it says so itself.
    Status(StatusCode, HeaderMap),
    /// Not worth another try.
    Final(Error),
}

impl Client {
    pub(crate) fn new(http: &Http) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder().no_proxy().connect_timeout(http.stall.min(CONNECT));
        if let Some(proxy) = &http.proxy {
            let bad =
                |error: reqwest::Error| Error::BadUrl { setting: "the proxy".into(), why: error.to_string() };
            let except = reqwest::NoProxy::from_string(&http.no_proxy);
            builder = builder.proxy(reqwest::Proxy::all(proxy.0.as_str()).map_err(bad)?.no_proxy(except));
        }
        let inner = builder.build().map_err(|error| Error::Unusable {
            what: "this machine's TLS setup".into(),
            why: error.to_string(),
        })?;
        Ok(Self { http: http.clone(), inner })
    }

    /// One request, answered within the deadline.
    pub(crate) async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Response, Failure> {
        let request = self.inner.get(url.clone()).headers(headers.clone()).send();
        match tokio::time::timeout(self.http.stall, request).await {
            Ok(Ok(response)) => Ok(response),
            // The URL is in our own message.
            Ok(Err(error)) => Err(Failure::Network(Box::new(error.without_url()))),
            Err(_) => Err(self.stalled()),
        }
    }

    pub(crate) fn stalled(&self) -> Failure {
        let Http { least, stall, .. } = self.http;
        Failure::Network(format!("less than {least} bytes came in {stall:?}").into())
    }

    /// Fetches a short text, such as a list of checksums or a manifest.
    pub(crate) async fn bytes(&self, url: &Url, headers: &HeaderMap) -> Result<(HeaderMap, Vec<u8>), Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.bytes_once(url, headers).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            self.rest(url, failure, tries).await?;
        }
    }

    async fn bytes_once(&self, url: &Url, headers: &HeaderMap) -> Result<(HeaderMap, Vec<u8>), Failure> {
        let response = self.send(url, headers).await?;
        if !response.status().is_success() {
            return Err(Failure::Status(response.status(), response.headers().clone()));
        }
        let headers = response.headers().clone();
        match tokio::time::timeout(self.http.stall, response.bytes()).await {
            Ok(Ok(bytes)) => Ok((headers, bytes.to_vec())),
            Ok(Err(error)) => Err(Failure::Network(Box::new(error.without_url()))),
            Err(_) => Err(self.stalled()),
        }
    }

    /// The headers of a refusal (401) to answer without a token; none where no token is needed.
    pub(crate) async fn challenge(&self, url: &Url) -> Result<HeaderMap, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.send(url, &HeaderMap::new()).await {
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                    return Ok(response.headers().clone());
                }
                Ok(response) if response.status().is_success() => return Ok(HeaderMap::new()),
                Ok(response) => Failure::Status(response.status(), response.headers().clone()),
                Err(failure) => failure,
            };
            self.rest(url, failure, tries).await?;
        }
    }

    /// Waits before another try, or says why there is none.
    pub(crate) async fn rest(&self, url: &Url, failure: Failure, tries: u32) -> Result<(), Error> {
        let proxy = self.http.proxy.as_ref().map(Proxy::to_string);
        let mut pause = self.http.pause.saturating_mul(1 << (tries - 1).min(6));
        match failure {
            Failure::Final(error) => return Err(error),
            Failure::Network(source) if tries >= self.http.tries => {
                return Err(Error::Unreachable { url: shown(url), proxy, tries, source });
            }
            Failure::Network(_) => {}
            Failure::Status(status, headers) => {
                let passing = status.is_server_error()
                    || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
                if !passing || tries >= self.http.tries {
                    return Err(Error::Status { url: shown(url), status: status.as_u16(), proxy });
                }
                let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                pause = pause.max(Duration::from_secs(asked.unwrap_or(0)).min(self.http.stall));
            }
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
