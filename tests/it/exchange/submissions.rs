//! What becomes of a submission on the payer's side: held or associated, in whatever order things come, once.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    attachment_request, claim, create, is_tagged, note, outputs, read, search, send, sending, settle,
};
use crate::support::environment::shared;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::random::Random;
use crate::support::{rows, wait};

/// The statuses of all versions of a Task, the oldest first.
fn steps(gateway: &Gateway, task: &str) -> Vec<String> {
    let versions = search(gateway, &format!("{task}/_history")).into_iter().rev();
    versions.map(|version| version["status"].as_str().expect("a status").to_owned()).collect()
}

#[test]
fn a_submission_for_a_task_that_is_here_completes_it_and_can_be_found_by_it() {
    for_each_database(&[], |gateway| {
        let task = create(&gateway, &attachment_request("solicited"));
        let (ids, is_held) = send(&gateway, &note("solicited", b"the note", true));
        assert!(!is_held, "a Task waits for it");
        settle(&gateway);
        let steps = steps(&gateway, &task);
        assert_eq!(steps.last().map(String::as_str), Some("completed"));
        for step in ["requested", "accepted", "in-progress"] {
            assert!(steps.iter().any(|known| known == step), "{steps:?}");
        }
        let outputs = outputs(&read(&gateway, &task));
        let found = search(&gateway, &format!("DocumentReference?related={task}"));
        assert_eq!(found.len(), 1);
        assert_eq!(outputs, [format!("DocumentReference/{}", found[0]["id"].as_str().expect("an id"))]);
        assert!(!is_tagged(&found[0], "held") && !is_tagged(&found[0], "amendment"));

        let attachment = &found[0]["content"][0]["attachment"];
        assert_eq!(attachment["url"], format!("Binary/{}", ids[0]));
        assert_eq!(attachment["size"], 8);
        let bytes = gateway.get(&format!("/fhir/Binary/{}", ids[0])).expect(200);
        assert_eq!((bytes.header("Content-Type"), &*bytes.body), (Some("text/plain"), &b"the note"[..]));
        assert_eq!(gateway.stored().len(), 1, "the bytes lie in the store once");
        gateway.wait_delivered(&ids[0], 1);
        assert_eq!(gateway.delivered_bytes(&ids[0]), b"the note");
    });
}

/// CONF-008: what is returned as Provenance keeps the HRex profile; CONF-016: the exchange is on record.
#[test]
fn conf_008_016_every_attachment_has_a_provenance_that_says_who_when_and_why() {
    let gateway = Gateway::start();
    let task = create(&gateway, &attachment_request("traced"));
    let (ids, _) = send(&gateway, &note("traced", b"x", true));
    settle(&gateway);
    let found = search(&gateway, &format!("DocumentReference?related={task}&_revinclude=Provenance:target"));
    let [document, provenance] = &found[..] else { panic!("a document and its Provenance: {found:?}") };
    let target = format!("DocumentReference/{}", document["id"].as_str().expect("an id"));
    let targets: Vec<_> = provenance["target"].as_array().into_iter().flatten().collect();
    assert_eq!(targets, [&json!({"reference": target}), &json!({"reference": format!("Binary/{}", ids[0])})]);
    assert_eq!(search(&gateway, &format!("Provenance?entity={task}")).len(), 1);
    assert_eq!(provenance["agent"][0]["who"]["identifier"]["value"], "9941339108");
    assert_eq!(provenance["agent"][0]["onBehalfOf"]["identifier"]["value"], "1407071236");
    assert_eq!(provenance["agent"][1]["who"]["identifier"]["value"], "1407071236");
    assert_eq!(provenance["reason"][0]["coding"][0]["code"], "CLMATTCH");
    assert!(provenance["entity"].to_string().contains(&format!("urn:uuid:{}", ids[0])), "{provenance}");

    let profile = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-provenance";
    let path = format!("Provenance/$validate?profile={profile}");
    let outcome = gateway.ask(&sending("POST", &path, provenance)).expect(200).json();
    assert!(!outcome.to_string().contains("\"error\""), "{outcome}");

    let trail = rows::audit_trail(&gateway);
    for action in ["submit-attachment", "associate"] {
        assert!(trail.iter().any(|row| row.contains(action) && row.contains("success")), "{trail:?}");
    }
}

