//! A scanner over HTTP: `POST` of the bytes as `application/octet-stream`, and JSON as the answer:
//! `{"verdict": "clean"}` or `{"verdict": "infected", "signature": "…"}`.

use std::time::Duration;

use serde::Deserialize;

use super::{Finding, Scanned, ScannerError, name};
use crate::outbound::{Client, Limits, OutboundError, Reach};

/// The largest answer.
const ANSWER_BYTES: usize = 64 * 1024;

/// Where the service is, and who asks it.
#[derive(Debug, Clone)]
pub(crate) struct HttpScanner {
    url: String,
    client: Client,
}

#[derive(Deserialize)]
struct AnswerWire {
    verdict: VerdictWire,
    signature: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum VerdictWire {
    Clean,
    Infected,
}

impl HttpScanner {
    /// The operator's own service, which may be on a private address. A scan may take `timeout`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new(url: &str, timeout: Duration) -> Result<Self, OutboundError> {
        let limits = Limits {
            timeout,
            read_timeout: timeout,
            answer_bytes: ANSWER_BYTES,
            reach: Reach::Everywhere,
            ..Limits::default()
        };
        Ok(Self { url: url.to_owned(), client: Client::new(limits)? })
    }

    /// Any answer but one of its own failure will do: not every service knows HEAD.
    pub(super) async fn check(&self) -> Result<(), ScannerError> {
        match self.client.head(&self.url).send().await {
            Ok(answer) if answer.status < 500 => Ok(()),
            Ok(_) | Err(_) => Err(ScannerError::Unreachable),
        }
    }

    pub(super) async fn scan(&self, bytes: Scanned, length: u64) -> Result<Finding, ScannerError> {
        let call = self.client.post(&self.url).header("content-type", "application/octet-stream");
        let answer = call.stream(bytes, length).send().await.map_err(|_| ScannerError::Unreachable)?;
        match answer.status {
            200 => match serde_json::from_slice(&answer.body) {
                Ok(AnswerWire { verdict: VerdictWire::Clean, .. }) => Ok(Finding::Clean),
                Ok(AnswerWire { verdict: VerdictWire::Infected, signature }) => {
                    Ok(Finding::Infected(name(&signature.unwrap_or_default())))
                }
                Err(_) => Err(ScannerError::Refused),
            },
            408 | 425 | 429 | 500.. => Err(ScannerError::Unreachable),
            _ => Err(ScannerError::Refused),
        }
    }
}
