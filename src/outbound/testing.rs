//! A scripted HTTP server on a real socket, for tests of whatever makes calls. It answers one request a connection,
//! and remembers what it was sent.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Request line and header fields.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Received {
    /// The method and the target.
    pub(crate) fn line(&self) -> &str {
        self.head.split(" HTTP/1.1").next().unwrap_or_default()
    }

    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// It answers with these bytes.
    Bytes(String),
    /// It sends these bytes and then nothing.
    Stall(String),
}

impl Reply {
    /// An answer with a status, header fields (each with its line end) and a body.
    pub(crate) fn new(status: u16, fields: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(format!(
            "HTTP/1.1 {status} X\r\nConnection: close\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// A JSON answer of status 200.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::new(200, "Content-Type: application/fhir+json\r\n", &body.to_string())
    }
}

/// The server. It ends with the runtime of its test.
pub(crate) struct FakeServer {
    url: String,
    seen: Arc<Mutex<Vec<Received>>>,
}

impl FakeServer {
    /// Starts one that answers as `script` says.
    pub(crate) async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (memory, script, tracker) = (seen.clone(), Arc::new(script), TaskTracker::new());
        tracker.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (memory, script) = (memory.clone(), script.clone());
                tracker.spawn(async move {
                    let _ = serve(stream, |request| {
                        memory.lock().expect("no test panics here").push(request.clone());
                        script(request)
                    })
                    .await;
                });
            }
        });
        Self { url, seen }
    }

    /// Its URL without a path.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it was sent so far.
    pub(crate) fn seen(&self) -> Vec<Received> {
        self.seen.lock().expect("no test panics here").clone()
    }

    /// The request lines of what it was sent so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(|request| request.line().to_owned()).collect()
    }
}

async fn serve(mut stream: TcpStream, reply: impl FnOnce(&Received) -> Reply) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut request = Received { head, body: String::new() };
    let length: usize = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    request.body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    match reply(&request) {
        Reply::Bytes(answer) => stream.write_all(answer.as_bytes()).await,
        Reply::Stall(answer) => {
            stream.write_all(answer.as_bytes()).await?;
            std::future::pending().await
        }
    }
}
