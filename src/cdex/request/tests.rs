//! What is built keeps its profile, whatever is asked for; what cannot be asked for is told.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::cdex::operation::{Inputs, OPERATIONS, Operation};
use crate::cdex::task::{CdexTask, HREX_TEMP, TaskKind};
use crate::fhir::{self, Issue, Profiles, StructureMode};

fn facts() -> RequestFacts {
    RequestFacts {
        identifier: "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e".to_owned(),
        requester: Some(json!({ "system": "http://payer.example/ids", "value": "payer-1" })),
        owner: Some(json!({ "system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893" })),
        payer_url: "https://payer.example/fhir/$submit-attachment".to_owned(),
        base: "https://payer.example/fhir".to_owned(),
        member: Some(json!({
            "resourceType": "Patient", "birthDate": "1987-02-20", "gender": "female",
            "name": [{ "use": "nickname", "text": "A" }, { "use": "official", "family": "B", "given": ["C"] }],
        })),
        now: Timestamp::from_nanos(1_746_453_802_000_000_000),
    }
}

/// A parameter with its value.
fn parameter(name: &str, value: &str, content: impl Into<Value>) -> Value {
    json!({ "name": name, value: content.into() })
}

fn identifier(name: &str) -> Value {
    parameter(
        name,
        "valueIdentifier",
        json!({ "system": format!("http://example.org/{name}"), "value": "1" }),
    )
}

fn asked(parameters: &[Value]) -> Result<Value, Vec<Issue>> {
    let definition = OPERATIONS.iter().find(|it| it.operation == Operation::Request).expect("a row");
    let mut all = vec![parameter("partner", "valueString", "acme")];
    all.extend_from_slice(parameters);
    let body = json!({ "resourceType": "Parameters", "parameter": all });
    let inputs = Inputs::read(definition, &[], Some(body), true)?;
    Ok(build(&read(&inputs, &facts())?, &facts()))
}

/// What breaks R4 or the profile of the Task's own code.
fn problems(task: &Value, profiles: &Profiles) -> Vec<Issue> {
    let profile = CdexTask::read(task).expect("a CDex code").kind.profile();
    assert_eq!(task["meta"]["profile"], json!([profile]));
    let mut issues = fhir::check_structure(task, "Task", StructureMode::Strict);
    issues.extend(fhir::validate(task, profile, profiles));
    issues.retain(Issue::is_error);
    issues
}

/// What either kind of request may say.
fn common() -> Vec<Value> {
    let purpose = concept(("http://terminology.hl7.org/CodeSystem/v3-ActReason", "CLMATTCH"));
    let claim = json!({ "reference": "Claim/1", "identifier": { "system": "http://c", "value": "claim-1" } });
    vec![
        parameter("claim", "valueReference", claim),
        parameter("authorization", "valueReference", json!({ "reference": "CommunicationRequest/1" })),
        parameter("purpose-of-use", "valueCodeableConcept", purpose),
        parameter("signature", "valueBoolean", true),
        parameter("due", "valueDateTime", "2026-03-01"),
        parameter("work-queue", "valueCode", "claims-processing"),
        identifier("practitioner"),
        identifier("organization"),
    ]
}

/// The ways to say which data are wanted.
fn wanted() -> [Value; 4] {
    [
        parameter("query", "valueString", "Condition?patient=1&clinical-status=active"),
        parameter("code", "valueCodeableConcept", concept(("http://loinc.org", "11506-3"))),
        parameter("text", "valueString", "The last three HbA1c"),
        parameter("questionnaire", "valueCanonical", "http://example.org/Questionnaire/1|2"),
    ]
}

/// A code of an attachment, with lines of the claim.
fn attachment_code() -> Value {
    let mut code = concept(("http://loinc.org", "11506-3"));
    code["extension"] = json!([
        { "url": super::build::LINE_NUMBER, "valueInteger": 1 },
        { "url": "http://example.org/other", "valueString": "x" },
        { "url": super::build::LINE_NUMBER, "valueInteger": 2 },
    ]);
    parameter("attachment-code", "valueCodeableConcept", code)
}

