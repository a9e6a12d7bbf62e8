//! clamd's own protocol: `zINSTREAM`, chunks with their lengths before them, one line as the answer (clamd(8)). A
//! connection for each scan, over TCP or a local socket.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::{Finding, Scanned, ScannerError, name};

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest chunk that is sent.
const CHUNK_BYTES: usize = 256 * 1024;
/// The longest answer that is read.
const ANSWER_BYTES: u64 = 4096;

/// Where clamd is, and how long it may take.
#[derive(Debug, Clone)]
pub(crate) struct Clamd {
    address: Address,
    timeout: Duration,
}

#[derive(Debug, Clone)]
enum Address {
    Tcp(String),
    Unix(PathBuf),
}

/// A connection, of either kind.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

impl Clamd {
    /// `address` is `host:port`, or the path of a socket. Each step may take `timeout`, the verdict too.
    pub(crate) fn new(address: &str, timeout: Duration) -> Self {
        let address = if address.starts_with('/') {
            Address::Unix(address.into())
        } else {
            Address::Tcp(address.to_owned())
        };
        Self { address, timeout }
    }

    pub(super) async fn scan(&self, bytes: Scanned) -> Result<Finding, ScannerError> {
        self.converse(self.connect().await?, bytes).await
    }

    /// Whether clamd answers.
    pub(super) async fn check(&self) -> Result<(), ScannerError> {
        let mut socket = self.connect().await?;
        within(CONNECT, socket.write_all(b"zPING\0")).await?;
        let mut answer = [0; 5];
        within(CONNECT, socket.read_exact(&mut answer)).await?;
        if &answer == b"PONG\0" { Ok(()) } else { Err(ScannerError::Unreachable) }
    }

    async fn connect(&self) -> Result<Box<dyn Socket>, ScannerError> {
        Ok(match &self.address {
            Address::Tcp(address) => Box::new(within(CONNECT, TcpStream::connect(address)).await?),
            Address::Unix(path) => Box::new(within(CONNECT, UnixStream::connect(path)).await?),
        })
    }

    async fn converse(
        &self,
        mut socket: Box<dyn Socket>,
        mut bytes: Scanned,
    ) -> Result<Finding, ScannerError> {
        within(self.timeout, socket.write_all(b"zINSTREAM\0")).await?;
        while let Some(block) = bytes.next().await {
            let block = block.map_err(ScannerError::Bytes)?;
            for chunk in block.chunks(CHUNK_BYTES) {
                // No chunk is longer than its constant, which is.
                let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_be_bytes();
                let sent = async {
                    socket.write_all(&length).await?;
                    socket.write_all(chunk).await
                };
                if within(self.timeout, sent).await.is_err() {
                    // clamd answers before the end where the stream is too long for it, and hangs up.
                    return self.answer(&mut socket).await;
                }
            }
        }
        // Where this fails the answer, or its lack, tells why.
        let _ = within(self.timeout, socket.write_all(&0_u32.to_be_bytes())).await;
        self.answer(&mut socket).await
    }

    async fn answer<S: AsyncRead + Unpin>(&self, socket: &mut S) -> Result<Finding, ScannerError> {
        let mut answer = Vec::new();
        let mut limited = socket.take(ANSWER_BYTES);
        // One that hung up on what it did not read resets the connection, and a local socket tells that before the
        // answer that came first. Half an answer has no end, and is none.
        if within(self.timeout, limited.read_to_end(&mut answer)).await.is_err() {
            let _ = within(self.timeout, limited.read_to_end(&mut answer)).await;
        }
        let answer = String::from_utf8_lossy(&answer);
        let answer = answer.split('\0').next().unwrap_or_default().trim();
        let verdict = answer.strip_prefix("stream: ").unwrap_or(answer);
        if verdict == "OK" {
            Ok(Finding::Clean)
        } else if let Some(found) = verdict.strip_suffix(" FOUND") {
            Ok(Finding::Infected(name(found)))
        } else if verdict.ends_with("ERROR") {
            Err(ScannerError::Refused)
        } else {
            Err(ScannerError::Unreachable)
        }
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, ScannerError> {
    match timeout(time, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => Err(ScannerError::Unreachable),
    }
}
