//! The published requests are read as the guide maps them, and whatever is built of a request is a submission that our
//! own door takes and reads back alike.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::cdex::submission::{self, Submission};
use crate::fhir::Profiles;
use crate::fhir::testing::published;

fn profiles() -> Profiles {
    Profiles::built_in().expect("the built-in rules")
}

fn id(system: &str, value: &str) -> Identifier {
    Identifier { system: Some(system.to_owned()), value: value.to_owned() }
}

/// A request with everything that one can have.
pub(crate) fn full() -> Value {
    let typed = |code: &str| json!({ "coding": [{ "code": code }] });
    let input = |code: &str, property: &str, value: Value| json!({ "type": typed(code), property: value });
    let mut progress_note = input(
        "attachments-needed",
        "valueCodeableConcept",
        json!({ "coding": [{ "system": "http://loinc.org", "code": "11506-3" }], "text": "Progress note" }),
    );
    progress_note["extension"] = json!([
        { "url": LINE_NUMBERS[0], "valueInteger": 1 },
        { "url": LINE_NUMBERS[1], "valuePositiveInt": 12 },
        { "url": "http://example.org/else", "valueInteger": 3 },
    ]);
    json!({
        "resourceType": "Task",
        "contained": [
            { "resourceType": "Patient", "id": "patient", "identifier": [
                { "system": "urn:account", "value": "PA-1" },
                { "type": { "coding": [{ "system": IDENTIFIER_TYPES, "code": "MB" }] }, "system": "urn:m", "value": "M1" },
            ] },
            { "resourceType": "PractitionerRole", "id": "practitionerrole",
              "practitioner": { "identifier": { "system": "urn:npi", "value": "D1" } },
              "organization": { "identifier": { "system": "urn:npi", "value": "O1" } } },
        ],
        "identifier": [
            { "type": typed("admin-ref-number"), "value": "A1" },
            { "type": typed("tracking-id"), "system": "urn:t", "value": "T1" },
        ],
        "status": "requested",
        "intent": "order",
        "code": { "coding": [{ "system": crate::cdex::task::PAS_TEMP, "code": "attachment-request-code" }] },
        "for": { "reference": "#patient" },
        "requester": { "identifier": { "system": "urn:payer", "value": "P1" } },
        "owner": { "reference": "#practitionerrole" },
        "reasonCode": { "coding": [{ "code": "claim" }] },
        "input": [
            input("payer-url", "valueUrl", json!("https://payer.example/fhir/$submit-attachment")),
            progress_note,
            input("attachments-needed", "valueCodeableConcept", json!({ "coding": [{ "code": "local" }] })),
            input("service-date", "valueDate", json!("2022-06-13")),
            input("signature-flag", "valueBoolean", json!(true)),
            input("multiple-submits-flag", "valueBoolean", json!(true)),
        ],
    })
}

fn read(task: &Value) -> AttachmentRequest {
    AttachmentRequest::read(task).unwrap_or_else(|issues| panic!("{issues:#?}"))
}

/// The submission that answers a request with this content for each thing that is asked for.
fn answered(request: &AttachmentRequest, content: &Value, is_last: bool) -> Submission {
    let mut text = request.opening();
    for needed in &request.needed {
        text.push_str(&needed.opening());
        text.push_str(&content.to_string());
        text.push_str(Needed::CLOSING);
    }
    text.push_str(&AttachmentRequest::closing(is_last));
    let parameters: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let (submission, remarks) =
        submission::parse(&parameters, &profiles()).unwrap_or_else(|issues| panic!("{issues:#?}"));
    assert_eq!(remarks, [], "{text}");
    submission
}