/// What only a request for attachments says.
fn of_attachments() -> Vec<Value> {
    vec![
        identifier("tracking-id"),
        identifier("member-id"),
        identifier("admin-ref-number"),
        identifier("patient-account"),
        parameter("claim-use", "valueCode", "claim"),
        parameter("service-date", "valueDate", "2026-01-31"),
        parameter("multiple-submits", "valueBoolean", true),
    ]
}

#[test]
fn conf_088_092_an_attachment_request_can_say_all_that_must_be_supported() {
    let profiles = Profiles::built_in().expect("the built-in profiles load");
    for needed in [attachment_code(), wanted()[3].clone()] {
        let task = asked(&[of_attachments(), common(), vec![needed]].concat()).expect("it can be asked");
        assert_eq!(problems(&task, &profiles), []);
        for pointer in [
            "/identifier/0/system",
            "/identifier/1/value",
            "/restriction/period/end",
            "/requester/identifier",
            "/reasonCode/coding/0/system",
            "/reasonCode/text",
            "/reasonReference/identifier",
            "/contained/0/identifier/1/value",
            "/contained/1/practitioner/identifier",
            "/contained/1/organization/identifier",
        ] {
            assert!(task.pointer(pointer).is_some(), "{pointer}");
        }
        let inputs = task["input"].to_string();
        for code in ["payer-url", "service-date", "signature-flag", "purpose-of-use", "multiple-submits-flag"]
        {
            assert!(inputs.contains(&format!("\"{code}\"")), "{code}");
        }
    }
}

#[test]
fn conf_089_093_a_data_request_can_say_all_that_must_be_supported() {
    let profiles = Profiles::built_in().expect("the built-in profiles load");
    let of_data = [
        identifier("member-id"),
        parameter("patient", "valueReference", json!({ "reference": "Patient/1" })),
        parameter("reason", "valueString", "A claim"),
    ];
    for wanted in wanted() {
        let task = asked(&[of_data.to_vec(), common(), vec![wanted]].concat()).expect("it can be asked");
        assert_eq!(problems(&task, &profiles), []);
        for pointer in [
            "/meta/tag/0/code",
            "/identifier/0/value",
            "/basedOn/0/reference",
            "/for/reference",
            "/for/identifier/value",
            "/authoredOn",
            "/requester/identifier/value",
            "/owner/identifier/value",
            "/reasonCode/text",
            "/reasonReference/identifier/value",
            "/input/2/valueCodeableConcept",
        ] {
            assert!(task.pointer(pointer).is_some(), "{pointer}");
        }
        assert_eq!(task["basedOn"][0]["reference"], "https://payer.example/fhir/CommunicationRequest/1");
    }
}

#[test]
fn conf_058_082_a_request_names_what_led_to_it_whichever_of_the_four_targets_that_is() {
    let profiles = Profiles::built_in().expect("the built-in profiles load");
    for target in ["Claim/1", "Coverage/1", "https://elsewhere.example/fhir/Coverage/1"] {
        let reason = parameter("claim", "valueReference", json!({ "reference": target }));
        let task = asked(&[identifier("member-id"), wanted()[0].clone(), reason]).expect("it can be asked");
        assert_eq!(problems(&task, &profiles), []);
        let named = task["reasonReference"]["reference"].as_str().expect("a reference");
        assert!(named.starts_with("https://") && named.ends_with(target), "{named}");
    }
}

#[test]
fn conf_099_answers_to_a_questionnaire_are_asked_for_as_attachments() {
    let profiles = Profiles::built_in().expect("the built-in profiles load");
    let task =
        asked(&[of_attachments(), common(), vec![wanted()[3].clone()]].concat()).expect("it can be asked");
    assert_eq!(problems(&task, &profiles), []);
    assert_eq!(task["code"], concept(TaskKind::AttachmentQuestionnaire.code()));
    assert_eq!(task["input"][0]["valueCanonical"], "http://example.org/Questionnaire/1|2");
}

