//! The tables of cdex §9.2 one element at a time, and what Communications carry.

use serde_json::json;

use super::*;
use crate::fhir::{Issue, Severity};

fn communication() -> Value {
    json!({
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": "Patient/p"},
        "recipient": [{"reference": "Organization/payer"}],
        "sender": {"reference": "Organization/provider"},
        "payload": [{
            "extension": [{
                "url": format!("{DEFINITIONS}{CLINICAL_NOTE_TYPE}"),
                "valueCodeableConcept": {"coding": [{"system": "http://loinc.org", "code": "18842-5"}]},
            }],
            "contentAttachment": {"contentType": "application/pdf", "data": "JVBERg=="},
        }],
    })
}

fn request() -> Value {
    let mut request = communication();
    request["resourceType"] = "CommunicationRequest".into();
    request["requester"] = json!({"reference": "Organization/payer"});
    request
}

fn task() -> Value {
    let organization = json!({"reference": "Organization/o"});
    json!({
        "resourceType": "Task",
        "meta": {"profile": [format!("{DEFINITIONS}cdex-task")]},
        "identifier": [{"value": "1"}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": "Communication/c"},
        "for": {"reference": "Patient/p"},
        "requester": organization.clone(),
        "owner": organization,
    })
}

fn told(resource: &Value) -> Vec<(Severity, String)> {
    let expression = |issue: Issue| (issue.severity, issue.expression.unwrap_or_default());
    check(resource).into_iter().map(expression).collect()
}

#[test]
fn what_the_tables_demand_is_missed_one_by_one() {
    for (whole, elements) in [
        (communication(), &["subject", "recipient", "sender"][..]),
        (request(), &["subject", "payload", "requester", "recipient", "sender"]),
        (task(), &["identifier", "focus", "for", "requester", "owner"]),
    ] {
        assert_eq!(told(&whole), [], "{whole}");
        let name = text(&whole, "resourceType").expect("a type").to_owned();
        for element in elements {
            let mut lacking = whole.clone();
            lacking["meta"] =
                json!({"profile": [format!("{DEFINITIONS}cdex-{}|0.1.0", name.to_lowercase())]});
            lacking.as_object_mut().expect("an object").remove(*element);
            assert_eq!(told(&lacking), [(Severity::Error, format!("{name}.{element}"))]);
            // What claims nothing is plain R4.
            lacking.as_object_mut().expect("an object").remove("meta");
            lacking["payload"] = json!([{"contentString": "words"}]);
            assert_eq!(told(&lacking), [], "{lacking}");
        }
    }
}

#[test]
fn fixed_values_and_extensions_are_held_to_the_tables() {
    let mut cases = Vec::new();
    let mut wrong = task();
    wrong["intent"] = "proposal".into();
    wrong["code"]["coding"][0]["code"] = "approve".into();
    cases.push((wrong, vec![(Severity::Error, "Task.intent"), (Severity::Error, "Task.code")]));
    for (profile, bundle_type) in
        [("document", "document"), ("searchset", "searchset"), ("transaction", "batch")]
    {
        let profile = format!("{DEFINITIONS}cdex-{profile}-bundle");
        let bundle = json!({"resourceType": "Bundle", "type": bundle_type, "meta": {"profile": [profile]}});
        let issue = (bundle_type == "batch").then_some((Severity::Error, "Bundle.type"));
        cases.push((bundle, issue.into_iter().collect()));
    }
    let mut twice = communication();
    let extension = twice["payload"][0]["extension"][0].clone();
    twice["payload"][0]["extension"] = json!([extension, extension]);
    cases.push((twice, vec![(Severity::Error, "Communication.payload[0].extension")]));
    let mut no_loinc = communication();
    no_loinc["payload"][0]["extension"][0]["valueCodeableConcept"] = json!({"text": "note"});
    let concept = "Communication.payload[0].extension.valueCodeableConcept";
    cases.push((no_loinc, vec![(Severity::Warning, concept)]));
    let mut other_value = communication();
    other_value["payload"][0]["extension"] = json!([
        {"url": format!("{DEFINITIONS}{CLINICAL_NOTE_TYPE}"), "valueString": "x"},
        {"url": format!("{DEFINITIONS}{QUERY_STRING}"), "valueCode": "x"},
    ]);
    let query = "Communication.payload[0].extension.valueString";
    cases.push((other_value, vec![(Severity::Error, query), (Severity::Error, concept)]));
    for (resource, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|(severity, at)| (severity, at.to_owned())).collect();
        assert_eq!(told(&resource), expected, "{resource}");
    }
}