#[test]
fn conf_092_094_every_element_of_a_request_is_read_whatever_the_systems_of_its_codes() {
    let request = read(&full());
    assert_eq!(request.tracking_id, id("urn:t", "T1"));
    assert_eq!(request.admin_ref_number, Some(Identifier { system: None, value: "A1".to_owned() }));
    assert_eq!(request.attach_to, AttachTo::Claim);
    assert_eq!(request.payer_id, Some(id("urn:payer", "P1")));
    assert_eq!(request.organization_id, Some(id("urn:npi", "O1")));
    assert_eq!(request.provider_id, Some(id("urn:npi", "D1")));
    assert_eq!(request.member_id, id("urn:m", "M1"));
    assert_eq!(request.service_date.as_deref(), Some("2022-06-13"));
    assert!(request.must_be_signed && request.may_be_several);
    let [note, local] = &request.needed[..] else { panic!("two things are asked for") };
    assert_eq!((note.input, &*note.line_items), (1, &["1".to_owned(), "12".to_owned()][..]));
    assert_eq!((local.input, local.line_items.len()), (2, 0));
    let of_patient: Vec<_> = request.patient_identifiers().filter_map(|id| id.value).collect();
    assert_eq!(of_patient, ["PA-1", "M1"]);
}

#[test]
fn conf_088_what_an_answer_cannot_do_without_is_named() {
    let cases: &[(&str, &str)] = &[
        ("/identifier", "Task.identifier"),
        ("/reasonCode", "Task.reasonCode"),
        ("/for", "Task.for"),
        ("/contained/0/identifier", "Task.contained.where(id='patient').identifier"),
        ("/owner", "Task.contained.where(id='practitionerrole')"),
        // CONF-012, CONF-079: for a claim the date of service is needed.
        ("/input/3", "Task.input.where(type.coding.code='service-date')"),
        ("/input/1,2", "Task.input"),
    ];
    for (pointer, expected) in cases {
        let mut task = full();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        match task.pointer_mut(parent).expect("it is there") {
            Value::Object(members) => drop(members.remove(name)),
            Value::Array(entries) => {
                let indexes: Vec<usize> =
                    name.split(',').map(|index| index.parse().expect("an index")).collect();
                for index in indexes {
                    entries[index] = json!({});
                }
            }
            other => panic!("{other}"),
        }
        let issues = AttachmentRequest::read(&task).expect_err("it is refused");
        let named: Vec<_> = issues.iter().filter_map(|issue| issue.expression.as_deref()).collect();
        assert!(named.contains(expected), "{pointer}: {named:?}");
    }
    // A payer whose own identifier is there may be found without its URL.
    let mut task = full();
    task["input"][0] = json!({});
    assert_eq!(read(&task).payer_url, None);
    task["requester"] = json!({ "reference": "Organization/1" });
    let issues = AttachmentRequest::read(&task).expect_err("it is refused");
    let at = "Task.input.where(type.coding.code='payer-url')";
    assert!(issues.iter().any(|issue| issue.expression.as_deref() == Some(at)), "{issues:?}");
    let mut task = full();
    task["reasonCode"] = json!({ "text": "preauthorization" });
    task["input"].as_array_mut().expect("inputs").remove(3);
    assert_eq!(read(&task).attach_to, AttachTo::Preauthorization);
}

#[test]
fn conf_098_099_the_published_requests_are_answered_by_the_mapping_of_the_guide() {
    let document = json!({ "resourceType": "DocumentReference" });
    for (name, tracking, admin, needed) in [
        ("example19", "trackingid123", None, What::Attachment(json!("11506-3"))),
        ("inline-example19", "trackingid123", None, What::Attachment(json!("11506-3"))),
        ("example22", "trackingid1012", Some("adminrefnumber4657"), What::Questionnaire(String::new())),
        ("example24", "trackingid1012", Some("adminrefnumber4657"), What::Questionnaire(String::new())),
        ("example25", "trackingid1034", Some("adminrefnumber2000"), What::Questionnaire(String::new())),
        ("example28", "trackingid1056", Some("adminrefnumber2112"), What::Questionnaire(String::new())),
    ] {
        let Some(task) = published(&format!("cdex/examples/cdex-task-{name}.json")) else { return };
        assert!(AttachmentRequest::is_one(&task), "{name}");
        let request = read(&task);
        assert_eq!(request.tracking_id.value, tracking, "{name}");
        assert_eq!(request.admin_ref_number.as_ref().map(|id| &*id.value), admin, "{name}");
        assert_eq!(request.submit_url(), request.payer_url, "{name}");
        assert_eq!(request.needed.len(), 1, "{name}");
        assert_eq!(request.needed[0].line_items, ["1"], "{name}");
        assert_eq!(
            std::mem::discriminant(&request.needed[0].what),
            std::mem::discriminant(&needed),
            "{name}"
        );
        let content = match needed {
            What::Attachment(_) => document.clone(),
            What::Questionnaire(_) => json!({ "resourceType": "QuestionnaireResponse" }),
        };
        let submission = answered(&request, &content, true);
        assert_eq!(submission.tracking_id, request.tracking_id, "{name}");
        assert_eq!(submission.member_id.value, "Member123", "{name}");
        assert_eq!(submission.organization_id.map(|id| id.value).as_deref(), Some("1234567893"), "{name}");
    }
    let Some(task) = published("cdex/examples/cdex-task-example1.json") else { return };
    assert!(!AttachmentRequest::is_one(&task), "a data request is none");
}

