//! Tests of the `Upload-Metadata` codec.

use proptest::collection::vec;
use proptest::prelude::*;

use super::MetadataMode::{Lenient, Strict};
use super::*;

type Pairs = &'static [(&'static str, &'static str)];
type Refusal = (usize, MetadataRule);

fn pairs(header: &str, mode: MetadataMode) -> Result<Vec<(String, String)>, Refusal> {
    UploadMetadata::parse(header.as_bytes(), mode)
        .map(UploadMetadata::into_pairs)
        .map_err(|error| (error.entry, error.rule))
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn headers_as_clients_send_them_are_read_in_order() {
    let cases: [(&str, Pairs); 7] = [
        ("", &[]),
        ("  ", &[]),
        ("filename d29ybGQ=,is_confidential", &[("filename", "world"), ("is_confidential", "")]),
        ("b YQ==, a Yg==", &[("b", "a"), ("a", "b")]),
        ("empty ,x YQ==", &[("empty", ""), ("x", "a")]),
        ("name w6k=", &[("name", "é")]),
        ("Key YQ==,key Yg==", &[("Key", "a"), ("key", "b")]),
    ];
    for (header, expected) in cases {
        for mode in [Strict, Lenient] {
            assert_eq!(pairs(header, mode), Ok(owned(expected)), "{header}");
        }
    }
}

#[test]
fn a_broken_entry_is_named_or_in_lenient_mode_dropped() {
    let cases: [(&str, usize, MetadataRule, Pairs); 12] = [
        ("a YQ==,,b Yg==", 2, MetadataRule::EmptyKey, &[("a", "a"), ("b", "b")]),
        ("a YQ==,", 2, MetadataRule::EmptyKey, &[("a", "a")]),
        (",", 1, MetadataRule::EmptyKey, &[]),
        ("a YQ== x", 1, MetadataRule::Malformed, &[]),
        ("a  YQ==", 1, MetadataRule::Malformed, &[]),
        ("a YQ", 1, MetadataRule::Base64, &[]),
        ("a YQ=", 1, MetadataRule::Base64, &[]),
        ("a -_-_", 1, MetadataRule::Base64, &[]),
        ("a /w==", 1, MetadataRule::NotText, &[]),
        ("ä YQ==", 1, MetadataRule::KeyCharacter, &[]),
        ("a\tb YQ==", 1, MetadataRule::KeyCharacter, &[]),
        ("a YQ==,b Yg==,a Yw==", 3, MetadataRule::DuplicateKey, &[("a", "c"), ("b", "b")]),
    ];
    for (header, entry, rule, lenient) in cases {
        assert_eq!(pairs(header, Strict), Err((entry, rule)), "{header}");
        assert_eq!(pairs(header, Lenient), Ok(owned(lenient)), "{header}");
    }
}

#[test]
fn the_limits_hold_in_both_modes() {
    let encode = |length: usize| base64_simd::STANDARD.encode_to_string("x".repeat(length));
    let keys = |count: usize| (0..count).map(|n| format!("k{n} YQ==")).collect::<Vec<_>>().join(",");
    for mode in [Strict, Lenient] {
        assert!(pairs(&format!("a {}", encode(1024)), mode).is_ok());
        let long_value = pairs(&format!("a {}", encode(1025)), mode);
        assert_eq!(long_value, Err((1, MetadataRule::ValueTooLong)));
        assert!(pairs(&keys(64), mode).is_ok());
        assert_eq!(pairs(&keys(65), mode), Err((65, MetadataRule::TooManyKeys)));
        assert!(pairs(&"a".repeat(8192), mode).is_ok());
        assert_eq!(pairs(&"a".repeat(8193), mode), Err((0, MetadataRule::HeaderTooLong)));
    }
}

#[test]
fn a_refusal_names_the_entry_and_only_a_key_that_is_a_field() {
    let error = UploadMetadata::parse(b"a YQ==,jane_roe YQ", Strict).expect_err("the padding is missing");
    assert_eq!(error.to_string(), "Upload-Metadata, entry 2: the value is not base64 with padding");
    assert!(!format!("{error:?}").contains("jane"));
    let error = UploadMetadata::parse(b"sender_id YQ", Strict).expect_err("the padding is missing");
    let text = "Upload-Metadata, entry 1 (sender_id): the value is not base64 with padding";
    assert_eq!(error.to_string(), text);
}

#[test]
fn what_a_header_cannot_say_is_left_out_of_it() {
    let metadata: UploadMetadata =
        owned(&[("a b", "1"), ("", "2"), ("c,d", "3"), ("e\r\nX-Evil: 1", "4"), ("ok", "5")])
            .into_iter()
            .collect();
    assert_eq!(metadata.to_header(), "ok NQ==");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(pairs in vec(("[!-+\\--~]{1,12}", "\\PC{0,40}"), 0..20)) {
        let metadata: UploadMetadata = pairs.into_iter().collect();
        let header = metadata.to_header();
        prop_assert!(header.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        prop_assert_eq!(UploadMetadata::parse(header.as_bytes(), Strict), Ok(metadata.clone()));
        prop_assert_eq!(UploadMetadata::parse(header.as_bytes(), Lenient), Ok(metadata));
    }

    #[test]
    fn whatever_strict_mode_accepts_comes_back_from_its_own_header(header in "([ab]{0,2} ?[A-Za-z=]{0,8},?){0,5}") {
        if let Ok(metadata) = UploadMetadata::parse(header.as_bytes(), Strict) {
            prop_assert_eq!(UploadMetadata::parse(metadata.to_header().as_bytes(), Strict), Ok(metadata.clone()));
            prop_assert_eq!(UploadMetadata::parse(header.as_bytes(), Lenient), Ok(metadata));
        }
    }

    #[test]
    fn no_bytes_break_the_parser(header in vec(any::<u8>(), 0..300)) {
        let _ = UploadMetadata::parse(&header, Strict);
        prop_assert!(UploadMetadata::parse(&header, Lenient).is_ok());
    }
}
