//! The wire below the client of a bucket: our own HTTP client with its limits, no redirect and no proxy, and the two
//! things that the client above does not do: it forgets `Retry-After`, and completes a multipart upload over whatever
//! is there.

use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};

use super::super::client::{Client, retry_after};
use super::super::{Limits, OutboundError, Reach};
use super::error::Refusal;

/// Time for a call that carries bytes: a part of some MiB over a bad line.
const TRANSFER: Duration = Duration::from_mins(10);
/// Time for the head of the answer to any other call.
const ANSWER: Duration = Duration::from_secs(20);

/// Makes the calls of one bucket.
#[derive(Debug, Clone)]
pub(super) struct Service {
    client: Client,
    /// Whether a multipart upload may only be completed where nothing is.
    completes_new_only: bool,
}

impl Service {
    pub(super) fn new(reach: Reach, completes_new_only: bool) -> Result<Self, OutboundError> {
        let limits = Limits { read_timeout: TRANSFER, timeout: TRANSFER, reach, ..Limits::default() };
        Ok(Self { client: Client::new(limits)?, completes_new_only })
    }
}

impl HttpConnector for Service {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = request.uri().to_string();
        if super::super::client::callable(&url, self.client.reach()).is_err() {
            return Err(HttpError::new(HttpErrorKind::Unknown, OutboundError::Forbidden));
        }
        // S3, CompleteMultipartUpload: the field needs no signature, so it can still be added here.
        if self.completes_new_only && request.method() == Method::POST && url.contains("uploadId=") {
            request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let carries_bytes = request.method() == Method::PUT;
        let answer = self.client.http().call(request);
        let limit = if carries_bytes { TRANSFER } else { ANSWER };
        let response = tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| HttpError::new(HttpErrorKind::Timeout, OutboundError::Timeout))?
            .map_err(|error| classify(&error))?;
        match refusal(response.status().as_u16(), response.headers()) {
            None => Ok(response),
            Some(refusal) => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
        }
    }
}

/// What an answer says that says no. The client above asks again after the statuses of a moment, unless the service
/// said when.
fn refusal(status: u16, headers: &HeaderMap) -> Option<Refusal> {
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(retry_after);
    let is_of_a_moment = matches!(status, 408 | 429 | 500..) && retry_after.is_none();
    (status >= 400 && !is_of_a_moment).then_some(Refusal { status, retry_after })
}

/// The client's error with ours inside, so that it is known again above, and of the same kind, so that it is repeated
/// where that is safe.
fn classify(error: &HttpError) -> HttpError {
    let ours = match error.kind() {
        HttpErrorKind::Connect => OutboundError::Connect,
        HttpErrorKind::Timeout => OutboundError::Timeout,
        _ => OutboundError::Broken,
    };
    HttpError::new(error.kind(), ours)
}
