//! What the fuzz targets in `tests/fuzz` call. It is compiled for them only (`cfg(fuzzing)`), because the modules
//! it leads to are private. Each function panics when something is wrong with its module, never on bad input.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;

use super::base64::Decoder;
use super::datatype::{Precision, date_time_precision, is_date, is_instant};
use super::patch::{Patch, PatchFormat};
use super::reference::rewrite_references;
use super::resource::stamp;
use super::scan::{ScanLimits, Scanned, Scanner, Shape};
use super::{Spool, SpoolError, Spooled, media_type as check_media_type, negotiate};
use crate::clock::Timestamp;
use crate::id::UploadId;

/// Scans `body` whole and in pieces of the size of its first byte: both must come to the same, and what is
/// accepted must be JSON for another reader too.
pub fn scan(body: &[u8]) {
    let size = usize::from(body.first().copied().unwrap_or(0)) % 7 + 1;
    let body = body.get(1..).unwrap_or_default();
    for shape in [Shape::Submission, Shape::Resource(None), Shape::Plain] {
        let whole = scan_pieces(body, body.len().max(1), shape);
        assert_eq!(whole, scan_pieces(body, size, shape));
        if let Ok((skeleton, _)) = whole {
            serde_json::from_slice::<serde_json::Value>(&skeleton).expect("the skeleton is JSON");
        }
    }
}

/// Decodes `text` whole and in pieces of the size of its first byte, and encodes the result again.
pub fn base64(text: &[u8]) {
    let size = usize::from(text.first().copied().unwrap_or(0)) % 7 + 1;
    let text = text.get(1..).unwrap_or_default();
    let whole = decode_pieces(text, text.len().max(1));
    assert_eq!(whole, decode_pieces(text, size));
    if let Some(bytes) = whole {
        let clean: Vec<u8> = text.iter().copied().filter(|byte| !b" \t\r\n".contains(byte)).collect();
        assert_eq!(base64_simd::STANDARD.encode_to_string(bytes).as_bytes(), clean);
    }
}

/// Takes a text for `Content-Type` and for `Accept`: space around it and, where quotes are closed, saying it
/// twice make no difference.
pub fn media_type(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let padded = format!(" {text} ");
    let accepted = check_media_type(Some(text)).is_ok();
    assert_eq!(accepted, check_media_type(Some(&padded)).is_ok());
    assert!(!accepted || text.to_ascii_lowercase().contains("json"));
    let acceptable = negotiate(Some(text)).is_ok();
    assert_eq!(acceptable, negotiate(Some(&padded)).is_ok());
    if text.matches('"').count() % 2 == 0 && !text.trim().is_empty() {
        assert_eq!(acceptable, negotiate(Some(&format!("{text},{text}"))).is_ok());
    }
}

/// Takes a text for a `dateTime`; another reader must know the day alike.
pub fn date_time(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let precision = date_time_precision(text);
    assert_eq!(is_instant(text), precision == Some(Precision::Second));
    assert_eq!(is_date(text), precision.is_some() && !text.contains('T'));
    let (day, time) = text.split_once('T').unwrap_or((text, ""));
    if precision >= Some(Precision::Day) {
        assert!(day.parse::<jiff::civil::Date>().is_ok_and(|date| date.year() > 0), "{text}");
    }
    if precision == Some(Precision::Second) {
        let time = time.split(['Z', '+', '-']).next().unwrap_or_default();
        assert!(
            time.parse::<jiff::civil::Time>().is_ok() || time.len() > "00:00:00.000000000".len(),
            "{text}"
        );
    }
    let has_form = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if has_form && text.parse::<jiff::civil::Date>().is_ok_and(|date| date.year() > 0) {
        assert_eq!(precision, Some(Precision::Day), "{text}");
    }
}

/// Takes a text with two values, a resource and a patch of any kind: what comes out is of the same type and id, no
/// deeper than a body may be, and can be stored.
pub fn patch(text: &[u8]) {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>();
    let (Some(Ok(resource)), Some(Ok(body))) = (values.next(), values.next()) else { return };
    let Ok(patch) = Patch::parse(PatchFormat::Json, body) else { return };
    let Ok(mut patched) = patch.apply(&resource) else { return };
    assert_eq!(patched.get("resourceType"), resource.get("resourceType"));
    assert_eq!(patched.get("id"), resource.get("id"));
    let text = patched.to_string();
    let stamped = stamp(text.as_bytes(), "1", 1, Timestamp::from_nanos(0));
    assert!(
        stamped.is_ok_and(|text| serde_json::from_slice::<serde_json::Value>(&text).is_ok())
            || patched.get("resourceType").is_none()
            || patched.get("meta").is_some_and(|meta| !meta.is_object())
    );
    rewrite_references(&mut patched, |text| Some(text.to_owned()));
}

fn decode_pieces(text: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::default();
    let mut bytes = Vec::new();
    for piece in text.chunks(size) {
        decoder.decode(piece, Some(&mut bytes)).ok()?;
    }
    decoder.is_complete().then_some(bytes)
}

fn scan_pieces(body: &[u8], size: usize, shape: Shape) -> Result<(Bytes, Vec<u8>), String> {
    let limits = ScanLimits {
        depth: 12,
        nodes: 100,
        string_bytes: 100,
        skeleton_bytes: 1000,
        inline_data_bytes: 20,
        ..ScanLimits::default()
    };
    let mut spool = Kept::default();
    let work = async {
        let mut scanner = Scanner::new(limits, shape);
        for piece in body.chunks(size) {
            scanner.feed(Bytes::copy_from_slice(piece), &mut spool).await?;
        }
        scanner.finish(&mut spool).await
    };
    let outcome = work.now_or_never().expect("nothing waits");
    assert!(!spool.is_open, "nothing remains open");
    let Scanned { skeleton, .. } = outcome.map_err(|error| format!("{error:?}"))?;
    Ok((skeleton, spool.bytes))
}

/// A spool in memory.
#[derive(Default)]
pub(crate) struct Kept {
    is_open: bool,
    /// All that was written, in one row.
    bytes: Vec<u8>,
    /// Where the present string begins in it.
    begin: usize,
    ended: Vec<(UploadId, Vec<u8>)>,
}

#[async_trait]
impl Spool for Kept {
    async fn begin(&mut self) -> Result<(), SpoolError> {
        assert!(!self.is_open, "one at a time");
        self.is_open = true;
        self.begin = self.bytes.len();
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), SpoolError> {
        assert!(self.is_open, "one is open");
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn end(&mut self) -> Result<Spooled, SpoolError> {
        assert!(self.is_open, "one is open");
        self.is_open = false;
        let bytes = self.bytes[self.begin..].to_vec();
        let id = UploadId::new();
        let spooled = Spooled { id, length: bytes.len() as u64, sha256: [0; 32], sha1: [0; 20] };
        self.ended.push((id, bytes));
        Ok(spooled)
    }

    async fn abort(&mut self) {
        self.is_open = false;
    }

    async fn read(&mut self, spooled: &Spooled, offset: u64, limit: usize) -> Result<Bytes, SpoolError> {
        let (_, bytes) =
            self.ended.iter().find(|(id, _)| *id == spooled.id).expect("only what was spooled is read");
        let from = usize::try_from(offset).expect("it is in memory").min(bytes.len());
        Ok(Bytes::copy_from_slice(&bytes[from..bytes.len().min(from + limit)]))
    }

    async fn discard(&mut self, _: &Spooled) {}
}
