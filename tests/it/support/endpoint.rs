//! A foreign HTTP endpoint on a real socket: it takes what it is sent, answers as it is told, and remembers everything.
//! It knows nothing of gateways. One thread for each connection; it ends with its test.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::wait;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Method and target.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        fields.next().map(|(_, value)| &**value)
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// An answer that is to be given.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: String,
    body: String,
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: String::new(), body: String::new() }
    }

    /// One more header field.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(name);
        self.headers.push_str(": ");
        self.headers.push_str(value);
        self.headers.push_str("\r\n");
        self
    }

    /// A body of FHIR JSON.
    pub(crate) fn resource(self, resource: &Value) -> Self {
        Self { body: resource.to_string(), ..self }.header("Content-Type", "application/fhir+json")
    }
}

/// The endpoint. Without being told otherwise it answers 200.
pub(crate) struct Endpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    next: VecDeque<Reply>,
}

impl Endpoint {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || {
                    // A connection that breaks is the other side's affair.
                    let _ = serve(&stream, &state);
                });
            }
        });
        Self { address, state }
    }

    /// Its URL without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests are answered so, in this order.
    pub(crate) fn answer(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().expect("no thread panics here").next.extend(replies);
    }

    /// What it was sent so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().expect("no thread panics here").received.clone()
    }

    /// Waits until it was sent so many requests, and gives them.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Received> {
        wait::until("the endpoint to be called", || Some(self.received()).filter(|all| all.len() >= count))
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut headers = Vec::new();
        loop {
            let mut field = String::new();
            reader.read_line(&mut field)?;
            let Some((name, value)) = field.trim_end().split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        let mut received = Received { line, headers, body: Vec::new() };
        let length = received.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        received.body = body;
        let Reply { status, headers, body } = {
            let mut state = state.lock().expect("no thread panics here");
            state.received.push(received);
            state.next.pop_front().unwrap_or_else(|| Reply::new(200))
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        let mut writer = stream;
        writer.write_all(answer.as_bytes())?;
    }
}
