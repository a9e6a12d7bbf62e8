//! The client, one call of it, and the answer.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url, redirect};
use tokio::time::timeout;

use super::body::OnTheWay;
use super::guard::{self, Forbidden, PublicOnly, Reach};
use super::{OutboundError, form};
use crate::clock::Timestamp;

/// The slowest line that is borne, in bytes a second.
const SLOWEST: u64 = 8 * 1024;

/// The longest that a line may take no byte of a body that waits for it. Where buffers are large and the line is slow,
/// minutes go by between two signs that it moves.
const STALL: Duration = Duration::from_mins(5);

/// No call lasts longer, however well it moves.
const LONGEST_CALL: Duration = Duration::from_hours(24);

/// No longer wait is believed.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Bounds of every call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Time to connect, TLS included.
    pub(crate) connect_timeout: Duration,
    /// Time without a byte of the answer, once all was sent; until the answer begins, unless the call sets its own.
    pub(crate) read_timeout: Duration,
    /// Time for the whole call, unless the call sets its own.
    pub(crate) timeout: Duration,
    /// The largest answer, unless the call sets its own.
    pub(crate) answer_bytes: usize,
    /// Which addresses may be called.
    pub(crate) reach: Reach,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            timeout: Duration::from_mins(1),
            answer_bytes: 1024 * 1024,
            reach: Reach::Public,
        }
    }
}

/// Makes calls. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    limits: Limits,
}

impl Client {
    /// A client with these bounds.
    ///
    /// # Errors
    /// [`OutboundError::Tls`] if TLS cannot be set up. A machine without certificate authorities is no
    /// error: there, `https://` calls fail one by one.
    pub(crate) fn new(limits: Limits) -> Result<Self, OutboundError> {
        let http = builder(limits).build().or_else(|_| {
            tracing::warn!("no certificate authorities found; https calls will fail");
            builder(limits).tls_certs_only([]).build()
        });
        Ok(Self { http: http.map_err(|_| OutboundError::Tls)?, limits })
    }

    /// The client below, for calls that another crate puts together.
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Which addresses it may call.
    pub(super) fn reach(&self) -> Reach {
        self.limits.reach
    }

