//! A way to a node's sshd that can be cut: a forwarder on loopback.

use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;
use std::time::Duration;

/// Ends with its connections when it goes.
pub struct Link {
    at: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    up: bool,
    gone: bool,
    streams: Vec<TcpStream>,
}

impl Link {
    pub fn to(node: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { up: true, gone: false, streams: Vec::new() }));
        let shared = state.clone();
        spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().gone {
                    return;
                }
                forward(stream.unwrap(), node, &shared);
            }
        });
        Self { at, state }
    }

    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Ends all connections; new ones are dropped for `dead`.
    pub fn cut(&self, dead: Duration) {
        self.close();
        let state = self.state.clone();
        spawn(move || {
            std::thread::sleep(dead);
            state.lock().unwrap().up = true;
        });
    }

    fn close(&self) {
        let mut state = self.state.lock().unwrap();
        state.up = false;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
        self.state.lock().unwrap().gone = true;
        let _ = TcpStream::connect(self.at);
    }
}

fn forward(near: TcpStream, node: SocketAddr, state: &Mutex<State>) {
    let mut state = state.lock().unwrap();
    if !state.up {
        return;
    }
    let Ok(far) = TcpStream::connect_timeout(&node, Duration::from_secs(5)) else { return };
    for (from, to) in [(&near, &far), (&far, &near)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        spawn(move || {
            let _ = copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    state.streams.extend([near, far]);
}
