//! Request bodies on their way in: every body is read at the client's pace, but not slower than allowed,
//! and handlers take it as a stream of bytes with a limit. It knows nothing of what the bytes mean.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body_util::{BodyDataStream, BodyStream};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// Why a request body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// No byte came for too long.
    #[error("no byte of the request body arrived for too long")]
    IdleTimeout,
    /// Bytes came, but too few.
    #[error("the request body arrived too slowly")]
    TooSlow,
    /// It is larger than the route takes.
    #[error("the request body is larger than allowed")]
    TooLarge,
    /// The connection broke, or the framing of the body is wrong.
    #[error("the request body broke off")]
    Broken,
}

impl BodyFault {
    /// The status that tells the client.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::IdleTimeout | Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }

    fn of(error: axum::Error) -> Self {
        error.into_inner().downcast_ref().copied().unwrap_or(Self::Broken)
    }
}

/// The bytes of a body as they arrive. More than `limit` of them end the stream with
/// [`BodyFault::TooLarge`]; if the client announces more, at once.
pub(crate) fn stream(body: Body, limit: u64) -> impl Stream<Item = Result<Bytes, BodyFault>> + Send + Unpin {
    let announced = body.size_hint().lower();
    let mut taken = 0_u64;
    let mut refused = false;
    let chunks = BodyDataStream::new(body).map(move |chunk| {
        let chunk = chunk.map_err(BodyFault::of)?;
        taken = taken.saturating_add(chunk.len() as u64);
        if taken > limit { Err(BodyFault::TooLarge) } else { Ok(chunk) }
    });
    let at_once = (announced > limit).then_some(Err(BodyFault::TooLarge));
    futures_util::stream::iter(at_once).chain(chunks).take_while(move |chunk| {
        let go_on = !refused;
        refused = chunk.is_err();
        std::future::ready(go_on)
    })
}

/// The bytes of a body as they arrive, and then the trailers, if there are any, for `told`: before the stream ends.
pub(crate) fn stream_with_trailers(
    body: Body,
    mut told: impl FnMut(&HeaderMap) + Send,
) -> impl Stream<Item = Result<Bytes, BodyFault>> + Send {
    BodyStream::new(body).filter_map(move |frame| {
        let chunk = match frame {
            Ok(frame) => frame.into_data().map(Ok).map_err(|frame| frame.trailers_ref().map(&mut told)).ok(),
            Err(error) => Some(Err(BodyFault::of(error))),
        };
        std::future::ready(chunk)
    })
}

/// The whole body, if it has at most `limit` bytes.
pub(crate) async fn collect(body: Body, limit: u64) -> Result<Bytes, BodyFault> {
    let whole = stream(body, limit)
        .try_fold(BytesMut::new(), |mut whole, chunk| async move {
            whole.extend_from_slice(&chunk);
            Ok(whole)
        })
        .await?;
    Ok(whole.freeze())
}

/// How slowly a client may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaceRules {
    /// The longest time without a byte.
    pub(crate) idle_timeout: Duration,
    /// The fewest bytes in a second, on average over `window`; 0 allows any rate.
    pub(crate) bytes_per_sec: u64,
    /// How long the average is taken over.
    pub(crate) window: Duration,
}

/// What is known about a request body while and after it is read.
#[derive(Debug, Default)]
pub(crate) struct BodyProgress {
    bytes: AtomicU64,
    ended: CancellationToken,
}

impl BodyProgress {
    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns when nobody reads the body any more: it has been read, has failed, or was dropped.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// A request body that fails when the client is slower than the rules allow.
///
/// Only time spent waiting for the client counts: a slow disk behind the handler is not the client's fault.
pub(crate) struct PacedBody {
    inner: Body,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    progress: Arc<BodyProgress>,
}

impl PacedBody {
    /// Wraps `inner` and tells `progress` how it goes.
    pub(crate) fn new(inner: Body, rules: PaceRules, progress: Arc<BodyProgress>) -> Self {
        if inner.is_end_stream() {
            progress.ended.cancel();
        }
        Self { inner, pace: Pace::new(rules), timer: None, progress }
    }

    /// Passes a frame on, or the end.
    fn arrived(
        &mut self,
        frame: Option<Result<Frame<Bytes>, axum::Error>>,
    ) -> Option<Result<Frame<Bytes>, BodyFault>> {
        let outcome = frame.map(|frame| {
            let frame = frame.map_err(BodyFault::of)?;
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.pace.received(Instant::now(), bytes)?;
            Ok(frame)
        });
        if !matches!(outcome, Some(Ok(_))) || self.inner.is_end_stream() {
            self.progress.ended.cancel();
        }
        outcome
    }

    /// Arranges to be polled again when the client's time is up.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<BodyFault> {
        loop {
            let look_again = match self.pace.wait(Instant::now()) {
                Ok(look_again) => look_again,
                Err(fault) => {
                    self.progress.ended.cancel();
                    return Poll::Ready(fault);
                }
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(look_again)));
            if timer.deadline() != look_again {
                timer.as_mut().reset(look_again);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(self.arrived(frame)),
            Poll::Pending => self.wait(cx).map(|fault| Some(Err(fault))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        self.progress.ended.cancel();
    }
}

/// The bookkeeping of [`PacedBody`]: given the time, it says whether the client is still fast enough.
#[derive(Debug)]
struct Pace {
    rules: PaceRules,
    /// Since when no byte has come although one was wanted.
    idle_since: Option<Instant>,
    /// The part of the present wait that is not yet in `waited`.
    counted_from: Option<Instant>,
    /// Time spent waiting in this window, and the bytes that came in it.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn new(rules: PaceRules) -> Self {
        Self { rules, idle_since: None, counted_from: None, waited: Duration::ZERO, bytes: 0 }
    }

    /// The reader wants bytes and there are none; says when to look again.
    fn wait(&mut self, now: Instant) -> Result<Instant, BodyFault> {
        let idle_since = *self.idle_since.get_or_insert(now);
        if now.duration_since(idle_since) >= self.rules.idle_timeout {
            return Err(BodyFault::IdleTimeout);
        }
        self.count(now)?;
        self.counted_from = Some(now);
        Ok((idle_since + self.rules.idle_timeout).min(now + self.rules.window.saturating_sub(self.waited)))
    }

    /// Bytes came.
    fn received(&mut self, now: Instant, bytes: u64) -> Result<(), BodyFault> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.count(now)?;
        self.counted_from = None;
        self.idle_since = None;
        Ok(())
    }

    /// Adds the wait up to `now`, and judges the window if it is over.
    fn count(&mut self, now: Instant) -> Result<(), BodyFault> {
        if let Some(from) = self.counted_from {
            self.waited += now.duration_since(from);
        }
        if self.waited < self.rules.window {
            return Ok(());
        }
        let least = u128::from(self.rules.bytes_per_sec) * self.waited.as_millis() / 1000;
        if u128::from(self.bytes) < least {
            return Err(BodyFault::TooSlow);
        }
        self.waited = Duration::ZERO;
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
