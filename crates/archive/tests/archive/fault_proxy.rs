//! What stands between us and a server: it writes down each request, and can be made to lie.
//!
//! One request a connection; bodies by `content-length`, as our client sends them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Takes a connection and closes it.
    Closes,
    /// Takes a request and never answers.
    Hangs,
    /// Answers each request with this status.
    Says(u16),
    /// Answers each PUT with this status, and reads well.
    PutSays(u16),
    /// Closes the connection after so many bytes of an object's answer.
    Cuts(usize),
    /// Gives half of an object as if it were all.
    Halves,
    /// Flips one bit in the middle of an object.
    Flips,
    /// Answers a listing as it did the first time.
    OldLists,
    /// Acknowledges a PUT and keeps nothing.
    Forgets,
    /// Stores a PUT, and answers that it could not.
    LosesAcks,
    /// Refuses as the policy of nodes does: a PUT without its condition, and each DELETE.
    Policy,
    /// Answers each request after a while, and an object piece by piece.
    Slow,
}

pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    upstream: SocketAddr,
    fault: Fault,
    heads: Vec<String>,
    lists: BTreeMap<String, Vec<u8>>,
}

impl Proxy {
    /// Its thread ends with the test's process.
    pub fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { upstream, fault: Fault::None, heads: Vec::new(), lists: BTreeMap::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || {
                    // A client that went away is no news where it was made to.
                    if let Err(error) = serve(client, &state) {
                        println!("the proxy: {error}");
                    }
                });
            }
        });
        Self { address, state }
    }

    pub fn be(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// The heads of all requests until now, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }
}

fn serve(mut client: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let (head, body) = read(&mut client)?;
    let (fault, upstream) = {
        let mut state = state.lock().unwrap();
        state.heads.push(head.to_lowercase());
        (state.fault, state.upstream)
    };
    let is_put = head.starts_with("PUT ");
    let is_list = head.contains("list-type=2");
    let status =
        |status| format!("HTTP/1.1 {status} Fault\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let early = match fault {
        Fault::Closes => return client.shutdown(Shutdown::Both),
        Fault::Hangs => {
            std::thread::sleep(Duration::from_secs(120));
            return Ok(());
        }
        Fault::Says(code) => Some(status(code)),
        Fault::Policy if is_put && !head.to_lowercase().contains("\r\nif-none-match: *") => Some(status(403)),
        Fault::Policy if head.starts_with("DELETE ") => Some(status(403)),
        Fault::Slow => {
            std::thread::sleep(Duration::from_millis(300));
            None
        }
        Fault::PutSays(code) if is_put => Some(status(code)),
        Fault::Forgets if is_put => {
            Some(status(200).replace("content-length", "etag: \"0\"\r\ncontent-length"))
        }
        _ => None,
    };
    if let Some(answer) = early {
        client.write_all(answer.as_bytes())?;
        return drain(&client);
    }
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut answer = ask(upstream, &head, &body)?;
    if is_list {
        let mut state = state.lock().unwrap();
        let first = state.lists.entry(target).or_insert_with(|| answer.clone());
        if fault == Fault::OldLists {
            answer = first.clone();
        }
    }
    let begin = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let is_object = head.starts_with("GET ") && !is_list && answer.starts_with(b"HTTP/1.1 200");
    match fault {
        Fault::Flips if is_object => {
            let middle = begin + (answer.len() - begin) / 2;
            answer[middle] ^= 1;
        }
        Fault::Cuts(after) if is_object => answer.truncate(begin + after),
        Fault::Halves if is_object => {
            let half = (answer.len() - begin) / 2;
            let kept = |line: &&str| !line.to_lowercase().starts_with("content-length");
            let text = String::from_utf8_lossy(&answer[..begin]).into_owned();
            let lines = text.trim_end().lines().filter(kept).collect::<Vec<_>>().join("\r\n");
            let body = answer[begin..begin + half].to_vec();
            answer = format!("{lines}\r\ncontent-length: {half}\r\n\r\n").into_bytes();
            answer.extend(body);
        }
        Fault::LosesAcks if is_put => answer = status(503).into_bytes(),
        _ => {}
    }
    if fault == Fault::Slow {
        for piece in answer.chunks(answer.len().div_ceil(5).max(1)) {
            client.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(100));
        }
    } else {
        client.write_all(&answer)?;
    }
    drain(&client)
}

/// Ends the connection in a way that does not take back what was written.
fn drain(client: &TcpStream) -> io::Result<()> {
    client.shutdown(Shutdown::Write)?;
    client.set_read_timeout(Some(Duration::from_millis(200)))?;
    let _ = io::copy(&mut &*client, &mut io::sink());
    Ok(())
}

/// Sends a request as it is, for one answer.
fn ask(upstream: SocketAddr, head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream)?;
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    server.write_all(format!("{first}\r\nconnection: close\r\n{rest}").as_bytes())?;
    server.write_all(body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}

/// The head of a message, with the empty line, and its body.
fn read(from: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if from.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body)?;
    Ok((head, body))
}
