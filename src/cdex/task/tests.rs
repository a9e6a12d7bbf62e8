//! What the rules say of whole Tasks; the statuses and the steps have tests of their own beside them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::change::{Role, check_change, check_created, check_put, check_status, keep_tags};
use super::query::{Extent, NoSearch, PatientSearch};
use super::questionnaire::check_answer;
use super::{Asked, CDEX_TEMP, CdexTask, HREX_TEMP, Input, LOINC, PAS_TEMP, SDC_TEMP, TaskKind, TaskStatus};
use crate::clock::Timestamp;
use crate::fhir::datatype::Coding;
use crate::fhir::{Issue, Severity};

const BASE: &str = "http://gateway.example/fhir";

fn input((system, code): (&str, &str), name: &str, value: Value) -> Value {
    let mut input = json!({ "type": { "coding": [{ "system": system, "code": code }] } });
    input[name] = value;
    input
}

/// A request with this code and these inputs.
fn task(code: (&str, &str), inputs: Vec<Value>) -> Value {
    let inputs = Value::Array(inputs);
    json!({
        "resourceType": "Task",
        "meta": { "tag": [{ "system": CDEX_TEMP, "code": "claims-processing" }] },
        "identifier": [{ "system": "urn:payer", "value": "1" }],
        "status": "requested", "intent": "order",
        "code": { "coding": [{ "system": code.0, "code": code.1 }] },
        "for": { "identifier": { "system": "urn:members", "value": "m" } },
        "requester": { "identifier": { "system": "urn:payers", "value": "p" } },
        "input": inputs,
    })
}

fn query_task() -> Value {
    task(
        (CDEX_TEMP, "data-request-query"),
        vec![input((HREX_TEMP, "data-query"), "valueString", json!("Condition?patient=1"))],
    )
}

fn expressions(issues: &[Issue]) -> Vec<&str> {
    issues.iter().filter_map(|issue| issue.expression.as_deref()).collect()
}

#[test]
fn a_task_is_a_cdex_task_by_its_code_and_system() {
    for (system, code, expected) in [
        (CDEX_TEMP, "data-request-query", Some(TaskKind::DataQuery)),
        (CDEX_TEMP, "data-request-code", Some(TaskKind::DataCode)),
        (CDEX_TEMP, "data-request-questionnaire", Some(TaskKind::DataQuestionnaire)),
        (PAS_TEMP, "attachment-request-code", Some(TaskKind::AttachmentCode)),
        (PAS_TEMP, "attachment-request-questionnaire", Some(TaskKind::AttachmentQuestionnaire)),
        (PAS_TEMP, "data-request-query", None),
        (HREX_TEMP, "data-request", None),
        (CDEX_TEMP, "Data-Request-Query", None),
    ] {
        let tree = task((system, code), Vec::new());
        let read = CdexTask::read(&tree);
        assert_eq!(read.map(|task| task.kind), expected, "{system} {code}");
        assert!(read.is_none_or(|task| task.status == Some(TaskStatus::Requested)));
    }
    let other = json!({ "resourceType": "ServiceRequest", "code": query_task()["code"] });
    assert!(CdexTask::read(&other).is_none());
    assert!(CdexTask::read(&json!({ "resourceType": "Task" })).is_none());
}