#[test]
fn the_name_of_the_operation_is_added_only_where_it_is_missing() {
    let mut request = read(&full());
    for (given, called) in [
        ("https://p.example/fhir/$submit-attachment", "https://p.example/fhir/$submit-attachment"),
        ("https://p.example/fhir/%24submit-attachment", "https://p.example/fhir/%24submit-attachment"),
        ("https://p.example/fhir/$submit-attachment/", "https://p.example/fhir/$submit-attachment"),
        ("https://p.example/fhir", "https://p.example/fhir/$submit-attachment"),
        ("https://p.example/fhir/", "https://p.example/fhir/$submit-attachment"),
        ("https://p.example/in?payer=7", "https://p.example/in/$submit-attachment?payer=7"),
        ("https://p.example/submit-attachment", "https://p.example/submit-attachment/$submit-attachment"),
    ] {
        request.payer_url = Some(given.to_owned());
        assert_eq!(request.submit_url().as_deref(), Some(called));
    }
    request.payer_url = None;
    assert_eq!(request.submit_url(), None);
}

#[test]
fn a_resource_fits_what_it_says_it_is() {
    let request = read(&full());
    let [note, local] = &request.needed[..] else { panic!("two things are asked for") };
    let document = |system: Option<&str>, code: &str| {
        json!({ "resourceType": "DocumentReference", "type": { "coding": [{ "system": "urn:x", "code": "x" },
            { "system": system, "code": code }] } })
    };
    assert!(fits(note, &document(Some("http://loinc.org"), "11506-3")));
    assert!(!fits(note, &document(Some("http://loinc.org"), "11504-8")));
    assert!(!fits(note, &document(None, "11506-3")));
    assert!(fits(local, &document(Some("urn:any"), "local")), "a code without a system is any system's");
    assert!(!fits(note, &json!({ "resourceType": "Binary" })));

    let asked = |canonical: &str| Needed {
        input: 0,
        what: What::Questionnaire(canonical.to_owned()),
        line_items: vec![],
    };
    let response =
        |canonical: &str| json!({ "resourceType": "QuestionnaireResponse", "questionnaire": canonical });
    assert!(fits(&asked("http://q|1"), &response("http://q")));
    assert!(fits(&asked("http://q|1"), &response("http://q|2")));
    assert!(!fits(&asked("http://q"), &response("http://other")));
    let mut adaptive = response("#form");
    adaptive["contained"] =
        json!([{ "resourceType": "Questionnaire", "id": "form", "derivedFrom": ["http://q|3"] }]);
    assert!(fits(&asked("http://q"), &adaptive));
    assert!(!fits(&asked("http://r"), &adaptive));
}

