//! The wire below the client of a bucket: our own HTTP client with its limits, no redirect and no proxy, and the two
//! things that the client above does not do: it forgets `Retry-After`, and completes a multipart upload over whatever
//! is there.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};

use super::super::client::{Client, wait_of};
use super::super::{Limits, OutboundError, Reach};
use super::error::{Refusal, is_of_a_moment};

/// Time for the head of the answer to a call that carries no bytes.
const ANSWER: Duration = Duration::from_secs(20);
/// Time for its body, which whoever is slow may take piece by piece.
const READING: Duration = Duration::from_hours(1);

/// Makes the calls of one bucket.
#[derive(Debug, Clone)]
pub(super) struct Service {
    client: Client,
    /// Whether a multipart upload may only be completed where nothing is.
    completes_new_only: bool,
}

impl Service {
    pub(super) fn new(reach: Reach, completes_new_only: bool) -> Result<Self, OutboundError> {
        let limits = Limits { timeout: READING, reach, ..Limits::default() };
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
        let response = if request.method() == Method::PUT {
            self.put(&url, request).await?
        } else {
            let answer = tokio::time::timeout(ANSWER, self.client.http().call(request)).await;
            answer.map_err(|_| wrapped(OutboundError::Timeout))?.map_err(|error| classify(&error))?
        };
        match refusal(response.status().as_u16(), response.headers()) {
            None => Ok(response),
            Some(refusal) => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
        }
    }
}

impl Service {
    /// A call that carries bytes takes as long as the line moves.
    async fn put(&self, url: &str, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let length = body.content_length() as u64;
        let mut call = self.client.put(url);
        for (name, value) in &head.headers {
            call = call.header_value(name, value);
        }
        let call = if length == 0 {
            call.header("content-length", "0")
        } else {
            // The client's crate streams the bodies of answers alone, and a body is a body.
            let blocks = HttpResponseBody::new(body).bytes_stream();
            call.blocks(blocks.map_err(std::io::Error::other), length)
        };
        let answer = call.send().await.map_err(wrapped)?;
        let (status, headers, body) = answer.into_parts();
        let mut response = HttpResponse::new(body.into());
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

/// What an answer says that says no. Whoever is above asks again after the statuses of a moment, unless the service
/// said when.
fn refusal(status: u16, headers: &HeaderMap) -> Option<Refusal> {
    let retry_after = wait_of(headers);
    let is_repeated = is_of_a_moment(status) && retry_after.is_none();
    (status >= 400 && !is_repeated).then_some(Refusal { status, retry_after })
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

/// The same for an error of our own calls.
fn wrapped(error: OutboundError) -> HttpError {
    let kind = match error {
        OutboundError::Connect => HttpErrorKind::Connect,
        OutboundError::Timeout => HttpErrorKind::Timeout,
        OutboundError::Broken => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
