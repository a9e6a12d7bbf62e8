//! What belongs together: the published pairs, each party alone, and properties of the choice.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::association::{Association, Candidate, Referred, Systems, associate, party_references};
use super::{AttachTo, Identifier, Submission, parse};
use crate::fhir::Profiles;
use crate::fhir::testing::published;

fn identifier(value: &str) -> Identifier {
    Identifier { system: Some("urn:sent".to_owned()), value: value.to_owned() }
}

fn submission() -> Submission {
    Submission {
        tracking_id: identifier("T1"),
        admin_ref_number: None,
        attach_to: AttachTo::Claim,
        payer_id: Some(identifier("P1")),
        organization_id: Some(identifier("O1")),
        provider_id: Some(identifier("D1")),
        member_id: identifier("M1"),
        service_date: None,
        attachments: Vec::new(),
        is_last_submission: true,
    }
}

fn known(value: &str) -> Value {
    json!({ "system": "urn:known", "value": value })
}

fn task() -> Value {
    let typed = |code: &str, value: &str| {
        json!({ "type": { "coding": [{
            "system": "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp", "code": code }] },
            "system": "urn:known", "value": value })
    };
    json!({
        "resourceType": "Task",
        "contained": [
            { "resourceType": "Patient", "id": "patient", "identifier": [known("M1")] },
            { "resourceType": "PractitionerRole", "id": "practitionerrole",
              "practitioner": { "identifier": known("D1") }, "organization": { "identifier": known("O1") } },
        ],
        "identifier": [typed("tracking-id", "T1"), typed("admin-ref-number", "A1")],
        "status": "requested",
        "code": { "coding": [{ "system": "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes",
            "code": "attachment-request-code" }] },
        "for": { "reference": "#patient" },
        "requester": { "identifier": known("p1") },
        "owner": { "reference": "#practitionerrole" },
        "reasonCode": { "coding": [{ "system": "http://hl7.org/fhir/claim-use", "code": "claim" }] },
        "reasonReference": { "identifier": known("C1") },
    })
}

fn claim(number: &str) -> Value {
    json!({ "resourceType": "Claim", "status": "active", "use": "claim", "identifier": [known(number)],
        "patient": { "reference": "Patient/1" }, "insurer": { "identifier": known("P1") },
        "provider": { "identifier": known("O1") } })
}

fn referred(member: &str) -> Referred {
    let patient = json!({ "resourceType": "Patient", "identifier": [known(member)] });
    Referred::from([("Patient/1".to_owned(), patient)])
}

fn of_task(id: &str, task: &Value) -> Candidate {
    Candidate::of_task(id, task, &Referred::new()).expect("it is an attachment request")
}

fn of_claim(claim: &Value) -> Candidate {
    Candidate::of_claim("1", claim, &referred("M1")).expect("it is a Claim")
}

fn outcome(submission: &Submission, task: &Value) -> Association {
    associate(submission, &[of_task("1", task)], Systems::Ignored)
}

/// cdex.md 6.11 and 10, row 4.
#[test]
fn of_the_published_pairs_one_is_held_and_one_is_associated() {
    let profiles = Profiles::built_in().expect("the built-in rules");
    for (parameters, task, is_made) in [(3, 19, false), (5, 22, true), (5, 19, false), (1, 22, false)] {
        let file = |name: String| published(&format!("cdex/examples/cdex-{name}.json"));
        let sent = file(format!("parameters-example{parameters}"));
        let Some((sent, asked)) = sent.zip(file(format!("task-example{task}"))) else { return };
        let (submission, _) = parse(&sent, &profiles).expect("the published example is accepted");
        let found = associate(&submission, &[of_task("22", &asked)], Systems::Ignored);
        assert_eq!(found.task.is_some(), is_made, "{parameters} and {task}: {found:?}");
        let strict = associate(&submission, &[of_task("22", &asked)], Systems::Compared);
        assert!(!strict.is_made(), "the systems of the published pairs differ: {strict:?}");
    }
}

#[test]
fn a_task_is_answered_where_number_and_use_agree_and_the_parties_do_not_speak_against_it() {
    let set = |pointer: &str, value: Value| {
        let mut task = task();
        *task.pointer_mut(pointer).expect("the place is there") = value;
        task
    };
    let member = "/contained/0/identifier/0/value";
    let provider = "/contained/1/practitioner/identifier/value";
    let organization = "/contained/1/organization/identifier/value";
    let mut strangers = set(provider, json!("D2"));
    strangers["contained"][1]["organization"]["identifier"]["value"] = json!("O2");
    strangers["requester"]["identifier"]["value"] = json!("P2");
    let mut silent = task();
    for element in ["for", "owner", "requester", "reasonReference"] {
        silent.as_object_mut().expect("an object").remove(element);
    }
    for (task, is_made) in [
        (task(), true),
        (silent, true),
        (set("/identifier/0/value", json!("t1")), false),
        (set("/reasonCode/coding/0/code", json!("preauthorization")), false),
        (set("/reasonCode", json!({ "text": "claim" })), true),
        (set(member, json!("M2")), false),
        (set(member, json!("m1")), true),
        (set(provider, json!("D2")), true),
        (set(organization, json!("O2")), true),
        (strangers, false),
        (set("/status", json!("in-progress")), true),
        (set("/status", json!("completed")), true),
        (set("/status", json!("failed")), false),
        (set("/status", json!("rejected")), false),
    ] {
        let found = outcome(&submission(), &task);
        assert_eq!(found.is_made(), is_made, "{found:?}: {task}");
        assert!(!found.reasons.is_empty());
    }
    let other = set("/code/coding/0/code", json!("data-request-code"));
    assert!(Candidate::of_task("1", &other, &Referred::new()).is_none());
}

