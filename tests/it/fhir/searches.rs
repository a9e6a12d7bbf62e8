//! Searches over the wire: pages, links, totals, what comes along, and what is not applied.

use serde_json::{Value, json};

use super::{asking, create, found, link, observation, outcome, patient, read, sending};
use crate::support::gateway::{Gateway, for_each_database};

fn ids(resources: &[&Value]) -> Vec<String> {
    resources.iter().map(|resource| resource["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_searchset_has_its_matches_and_links() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &patient("Doe"));
        create(&gateway, &patient("Roe"));
        let bundle = read(&gateway, "Patient?family=doe&_format=json");
        assert_eq!((&bundle["type"], &bundle["total"]), (&json!("searchset"), &json!(1)));
        assert_eq!(ids(&found(&bundle, "match")), [&*id]);
        let url = format!("{}/fhir/Patient/{id}", gateway.url());
        assert_eq!(bundle["entry"][0]["fullUrl"], *url);
        assert_eq!(link(&bundle, "self").as_deref(), Some("/Patient?family=doe"));
        assert_eq!(link(&bundle, "next"), None);
        let form = asking("POST", "Patient/_search?active=true")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("family=doe");
        let posted = gateway.ask(&form).expect(200).json();
        assert_eq!(ids(&found(&posted, "match")), [&*id]);
        assert_eq!(link(&posted, "self").as_deref(), Some("/Patient?active=true&family=doe"));
        let empty = gateway.ask(&asking("POST", "Patient/_search").header("Content-Length", "0")).expect(200);
        assert_eq!(empty.json()["total"], 2);
    });
}

#[test]
fn pages_lose_and_double_nothing_while_others_write() {
    for_each_database(&[], |gateway| {
        let mut expected: Vec<String> =
            (0..25).map(|n| create(&gateway, &patient(&format!("Page{n}")))).collect();
        let (mut seen, mut totals) = (Vec::new(), Vec::new());
        let mut next = Some("/Patient?family=page&_count=4&_sort=family".to_owned());
        while let Some(page) = next {
            let bundle = read(&gateway, page.trim_start_matches('/'));
            seen.extend(ids(&found(&bundle, "match")));
            totals.push(bundle["total"].clone());
            next = link(&bundle, "next");
            // Before everything that is still to come, so that offsets would double a match.
            create(&gateway, &patient("Page"));
        }
        let added = seen.iter().filter(|id| !expected.contains(id)).count();
        assert_eq!(added, 0, "what came before the page is not shown");
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
        assert!(totals.iter().all(|total| *total == 25), "{totals:?}");
    });
}

#[test]
fn a_page_has_as_many_matches_as_asked_for_within_bounds() {
    let gateway = Gateway::with(&[("CDEX_FHIR__PAGE_SIZE", "3"), ("CDEX_FHIR__MAX_PAGE_SIZE", "5")]);
    for n in 0..7 {
        create(&gateway, &patient(&format!("N{n}")));
    }
    for (query, count) in [("", 3), ("?_count=2", 2), ("?_count=100", 5)] {
        let bundle = read(&gateway, &format!("Patient{query}"));
        assert_eq!(found(&bundle, "match").len(), count, "{query}");
        assert_eq!(bundle["total"], 7);
    }
    let clamped = read(&gateway, "Patient?_count=100");
    assert_eq!(link(&clamped, "self").as_deref(), Some("/Patient?_count=5"));
    for counted in ["_count=0", "_summary=count", "_count=0&_totalMethod=count"] {
        let bundle = read(&gateway, &format!("Patient?{counted}"));
        assert_eq!((&bundle["total"], found(&bundle, "match").len()), (&json!(7), 0), "{counted}");
    }
    assert_eq!(read(&gateway, "Patient?_total=none&_count=2").get("total"), None);
}

#[test]
fn a_cursor_of_another_request_or_of_nobody_is_400() {
    let gateway = Gateway::start();
    for n in 0..3 {
        create(&gateway, &patient(&format!("N{n}")));
    }
    let next = link(&read(&gateway, "Patient?_count=1"), "next").expect("a next page");
    let cursor = next.split_once("_cursor=").expect("a cursor").1;
    let mangled = format!("{}x", &cursor[..cursor.len() - 1]);
    for path in [
        "Patient?_count=1&_cursor=x".to_owned(),
        "Patient?_count=1&_cursor=AAAA".to_owned(),
        format!("Patient?_count=1&_cursor={}", &cursor[1..]),
        format!("Patient?active=true&_cursor={cursor}"),
        format!("Patient?_sort=family&_cursor={cursor}"),
        format!("Task?_cursor={cursor}"),
        format!("Patient/_history?_cursor={cursor}"),
    ] {
        outcome(&gateway.ask(&asking("GET", &path)), 400);
    }
    // One that is changed in its position still leads to a page, or is refused; it breaks nothing.
    let status = gateway.ask(&asking("GET", &format!("Patient?_count=1&_cursor={mangled}"))).status;
    assert!([200, 400].contains(&status), "{status}");
}

