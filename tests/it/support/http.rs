//! A raw HTTP/1.1 client over a blocking socket. It sends what it is told, right or wrong, can stop anywhere in
//! a body, and reads exactly one answer at a time. A real client library would mend what a test wants broken.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::wait::DEADLINE;

/// A request as text and bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    head: String,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request for a path, taken as it is.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { head: format!("{method} {path} HTTP/1.1\r\nHost: gateway.test\r\n"), body: None }
    }

    /// One more header field.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.head, "{name}: {value}\r\n");
        self
    }

    /// The body, and its `Content-Length`.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let _ = write!(self.head, "Content-Length: {}\r\n", body.len());
        self.body = Some(body);
        self
    }

    /// The head as it goes over the line.
    fn head(&self) -> String {
        format!("{}\r\n", self.head)
    }

    fn is_head(&self) -> bool {
        self.head.starts_with("HEAD ")
    }
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// The body; chunks are joined.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header field that occurs at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} occurs more than once");
        value
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Header fields and body as text: all that a client could read.
    pub(crate) fn everything(&self) -> String {
        let fields = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
        fields.chain([self.text()]).collect()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// Fails with the whole answer if the status is another.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects. Reads and writes give up at the tests' deadline.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self, request: &Request) -> io::Result<Answer> {
        self.send(request.head().as_bytes())?;
        // A server may answer before it has read everything, and close: the answer counts, not the rest.
        let sent = request.body.as_deref().map_or(Ok(()), |body| self.send(body));
        self.answer(request.is_head()).or_else(|error| sent.and(Err(error)))
    }

    /// Sends a head whose body the test sends itself.
    pub(crate) fn begin(&mut self, request: &Request) -> io::Result<()> {
        self.send(request.head().as_bytes())
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends one chunk of a chunked body; the empty one ends it.
    pub(crate) fn send_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk)
    }

    /// Ends the sending side in good order: the server sees the end after the last byte.
    pub(crate) fn finish_sending(&mut self) {
        // A peer that has closed already is as good.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads one answer; `100 Continue` is passed over. An answer to HEAD has no body.
    pub(crate) fn answer(&mut self, to_head: bool) -> io::Result<Answer> {
        loop {
            let answer = self.any_answer(to_head)?;
            if answer.status != 100 {
                return Ok(answer);
            }
        }
    }

    /// Reads one answer, `100 Continue` included.
    pub(crate) fn any_answer(&mut self, to_head: bool) -> io::Result<Answer> {
        let end = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
        self.received.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no status line"))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !to_head && status >= 200 && status != 204 && status != 304 {
            answer.body = self.read_body(&answer)?;
        }
        Ok(answer)
    }

    fn read_body(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            loop {
                let size = self.line()?;
                let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                body.extend(self.take(size)?);
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        if let Some(length) = answer.header("content-length") {
            return self.take(length.parse().map_err(io::Error::other)?);
        }
        while self.more().is_ok() {}
        Ok(std::mem::take(&mut self.received))
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n") {
                let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
                self.received.drain(..end + 2);
                return Ok(line);
            }
            self.more()?;
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < length {
            self.more()?;
        }
        Ok(self.received.drain(..length).collect())
    }

    fn more(&mut self) -> io::Result<()> {
        let mut block = [0; 16 * 1024];
        let read = self.stream.read(&mut block)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.received.extend_from_slice(&block[..read]);
        Ok(())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}
