//! What must be signed, and by whom.

use base64_simd::STANDARD;
use serde_json::{Value, json};

use super::super::{QUESTIONNAIRE_RESPONSE_SIGNATURE, Unsigned, may_be_attested, passes_as_signed, unsigned};

const REQUIRED: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-signatureRequired";

fn response(items: &Value, is_signed: bool) -> Value {
    let mut response = json!({ "resourceType": "QuestionnaireResponse", "item": items });
    if is_signed {
        response["extension"] = json!([{ "url": QUESTIONNAIRE_RESPONSE_SIGNATURE }]);
    }
    response
}

/// An item with this link, signed or not, and the items in it.
fn item(link: &str, is_signed: bool, within: &Value) -> Value {
    let mut item = json!({ "linkId": link, "item": within });
    if is_signed {
        item["extension"] = json!([{ "url": QUESTIONNAIRE_RESPONSE_SIGNATURE }]);
    }
    item
}

/// CONF-026, for data requests, attachment requests and submissions alike.
#[test]
fn conf_026_a_response_is_signed_as_a_whole_or_in_all_of_its_items_and_where_the_form_wants_it() {
    let whole = json!({ "extension": [{ "url": REQUIRED }] });
    let one = json!({ "item": [{ "linkId": "a" }, { "linkId": "b", "item": [
        { "linkId": "c", "extension": [{ "url": REQUIRED }] },
    ] }] });
    let none = json!([]);
    let nested = |is_signed| json!([item("c", is_signed, &json!([]))]);
    let all = json!([item("a", true, &none), item("b", true, &nested(false))]);
    let inner = json!([item("a", false, &none), item("b", false, &nested(true))]);
    let outer = json!([item("a", false, &none), item("b", true, &nested(false))]);
    let bare = json!([item("b", false, &nested(false))]);
    let in_answer =
        json!([{ "linkId": "b", "answer": [{ "valueString": "x", "item": [{ "linkId": "c" }] }] }]);
    let unanswered = json!([item("a", false, &none)]);
    for (items, is_signed, form, is_flagged, expected) in [
        (&bare, false, None, false, vec![]),
        (&bare, false, None, true, vec![Unsigned::Whole]),
        (&bare, false, Some(&whole), false, vec![Unsigned::Whole]),
        (&bare, false, Some(&one), true, vec![Unsigned::Whole, Unsigned::Item]),
        (&bare, true, Some(&one), true, vec![]),
        (&all, false, Some(&one), true, vec![]),
        (&all, false, Some(&whole), false, vec![]),
        (&inner, false, Some(&one), false, vec![]),
        (&inner, false, Some(&one), true, vec![Unsigned::Whole]),
        (&outer, false, Some(&one), false, vec![]),
        (&outer, false, Some(&whole), false, vec![Unsigned::Whole]),
        (&in_answer, false, Some(&one), false, vec![Unsigned::Item]),
        (&unanswered, false, Some(&one), false, vec![]),
        (&none, false, Some(&one), true, vec![Unsigned::Whole]),
    ] {
        let found = unsigned(&response(items, is_signed), form, is_flagged);
        assert_eq!(found, expected, "{items} {is_signed} {is_flagged}");
    }
}

#[test]
fn what_nobody_has_signed_may_be_attested_but_for_forms_and_what_may_hold_a_signature() {
    let document = |content_type: &str, data: &str| {
        let attachment = json!({ "contentType": content_type, "data": STANDARD.encode_to_string(data) });
        json!({ "resourceType": "DocumentReference", "content": [{ "attachment": attachment }] })
    };
    let bundle = json!({ "resourceType": "Bundle", "type": "document" });
    let mut signed = bundle.clone();
    signed["signature"] = json!({});
    let mut mixed = document("text/plain", "x");
    if let Some(contents) = mixed["content"].as_array_mut() {
        contents.push(json!({ "attachment": { "contentType": "application/pdf" } }));
    }
    // Each resource, whether it passes as it is, and whether it may be attested.
    for (resource, passes, may_be) in [
        (json!({ "resourceType": "Observation" }), false, true),
        (bundle.clone(), false, true),
        (signed.clone(), true, false),
        (response(&json!([]), false), false, false),
        (response(&json!([]), true), true, false),
        (document("text/plain; charset=utf-8", "x"), true, true),
        (document("application/pdf", "x"), true, false),
        (document("image/png", "x"), true, false),
        (document("application/xml", "<x/>"), true, false),
        (document("application/fhir+json", &bundle.to_string()), true, true),
        (document("application/fhir+json", &signed.to_string()), true, false),
        (document("application/json", "not JSON"), true, false),
        (mixed, true, false),
        (json!({ "resourceType": "DocumentReference" }), true, false),
        (json!({ "resourceType": "Binary", "contentType": "text/csv" }), true, true),
        (json!({ "resourceType": "Binary", "contentType": "application/pdf" }), true, false),
        (json!({}), false, false),
    ] {
        assert_eq!((passes_as_signed(&resource), may_be_attested(&resource)), (passes, may_be), "{resource}");
    }
}