/// CONF-021: held with the informational outcome, associated when what it belongs to arrives.
#[test]
fn conf_021_a_submission_that_comes_first_is_held_and_associated_when_its_task_comes() {
    for_each_database(&[], |gateway| {
        let (_, is_held) = send(&gateway, &note("early", b"x", true));
        assert!(is_held);
        settle(&gateway);
        let held = search(&gateway, "DocumentReference?_tag=urn:cdex-gateway:tags|held");
        assert_eq!(held.len(), 1);
        assert!(is_tagged(&held[0], "held"));
        let by_number = "DocumentReference?related:identifier=http://example.org/t|early";
        assert_eq!(search(&gateway, by_number).len(), 1, "it is found by the number");
        create(&gateway, &attachment_request("another number"));
        settle(&gateway);
        assert_eq!(search(&gateway, "DocumentReference?_tag=held").len(), 1, "it is still held");

        let task = create(&gateway, &attachment_request("early"));
        settle(&gateway);
        assert_eq!(search(&gateway, "DocumentReference?_tag=held").len(), 0);
        let found = search(&gateway, &format!("DocumentReference?related={task}"));
        assert_eq!((found.len(), &found[0]["id"]), (1, &held[0]["id"]));
        assert_eq!(found[0]["meta"]["versionId"], "2");
        let task = read(&gateway, &task);
        assert_eq!((task["status"].as_str(), outputs(&task).len()), (Some("completed"), 1));
        assert_eq!(search(&gateway, "Provenance").len(), 1);
    });
}

#[test]
fn a_claim_is_linked_whether_it_comes_before_or_after_and_is_never_changed() {
    for_each_database(&[], |gateway| {
        let early = create(&gateway, &claim("early"));
        for (number, is_held) in [("early", false), ("late", true)] {
            assert_eq!(send(&gateway, &note(number, number.as_bytes(), true)).1, is_held, "{number}");
        }
        settle(&gateway);
        let late = create(&gateway, &claim("late"));
        settle(&gateway);
        for claim in [&early, &late] {
            assert_eq!(search(&gateway, &format!("DocumentReference?related={claim}")).len(), 1, "{claim}");
            assert_eq!(search(&gateway, &format!("Provenance?entity={claim}")).len(), 1, "{claim}");
            assert_eq!(read(&gateway, claim)["meta"]["versionId"], "1");
        }
        assert_eq!(search(&gateway, "DocumentReference?_tag=held").len(), 0);
    });
}

#[test]
fn the_claim_that_a_task_names_is_linked_when_it_comes_after_all() {
    let gateway = Gateway::start();
    let task = create(&gateway, &attachment_request("of a claim"));
    send(&gateway, &note("of a claim", b"x", true));
    settle(&gateway);
    let claim = create(&gateway, &claim("Claim123"));
    settle(&gateway);
    for reference in [&task, &claim] {
        assert_eq!(search(&gateway, &format!("DocumentReference?related={reference}")).len(), 1);
    }
    assert_eq!(outputs(&read(&gateway, &task)).len(), 1, "the Task has been answered before");
}

#[test]
fn several_submissions_complete_the_task_when_the_last_one_says_so() {
    let gateway = Gateway::start();
    let task = create(&gateway, &attachment_request("in parts"));
    for (number, bytes) in [b"one", b"two"].iter().enumerate() {
        let (_, is_held) = send(&gateway, &note("in parts", *bytes, false));
        assert!(!is_held);
        settle(&gateway);
        let task = read(&gateway, &task);
        assert_eq!((task["status"].as_str(), outputs(&task).len()), (Some("in-progress"), number + 1));
    }
    send(&gateway, &note("in parts", b"three", true));
    settle(&gateway);
    let before = read(&gateway, &task);
    assert_eq!((before["status"].as_str(), outputs(&before).len()), (Some("completed"), 3));

    // The same again adds nothing.
    let documents = search(&gateway, "DocumentReference").len();
    send(&gateway, &note("in parts", b"three", true));
    settle(&gateway);
    assert_eq!(read(&gateway, &task), before);
    assert_eq!(search(&gateway, "DocumentReference").len(), documents);
}

#[test]
fn what_comes_after_the_last_one_is_an_amendment_marked_and_told() {
    let gateway = Gateway::start();
    let task = create(&gateway, &attachment_request("amended"));
    send(&gateway, &note("amended", b"first", true));
    settle(&gateway);
    let answer = crate::support::submission::submit(&gateway, note("amended", b"second", true).to_string());
    assert!(answer.text().contains("amendment"), "{}", answer.text());
    assert!(!answer.text().contains("being held"), "{}", answer.text());
    settle(&gateway);
    let amended = search(&gateway, "DocumentReference?_tag=urn:cdex-gateway:tags|amendment");
    assert_eq!(amended.len(), 1);
    let task = read(&gateway, &task);
    assert_eq!((task["status"].as_str(), outputs(&task).len()), (Some("completed"), 2));
    let target = format!("Provenance?target=DocumentReference/{}", amended[0]["id"].as_str().expect("an id"));
    assert_eq!(search(&gateway, &target)[0]["entity"][1]["role"], "revision");
}

/// `fhir-peers` 1b: one product compares member, organization and provider with what the Task contains.
#[test]
fn a_submission_for_another_member_is_held_whatever_else_agrees() {
    let gateway = Gateway::start();
    let mut task = attachment_request("another member");
    task["contained"][0]["identifier"][0]["value"] = json!("999999");
    let task = create(&gateway, &task);
    let (_, is_held) = send(&gateway, &note("another member", b"x", true));
    assert!(is_held);
    settle(&gateway);
    assert_eq!(outputs(&read(&gateway, &task)), Vec::<String>::new());
    // The payer mends its Task.
    let mut mended = read(&gateway, &task);
    mended["contained"][0]["identifier"][0]["value"] = json!("234567");
    gateway.ask(&sending("PUT", &task, &mended)).expect(200);
    settle(&gateway);
    assert_eq!(outputs(&read(&gateway, &task)).len(), 1);
}

