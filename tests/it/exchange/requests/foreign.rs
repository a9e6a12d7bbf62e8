//! A foreign provider: a bare HTTP server that answers as a test tells it, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Method and path with its query: `GET /fhir/Task/12`.
    pub(super) line: String,
    /// The header, names in small letters.
    pub(super) header: Vec<(String, String)>,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl Asked {
    /// The value of a header field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.header.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer: status, further header lines, body.
pub(super) type Reply = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// An answer of FHIR JSON.
pub(super) fn fhir(status: u16, resource: &Value) -> Reply {
    (status, vec![("Content-Type", "application/fhir+json".to_owned())], resource.to_string().into_bytes())
}

/// The server. It serves until the test process ends.
pub(super) struct Foreign {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Foreign {
    /// Starts one. `answer` is given each request and how many came before it.
    pub(super) fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/fhir", listener.local_addr().expect("it has an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, kept) = (answer.clone(), kept.clone());
                thread::spawn(move || serve(stream, answer.as_ref(), &kept));
            }
        });
        Self { url, asked }
    }

    /// Its FHIR base URL.
    pub(super) fn base(&self) -> &str {
        &self.url
    }

    /// What it was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

/// Serves one connection, one request after the other.
fn serve(stream: TcpStream, answer: &(impl Fn(&Asked, usize) -> Reply + ?Sized), kept: &Mutex<Vec<Asked>>) {
    let mut writer = stream.try_clone().expect("a socket can be shared");
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        let before = {
            let mut kept = kept.lock().expect("nobody panics with it");
            kept.push(asked.clone());
            kept.len() - 1
        };
        let (status, header, body) = answer(&asked, before);
        let lines: Vec<String> = header.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let lines = lines.concat();
        let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n{lines}\r\n", body.len());
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&body)).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let line = lines.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    let header: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let field = |name: &str| header.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if field("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = field("content-length") {
        body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
    }
    Some(Asked { line, header, body })
}
