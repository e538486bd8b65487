//! A small HTTP server on 127.0.0.1 that serves files with ranges, and misbehaves as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens instead of the right answer; each is used up by one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Nothing comes after so many bytes of the body.
    Stall(usize),
    /// So many bytes are wrong, then the connection ends.
    Garble(usize),
    /// This status, without a body.
    Status(u16),
    /// `Range` is not understood.
    Whole,
}

#[derive(Debug, Clone, Default)]
pub struct Served {
    pub body: Vec<u8>,
    pub headers: Vec<(String, String)>,
    pub faults: VecDeque<Fault>,
    /// Without this `Authorization` the answer is 401 with this `WWW-Authenticate`.
    pub wants: Option<(String, String)>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Served>,
    log: Vec<String>,
}

/// The server; it ends with the test.
#[derive(Clone)]
pub struct Server {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, state: Arc::default() };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().answer(stream));
            }
        });
        server
    }

    pub fn serve(&self, path: &str, body: impl Into<Vec<u8>>) {
        let body = body.into();
        let headers = vec![("etag".into(), format!("\"{}\"", body.len()))];
        self.change(path, |served| (served.body, served.headers) = (body, headers));
    }

    pub fn change(&self, path: &str, change: impl FnOnce(&mut Served)) {
        change(self.state.lock().unwrap().files.entry(path.into()).or_default());
    }

    pub fn fail(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.change(path, |served| served.faults.extend(faults));
    }

    pub fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path);
    }

    /// What was asked since the last call, a line a request.
    pub fn log(&self) -> String {
        std::mem::take(&mut self.state.lock().unwrap().log).join("\n")
    }

    async fn answer(self, mut stream: TcpStream) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1)?.to_owned();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let path = match target.strip_prefix("http://") {
            Some(absolute) => absolute[absolute.find('/')?..].to_owned(),
            None => target.clone(),
        };
        let mut told = target;
        for name in ["range", "if-range", "authorization", "proxy-authorization"] {
            if let Some(value) = header(name) {
                told += &format!(" {name}={value}");
            }
        }
        let (status, headers, body, fault) = self.decide(path.split('?').next()?, &header);
        self.state.lock().unwrap().log.push(format!("{status} {told}"));

        let mut answer =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        headers.iter().for_each(|(key, value)| answer += &format!("{key}: {value}\r\n"));
        stream.write_all((answer + "\r\n").as_bytes()).await.ok()?;
        match fault {
            Some(Fault::Cut(length)) => stream.write_all(&body[..length.min(body.len())]).await.ok()?,
            Some(Fault::Garble(length)) => stream.write_all(&vec![b'?'; length]).await.ok()?,
            Some(Fault::Stall(length)) => {
                stream.write_all(&body[..length.min(body.len())]).await.ok()?;
                // Until the other side gives up.
                let _ = stream.read_u8().await;
            }
            _ => stream.write_all(&body).await.ok()?,
        }
        stream.shutdown().await.ok()
    }

    #[allow(clippy::type_complexity)]
    fn decide(
        &self,
        path: &str,
        header: &dyn Fn(&str) -> Option<String>,
    ) -> (u16, Vec<(String, String)>, Vec<u8>, Option<Fault>) {
        let mut state = self.state.lock().unwrap();
        let Some(served) = state.files.get_mut(path) else { return (404, Vec::new(), b"none".into(), None) };
        if let Some((authorization, challenge)) = &served.wants
            && header("authorization").as_ref() != Some(authorization)
        {
            return (401, vec![("www-authenticate".into(), challenge.clone())], Vec::new(), None);
        }
        let fault = served.faults.pop_front();
        if let Some(Fault::Status(status)) = fault {
            return (status, Vec::new(), Vec::new(), None);
        }
        let mut headers = served.headers.clone();
        let etag = headers.iter().find(|(key, _)| key == "etag").map(|(_, value)| value.clone());
        let range =
            header("range").filter(|_| header("if-range") == etag && !matches!(fault, Some(Fault::Whole)));
        let start =
            range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let whole = served.body.len();
        match start {
            Some(start) if start < whole => {
                headers.push(("content-range".into(), format!("bytes {start}-{}/{whole}", whole - 1)));
                (206, headers, served.body[start..].to_vec(), fault)
            }
            Some(_) => (416, Vec::new(), Vec::new(), None),
            None => (200, headers, served.body.clone(), fault),
        }
    }
}
