//! `Patient/[id]/$everything`: the compartment, page by page, with what it refers to.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{calling, create, found, ids, link, parameters, read, to};
use crate::support::gateway::{Gateway, for_each_database};

fn observation(patient: &str, performer: &str, date: &str) -> Value {
    let mut observation = super::super::observation(&format!("Patient/{patient}"), "170");
    observation["effectiveDateTime"] = json!(date);
    observation["performer"] = json!([to(performer, "Practitioner")]);
    observation
}

struct Record {
    patient: String,
    practitioner: String,
    organization: String,
    observations: Vec<String>,
    allergy: String,
    coverage: String,
}

fn record(gateway: &Gateway) -> Record {
    let organization = create(gateway, &json!({"resourceType": "Organization", "name": "Clinic"}));
    let practitioner =
        create(gateway, &json!({"resourceType": "Practitioner", "name": [{"family": "Careful"}]}));
    let mut patient = super::super::patient("Doe");
    patient["managingOrganization"] = to(&organization, "Organization");
    let patient = create(gateway, &patient);
    let stranger = create(gateway, &super::super::patient("Roe"));
    create(gateway, &observation(&stranger, &practitioner, "2020-01-01"));
    create(gateway, &json!({"resourceType": "Practitioner", "name": [{"family": "Idle"}]}));
    let observations = ["2019-06-01", "2020-06-01", "2021-06-01"]
        .map(|date| create(gateway, &observation(&patient, &practitioner, date)));
    let allergy = json!({
        "resourceType": "AllergyIntolerance",
        "patient": to(&patient, "Patient"),
        "recordedDate": "2001-01-01",
        "clinicalStatus": {"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"},
        ]},
    });
    let coverage = json!({
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": to(&patient, "Patient"),
        "payor": [to(&organization, "Organization")],
    });
    Record {
        allergy: create(gateway, &allergy),
        coverage: create(gateway, &coverage),
        observations: observations.to_vec(),
        patient,
        practitioner,
        organization,
    }
}

/// The ids of the matches and of what came along, each sorted.
fn gathered(bundle: &Value) -> (Vec<String>, Vec<String>) {
    let sorted = |mode| {
        let mut ids = ids(bundle, mode);
        ids.sort();
        ids
    };
    (sorted("match"), sorted("include"))
}

fn all_of(ids: &[&[String]]) -> Vec<String> {
    let mut all = ids.concat();
    all.sort();
    all
}

#[test]
fn the_compartment_comes_with_what_it_refers_to_and_with_nobody_else() {
    for_each_database(&[], |gateway| {
        let Record { patient, practitioner, organization, observations, allergy, coverage } =
            record(&gateway);
        let lasting = [patient.clone(), allergy.clone(), coverage.clone()];
        let path = format!("Patient/{patient}/$everything");
        let bundle = read(&gateway, &path);
        let supporting = all_of(&[&[practitioner.clone(), organization.clone()]]);
        assert_eq!(gathered(&bundle), (all_of(&[&lasting, &observations]), supporting.clone()));
        assert_eq!((&bundle["type"], &bundle["total"]), (&json!("searchset"), &json!(6)));
        let clinic = vec![organization.clone()];
        for (query, matches, included) in [
            (
                "?start=2020-01-01&end=2020-12-31",
                all_of(&[&lasting, &observations[1..2]]),
                supporting.clone(),
            ),
            ("?start=2020", all_of(&[&lasting, &observations[1..]]), supporting.clone()),
            ("?end=2018", all_of(&[&lasting]), clinic.clone()),
            ("?_type=Coverage", vec![coverage.clone()], vec![]),
            ("?_type=Coverage,Organization", vec![coverage.clone()], clinic.clone()),
            (
                "?_type=Patient&_type=AllergyIntolerance",
                all_of(&[&[patient.clone(), allergy.clone()]]),
                vec![],
            ),
            ("?_type=Practitioner", vec![], vec![practitioner.clone()]),
            ("?_since=2100-01-01T00:00:00Z", vec![], vec![]),
            ("?_since=2000-01-01T00:00:00%2B02:00&_type=Coverage", vec![coverage.clone()], vec![]),
        ] {
            let bundle = read(&gateway, &format!("{path}{query}"));
            assert_eq!(gathered(&bundle), (matches, included), "{query}");
        }
        let body = parameters(&json!([
            {"name": "_type", "valueCode": "Coverage"},
            {"name": "_type", "valueCode": "AllergyIntolerance"},
            {"name": "start", "valueDate": "2020-01-01"},
        ]));
        let posted = gateway.ask(&calling(&path, &body)).expect(200).json();
        assert_eq!(gathered(&posted).0, all_of(&[&[coverage, allergy]]));
    });
}

#[test]
fn pages_hold_each_resource_of_the_compartment_once() {
    for_each_database(&[], |gateway| {
        let Record { patient, .. } = record(&gateway);
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut next = Some(format!("/Patient/{patient}/$everything?_count=2"));
        while let Some(path) = next {
            let bundle = read(&gateway, path.trim_start_matches('/'));
            let matches = ids(&bundle, "match");
            assert!(matches.len() <= 2 && bundle["total"] == 6, "{bundle}");
            let along: HashSet<String> = ids(&bundle, "include").into_iter().collect();
            assert_eq!(along.len(), found(&bundle, "include").len());
            seen.extend(matches);
            pages += 1;
            next = link(&bundle, "next");
        }
        assert_eq!((pages, seen.len(), seen.iter().collect::<HashSet<_>>().len()), (3, 6, 6));
    });
}

#[test]
fn who_was_deleted_has_nothing_any_more() {
    let gateway = Gateway::start();
    let patient = create(&gateway, &super::super::patient("Gone"));
    gateway.ask(&super::asking("DELETE", &format!("Patient/{patient}"))).expect(204);
    super::outcome(&gateway.ask(&super::asking("GET", &format!("Patient/{patient}/$everything"))), 410);
    let told = gateway.ask(&super::asking("GET", &format!("Patient/{patient}/$everything?_type=Foo")));
    super::outcome(&told, 400);
}
