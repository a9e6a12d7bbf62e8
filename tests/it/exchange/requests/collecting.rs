//! A foreign provider answers as HL7's examples do, or worse; the payer follows the Task and collects what it names.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::foreign::{Foreign, Reply, fhir};
use super::*;
use crate::support::environment;

/// The answer to the creation of a Task, as the examples of CDex have it: 200, and the URL that the server has inside.
fn taken() -> Reply {
    (200, vec![("Location", "http://inside.example/Task/12/_history/1".to_owned())], Vec::new())
}

fn data_value() -> Value {
    json!({ "coding": [{ "system": "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp", "code": "data-value" }] })
}

/// A completed Task with a searchset in it.
fn answered(bundle: &Value) -> Value {
    json!({
        "resourceType": "Task", "id": "12", "status": "completed", "intent": "order", "contained": [bundle],
        "businessStatus": { "text": "Results reviewed for release" },
        "output": [{ "type": data_value(), "valueReference": { "reference": "#results" } }],
    })
}

fn results(base: &str) -> Value {
    let entry = |mode: &str, resource: Value| {
        let name = format!(
            "{}/{}",
            resource["resourceType"].as_str().unwrap_or_default(),
            resource["id"].as_str().unwrap_or_default()
        );
        json!({ "fullUrl": format!("{base}/{name}"), "resource": resource, "search": { "mode": mode } })
    };
    let mut condition = condition("Patient/p1");
    condition["id"] = "c1".into();
    let provenance = json!({
        "resourceType": "Provenance", "id": "v1", "target": [{ "reference": "Condition/c1" }],
        "recorded": "2026-01-31T00:00:00Z", "agent": [{ "who": { "reference": "Organization/o1" } }],
    });
    json!({
        "resourceType": "Bundle", "id": "results", "type": "searchset",
        "entry": [entry("match", condition), entry("include", provenance)],
    })
}

#[test]
fn contained_results_become_resources_of_ours_with_references_put_right() {
    let provider = Foreign::start(|asked, _| match asked.line.as_str() {
        line if line.starts_with("POST") => taken(),
        _ => fhir(200, &answered(&results("http://elsewhere.example/fhir"))),
    });
    let payer = payer_of(provider.base(), &[]);
    let id = request_text(&payer);
    let copy = wait_status(&payer, &id, "completed");
    assert_eq!(copy["businessStatus"]["text"], "Results reviewed for release");
    let outputs = outputs(&copy);
    assert_eq!(outputs.len(), 1, "{copy}");
    let condition = read(&payer, &outputs[0]);
    assert_eq!(condition["code"]["coding"][0]["code"], "38341003");
    // The patient stays with the provider, and is not taken for one of ours.
    assert_eq!(condition["subject"]["reference"], format!("{}/Patient/p1", provider.base()));
    let about = search(&payer, &format!("Provenance?target={}", outputs[0]));
    assert_eq!(about.len(), 2, "theirs and ours: {about:?}");
    assert!(about.iter().any(|it| it["entity"][0]["what"]["reference"] == format!("Task/{id}")));
    assert!(about.iter().all(|it| it["target"][0]["reference"] == *outputs[0]));
    let posted = &provider.asked()[0];
    assert!(posted.field("if-none-exist").is_some_and(|it| it.contains("urn%3Auuid%3A")), "{posted:?}");
    assert!(serde_json::from_slice::<Value>(&posted.body).expect("JSON")["id"].is_null());
}

#[test]
fn conf_009_under_a_signature_agreement_every_question_is_a_search() {
    let provider = Foreign::start(|asked, _| {
        let found = |resource: &Value| {
            fhir(
                200,
                &json!({ "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": resource }] }),
            )
        };
        match asked.line.as_str() {
            line if line.starts_with("POST") => taken(),
            "GET /fhir/Task?_id=12" => found(&json!({
                "resourceType": "Task", "id": "12", "status": "completed", "intent": "order",
                "output": [{ "type": data_value(), "valueReference": { "reference": "Condition/c1" } }],
            })),
            "GET /fhir/Condition?_id=c1" => {
                let mut condition = condition("Patient/p1");
                condition["id"] = "c1".into();
                found(&condition)
            }
            _ => fhir(400, &json!({})),
        }
    });
    let payer = payer_of(provider.base(), &[("CDEX_PARTNER__PROVIDER__POLICY__SIGNATURES", "all")]);
    let copy = wait_status(&payer, &request_text(&payer), "completed");
    assert_eq!(outputs(&copy).len(), 1);
    let reads = provider
        .asked()
        .into_iter()
        .filter(|asked| asked.line.starts_with("GET") && !asked.line.contains('?'));
    assert_eq!(reads.count(), 0);
}

