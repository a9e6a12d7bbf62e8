//! The endpoint of a payer whose entry has no more than its FHIR base: it is what the payer publishes (HRex endpoint
//! discovery), where a Task names only the payer's server or nothing at all.

use serde_json::json;

use super::*;

/// A payer's gateway, and a provider's that knows its base, with one document of one member.
fn pair() -> (Gateway, Gateway) {
    let payer = Gateway::start();
    let base = format!("{}/fhir", payer.url());
    let provider = Gateway::with(&[
        ("CDEX_PARTNER__PAYER__FHIR_BASE", &*base),
        ("CDEX_PARTNER__PAYER__PRIVATE_ADDRESSES", "true"),
        ("CDEX_PARTNER__PAYER__IDENTIFIERS", "[\"http://payer.example.org/payers|Payer123\"]"),
        ("CDEX_FHIR__VALIDATION", "lenient"),
    ]);
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"a note"));
    (payer, provider)
}

/// Puts another input payer-url into a request; none if there is none to put.
fn redirected(mut task: Value, payer_url: Option<&str>) -> Value {
    let inputs = task["input"].as_array_mut().expect("a request has inputs");
    match payer_url {
        Some(url) => inputs[0]["valueUrl"] = url.into(),
        None => drop(inputs.remove(0)),
    }
    task
}

#[test]
fn an_answer_to_a_server_or_to_nothing_goes_where_the_payer_publishes_that_it_takes_it() {
    let (payer, provider) = pair();
    // At its root the payer takes no submissions: without its document the first would not arrive.
    for (tracking, payer_url) in
        [("T1", Some(payer.url())), ("T2", Some(format!("{}/fhir/", payer.url()))), ("T3", None)]
    {
        let asked = request(&payer.url(), "M1", tracking, &[PROGRESS_NOTE]);
        let task = create(&provider, &redirected(asked, payer_url.as_deref()));
        let completed = task_in(&provider, &task, "completed");
        let stage = completed["businessStatus"]["coding"][0]["code"].as_str();
        assert!(matches!(stage, Some("submitted" | "held")), "{completed}");
    }
    let deliveries = crate::support::rows::texts(&provider, "SELECT path FROM delivery");
    let endpoint = format!("{}/fhir/$submit-attachment", payer.url());
    assert_eq!(deliveries.iter().filter(|path| **path == endpoint).count(), 3, "{deliveries:?}");
}

#[test]
fn a_payer_that_publishes_nothing_is_sent_to_where_the_task_says_and_without_that_nowhere() {
    let payer = Endpoint::start();
    let base = format!("{}/fhir", payer.url());
    let provider = Gateway::with(&[
        ("CDEX_PARTNER__PAYER__FHIR_BASE", &*base),
        ("CDEX_PARTNER__PAYER__PRIVATE_ADDRESSES", "true"),
        ("CDEX_PARTNER__PAYER__IDENTIFIERS", "[\"http://payer.example.org/payers|Payer123\"]"),
        ("CDEX_FHIR__VALIDATION", "lenient"),
    ]);
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"a note"));
    let asked = request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]);
    let task = create(&provider, &redirected(asked.clone(), Some(&base)));
    task_in(&provider, &task, "completed");
    assert_eq!(submissions(&payer).len(), 1);
    let task = create(&provider, &redirected(asked, None));
    let held = task_at(&provider, &task, "no-partner");
    assert!(held["businessStatus"]["text"].to_string().contains("publishes no endpoint"), "{held}");
    assert_eq!(submissions(&payer).len(), 1);
}

#[test]
fn a_redirect_of_the_payer_is_a_refusal() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"a note"));
    payer.answer([
        crate::support::endpoint::Reply::new(307).header("Location", "http://127.0.0.1:9/elsewhere")
    ]);
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    let failed = task_in(&provider, &task, "failed");
    assert_eq!(failed["businessStatus"]["coding"][0]["code"], "refused");
    assert!(failed["statusReason"]["text"].to_string().contains("307"), "{failed}");
}

#[test]
fn a_patient_who_comes_late_wakes_the_task() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let mut early = document("late", PROGRESS_NOTE, b"a note");
    early["subject"] = json!({"reference": "Patient/late"});
    create(&provider, &early);
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    let waiting = task_at(&provider, &task, "waiting-for-patient");
    assert!(waiting["businessStatus"]["text"].to_string().contains("Task.for"), "{waiting}");
    put(&provider, "late", &member("M1"));
    task_in(&provider, &task, "completed");
}