#[test]
fn a_document_is_about_the_days_of_its_period() {
    let about = |period: Value| json!({ "context": { "period": period } });
    for (period, day, includes) in [
        (json!({ "start": "2022-06-13" }), "2022-06-13", true),
        (json!({ "start": "2022-06-13T10:00:00Z", "end": "2022-06-15" }), "2022-06-15", true),
        (json!({ "start": "2022-06-13", "end": "2022-06-15" }), "2022-06-16", false),
        (json!({ "start": "2022-06-14" }), "2022-06-13", false),
        (json!({ "start": "2022-06" }), "2022-06-13", true),
        (json!({ "end": "2022" }), "2022-06-13", true),
        (json!({}), "2022-06-13", false),
    ] {
        assert_eq!(care_includes(&about(period.clone()), day), includes, "{period} {day}");
    }
}

#[test]
fn outputs_that_answer_are_found_among_others() {
    let task = json!({ "output": [
        { "type": { "coding": [{ "code": "data-value" }] }, "valueReference": { "reference": "Bundle/1" } },
        { "type": { "coding": [{ "code": "attachments-needed" }] }, "valueReference": { "reference": "DocumentReference/1" } },
        { "type": { "coding": [{ "code": "questionnaire-response" }] }, "valueReference": { "reference": "#qr" } },
        { "type": { "coding": [{ "code": "attachments-needed" }] }, "valueString": "x" },
    ] });
    let found: Vec<_> =
        linked(&task).into_iter().map(|output| (output.reference, output.is_questionnaire)).collect();
    assert_eq!(found, [("DocumentReference/1", false), ("#qr", true)]);
}

prop_compose! {
    fn identifiers()(system in prop::option::of("[!-~]{1,12}"), value in "[^\\p{C}\\s]{1,12}") -> Identifier {
        Identifier { system, value }
    }
}

prop_compose! {
    fn requests()(
        tracking_id in identifiers(),
        admin_ref_number in prop::option::of(identifiers()),
        is_claim in any::<bool>(),
        payer_id in prop::option::of(identifiers()),
        organization_id in identifiers(),
        provider_id in prop::option::of(identifiers()),
        member_id in identifiers(),
        by_questionnaire in any::<bool>(),
        lines in prop::collection::vec(prop::collection::vec(1..10_000_u32, 0..3), 1..4),
    ) -> AttachmentRequest {
        let what = || if by_questionnaire {
            What::Questionnaire("http://q".to_owned())
        } else {
            What::Attachment(json!({ "coding": [{ "system": "http://loinc.org", "code": "11506-3" }] }))
        };
        let needed = lines.into_iter().enumerate().map(|(input, lines)| {
            Needed { input, what: what(), line_items: lines.iter().map(u32::to_string).collect() }
        });
        AttachmentRequest {
            tracking_id,
            admin_ref_number,
            attach_to: if is_claim { AttachTo::Claim } else { AttachTo::Preauthorization },
            payer_id,
            organization_id: Some(organization_id),
            provider_id,
            member_id,
            service_date: is_claim.then(|| "2022-06-13".to_owned()),
            needed: needed.collect(),
            ..read(&full())
        }
    }
}

proptest! {
    #[test]
    fn what_is_built_is_accepted_and_reads_back_alike(request in requests(), is_last in any::<bool>()) {
        let content = match &request.needed[0].what {
            What::Attachment(_) => json!({ "resourceType": "DocumentReference" }),
            What::Questionnaire(_) => json!({ "resourceType": "QuestionnaireResponse" }),
        };
        let submission = answered(&request, &content, is_last);
        prop_assert_eq!(submission.tracking_id, request.tracking_id);
        prop_assert_eq!(submission.admin_ref_number, request.admin_ref_number);
        prop_assert_eq!(submission.attach_to, request.attach_to);
        prop_assert_eq!(submission.payer_id, request.payer_id);
        prop_assert_eq!(submission.organization_id, request.organization_id);
        prop_assert_eq!(submission.provider_id, request.provider_id);
        prop_assert_eq!(submission.member_id, request.member_id);
        prop_assert_eq!(submission.service_date, request.service_date);
        prop_assert_eq!(submission.is_last_submission, is_last);
        let lines: Vec<_> = submission.attachments.iter().map(|attachment| &attachment.line_items).collect();
        let wanted: Vec<_> = request.needed.iter().map(|needed| &needed.line_items).collect();
        prop_assert_eq!(lines, wanted);
    }
}
