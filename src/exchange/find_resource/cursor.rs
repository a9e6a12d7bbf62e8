//! What a `next` link carries: where the page before ended, and for which request, in compact form. Clients must not
//! look into it, and one that was made for another request or by somebody else is refused.

use crate::digest::{Digest, Sha256};
use base64_simd::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::repository::Position;

/// Longer ones are none of ours: a few sort keys of at most a thousand bytes each.
const LONGEST: usize = 16 * 1024;

/// Which request a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// That of a request: what it is about, and all parameters that change which resources it finds in which order.
    pub(super) fn of<'a>(subject: &str, parameters: impl Iterator<Item = &'a (String, String)>) -> Self {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        add(subject);
        for (name, value) in parameters.filter(|(name, _)| !is_about_pages(name)) {
            add(name);
            add(value);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        Self(short)
    }
}

/// Whether a parameter may differ from page to page.
fn is_about_pages(name: &str) -> bool {
    matches!(name, "_cursor" | "_count" | "_total" | "_format" | "_pretty")
}

/// A cursor is not one of ours, or is for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidCursor;

/// Where a page of a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SearchCursor {
    /// The last match.
    pub(super) position: Position,
    /// How many matches the first page told of, so that all pages tell the same.
    pub(super) total: Option<u64>,
}

/// Where a page of a history ended: time, row and version of the last entry.
pub(super) type HistoryCursor = (Timestamp, i64, u64);

impl SearchCursor {
    /// The text of a link.
    pub(super) fn to_text(&self, request: Fingerprint) -> String {
        let mut bytes = vec![b's'];
        bytes.extend(request.0);
        bytes.extend(self.total.unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(self.position.key.to_be_bytes());
        for value in &self.position.values {
            match value {
                None => bytes.push(0),
                Some(value) => {
                    bytes.push(1);
                    // The index cuts values off long before.
                    bytes.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
                    bytes.extend_from_slice(value);
                }
            }
        }
        URL_SAFE_NO_PAD.encode_to_string(bytes)
    }

    /// Reads the text of a link, whose request sorts by so many keys.
    pub(super) fn parse(text: &str, request: Fingerprint, keys: usize) -> Result<Self, InvalidCursor> {
        let bytes = decode(text)?;
        let mut rest = Rest(&bytes);
        rest.begin(b's', request)?;
        let total = Some(rest.u64()?).filter(|total| *total != u64::MAX);
        let key = rest.u64()?.cast_signed();
        let mut values = Vec::new();
        while !rest.0.is_empty() {
            values.push(match rest.take(1)? {
                [0] => None,
                [1] => {
                    let length = u32::from_be_bytes(rest.array()?);
                    Some(rest.take(length as usize)?.to_vec())
                }
                _ => return Err(InvalidCursor),
            });
        }
        if values.len() != keys {
            return Err(InvalidCursor);
        }
        Ok(Self { position: Position { values, key }, total })
    }
}

/// The text of a link to the next page of a history.
pub(super) fn history_text((at, key, version): HistoryCursor, request: Fingerprint) -> String {
    let mut bytes = vec![b'h'];
    bytes.extend(request.0);
    bytes.extend(at.as_nanos().to_be_bytes());
    bytes.extend(key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Reads the text of such a link.
pub(super) fn parse_history(text: &str, request: Fingerprint) -> Result<HistoryCursor, InvalidCursor> {
    let bytes = decode(text)?;
    let mut rest = Rest(&bytes);
    rest.begin(b'h', request)?;
    let at = Timestamp::from_nanos(rest.u64()?.cast_signed());
    let cursor = (at, rest.u64()?.cast_signed(), rest.u64()?);
    if rest.0.is_empty() { Ok(cursor) } else { Err(InvalidCursor) }
}

fn decode(text: &str) -> Result<Vec<u8>, InvalidCursor> {
    if text.len() > LONGEST {
        return Err(InvalidCursor);
    }
    URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| InvalidCursor)
}

/// What has not been read of a cursor.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn begin(&mut self, kind: u8, request: Fingerprint) -> Result<(), InvalidCursor> {
        let is_right = self.take(1)? == [kind] && self.array()? == request.0;
        if is_right { Ok(()) } else { Err(InvalidCursor) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidCursor> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(InvalidCursor)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidCursor> {
        self.take(N)?.try_into().map_err(|_| InvalidCursor)
    }

    fn u64(&mut self) -> Result<u64, InvalidCursor> {
        self.array().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fingerprint(subject: &str) -> Fingerprint {
        Fingerprint::of(subject, [("status".to_owned(), "x".to_owned())].iter())
    }

    #[test]
    fn the_parameters_of_pages_do_not_change_what_a_cursor_is_for() {
        let one = [("a".to_owned(), "b".to_owned()), ("_count".to_owned(), "5".to_owned())];
        assert_eq!(Fingerprint::of("Task", one.iter()), Fingerprint::of("Task", one[..1].iter()));
        assert_ne!(Fingerprint::of("Task", one.iter()), Fingerprint::of("Basic", one.iter()));
        assert_ne!(Fingerprint::of("Task", one.iter()), Fingerprint::of("Task", one[1..].iter()));
    }

    proptest! {
        #[test]
        fn a_search_cursor_is_read_as_it_was_written(
            values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..4),
            key in any::<i64>(),
            total in prop::option::of(0..u64::MAX),
        ) {
            let keys = values.len();
            let cursor = SearchCursor { position: Position { values, key }, total };
            let text = cursor.to_text(fingerprint("Task"));
            prop_assert_eq!(SearchCursor::parse(&text, fingerprint("Task"), keys), Ok(cursor));
            prop_assert_eq!(SearchCursor::parse(&text, fingerprint("Basic"), keys), Err(InvalidCursor));
            prop_assert_eq!(SearchCursor::parse(&text, fingerprint("Task"), keys + 1), Err(InvalidCursor));
            prop_assert_eq!(parse_history(&text, fingerprint("Task")), Err(InvalidCursor));
        }

        #[test]
        fn a_history_cursor_is_read_as_it_was_written(at in any::<i64>(), key in any::<i64>(), version: u64) {
            let cursor = (Timestamp::from_nanos(at), key, version);
            let text = history_text(cursor, fingerprint("Task"));
            prop_assert_eq!(parse_history(&text, fingerprint("Task")), Ok(cursor));
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,60}") {
            let _ = SearchCursor::parse(&text, fingerprint("Task"), 1);
            let _ = parse_history(&text, fingerprint("Task"));
        }
    }
}
