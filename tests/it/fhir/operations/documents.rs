//! US Core `DocumentReference/$docref` finds documents by type and dates of care.

use serde_json::{Value, json};

use super::{asking, calling, create, found, ids, link, parameters, read, to};
use crate::support::gateway::{Gateway, for_each_database};

const CCD: &str = "34133-9";
const NOTE: &str = "11506-3";

fn document(patient: &str, code: &str, from: Option<(&str, &str)>, date: &str) -> Value {
    let mut document = json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": to(patient, "Patient"),
        "date": date,
        "content": [{"attachment": {"contentType": "text/plain", "data": "SGk="}}],
    });
    if let Some((start, end)) = from {
        document["context"] = json!({"period": {"start": start, "end": end}});
    }
    document
}

struct Stored {
    patient: String,
    old_note: String,
    new_note: String,
    ccd: String,
}

fn stored(gateway: &Gateway) -> Stored {
    let patient = create(gateway, &super::super::patient("Doe"));
    let other = create(gateway, &super::super::patient("Roe"));
    let store = |document: &Value| create(gateway, document);
    store(&document(&other, NOTE, None, "2024-06-01T00:00:00Z"));
    let mut superseded = document(&patient, CCD, None, "2025-01-01T00:00:00Z");
    superseded["status"] = json!("superseded");
    store(&superseded);
    Stored {
        old_note: store(&document(
            &patient,
            NOTE,
            Some(("2019-01-01", "2019-01-03")),
            "2023-01-01T00:00:00Z",
        )),
        ccd: store(&document(&patient, CCD, None, "2021-05-05T00:00:00Z")),
        new_note: store(&document(
            &patient,
            NOTE,
            Some(("2022-02-02", "2022-02-02")),
            "2022-03-01T00:00:00Z",
        )),
        patient,
    }
}

#[test]
fn documents_are_found_by_type_and_dates_of_care() {
    for_each_database(&[], |gateway| {
        let Stored { patient, old_note, new_note, ccd } = stored(&gateway);
        let all = [&*new_note, &*ccd, &*old_note];
        for (query, expected) in [
            ("", vec![&*ccd]),
            ("&type=http://loinc.org|11506-3", vec![&*new_note]),
            ("&type=11506-3,34133-9", vec![&*new_note]),
            ("&type=nothing", vec![]),
            ("&start=2000", all.to_vec()),
            ("&end=2100-01-01", all.to_vec()),
            // The care was in 2019, whenever that was written down.
            ("&end=2020-12-31", vec![&*old_note]),
            ("&start=2019-01-02T12:00:00Z&end=2019-01-02T13:00:00Z", vec![&*old_note]),
            ("&start=2021&end=2021", vec![&*ccd]),
            ("&start=2021&type=11506-3", vec![&*new_note]),
            ("&start=2000&profile=http://example.org/own", vec![]),
            ("&start=2000-01-01T00:00:00+01:00&on-demand=false", all.to_vec()),
        ] {
            let bundle = read(&gateway, &format!("DocumentReference/$docref?patient={patient}{query}"));
            assert_eq!(ids(&bundle, "match"), expected, "{query}");
            assert_eq!(bundle["total"], expected.len(), "{query}");
            assert_eq!(found(&bundle, "outcome").len(), usize::from(expected.is_empty()), "{query}");
        }
        let body = parameters(&json!([
            {"name": "patient", "valueId": patient},
            {"name": "start", "valueDateTime": "2021-01-01"},
            {"name": "type", "valueCodeableConcept": {"coding": [{"system": "http://loinc.org", "code": NOTE}]}},
        ]));
        let posted = gateway.ask(&calling("DocumentReference/$docref", &body)).expect(200).json();
        assert_eq!(ids(&posted, "match"), [&*new_note]);
        let applied = format!(
            "/DocumentReference/$docref?patient={patient}&start=2021-01-01&type=http%3A%2F%2Floinc.org%7C11506-3"
        );
        assert_eq!(link(&posted, "self").map(|path| path.replace("%24", "$")), Some(applied));
    });
}

#[test]
fn without_a_ccd_it_is_the_latest_document_of_all() {
    let gateway = Gateway::start();
    let patient = create(&gateway, &super::super::patient("Doe"));
    create(&gateway, &document(&patient, NOTE, None, "2020-01-01T00:00:00Z"));
    let latest = create(&gateway, &document(&patient, NOTE, None, "2024-01-01T00:00:00Z"));
    let bundle = read(&gateway, &format!("DocumentReference/$docref?patient={patient}"));
    assert_eq!((ids(&bundle, "match"), link(&bundle, "next")), (vec![latest], None));
}

#[test]
fn nothing_is_made_on_demand_and_that_is_said() {
    let gateway = Gateway::start();
    let Stored { patient, ccd, .. } = stored(&gateway);
    let path = format!("DocumentReference/$docref?patient={patient}&on-demand=true");
    let bundle = read(&gateway, &path);
    assert_eq!(ids(&bundle, "match"), [ccd]);
    assert_eq!(found(&bundle, "outcome")[0]["issue"][0]["severity"], "information");
    let nobody = read(&gateway, "DocumentReference/$docref?patient=unknown");
    assert_eq!((&nobody["total"], found(&nobody, "outcome").len()), (&json!(0), 1));
    gateway.ask(&asking("HEAD", &path)).expect(200);
}

#[test]
fn many_documents_come_in_pages() {
    let gateway = Gateway::with(&[("CDEX_FHIR__PAGE_SIZE", "2")]);
    let Stored { patient, old_note, new_note, ccd } = stored(&gateway);
    let first = read(&gateway, &format!("DocumentReference/$docref?patient={patient}&start=2000"));
    assert_eq!((ids(&first, "match"), &first["total"]), (vec![new_note, ccd], &json!(3)));
    let next = link(&first, "next").expect("there is more");
    let second = read(&gateway, next.trim_start_matches('/'));
    assert_eq!((ids(&second, "match"), &second["total"]), (vec![old_note], &json!(3)));
    assert_eq!(link(&second, "next"), None);
}
