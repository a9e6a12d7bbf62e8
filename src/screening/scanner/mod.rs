//! What looks for malicious content: clamd, or a service over HTTP. The bytes go there in a stream, and within a
//! time; whoever asks says where they come from and what follows from the verdict.

mod clamd;
mod http;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

pub(crate) use clamd::Clamd;
pub(crate) use http::HttpScanner;

/// The longest name of a finding that is kept.
const NAME_CHARS: usize = 128;

/// Bytes on their way to a scanner.
pub(crate) type Scanned = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A scanner.
#[derive(Debug)]
pub(crate) enum Scanner {
    /// clamd, over its own protocol.
    Clamd(Clamd),
    /// A service that takes the bytes by POST.
    Http(HttpScanner),
}

/// What a scanner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing was found.
    Clean,
    /// Something was found, which the scanner calls so.
    Infected(String),
}

/// Why there is no finding.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScannerError {
    /// The scanner cannot be reached, or gave no answer in time; it may later.
    #[error("the scanner cannot be reached")]
    Unreachable,
    /// The scanner does not take it: too long, or an error of its own. Asking again changes nothing.
    #[error("the scanner does not take it")]
    Refused,
    /// The bytes cannot be read.
    #[error("the bytes cannot be read")]
    Bytes(#[source] io::Error),
}

impl Scanner {
    /// Has `length` bytes looked at.
    ///
    /// *Idempotence*: nothing is kept there.
    pub(crate) async fn scan(&self, bytes: Scanned, length: u64) -> Result<Finding, ScannerError> {
        match self {
            Self::Clamd(clamd) => clamd.scan(bytes).await,
            Self::Http(http) => http.scan(bytes, length).await,
        }
    }
}

impl Scanner {
    /// Whether it is there, without anything to be looked at.
    pub(crate) async fn check(&self) -> Result<(), ScannerError> {
        match self {
            Self::Clamd(clamd) => clamd.check().await,
            Self::Http(http) => http.check().await,
        }
    }
}

/// What a scanner calls a finding, as far as it may be kept and shown.
fn name(text: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.trim().chars().take(NAME_CHARS).map(shown).collect()
}
