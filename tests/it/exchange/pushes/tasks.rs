//! The push by Task (cdex §9.4): the receiver reads what the Task names on its sender's server.

use serde_json::{Value, json};

use super::partner::Partner;
use super::{example, read, send, uploads_of};
use crate::support::gateway::for_each_database;
use crate::support::{rows, wait};

fn task(focus: &str) -> Value {
    let organization = json!({"reference": "Organization/o"});
    json!({
        "resourceType": "Task",
        "meta": {"profile": ["http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task"]},
        "identifier": [{"system": "http://provider.example/tasks", "value": "1"}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": focus},
        "for": {"reference": "Patient/p"},
        "authoredOn": "2026-03-14T12:00:00Z",
        "lastModified": "2026-03-14T12:00:00Z",
        "requester": organization.clone(),
        "owner": organization,
    })
}

#[test]
fn what_a_task_names_is_read_kept_and_forwarded_and_the_task_says_so() {
    let partner = Partner::start();
    let base = format!("{}/fhir", partner.url);
    let settings =
        [("CDEX_PARTNER__ACME__FHIR_BASE", base.as_str()), ("CDEX_PARTNER__ACME__PRIVATE_ADDRESSES", "true")];
    for_each_database(&settings, |gateway| {
        send(&gateway, "PUT", "Task/push", &task(&format!("{base}/Communication/pushed"))).expect(201);
        let done = wait::until("the Task to be answered", || {
            let task = read(&gateway, "Task/push");
            (task["status"] != "requested").then_some(task)
        });
        assert_eq!(done["status"], "completed", "{done}");
        let reference = done["output"][0]["valueReference"]["reference"].as_str().expect("where it is");
        let upload = uploads_of(&gateway, reference).remove(0);
        gateway.wait_delivered(&upload, 1);
        assert_eq!(gateway.delivered_bytes(&upload), b"fetched");
        for (id, focus) in [
            ("wrong", format!("{base}/Communication/wrong")),
            ("stranger", "http://nobody.example/fhir/Communication/x".to_owned()),
        ] {
            send(&gateway, "PUT", &format!("Task/{id}"), &task(&focus)).expect(201);
            let rejected = wait::until("the Task to be answered", || {
                let task = read(&gateway, &format!("Task/{id}"));
                (task["status"] != "requested").then_some(task)
            });
            assert_eq!(rejected["status"], "rejected");
            assert!(rejected["statusReason"]["text"].is_string(), "{rejected}");
        }
        if let Some(request) = example("attachment-request") {
            send(&gateway, "PUT", "CommunicationRequest/asked", &request).expect(201);
            send(&gateway, "PUT", "Task/request", &task("CommunicationRequest/asked")).expect(201);
            wait::until("the request to be accepted", || {
                (read(&gateway, "Task/request")["status"] == "accepted").then_some(())
            });
        }
        assert_eq!(rows::count(&gateway, "upload"), 1);
    });
}
