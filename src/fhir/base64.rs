//! Base64 as FHIR R4 `base64Binary` has it: the standard alphabet with padding, white space allowed. A decoder
//! that takes the text in any pieces, for the scanner, one call for a text that is already whole, and an encoder of
//! bytes in any pieces.
//! Strict: what it accepts has exactly one encoding but for white space. It knows nothing of JSON escapes.

use base64_simd::{STANDARD, STANDARD_NO_PAD};

/// A text is not base64; `at` counts its bytes before the one that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64 at byte {at}")]
pub(crate) struct InvalidBase64 {
    /// Bytes before the offending one, in the piece that was given.
    pub(crate) at: usize,
}

/// Encodes bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    /// The bytes of the group of three that is not complete yet.
    rest: Vec<u8>,
}

impl Encoder {
    /// The text of as many bytes as make whole groups.
    pub(crate) fn encode(&mut self, piece: &[u8]) -> String {
        let missing = (3 - self.rest.len()) % 3;
        let (first, piece) = piece.split_at(missing.min(piece.len()));
        self.rest.extend_from_slice(first);
        if !self.rest.len().is_multiple_of(3) {
            return String::new();
        }
        let (whole, rest) = piece.split_at(piece.len() / 3 * 3);
        let mut text = String::with_capacity((self.rest.len() + whole.len()) / 3 * 4);
        STANDARD.encode_append(&self.rest, &mut text);
        STANDARD.encode_append(whole, &mut text);
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        text
    }

    /// The text of the bytes that are left, with padding.
    pub(crate) fn finish(self) -> String {
        STANDARD.encode_to_string(self.rest)
    }
}

/// Decodes one whole text.
///
/// # Errors
/// Refuses any other alphabet, wrong or missing padding, text after padding and non-zero bits under padding.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, InvalidBase64> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut decoder = Decoder::default();
    decoder.decode(text.as_bytes(), Some(&mut bytes))?;
    if decoder.is_complete() { Ok(bytes) } else { Err(InvalidBase64 { at: text.len() }) }
}

/// Whether a whole text is base64, found out without keeping a byte.
pub(crate) fn is_base64(text: &str) -> bool {
    let mut decoder = Decoder::default();
    decoder.decode(text.as_bytes(), None).is_ok() && decoder.is_complete()
}

/// Decodes a text that arrives in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The sextets of the group of four that is not complete yet.
    group: [u8; 4],
    /// How many there are.
    filled: usize,
    /// `=` seen. Once there is one, only its twin and white space may follow.
    padding: usize,
}

impl Decoder {
    /// Decodes the next piece and appends its bytes to `out`; without `out` the piece is only checked.
    ///
    /// # Errors
    /// The position is exact and does not depend on how the text was cut.
    pub(crate) fn decode(
        &mut self,
        piece: &[u8],
        mut out: Option<&mut Vec<u8>>,
    ) -> Result<(), InvalidBase64> {
        let mut at = 0;
        while at < piece.len() {
            if self.filled == 0 && self.padding == 0 {
                at += decode_groups(&piece[at..], &mut out);
            }
            // Either the piece is used up, or a byte stands here that only the slow path understands.
            if let Some(&byte) = piece.get(at) {
                self.push(byte, &mut out).map_err(|NotBase64| InvalidBase64 { at })?;
                at += 1;
            }
        }
        Ok(())
    }

    /// Whether the text may end here.
    pub(crate) fn is_complete(&self) -> bool {
        if self.padding == 0 { self.filled == 0 } else { self.filled + self.padding == 4 }
    }

    fn push(&mut self, byte: u8, out: &mut Option<&mut Vec<u8>>) -> Result<(), NotBase64> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Ok(()),
            b'=' => self.pad(out),
            _ if self.padding > 0 => Err(NotBase64),
            _ => {
                self.group[self.filled] = sextet(byte).ok_or(NotBase64)?;
                self.filled += 1;
                if self.filled == 4 {
                    self.filled = 0;
                    self.emit(3, out);
                }
                Ok(())
            }
        }
    }

    fn pad(&mut self, out: &mut Option<&mut Vec<u8>>) -> Result<(), NotBase64> {
        // RFC 4648, 3.5: bits under the padding must be zero, or two texts would stand for the same bytes.
        let bits_under_padding = match self.filled {
            2 => self.group[1] & 0x0f,
            3 => self.group[2] & 0x03,
            _ => return Err(NotBase64),
        };
        if bits_under_padding != 0 || self.filled + self.padding >= 4 {
            return Err(NotBase64);
        }
        self.padding += 1;
        if self.filled + self.padding == 4 {
            self.group[self.filled..].fill(0);
            self.emit(self.filled - 1, out);
        }
        Ok(())
    }

    fn emit(&self, bytes: usize, out: &mut Option<&mut Vec<u8>>) {
        if let Some(out) = out {
            let [a, b, c, d] = self.group;
            out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d][..bytes]);
        }
    }
}

