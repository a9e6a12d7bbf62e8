//! Resources that keep a CDex profile, broken in one way at a time: each mistake is one issue, or the few that
//! it means, with its code and its place.

use serde_json::{Value, json};

use super::validate;
use crate::fhir::IssueType::{self, CodeInvalid, Invariant, Required, Structure, Value as Wrong};
use crate::fhir::{Profiles, Severity};

const CDEX: &str = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition";
const TEMP: &str = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp";
const HREX_TEMP: &str = "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp";
const PAS_TEMP: &str = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes";
const SDC_TEMP: &str = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp";
const TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// One way of breaking a resource.
enum Break {
    Remove(&'static str),
    Set(&'static str, Value),
    Push(&'static str, Value),
    /// Puts the first entry of an array at its end once more.
    Double(&'static str),
}

use Break::{Double, Push, Remove, Set};

impl Break {
    fn apply(&self, resource: &mut Value) {
        match self {
            Remove(pointer) => {
                let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
                let parent = resource.pointer_mut(parent).expect("a parent");
                match parent {
                    Value::Array(items) => drop(items.remove(name.parse().expect("an index"))),
                    parent => {
                        drop(parent.as_object_mut().expect("an object").remove(name).expect("the element"));
                    }
                }
            }
            Set(pointer, value) => {
                let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
                match resource.pointer_mut(parent).expect("a parent") {
                    Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value.clone(),
                    parent => parent[name] = value.clone(),
                }
            }
            Push(pointer, value) => array(resource, pointer).push(value.clone()),
            Double(pointer) => {
                let items = array(resource, pointer);
                items.push(items[0].clone());
            }
        }
    }

    fn told(&self) -> String {
        match self {
            Remove(pointer) => format!("without {pointer}"),
            Set(pointer, value) => format!("{pointer} is {value}"),
            Push(pointer, value) => format!("{pointer} has {value}"),
            Double(pointer) => format!("{pointer} has its first entry twice"),
        }
    }
}

fn array<'v>(resource: &'v mut Value, pointer: &str) -> &'v mut Vec<Value> {
    resource.pointer_mut(pointer).and_then(Value::as_array_mut).expect("an array")
}

type Case = (Break, &'static [(IssueType, &'static str)]);

fn check(profile: &str, whole: &Value, cases: &[Case]) {
    let profiles = Profiles::built_in().expect("the built-in rules");
    check_with(&profiles, &format!("{CDEX}/{profile}"), whole, cases);
}