#[test]
fn what_a_task_asks_for_is_in_the_input_of_its_kind() {
    let code = |concept| vec![input((HREX_TEMP, "data-code"), "valueCodeableConcept", concept)];
    let loinc = Coding { system: Some(LOINC), code: Some("11506-3") };
    let data = (CDEX_TEMP, "data-request-code");
    for (tree, expected) in [
        (query_task(), Asked::Query("Condition?patient=1")),
        (task((CDEX_TEMP, "data-request-query"), Vec::new()), Asked::Nothing),
        (task(data, code(json!({ "text": "all notes" }))), Asked::FreeText),
        (
            task(data, code(json!({ "coding": [{ "system": LOINC, "code": "11506-3" }] }))),
            Asked::Coded(vec![loinc]),
        ),
        (
            task(
                (CDEX_TEMP, "data-request-questionnaire"),
                vec![input((SDC_TEMP, "questionnaire"), "valueCanonical", json!("urn:q|1"))],
            ),
            Asked::Questionnaires(vec!["urn:q|1"]),
        ),
        (
            task(
                (PAS_TEMP, "attachment-request-questionnaire"),
                vec![
                    input((PAS_TEMP, "questionnaire-context"), "valueCanonical", json!("urn:a")),
                    input((PAS_TEMP, "questionnaire-context"), "valueCanonical", json!("urn:b")),
                    // A foreign system fills no slice.
                    input((SDC_TEMP, "questionnaire-context"), "valueCanonical", json!("urn:c")),
                ],
            ),
            Asked::Questionnaires(vec!["urn:a", "urn:b"]),
        ),
        (task((PAS_TEMP, "attachment-request-code"), Vec::new()), Asked::Attachments),
    ] {
        let read = CdexTask::read(&tree).expect("it is a CDex Task");
        assert_eq!(read.asked(), expected, "{tree}");
    }
}

#[test]
fn a_task_is_due_at_the_end_of_its_last_day() {
    for (end, expected) in [
        ("2022-06-21", Some("2022-06-22T00:00:00Z")),
        ("2022-06", Some("2022-07-01T00:00:00Z")),
        ("2022-06-21T10:00:00+02:00", Some("2022-06-21T08:00:00Z")),
        ("soon", None),
    ] {
        let mut tree = query_task();
        tree["restriction"] = json!({ "period": { "end": end } });
        let due = CdexTask::read(&tree).and_then(|task| task.due());
        assert_eq!(due, expected.and_then(Timestamp::parse_rfc3339), "{end}");
    }
}

#[test]
fn a_task_is_created_as_requested_and_says_what_it_is_for_where_that_was_agreed() {
    let purpose = |codings: Value| {
        let mut tree = query_task();
        if let Some(inputs) = tree["input"].as_array_mut() {
            let concept = json!({ "coding": codings });
            inputs.push(input((CDEX_TEMP, "purpose-of-use"), "valueCodeableConcept", concept));
        }
        tree
    };
    let open = json!({ "system": CDEX_TEMP, "code": "payment-noe" });
    let misspelt = json!({ "system": CDEX_TEMP, "code": "payment-noa" });
    let other = json!({ "system": "urn:codes", "code": "x" });
    let mut begun = query_task();
    begun["status"] = json!("completed");
    for (tree, must, expected) in [
        (query_task(), false, vec![]),
        (query_task(), true, vec![("Task.input", Severity::Error)]),
        (begun, false, vec![("Task.status", Severity::Error)]),
        (purpose(json!([{ "code": "COVERAGE" }])), true, vec![]),
        (purpose(json!([open])), false, vec![("Task.input[1].value.coding", Severity::Error)]),
        (purpose(json!([open, other])), true, vec![]),
        (purpose(json!([misspelt, other])), true, vec![("Task.input[1].value.coding", Severity::Warning)]),
    ] {
        let read = CdexTask::read(&tree).expect("it is a CDex Task");
        let issues = check_created(&read, must);
        let found: Vec<_> =
            issues.iter().map(|issue| (issue.expression.as_deref().unwrap_or(""), issue.severity)).collect();
        assert_eq!(found, expected, "{tree}");
    }
}

#[test]
fn a_change_moves_the_status_along_the_table_and_leaves_the_request_alone() {
    let edit = |pointer: &str, value: Value| {
        let mut tree = query_task();
        *tree.pointer_mut(pointer).expect("it is there") = value;
        tree
    };
    let mut resolved = query_task();
    resolved["for"]["reference"] = json!("Patient/1");
    let mut more = query_task();
    more["businessStatus"] = json!({ "text": "in review" });
    for (next, by_source, by_consumer) in [
        (query_task(), vec![], vec![]),
        (resolved, vec![], vec![]),
        (more, vec![], vec!["Task.businessStatus"]),
        (edit("/status", json!("accepted")), vec![], vec!["Task.status"]),
        (edit("/code/coding/0/code", json!("data-request-code")), vec!["Task.code"], vec!["Task.code"]),
        (edit("/input/0/valueString", json!("Observation")), vec!["Task.input"], vec!["Task.input"]),
        (edit("/identifier/0/value", json!("2")), vec!["Task.identifier"], vec!["Task.identifier"]),
        (edit("/for/identifier/value", json!("n")), vec!["Task.for"], vec!["Task.for"]),
        (edit("/requester", json!({ "reference": "#x" })), vec!["Task.requester"], vec!["Task.requester"]),
    ] {
        let before = query_task();
        let previous = CdexTask::read(&before).expect("it is a CDex Task");
        assert_eq!(expressions(&check_change(&previous, &next, Role::Source)), by_source, "{next}");
        assert_eq!(expressions(&check_change(&previous, &next, Role::Consumer)), by_consumer, "{next}");
    }
}