/// What is wrong, without where.
struct NotBase64;

/// Decodes the groups of four clean characters that `piece` begins with, and says how many characters.
fn decode_groups(piece: &[u8], out: &mut Option<&mut Vec<u8>>) -> usize {
    // The usual end of the last piece; without this every padded text would take the detour below.
    let unpadded = piece.len() - piece.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let whole = unpadded & !3;
    if decode_clean(&piece[..whole], out) {
        return whole;
    }
    let clean = piece.iter().position(|&byte| sextet(byte).is_none()).unwrap_or(piece.len()) & !3;
    if decode_clean(&piece[..clean], out) { clean } else { 0 }
}

/// Decodes all of it or nothing.
fn decode_clean(groups: &[u8], out: &mut Option<&mut Vec<u8>>) -> bool {
    match out {
        Some(out) => STANDARD_NO_PAD.decode_append(groups, *out).is_ok(),
        None => STANDARD_NO_PAD.check(groups).is_ok(),
    }
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_test_vectors_of_rfc_4648_decode() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            (" Zm\r\n9v\tYg = = \n", "foob"),
        ] {
            assert_eq!(decode(text), Ok(bytes.as_bytes().to_vec()), "{text:?}");
        }
    }

    #[test]
    fn whatever_is_not_strictly_base64_is_refused_where_it_shows() {
        for (text, at) in [
            ("Z", 1),
            ("Zg", 2),
            ("Zg=", 3),
            ("Zm8", 3),
            ("Zg===", 4),
            ("Zm9v=", 4),
            ("=", 0),
            ("Zh==", 2),
            ("Zm9=", 3),
            ("Zg==Zg==", 4),
            ("Zm8=Zg==", 4),
            ("Zg=g", 3),
            ("Zm9v-_==", 4),
            ("Zm9\u{e9}", 3),
            ("Zm9v\u{0b}", 4),
        ] {
            assert_eq!(decode(text), Err(InvalidBase64 { at }), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_and_any_white_space_decode_to_the_same_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            spaces in proptest::collection::vec((any::<prop::sample::Index>(), "[ \t\r\n]{1,3}"), 0..6),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut text = STANDARD.encode_to_string(&bytes);
            for (place, space) in spaces {
                text.insert_str(place.index(text.len() + 1), &space);
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();

            let mut decoder = Decoder::default();
            let mut checker = Decoder::default();
            let mut out = Vec::new();
            for pair in cuts.windows(2) {
                decoder.decode(&text.as_bytes()[pair[0]..pair[1]], Some(&mut out)).expect("it is base64");
                checker.decode(&text.as_bytes()[pair[0]..pair[1]], None).expect("it is base64");
            }
            prop_assert!(decoder.is_complete() && checker.is_complete());
            prop_assert_eq!(&out, &bytes);
            prop_assert_eq!(decode(&text), Ok(bytes));
        }

        #[test]
        fn bytes_in_pieces_become_the_text_of_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            mut cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            cuts.sort_by_key(|cut| cut.index(bytes.len() + 1));
            let mut encoder = Encoder::default();
            let (mut text, mut at) = (String::new(), 0);
            for cut in cuts {
                let cut = cut.index(bytes.len() + 1);
                text.push_str(&encoder.encode(&bytes[at..cut]));
                at = cut;
            }
            text.push_str(&encoder.encode(&bytes[at..]));
            text.push_str(&encoder.finish());
            prop_assert_eq!(text, STANDARD.encode_to_string(&bytes));
        }

        #[test]
        fn one_wrong_byte_is_found_at_its_place(
            bytes in proptest::collection::vec(any::<u8>(), 30..200),
            place in any::<prop::sample::Index>(),
            wrong in prop::sample::select(b"-_*.\"\\\x00\x0c\x7f\xff".to_vec()),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut text = STANDARD.encode_to_string(&bytes).into_bytes();
            // In front of the padding, which is refused by another rule.
            let place = place.index(text.len() - 2);
            text[place] = wrong;
            let cut = cut.index(text.len());
            let mut decoder = Decoder::default();
            let found = match decoder.decode(&text[..cut], Some(&mut Vec::new())) {
                Err(error) => error.at,
                Ok(()) => cut + decoder.decode(&text[cut..], Some(&mut Vec::new())).expect_err("it is not base64").at,
            };
            prop_assert_eq!(found, place);
        }
    }
}