#[test]
fn a_provider_that_is_busy_or_says_nonsense_is_asked_again_and_the_copy_tells() {
    let count = AtomicUsize::new(0);
    let provider = Foreign::start(move |asked, _| {
        if asked.line.starts_with("POST") {
            return match count.fetch_add(1, Ordering::SeqCst) {
                0 => (503, vec![("Retry-After", "1".to_owned())], Vec::new()),
                // It took the Task and does not say where it is.
                _ => fhir(201, &json!({ "resourceType": "OperationOutcome", "issue": [] })),
            };
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            2 => fhir(500, &json!({})),
            3 => fhir(200, &json!({ "resourceType": "Bundle", "type": "searchset" })),
            4 => (200, vec![("Content-Type", "text/html".to_owned())], b"<html>".to_vec()),
            5 => (
                200,
                vec![("Content-Type", "application/fhir+json".to_owned())],
                b"{\"a\":1,\"a\":2}".to_vec(),
            ),
            _ if asked.line.contains("identifier=") => {
                let ours = asked.line.rsplit_once("urn%3Auuid%3A").map_or("", |(_, rest)| &rest[..36]);
                fhir(
                    200,
                    &json!({
                    "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": {
                        "resourceType": "Task", "id": "77", "status": "accepted", "intent": "order",
                        "identifier": [{ "value": format!("urn:uuid:{ours}") }] } }] }),
                )
            }
            _ => fhir(
                200,
                &json!({
                "resourceType": "Task", "id": "77", "status": "rejected", "intent": "order",
                "statusReason": { "text": "Not our patient" } }),
            ),
        }
    });
    let payer = payer_of(provider.base(), &[]);
    let id = request_text(&payer);
    let copy = wait_status(&payer, &id, "rejected");
    assert_eq!(copy["statusReason"]["text"], "Not our patient");
    let history = read(&payer, &format!("Task/{id}/_history?_count=50")).to_string();
    assert!(history.contains("The partner cannot be asked at the moment"), "{history}");
    let lines: Vec<String> = provider.asked().into_iter().map(|asked| asked.line).collect();
    assert!(lines.iter().any(|line| line == "GET /fhir/Task/77"), "{lines:?}");
}

#[test]
fn a_task_that_is_gone_and_outputs_that_are_not_there_fail_the_request() {
    for (task, reason) in [
        (fhir(410, &json!({})), "The partner has the request no longer"),
        (
            fhir(
                200,
                &json!({
                    "resourceType": "Task", "id": "12", "status": "completed", "intent": "order",
                    "output": [
                        { "type": data_value(), "valueReference": { "reference": "#nothing" } },
                        { "type": data_value(), "valueReference": { "reference": "https://elsewhere.example/Condition/1" } },
                        { "type": data_value(), "valueReference": { "reference": "Condition/gone" } },
                    ],
                }),
            ),
            "The partner has answered, but none of the outputs could be collected",
        ),
    ] {
        let provider = Foreign::start(move |asked, _| match asked.line.as_str() {
            line if line.starts_with("POST") => taken(),
            line if line.contains("/Task/") => task.clone(),
            _ => fhir(404, &json!({})),
        });
        let payer = payer_of(provider.base(), &[]);
        let copy = wait_status(&payer, &request_text(&payer), "failed");
        assert_eq!(copy["statusReason"]["text"], reason);
    }
}

