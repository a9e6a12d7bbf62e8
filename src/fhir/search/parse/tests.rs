//! The grammar of searches: what is read, what is ignored, what is refused and with which words.

use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::fhir::Issue;
use crate::fhir::search::{
    Comparator, Compartment, Filter, Include, Query, ReferenceValue, Scope, SortBy, Summary, SystemTest,
    Test, TokenValue, Total, Wanted,
};

const BASE: &str = "https://gateway.test/fhir";

fn parse(scope: Scope, search: &str, strict: bool) -> Result<Query, Vec<Issue>> {
    let parameters: Vec<(String, String)> = search
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Query::parse(scope, &parameters, BASE, strict)
}

fn lenient(name: &'static str, search: &str) -> Query {
    parse(Scope::Type(name), search, false).unwrap_or_else(|issues| panic!("{search}: {issues:?}"))
}

fn refused(name: &'static str, search: &str) -> String {
    let issues = parse(Scope::Type(name), search, false).expect_err(search);
    issues.into_iter().map(|issue| issue.text).collect::<Vec<_>>().join("; ")
}

/// The values that the only condition of a search asks for.
fn wanted(name: &'static str, search: &str) -> Vec<Wanted> {
    match &lenient(name, search).filters[..] {
        [
            Filter::Own { test: Test::AnyOf(wanted) | Test::NoneOf(wanted), .. }
            | Filter::LastUpdated(wanted),
        ] => wanted.clone(),
        other => panic!("{search}: {other:?}"),
    }
}

fn token(system: SystemTest, code: Option<&str>) -> TokenValue {
    TokenValue { system, code: code.map(str::to_owned) }
}

