//! Media types and shapes, JSON Patch by the cases of RFC 6902 (appendix A) and its rules, merge patch by those of
//! RFC 7396 (appendix A), and what no patch may do.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

/// Applies operations to any document; a refusal is told by the places of its issues.
fn json_patch(document: &str, operations: &str) -> Result<Value, String> {
    let Value::Array(operations) = parse(operations) else { panic!("operations are an array") };
    let patch = JsonPatch::parse(operations).map_err(|issues| expressions(&issues))?;
    patch.apply(&parse(document)).map_err(|error| match &error {
        PatchError::Inapplicable(issues) => expressions(issues),
        PatchError::TestFailed(issues) => format!("test {}", expressions(issues)),
    })
}

fn expressions(issues: &[Issue]) -> String {
    let places = issues.iter().map(|issue| issue.expression.as_deref().unwrap_or("-"));
    places.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_media_type_and_the_shape_say_which_patch_it_is() {
    let parameters = r#"{"resourceType":"Parameters"}"#;
    let wrong = |text: &str| Err(Some(text.to_owned()));
    for (content_type, body, kind) in [
        ("application/json-patch+json", "[]", Ok("json")),
        ("application/json-patch+json; charset=utf-8", "{}", wrong("A JSON Patch is an array of operations")),
        ("application/merge-patch+json", "{}", Ok("merge")),
        ("application/merge-patch+json", parameters, Ok("merge")),
        ("application/merge-patch+json", "[]", wrong("A merge patch of a resource is an object")),
        ("application/fhir+json; fhirVersion=4.0", parameters, Ok("fhirpath")),
        ("application/fhir+json", "{}", wrong("A patch in FHIR is a Parameters resource")),
        ("application/fhir+json", "[]", wrong("A patch in FHIR is a Parameters resource")),
        ("Application/JSON", "[]", Ok("json")),
        ("application/json", "{}", Ok("merge")),
        ("application/json", parameters, Ok("fhirpath")),
        (
            "application/json",
            "7",
            wrong("A patch is an array of operations, a part of the resource or a Parameters resource"),
        ),
        ("application/xml-patch+xml", "[]", Err(None)),
        ("application/fhir+json; fhirVersion=5.0", parameters, Err(None)),
    ] {
        let found = PatchFormat::of(Some(content_type)).map_err(|_| None).and_then(|format| {
            let patch = Patch::parse(format, parse(body)).map_err(|issues| Some(issues[0].text.clone()))?;
            Ok(match patch {
                Patch::Json(_) => "json",
                Patch::Merge(_) => "merge",
                Patch::FhirPath(_) => "fhirpath",
            })
        });
        assert_eq!(found, kind, "{content_type} {body}");
    }
    assert_eq!(PatchFormat::of(None), Err(MediaTypeError::Missing));
}

#[test]
fn json_patch_does_what_rfc_6902_says() {
    for (document, operations, expected) in [
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":2}]"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":[1,3]}"#, r#"[{"op":"add","path":"/a/1","value":2}]"#, r#"{"a":[1,2,3]}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/-","value":[2]}]"#, r#"{"a":[1,[2]]}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/1","value":2}]"#, r#"{"a":[1,2]}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/a","value":null}]"#, r#"{"a":null}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":{"c":{}},"xyz":7}]"#, r#"{"a":1,"b":{"c":{}}}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"","value":{"b":2}}]"#, r#"{"b":2}"#),
        (r#"{"a":1,"b":2,"c":3}"#, r#"[{"op":"remove","path":"/a"}]"#, r#"{"b":2,"c":3}"#),
        (r#"{"a":[1,2,3]}"#, r#"[{"op":"remove","path":"/a/1"}]"#, r#"{"a":[1,3]}"#),
        (r#"{"a":1,"b":2}"#, r#"[{"op":"replace","path":"/a","value":3.10}]"#, r#"{"a":3.10,"b":2}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"replace","path":"/a/0","value":2}]"#, r#"{"a":[2]}"#),
        (
            r#"{"a":{"b":1,"c":2},"d":{"e":3}}"#,
            r#"[{"op":"move","from":"/a/b","path":"/d/f"}]"#,
            r#"{"a":{"c":2},"d":{"e":3,"f":1}}"#,
        ),
        (r#"{"a":[1,2,3,4]}"#, r#"[{"op":"move","from":"/a/1","path":"/a/3"}]"#, r#"{"a":[1,3,4,2]}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#, r#"{"a":[1]}"#),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"copy","from":"/a","path":"/a/c"}]"#, r#"{"a":{"b":1,"c":{"b":1}}}"#),
        (
            r#"{"a":"x","b":["y",2]}"#,
            r#"[{"op":"test","path":"/a","value":"x"},{"op":"test","path":"/b/1","value":2.0}]"#,
            r#"{"a":"x","b":["y",2]}"#,
        ),
        (
            r#"{"/":9,"~1":10}"#,
            r#"[{"op":"test","path":"/~01","value":10},{"op":"remove","path":"/~1"}]"#,
            r#"{"~1":10}"#,
        ),
        (r#"{"":{"":1}}"#, r#"[{"op":"replace","path":"//","value":2}]"#, r#"{"":{"":2}}"#),
        (r#"{"0":1}"#, r#"[{"op":"replace","path":"/0","value":2}]"#, r#"{"0":2}"#),
    ] {
        let found = json_patch(document, operations).map(|found| found.to_string());
        assert_eq!(found, Ok(expected.to_owned()), "{document} {operations}");
    }
}

#[test]
fn a_json_patch_that_cannot_be_done_names_the_operation() {
    for (document, operations, refusal) in [
        (
            r#"{"a":1}"#,
            r#"[{"op":"test","path":"/a","value":1},{"op":"add","path":"/b/c","value":2}]"#,
            "$this[1].path",
        ),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/2","value":2}]"#, "$this[0].path"),
        (r#"{"a":[1,2]}"#, r#"[{"op":"remove","path":"/a/01"}]"#, "$this[0].path"),
        (r#"{"a":[1,2]}"#, r#"[{"op":"remove","path":"/a/-"}]"#, "$this[0].path"),
        (r#"{"a":[1,2]}"#, r#"[{"op":"add","path":"/a/+1","value":2}]"#, "$this[0].path"),
        (r#"{"a":[1,2]}"#, r#"[{"op":"remove","path":"/a/99999999999999999999999"}]"#, "$this[0].path"),
        (r#"{"a":1}"#, r#"[{"op":"remove","path":"/a/b"}]"#, "$this[0].path"),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"/b","value":2}]"#, "$this[0].path"),
        (r#"{"a":1}"#, r#"[{"op":"copy","from":"/b","path":"/c"}]"#, "$this[0].from"),
        (r#"{"a":{}}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#, "$this[0].path"),
        (r#"{"a":"x"}"#, r#"[{"op":"test","path":"/a","value":"y"}]"#, "test $this[0]"),
        (r#"{"a":"10"}"#, r#"[{"op":"test","path":"/a","value":10}]"#, "test $this[0]"),
        (r#"{"a":"x"}"#, r#"[{"op":"test","path":"/b","value":null}]"#, "test $this[0]"),
    ] {
        assert_eq!(json_patch(document, operations), Err(refusal.to_owned()), "{document} {operations}");
    }
}

#[test]
fn all_that_is_wrong_with_a_json_patch_is_told_at_once() {
    let operations = r#"[
        {"op":"add","path":"/a"}, 7, {"path":"/a"}, {"op":"spam","path":"/a"}, {"op":"remove","path":"a"},
        {"op":"move","path":"/a"}, {"op":"copy","from":"/~2","path":"/~"}, {"op":"remove"}, {"op":"remove","path":"/a"}
    ]"#;
    let refusal = "$this[0].value $this[1] $this[2].op $this[3].op $this[4].path $this[5].from $this[6].path \
                   $this[6].from $this[7].path";
    assert_eq!(json_patch("{}", operations), Err(refusal.to_owned()));
}

#[test]
fn a_merge_patch_does_what_rfc_7396_says() {
    for (target, patch, expected) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"e":null}"#, r#"{"a":1.50}"#, r#"{"e":null,"a":1.50}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        let found = merge_patch::merge(parse(target), &parse(patch));
        assert_eq!(found.to_string(), expected, "{target} {patch}");
    }
}

#[test]
fn no_patch_makes_a_resource_another_one() {
    let resource = json!({ "resourceType": "Patient", "id": "1", "active": true });
    for (body, places) in [
        (json!([{ "op": "replace", "path": "/id", "value": "2" }]), "Patient.id"),
        (json!([{ "op": "remove", "path": "/id" }]), "Patient.id"),
        (json!([{ "op": "remove", "path": "" }]), "-"),
        (json!([{ "op": "add", "path": "", "value": { "id": "2" } }]), "Patient.resourceType Patient.id"),
        (json!({ "resourceType": "Person" }), "Patient.resourceType"),
        (json!({ "id": null, "active": false }), "Patient.id"),
    ] {
        let patch = Patch::parse(PatchFormat::Json, body.clone()).expect("a patch");
        let error = patch.apply(&resource).expect_err("it is refused");
        assert!(matches!(error, PatchError::Inapplicable(_)), "{body}");
        assert_eq!(expressions(error.issues()), places, "{body}");
    }
    let patch =
        Patch::parse(PatchFormat::Json, json!({ "resourceType": "Patient", "id": "1" })).expect("a patch");
    assert_eq!(patch.apply(&resource), Ok(resource));
}

#[test]
fn a_patch_has_bounds() {
    let test = json!({ "op": "test", "path": "", "value": {} });
    assert!(JsonPatch::parse(vec![test.clone(); MOST_OPERATIONS]).is_ok());
    assert_eq!(
        JsonPatch::parse(vec![test; MOST_OPERATIONS + 1]).map_err(|issues| issues[0].code),
        Err(IssueType::TooCostly)
    );

    // Each operation doubles the document, and makes it deeper by one.
    let doubling = vec![json!({ "op": "copy", "from": "/a", "path": "/a/-" }); 900];
    let patch = JsonPatch::parse(doubling).expect("operations");
    let error = patch.apply(&json!({ "a": ["x".repeat(100_000)] })).expect_err("too much");
    assert_eq!(error.issues()[0].code, IssueType::TooCostly);

    let deeper: Vec<Value> =
        (0..900).map(|at| json!({ "op": "add", "path": "/0".repeat(at), "value": [7] })).collect();
    let error = JsonPatch::parse(deeper).expect("operations").apply(&json!([])).expect_err("too deep");
    assert_eq!(expressions(error.issues()), format!("$this[{DEEPEST}]"));
}

#[test]
fn issues_never_quote_what_the_client_sent() {
    let operations = r#"[{"op":"marker","path":"marker"},{"op":"move","from":"marker","path":"/a"},{"op":"add","path":"/marker"}]"#;
    let Value::Array(operations) = parse(operations) else { panic!("operations are an array") };
    let issues = JsonPatch::parse(operations).expect_err("all wrong");
    assert!(issues.len() >= 4 && !format!("{issues:?}").contains("marker"), "{issues:?}");
}

/// The operations that turn one value into another, the plain way.
fn difference(from: &Value, to: &Value, at: &str, operations: &mut Vec<Value>) {
    let escaped = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match (from, to) {
        _ if from == to => {}
        (Value::Object(from), Value::Object(to)) => {
            for name in from.keys().filter(|name| !to.contains_key(*name)) {
                operations.push(json!({ "op": "remove", "path": escaped(name) }));
            }
            for (name, to) in to {
                match from.get(name) {
                    Some(from) => difference(from, to, &escaped(name), operations),
                    None => operations.push(json!({ "op": "add", "path": escaped(name), "value": to })),
                }
            }
        }
        (Value::Array(from), Value::Array(to)) => {
            for (index, (from, to)) in from.iter().zip(to).enumerate() {
                difference(from, to, &format!("{at}/{index}"), operations);
            }
            for index in (to.len()..from.len()).rev() {
                operations.push(json!({ "op": "remove", "path": format!("{at}/{index}") }));
            }
            for to in to.iter().skip(from.len()) {
                operations.push(json!({ "op": "add", "path": format!("{at}/-"), "value": to }));
            }
        }
        _ => operations.push(json!({ "op": "replace", "path": at, "value": to })),
    }
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        Just(Value::Null)
    ];
    let value = leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[ab~/0]{0,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    proptest::collection::hash_map("[ab~/]{1,2}", value, 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn a_difference_applied_gives_the_other_document(from in document(), to in document()) {
        let mut operations = Vec::new();
        difference(&from, &to, "", &mut operations);
        operations.push(json!({ "op": "test", "path": "", "value": to }));
        let patch = JsonPatch::parse(operations).expect("operations");
        prop_assert_eq!(patch.apply(&from), Ok(to));
    }

    #[test]
    fn a_merge_patch_applied_twice_is_as_applied_once(target in document(), patch in document()) {
        let once = merge_patch::merge(target, &patch);
        prop_assert_eq!(merge_patch::merge(once.clone(), &patch), once);
    }

    #[test]
    fn a_pointer_that_was_read_leads_where_its_steps_lead(steps in proptest::collection::vec("[ab~/01]{0,3}", 0..5)) {
        let escaped: Vec<String> = steps.iter().map(|step| step.replace('~', "~0").replace('/', "~1")).collect();
        let text = [&[String::new()], &escaped[..]].concat().join("/");
        let mut document = json!("found");
        for step in steps.iter().rev() {
            document = json!({ step.as_str(): document });
        }
        let pointer = pointer::Pointer::parse(&text).expect("a pointer");
        prop_assert_eq!(pointer.find(&document), Some(&json!("found")));
    }
}
