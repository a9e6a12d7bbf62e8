//! A partner's server, scripted: a file, a Binary, and Communications that its Tasks name.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{FHIR, attached, communication};
use crate::support::content::base64;

/// A partner's server that has a file and a Binary.
pub(super) struct Partner {
    pub(super) url: String,
    /// Whether it answers 503 only.
    is_down: Arc<AtomicBool>,
}

impl Partner {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let is_down = Arc::new(AtomicBool::new(false));
        let down = is_down.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, down.load(Ordering::Acquire));
            }
        });
        Self { url, is_down }
    }

    /// From now on it is down, or up again.
    pub(super) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Release);
    }
}

fn answer(mut stream: TcpStream, is_down: bool) -> std::io::Result<()> {
    let mut head = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let mut field = String::new();
    while head.read_line(&mut field)? > 2 {
        field.clear();
    }
    let (kind, body) = match line.split(' ').nth(1) {
        Some("/file") => ("text/plain", "at a partner's".to_owned()),
        Some("/fhir/Binary/remote") => {
            let binary =
                json!({"resourceType": "Binary", "contentType": "text/plain", "data": base64(b"remote")});
            (FHIR, binary.to_string())
        }
        Some("/fhir/Communication/pushed") => {
            (FHIR, communication("by-task", vec![attached("text/plain", b"fetched")]).to_string())
        }
        Some("/fhir/Communication/wrong") => (FHIR, json!({"resourceType": "Communication"}).to_string()),
        _ => ("text/plain", String::new()),
    };
    let status = if is_down { "503 Service Unavailable" } else { "200 OK" };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()?;
    // The other side closes when it has read everything.
    let _ = head.read(&mut [0; 1]);
    Ok(())
}
