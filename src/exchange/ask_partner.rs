//! GETs from partners, for every use case that needs one: the outputs and Tasks of requests, authorizations, what
//! pushes refer to, what a partner publishes. What did not come is told by its class, so that each use case says what
//! it means there; nothing of an answer but its status is ever logged.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;

use super::{Body, BodyError};
use crate::fhir::{self, FHIR_JSON, ScanLimits};
use crate::outbound::{Answer, OutboundError};
use crate::partner::{Partner, PartnerError};

/// Why a partner gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The URL is none that may be called on the partner's behalf, or what is there is too much.
    #[error("the partner must not be asked for it")]
    Forbidden,
    /// There is nothing, or no longer.
    #[error("the partner has nothing there")]
    Gone,
    /// It does not let us in. As soon as somebody has put the credentials right, it may.
    #[error("the partner does not let us in (status {0})")]
    NotLetIn(u16),
    /// It does not give it, and will not if it is asked again.
    #[error("the partner does not give it (status {0})")]
    Refused(u16),
    /// What came cannot be read.
    #[error("the answer of the partner cannot be read")]
    Unreadable,
    /// Not now; later, if it said when.
    #[error("the partner cannot be asked now")]
    NotNow(Option<Duration>),
}

impl NoAnswer {
    /// Whether asking again will bring nothing else.
    pub(super) fn is_lasting(self) -> bool {
        !matches!(self, Self::NotNow(_) | Self::NotLetIn(_))
    }
}

/// A resource that a partner gave.
#[derive(Debug)]
pub(super) struct Given {
    /// What the text says.
    pub(super) tree: Value,
    /// The text.
    pub(super) text: Bytes,
}

/// Bytes that a partner gives, while they arrive.
pub(super) struct Giving {
    /// What the partner says that they are.
    pub(super) content_type: Option<String>,
    /// The bytes.
    pub(super) body: Body,
}

/// Whatever is at a URL, up to the bound that answers have in memory.
///
/// # Errors
/// It is not to be had.
pub(super) async fn bytes(partner: &Partner, url: &str, accept: &str) -> Result<Answer, NoAnswer> {
    let answer = partner.get(url, accept).await.map_err(|error| not_asked(partner, error))?;
    tracing::debug!(partner = %partner.name, status = answer.status, bytes = answer.body.len(), "the partner answered");
    match refusal(answer.status, || answer.retry_after()) {
        Some(refusal) => Err(refusal),
        None => Ok(answer),
    }
}

/// Whatever is at a URL, as it arrives: at most `limit` bytes of it.
///
/// # Errors
/// It is not to be had.
pub(super) async fn stream(
    partner: &Partner,
    url: &str,
    accept: &str,
    limit: u64,
) -> Result<Giving, NoAnswer> {
    let arriving = partner.open(url, accept, limit).await.map_err(|error| not_asked(partner, error))?;
    tracing::debug!(partner = %partner.name, status = arriving.status, "the partner answers");
    if let Some(refusal) = refusal(arriving.status, || arriving.retry_after()) {
        return Err(refusal);
    }
    let content_type = arriving.header("content-type").map(str::to_owned);
    let broken = |error| match error {
        OutboundError::TooLarge => BodyError::TooLarge,
        OutboundError::Timeout => BodyError::TooSlow,
        _ => BodyError::Broken,
    };
    Ok(Giving { content_type, body: arriving.body.map(move |block| block.map_err(broken)).boxed() })
}

/// The resource at a URL. A media type that says something else than FHIR JSON is believed; a missing one is not
/// missed.
///
/// # Errors
/// It is not to be had, or cannot be read.
pub(super) async fn resource(limits: ScanLimits, partner: &Partner, url: &str) -> Result<Given, NoAnswer> {
    let answer = bytes(partner, url, FHIR_JSON).await?;
    let content_type = answer.header("content-type");
    if content_type.is_some() {
        fhir::media_type(content_type).map_err(|_| NoAnswer::Unreadable)?;
    }
    fhir::scan::check(limits, &answer.body).map_err(|_| NoAnswer::Unreadable)?;
    let tree = fhir::parse(&answer.body).map_err(|_| NoAnswer::Unreadable)?;
    Ok(Given { tree, text: answer.body })
}

fn not_asked(partner: &Partner, error: PartnerError) -> NoAnswer {
    tracing::info!(partner = %partner.name, %error, "the partner cannot be asked");
    if error.is_lasting() { NoAnswer::Forbidden } else { NoAnswer::NotNow(None) }
}

/// What a status refuses; nothing if it is 200.
fn refusal(status: u16, retry_after: impl FnOnce() -> Option<Duration>) -> Option<NoAnswer> {
    match status {
        200 => None,
        404 | 410 => Some(NoAnswer::Gone),
        401 | 403 => Some(NoAnswer::NotLetIn(status)),
        408 | 425 | 429 | 500.. => Some(NoAnswer::NotNow(retry_after())),
        _ => Some(NoAnswer::Refused(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_change_is_no_lasting_refusal() {
        for (status, expected, is_lasting) in [
            (204, NoAnswer::Refused(204), true),
            (301, NoAnswer::Refused(301), true),
            (400, NoAnswer::Refused(400), true),
            (401, NoAnswer::NotLetIn(401), false),
            (403, NoAnswer::NotLetIn(403), false),
            (404, NoAnswer::Gone, true),
            (410, NoAnswer::Gone, true),
            (429, NoAnswer::NotNow(Some(Duration::from_secs(7))), false),
            (503, NoAnswer::NotNow(Some(Duration::from_secs(7))), false),
        ] {
            let refusal = refusal(status, || Some(Duration::from_secs(7))).expect("it is none to go on with");
            assert_eq!((refusal, refusal.is_lasting()), (expected, is_lasting), "{status}");
        }
        assert_eq!(refusal(200, || None), None);
    }
}