#[test]
fn whether_the_task_asks_for_a_signature_is_known_with_it() {
    for asks in [true, false] {
        let mut task = task();
        task["input"] = json!([{ "valueBoolean": asks, "type": { "coding": [{
            "system": "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp", "code": "signature-flag" }] } }]);
        assert_eq!(outcome(&submission(), &task).asks_for_signature, asks);
    }
}

#[test]
fn an_administrative_number_must_agree_where_both_have_one() {
    for (number, is_made) in [(None, true), (Some("A1"), true), (Some("A2"), false)] {
        let submission = Submission { admin_ref_number: number.map(identifier), ..submission() };
        assert_eq!(outcome(&submission, &task()).is_made(), is_made, "{number:?}");
    }
}

#[test]
fn a_claim_is_supported_by_its_own_number_or_by_the_word_of_the_task() {
    let by_number = associate(&submission(), &[of_claim(&claim("T1"))], Systems::Ignored);
    assert_eq!((by_number.task, by_number.claim.as_deref()), (None, Some("Claim/1")));
    let by_task = [of_task("9", &task()), of_claim(&claim("C1"))];
    let by_task = associate(&submission(), &by_task, Systems::Ignored);
    assert_eq!((by_task.task.as_deref(), by_task.claim.as_deref()), (Some("Task/9"), Some("Claim/1")));
    assert_eq!(by_task.awaited_claim, None);
    let task_alone = outcome(&submission(), &task());
    assert_eq!(task_alone.awaited_claim.map(|claim| claim.value).as_deref(), Some("C1"));

    let stranger = Candidate::of_claim("1", &claim("T1"), &referred("M2")).expect("it is a Claim");
    assert!(!associate(&submission(), &[stranger], Systems::Ignored).is_made());
    let mut cancelled = claim("T1");
    cancelled["status"] = json!("cancelled");
    assert!(!associate(&submission(), &[of_claim(&cancelled)], Systems::Ignored).is_made());
    assert_eq!(party_references(&claim("T1")), ["Patient/1"]);
    assert!(party_references(&task()).is_empty());
}

#[test]
fn of_several_tasks_the_open_one_is_meant_and_of_two_alike_none() {
    let mut answered = task();
    answered["status"] = json!("completed");
    let both = [of_task("1", &answered), of_task("2", &task())];
    assert_eq!(associate(&submission(), &both, Systems::Ignored).task.as_deref(), Some("Task/2"));
    let alike = [of_task("1", &task()), of_task("2", &task())];
    let found = associate(&submission(), &alike, Systems::Ignored);
    assert_eq!((found.task, found.reasons), (None, vec!["several-alike"]));
}

proptest! {
    /// Whatever else is there, only what has the number and the member is ever chosen.
    #[test]
    fn nobody_elses_task_is_ever_answered(
        tasks in proptest::collection::vec((0..3_u8, 0..3_u8, 0..3_u8, 0..4_u8), 0..6)
    ) {
        let statuses = ["requested", "completed", "failed", "on-hold"];
        let candidates: Vec<(Value, Candidate)> = tasks
            .iter()
            .enumerate()
            .map(|(index, (tracking, member, payer, status))| {
                let mut task = task();
                task["identifier"][0]["value"] = format!("T{tracking}").into();
                task["contained"][0]["identifier"][0]["value"] = format!("M{member}").into();
                task["requester"]["identifier"]["value"] = format!("P{payer}").into();
                task["status"] = statuses[usize::from(*status)].into();
                let candidate = of_task(&index.to_string(), &task);
                (task, candidate)
            })
            .collect();
        let all: Vec<Candidate> = candidates.iter().map(|(_, candidate)| candidate.clone()).collect();
        let found = associate(&submission(), &all, Systems::Ignored);
        if let Some(reference) = &found.task {
            let (chosen, _) = candidates.iter().find(|(_, one)| one.reference == *reference).expect("one of them");
            prop_assert_eq!(&chosen["identifier"][0]["value"], "T1");
            prop_assert_eq!(&chosen["contained"][0]["identifier"][0]["value"], "M1");
            prop_assert!(chosen["status"] != "failed");
        }
    }
}
