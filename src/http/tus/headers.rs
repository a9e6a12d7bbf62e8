//! The `Upload-*` header fields as typed values. A header that is there but empty counts as absent, because
//! some clients send it so (dex-upload 2.8); one that is there twice is refused.

use axum::http::{HeaderMap, HeaderValue, header};

use super::error::TusError;
use crate::clock::Timestamp;
use crate::manifest::ManifestFields;
use crate::upload::{MetadataMode, UploadMetadata};

/// A count of bytes: decimal digits without sign, exponent or leading zeros, at most 2^63 - 1.
pub(super) fn bytes(
    headers: &HeaderMap,
    name: &'static str,
    refusal: TusError,
) -> Result<Option<u64>, TusError> {
    let mut values = headers.get_all(name).iter().filter(|value| !value.is_empty());
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.get_all(name).iter().filter(|value| !value.is_empty()).count() == 0 {
            Ok(None)
        } else {
            Err(refusal)
        };
    };
    match value.to_str().ok().and_then(parse) {
        Some(count) => Ok(Some(count)),
        None => Err(refusal),
    }
}

fn parse(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let count = text.parse().ok().filter(|_| plain)?;
    i64::try_from(count).is_ok().then_some(count)
}

/// Whether the body is a piece of an upload (tus 1.0.0, PATCH).
pub(super) fn carries_bytes(headers: &HeaderMap) -> bool {
    is_of_type(headers, "application/offset+octet-stream")
}

/// Whether the body is of a media type. Case does not matter, nor do parameters, of which these types have none (RFC
/// 9110, 8.3.1).
pub(super) fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let named = value.map(|value| value.split(';').next().unwrap_or_default().trim());
    named.is_some_and(|named| named.eq_ignore_ascii_case(media_type))
}

/// Content-Length, which hyper has checked already.
pub(super) fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `Upload-Metadata` as manifest fields that nobody has verified. Several lines of one field are one list (RFC 9110,
/// 5.3).
pub(super) fn metadata(headers: &HeaderMap, mode: MetadataMode) -> Result<ManifestFields, TusError> {
    let lines: Vec<&[u8]> = headers.get_all("upload-metadata").iter().map(HeaderValue::as_bytes).collect();
    let metadata = UploadMetadata::parse(&lines.join(&b","[..]), mode);
    let metadata = metadata.map_err(|error| TusError::InvalidMetadata(error.to_string()))?;
    Ok(metadata.into_pairs().into_iter().collect())
}

/// Says when an upload expires, if it can (tus 1.0.0, Expiration).
pub(super) fn tell_expiry(headers: &mut HeaderMap, expires_at: Option<Timestamp>) {
    let date = expires_at.and_then(|at| HeaderValue::try_from(at.to_http_date()).ok());
    if let Some(date) = date {
        headers.insert("upload-expires", date);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-04
    #[test]
    fn t_04_a_media_type_is_compared_without_case_and_parameters() {
        let cases = [
            ("application/offset+octet-stream", true),
            ("Application/Offset+Octet-Stream", true),
            ("application/offset+octet-stream; charset=binary", true),
            ("application/offset+octet-stream ;a=b", true),
            ("application/offset+octet-streams", false),
            ("application/octet-stream", false),
            ("", false),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(carries_bytes(&headers), expected, "{value}");
        }
        assert!(!carries_bytes(&HeaderMap::new()));
    }

    #[test]
    fn only_plain_decimal_digits_are_a_length() {
        let cases: &[(&str, Option<Option<u64>>)] = &[
            ("0", Some(Some(0))),
            ("5", Some(Some(5))),
            ("9223372036854775807", Some(Some(i64::MAX.unsigned_abs()))),
            ("", Some(None)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("+5", None),
            ("0005", None),
            ("1e3", None),
            ("0x10", None),
            ("5 5", None),
            ("٥", None),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers
                .insert("upload-length", HeaderValue::from_bytes(text.as_bytes()).expect("a header value"));
            let got = bytes(&headers, "upload-length", TusError::InvalidUploadLength).ok();
            assert_eq!(got, *expected, "{text:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append("upload-length", HeaderValue::from_static("5"));
        twice.append("upload-length", HeaderValue::from_static("5"));
        assert!(bytes(&twice, "upload-length", TusError::InvalidUploadLength).is_err());
        assert!(
            bytes(&HeaderMap::new(), "upload-length", TusError::InvalidUploadLength)
                .is_ok_and(|n| n.is_none())
        );
    }
}
