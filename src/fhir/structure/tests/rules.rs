//! One resource for each rule beyond the shape, and where the issue is.

use serde_json::{Value, json};

use super::{Mode, check, found_in};
use crate::fhir::IssueType::{self, CodeInvalid, Invariant, Required, Structure, Value as Bad};

/// A resource of a type with what it requires, and more.
fn resource(members: Value, more: Value) -> Value {
    let mut all = members;
    let Value::Object(more) = more else { panic!("an object") };
    all.as_object_mut().expect("an object").extend(more);
    all
}

fn patient(more: Value) -> Value {
    resource(json!({ "resourceType": "Patient" }), more)
}

fn task(more: Value) -> Value {
    resource(json!({ "resourceType": "Task", "status": "requested", "intent": "order" }), more)
}

fn observation(more: Value) -> Value {
    resource(json!({ "resourceType": "Observation", "status": "final", "code": { "text": "c" } }), more)
}

fn assert_found(cases: Vec<(Value, Vec<(&str, IssueType)>)>) {
    for (resource, wanted) in cases {
        let wanted: Vec<_> = wanted.into_iter().map(|(path, code)| (path.to_owned(), code)).collect();
        assert_eq!(found_in(&resource, Mode::Strict), wanted, "{resource}");
    }
}

#[test]
fn a_required_element_must_be_there_at_every_depth() {
    assert_found(vec![
        (json!({ "resourceType": "Task" }), vec![("R.status", Required), ("R.intent", Required)]),
        (task(json!({ "input": [{ "type": { "text": "t" } }] })), vec![("R.input[0].value", Required)]),
        (patient(json!({ "link": [{ "type": "seealso" }] })), vec![("R.link[0].other", Required)]),
        (patient(json!({ "extension": [{ "valueCode": "c" }] })), vec![("R.extension[0].url", Required)]),
        // An extension in place of a value is the element.
        (
            json!({ "resourceType": "Task", "_status": { "extension": [{ "url": "u", "valueCode": "c" }] }, "intent": "order" }),
            vec![],
        ),
    ]);
}

#[test]
fn a_choice_is_made_once() {
    assert_found(vec![
        (observation(json!({ "valueString": "x", "valueInteger": 1 })), vec![("R.valueInteger", Structure)]),
        (observation(json!({ "valueString": "x", "_valueString": { "id": "i" } })), vec![]),
    ]);
}

