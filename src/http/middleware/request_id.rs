//! `X-Request-Id`: one of ours, or the client's if it is a UUID, in answers, logs and audit rows. Any other name that a
//! client gives its request may hold what nobody should read: it is sent back and goes nowhere else.

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
    /// The name as text: a UUID.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CurrentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    let sent = request.headers().get(X_REQUEST_ID).filter(|sent| is_harmless(sent)).cloned();
    let own = sent.as_ref().and_then(|sent| sent.to_str().ok()?.parse().ok()).unwrap_or_else(RequestId::new);
    let id = CurrentRequest(own.to_string().into());
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("http.request", request.id = %id);
    let mut response = next.run(request).instrument(span).await;
    if let Some(value) = sent.or_else(|| HeaderValue::from_str(id.as_str()).ok()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// Whether a client's name can be sent back without harm: at most 64 of `A-Z a-z 0-9 . _ -`.
fn is_harmless(sent: &HeaderValue) -> bool {
    let name = sent.as_bytes();
    (1..=LONGEST).contains(&name.len())
        && name.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}
