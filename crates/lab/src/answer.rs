//! Waiting until a node's sshd answers.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a try to connect, or the greeting, may take.
const TRY: Duration = Duration::from_millis(500);
/// Between two tries.
const POLL: Duration = Duration::from_millis(50);

/// How long a node may take to join its groups.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);

/// How long nodes may take to boot when this many do so at the same time: about ten times what two cores take.
pub(crate) fn allowed(nodes: usize) -> Duration {
    Duration::from_secs(60 + 10 * nodes as u64)
}

/// Waits until an SSH server greets (RFC 4253, 4.2) on port 22 of `address`; false where it did not within
/// `allowed`, or once the node does not run any more.
pub(crate) fn ssh(address: Ipv4Addr, allowed: Duration, runs: impl Fn() -> bool) -> bool {
    wait((address, 22).into(), allowed, runs)
}

fn wait(address: SocketAddr, allowed: Duration, runs: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    // The first process joins its groups a moment after it was started.
    let mut seen_running = false;
    while begun.elapsed() < allowed {
        if greets(address) {
            return true;
        }
        match runs() {
            true => seen_running = true,
            false if seen_running || begun.elapsed() > BEGINS_WITHIN => return false,
            false => {}
        }
        std::thread::sleep(POLL);
    }
    false
}

fn greets(address: SocketAddr) -> bool {
    let greeting = || {
        let mut stream = TcpStream::connect_timeout(&address, TRY)?;
        stream.set_read_timeout(Some(TRY))?;
        let mut start = [0; 4];
        stream.read_exact(&mut start).map(|()| start)
    };
    greeting().is_ok_and(|start: [u8; 4]| &start == b"SSH-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn serve(greeting: &'static str) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            listener.incoming().flatten().for_each(|mut s| s.write_all(greeting.as_bytes()).unwrap());
        });
        address
    }

    #[test]
    fn only_a_greeting_counts_as_an_answer() {
        let long = Duration::from_secs(60);
        assert!(wait(serve("SSH-2.0-x\r\n"), long, || true));
        let polls = std::cell::Cell::new(0);
        let dies = || {
            polls.set(polls.get() + 1);
            polls.get() < 3
        };
        assert!(!wait(serve("HTTP/1.1 400\r\n"), long, dies));
        assert_eq!(polls.get(), 3);
    }
}
