//! The canonical form, and what is left out of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::QUESTIONNAIRE_RESPONSE_SIGNATURE;
use super::super::canonical::{canonical, canonical_without_profiles, keeps_numbers};
use super::super::element::Level;

fn text(element: &Value, level: Level) -> String {
    String::from_utf8(canonical(element, level).expect("it has a canonical form")).expect("it is UTF-8")
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).expect("it is JSON")
}

#[test]
fn conf_030_the_canonical_form_is_that_of_rfc_8785() {
    for (json, expected) in [
        // Numbers are those of ECMAScript.
        (
            "[1.0, 6.20, 1E2, 1e21, 1e-7, 0.000001, -0.0, 9007199254740993]",
            "[1,6.2,100,1e+21,1e-7,0.000001,0,9007199254740992]",
        ),
        (
            "[333333333.33333329, 4.50, 2e-3, 0.000000000000000000000000001]",
            "[333333333.3333333,4.5,0.002,1e-27]",
        ),
        // Names are ordered by UTF-16 code units: a surrogate pair comes before U+FB33.
        (
            "{\"\\ufb33\":1,\"\u{1f600}\":2,\"\\u20ac\":3,\"1\":4,\"\\r\":5}",
            "{\"\\r\":5,\"1\":4,\"\u{20ac}\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}",
        ),
        // Strings have the fewest escapes.
        (r#""\u0041\/\u000a\u0007\"\\\u20ac""#, "\"A/\\n\\u0007\\\"\\\\\u{20ac}\""),
        (r#"{ "b" : [ true , null ] , "a" : { } }"#, r#"{"a":{},"b":[true,null]}"#),
    ] {
        let wrapped = json!({ "v": parse(json) });
        assert_eq!(text(&wrapped, Level::Bundle), format!("{{\"v\":{expected}}}"), "{json}");
    }
    assert!(canonical(&parse(r#"{"v": 1e400}"#), Level::Bundle).is_err(), "no double holds it");
}

#[test]
fn conf_034_035_036_what_may_change_after_signing_is_not_signed() {
    let signature = json!({ "url": QUESTIONNAIRE_RESPONSE_SIGNATURE, "valueSignature": {} });
    let other = json!({ "url": "http://example.org/other" });
    let signed_item = json!({ "linkId": "1", "id": "i", "extension": [signature] });
    let item_form = json!({ "linkId": "1" });
    for (level, element, form) in [
        (
            Level::Bundle,
            json!({ "id": "1", "meta": {}, "signature": {}, "type": "document", "entry": [{ "id": "e", "resource": { "id": "r", "meta": {} } }] }),
            json!({ "type": "document", "entry": [{ "id": "e", "resource": { "id": "r", "meta": {} } }] }),
        ),
        (Level::Bundle, json!({ "extension": [signature] }), json!({ "extension": [signature] })),
        (
            Level::QuestionnaireResponse,
            json!({ "id": "1", "meta": {}, "extension": [signature, other], "item": [signed_item] }),
            json!({ "extension": [other], "item": [signed_item] }),
        ),
        (
            Level::QuestionnaireResponse,
            json!({ "status": "completed", "extension": [signature] }),
            json!({ "status": "completed" }),
        ),
        (
            Level::QuestionnaireResponse,
            json!({ "signature": 1, "extension": 2 }),
            json!({ "signature": 1, "extension": 2 }),
        ),
        (Level::Item, signed_item.clone(), item_form.clone()),
        (
            Level::Item,
            json!({ "linkId": "1", "meta": 1, "item": [signed_item] }),
            json!({ "linkId": "1", "meta": 1, "item": [signed_item] }),
        ),
    ] {
        let expected = serde_json_canonicalizer::to_string(&form).expect("it has a canonical form");
        assert_eq!(text(&element, level), expected);
    }
}

#[test]
fn profiles_can_be_left_out_of_the_entries_as_the_publisher_does() {
    let bundle = json!({ "meta": { "profile": ["p"] }, "entry": [
        { "resource": { "id": "1", "meta": { "profile": ["p"] } } },
        { "resource": { "id": "2", "meta": { "profile": ["p"], "tag": [] } } },
        { "fullUrl": "urn:x" },
    ] });
    let stripped = canonical_without_profiles(&bundle).expect("it has a canonical form");
    let expected = r#"{"entry":[{"resource":{"id":"1"}},{"resource":{"id":"2","meta":{"tag":[]}}},{"fullUrl":"urn:x"}]}"#;
    assert_eq!(stripped, expected.as_bytes());
}

#[test]
fn numbers_that_a_signature_does_not_protect_are_known() {
    for (json, kept) in [
        ("[0, -0.0, 0e5, 1, 1.0, 6.20, 1E2, 100, 0.1, -12.5e-3, 1e22, 9007199254740992]", true),
        ("9007199254740993", false),
        ("0.1000000000000000055511151231257827", false),
        ("3.141592653589793238", false),
        ("1e-400", false),
        (r#"{"a": [{"b": 0.30000000000000000001}]}"#, false),
    ] {
        assert_eq!(keeps_numbers(&parse(json)), kept, "{json}");
    }
}

proptest! {
    #[test]
    fn a_number_written_by_its_shortest_digits_is_kept(number in proptest::num::f64::NORMAL) {
        for text in [format!("{number:e}"), number.to_string()] {
            prop_assert!(keeps_numbers(&parse(&text)), "{}", text);
        }
    }
}
