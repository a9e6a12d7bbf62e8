//! `$submit-attachment` bodies of our own, and what its answers carry.

use serde_json::{Value, json};

use super::content::base64;
use super::gateway::Gateway;
use super::http::{Answer, Request};

/// The operation.
pub(crate) const SUBMIT: &str = "/fhir/$submit-attachment";

/// A correct submission of these `Content` resources for a claim.
pub(crate) fn parameters(tracking_id: &str, contents: Vec<Value>) -> Value {
    let npi = |value: &str| json!({"system": "http://hl7.org/fhir/sid/us-npi", "value": value});
    let mut list = vec![
        json!({"name": "TrackingId", "valueIdentifier": {"system": "http://example.org/t", "value": tracking_id}}),
        json!({"name": "AttachTo", "valueCode": "claim"}),
        json!({"name": "PayerId", "valueIdentifier": {"system": "http://example.org/p", "value": "payer123"}}),
        json!({"name": "OrganizationId", "valueIdentifier": npi("1407071236")}),
        json!({"name": "ProviderId", "valueIdentifier": npi("9941339108")}),
        json!({"name": "MemberId", "valueIdentifier": {"system": "http://example.org/m", "value": "234567"}}),
        json!({"name": "ServiceDate", "valueDateTime": "2026-03-14"}),
    ];
    for content in contents {
        list.push(json!({"name": "Attachment", "part": [
            {"name": "LineItem", "valueString": "1"},
            {"name": "Code", "valueCodeableConcept": {"coding": [{"system": "http://loinc.org", "code": "11504-8"}]}},
            {"name": "Content", "resource": content},
        ]}));
    }
    json!({"resourceType": "Parameters", "parameter": list})
}

/// A `DocumentReference` with one attachment for each of these.
pub(crate) fn document(attachments: Vec<Value>) -> Value {
    let content: Vec<Value> =
        attachments.into_iter().map(|attachment| json!({"attachment": attachment})).collect();
    json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11504-8"}]},
        "subject": {"identifier": {"system": "http://example.org/m", "value": "234567"}},
        "content": content,
    })
}

/// An attachment that holds its bytes.
pub(crate) fn inline(bytes: &[u8]) -> Value {
    json!({"contentType": "text/plain", "data": base64(bytes)})
}

/// A submission of one document with these bytes, as text.
pub(crate) fn note(tracking_id: &str, bytes: &[u8]) -> String {
    parameters(tracking_id, vec![document(vec![inline(bytes)])]).to_string()
}

/// The request for a body.
pub(crate) fn request(body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", SUBMIT).header("Content-Type", "application/fhir+json").body(body)
}

/// Sends a body.
#[track_caller]
pub(crate) fn submit(gateway: &Gateway, body: impl Into<Vec<u8>>) -> Answer {
    gateway.ask(&request(body))
}

/// The upload ids of an accepted submission, in order; `Link` and issues must agree.
#[track_caller]
pub(crate) fn accepted(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let ids = linked(answer);
    let outcome = answer.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let issues = outcome["issue"].as_array().expect("an outcome has issues");
    for id in &ids {
        let told =
            issues.iter().any(|issue| issue["severity"] == "information" && issue.to_string().contains(id));
        assert!(told, "an informational issue names {id}: {outcome}");
    }
    ids
}

/// The upload ids of the `Link` header field.
#[track_caller]
pub(crate) fn linked(answer: &Answer) -> Vec<String> {
    let link = answer.header("Link").expect("an accepted submission has a Link");
    link.split(',')
        .map(|value| {
            let id = value
                .trim()
                .strip_prefix("</upload/info/")
                .and_then(|rest| rest.strip_suffix(">; rel=\"status\""));
            id.unwrap_or_else(|| panic!("not a status link: {value}")).to_owned()
        })
        .collect()
}

/// The error issues of a refusal, each as text; the answer must be an OperationOutcome with that status.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16) -> Vec<Value> {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.header("Content-Type").unwrap_or_default();
    assert!(kind.starts_with("application/fhir+json"), "an OperationOutcome is FHIR JSON, not {kind}");
    let outcome = answer.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let issues = outcome["issue"].as_array().expect("an outcome has issues");
    let errors: Vec<Value> = issues
        .iter()
        .filter(|issue| issue["severity"] == "error" || issue["severity"] == "fatal")
        .cloned()
        .collect();
    assert!(!errors.is_empty(), "a refusal has an error issue: {outcome}");
    errors
}

/// Whether one of the issues names this element: in its expression, or in its text, where the expression has a
/// parameter's index.
pub(crate) fn names(issues: &[Value], element: &str) -> bool {
    issues.iter().any(|issue| {
        let expressions = issue["expression"].as_array().into_iter().flatten();
        let texts = expressions.chain([&issue["details"]["text"]]).filter_map(Value::as_str);
        texts.into_iter().any(|text| text.contains(element))
    })
}