#[test]
fn what_is_not_applied_is_told_or_refused() {
    let gateway = Gateway::start();
    create(&gateway, &patient("Doe"));
    let bundle = read(&gateway, "Patient?family=doe&unknown-filter=x");
    assert_eq!(link(&bundle, "self").as_deref(), Some("/Patient?family=doe"));
    let told = found(&bundle, "outcome");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["issue"][0]["severity"], "warning");
    let strict = asking("GET", "Patient?family=doe&unknown-filter=x").header("Prefer", "handling=strict");
    outcome(&gateway.ask(&strict), 400);
    for path in
        ["Patient?birthdate=x", "Patient?family:unheard=x", "Patient?_count=x", "Patient?_sort=unknown"]
    {
        let status = gateway.ask(&asking("GET", path)).status;
        assert!(status == 400 || path.contains("_sort"), "{path}: {status}");
    }
}

#[test]
fn references_bring_along_what_is_asked_for() {
    for_each_database(&[], |gateway| {
        let doe = create(&gateway, &patient("Doe"));
        let size = create(&gateway, &observation(&format!("Patient/{doe}"), "180"));
        create(&gateway, &observation("Patient/unknown", "170"));
        let bundle = read(&gateway, &format!("Observation?_id={size}&_include=Observation:subject"));
        assert_eq!(ids(&found(&bundle, "match")), [&*size]);
        assert_eq!(ids(&found(&bundle, "include")), [&*doe]);
        assert_eq!(bundle["total"], 1);
        let bundle = read(&gateway, &format!("Patient?_id={doe}&_revinclude=Observation:subject"));
        assert_eq!(ids(&found(&bundle, "include")), [&*size]);
        let chained = read(&gateway, "Observation?subject:Patient.family=doe");
        assert_eq!(ids(&found(&chained, "match")), [&*size]);
        let referred = read(&gateway, "Patient?_has:Observation:subject:code=8302-2");
        assert_eq!(ids(&found(&referred, "match")), [&*doe]);
    });
}

#[test]
fn compartments_and_several_types_can_be_searched() {
    for_each_database(&[], |gateway| {
        let doe = create(&gateway, &patient("Doe"));
        let size = create(&gateway, &observation(&format!("Patient/{doe}"), "180"));
        create(&gateway, &observation("Patient/unknown", "170"));
        let inside = read(&gateway, &format!("Patient/{doe}/Observation?code=8302-2"));
        assert_eq!(ids(&found(&inside, "match")), [&*size]);
        let all = read(&gateway, &format!("Patient/{doe}/*"));
        assert!(ids(&found(&all, "match")).contains(&size));
        let system = read(&gateway, "?_type=Patient,Observation");
        assert_eq!(found(&system, "match").len(), 3);
        outcome(&gateway.ask(&asking("GET", "?_type=Foo")), 400);
    });
}

#[test]
fn a_search_shows_as_much_of_each_match_as_is_asked_for() {
    let gateway = Gateway::start();
    create(&gateway, &patient("Doe"));
    let bundle = read(&gateway, "Patient?_elements=active");
    let shown = found(&bundle, "match")[0];
    assert!(shown.get("name").is_none() && shown["active"] == true, "{shown}");
    assert_eq!(link(&bundle, "self").as_deref(), Some("/Patient?_elements=active"));
}

#[test]
fn what_was_deleted_or_changed_is_not_found_any_more() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &patient("Before"));
        let path = format!("Patient/{id}");
        let mut resource = read(&gateway, &path);
        resource["name"][0]["family"] = json!("After");
        gateway.ask(&sending("PUT", &path, &resource)).expect(200);
        assert_eq!(read(&gateway, "Patient?family=before")["total"], 0);
        assert_eq!(read(&gateway, "Patient?family=after")["total"], 1);
        gateway.ask(&asking("DELETE", &path)).expect(204);
        assert_eq!(read(&gateway, "Patient?family=after")["total"], 0);
        assert_eq!(read(&gateway, "Patient")["total"], 0);
    });
}