fn local(types: &[&'static str], id: &str) -> Wanted {
    Wanted::Reference(ReferenceValue::Local { types: types.to_vec(), id: id.to_owned() })
}

#[test]
fn a_token_is_a_code_a_system_or_both() {
    let is = |system: &str| SystemTest::Is(system.to_owned());
    for (search, expected) in [
        ("code=a", token(SystemTest::Any, Some("a"))),
        ("code=s|a", token(is("s"), Some("a"))),
        ("code=|a", token(SystemTest::Absent, Some("a"))),
        ("code=s|", token(is("s"), None)),
        (r"code=s\|t|a\,b", token(is("s|t"), Some("a,b"))),
    ] {
        assert_eq!(wanted("Task", search), [Wanted::Token(expected)], "{search}");
    }
    assert_eq!(wanted("Task", "status=a,,b,").len(), 2);
    assert_eq!(
        wanted("Patient", "identifier:of-type=s|MR|12"),
        [Wanted::OfType { system: "s".to_owned(), code: "MR".to_owned(), value: "12".to_owned() }]
    );
    assert_eq!(wanted("Task", "code:text=a b"), [Wanted::TokenText("a b".to_owned())]);
    assert_eq!(
        wanted("Task", "owner:identifier=s|1"),
        [Wanted::ReferenceIdentifier(token(is("s"), Some("1")))]
    );
}

#[test]
fn a_reference_is_an_id_a_type_and_an_id_or_a_url() {
    let url = |url: &str| Wanted::Reference(ReferenceValue::Url(url.to_owned()));
    for (search, expected) in [
        ("patient=1", local(&["Patient"], "1")),
        ("patient=Patient/1", local(&["Patient"], "1")),
        ("patient=https://gateway.test/fhir/Patient/1", local(&["Patient"], "1")),
        ("patient=Patient/1/_history/3", local(&["Patient"], "1")),
        ("patient=https://other.test/fhir/Patient/1", url("https://other.test/fhir/Patient/1")),
        ("patient=urn:uuid:1", url("urn:uuid:1")),
        ("subject:Patient=1", local(&["Patient"], "1")),
        ("subject:Patient=Patient/1", local(&["Patient"], "1")),
        ("encounter=1", local(&["Encounter", "EpisodeOfCare"], "1")),
        ("subject=1", local(&["Device", "Group", "Patient", "Practitioner"], "1")),
    ] {
        assert_eq!(wanted("DocumentReference", search), [expected], "{search}");
    }
}

#[test]
fn a_prefix_says_how_dates_and_numbers_are_compared() {
    let date = |comparator, from, until| {
        let moment = |text| Timestamp::parse_rfc3339(text).expect("an instant");
        Wanted::Date { comparator, from: moment(from), until: moment(until) }
    };
    for (search, expected) in [
        ("date=2020-02", date(Comparator::Eq, "2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z")),
        ("date=ge2020-02-10T10:00", date(Comparator::Ge, "2020-02-10T10:00:00Z", "2020-02-10T10:01:00Z")),
        (
            "date=ap2020-02-10T10:00 02:00",
            date(Comparator::Ap, "2020-02-10T08:00:00Z", "2020-02-10T08:01:00Z"),
        ),
        (
            "_lastUpdated=gt2021-05-03T17:23:18.173-04:00",
            date(Comparator::Gt, "2021-05-03T21:23:18.173Z", "2021-05-03T21:23:18.174Z"),
        ),
    ] {
        assert_eq!(wanted("Observation", search), [expected], "{search}");
    }
    let quantity = |comparator, value: &str, system: Option<&str>, unit: Option<&str>| Wanted::Quantity {
        comparator,
        value: value.to_owned(),
        system: system.map(str::to_owned),
        unit: unit.map(str::to_owned),
    };
    for (search, expected) in [
        ("value-quantity=5.40", quantity(Comparator::Eq, "5.40", None, None)),
        (
            "value-quantity=le-5.4e1|http://u|mg",
            quantity(Comparator::Le, "-5.4e1", Some("http://u"), Some("mg")),
        ),
        ("value-quantity=5||mg", quantity(Comparator::Eq, "5", None, Some("mg"))),
    ] {
        assert_eq!(wanted("Observation", search), [expected], "{search}");
    }
    assert_eq!(
        wanted("RiskAssessment", "probability=gt0.8"),
        [Wanted::Number { comparator: Comparator::Gt, value: "0.8".to_owned() }]
    );
    assert_eq!(
        wanted("Observation", "code-value-quantity=s|a$gt5"),
        [Wanted::Composite(vec![
            Wanted::Token(token(SystemTest::Is("s".to_owned()), Some("a"))),
            quantity(Comparator::Gt, "5", None, None)
        ])]
    );
}

#[test]
fn a_chain_asks_the_targets_that_know_the_parameter() {
    let targets = |search: &str| match &lenient("DocumentReference", search).filters[..] {
        [Filter::Chain { targets, .. }] => targets.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        other => panic!("{search}: {other:?}"),
    };
    assert_eq!(targets("patient.name=x"), ["Patient"]);
    assert_eq!(targets("subject:Patient.name=x"), ["Patient"]);
    assert_eq!(targets("subject.birthdate=2020"), ["Patient"]);
    assert_eq!(targets("subject.identifier=x"), ["Device", "Group", "Patient", "Practitioner"]);
    assert_eq!(targets("patient.organization.partof.name:exact=x"), ["Patient"]);
    assert_eq!(targets("patient._has:Observation:patient:code=x"), ["Patient"]);
    let has = lenient("Patient", "_has:Observation:patient:_has:AuditEvent:entity:agent=x");
    match &has.filters[..] {
        [Filter::Has { parameter, filter }] => {
            assert_eq!((parameter.resource_type, parameter.code), ("Observation", "patient"));
            assert!(
                matches!(&**filter, Filter::Has { parameter, .. } if parameter.resource_type == "AuditEvent")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_shown_is_read_apart_from_what_is_searched() {
    let search = "_count=10&_total=accurate&_summary=data&_elements=status,Task.code&_cursor=c&_format=json&_pretty=true\
        &status=a&_totalMethod=count";
    let query = lenient("Task", search);
    assert_eq!((query.count, query.total, query.summary), (Some(10), Total::Accurate, Some(Summary::Data)));
    assert_eq!(
        (query.elements, query.cursor),
        (vec!["status".to_owned(), "code".to_owned()], Some("c".to_owned()))
    );
    let applied: Vec<_> = query.applied.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(applied, ["_count", "_total", "_summary", "_elements", "status"]);
    assert_eq!(query.ignored.len(), 1, "{:?}", query.ignored);
    for search in ["_count=0", "_count=0&_summary=data", "_summary=data&_count=0"] {
        assert_eq!(lenient("Task", search).summary, Some(Summary::Count), "{search}");
    }
    assert_eq!(lenient("Task", "_count=99999999999").count, Some(u32::MAX));
}

#[test]
fn an_order_has_several_keys_and_falls_back_where_the_guide_does() {
    let query = lenient("DocumentReference", "_sort=-period,_lastUpdated,_id");
    let keys: Vec<_> = query.sort.iter().map(|key| key.descending).collect();
    assert_eq!(keys, [true, false, false]);
    match &query.sort[0].by {
        SortBy::Parameters(levels) => {
            let codes: Vec<_> = levels.iter().map(|level| level[0].code).collect();
            assert_eq!(codes, ["period", "date"]);
        }
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(&lenient("Task", "_sort=period").sort[0].by, SortBy::Parameters(levels) if levels.len() == 1)
    );
}

#[test]
fn what_comes_along_is_named_by_its_reference() {
    let include = |source, code, target, reverse, iterate| Include { source, code, target, reverse, iterate };
    for (search, expected) in [
        ("_include=Task:owner", include(Some("Task"), Some("owner"), None, false, false)),
        ("_include=Task:output", include(Some("Task"), Some("output"), None, false, false)),
        (
            "_include=Task:requester:Patient",
            include(Some("Task"), Some("requester"), Some("Patient"), false, false),
        ),
        ("_include=*", include(None, None, None, false, false)),
        ("_include=Task:*", include(Some("Task"), None, None, false, false)),
        (
            "_include:iterate=Patient:organization",
            include(Some("Patient"), Some("organization"), None, false, true),
        ),
        ("_include:recurse=Task:part-of", include(Some("Task"), Some("part-of"), None, false, true)),
        ("_revinclude=Provenance:target", include(Some("Provenance"), Some("target"), None, true, false)),
        (
            "_revinclude:iterate=Provenance:target",
            include(Some("Provenance"), Some("target"), None, true, true),
        ),
    ] {
        assert_eq!(lenient("Task", search).includes, [expected], "{search}");
    }
}

#[test]
fn several_types_are_searched_by_what_they_have_in_common() {
    let query =
        parse(Scope::System, "_type=Task,Observation&status=final&_lastUpdated=2020", true).expect("a query");
    assert_eq!(query.types, ["Observation", "Task"]);
    match &query.filters[..] {
        [Filter::Own { parameters, .. }, Filter::LastUpdated(_)] => {
            let types: Vec<_> = parameters.iter().map(|parameter| parameter.resource_type).collect();
            assert_eq!(types, query.types);
        }
        other => panic!("{other:?}"),
    }
    for search in ["", "_type=", "_type=Foo", "_type=Parameters", "_type=task", "_id=1"] {
        assert!(parse(Scope::System, search, false).is_err(), "{search}");
    }
    let patient = Compartment { patient: "1".to_owned() };
    let whole = parse(Scope::Compartment(patient.clone(), None), "", true).expect("a query");
    assert!(
        whole.types.contains(&"Patient")
            && whole.types.contains(&"Task")
            && !whole.types.contains(&"ValueSet")
    );
    let some =
        parse(Scope::Compartment(patient.clone(), None), "_type=Condition,ValueSet", true).expect("a query");
    assert_eq!(some.types, ["Condition"]);
    assert!(parse(Scope::Compartment(patient, Some("ValueSet")), "", false).is_err());
}

#[test]
fn what_is_not_known_is_ignored_with_a_warning_or_refused() {
    for (search, text) in [
        ("foo=1", "Search parameter 1 of the request is not known for Task"),
        ("status=a&Status=1", "Search parameter 2 of the request is not known for Task"),
        ("birthdate=2020", "The search parameter birthdate is not supported for Task"),
        ("_text=x", "The search parameter _text is not supported for Task"),
        ("_upsert=true", "Search parameter 1 of the request is not known for Task"),
        ("patient.foo=x", "Search parameter 1 of the request is not known for Task"),
        ("_lastupdated=x", "Search parameter 1 of the request is not known for Task"),
        ("_type=Patient", "Search parameter 1 of the request is not known for Task"),
    ] {
        let ignored: Vec<_> = lenient("Task", search).ignored.into_iter().map(|issue| issue.text).collect();
        assert_eq!(ignored, [text], "{search}");
        let issues = parse(Scope::Type("Task"), search, true).expect_err(search);
        assert_eq!(issues.len(), 1, "{search}");
        assert!(issues[0].is_error() && issues[0].text == text, "{search}");
    }
    // What was left empty asks for nothing, known or not.
    let query = parse(Scope::Type("Task"), "foo=&status=&code=,&_sort=&_id=", true).expect("a query");
    assert!(query.filters.is_empty() && query.applied.is_empty(), "{query:?}");
}

#[test]
fn what_makes_no_sense_is_refused_by_the_name_of_its_parameter() {
    for (search, text) in [
        ("status:foo=a", "The search parameter status has a modifier that it cannot have"),
        ("status:exact=a", "The search parameter status has a modifier that it cannot have"),
        ("status:in=a", "The modifier :in is not supported"),
        ("code:not-in=a", "The modifier :not-in is not supported"),
        ("code:below=a", "The search parameter code does not support :above and :below"),
        ("status:missing=yes", "status:missing is neither true nor false"),
        ("_id:not=1", "The search parameter _id has a modifier that it cannot have"),
        ("owner:Foo=1", "The search parameter owner has a modifier that it cannot have"),
        ("owner:Task=1", "The search parameter owner has a modifier that it cannot have"),
        (
            "owner:Patient=Organization/1",
            "A value of the search parameter owner is of another type than its modifier says",
        ),
        ("code=a|b|c", "A value of the search parameter code has more parts than a system and a code"),
        ("code=|", "A value of the search parameter code has neither system nor code"),
        (r"code=a\b", "A value of the search parameter code has a backslash that escapes nothing"),
        ("authored-on=yesterday", "A value of the search parameter authored-on has a prefix that is none"),
        ("authored-on=gtx", "A value of the search parameter authored-on is not a date or time"),
        ("status.name=a", "The search parameter status is no reference and cannot be chained"),
        (
            "focus.status=a",
            "The search parameter focus may refer to anything: name a type, as in focus:Patient",
        ),
        ("_has=1", "Search parameter 1 of the request is not known for Task"),
        ("_has:Task=1", "The search parameter _has must name a type, a reference and a parameter"),
        ("_has:Foo:a:b=1", "The search parameter _has names something that is no searchable resource type"),
        (
            "_has:Task:status:code=1",
            "The search parameter _has names a reference that its type does not have",
        ),
        (
            "_has:Patient:organization:name=1",
            "The search parameter _has names a reference that leads to none of the types searched",
        ),
        ("_count=-1", "The value of _count is not a number"),
        ("_count=1&_count=2", "The search parameter _count is there more than once"),
        ("_total=much", "The value of _total is not none, estimate or accurate"),
        ("_summary=long", "The value of _summary is not true, text, data, count or false"),
        ("_elements=a b", "The value of _elements is not a list of element names"),
        ("_sort=foo", "The value of _sort names something that is no search parameter here"),
        ("_sort:desc=status", "The search parameter _sort has a modifier that it cannot have"),
        ("_include=Task:status", "The value of _include does not name a reference of a resource type"),
        ("_include=owner", "The value of _include does not name a reference of a resource type"),
        ("_include:all=Task:owner", "The search parameter _include has a modifier that it cannot have"),
        ("_revinclude=Foo:bar", "The value of _revinclude does not name a reference of a resource type"),
    ] {
        let told = parse(Scope::Type("Task"), search, true).expect_err(search);
        let told: Vec<_> = told.into_iter().map(|issue| issue.text).collect();
        assert_eq!(told, [text], "{search}");
    }
    let told = refused(
        "Observation",
        "code-value-quantity=a&date=x&value-quantity=1|2&value-quantity=1.&status=final",
    );
    assert_eq!(told.split("; ").count(), 4, "all that is wrong is told: {told}");
    for number in ["", "gt", "1,5x", "1e", "1e99999", "0x1", "--1", &"1".repeat(31)] {
        let search = format!("value-quantity={number}|s|c");
        assert!(parse(Scope::Type("Observation"), &search, false).is_err(), "{number}");
    }
}

#[test]
fn a_search_has_bounds() {
    let ids = |count| vec!["a"; count].join(",");
    assert!(parse(Scope::Type("Task"), &format!("code={}", ids(999)), false).is_ok());
    let patient = Compartment { patient: "1".to_owned() };
    let whole = |search: &str| parse(Scope::Compartment(patient.clone(), None), search, true);
    assert!(whole("_tag=a,b").is_ok());
    assert!(whole(&format!("_tag={}", ids(20))).is_err(), "each is asked of every type");
    for search in [
        format!("code={}", ids(1_001)),
        // Each of these may be of any type.
        format!("focus={}", ids(10)),
        vec!["code=a"; 101].join("&"),
        format!("{}name=x", "partof.".repeat(5)),
        format!("{}name=x", "_has:Organization:partof:".repeat(100_000)),
        format!("{}name=x", "partof.".repeat(100_000)),
        format!("_sort={}", ids(1_000).replace('a', "_id")),
    ] {
        let name = if search.contains("partof") { "Organization" } else { "Task" };
        let told = refused(name, &search);
        assert!(told.starts_with("The search has too many"), "{told}");
    }
}

#[test]
fn no_issue_repeats_what_was_sent() {
    for search in [
        "smith=1",
        "smith:smith=1",
        "status:smith=1",
        "_has:smith:smith:smith=1",
        "patient.smith=1",
        "_include=smith:smith",
        "_sort=smith",
        "_count=smith",
        "_elements=smith smith",
        "authored-on=smith",
        "patient:smith.name=1",
        "_summary=smith",
        "_total=smith",
        r"code=smith\smith",
        "_type=smith",
        "owner:Patient=Organization/smith",
    ] {
        let issues = parse(Scope::Type("Task"), search, true).expect_err(search);
        let system = parse(Scope::System, search, true).expect_err(search);
        for issue in issues.iter().chain(&system) {
            assert!(!format!("{issue:?}").contains("smith"), "{issue:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_is_read_or_refused(
        parameters in proptest::collection::vec(
            (prop_oneof!["[a-zA-Z_:.]{0,24}", Just("date".to_owned()), Just("code".to_owned())], "\\PC{0,20}"), 0..4),
        strict: bool,
    ) {
        for name in ["Observation", "Task"] {
            if let Ok(query) = Query::parse(Scope::Type(name), &parameters, BASE, strict) {
                prop_assert!(query.applied.iter().all(|applied| parameters.contains(applied)));
                prop_assert!(!strict || query.ignored.is_empty());
            }
        }
    }
}