#[test]
fn lines_of_the_claim_become_extensions_of_the_input() {
    let task =
        asked(&[of_attachments(), common(), vec![attachment_code()]].concat()).expect("it can be asked");
    let input = &task["input"][0];
    assert_eq!(input["extension"][0]["valueInteger"], 1);
    assert_eq!(input["extension"][1]["valueInteger"], 2);
    assert_eq!(input["valueCodeableConcept"]["extension"][0]["valueString"], "x");
    let patient = &task["contained"][0];
    assert_eq!(patient["name"], json!([{ "use": "official", "family": "B", "given": ["C"] }]));
    assert_eq!(patient["identifier"][0]["type"]["coding"][0]["code"], "MB");
}

#[test]
fn what_cannot_be_asked_for_is_told_at_once() {
    let [query, code, ..] = wanted();
    let cases: [(&[Value], usize); 6] = [
        // Nothing and nobody.
        (&[], 2),
        (&[identifier("member-id"), query.clone(), code.clone()], 1),
        (&[identifier("member-id"), query.clone(), parameter("service-date", "valueDate", "2026-01-01")], 1),
        // No claim, no day of service, no attachment.
        (&[identifier("tracking-id"), identifier("member-id")], 3),
        (&[identifier("tracking-id"), identifier("member-id"), query, code, attachment_code()], 4),
        (&[identifier("tracking-id"), parameter("claim-use", "valueCode", "predetermination")], 4),
    ];
    for (index, (parameters, count)) in cases.into_iter().enumerate() {
        let issues = asked(parameters).expect_err("it cannot be asked");
        assert_eq!(issues.len(), count, "{index}: {issues:#?}");
    }
}

#[test]
fn a_task_that_the_caller_wrote_is_sent_as_it_is_with_what_was_missing() {
    let task = json!({
        "resourceType": "Task", "id": "mine", "meta": { "versionId": "4", "tag": [{ "system": "s", "code": "c" }] },
        "code": concept(TaskKind::DataQuery.code()), "extension": [{ "url": "http://x", "valueString": "y" }],
    });
    let completed = complete(task, "Task", &facts()).expect("it asks for data");
    assert_eq!(completed["meta"]["profile"], json!([TaskKind::DataQuery.profile()]));
    assert_eq!(completed["identifier"][0]["value"], facts().identifier);
    assert_eq!((&completed["status"], completed.get("id")), (&json!("requested"), None));
    assert!(completed["extension"].is_array() && completed["meta"].get("versionId").is_none());

    let foreign = json!({ "resourceType": "Task", "code": concept((HREX_TEMP, "data-request")) });
    assert!(complete(foreign, "Task", &facts()).is_err());
    let started = json!({
        "resourceType": "Task", "status": "accepted", "output": [], "code": concept(TaskKind::AttachmentCode.code()),
    });
    assert_eq!(complete(started, "Task", &facts()).expect_err("it is under way").len(), 2);
}

proptest! {
    #[test]
    fn whatever_can_be_asked_for_keeps_the_profile(
        is_of_attachments: bool, wanted_index in 0_usize..4, kept in proptest::collection::vec(any::<bool>(), 16),
    ) {
        let profiles = Profiles::built_in().expect("the built-in profiles load");
        let mut parameters = vec![identifier("member-id")];
        let mut kept = kept.into_iter();
        let optional = common().into_iter().filter(|_| kept.next().unwrap_or(true));
        parameters.extend(optional);
        if is_of_attachments {
            parameters.push(if wanted_index < 3 { attachment_code() } else { wanted()[3].clone() });
            parameters.extend(of_attachments().into_iter().filter(|it| it["name"] != "member-id"));
        } else {
            parameters.push(wanted()[wanted_index].clone());
        }
        if let Ok(task) = asked(&parameters) {
            prop_assert_eq!(problems(&task, &profiles), []);
        } else {
            // The one thing that a request for attachments cannot do without and may lose here.
            prop_assert!(is_of_attachments && parameters.iter().all(|it| it["name"] != "claim"));
        }
    }
}