#[test]
fn conf_060_a_refused_status_comes_with_those_that_are_allowed() {
    for (from, to, text) in [
        (
            "accepted",
            "requested",
            "A Task that is accepted may become in-progress, on-hold, completed, failed",
        ),
        ("on-hold", "accepted", "A Task that is on-hold may become in-progress, completed, failed"),
        ("completed", "in-progress", "A Task that is completed does not change its status any more"),
    ] {
        let (mut before, mut next) = (query_task(), query_task());
        before["status"] = json!(from);
        next["status"] = json!(to);
        let previous = CdexTask::read(&before).expect("it is a CDex Task");
        let issues = check_change(&previous, &next, Role::Source);
        assert_eq!(issues.iter().map(|issue| &*issue.text).collect::<Vec<_>>(), [text]);
    }
}

#[test]
fn only_who_answers_brings_a_task_that_has_begun() {
    let mut tree = query_task();
    let read = CdexTask::read(&tree).expect("it is a CDex Task");
    assert!(check_put(&read, Role::Consumer).is_empty());
    tree["status"] = json!("completed");
    let read = CdexTask::read(&tree).expect("it is a CDex Task");
    assert!(check_put(&read, Role::Source).is_empty());
    assert_eq!(expressions(&check_put(&read, Role::Consumer)), ["Task.status"]);
}

#[test]
fn tags_of_the_version_before_stay() {
    let before = query_task();
    let mut next = json!({ "resourceType": "Task", "meta": { "tag": [{ "system": "s", "code": "c" }] } });
    assert!(keep_tags(&before, &mut next));
    assert!(!keep_tags(&before, &mut next));
    let expected =
        json!([{ "system": "s", "code": "c" }, { "system": CDEX_TEMP, "code": "claims-processing" }]);
    assert_eq!(next["meta"]["tag"], expected);
    let mut bare = json!({ "resourceType": "Task" });
    assert!(keep_tags(&before, &mut bare));
    assert_eq!(bare["meta"]["tag"], before["meta"]["tag"]);
}

#[test]
fn conf_059_a_status_that_is_none_of_hrex_is_told_what_may_follow_each() {
    for (status, is_wrong) in [("draft", true), ("cancelled", true), ("Requested", true), ("on-hold", false)]
    {
        let mut task = query_task();
        task["status"] = json!(status);
        let read = CdexTask::read(&task).expect("it is a data request");
        let issue = check_status(&read);
        assert_eq!(issue.is_some(), is_wrong, "{status}");
        let advice = issue.and_then(|issue| issue.diagnostics).unwrap_or_default();
        let may = "on-hold may become in-progress, completed, failed";
        assert_eq!(advice.contains(may), is_wrong, "{advice}");
        // Nor does a Task leave the table where its profile is not insisted on.
        let before = query_task();
        let before = CdexTask::read(&before).expect("it is a data request");
        assert_eq!(!check_change(&before, &task, Role::Source).is_empty(), is_wrong, "{status}");
        assert!(!check_created(&read, false).is_empty(), "{status}");
    }
}