#[test]
fn with_strict_identifiers_the_system_of_the_number_must_be_the_same() {
    let gateway = Gateway::with(&[("CDEX_POLICY__STRICT_IDENTIFIERS", "true")]);
    create(&gateway, &attachment_request("strict"));
    assert!(send(&gateway, &note("strict", b"x", true)).1);
    let mut same = claim("strict claim");
    same["identifier"][0]["system"] = json!("http://example.org/t");
    same["patient"]["identifier"]["system"] = json!("http://example.org/m");
    same["insurer"]["identifier"]["system"] = json!("http://example.org/p");
    create(&gateway, &same);
    assert!(!send(&gateway, &note("strict claim", b"x", true)).1);
    settle(&gateway);
}

/// cdex.md 6.11 and 10, row 4.
#[test]
fn the_published_submissions_are_held_and_associated_as_the_guide_means_them() {
    let Some(folder) = shared("cdex/examples") else { return };
    let example = |name: &str| -> Value {
        let text = std::fs::read(folder.join(format!("cdex-{name}.json"))).expect("a published example");
        serde_json::from_slice(&text).expect("it is JSON")
    };
    let gateway = Gateway::start();
    let asked = gateway.ask(&sending("POST", "Task", &example("task-example19"))).expect(201).json();
    let form = "Task/cdex-task-example22";
    gateway.ask(&sending("PUT", form, &example("task-example22"))).expect(201);
    for (name, is_held) in
        [("parameters-example1", true), ("parameters-example3", true), ("parameters-example5", false)]
    {
        assert_eq!(send(&gateway, &example(name)).1, is_held, "{name}");
    }
    settle(&gateway);
    let asked = read(&gateway, &format!("Task/{}", asked["id"].as_str().expect("an id")));
    assert_eq!(outputs(&asked), Vec::<String>::new());
    let form = read(&gateway, form);
    assert_eq!(form["status"], "completed");
    assert_eq!(form["output"][0]["type"]["coding"][0]["code"], "questionnaire-context");
    let answer = read(&gateway, &outputs(&form)[0]);
    assert_eq!(answer["resourceType"], "QuestionnaireResponse");
    assert_ne!(answer["id"], "cdex-questionnaireresponse-example1", "the ids are the payer's own");
    assert_eq!(search(&gateway, "DocumentReference?_tag=held").len(), 2);
}

#[test]
fn relative_references_of_a_sender_lead_to_nobody_here() {
    let gateway = Gateway::start();
    let patient = json!({"resourceType": "Patient", "id": "1", "name": [{"family": "Somebody Else"}]});
    gateway.ask(&sending("PUT", "Patient/1", &patient)).expect(201);
    let mut body = note("foreign", b"x", true);
    let content = body.pointer_mut("/parameter/7/part/2/resource").expect("the content");
    content["subject"] = json!({"reference": "Patient/1"});
    send(&gateway, &body);
    settle(&gateway);
    assert_eq!(search(&gateway, "DocumentReference?patient=1").len(), 0);
    assert_eq!(search(&gateway, "Patient/1/DocumentReference").len(), 0);
    let own = search(&gateway, "DocumentReference?subject:identifier=http://example.org/m|234567");
    assert_eq!(own.len(), 1, "it is found by the member");
}

#[test]
fn a_gateway_killed_at_any_moment_associates_every_submission_once() {
    let mut random = Random::new(Random::seed());
    for_each_database(&[], |mut gateway| {
        let mut expected = 0;
        for round in 0..4_u64 {
            let numbers: Vec<String> = (0..6).map(|number| format!("killed-{round}-{number}")).collect();
            // Some Tasks come before their submission, some after.
            for (index, number) in numbers.iter().enumerate() {
                if index % 2 == 0 {
                    create(&gateway, &attachment_request(number));
                }
                send(&gateway, &note(number, number.as_bytes(), true));
                if index % 2 == 1 {
                    create(&gateway, &attachment_request(number));
                }
                expected += 1;
            }
            wait::pause(Duration::from_millis(random.below(60)));
            gateway.kill();
            gateway.launch();
        }
        settle(&gateway);
        let tasks = search(&gateway, "Task?_count=200");
        assert_eq!(tasks.len(), expected);
        for task in tasks {
            assert_eq!((task["status"].as_str(), outputs(&task).len()), (Some("completed"), 1), "{task}");
        }
        for query in ["DocumentReference?_count=200", "Provenance?_count=200", "Binary?_count=200"] {
            assert_eq!(search(&gateway, query).len(), expected, "{query}");
        }
        assert_eq!(search(&gateway, "DocumentReference?_tag=held").len(), 0);
    });
}
