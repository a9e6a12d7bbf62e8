//! What queries ask of the index, where its form matters to whoever answers: equality where equality will do.

use super::{Bytes, Criterion, EntryTest, Order, of, order};
use crate::clock::Timestamp;
use crate::fhir::search::{Compartment, Query, Scope};
use crate::repository::entry::Space;

const BASE: &str = "https://gateway.test/fhir";

fn query(scope: Scope, name: &str, value: &str) -> Query {
    Query::parse(scope, &[(name.to_owned(), value.to_owned())], BASE, true).expect("a query")
}

fn asked(resource_type: &'static str, name: &str, value: &str) -> Criterion {
    of(&query(Scope::Type(resource_type), name, value), "t", Timestamp::from_nanos(0))
}

fn equal(value: &str) -> EntryTest {
    EntryTest { value: Bytes::Equal(value.as_bytes().to_vec()), extra: Bytes::Any }
}

fn range(from: &str, until: &str) -> EntryTest {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    EntryTest { value: Bytes::Range(bytes(from), bytes(until)), extra: Bytes::Any }
}

#[test]
fn codes_and_references_are_single_equalities() {
    for (resource_type, name, value, tests) in [
        ("Task", "status", "requested", vec![equal("requested")]),
        ("Task", "status", "http://hl7.org/fhir/task-status|requested", vec![equal("requested")]),
        ("Patient", "active", "true", vec![equal("true")]),
        ("Task", "patient", "1", vec![equal("Patient/1")]),
        ("Task", "patient", "1,Patient/2", vec![equal("Patient/1"), equal("Patient/2")]),
        ("Task", "code", "s|c", vec![equal("c\0s\0")]),
        ("Task", "code", "c", vec![range("c\0", "c\u{1}")]),
        ("Task", "code", "|c", vec![equal("c\0")]),
        ("Patient", "family", "Mü", vec![range("mu", "mv")]),
        (
            "ValueSet",
            "url:above",
            "a/b/c",
            vec![equal("a"), equal("a/"), equal("a/b"), equal("a/b/"), equal("a/b/c")],
        ),
        ("ValueSet", "url:below", "urn:oid:1", vec![equal("urn:oid:1")]),
        ("Observation", "combo-code-value-concept", "a$s|b", vec![equal("ca\0\0sb\0s\0")]),
    ] {
        let code = name.split(':').next().unwrap_or_default();
        let space = Space::of("t", resource_type, code);
        assert_eq!(asked(resource_type, name, value), Criterion::Has(space, tests), "{name}={value}");
    }
}

#[test]
fn a_system_that_an_element_never_has_finds_nothing() {
    assert_eq!(asked("Task", "status", "http://s|requested"), Criterion::Never);
    assert_eq!(asked("Task", "status", "|requested"), Criterion::Never);
    // All of nothing: everything passes.
    assert_eq!(asked("Task", "status:not", "http://s|requested"), Criterion::All(Vec::new()));
}

#[test]
fn a_compartment_is_what_refers_to_its_patient_each_type_in_its_own_ways() {
    let scope = |name| Scope::Compartment(Compartment { patient: "1".to_owned() }, name);
    let asked = |name| of(&query(scope(name), "_count", "5"), "t", Timestamp::from_nanos(0));
    let refers = |name, code| Criterion::Has(Space::of("t", name, code), vec![equal("Patient/1")]);
    let of_type =
        |name, ways| Criterion::All(vec![Criterion::Type(Space::of_type("t", name)), Criterion::Any(ways)]);
    let documents = of_type(
        "DocumentReference",
        vec![refers("DocumentReference", "subject"), refers("DocumentReference", "author")],
    );
    assert_eq!(asked(Some("DocumentReference")), documents);
    let itself = Criterion::Id(vec!["1".to_owned()]);
    assert_eq!(asked(Some("Patient")), of_type("Patient", vec![refers("Patient", "link"), itself]));
    let Criterion::Any(all) = asked(None) else { panic!("one alternative for each type") };
    assert!(all.contains(&documents));
}

#[test]
fn an_order_looks_at_the_spaces_of_all_types_searched() {
    let documents = query(Scope::Type("DocumentReference"), "_sort", "-period,_id");
    let spaces = |code| vec![Space::of("t", "DocumentReference", code)];
    assert_eq!(
        order(&documents, "t"),
        [(Order::Values(vec![spaces("period"), spaces("date")]), true), (Order::Id, false)]
    );
}
