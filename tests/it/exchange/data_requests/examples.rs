//! The published Tasks, as cdex.md 6.11 says what becomes of them.

use serde_json::{Value, json};

use super::{CDEX, create, found, output, put, read, refused, sending, steps, wait_for};
use crate::support::environment::shared;
use crate::support::gateway::Gateway;
use crate::support::{rows, wait};

fn example(name: &str) -> Option<Value> {
    let path = shared(&format!("cdex/examples/{name}.json"))?;
    let text = std::fs::read(path).expect("an example is readable");
    Some(serde_json::from_slice(&text).expect("an example is JSON"))
}

/// Examples that a consumer would post.
const REQUESTS: [&str; 17] = [
    "cdex-task-example1",
    "cdex-task-example4",
    "cdex-task-example6",
    "cdex-task-example10",
    "cdex-task-example13",
    "cdex-task-example19",
    "cdex-task-example21",
    "cdex-task-example28",
    "cdex-task-example30",
    "cdex-task-inline-example1",
    "cdex-task-inline-example6",
    "cdex-task-inline-example11",
    "cdex-task-inline-example13",
    "cdex-task-inline-example15",
    "cdex-task-inline-example19",
    "cdex-task-inline-example21",
    "cdex-task-inline-example26",
];

/// Examples of what became of them.
const ANSWERS: [&str; 11] = [
    "cdex-task-example2",
    "cdex-task-example3",
    "cdex-task-example8",
    "cdex-task-example9",
    "cdex-task-example12",
    "cdex-task-example14",
    "cdex-task-example16",
    "cdex-task-example18",
    "cdex-task-example22",
    "cdex-task-example24",
    "cdex-task-example27",
];

#[test]
fn conf_093_094_published_requests_are_created_and_published_answers_stored() {
    let gateway = Gateway::with(&[("CDEX_POLICY__TASKS", "review")]);
    for name in REQUESTS {
        let Some(task) = example(name) else { return };
        let answer = gateway.ask(&sending("POST", "Task", &task)).expect(201);
        let kept = answer.json();
        for (element, value) in
            task.as_object().expect("a resource").iter().filter(|(it, _)| *it != "id" && *it != "meta")
        {
            assert_eq!(&kept[element], value, "{name}: {element}");
        }
    }
    for name in ANSWERS {
        let Some(task) = example(name) else { return };
        let errors = refused(&gateway.ask(&sending("POST", "Task", &task)), 422);
        assert_eq!(errors, [("business-rule".to_owned(), "Task.status".to_owned())], "{name}");
        put(&gateway, &task).expect(201);
        let kept = read(&gateway, &format!("Task/{name}"));
        assert_eq!(kept["output"], task["output"], "{name}");
    }
}

/// The published patient whom the examples are about.
fn patient() -> Value {
    json!({
        "resourceType": "Patient", "id": "cdex-example-patient",
        "identifier": [{ "system": "http://example.org/cdex/payer/member-ids", "value": "Member123" }],
        "name": [{ "family": "Shaw", "given": ["Amy"] }],
    })
}

#[test]
fn conf_008_published_requests_are_answered_from_published_data() {
    let gateway = Gateway::start();
    let Some(bundle) = example("cdex-searchbundle-provenance-example") else { return };
    put(&gateway, &patient()).expect(201);
    let mut conditions = 0;
    for resource in bundle["entry"].as_array().expect("entries").iter().map(|entry| &entry["resource"]) {
        let mut resource = resource.clone();
        if resource["resourceType"] == "Condition" {
            resource["subject"] = json!({ "reference": "Patient/cdex-example-patient" });
            conditions += 1;
        }
        assert!(put(&gateway, &resource).status < 300, "{resource}");
    }
    assert!(conditions > 0);
    for (name, came_along) in [("cdex-task-example1", false), ("cdex-task-inline-example15", true)] {
        let Some(task) = example(name) else { return };
        let id = create(&gateway, &task);
        let answered = wait_for(&gateway, &id, "completed");
        let bundle = read(&gateway, &output(&answered));
        assert!(!found(&bundle, "match").is_empty(), "{name}: {bundle}");
        let included = found(&bundle, "include");
        assert_eq!(!included.is_empty(), came_along, "{name}: {bundle}");
        for provenance in included {
            let profile = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-provenance";
            let validate = sending("POST", &format!("Provenance/$validate?profile={profile}"), provenance);
            let outcome = gateway.ask(&validate).expect(200).json();
            let issues = outcome["issue"].as_array().expect("an outcome has issues");
            assert!(issues.iter().all(|issue| issue["severity"] != "error"), "{outcome}");
        }
        assert_eq!(answered["meta"]["tag"], task["meta"]["tag"], "{name}");
    }
    let Some(free_text) = example("cdex-task-example4") else { return };
    let id = create(&gateway, &free_text);
    wait::until("the agenda to be done", || (rows::count(&gateway, "agenda") == 0).then_some(()));
    assert_eq!(steps(&gateway, &id), ["requested"]);
    let queue = read(&gateway, &format!("Task?status=requested&_tag={CDEX}|"));
    assert!(queue["total"].as_u64().is_some_and(|total| total <= 1), "{queue}");
}