    /// Begins a GET.
    pub(crate) fn get(&self, url: &str) -> Call<'_> {
        self.call(Method::GET, url)
    }

    /// Begins a HEAD.
    pub(crate) fn head(&self, url: &str) -> Call<'_> {
        self.call(Method::HEAD, url)
    }

    /// Begins an OPTIONS.
    pub(crate) fn options(&self, url: &str) -> Call<'_> {
        self.call(Method::OPTIONS, url)
    }

    /// Begins a POST.
    pub(crate) fn post(&self, url: &str) -> Call<'_> {
        self.call(Method::POST, url)
    }

    /// Begins a PUT.
    pub(crate) fn put(&self, url: &str) -> Call<'_> {
        self.call(Method::PUT, url)
    }

    /// Begins a PATCH.
    pub(crate) fn patch(&self, url: &str) -> Call<'_> {
        self.call(Method::PATCH, url)
    }

    /// Begins a DELETE.
    pub(crate) fn delete(&self, url: &str) -> Call<'_> {
        self.call(Method::DELETE, url)
    }

    fn call(&self, method: Method, url: &str) -> Call<'_> {
        Call {
            client: self,
            answer_bytes: self.limits.answer_bytes,
            patience: self.limits.read_timeout,
            body: None,
            request: callable(url, self.limits.reach).map(|url| reqwest::Request::new(method, url)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that makes clients")]
fn builder(limits: Limits) -> reqwest::ClientBuilder {
    let builder = match limits.reach {
        Reach::Public => reqwest::Client::builder().dns_resolver(Arc::new(PublicOnly)),
        Reach::Everywhere => reqwest::Client::builder(),
    };
    builder
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(limits.connect_timeout)
        .timeout(limits.timeout)
        .tcp_nodelay(true)
        .user_agent(concat!("cdex-gateway/", env!("CARGO_PKG_VERSION")))
}

/// The time that so many bytes may take, and so the longest that the other side may be silent once they were handed to
/// the line: they can all lie in buffers.
pub(crate) fn time_for(length: u64) -> Duration {
    Duration::from_mins(1) + Duration::from_secs(length / SLOWEST)
}

/// The URL, if it is one that may be called: a user in it would become an `Authorization` field.
pub(super) fn callable(text: &str, reach: Reach) -> Result<Url, OutboundError> {
    let url = Url::parse(text).map_err(|_| OutboundError::Url)?;
    let plain = matches!(url.scheme(), "http" | "https") && url.has_host();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !plain || !anonymous {
        return Err(OutboundError::Url);
    }
    // The resolver is not asked about a host that is an address (O-04).
    let literal = url.host_str().and_then(guard::literal);
    match reach {
        Reach::Public if literal.is_some_and(|address| !guard::is_public(address)) => {
            Err(OutboundError::Forbidden)
        }
        Reach::Public | Reach::Everywhere => Ok(url),
    }
}

/// A call that is being put together. What is wrong with it is told by [`Call::send`].
#[must_use = "a call does nothing until it is sent"]
pub(crate) struct Call<'c> {
    client: &'c Client,
    answer_bytes: usize,
    /// How long the answer may take to begin, once all was sent.
    patience: Duration,
    /// What is known of a stream that is being sent; nothing else takes long.
    body: Option<Arc<OnTheWay>>,
    request: Result<reqwest::Request, OutboundError>,
}

impl Call<'_> {
    /// Sets a header field.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.and_then(|mut request| {
            let name = name.parse::<HeaderName>().map_err(|_| OutboundError::Header)?;
            let value = HeaderValue::from_str(value).map_err(|_| OutboundError::Header)?;
            request.headers_mut().insert(name, value);
            Ok(request)
        });
        self
    }

    /// Sets a header field as it is.
    pub(super) fn header_value(self, name: &HeaderName, value: &HeaderValue) -> Self {
        self.change(|request| drop(request.headers_mut().insert(name, value.clone())))
    }

    /// Sends these bytes.
    pub(crate) fn body(self, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        self.change(|request| *request.body_mut() = Some(bytes.into()))
    }

    /// Sends a form.
    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form(fields.iter().copied());
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    /// Sends what the stream brings, `length` bytes in all. An error of the stream breaks the call off.
    pub(crate) fn stream<S>(self, stream: S, length: u64) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        self.streamed(stream, length, None)
    }

    /// Sends blocks that are in memory, `length` bytes in all, for as long as the line takes them: what bounds the time
    /// of the call is that it stalls.
    pub(crate) fn blocks<S>(self, blocks: S, length: u64) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let call = self.streamed(blocks, length, Some(STALL));
        call.patience(time_for(length)).timeout(LONGEST_CALL)
    }

    fn streamed<S>(mut self, stream: S, length: u64, stall: Option<Duration>) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let (body, mut left) = (Arc::new(OnTheWay::new(length, stall)), length);
        self.body = Some(body.clone());
        // A body of known length may be dropped before it has told its end, so its bytes are counted.
        let stream = stream.inspect_ok(move |block: &Bytes| {
            left = left.saturating_sub(block.len() as u64);
            body.take(left == 0);
        });
        self.change(|request| {
            request.headers_mut().insert(reqwest::header::CONTENT_LENGTH, length.into());
            *request.body_mut() = Some(reqwest::Body::wrap_stream(stream));
        })
    }

    /// How long the answer may take to begin, once all was sent.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Bounds the time of the whole call.
    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        self.change(|request| *request.timeout_mut() = Some(timeout))
    }

    fn change(mut self, change: impl FnOnce(&mut reqwest::Request)) -> Self {
        if let Ok(request) = &mut self.request {
            change(request);
        }
        self
    }

    /// Makes the call. Any status is an answer.
    ///
    /// *Cancellation*: the other side may have acted.
    pub(crate) async fn send(self) -> Result<Answer, OutboundError> {
        let limit = self.answer_bytes as u64;
        let Arriving { status, headers, body: mut arriving } = self.open(limit).await?;
        let mut body = BytesMut::new();
        while let Some(block) = arriving.next().await {
            body.extend_from_slice(&block?);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }

    /// Makes the call and gives the answer as it arrives, at most `limit` bytes of its body. Any status is an answer.
    ///
    /// *Cancellation*: as with [`Call::send`]; dropping the body hangs up.
    pub(crate) async fn open(self, limit: u64) -> Result<Arriving, OutboundError> {
        // reqwest's own limit would count the time that a body takes to be sent.
        let silence = self.client.limits.read_timeout;
        let answer = self.client.http.execute(self.request?);
        let unanswered = async {
            if let Some(body) = &self.body {
                body.sent_or_stalled().await?;
            }
            tokio::time::sleep(self.patience).await;
            Err(OutboundError::Timeout)
        };
        let mut response = tokio::select! {
            answer = answer => answer.map_err(|error| classify(&error))?,
            unanswered = unanswered => return unanswered,
        };
        let headers = std::mem::take(response.headers_mut());
        let status = response.status().as_u16();
        let body = stream::try_unfold((response, limit), move |(mut response, left)| async move {
            let Some(block) = within(silence, response.chunk()).await? else {
                return Ok(None);
            };
            let left = left.checked_sub(block.len() as u64).ok_or(OutboundError::TooLarge)?;
            Ok(Some((block, (response, left))))
        });
        Ok(Arriving { status, headers, body: body.boxed() })
    }
}

