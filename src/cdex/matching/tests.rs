//! Who is taken for whom, and where it is looked for them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::compare::{self, Verdict};
use super::{Grade, assess, searches};

const MRN: &str = "http://example.org/mrn";

fn peter() -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{"system": MRN, "value": "12345"}],
        "name": [{"use": "official", "family": "Chalmers", "given": ["Peter", "James"]}, {"given": ["Jim"]}],
        "gender": "male",
        "birthDate": "1974-12-25",
        "telecom": [{"system": "phone", "value": "(03) 5555 6473"}, {"system": "email", "value": "pj@example.org"}],
        "address": [{"line": ["534 Erewhon St"], "city": "PleasantVille", "state": "VT", "postalCode": "03999"}],
    })
}

/// Peter with some elements replaced, or taken away by `null`.
fn peter_with(changes: &Value) -> Value {
    let mut patient = peter();
    for (name, value) in changes.as_object().expect("changes are an object") {
        patient[name] = value.clone();
    }
    patient
}

/// The Patient with these elements alone.
fn only(elements: &[&str]) -> Value {
    let peter = peter();
    elements
        .iter()
        .map(|name| ((*name).to_owned(), peter[*name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn the_grade_follows_from_what_agrees_and_what_does_not() {
    let identified = json!([{"system": MRN, "value": "12345"}]);
    for (wanted, grade) in [
        (peter(), Grade::Certain),
        (only(&["identifier"]), Grade::Certain),
        (only(&["identifier", "birthDate", "name"]), Grade::Certain),
        (only(&["name", "birthDate", "gender"]), Grade::Probable),
        (only(&["name", "birthDate", "gender", "telecom"]), Grade::Certain),
        (only(&["name", "birthDate", "gender", "address"]), Grade::Certain),
        // Father and son: all but the birth date.
        (peter_with(&json!({"identifier": null, "birthDate": "1945-01-02"})), Grade::Probable),
        (peter_with(&json!({"identifier": null, "birthDate": null})), Grade::Probable),
        // Twins: all but the given name, with the family's member number or without.
        (peter_with(&json!({"name": [{"family": "Chalmers", "given": ["Paul"]}]})), Grade::Probable),
        (
            peter_with(&json!({"identifier": null, "name": [{"family": "Chalmers", "given": ["Paul"]}]})),
            Grade::Probable,
        ),
        // Somebody else who gives his number.
        (
            json!({
                "identifier": identified, "birthDate": "2001-05-05", "gender": "female",
                "name": [{"family": "Roe", "given": ["Ann"]}],
            }),
            Grade::Possible,
        ),
        // The same name and birth date, but another number of the same kind.
        (
            peter_with(
                &json!({"identifier": [{"system": MRN, "value": "999"}], "telecom": null, "address": null}),
            ),
            Grade::Probable,
        ),
        (only(&["name"]), Grade::Possible),
        (json!({"name": [{"family": "Chalmers"}], "birthDate": "1974-12-25"}), Grade::Possible),
        (json!({"name": [{"family": "Chalmers"}]}), Grade::CertainlyNot),
        (only(&["birthDate", "gender"]), Grade::CertainlyNot),
        (only(&["gender"]), Grade::CertainlyNot),
        (json!({}), Grade::CertainlyNot),
    ] {
        assert_eq!(assess(&wanted, &peter()).grade, grade, "{wanted}");
    }
}

#[test]
fn the_score_is_a_probability_that_grows_with_what_agrees() {
    let score = |elements: &[&str]| assess(&only(elements), &peter()).score();
    let scores = [
        score(&["gender"]),
        score(&["name"]),
        score(&["name", "birthDate"]),
        score(&["name", "birthDate", "gender"]),
        score(&["identifier"]),
        score(&["identifier", "name", "birthDate"]),
    ];
    assert!(scores.is_sorted(), "{scores:?}");
    assert_eq!((scores[0], scores[5]), (0, 10_000));
}

#[test]
fn names_are_the_same_but_for_spelling_and_near_but_for_a_slip() {
    let family = |name: &str| json!({"name": [{"family": name}]});
    let given = |name: &str| json!({"name": [{"given": [name]}]});
    for (one, other, verdict) in [
        ("Müller", "MULLER", Verdict::Same),
        ("O'Brien", "OBrien", Verdict::Same),
        ("Smith-Jones", "Smith Jones", Verdict::Same),
        ("Smith-Jones", "Smith", Verdict::Near),
        ("Chalmers", "Chalmer", Verdict::Near),
        ("Chalmers", "Cahlmers", Verdict::Near),
        ("Chalmers", "Chalwers", Verdict::Near),
        ("Roe", "Doe", Verdict::Different),
        ("Chalmers", "Palmer", Verdict::Different),
    ] {
        assert_eq!(compare::family(&family(one), &family(other)), verdict, "{one} {other}");
        assert_eq!(compare::family(&family(other), &family(one)), verdict, "{other} {one}");
    }
    for (one, other, verdict) in [
        ("José", "jose", Verdict::Same),
        ("Rob", "Robert", Verdict::Near),
        ("P", "Peter", Verdict::Near),
        ("Peter", "Petre", Verdict::Near),
        ("Peter", "Paul", Verdict::Different),
    ] {
        assert_eq!(compare::given(&given(one), &given(other)), verdict, "{one} {other}");
        assert_eq!(compare::given(&given(other), &given(one)), verdict, "{other} {one}");
    }
    let middle = |first: &str| json!({"name": [{"given": [first, "Ann"]}]});
    assert_eq!(compare::given(&middle("Robert"), &middle("Patricia")), Verdict::Different);
    assert_eq!(compare::given(&middle("Robert"), &given("Ann")), Verdict::Same);
}

#[test]
fn dates_numbers_and_addresses_are_compared_by_what_they_say() {
    let born = |date: &str| json!({"birthDate": date});
    for (one, other, verdict) in [
        ("1974-12-25", "1974-12-25", Verdict::Same),
        ("1974", "1974-12-25", Verdict::Near),
        ("1974-12-25", "1974-12-26", Verdict::Near),
        ("1974-05-06", "1974-06-05", Verdict::Near),
        ("1974-12-25", "1975-12-24", Verdict::Different),
        ("1973", "1974-12-25", Verdict::Different),
    ] {
        assert_eq!(compare::birth_date(&born(one), &born(other)), verdict, "{one} {other}");
    }
    let reached = |value: &str| json!({"telecom": [{"value": value}]});
    for (one, other, verdict) in [
        ("+1 (617) 555-0100", "617.555.0100", Verdict::Same),
        ("A@Example.org", "a@example.org ", Verdict::Same),
        ("617-555-0100", "617-555-0101", Verdict::Different),
        ("100", "100", Verdict::Unknown),
    ] {
        assert_eq!(compare::telecom(&reached(one), &reached(other)), verdict, "{one} {other}");
    }
    let number =
        |system: Option<&str>, value: &str| json!({"identifier": [{"system": system, "value": value}]});
    for (one, other, verdict) in [
        (number(Some("a"), "X1"), number(Some("a"), "x1"), Verdict::Same),
        (number(Some("a"), "X1"), number(Some("a"), "X2"), Verdict::Different),
        (number(Some("a"), "X1"), number(Some("b"), "X2"), Verdict::Unknown),
        (number(None, "X1"), number(Some("b"), "X1"), Verdict::Near),
        (number(None, "X1"), number(Some("b"), "X2"), Verdict::Unknown),
    ] {
        assert_eq!(compare::identifier(&one, &other), verdict, "{one} {other}");
    }
    let lives = |line: &str, code: &str, city: &str| json!({"address": [{"line": [line], "postalCode": code, "city": city, "state": "VT"}]});
    for (other, verdict) in [
        (lives("534 Erewhon St.", "03999-1234", "Elsewhere"), Verdict::Same),
        (lives("1 Main St", "03999", ""), Verdict::Near),
        (lives("534 Erewhon St", "", "Pleasantville"), Verdict::Same),
        (lives("1 Main St", "10001", "New York"), Verdict::Different),
        (json!({"address": [{"country": "US"}]}), Verdict::Unknown),
    ] {
        assert_eq!(compare::address(&peter(), &other), verdict, "{other}");
    }
    assert_eq!(compare::gender(&json!({"gender": "unknown"}), &peter()), Verdict::Unknown);
}

#[test]
fn candidates_are_looked_for_by_what_is_rare() {
    let found: Vec<String> = searches(&peter())
        .iter()
        .map(|search| {
            search.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        })
        .collect();
    assert_eq!(
        found,
        [
            "identifier=http://example.org/mrn|12345",
            "birthdate=1974-12-25&name=Chalmers,James,Jim,Peter",
            "family=Chalmers&given=James,Jim,Peter",
            "family=Chalmers&address-postalcode=03999",
            "telecom=(03) 5555 6473,pj@example.org",
        ]
    );
    for nothing in [json!({}), only(&["gender"]), only(&["birthDate"]), json!({"name": [{"family": "Roe"}]})]
    {
        assert!(searches(&nothing).is_empty(), "{nothing}");
    }
    let hostile = json!({"identifier": [{"system": "a|b", "value": "1,2"}, {"value": " "}]});
    assert_eq!(searches(&hostile), [vec![("identifier", "a\\|b|1\\,2".to_owned())]]);
}

proptest! {
    #[test]
    fn no_resource_breaks_the_comparison_and_order_does_not_matter(
        family in ".{0,12}", given in ".{0,8}", date in "[0-9-]{0,10}", value in ".{0,12}",
    ) {
        let other = json!({
            "name": [{"family": family, "given": [given, null]}, "x"], "birthDate": date, "gender": 7,
            "telecom": [{"value": value}], "address": [{"line": [value], "postalCode": value}],
            "identifier": [{"value": value}, {"system": MRN}],
        });
        prop_assert_eq!(assess(&other, &peter()), assess(&peter(), &other));
        let score = assess(&other, &other).score();
        prop_assert!(score <= 10_000);
    }
}