#[test]
fn a_push_without_anything_to_deliver_is_refused_and_words_alone_are_not_a_push() {
    let nothing = json!([{"contentString": "words"}, {"contentReference": {"display": "a document"}}]);
    let category =
        json!([{"coding": [{"system": "http://acme.org/messagetypes", "code": "UnsolicitedAttachment"}]}]);
    let refused = [(Severity::Error, "Communication.payload".to_owned())];
    for (change, expected) in [
        (json!({"payload": nothing}), &[][..]),
        (json!({"payload": nothing, "category": category}), &refused),
        (json!({"payload": nothing, "category": category, "status": "not-done"}), &[]),
        (
            json!({"payload": [{"contentAttachment": {"contentType": "text/plain"}}], "category": category}),
            &refused,
        ),
        (json!({"payload": [{"contentReference": {"reference": "#gone"}}], "category": category}), &refused),
        (json!({"payload": [{"contentReference": {"reference": "Binary/b"}}], "category": category}), &[]),
    ] {
        let mut communication = communication();
        for (element, value) in change.as_object().expect("an object") {
            communication[element] = value.clone();
        }
        assert_eq!(told(&communication), expected, "{change}");
    }
}

#[test]
fn payloads_are_read_in_order_with_what_is_said_of_them() {
    let mut communication = communication();
    communication["contained"] = json!([{"resourceType": "DocumentReference", "id": "d"}]);
    let query = json!({
        "extension": [{"url": format!("{DEFINITIONS}{QUERY_STRING}"), "valueString": "Condition?patient=x"}],
        "contentReference": {"reference": "#d"},
    });
    communication["payload"] = json!([{"contentString": "words"}, communication["payload"][0], query, {"contentReference": {"display": "x"}}]);
    let found = pushed(&communication);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].index, found[0].note_type, found[0].query), (1, Some("18842-5"), None));
    assert!(matches!(found[0].content, PushedContent::Attachment(_)));
    assert_eq!((found[1].index, found[1].note_type, found[1].query), (2, None, Some("Condition?patient=x")));
    assert_eq!(found[1].content, PushedContent::Reference("#d"));
    assert_eq!(type_asked_for("Condition?patient=x"), Some("Condition"));
    assert_eq!(type_asked_for("/fhir/Condition"), Some("Condition"));
    assert_eq!(type_asked_for("Smith?x"), None);
    communication["status"] = "entered-in-error".into();
    assert_eq!(pushed(&communication), []);
}

#[test]
fn what_it_answers_and_is_about_is_read_from_references_of_the_right_type() {
    let resource = json!({
        "basedOn": [
            {"reference": "CommunicationRequest/a"},
            {"reference": "https://other.example/fhir/CommunicationRequest/b"},
            {"reference": "ServiceRequest/c"},
            {"reference": "CommunicationRequest/"},
            {"display": "d"},
        ],
        "about": [{"reference": "Claim/1"}],
    });
    let expected = ["CommunicationRequest/a", "https://other.example/fhir/CommunicationRequest/b"];
    assert!(answered_requests(&resource).eq(expected));
    assert!(is_about_a_claim(&resource));
    assert!(!is_about_a_claim(&json!({"about": [{"reference": "Condition/1"}]})));
}

#[test]
fn only_a_waiting_task_of_2019_names_what_is_pushed() {
    assert_eq!(pushed_focus(&task()), Some("Communication/c"));
    for (element, value) in [
        ("status", json!("accepted")),
        ("meta", json!({})),
        ("focus", json!({"reference": "ServiceRequest/s"})),
        ("focus", json!({"display": "a document"})),
    ] {
        let mut other = task();
        other[element] = value;
        assert_eq!(pushed_focus(&other), None, "{other}");
    }
}

#[test]
fn a_label_that_names_the_other_syntax_is_put_right() {
    for (label, head, expected) in [
        ("application/fhir+xml", &b" {\"resourceType\""[..], Some("application/fhir+json")),
        ("application/fhir+xml; charset=utf-8", b"[", Some("application/fhir+json")),
        ("text/xml", b"{", Some("application/json")),
        ("application/fhir+json", b"\xEF\xBB\xBF<Bundle", Some("application/fhir+xml")),
        ("application/json", b"<a/>", Some("application/xml")),
        ("application/fhir+xml", b"<Bundle", None),
        ("application/fhir+json", b"{}", None),
        ("application/pdf", b"{", None),
        ("application/fhir+xml", b"", None),
    ] {
        assert_eq!(relabelled(label, head), expected, "{label}");
    }
}
