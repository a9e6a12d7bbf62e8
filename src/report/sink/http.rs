//! Reports to a Processing Status endpoint: a POST of each, with its id as `Idempotency-Key`. 2xx means taken. A status
//! that speaks of the report itself means that it never will be; every other one that it may be later.

use std::time::Duration;

use super::{Outgoing, SinkError};
use crate::config::Secret;
use crate::outbound::{Client, Limits, OutboundError, Reach};

/// The largest answer; nothing in it is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where reports are posted, and who posts them.
#[derive(Debug)]
pub(crate) struct HttpSink {
    url: String,
    token: Option<Secret>,
    client: Client,
}

impl HttpSink {
    /// An endpoint at `url`, which knows us by `token`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new(url: &str, token: Option<Secret>, reach: Reach) -> Result<Self, OutboundError> {
        let limits = Limits { timeout: PATIENCE, answer_bytes: ANSWER_BYTES, reach, ..Limits::default() };
        Ok(Self { url: url.to_owned(), token, client: Client::new(limits)? })
    }

    pub(super) async fn send(&self, report: &Outgoing) -> Result<(), SinkError> {
        let mut call = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("idempotency-key", &report.id())
            .body(report.body.clone());
        if let Some(token) = &self.token {
            call = call.header("authorization", &format!("Bearer {}", token.reveal()));
        }
        let answer = call.send().await?;
        match answer.status {
            200..300 => Ok(()),
            // 401, 403, 404 and the like are about us or the address: somebody puts that right, and no report is lost.
            status @ (400 | 413 | 415 | 422) => Err(SinkError::Refused(status)),
            status => Err(SinkError::Answered { status, wait: answer.retry_after() }),
        }
    }
}
