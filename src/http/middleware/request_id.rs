//! `X-Request-Id`: taken from the client if it is harmless, else made, and always sent back.

use std::fmt;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::id::RequestId;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

/// The name of the request being served, in answers, logs and audit rows; an extension of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentRequest(Arc<str>);

impl CurrentRequest {
    /// The name as text: at most 64 of `A-Z a-z 0-9 . _ -`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the client's name if it is one that can be logged and sent back without harm.
    fn accept(sent: &HeaderValue) -> Option<Self> {
        let text = sent.to_str().ok().filter(|text| (1..=LONGEST).contains(&text.len()))?;
        let harmless = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        harmless.then(|| Self(text.into()))
    }
}

impl fmt::Display for CurrentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    let sent = request.headers().get(X_REQUEST_ID).and_then(CurrentRequest::accept);
    let id = sent.unwrap_or_else(|| CurrentRequest(RequestId::new().to_string().into()));
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("http.request", request.id = %id);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}
