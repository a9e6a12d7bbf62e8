//! Where signatures are, and what they cover.

use serde_json::{Value, json};

use super::super::element::{Level, signatures};
use super::super::testing::{Authority, Identity, Kind, now};
use super::super::{Judgement, QUESTIONNAIRE_RESPONSE_SIGNATURE, covers, has_signature, verify};

fn signature(value: &Value) -> Value {
    json!({ "url": QUESTIONNAIRE_RESPONSE_SIGNATURE, "valueSignature": value })
}

#[test]
fn signatures_are_found_wherever_they_are_and_nowhere_else() {
    let signed = json!({ "extension": [{ "url": "x" }, signature(&json!(1))] });
    for (resource, expressions) in [
        (json!({ "resourceType": "Bundle", "signature": {} }), vec!["R.signature"]),
        (json!({ "resourceType": "Patient", "signature": {}, "extension": [signature(&json!(1))] }), vec![]),
        (
            json!({ "resourceType": "QuestionnaireResponse", "extension": signed["extension"], "item": [
                { "answer": [{ "item": [signed] }], "item": [{ "item": [signed] }] }, signed,
            ] }),
            vec![
                "R.extension[1].value",
                "R.item[0].item[0].item[0].extension[1].value",
                "R.item[0].answer[0].item[0].extension[1].value",
                "R.item[1].extension[1].value",
            ],
        ),
        (
            json!({ "resourceType": "Bundle", "entry": [{}, { "resource":
                { "resourceType": "Bundle", "signature": {}, "entry": [{ "resource":
                    { "resourceType": "QuestionnaireResponse", "extension": signed["extension"] } }] } }] }),
            vec!["R.entry[1].resource.signature", "R.entry[1].resource.entry[0].resource.extension[1].value"],
        ),
    ] {
        let found: Vec<String> =
            signatures(&resource, "R", 99).into_iter().map(|one| one.expression).collect();
        assert_eq!(found, expressions);
        assert_eq!(has_signature(&resource), !expressions.is_empty());
        assert!(signatures(&resource, "R", 1).len() <= 1);
    }
}

#[test]
fn a_response_is_covered_by_its_own_signature_or_by_those_of_all_its_items() {
    let response = json!({ "resourceType": "QuestionnaireResponse", "item": [{}, {}] });
    let bundle = json!({ "resourceType": "Bundle", "entry": [] });
    let empty = json!({ "resourceType": "QuestionnaireResponse" });
    for (resource, expressions, is_covered) in [
        (&response, &["R.extension[0].value"][..], true),
        (&response, &["R.item[0].extension[0].value", "R.item[1].extension[3].value"], true),
        (&response, &["R.item[0].extension[0].value"], false),
        (&response, &["R.item[0].extension[0].value", "R.item[1].item[0].extension[0].value"], false),
        (&response, &[], false),
        (&empty, &[], false),
        (&bundle, &["R.signature"], true),
        (&bundle, &["R.entry[0].resource.signature"], false),
    ] {
        assert_eq!(covers(resource, "R", expressions), is_covered, "{expressions:?}");
    }
}

/// CONF-035 and CONF-036: a response and an item of it, signed one after the other.
#[test]
fn conf_036_an_item_is_signed_without_its_id_and_stays_signed_inside() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |_| {});
    let element = |target: &Value, level| {
        let (protected, signature) = identity.signature(target, level, &identity.header());
        Identity::element(&format!("{protected}..{signature}"))
    };
    let mut response = json!({
        "resourceType": "QuestionnaireResponse", "status": "completed",
        "item": [{ "id": "a", "linkId": "1", "answer": [{ "valueDecimal": 1 }] }, { "linkId": "2" }],
    });
    let of_item = element(&response["item"][0], Level::Item);
    response["item"][0]["extension"] = json!([signature(&of_item)]);
    let of_all = element(&response, Level::QuestionnaireResponse);
    response["extension"] = json!([signature(&of_all)]);
    let judged = |response: &Value| -> Vec<bool> {
        let verdicts = verify(response, "R", &authority.trust(), now());
        verdicts.iter().map(|(_, verdict)| verdict.judgement == Judgement::Valid).collect()
    };
    assert_eq!(judged(&response), [true, true]);
    for (pointer, value, expected) in [
        ("/item/0/id", json!("b"), [false, true]),
        ("/item/0/linkId", json!("3"), [false, false]),
        ("/item/1/linkId", json!("3"), [false, true]),
        ("/status", json!("amended"), [false, true]),
    ] {
        let mut changed = response.clone();
        *changed.pointer_mut(pointer).expect("it is there") = value;
        assert_eq!(judged(&changed), expected, "{pointer}");
    }
    let mut without = response.clone();
    without["item"][0].as_object_mut().expect("an object").shift_remove("extension");
    assert_eq!(judged(&without), [false], "the signature of the item was signed too");
    response["id"] = "1".into();
    response["meta"] = json!({ "versionId": "2" });
    assert_eq!(judged(&response), [true, true]);
}

#[test]
fn more_signatures_than_anybody_needs_are_not_verified() {
    let item = json!({ "extension": [signature(&json!({ "sigFormat": "application/jose" }))] });
    let response = json!({ "resourceType": "QuestionnaireResponse", "item": vec![item; 40] });
    let verdicts = verify(&response, "R", &super::TrustAnchors::default(), now());
    assert_eq!(verdicts.len(), 33);
    assert_eq!(verdicts[32].1.judgement, Judgement::Unsupported);
}
