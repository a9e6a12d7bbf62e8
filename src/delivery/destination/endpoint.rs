//! A partner's HTTP endpoint: the upload is the body of one POST, the path of the delivery its URL.
//!
//! The identifier of the delivery goes along as `Idempotency-Key`: a partner that got the body and could not say so
//! knows it again. What an answer says in words stays there; its status and the codes of its issues are told.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::stream;

use super::{Delivered, DeliveryRequest, Destination};
use crate::delivery::DeliveryError;
use crate::fhir::issue_codes;
use crate::outbound::Answer;
use crate::partner::Partner;
use crate::upload::{Source, SourceError};

/// The media type of a body that has none.
const OCTETS: &str = "application/octet-stream";

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
        let body = stream::unfold((request.source, reading.clone()), |(mut source, reading)| async move {
            let read = next(source.as_mut(), &reading).await?;
            Some((read, (source, reading)))
        });
        let mut headers = request.headers.to_vec();
        headers.push(("idempotency-key".to_owned(), request.delivery_id.to_string()));
        let media_type = request.media_type.unwrap_or(OCTETS);
        let sent = self.partner.post_stream(request.path, &headers, media_type, body, length).await;
        let read = reading.lock().ok().and_then(|mut reading| reading.take());
        let answer = match (sent, read) {
            // The body ended early because of us, whatever the other side made of it.
            (_, Some(Err(error))) => return Err(error.into()),
            (Err(error), _) => return Err(DeliveryError::Partner(error)),
            (Ok(answer), _) if !(200..300).contains(&answer.status) => return Err(refused(&answer)),
            // An answer to half a body says nothing of the rest.
            (Ok(_), None) => return Err(DeliveryError::LengthMismatch { expected: length, written: 0 }),
            (Ok(answer), Some(Ok(sha256))) => (answer, sha256),
        };
        let (answer, sha256) = answer;
        let location = answer.header("location").unwrap_or(request.path).to_owned();
        Ok(Delivered { location, length, sha256, remark: remark(&answer) })
    }

    /// A POST would have an effect and a GET proves nothing: whether the partner answers shows when it is needed.
    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// The next block of the body; none at its end, which is noted.
async fn next(source: &mut dyn Source, reading: &Reading) -> Option<std::io::Result<bytes::Bytes>> {
    let note = |ended| {
        if let Ok(mut reading) = reading.lock() {
            *reading = Some(ended);
        }
    };
    match source.next().await {
        Ok(Some(block)) => Some(Ok(block)),
        Ok(None) => {
            note(source.sha256().ok_or(SourceError::Truncated));
            None
        }
        Err(error) => {
            let broken = std::io::Error::other(error.to_string());
            note(Err(error));
            Some(Err(broken))
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
    let codes = issue_codes(&answer.body);
    (!codes.is_empty()).then(|| codes.join(", "))
}