#[test]
fn a_query_is_about_the_patient_of_the_task_whomever_it_names() {
    for (text, others, expected) in [
        ("Condition?patient=7", vec!["7"], vec![("patient", "Patient/1")]),
        ("Condition?patient=Patient/1", vec![], vec![("patient", "Patient/1")]),
        (
            "/Condition?patient=[reference]&_sort=-date",
            vec![],
            vec![("patient", "Patient/1"), ("_sort", "-date")],
        ),
        ("Condition", vec![], vec![("patient", "Patient/1")]),
        (" Observation?code=4548-4 ", vec![], vec![("patient", "Patient/1"), ("code", "4548-4")]),
        ("Observation?subject=Patient/7,1", vec!["7"], vec![("patient", "Patient/1")]),
        ("Observation?subject:Patient=7", vec!["7"], vec![("patient", "Patient/1")]),
        (
            "Observation?patient=http://gateway.example/fhir/Patient/7",
            vec!["7"],
            vec![("patient", "Patient/1")],
        ),
        ("Observation?patient=http://elsewhere.example/Patient/7", vec![], vec![("patient", "Patient/1")]),
        (
            "Observation?patient.identifier=urn:m|7",
            vec![],
            vec![("patient", "Patient/1"), ("patient.identifier", "urn:m|7")],
        ),
        ("Patient?_id=7&gender=male", vec!["7"], vec![("_id", "1"), ("gender", "male")]),
        ("Condition?_format=xml&_elements=code&_count=1", vec![], vec![("patient", "Patient/1")]),
    ] {
        let search = PatientSearch::parse(text, BASE).expect(text);
        assert_eq!(search.others("1").collect::<Vec<_>>(), others, "{text}");
        let about = search.about("1");
        let about: Vec<_> = about.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(about, expected, "{text}");
    }
}

/// FHIR R4 search: what concerns pages and their form is the answer's own; how many are wanted is honoured.
#[test]
fn parameters_of_the_result_say_how_much_is_wanted_and_nothing_of_its_form() {
    for (query, extent, kept) in [
        ("", Extent::All, &[][..]),
        ("_count=5", Extent::First(5), &[]),
        ("_count=0", Extent::Number, &[]),
        ("_summary=count", Extent::Number, &[]),
        ("_count=5&_summary=count", Extent::Number, &[]),
        ("_count=0&_summary=false", Extent::Number, &[]),
        ("_count=7&_count=3", Extent::First(3), &[]),
        ("_count=99999999999999999999", Extent::All, &[]),
        ("_count=", Extent::All, &["_count"]),
        ("_count=-1", Extent::All, &["_count"]),
        ("_count=many", Extent::All, &["_count"]),
        ("_summary=true&_elements=code&_total=none&_format=xml&_pretty=true&_cursor=x", Extent::All, &[]),
        ("_sort=-date&_include=Condition:encounter", Extent::All, &["_sort", "_include"]),
        ("_revinclude=Provenance:target", Extent::All, &["_revinclude"]),
    ] {
        let search = PatientSearch::parse(&format!("Condition?{query}"), BASE).expect(query);
        assert_eq!(search.extent, extent, "{query}");
        let about = search.about("1");
        let names: Vec<&str> = about.iter().skip(1).map(|(name, _)| &**name).collect();
        assert_eq!(names, kept, "{query}");
    }
}

#[test]
fn what_is_no_search_of_one_record_is_told_so() {
    for (text, expected) in [
        ("", NoSearch::Form),
        ("?patient=1", NoSearch::Form),
        ("patient=1&code=x", NoSearch::Form),
        ("http://elsewhere.example/Condition?patient=1", NoSearch::Form),
        ("Patient/1", NoSearch::Form),
        ("Patient/1/Condition?code=x", NoSearch::Form),
        ("Conditions?patient=1", NoSearch::Type),
        ("$export?patient=1", NoSearch::Type),
        ("Practitioner?name=x", NoSearch::Scope),
        ("Task?patient=1", NoSearch::Scope),
        ("AuditEvent?patient=1", NoSearch::Scope),
        ("Bundle?_id=1", NoSearch::Scope),
    ] {
        assert_eq!(PatientSearch::parse(text, BASE), Err(expected), "{text}");
    }
}