#[test]
fn a_primitive_has_the_form_of_its_type() {
    let cases = [
        ("valueBase64Binary", json!("QQ=="), json!("QQ")),
        ("valueBase64Binary", json!("QUJD\n QUJD"), json!("Q*==")),
        ("valueCode", json!("two words"), json!(" ahead")),
        ("valueDate", json!("2024-02-29"), json!("2023-02-29")),
        ("valueDateTime", json!("2024-02-29T10:00:00Z"), json!("2024-02-29T10:00")),
        ("valueId", json!("a.b-1"), json!("a_b")),
        ("valueInstant", json!("2024-02-29T10:00:00.5+01:00"), json!("2024-02-29")),
        ("valueMarkdown", json!("*x*\n"), json!("\u{8}")),
        ("valueOid", json!("urn:oid:2.16.840.1"), json!("urn:oid:2.016")),
        ("valueString", json!(" x "), json!("  ")),
        ("valueTime", json!("10:00:00"), json!("10:00")),
        ("valueUri", json!("urn:x"), json!("urn: x")),
        ("valueUrl", json!("http://x"), json!("http:// x")),
        ("valueCanonical", json!("http://x|1"), json!("a b")),
        (
            "valueUuid",
            json!("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
            json!("urn:uuid:C757873D-EC9A-4326-A141-556F43239520"),
        ),
        ("valuePositiveInt", json!(1), json!(0)),
        ("valueUnsignedInt", json!(0), json!(-1)),
        ("valueInteger", json!(-1), json!(1.0)),
        ("valueDecimal", json!(1.50), json!("1.50")),
        ("valueBoolean", json!(true), json!("true")),
    ];
    for (name, right, wrong) in cases {
        let of = |value: &Value| patient(json!({ "extension": [{ "url": "u", name: value }] }));
        assert_eq!(found_in(&of(&right), Mode::Strict), [], "{name} {right}");
        assert_eq!(
            found_in(&of(&wrong), Mode::Strict),
            [(format!("R.extension[0].{name}"), Bad)],
            "{name} {wrong}"
        );
    }
    assert_found(vec![
        (patient(json!({ "id": "a/b" })), vec![("R.id", Bad)]),
        (patient(json!({ "name": [{ "given": ["a", " "] }] })), vec![("R.name[0].given[1]", Bad)]),
        (
            patient(json!({ "_birthDate": { "id": " " } })),
            vec![("R._birthDate", Invariant), ("R._birthDate.id", Bad)],
        ),
        (
            patient(json!({ "text": { "status": "generated", "div": "<p>no</p>" } })),
            vec![("R.text.div", Bad)],
        ),
    ]);
}

#[test]
fn a_required_binding_is_kept() {
    let status = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    let condition = |concept: Value| json!({ "resourceType": "Condition", "subject": { "display": "s" }, "clinicalStatus": concept });
    assert_found(vec![
        (patient(json!({ "gender": "Male" })), vec![("R.gender", CodeInvalid)]),
        (patient(json!({ "name": [{ "use": "home" }] })), vec![("R.name[0].use", CodeInvalid)]),
        (task(json!({ "intent": "request" })), vec![("R.intent", CodeInvalid)]),
        // Of what nobody can list, the form.
        (
            patient(json!({ "photo": [{ "contentType": "image" }, { "contentType": "image/png; q=1" }] })),
            vec![("R.photo[0].contentType", CodeInvalid)],
        ),
        (
            patient(
                json!({ "extension": [{ "url": "u", "valueMoney": { "value": 1, "currency": "dollar" } }] }),
            ),
            vec![("R.extension[0].valueMoney.currency", CodeInvalid)],
        ),
        (condition(json!({ "coding": [{ "system": status, "code": "active" }] })), vec![]),
        (
            condition(
                json!({ "coding": [{ "system": "http://x", "code": "1" }, { "system": status, "code": "active" }] }),
            ),
            vec![],
        ),
        (
            condition(json!({ "coding": [{ "system": status, "code": "Active" }] })),
            vec![("R.clinicalStatus", CodeInvalid)],
        ),
        (condition(json!({ "coding": [{ "code": "active" }] })), vec![("R.clinicalStatus", CodeInvalid)]),
        (condition(json!({ "text": "active" })), vec![("R.clinicalStatus", CodeInvalid)]),
    ]);
}

#[test]
fn a_reference_points_to_an_allowed_type() {
    let organization = |reference: Value| patient(json!({ "managingOrganization": reference }));
    let bad = vec![("R.managingOrganization.reference", Bad)];
    assert_found(vec![
        (organization(json!({ "reference": "Organization/1" })), vec![]),
        (organization(json!({ "reference": "http://x/fhir/Organization/1/_history/2" })), vec![]),
        (organization(json!({ "reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520" })), vec![]),
        (organization(json!({ "reference": "http://x/1" })), vec![]),
        (organization(json!({ "identifier": { "value": "1" } })), vec![]),
        (organization(json!({ "reference": "Patient/1" })), bad.clone()),
        (organization(json!({ "reference": "https://x/fhir/Patient/1" })), bad.clone()),
        (organization(json!({ "reference": "Organisation/1" })), bad),
        (organization(json!({ "type": "Organization", "display": "d" })), vec![]),
        (organization(json!({ "type": "Patient" })), vec![("R.managingOrganization.type", Bad)]),
        (organization(json!({ "type": "organization" })), vec![("R.managingOrganization.type", Bad)]),
        (task(json!({ "for": { "reference": "Patient/1", "type": "Group" } })), vec![("R.for.type", Bad)]),
    ]);
}

#[test]
fn what_is_contained_follows_its_own_rules() {
    let with = |contained: Value, reference: &str| {
        patient(json!({ "contained": [contained], "managingOrganization": { "reference": reference } }))
    };
    let organization =
        |more: Value| resource(json!({ "resourceType": "Organization", "id": "o", "name": "n" }), more);
    assert_found(vec![
        (with(organization(json!({})), "#o"), vec![]),
        (with(organization(json!({})), "Organization/1"), vec![("R.contained[0]", Invariant)]),
        (
            with(organization(json!({ "partOf": { "reference": "#" } })), "Organization/1"),
            vec![("R.contained[0].partOf.reference", Bad)],
        ),
        (
            with(organization(json!({})), "#p"),
            vec![("R.managingOrganization.reference", Invariant), ("R.contained[0]", Invariant)],
        ),
        (
            with(json!({ "resourceType": "Patient", "id": "o" }), "#o"),
            vec![("R.managingOrganization.reference", Bad)],
        ),
        (
            with(organization(json!({ "meta": { "versionId": "1", "security": [{ "code": "c" }] } })), "#o"),
            vec![("R.contained[0].meta.versionId", Invariant), ("R.contained[0].meta.security", Invariant)],
        ),
        (
            with(
                organization(
                    json!({ "contained": [{ "resourceType": "Basic", "id": "b", "code": { "text": "c" } }], "partOf": { "reference": "#o" } }),
                ),
                "#o",
            ),
            vec![("R.contained[0].contained[0]", Invariant), ("R.contained[0].contained", Invariant)],
        ),
    ]);
}

#[test]
fn invariants_are_told_by_their_key_at_their_element() {
    let keys = |resource: &Value| -> Vec<(String, String)> {
        let issues = check(resource, "R", Mode::Strict).into_iter();
        let key = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
        issues.map(|issue| (issue.expression.unwrap_or_default(), key(&issue.text))).collect()
    };
    let item = |item: Value| json!({ "resourceType": "Questionnaire", "status": "draft", "item": [item] });
    let bundle = |more: Value| resource(json!({ "resourceType": "Bundle", "type": "collection" }), more);
    for (resource, path, key) in [
        (patient(json!({ "maritalStatus": { "id": "m" } })), "R.maritalStatus", "ele-1"),
        (patient(json!({ "extension": [{ "url": "u" }] })), "R.extension[0]", "ext-1"),
        (
            patient(json!({ "name": [{ "period": { "start": "2022-02", "end": "2022-01-31" } }] })),
            "R.name[0].period",
            "per-1",
        ),
        (patient(json!({ "telecom": [{ "value": "1" }] })), "R.telecom[0]", "cpt-2"),
        (patient(json!({ "photo": [{ "data": "QQ==" }] })), "R.photo[0]", "att-1"),
        (patient(json!({ "contact": [{ "gender": "male" }] })), "R.contact[0]", "pat-1"),
        (observation(json!({ "valueQuantity": { "value": 1, "code": "c" } })), "R.valueQuantity", "qty-3"),
        (
            observation(json!({ "valueRange": { "low": { "value": 2 }, "high": { "value": 1 } } })),
            "R.valueRange",
            "rng-2",
        ),
        (
            observation(json!({ "valueRange": { "low": { "value": 2, "comparator": "<" } } })),
            "R.valueRange.low",
            "sqty-1",
        ),
        (observation(json!({ "valueRatio": { "numerator": { "value": 2 } } })), "R.valueRatio", "rat-1"),
        (observation(json!({ "valueString": "x", "dataAbsentReason": { "text": "r" } })), "R", "obs-6"),
        (
            observation(json!({ "effectiveTiming": { "repeat": { "duration": 1 } } })),
            "R.effectiveTiming.repeat",
            "tim-1",
        ),
        (task(json!({ "authoredOn": "2022-02-01", "lastModified": "2022-01-01" })), "R", "inv-1"),
        (json!({ "resourceType": "Organization", "active": true }), "R", "org-1"),
        (bundle(json!({ "total": 1 })), "R", "bdl-1"),
        (bundle(json!({ "type": "document", "identifier": { "system": "s", "value": "v" } })), "R", "bdl-10"),
        (bundle(json!({ "entry": [{ "fullUrl": "http://x/Patient/1" }] })), "R.entry[0]", "bdl-5"),
        (json!({ "resourceType": "Parameters", "parameter": [{ "name": "n" }] }), "R.parameter[0]", "inv-1"),
        (item(json!({ "linkId": "1", "type": "group" })), "R.item[0]", "que-1"),
        (item(json!({ "linkId": "1", "type": "text", "answerValueSet": "http://x" })), "R.item[0]", "que-5"),
    ] {
        let found = keys(&resource);
        assert!(found.contains(&(path.to_owned(), key.to_owned())), "{key} not in {found:?} of {resource}");
    }
}
