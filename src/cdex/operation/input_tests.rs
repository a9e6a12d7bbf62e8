//! What is read of a call, whichever way it came, and what is refused.

use serde_json::{Value, json};

use super::{Inputs, OPERATIONS, Operation};
use crate::fhir::Issue;

fn read(operation: Operation, url: &str, body: Option<Value>, strict: bool) -> Result<Inputs, Vec<Issue>> {
    let definition = OPERATIONS.iter().find(|definition| definition.operation == operation).expect("a row");
    Inputs::read(definition, &crate::fhir::address::parameters(url), body, strict)
}

/// Code and expression of each issue.
type Expected = Vec<(&'static str, Option<String>)>;

fn parameters(list: &Value) -> Value {
    json!({"resourceType": "Parameters", "parameter": list})
}

#[test]
fn it_makes_no_difference_how_parameters_come() {
    let body = parameters(&json!([
        {"name": "patient", "valueId": "p1"},
        {"name": "start", "valueDateTime": "2020-01-01T00:00:00+01:00"},
        {"name": "type", "valueCoding": {"system": "http://loinc.org", "code": "34133-9"}},
        {"name": "type", "valueCodeableConcept": {"coding": [{"code": "a|b"}, {"display": "x"}]}},
        {"name": "on-demand", "valueBoolean": true},
    ]));
    let posted = read(Operation::Docref, "", Some(body), true).expect("it is right");
    let url =
        "patient=p1&start=2020-01-01T00:00:00+01:00&type=http://loinc.org|34133-9,a\\|b&on-demand=true&end=";
    let got =
        read(Operation::Docref, &format!("{url}&_format=json&_cursor=x"), None, true).expect("it is right");
    assert_eq!(posted.applied(), got.applied());
    assert_eq!(got.texts("type").collect::<Vec<_>>(), ["http://loinc.org|34133-9", "a\\|b"]);
    assert_eq!((got.flag("on-demand"), got.text("start")), (Some(true), Some("2020-01-01T00:00:00+01:00")));
    assert_eq!((got.cursor.as_deref(), posted.cursor), (Some("x"), None));
}

#[test]
fn the_only_resource_of_an_operation_may_be_the_body() {
    let patient = json!({"resourceType": "Patient"});
    let mut inputs = read(Operation::Match, "count=3", Some(patient.clone()), true).expect("it is right");
    let taken = inputs.take("resource").expect("a resource");
    assert_eq!(
        (taken.resource, &*taken.expression, inputs.count("count")),
        (patient.clone(), "Patient", Some(3))
    );
    assert_eq!(inputs.take("resource"), None);
    let body =
        parameters(&json!([{"name": "count", "valueInteger": 3}, {"name": "resource", "resource": patient}]));
    let taken = read(Operation::Match, "", Some(body), true).expect("it is right").take("resource");
    assert_eq!(taken.map(|taken| taken.expression).as_deref(), Some("Parameters.parameter[1].resource"));
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let patient = json!({"resourceType": "Patient"});
    let at = |index: usize, rest: &str| format!("Parameters.parameter[{index}]{rest}");
    let cases: Vec<(Operation, &str, Option<Value>, Expected)> = vec![
        (Operation::Match, "", None, vec![("required", None)]),
        (
            Operation::Match,
            "",
            Some(parameters(&json!([]))),
            vec![("required", Some("Parameters.parameter".to_owned()))],
        ),
        (
            Operation::Match,
            "",
            Some(json!({})),
            vec![
                ("required", Some("resourceType".to_owned())),
                ("required", Some("Parameters.parameter".to_owned())),
            ],
        ),
        (
            Operation::Match,
            "",
            Some(json!({"resourceType": "Task"})),
            vec![("value", Some("Task".to_owned()))],
        ),
        (
            Operation::Match,
            "",
            Some(json!({"resourceType": "Doe, Jane"})),
            vec![("value", Some("Resource".to_owned()))],
        ),
        (
            Operation::Match,
            "count=0&onlyCertainMatches=yes&resource=x",
            Some(patient.clone()),
            vec![("value", None), ("value", None), ("invalid", None)],
        ),
        (
            Operation::Match,
            "",
            Some(parameters(&json!([
                {"name": "resource", "resource": patient},
                {"name": "resource", "resource": patient},
                {"name": "count", "valueInteger": 2.5},
                {"name": "count"},
                {"valueInteger": 1},
                {"name": "other", "valueInteger": 1},
                7,
            ]))),
            vec![
                ("structure", Some(at(1, ".resource"))),
                ("value", Some(at(2, ""))),
                ("required", Some(at(3, ".value"))),
                ("required", Some(at(4, ".name"))),
                ("not-supported", Some(at(5, ""))),
                ("structure", Some(at(6, ""))),
            ],
        ),
        (
            Operation::MemberMatch,
            "",
            Some(patient.clone()),
            vec![
                ("structure", Some("resourceType".to_owned())),
                ("required", Some("Parameters.parameter".to_owned())),
                ("required", Some("Parameters.parameter".to_owned())),
                ("required", Some("Parameters.parameter".to_owned())),
            ],
        ),
        (
            Operation::Everything,
            "start=yesterday&_count=x&_count=1&foo=1",
            None,
            vec![("value", None), ("value", None), ("not-supported", None)],
        ),
        (
            Operation::Docref,
            "patient=a&patient=b&patient=c_d",
            None,
            vec![("structure", None), ("value", None)],
        ),
    ];
    for (operation, url, body, expected) in cases {
        let told = read(operation, url, body, true).expect_err("it is refused");
        let told: Vec<_> = told.into_iter().map(|issue| (issue.code.as_code(), issue.expression)).collect();
        assert_eq!(told, expected, "{operation:?} {url}");
    }
}

#[test]
fn what_is_not_known_is_an_error_only_if_the_client_minds() {
    let inputs = read(Operation::Everything, "foo=1", None, false).expect("it is tolerated");
    assert_eq!(inputs.ignored.len(), 1);
    assert!(!inputs.ignored[0].is_error());
    assert!(read(Operation::Everything, "foo=1", None, true).is_err());
    // Only answers in pages have a cursor.
    assert!(read(Operation::Validate, "_cursor=1", None, true).is_err());
}
