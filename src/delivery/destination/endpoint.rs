//! A partner's HTTP endpoint: the upload is the body of one POST, the path of the delivery its URL.
//!
//! The identifier of the delivery goes along as `Idempotency-Key`: a partner that got the body and could not say so
//! knows it again. What an answer says in words stays there; its status and the codes of its issues are told.

use std::sync::{Arc, Mutex};

use crate::digest::{Digest, Sha256};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;

use super::{Delivered, DeliveryRequest, Destination};
use crate::delivery::DeliveryError;
use crate::fhir::{issue_codes, tells_of_holding};
use crate::outbound::Answer;
use crate::partner::Partner;
use crate::upload::{Source, SourceError};

/// The media type of a body that has none.
const OCTETS: &str = "application/octet-stream";

/// What is noted beside the codes of an answer which tells that attachments are held for a claim not known yet.
pub(crate) const HELD: &str = "held";

/// Sends uploads to one partner.
pub(crate) struct EndpointDestination {
    partner: Arc<Partner>,
}

impl EndpointDestination {
    /// The destination that a partner is.
    pub(crate) fn new(partner: Arc<Partner>) -> Self {
        Self { partner }
    }
}

/// How reading the upload ended: its SHA-256, or why there is none.
type Reading = Arc<Mutex<Option<Result<[u8; 32], SourceError>>>>;

#[async_trait]
impl Destination for EndpointDestination {
    async fn deliver(&self, request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        let length = request.source.length();
        let reading = Reading::default();
        let body = Body { source: request.source, left: length, reading: reading.clone() };
        let body = stream::unfold(body, |mut body| async move { Some((body.next().await?, body)) });
        let mut headers = request.headers.to_vec();
        headers.push(("idempotency-key".to_owned(), request.delivery_id.to_string()));
        let media_type = request.media_type.unwrap_or(OCTETS);
        let sent = self
            .partner
            .post_stream(request.path, &headers, media_type, (body, length), request.timeout)
            .await;
        let read = reading.lock().ok().and_then(|mut reading| reading.take());
        // Of an empty upload nobody asks for a block.
        let read = read.or_else(|| (length == 0).then(|| Ok(Sha256::digest(b"").into())));
        let (answer, sha256) = match (sent, read) {
            // The body ended early because of us, whatever the other side made of it.
            (_, Some(Err(error))) => return Err(error.into()),
            (Err(error), _) => return Err(DeliveryError::Partner(error)),
            (Ok(answer), _) if !(200..300).contains(&answer.status) => return Err(refused(&answer)),
            // An answer to half a body says nothing of the rest.
            (Ok(_), None) => return Err(DeliveryError::LengthMismatch { expected: length, written: 0 }),
            (Ok(answer), Some(Ok(sha256))) => (answer, sha256),
        };
        let location = answer.header("location").unwrap_or(request.path).to_owned();
        Ok(Delivered { location, length, sha256, remark: remark(&answer) })
    }

    /// A POST would have an effect and a GET proves nothing: whether the partner answers shows when it is needed.
    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// An upload that is being sent.
struct Body {
    source: Box<dyn Source>,
    /// Bytes that are still to come.
    left: u64,
    reading: Reading,
}

impl Body {
    /// The next block. How the reading ended is noted with the last one: nobody asks for more than the length that was
    /// announced.
    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        let block = match self.source.next().await {
            Ok(Some(block)) => block,
            Ok(None) => return self.end(),
            Err(error) => return Some(Err(self.fail(error))),
        };
        self.left = self.left.saturating_sub(block.len() as u64);
        if self.left == 0 {
            match self.source.next().await {
                Ok(None) => {
                    self.end();
                }
                Ok(Some(_)) => return Some(Err(self.fail(SourceError::Corrupt))),
                Err(error) => return Some(Err(self.fail(error))),
            }
        }
        Some(Ok(block))
    }

    fn end(&self) -> Option<std::io::Result<Bytes>> {
        self.note(self.source.sha256().ok_or(SourceError::Truncated));
        None
    }

    fn fail(&self, error: SourceError) -> std::io::Error {
        let broken = std::io::Error::other(error.to_string());
        self.note(Err(error));
        broken
    }

    fn note(&self, ended: Result<[u8; 32], SourceError>) {
        if let Ok(mut reading) = self.reading.lock() {
            *reading = Some(ended);
        }
    }
}

fn refused(answer: &Answer) -> DeliveryError {
    DeliveryError::Refused {
        status: answer.status,
        retry_after: answer.retry_after(),
        codes: issue_codes(&answer.body).join(", "),
    }
}

/// What an accepting answer says beside that, in codes.
fn remark(answer: &Answer) -> Option<String> {
    let mut codes = issue_codes(&answer.body);
    codes.extend(tells_of_holding(&answer.body).then(|| HELD.to_owned()));
    (!codes.is_empty()).then(|| codes.join(", "))
}