fn check_with(profiles: &Profiles, url: &str, whole: &Value, cases: &[Case]) {
    assert_eq!(validate(whole, url, profiles), []);
    for (broken, expected) in cases {
        let mut resource = whole.clone();
        broken.apply(&mut resource);
        let issues = validate(&resource, url, profiles);
        let found: Vec<(IssueType, &str)> = issues
            .iter()
            .map(|issue| (issue.code, issue.expression.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(found, *expected, "{}: {issues:#?}", broken.told());
        assert!(issues.iter().all(|issue| issue.severity == Severity::Error), "{}", broken.told());
    }
}

fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

fn data_request() -> Value {
    json!({
        "resourceType": "Task",
        "meta": { "tag": [{ "system": TEMP, "code": "claims-processing" }] },
        "status": "requested",
        "intent": "order",
        "code": concept(TEMP, "data-request-query"),
        "for": { "identifier": { "value": "1" } },
        "authoredOn": "2025-05-05",
        "requester": { "reference": "Organization/1" },
        "owner": { "reference": "Practitioner/1" },
        "reasonCode": { "text": "Claim" },
        "reasonReference": { "reference": "Claim/1" },
        "input": [
            { "type": concept(HREX_TEMP, "data-query"), "valueString": "Condition?patient=1" },
            { "type": concept(TEMP, "signature-flag"), "valueBoolean": true },
            { "type": concept(TEMP, "purpose-of-use"), "valueCodeableConcept": concept(TEMP, "payment-noe") },
        ],
    })
}

#[test]
fn each_rule_of_a_data_request_is_told_where_it_is_broken() {
    const NO_QUERY: &[(IssueType, &str)] = &[(Invariant, "Task"), (Invariant, "Task")];
    check(
        "cdex-task-data-request",
        &data_request(),
        &[
            (Remove("/code"), &[(Required, "Task.code")]),
            (Remove("/for"), &[(Required, "Task.for")]),
            (Remove("/authoredOn"), &[(Required, "Task.authoredOn")]),
            (Remove("/requester"), &[(Required, "Task.requester")]),
            (Remove("/owner"), &[(Required, "Task.owner")]),
            (Remove("/reasonCode/text"), &[(Required, "Task.reasonCode.text")]),
            (Remove("/meta/tag/0/system"), &[(Required, "Task.meta.tag[0].system")]),
            (Remove("/meta/tag/0/code"), &[(Required, "Task.meta.tag[0].code")]),
            // No tag has to be one of the work queues.
            (Set("/meta/tag/0/code", json!("other")), &[]),
            (Set("/statusReason", json!({})), &[(Required, "Task.statusReason.text")]),
            (Set("/businessStatus", json!({})), &[(Required, "Task.businessStatus.text")]),
            (Set("/status", json!("draft")), &[(CodeInvalid, "Task.status")]),
            (Set("/status", json!("rejected")), &[(Invariant, "Task")]),
            (Set("/status", json!("failed")), &[(Invariant, "Task")]),
            (Set("/status", json!("completed")), &[(Invariant, "Task")]),
            (Set("/intent", json!("plan")), &[(Wrong, "Task.intent")]),
            (Set("/focus", json!({})), &[(Structure, "Task.focus")]),
            (
                Set("/code/coding/0/system", json!("urn:other")),
                &[(CodeInvalid, "Task.code"), (Wrong, "Task.code.coding[0].system")],
            ),
            (
                Remove("/code/coding/0/code"),
                &[(CodeInvalid, "Task.code"), (Required, "Task.code.coding[0].code")],
            ),
            (Remove("/code/coding"), &[(Required, "Task.code.coding")]),
            (Set("/code/coding/0/code", json!("data-request-code")), &[(Invariant, "Task")]),
            (Set("/code/coding/0/code", json!("data-request-questionnaire")), &[(Invariant, "Task")]),
            (Set("/for", json!({ "reference": "Group/1" })), &[(Wrong, "Task.for")]),
            (Set("/requester", json!({ "reference": "Device/1" })), &[(Wrong, "Task.requester")]),
            (Set("/owner", json!({ "type": "Patient", "identifier": {} })), &[(Wrong, "Task.owner")]),
            (Set("/reasonReference", json!({ "reference": "Goal/1" })), &[(Wrong, "Task.reasonReference")]),
            (Remove("/input/0"), NO_QUERY),
            (Double("/input"), &[(Invariant, "Task"), (Structure, "Task.input[3]")]),
            (
                Set("/input/0/type/coding/0/code", json!("data-code")),
                &[(Invariant, "Task"), (Wrong, "Task.input[0].valueString")],
            ),
            // An input of another system is not the query, whatever cdex-12 says.
            (Set("/input/0/type/coding/0/system", json!("urn:other")), &[]),
            (
                Set("/input/0", json!({ "type": concept(HREX_TEMP, "data-query"), "valueUri": "u" })),
                &[(Wrong, "Task.input[0].valueUri")],
            ),
            (
                Push("/input", json!({ "type": concept(SDC_TEMP, "questionnaire") })),
                &[(Invariant, "Task"), (Required, "Task.input[3].value")],
            ),
            (
                Set("/input/1", json!({ "type": concept(TEMP, "signature-flag"), "valueString": "yes" })),
                &[(Wrong, "Task.input[1].valueString")],
            ),
            (
                Set("/output", json!([{ "type": concept(HREX_TEMP, "data-value"), "valueString": "#1" }])),
                &[(Wrong, "Task.output[0].valueString")],
            ),
            (
                Set("/output", json!([{ "type": concept(SDC_TEMP, "questionnaire-response") }])),
                &[(Required, "Task.output[0].value")],
            ),
        ],
    );
}

fn attachment_request() -> Value {
    json!({
        "resourceType": "Task",
        "contained": [
            {
                "resourceType": "Patient",
                "id": "patient",
                "identifier": [{ "type": concept(TYPES, "MB"), "value": "1" }],
                "name": [{ "family": "Shaw" }],
                "birthDate": "1987-02-20",
            },
            {
                "resourceType": "PractitionerRole",
                "id": "practitionerrole",
                "practitioner": { "identifier": { "value": "1" } },
                "organization": { "identifier": { "value": "2" } },
            },
        ],
        "identifier": [{ "type": concept(TEMP, "tracking-id"), "value": "1" }],
        "status": "requested",
        "intent": "order",
        "code": concept(PAS_TEMP, "attachment-request-code"),
        "for": { "reference": "#patient" },
        "requester": { "identifier": { "value": "1" } },
        "owner": { "reference": "#practitionerrole" },
        "reasonCode": concept("http://hl7.org/fhir/claim-use", "claim"),
        "reasonReference": { "identifier": { "value": "1" } },
        "input": [
            {
                "extension": [{
                    "url": "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-paLineNumber",
                    "valueInteger": 1,
                }],
                "type": concept(PAS_TEMP, "attachments-needed"),
                "valueCodeableConcept": concept("http://loinc.org", "11506-3"),
            },
            { "type": concept(PAS_TEMP, "payer-url"), "valueUrl": "https://example.org" },
            { "type": concept(TEMP, "service-date"), "valueDate": "2025-05-05" },
        ],
    })
}

#[test]
fn each_rule_of_an_attachment_request_is_told_where_it_is_broken() {
    check(
        "cdex-task-attachment-request",
        &attachment_request(),
        &[
            (Remove("/contained/0"), &[(Required, "Task.contained")]),
            (Remove("/contained"), &[(Required, "Task.contained"), (Required, "Task.contained")]),
            (Double("/contained"), &[(Structure, "Task.contained[2]")]),
            (Push("/contained", json!({ "resourceType": "Basic" })), &[]),
            // The rules of the contained resources are told there, and not again at the references to them.
            (Remove("/contained/0/birthDate"), &[(Required, "Task.contained[0].birthDate")]),
            (Remove("/contained/0/name"), &[(Required, "Task.contained[0].name")]),
            (Remove("/contained/0/identifier/0/type"), &[(Required, "Task.contained[0].identifier")]),
            (
                Remove("/contained/0/identifier/0/value"),
                &[(Required, "Task.contained[0].identifier[0].value")],
            ),
            (Double("/contained/0/identifier"), &[(Structure, "Task.contained[0].identifier[1]")]),
            (Set("/contained/0/id", json!("p")), &[(Wrong, "Task.contained[0].id")]),
            (
                Remove("/contained/1/practitioner/identifier"),
                &[(Required, "Task.contained[1].practitioner.identifier")],
            ),
            (
                Remove("/contained/1/organization/identifier"),
                &[(Required, "Task.contained[1].organization.identifier")],
            ),
            (Remove("/identifier"), &[(Required, "Task.identifier")]),
            (Double("/identifier"), &[(Structure, "Task.identifier[1]")]),
            (Remove("/identifier/0/value"), &[(Required, "Task.identifier[0].value")]),
            (
                Push("/identifier", json!({ "type": concept(TEMP, "admin-ref-number") })),
                &[(Required, "Task.identifier[1].value")],
            ),
            (Remove("/code"), &[(Required, "Task.code")]),
            (
                Set("/code/coding/0/system", json!(TEMP)),
                &[(CodeInvalid, "Task.code"), (Wrong, "Task.code.coding[0].system")],
            ),
            (Set("/code/coding/0/code", json!("attachment-request-questionnaire")), &[(Invariant, "Task")]),
            (Remove("/for"), &[(Required, "Task.for")]),
            (Remove("/for/reference"), &[(Required, "Task.for.reference")]),
            (
                Set("/for/reference", json!("Patient/1")),
                &[(Wrong, "Task.for"), (Wrong, "Task.for.reference")],
            ),
            (
                Set("/for/reference", json!("#practitionerrole")),
                &[(Wrong, "Task.for"), (Wrong, "Task.for.reference")],
            ),
            (Remove("/requester"), &[(Required, "Task.requester")]),
            (Remove("/requester/identifier"), &[(Required, "Task.requester.identifier")]),
            (Remove("/owner"), &[(Required, "Task.owner")]),
            (Remove("/owner/reference"), &[(Required, "Task.owner.reference")]),
            (Remove("/reasonCode"), &[(Required, "Task.reasonCode")]),
            (Remove("/reasonCode/coding"), &[(Required, "Task.reasonCode.coding")]),
            (Set("/reasonCode/text", json!("Claim")), &[(CodeInvalid, "Task.reasonCode.text")]),
            (
                Set("/reasonCode/coding/0/code", json!("predetermination")),
                &[(Required, "Task.reasonCode.coding")],
            ),
            (Remove("/reasonReference"), &[(Required, "Task.reasonReference")]),
            (Remove("/reasonReference/identifier"), &[(Required, "Task.reasonReference.identifier")]),
            (Remove("/input/0"), &[(Invariant, "Task")]),
            (Remove("/input/1"), &[(Required, "Task.input")]),
            (Remove("/input/2"), &[(Invariant, "Task")]),
            (Set("/input/2/valueDate", json!("2025-05")), &[(Invariant, "Task.input[2].valueDate")]),
            (Remove("/input/0/extension/0/valueInteger"), &[(Required, "Task.input[0].extension[0].value")]),
            (Push("/input/0/extension", json!({ "url": "urn:other" })), &[]),
            (
                Push("/input", json!({ "type": concept(PAS_TEMP, "payer-url"), "valueUrl": "https://x" })),
                &[(Structure, "Task.input[3]")],
            ),
            (
                Push("/input", json!({ "type": concept(PAS_TEMP, "questionnaire-context") })),
                &[(Invariant, "Task"), (Required, "Task.input[3].value")],
            ),
            (Set("/status", json!("rejected")), &[(Invariant, "Task")]),
            // A completed attachment request has no output: the attachments take another way.
            (Set("/status", json!("completed")), &[]),
        ],
    );
}

fn signed_response() -> Value {
    json!({
        "resourceType": "QuestionnaireResponse",
        "extension": [{ "url": signature_url(), "valueSignature": {
            "type": [{
                "system": "urn:iso-astm:E1762-95:2013",
                "code": "1.2.840.10065.1.12.1.5",
                "display": "Verification Signature",
            }],
            "when": "2025-05-05T00:00:00Z",
            "who": { "identifier": { "value": "1" } },
            "targetFormat":
                "application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json#document",
            "sigFormat": "application/jose",
            "data": "AAAA",
        } }],
        "questionnaire": "https://example.org/q",
        "_questionnaire": { "extension": [
            { "url": "http://hl7.org/fhir/StructureDefinition/display", "valueString": "Oxygen" },
        ] },
        "status": "completed",
        "subject": { "reference": "Patient/1" },
        "authored": "2025-05-05",
        "item": [
            { "linkId": "1", "item": [{ "linkId": "1.1", "answer": [{ "valueString": "yes" }] }] },
            { "linkId": "2", "answer": [{ "valueBoolean": true }] },
        ],
    })
}

#[test]
fn each_rule_of_a_questionnaire_response_is_told_where_it_is_broken() {
    let again = json!({ "linkId": "2", "answer": [{ "valueBoolean": false }] });
    check(
        "cdex-sdc-questionnaireresponse",
        &signed_response(),
        &[
            (Remove("/_questionnaire/extension"), &[]),
            (
                Double("/_questionnaire/extension"),
                &[(Structure, "QuestionnaireResponse._questionnaire.extension[1]")],
            ),
            (
                Remove("/subject"),
                &[(Invariant, "QuestionnaireResponse"), (Required, "QuestionnaireResponse.subject")],
            ),
            (Remove("/authored"), &[(Required, "QuestionnaireResponse.authored")]),
            (Set("/author", json!({ "reference": "Claim/1" })), &[(Wrong, "QuestionnaireResponse.author")]),
            (Push("/item", again.clone()), &[(Invariant, "QuestionnaireResponse")]),
            (Push("/item/0/item", again), &[]),
            // A signature that is no digital one may be an electronic one.
            (Set("/extension/0/valueSignature/sigFormat", json!("image/jpg")), &[]),
            (
                Set("/extension/0", json!({ "url": signature_url(), "valueString": "Jane" })),
                &[(Wrong, "QuestionnaireResponse.extension[0].valueString")],
            ),
            (
                Set("/item/0/extension", json!([{ "url": signature_url(), "valueString": "Jane" }])),
                &[(Wrong, "QuestionnaireResponse.item[0].extension[0].valueString")],
            ),
            (
                Set("/item/0/item/0/extension", json!([{ "url": signature_url(), "valueString": "Jane" }])),
                &[(Wrong, "QuestionnaireResponse.item[0].item[0].extension[0].valueString")],
            ),
        ],
    );
}

fn signature_url() -> &'static str {
    "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature"
}

#[test]
fn each_rule_of_a_digital_signature_is_told_where_it_is_broken() {
    let signature = signed_response()["extension"][0]["valueSignature"].clone();
    let rules = json!({
        "resourceType": "StructureDefinition",
        "url": format!("{CDEX}/digital"),
        "type": "Bundle",
        "baseDefinition": format!("{CDEX}/cdex-signature-bundle"),
        "differential": { "element": [{
            "id": "Bundle.signature",
            "path": "Bundle.signature",
            "type": [{ "code": "Signature", "profile": [format!("{CDEX}/cdex-digital-signature")] }],
        }] },
    })
    .to_string();
    let profiles = Profiles::with_files([("digital.json", rules.as_str())]).expect("rules");
    let bundle = json!({ "resourceType": "Bundle", "signature": signature });
    check_with(
        &profiles,
        &format!("{CDEX}/digital"),
        &bundle,
        &[
            (Remove("/signature"), &[(Required, "Bundle.signature")]),
            (Remove("/signature/type/0/display"), &[(Required, "Bundle.signature.type")]),
            (Double("/signature/type"), &[(Structure, "Bundle.signature.type[1]")]),
            (Remove("/signature/who/identifier"), &[(Required, "Bundle.signature.who.identifier")]),
            (
                Remove("/signature/who/identifier/value"),
                &[(Required, "Bundle.signature.who.identifier.value")],
            ),
            (Set("/signature/who/reference", json!("Patient/1")), &[(Wrong, "Bundle.signature.who")]),
            (Remove("/signature/targetFormat"), &[(Required, "Bundle.signature.targetFormat")]),
            (
                Set("/signature/targetFormat", json!("application/fhir+json")),
                &[(Wrong, "Bundle.signature.targetFormat")],
            ),
            (Remove("/signature/sigFormat"), &[(Required, "Bundle.signature.sigFormat")]),
            (Remove("/signature/data"), &[(Required, "Bundle.signature.data")]),
        ],
    );
}

#[test]
fn each_rule_of_the_contained_provider_is_told_where_it_is_broken() {
    check(
        "cdex-practitionerrole",
        &attachment_request()["contained"][1],
        &[
            (Remove("/id"), &[(Required, "PractitionerRole.id")]),
            (Remove("/practitioner"), &[]),
            (
                Set("/practitioner", json!({ "identifier": { "value": "1" }, "reference": "Patient/1" })),
                &[(Wrong, "PractitionerRole.practitioner")],
            ),
        ],
    );
    let profiles = Profiles::built_in().expect("the built-in rules");
    let nobody = json!({ "resourceType": "PractitionerRole", "id": "practitionerrole" });
    let issues = validate(&nobody, &format!("{CDEX}/cdex-practitionerrole"), &profiles);
    assert_eq!(issues.len(), 1);
    assert!(issues[0].text.ends_with("(cdex-3)"), "{issues:?}");
}
