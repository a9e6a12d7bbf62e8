//! `Patient/$match` finds who may be meant, the likeliest first.

use serde_json::{Value, json};

use super::{calling, create, found, ids, parameters};
use crate::support::gateway::{Gateway, for_each_database};

const MRN: &str = "http://example.org/mrn";

fn person(number: &str, family: &str, given: &str, born: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{"system": MRN, "value": number}],
        "name": [{"family": family, "given": [given]}],
        "gender": "female",
        "birthDate": born,
    })
}

/// The matches of a description: id and grade, in order.
#[track_caller]
fn matches(gateway: &Gateway, description: &Value, more: &Value) -> (Value, Vec<(String, String)>) {
    let mut list = vec![json!({"name": "resource", "resource": description})];
    list.extend(more.as_array().expect("a list").iter().cloned());
    let bundle = gateway.ask(&calling("Patient/$match", &parameters(&json!(list)))).expect(200).json();
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let graded = entries.filter(|entry| entry["search"]["mode"] == "match").map(|entry| {
        let extension = &entry["search"]["extension"][0];
        assert_eq!(extension["url"], "http://hl7.org/fhir/StructureDefinition/match-grade");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&entry["resource"]["id"]), text(&extension["valueCode"]))
    });
    let graded = graded.collect();
    (bundle, graded)
}

/// CONF-006: Patient/$match is there and gives scores.
#[test]
fn the_likeliest_comes_first_with_its_score_and_grade() {
    for_each_database(&[], |gateway| {
        let anna = create(&gateway, &person("1", "Müller", "Anna", "1980-05-06"));
        // A twin, who has a number of her own.
        create(&gateway, &person("2", "Müller", "Berta", "1980-05-06"));
        let slip = create(&gateway, &person("3", "Muller", "Anna", "1980-06-05"));
        create(&gateway, &person("4", "Roe", "Anna", "1990-01-01"));
        let (bundle, graded) = matches(&gateway, &person("1", "MULLER", "anna", "1980-05-06"), &json!([]));
        let expected = [(anna.clone(), "certain"), (slip, "possible")];
        let found: Vec<_> = graded.iter().map(|(id, grade)| (id.clone(), grade.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!((&bundle["type"], &bundle["total"]), (&json!("searchset"), &json!(2)));
        let scores: Vec<f64> = (0..2)
            .map(|index| bundle["entry"][index]["search"]["score"].to_string().parse().expect("a number"))
            .collect();
        assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 1.0 && scores[1] >= 0.0, "{scores:?}");
        let url = format!("{}/fhir/Patient/{anna}", gateway.url());
        assert_eq!(bundle["entry"][0]["fullUrl"], *url);

        let (bundle, graded) = matches(
            &gateway,
            &json!({"resourceType": "Patient", "name": [{"family": "Muller", "given": ["Anna"]}]}),
            &json!([{"name": "count", "valueInteger": 1}]),
        );
        assert_eq!((&bundle["total"], graded.len()), (&json!(2), 1));
    });
}

#[test]
fn certain_matches_are_one_or_none() {
    let gateway = Gateway::start();
    let anna = create(&gateway, &person("1", "Doe", "Anna", "1980-05-06"));
    create(&gateway, &person("2", "Doe", "Anna", "1980-05-06"));
    let certain = json!([{"name": "onlyCertainMatches", "valueBoolean": true}]);
    let (bundle, graded) = matches(&gateway, &person("1", "Doe", "Anna", "1980-05-06"), &certain);
    assert_eq!((graded, &bundle["total"]), (vec![(anna, "certain".to_owned())], &json!(1)));

    let unnumbered = json!({
        "resourceType": "Patient", "gender": "female", "birthDate": "1980-05-06",
        "name": [{"family": "Doe", "given": ["Anna"]}],
    });
    assert_eq!(matches(&gateway, &unnumbered, &certain).1, []);
    create(&gateway, &person("1", "Doe", "Anna", "1980-05-06"));
    let (bundle, graded) = matches(&gateway, &person("1", "Doe", "Anna", "1980-05-06"), &certain);
    assert_eq!((graded.len(), &bundle["total"]), (0, &json!(0)));
    let told = found(&bundle, "outcome");
    assert_eq!(told[0]["issue"][0]["code"], "multiple-matches");
}

#[test]
fn a_description_that_finds_nobody_is_answered_with_a_remark() {
    let gateway = Gateway::start();
    create(&gateway, &person("1", "Doe", "Anna", "1980-05-06"));
    for description in [
        json!({"resourceType": "Patient"}),
        json!({"resourceType": "Patient", "gender": "female"}),
        person("a,b|$\\", "O,Brien|", "%_", "2001-01-01"),
    ] {
        let (bundle, graded) = matches(&gateway, &description, &json!([]));
        assert_eq!((graded.len(), &bundle["total"], ids(&bundle, "match").len()), (0, &json!(0), 0));
        assert_eq!(found(&bundle, "outcome").len(), 1);
    }
    let bare = gateway.ask(&calling("Patient/$match?count=1", &person("1", "Doe", "Anna", "1980-05-06")));
    assert_eq!(bare.expect(200).json()["total"], 1);
    let broken = json!({"resourceType": "Patient", "birthDate": 7});
    let told = super::outcome(&gateway.ask(&calling("Patient/$match", &broken)), 400);
    assert_eq!(told[0].1, "Patient.birthDate");
}