#[test]
fn conf_062_several_tasks_are_looked_at_by_one_search() {
    let provider = Foreign::start(|asked, before| {
        if asked.line.starts_with("POST") {
            return (201, vec![("Location", format!("Task/t{before}"))], Vec::new());
        }
        let ids = asked.line.split_once("_id=").map(|(_, ids)| ids.split('&').next().unwrap_or_default());
        let task =
            |id: &str| json!({ "resourceType": "Task", "id": id, "status": "accepted", "intent": "order" });
        match ids {
            Some(ids) => {
                let entries: Vec<Value> =
                    ids.split("%2C").map(|id| json!({ "resource": task(id) })).collect();
                fhir(200, &json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }))
            }
            None => fhir(200, &task(asked.line.rsplit('/').next().unwrap_or_default())),
        }
    });
    let payer = payer_of(provider.base(), &[]);
    // A look is due at a tenth of its pace: of more Tasks than there are tenths some are due together, whenever they
    // were sent.
    let ids: Vec<String> = (0..15).map(|_| request_text(&payer)).collect();
    for id in &ids {
        wait_status(&payer, id, "accepted");
    }
    wait::until("some of them to be looked at together", || {
        provider.asked().iter().any(|asked| asked.line.contains("%2C")).then_some(())
    });
}

#[test]
fn conf_095_the_official_answers_are_followed_and_what_is_in_them_is_collected() {
    // The example, how our copy ends, and how many outputs it has. What the others refer to is not at hand.
    for (example, status, count) in [
        ("cdex-task-example3", "completed", 1),
        ("cdex-task-example8", "completed", 1),
        ("cdex-task-example9", "failed", 0),
        ("cdex-task-example14", "failed", 0),
        ("cdex-task-example24", "completed", 0),
        ("cdex-task-example25", "completed", 0),
        ("cdex-task-example27", "failed", 0),
    ] {
        let Some(path) = environment::shared(&format!("cdex/examples/{example}.json")) else { return };
        let text = std::fs::read_to_string(path).expect("an example is text");
        let mut task: Value = serde_json::from_str(&text).expect("an example is JSON");
        task["id"] = "12".into();
        let provider = Foreign::start(move |asked, _| match asked.line.as_str() {
            line if line.starts_with("POST") => taken(),
            "GET /fhir/Task/12" => fhir(200, &task),
            _ => fhir(404, &json!({})),
        });
        let payer = payer_of(provider.base(), &[]);
        let copy = wait_status(&payer, &request_text(&payer), status);
        assert_eq!(outputs(&copy).len(), count, "{example}: {copy}");
    }
}

#[test]
fn a_signed_bundle_is_kept_whole_with_what_its_signature_is_worth() {
    let Some(path) = environment::shared("cdex/examples/cdex-searchbundle-digital-sig-example.json") else {
        return;
    };
    let text = std::fs::read_to_string(path).expect("an example is text");
    let bundle: Value = serde_json::from_str(&text).expect("an example is JSON");
    let signed = bundle.clone();
    let provider = Foreign::start(move |asked, _| match asked.line.as_str() {
        line if line.starts_with("POST") => taken(),
        "GET /fhir/Bundle/b1" => fhir(200, &bundle),
        _ => fhir(
            200,
            &json!({
                "resourceType": "Task", "id": "12", "status": "completed", "intent": "order",
                "output": [{ "type": data_value(), "valueReference": { "reference": "Bundle/b1" } }],
            }),
        ),
    });
    let payer = payer_of(provider.base(), &[]);
    let copy = wait_status(&payer, &request_text(&payer), "completed");
    let outputs = outputs(&copy);
    let kept = read(&payer, &outputs[0]);
    assert_eq!((&kept["signature"], &kept["entry"]), (&signed["signature"], &signed["entry"]));
    let provenance =
        search(&payer, &format!("Provenance?target={}", outputs[0])).pop().expect("there is one");
    let checks = provenance["extension"].as_array().expect("it has lines about the signature");
    assert!(checks.iter().all(|check| check["url"] == "urn:cdex-gateway:signature-check"), "{checks:?}");
    assert_eq!(checks[0]["extension"][0]["valueString"], "signature");
}
