//! A line between a client and a server that breaks as it is told: each connection carries so many bytes towards the
//! server, then it is cut, or nothing moves on it any more.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::wait;

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Break {
    /// Both sides see its end after so many bytes.
    Cut(usize),
    /// Nothing moves after so many bytes.
    Stall(usize),
}

/// The line. It ends with its test.
pub(crate) struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    breaks: VecDeque<Break>,
    broken: usize,
}

impl Relay {
    /// A line to a server, whose next connections break in this way; those after them are sound.
    pub(crate) fn to(server: SocketAddr, breaks: impl IntoIterator<Item = Break>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State { breaks: breaks.into_iter().collect(), broken: 0 }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || {
                    // A server that is not there is a line that breaks at once.
                    if let Ok(server) = TcpStream::connect(server) {
                        carry(&client, &server, &state);
                    }
                });
            }
        });
        Self { address, state }
    }

    /// The URL of the near end, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections have broken.
    pub(crate) fn broken(&self) -> usize {
        self.state.lock().expect("no thread panics in here").broken
    }

    /// Waits until so many connections have broken.
    #[track_caller]
    pub(crate) fn wait_broken(&self, count: usize) {
        wait::until("the line to break", || (self.broken() >= count).then_some(()));
    }
}

fn carry(client: &TcpStream, server: &TcpStream, state: &Mutex<State>) {
    let back = (server.try_clone(), client.try_clone());
    if let (Ok(mut server), Ok(mut client)) = back {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut server, &mut client);
            let _ = client.shutdown(Shutdown::Write);
        });
    }
    let (mut reader, mut writer) = (client, server);
    let mut buffer = [0; 16 * 1024];
    let mut carried = 0;
    let (mut end, mut limit) = (None, usize::MAX);
    let mut is_broken = false;
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        // A connection that is opened and not used takes none of the breaks; one that found none takes what another
        // gives back while it goes on.
        if end.is_none() {
            end = state.lock().expect("no thread panics in here").breaks.pop_front();
            limit = match end {
                Some(Break::Cut(length) | Break::Stall(length)) => carried + length,
                None => usize::MAX,
            };
        }
        let passed = read.min(limit - carried);
        if writer.write_all(&buffer[..passed]).is_err() {
            break;
        }
        carried += passed;
        if carried == limit {
            is_broken = true;
            state.lock().expect("no thread panics in here").broken += 1;
            if matches!(end, Some(Break::Stall(_))) {
                // What it still sends goes nowhere, and it waits for an answer until it is ended itself.
                let _ = std::io::copy(&mut reader, &mut std::io::sink());
            }
            break;
        }
    }
    // A connection that one of the sides has ended before leaves its break to the next one.
    if let (Some(left), false) = (end, is_broken) {
        state.lock().expect("no thread panics in here").breaks.push_front(left);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
