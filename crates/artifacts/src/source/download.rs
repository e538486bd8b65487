//! Downloads that resume: `FILE.part` grows over tries and runs, `FILE.part.etag` names the version of the file it
//! is a part of (RFC 9110: `Range`, `If-Range`). A file gets its name when its digest is right.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Response, StatusCode, Url};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::http::{Client, Failure, shown};
use crate::Sha256;
use crate::cache::{self, Cache, blocking};
use crate::error::{At as _, Error};
use crate::progress::{Progress, Report, Unit};

/// A file to fetch.
pub(crate) struct Wish<'a> {
    pub(crate) url: &'a Url,
    pub(crate) headers: HeaderMap,
    pub(crate) to: &'a Path,
    pub(crate) mode: u32,
    pub(crate) expected: Sha256,
    /// The file or URL that says so.
    pub(crate) listed_in: String,
    /// Its name in the progress.
    pub(crate) what: &'a str,
}

/// Fetches a file unless it is there with the right digest. Returns its size.
pub(crate) async fn download(
    client: &Client,
    wish: &Wish<'_>,
    cache: &Cache,
    report: &Report<'_>,
) -> Result<u64, Error> {
    if wish.to.exists() {
        let (found, size) = cache.digest(wish.to).await?;
        if found == wish.expected {
            return Ok(size);
        }
    }
    let part = Part::of(wish.to);
    let mut tries = 0;
    loop {
        let before = part.size();
        tries += 1;
        match part.fetch(client, wish, report).await {
            Ok(()) => {}
            Err(failure) => {
                if part.size() >= before + client.http.least {
                    tries = 1;
                }
                client.rest(wish.url, failure, tries).await?;
                continue;
            }
        }
        let file = part.file.clone();
        let (found, size) = blocking(move || Sha256::of_file(&file).at("read", &file)).await?;
        if found == wish.expected {
            let mode = fs::Permissions::from_mode(wish.mode);
            fs::set_permissions(&part.file, mode).at("set the mode of", &part.file)?;
            fs::rename(&part.file, wish.to).at("name", wish.to)?;
            cache.remember(wish.to, found)?;
            let _ = fs::remove_file(&part.tag);
            report(Progress::Completes { what: wish.what.into() });
            return Ok(size);
        }
        part.forget()?;
        // What an earlier try left may be what is wrong: once more from the first byte.
        if before == 0 {
            let (what, listed_in) = (shown(wish.url), wish.listed_in.clone());
            return Err(Error::WrongDigest { what, found, expected: wish.expected, listed_in });
        }
    }
}

/// A file that is not complete.
struct Part {
    file: PathBuf,
    tag: PathBuf,
}

impl Part {
    fn of(to: &Path) -> Self {
        let with = |ending: &str| {
            let mut name = to.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        Self { file: with(".part"), tag: with(".part.etag") }
    }

    fn size(&self) -> u64 {
        fs::metadata(&self.file).map_or(0, |meta| meta.len())
    }

    fn forget(&self) -> Result<(), Error> {
        for path in [&self.file, &self.tag] {
            if path.exists() {
                fs::remove_file(path).at("remove", path)?;
            }
        }
        Ok(())
    }

    /// Asks for what is missing. A part whose version is unknown can't be continued.
    fn headers(&self, wish: &Wish<'_>) -> Result<HeaderMap, Error> {
        let mut headers = wish.headers.clone();
        let tag = fs::read(&self.tag).ok().and_then(|tag| HeaderValue::from_bytes(&tag).ok());
        match (self.size(), tag) {
            (0, _) => {}
            (size, Some(tag)) => {
                let range = HeaderValue::try_from(format!("bytes={size}-"));
                headers.extend(range.ok().map(|range| (RANGE, range)));
                headers.insert(IF_RANGE, tag);
            }
            (_, None) => self.forget()?,
        }
        Ok(headers)
    }

    /// One try: fetches the file, or its rest.
    async fn fetch(&self, client: &Client, wish: &Wish<'_>, report: &Report<'_>) -> Result<(), Failure> {
        let headers = self.headers(wish).map_err(Failure::Final)?;
        let response = client.send(wish.url, &headers).await?;
        let size = self.size();
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, size) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                self.forget().map_err(Failure::Final)?;
                return Err(Failure::Network("the server sent another part than the one asked for".into()));
            }
            // The whole file: another version than the part is of, or a server without ranges.
            StatusCode::OK => {
                self.forget().map_err(Failure::Final)?;
                // A weak tag does not promise equal bytes, so it can't be used to continue.
                let strong = |tag: &&HeaderValue| !tag.as_bytes().starts_with(b"W/");
                let tag =
                    response.headers().get(ETAG).filter(strong).or(response.headers().get(LAST_MODIFIED));
                if let Some(tag) = tag {
                    cache::write(&self.tag, tag.as_bytes(), 0o644).map_err(Failure::Final)?;
                }
            }
            status => return Err(Failure::Status(status, response.headers().clone())),
        }
        self.receive(client, wish, response, report).await
    }

    async fn receive(
        &self,
        client: &Client,
        wish: &Wish<'_>,
        mut response: Response,
        report: &Report<'_>,
    ) -> Result<(), Failure> {
        let io = |error| Failure::Final(Error::Io { doing: "write", path: self.file.clone(), source: error });
        let mut file =
            tokio::fs::File::options().create(true).append(true).open(&self.file).await.map_err(io)?;
        let mut done = self.size();
        let total = response.content_length().map(|rest| done + rest);
        let (mut until, mut came) = (Instant::now() + client.http.stall, 0);
        loop {
            match timeout_at(until, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    file.write_all(&chunk).await.map_err(io)?;
                    // What is told is in the file: `write_all` alone leaves it to a thread.
                    file.flush().await.map_err(io)?;
                    (done, came) = (done + chunk.len() as u64, came + chunk.len() as u64);
                    report(Progress::Advances { what: wish.what.into(), done, total, unit: Unit::Bytes });
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(Failure::Network(Box::new(error.without_url()))),
                Err(_) if came >= client.http.least => {
                    (until, came) = (Instant::now() + client.http.stall, 0);
                }
                Err(_) => return Err(client.stalled()),
            }
        }
    }
}

/// Whether a partial answer continues after `size` bytes (`Content-Range: bytes SIZE-END/WHOLE`).
fn starts_at(response: &Response, size: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range
        .and_then(|range| range.strip_prefix("bytes ")?.split_once('-'))
        .is_some_and(|(start, _)| start.parse() == Ok(size))
}
