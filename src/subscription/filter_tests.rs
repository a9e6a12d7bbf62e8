//! What a filter lets pass, what is no filter, and that both agree with a reading of the Task by hand.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::filter::{Candidate, Filter};
use crate::clock::Timestamp;

const BASE: &str = "http://gateway.test/fhir";

fn passes(criteria: &[&str], task: &Value) -> bool {
    let filter = Filter::parse(criteria.iter().copied(), BASE).expect("a filter");
    filter.passes(&Candidate::new("default", "1", task, BASE, Timestamp::from_nanos(0)))
}

fn task() -> Value {
    json!({
        "resourceType": "Task",
        "status": "in-progress",
        "intent": "order",
        "code": {"coding": [
            {"system": "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp", "code": "data-request-query"},
            {"code": "local"},
        ]},
        "requester": {"identifier": {"system": "http://example.org/payers", "value": "Payer123"}},
        "owner": {"reference": "Organization/7", "identifier": {"value": "bare"}},
    })
}

#[test]
fn a_filter_lets_pass_what_a_search_finds() {
    for (criteria, expected) in [
        (&[][..], true),
        (&["Task?requester:identifier=http://example.org/payers|Payer123"], true),
        (&["Task?requester:identifier=http%3A%2F%2Fexample.org%2Fpayers%7CPayer123"], true),
        (&["Task?requester:identifier=http://example.org/payers|Payer124"], false),
        (&["Task?requester:identifier=http://example.org/others|Payer123"], false),
        (&["Task?requester:identifier=Payer123"], true),
        (&["Task?requester:identifier=|Payer123"], false),
        (&["Task?owner:identifier=|bare"], true),
        (&["Task?owner=Organization/7"], true),
        (&["Task?owner=http://gateway.test/fhir/Organization/7"], true),
        (&["Task?owner=Organization/8,Organization/7"], true),
        (&["Task?owner=Practitioner/7"], false),
        (&["Task?requester=Organization/7"], false),
        (&["/Task?status=in-progress"], true),
        (&["Task?status=completed,in-progress"], true),
        (&["Task?status=completed"], false),
        (&["Task?code=data-request-query"], true),
        (&["Task?code=http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp|data-request-query"], true),
        (&["Task?code=http://example.org|data-request-query"], false),
        (&["Task?code=|local"], true),
        // Several criteria are AND, and so are several parameters of one.
        (&["Task?code=local", "Task?status=in-progress"], true),
        (&["Task?code=local", "Task?status=completed"], false),
        (&["Task?code=local&status=completed"], false),
        (
            &[
                "Task?code=local&owner:identifier=bare&requester:identifier=Payer123",
                "Task?status=in-progress",
            ],
            true,
        ),
        (&["Task?code=local&owner:identifier=bare&requester:identifier=Payer124"], false),
        (&["Task?status=in-progress", "Task?status=completed"], false),
        (&["Task?owner:identifier=other,bare"], true),
        (&["Task?owner:identifier=http://example.org/payers|bare"], false),
        (&["Task?requester:identifier=http://example.org/payers|"], true),
    ] {
        assert_eq!(passes(criteria, &task()), expected, "{criteria:?}");
    }
}

#[test]
fn what_the_topic_cannot_be_filtered_by_is_refused_with_its_place() {
    for text in [
        "",
        "Task",
        "Task?",
        "Task?status=",
        "Task?status=,",
        "status=completed",
        "Observation?status=final",
        "Task?patient=Patient/1",
        "Task?priority=urgent",
        "Task?_id=1",
        "Task?_sort=status",
        "Task?status:not=completed",
        "Task?code:text=x",
        "Task?owner:Organization=7",
        "Task?owner:missing=true",
        "Task?owner.name=x",
        "Task?requester:identifier:x=1",
        "http://gateway.test/fhir/Task?status=completed",
    ] {
        let refused = Filter::parse(["Task?status=completed", text], BASE).expect_err(text);
        assert!(refused.iter().all(|(index, issue)| *index == 1 && issue.is_error()), "{text}: {refused:?}");
    }
    let texts =
        ["Task?priority=urgent&status=", "Task?code=a", "x", "Task?owner:identifier=a&status:not=b&_id=1"];
    let refused = Filter::parse(texts, BASE).expect_err("one is right");
    let places: Vec<usize> = refused.iter().map(|(index, _)| *index).collect();
    assert_eq!(places, [0, 0, 2, 3, 3], "all problems in one answer");
}

