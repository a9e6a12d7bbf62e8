//! How values become bytes that compare as the values do. Both the index and the questions to it are made of these, so
//! a change here means that every index has to be built anew.

mod number;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::entry::LONGEST;
use crate::clock::Timestamp;

pub(super) use number::{Decimal, around, exact, near};

/// What ends a code, so that no code is the beginning of another. U+0000 is in no text of FHIR.
const END: u8 = 0;

/// What a token in a composite begins with that is filed by its code alone.
pub(super) const BY_CODE: &[u8] = b"c";

/// What a token in a composite begins with that is filed with its system.
pub(super) const BY_SYSTEM: &[u8] = b"s";

/// A code of a system: the code first, so that those of any system lie together.
pub(super) fn coded(code: &str, system: Option<&str>) -> Vec<u8> {
    let mut bytes = [code.as_bytes(), &[END]].concat();
    if let Some(system) = system {
        bytes.extend_from_slice(system.as_bytes());
        bytes.push(END);
    }
    bytes
}

/// What stands in a code of this system, and in no other.
pub(super) fn of_system(system: &str) -> Vec<u8> {
    [&[END], system.as_bytes(), &[END]].concat()
}

/// An identifier of a type: `value`, then code and system of the type.
pub(super) fn of_type(value: &str, code: &str, system: &str) -> Vec<u8> {
    [value.as_bytes(), &coded(code, Some(system))].join(&END)
}

/// Two values of a composite, the second of which is compared. No text has what stands between them.
pub(super) fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    [first, &[END, END], second].concat()
}

/// A text as searches compare it: in lower case, without accents, spaces told once (FHIR R4 search, string).
pub(super) fn normalised(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let before = plain.len();
        if before > 0 {
            plain.push(' ');
        }
        let start = plain.len();
        if word.is_ascii() {
            plain.extend(word.chars().map(|character| character.to_ascii_lowercase()));
        } else {
            let lower = word.chars().flat_map(char::to_lowercase);
            plain.extend(lower.nfd().filter(|character| !is_combining_mark(*character)));
        }
        // Nothing is left of a word of accents alone, not even a space.
        if plain.len() == start {
            plain.truncate(before);
        }
    }
    plain
}

/// A moment, the earlier the less.
pub(super) fn moment(at: Timestamp) -> Vec<u8> {
    // The sign bit turned: what lies before 1970 comes first.
    (at.as_nanos().cast_unsigned() ^ (1 << 63)).to_be_bytes().to_vec()
}

/// At most the beginning of the bytes that an index takes.
pub(super) fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(LONGEST);
    bytes
}

/// The first bytes, in order, that do not begin with these; `None` if there are no greater ones.
pub(super) fn past(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut past = prefix[..=last].to_vec();
    past[last] += 1;
    Some(past)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_the_width_of_spaces_do_not_count() {
        for (text, plain) in [
            ("", ""),
            ("  Ann \t Marie\n", "ann marie"),
            ("MÜLLER", "muller"),
            ("Mu\u{308}ller", "muller"),
            ("Ångström É", "angstrom e"),
            ("İstanbul", "istanbul"),
            ("a \u{301} b", "a b"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("O'Neil-Ба", "o'neil-ба"),
        ] {
            assert_eq!(normalised(text), plain, "{text}");
        }
    }

    #[test]
    fn what_comes_past_a_prefix_is_the_first_that_does_not_begin_with_it() {
        assert_eq!(past(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(past(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(past(&[255]), None);
        assert_eq!(past(&[]), None);
    }

    proptest! {
        #[test]
        fn moments_compare_as_their_bytes_do(left: i64, right: i64) {
            let bytes = |nanos| moment(Timestamp::from_nanos(nanos));
            prop_assert_eq!(bytes(left).cmp(&bytes(right)), left.cmp(&right));
        }

        #[test]
        fn a_text_is_normalised_once_and_for_all(text in "\\PC{0,12}") {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once);
        }
    }
}