async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, reqwest::Error>>,
) -> Result<T, OutboundError> {
    match timeout(time, work).await {
        Ok(done) => done.map_err(|error| classify(&error)),
        Err(_) => Err(OutboundError::Timeout),
    }
}

fn classify(error: &reqwest::Error) -> OutboundError {
    if causes(error).any(<dyn Error>::is::<Forbidden>) {
        OutboundError::Forbidden
    } else if error.is_connect() {
        OutboundError::Connect
    } else if error.is_timeout() || caused_by_timeout(error) {
        OutboundError::Timeout
    } else if error.is_builder() {
        OutboundError::Url
    } else {
        OutboundError::Broken
    }
}

/// A time-out of the socket is not always shown on the outside.
fn caused_by_timeout(error: &reqwest::Error) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// What comes back, while it arrives.
pub(crate) struct Arriving {
    /// The status.
    pub(crate) status: u16,
    headers: HeaderMap,
    /// The body, or why no more of it comes.
    pub(crate) body: BoxStream<'static, Result<Bytes, OutboundError>>,
}

impl Arriving {
    /// As with an [`Answer`].
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        text_of(&self.headers, name)
    }

    /// As with an [`Answer`].
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        wait_of(&self.headers)
    }
}

/// The first value of a header field, if it is text.
fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The wait that `Retry-After` asks for: in seconds, or until a date, which is the other side's as the `Date` beside it
/// is (RFC 9110, 10.2.3).
pub(super) fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    let asked = text_of(headers, "retry-after")?.trim();
    let wait = if let Ok(seconds) = asked.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = Timestamp::parse_http_date(asked)?.as_nanos();
        let now = Timestamp::parse_http_date(text_of(headers, "date")?)?.as_nanos();
        Duration::from_nanos(until.saturating_sub(now).try_into().unwrap_or_default())
    };
    Some(wait.min(LONGEST_WAIT))
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// Status, header fields and body.
    pub(super) fn into_parts(self) -> (StatusCode, HeaderMap, Bytes) {
        // It is the number of one.
        (StatusCode::from_u16(self.status).unwrap_or_default(), self.headers, self.body)
    }

    /// The first value of a header field, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        text_of(&self.headers, name)
    }

    /// When the other side wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        wait_of(&self.headers)
    }
}
