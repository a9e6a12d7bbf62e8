//! Binary as the bytes that it is: in by any media type that is not FHIR's, out to whoever does not ask for FHIR JSON
//! (FHIR R4 binary, Serving Binary Resources), whole or in part (RFC 9110, 14). As FHIR JSON its base64 is made on the
//! way out, so that memory does not grow with it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::error::FhirError;
use super::metadata::accepted;
use super::respond::{FHIR_JSON, etag, outcome};
use crate::exchange::Exchange;
use crate::exchange::interaction::{InteractionError, Requester};
use crate::exchange::read_binary::{BinaryBytes, BinaryVersion};
use crate::fhir::base64::Encoder;
use crate::fhir::{self, Chosen, Issue, IssueType, NotAcceptable};
use crate::repository::StoredResource;
use crate::upload::SourceError;

/// Names the resource whose readers may read a Binary that is sent as bytes.
pub(super) const SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");

/// A Binary in the form that the client wants.
pub(super) async fn answer(
    exchange: &Arc<Exchange>,
    requester: &Requester,
    resource: StoredResource,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, FhirError> {
    let binary = exchange.binary(requester, resource).await?;
    match fhir::choose(&accepted(uri, headers), &binary.content_type) {
        Ok(Chosen::FhirJson) => as_resource(exchange, requester, &binary).await,
        Ok(Chosen::Own) => as_bytes(exchange, requester, &binary, headers).await,
        Err(NotAcceptable) => Err(FhirError::NotAcceptable(NotAcceptable::issue())),
    }
}

/// The bytes of a Binary, as many as `Range` asks for.
async fn as_bytes(
    exchange: &Arc<Exchange>,
    requester: &Requester,
    binary: &BinaryVersion,
    headers: &HeaderMap,
) -> Result<Response, FhirError> {
    let Ok(range) = range(headers, binary) else {
        let all = format!("bytes */{}", binary.length);
        let issue = Issue::refusal(IssueType::Value, "The range begins after the last byte");
        let mut response = outcome(StatusCode::RANGE_NOT_SATISFIABLE, &[issue]);
        put(&mut response, header::CONTENT_RANGE, &all);
        return Ok(response);
    };
    let (first, length) = range.unwrap_or((0, binary.length));
    let content = exchange.read_binary(requester, binary, (first, length)).await?;
    let mut response = Response::new(Body::from_stream(blocks(content)));
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let part = format!("bytes {first}-{}/{}", first + length - 1, binary.length);
        put(&mut response, header::CONTENT_RANGE, &part);
    }
    put(&mut response, header::CONTENT_LENGTH, &length.to_string());
    let fallback = HeaderValue::from_static("application/octet-stream");
    let content_type = HeaderValue::from_str(&binary.content_type).unwrap_or(fallback);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // What somebody sent is never shown by a browser as if it were ours.
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if let Some(context) = &binary.security_context {
        put(&mut response, SECURITY_CONTEXT, context);
    }
    put_version(&mut response, binary, &strong_etag(binary));
    Ok(response)
}

/// A Binary as FHIR JSON.
async fn as_resource(
    exchange: &Arc<Exchange>,
    requester: &Requester,
    binary: &BinaryVersion,
) -> Result<Response, FhirError> {
    let text = binary.resource.content.clone().unwrap_or_default();
    let mut response = if binary.resource.bytes.is_none() {
        Response::new(Body::from(text))
    } else {
        // The text of a resource ends with its brace.
        let mut head = text[..text.len().saturating_sub(1)].to_vec();
        head.extend_from_slice(b",\"data\":\"");
        let length = head.len() as u64 + binary.length.div_ceil(3) * 4 + 2;
        let content = exchange.read_binary(requester, binary, (0, binary.length)).await?;
        let body =
            once(Bytes::from(head)).chain(encoded(blocks(content))).chain(once(Bytes::from_static(b"\"}")));
        let mut response = Response::new(Body::from_stream(body));
        put(&mut response, header::CONTENT_LENGTH, &length.to_string());
        response
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    put_version(&mut response, binary, &etag(&binary.resource));
    Ok(response)
}

fn put_version(response: &mut Response, binary: &BinaryVersion, etag: &str) {
    put(response, header::ETAG, etag);
    put(response, header::LAST_MODIFIED, &binary.resource.last_updated.to_http_date());
}

/// The bytes of a version never change, so that parts of them may be put together.
fn strong_etag(binary: &BinaryVersion) -> String {
    format!("\"{}\"", binary.resource.version)
}

/// A range that has no byte of the Binary.
#[derive(Debug, PartialEq, Eq)]
struct Unsatisfiable;

/// First byte and length of what `Range` asks for; none for all. Several ranges, other units and what cannot be read
/// are ignored, as RFC 9110, 14.2 allows.
fn range(headers: &HeaderMap, binary: &BinaryVersion) -> Result<Option<(u64, u64)>, Unsatisfiable> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(range) = text(header::RANGE) else { return Ok(None) };
    if let Some(condition) = text(header::IF_RANGE)
        && condition != strong_etag(binary)
        && condition != binary.resource.last_updated.to_http_date()
    {
        return Ok(None);
    }
    byte_range(range, binary.length)
}