/// A Task of few words, so that filters meet some of them.
fn any_task() -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(vec!["a", "b", "c"]);
    let identifier = move || (prop::option::of(word()), word());
    (word(), word(), prop::option::of(identifier()), prop::option::of((word(), identifier()))).prop_map(
        |(status, code, requester, owner)| {
            let identifier = |(system, value): (Option<&str>, &str)| match system {
                Some(system) => json!({"system": format!("http://{system}"), "value": value}),
                None => json!({"value": value}),
            };
            let mut task = json!({
                "resourceType": "Task", "status": status, "intent": "order",
                "code": {"coding": [{"system": "http://s", "code": code}]},
            });
            if let Some(requester) = requester {
                task["requester"] = json!({"identifier": identifier(requester)});
            }
            if let Some((id, owner)) = owner {
                task["owner"] =
                    json!({"reference": format!("Organization/{id}"), "identifier": identifier(owner)});
            }
            task
        },
    )
}

/// One parameter with its values.
type Parameter = (&'static str, Vec<String>);

fn any_parameter() -> impl Strategy<Value = Parameter> {
    let word = || prop::sample::select(vec!["a", "b", "c"]);
    let system = || prop::sample::select(vec!["", "|", "http://a|", "http://b|"]);
    let tokens = move || prop::collection::vec((system(), word()).prop_map(|(s, w)| format!("{s}{w}")), 1..3);
    let references = prop::collection::vec(word().prop_map(|id| format!("Organization/{id}")), 1..3);
    let words = prop::collection::vec(word().prop_map(str::to_owned), 1..3);
    prop_oneof![
        words.clone().prop_map(|values| ("status", values)),
        words.prop_map(|values| ("code", values)),
        tokens().prop_map(|values| ("requester:identifier", values)),
        tokens().prop_map(|values| ("owner:identifier", values)),
        references.prop_map(|values| ("owner", values)),
    ]
}

/// The same by hand.
fn meets(task: &Value, (name, values): &Parameter) -> bool {
    let is_identifier = |at: &Value, wanted: &str| {
        let (system, value) = match wanted.rsplit_once('|') {
            Some((system, value)) => (Some(system), value),
            None => (None, wanted),
        };
        at["identifier"]["value"] == value
            && match system {
                None => true,
                Some("") => at["identifier"]["system"].is_null(),
                Some(system) => at["identifier"]["system"] == system,
            }
    };
    values.iter().any(|wanted| match *name {
        "status" => task["status"] == **wanted,
        "code" => task["code"]["coding"][0]["code"] == **wanted,
        "owner" => task["owner"]["reference"] == **wanted,
        "requester:identifier" => is_identifier(&task["requester"], wanted),
        _ => is_identifier(&task["owner"], wanted),
    })
}

proptest! {
    #[test]
    fn a_filter_agrees_with_a_reading_by_hand(
        task in any_task(),
        criteria in prop::collection::vec(prop::collection::vec(any_parameter(), 1..3), 0..3),
    ) {
        let texts: Vec<String> = criteria
            .iter()
            .map(|parameters| {
                let parameters = parameters.iter().map(|(name, values)| format!("{name}={}", values.join(",")));
                format!("Task?{}", parameters.collect::<Vec<_>>().join("&"))
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let expected = criteria.iter().flatten().all(|parameter| meets(&task, parameter));
        prop_assert_eq!(passes(&texts, &task), expected, "{:?}", texts);
    }

    #[test]
    fn no_text_makes_the_reader_fail(text in "(/?(Task|Observation)?\\??)?[a-z:.&=,|%\\\\]{0,20}") {
        let _ = Filter::parse([&*text], BASE);
    }
}