#[test]
fn documents_are_searched_by_all_codings_of_their_type() {
    let codings = [
        Coding { system: Some(LOINC), code: Some("11506-3") },
        Coding { system: None, code: Some("a,b") },
        Coding { system: Some(LOINC), code: None },
    ];
    let search = PatientSearch::of_documents(&codings);
    let about = search.about("1");
    assert!(about.contains(&("type".to_owned(), "http://loinc.org|11506-3,a\\,b".to_owned())), "{about:?}");
    assert_eq!(about[0], ("patient".to_owned(), "Patient/1".to_owned()));
}

proptest! {
    #[test]
    fn no_text_leads_a_query_to_another_patient(
        name in "(Condition|Observation|Patient|Coverage|DocumentReference|[A-Za-z/?=&:.]{0,12})",
        query in "(patient|subject|_id|patient:Patient|code|_has:[A-Z]{3}:x:y)?=?[A-Za-z0-9/,|&=%\\[\\]]{0,30}",
    ) {
        if let Ok(search) = PatientSearch::parse(&format!("{name}?{query}"), BASE) {
            let about = search.about("1");
            let names = |parameter: &str| about.iter().filter(|(name, _)| name == parameter).count();
            if search.resource_type == "Patient" {
                prop_assert_eq!(names("_id"), 1);
                prop_assert!(about.contains(&("_id".to_owned(), "1".to_owned())));
            } else {
                prop_assert_eq!(names("patient") + names("subject"), 1);
                let (_, value) = &about[0];
                prop_assert_eq!(value, "Patient/1");
            }
        }
    }
}

#[test]
fn conf_026_a_form_is_the_answer_if_it_was_asked_for_and_is_finished_and_signed_where_it_must_be() {
    let signature = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature";
    let required = "http://hl7.org/fhir/StructureDefinition/questionnaire-signatureRequired";
    let asked = |flag: bool| {
        let flag = input(Input::Signature.code(), "valueBoolean", json!(flag));
        let form = input((SDC_TEMP, "questionnaire"), "valueCanonical", json!("urn:form|1.0"));
        task((CDEX_TEMP, "data-request-questionnaire"), vec![form, flag])
    };
    let response = |canonical: &str, more: Value| {
        let mut response = json!({
            "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": canonical,
        });
        if let (Some(response), Value::Object(more)) = (response.as_object_mut(), more) {
            response.extend(more);
        }
        response
    };
    let signed = json!({ "extension": [{ "url": signature }] });
    let adaptive = |derived: &str| {
        let form = json!({ "resourceType": "Questionnaire", "id": "a", "derivedFrom": [derived] });
        json!({ "contained": [form] })
    };
    let wants = json!({ "extension": [{ "url": required }] });
    let wants_item = json!({ "item": [{ "linkId": "g", "item": [{ "linkId": "1", "extension": [{ "url": required }] }] }] });
    let item = |extension: Value| json!({ "item": [{ "linkId": "g", "item": [{ "linkId": "1", "extension": extension }] }] });
    for (flag, response, form, is_answer) in [
        (false, response("urn:form", json!({})), None, true),
        (false, response("urn:form|2.0", json!({})), None, true),
        (false, response("urn:other", json!({})), None, false),
        (false, response("urn:form", json!({ "status": "in-progress" })), None, false),
        (false, response("#a", adaptive("urn:form|3")), None, true),
        (false, response("#a", adaptive("urn:other")), None, false),
        (false, response("#b", adaptive("urn:form")), None, false),
        (false, json!({ "resourceType": "Observation" }), None, false),
        (true, response("urn:form", json!({})), None, false),
        (true, response("urn:form", signed.clone()), None, true),
        (false, response("urn:form", json!({})), Some(&wants), false),
        (false, response("urn:form", signed.clone()), Some(&wants), true),
        (false, response("urn:form", item(json!([]))), Some(&wants_item), false),
        (false, response("urn:form", item(json!([{ "url": signature }]))), Some(&wants_item), true),
        (true, response("urn:form", item(json!([{ "url": signature }]))), Some(&wants_item), false),
    ] {
        let tree = asked(flag);
        let read = CdexTask::read(&tree).expect("it is a CDex Task");
        let issues = check_answer(&read, &response, form);
        assert_eq!(issues.is_empty(), is_answer, "{flag} {response} {issues:?}");
    }
}