fn byte_range(range: &str, length: u64) -> Result<Option<(u64, u64)>, Unsatisfiable> {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'))
    else {
        return Ok(None);
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if last < first => Ok(None),
        (Ok(first), _) if first >= length && (last.is_empty() || last.parse::<u64>().is_ok()) => {
            Err(Unsatisfiable)
        }
        (Ok(first), Ok(last)) => Ok(Some((first, last.min(length - 1) - first + 1))),
        (Ok(first), Err(_)) if last.is_empty() => Ok(Some((first, length - first))),
        (Err(_), Ok(0)) if first.is_empty() => Err(Unsatisfiable),
        (Err(_), Ok(_)) if first.is_empty() && length == 0 => Err(Unsatisfiable),
        (Err(_), Ok(suffix)) if first.is_empty() => {
            Ok(Some((length.saturating_sub(suffix), suffix.min(length))))
        }
        _ => Ok(None),
    }
}

type Blocks = BoxStream<'static, Result<Bytes, SourceError>>;

fn once(bytes: Bytes) -> Blocks {
    stream::once(std::future::ready(Ok(bytes))).boxed()
}

/// The bytes as they are read. One that fails ends the connection: what came before is no whole.
fn blocks(content: BinaryBytes) -> Blocks {
    match content {
        BinaryBytes::Here(bytes) => once(bytes),
        BinaryBytes::Stored(reader) => stream::try_unfold(reader, |mut reader| async move {
            Ok(reader.next().await?.map(|block| (block, reader)))
        })
        .boxed(),
    }
}

/// The same as base64.
fn encoded(blocks: Blocks) -> Blocks {
    stream::try_unfold(
        (Some(blocks), Encoder::default()),
        |(blocks, mut encoder): (Option<Blocks>, Encoder)| async move {
            let Some(mut blocks) = blocks else { return Ok(None) };
            match blocks.next().await.transpose()? {
                Some(block) => Ok(Some((encoder.encode(&block).into(), (Some(blocks), encoder)))),
                None => Ok(Some((encoder.finish().into(), (None, Encoder::default())))),
            }
        },
    )
    .boxed()
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    // A security context that is no header value is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

impl From<SourceError> for FhirError {
    fn from(error: SourceError) -> Self {
        InteractionError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use base64_simd::STANDARD;
    use futures_util::{FutureExt, TryStreamExt};

    use super::*;

    #[test]
    fn a_range_is_a_stretch_of_what_is_there_or_unsatisfiable_or_ignored() {
        for (range, length, expected) in [
            ("bytes=0-0", 10, Ok(Some((0, 1)))),
            ("bytes=0-9", 10, Ok(Some((0, 10)))),
            ("bytes=2-99", 10, Ok(Some((2, 8)))),
            ("bytes=9-", 10, Ok(Some((9, 1)))),
            ("bytes=-3", 10, Ok(Some((7, 3)))),
            ("bytes=-30", 10, Ok(Some((0, 10)))),
            ("bytes=10-", 10, Err(Unsatisfiable)),
            ("bytes=10-12", 10, Err(Unsatisfiable)),
            ("bytes=-0", 10, Err(Unsatisfiable)),
            ("bytes=0-", 0, Err(Unsatisfiable)),
            ("bytes=-1", 0, Err(Unsatisfiable)),
            ("bytes=5-2", 10, Ok(None)),
            ("bytes=0-1,3-4", 10, Ok(None)),
            ("bytes=a-b", 10, Ok(None)),
            ("bytes=-", 10, Ok(None)),
            ("lines=0-1", 10, Ok(None)),
            ("bytes=99999999999999999999-", 10, Ok(None)),
        ] {
            assert_eq!(byte_range(range, length), expected, "{range}");
        }
    }

    #[test]
    fn base64_made_of_blocks_is_that_of_the_whole() {
        let whole: Vec<u8> = (0..=255).collect();
        for size in [1, 2, 3, 5, 100, 256] {
            let pieces: Vec<Result<Bytes, SourceError>> =
                whole.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let text: Vec<Bytes> = encoded(stream::iter(pieces).boxed())
                .try_collect()
                .now_or_never()
                .expect("ready")
                .expect("no fault");
            assert_eq!(text.concat(), STANDARD.encode_to_string(&whole).into_bytes(), "{size}");
        }
    }
}
