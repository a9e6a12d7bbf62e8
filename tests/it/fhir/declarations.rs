//! What the CapabilityStatement advertises is there: each interaction, search parameter, include and definition is
//! used, as a client would that has read nothing else.

use serde_json::{Value, json};

use super::{asking, found, link, read, sending};
use crate::support::gateway::Gateway;
use crate::support::http::{Connection, Request};

/// One connection for many requests.
struct Client(Connection);

impl Client {
    fn new(gateway: &Gateway) -> Self {
        Self(gateway.connect().expect("the gateway listens"))
    }

    /// The status of a request, and the answer as text.
    fn status(&mut self, request: &Request) -> (u16, String) {
        let answer = self.0.exchange(request).expect("the gateway answers");
        (answer.status, answer.text())
    }
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

/// A value that makes sense for a parameter.
fn sensible(parameter: &Value) -> &'static str {
    match (text(parameter, "type"), text(parameter, "name")) {
        ("date", _) => "ge2020-01-01",
        ("number", _) => "1",
        ("quantity", _) => "5.4%7Chttp://unitsofmeasure.org%7Cmg",
        ("reference", _) => "Patient/example",
        ("uri", _) => "http://example.org/it",
        ("composite", name) if name.ends_with("-quantity") => "a%245",
        ("composite", name) if name.ends_with("-date") => "a%242020-01-01",
        ("composite", "relationship") => "appends%24DocumentReference/example",
        ("composite", name) if name.ends_with("-coordinate") => "a%241%242",
        ("composite", _) => "a%24b",
        _ => "something",
    }
}

#[test]
fn every_advertised_search_parameter_of_every_type_can_be_searched_by() {
    let gateway = Gateway::start();
    let statement = read(&gateway, "metadata");
    let mut client = Client::new(&gateway);
    let (mut refused, mut tried) = (Vec::new(), 0);
    for resource in list(&statement["rest"][0], "resource") {
        let name = text(resource, "type");
        for parameter in list(resource, "searchParam") {
            let search = format!("{name}?{}={}&_count=1", text(parameter, "name"), sensible(parameter));
            let (status, answer) = client.status(&asking("GET", &search).header("Prefer", "handling=strict"));
            tried += 1;
            if status != 200 || !answer.contains("\"type\":\"searchset\"") {
                refused.push(format!("{search}: {status} {answer}"));
            }
        }
    }
    assert!(tried > 2_000, "only {tried} parameters are advertised");
    assert!(refused.is_empty(), "{} of {tried}: {:#?}", refused.len(), &refused[..refused.len().min(10)]);
}

#[test]
fn every_advertised_include_can_be_asked_for() {
    let gateway = Gateway::start();
    let statement = read(&gateway, "metadata");
    let mut client = Client::new(&gateway);
    let mut refused = Vec::new();
    for resource in list(&statement["rest"][0], "resource") {
        let name = text(resource, "type");
        for (parameter, values) in [
            ("_include", list(resource, "searchInclude")),
            ("_revinclude", list(resource, "searchRevInclude")),
        ] {
            // All of a kind at once: what one request takes, it takes of each.
            for some in values.chunks(50) {
                let values: Vec<String> = some
                    .iter()
                    .map(|value| format!("{parameter}={}", value.as_str().unwrap_or_default()))
                    .collect();
                let search = format!("{name}?{}", values.join("&"));
                let (status, answer) =
                    client.status(&asking("GET", &search).header("Prefer", "handling=strict"));
                if status != 200 {
                    refused.push(format!("{search}: {status} {answer}"));
                }
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_advertised_interaction_answers() {
    let gateway = Gateway::with(&[
        ("CDEX_FHIR__UPDATE_CREATES", "true"),
        ("CDEX_FHIR__VALIDATION", "lenient"),
        ("CDEX_PARTNER__PAYER__HOSTS", "[\"https://payer.example\"]"),
    ]);
    let statement = read(&gateway, "metadata");
    let mut client = Client::new(&gateway);
    let mut wrong = Vec::new();
    for resource in list(&statement["rest"][0], "resource") {
        let name = text(resource, "type");
        assert_eq!(resource["updateCreate"], true);
        let codes: Vec<&str> = list(resource, "interaction").iter().map(|it| text(it, "code")).collect();
        // A type all of whose elements are mandatory is lenient enough for an empty resource.
        let mut body = json!({ "resourceType": name, "id": "declared", "language": "en" });
        if name == "Subscription" {
            body = subscription();
        }
        let patch = Request::new("PATCH", &format!("/fhir/{name}/declared"))
            .header("Content-Type", "application/merge-patch+json")
            .body(if name == "Binary" {
                b"{\"contentType\":\"a/b\"}".to_vec()
            } else {
                b"{\"language\":\"de\"}".to_vec()
            });
        let steps: [(&str, Request, &[u16]); 9] = [
            ("update", sending("PUT", &format!("{name}/declared"), &body), &[201]),
            ("read", asking("GET", &format!("{name}/declared?_format=json")), &[200]),
            ("vread", asking("GET", &format!("{name}/declared/_history/1?_format=json")), &[200]),
            ("patch", patch, &[200]),
            ("history-instance", asking("GET", &format!("{name}/declared/_history")), &[200]),
            ("history-type", asking("GET", &format!("{name}/_history")), &[200]),
            ("search-type", asking("GET", name), &[200]),
            ("create", sending("POST", name, &body), &[201]),
            ("delete", asking("DELETE", &format!("{name}/declared")), &[204]),
        ];
        assert_eq!(codes.len(), steps.len(), "{name}");
        for (code, request, expected) in steps {
            assert!(codes.contains(&code), "{name} does not advertise {code}");
            let (status, answer) = client.status(&request);
            if !expected.contains(&status) {
                wrong.push(format!("{name} {code}: {status} {answer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}

/// A Subscription that nobody is notified of: what it asks for is looked at in any case.
fn subscription() -> Value {
    let content =
        "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content";
    json!({
        "resourceType": "Subscription",
        "id": "declared",
        "status": "off",
        "reason": "declared",
        "criteria": "http://hl7.org/fhir/us/davinci-hrex/SubscriptionTopic/Task",
        "channel": {
            "type": "rest-hook",
            "endpoint": "https://payer.example/hook",
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": content, "valueCode": "empty"}]},
        },
    })
}

#[test]
fn what_is_declared_is_read_and_searched_and_cannot_be_changed() {
    let gateway = Gateway::start();
    let owner = read(&gateway, "SearchParameter/Task-owner");
    assert_eq!(owner["expression"], "Task.owner");
    assert_eq!(read(&gateway, "SearchParameter/Task-owner/_history/1"), owner);
    let by_url = read(&gateway, "SearchParameter?url=http://hl7.org/fhir/SearchParameter/Task-owner");
    assert_eq!((&by_url["total"], found(&by_url, "match")), (&json!(1), vec![&owner]));
    for request in [
        sending("PUT", "SearchParameter/Task-owner", &owner),
        asking("DELETE", "SearchParameter/Task-owner"),
        asking("DELETE", "OperationDefinition/Patient-match"),
    ] {
        gateway.ask(&request).expect(405);
    }
    gateway.ask(&asking("GET", "SearchParameter/nobody")).expect(404);
}

#[test]
fn pages_of_definitions_go_on_into_what_is_stored() {
    let gateway = Gateway::start();
    let declared = read(&gateway, "OperationDefinition")["total"].as_u64().expect("a total");
    let stored = json!({
        "resourceType": "OperationDefinition", "name": "Mine", "status": "draft", "kind": "operation", "code": "mine",
        "system": true, "type": false, "instance": false,
    });
    for _ in 0..3 {
        gateway.ask(&sending("POST", "OperationDefinition", &stored)).expect(201);
    }
    for count in 1..=10 {
        let (mut codes, mut ids) = (Vec::new(), std::collections::HashSet::new());
        let mut next = Some(format!("/OperationDefinition?_count={count}"));
        while let Some(page) = next {
            let bundle = read(&gateway, page.trim_start_matches('/'));
            assert_eq!(bundle["total"], declared + 3);
            let matches = found(&bundle, "match");
            assert!(!matches.is_empty() && matches.len() <= count, "{} of {count}", matches.len());
            for resource in matches {
                assert!(ids.insert(text(resource, "id").to_owned()), "twice");
                codes.push(text(resource, "code").to_owned());
            }
            next = link(&bundle, "next");
        }
        assert_eq!(ids.len() as u64, declared + 3, "pages of {count}");
        assert_eq!(&codes[codes.len() - 3..], ["mine", "mine", "mine"]);
    }
    assert_eq!(read(&gateway, "OperationDefinition?_summary=count")["total"], declared + 3);
    assert_eq!(read(&gateway, "OperationDefinition?code=mine")["total"], 3);
}

#[test]
fn metadata_is_cached_by_its_tag_and_shown_in_part() {
    let gateway = Gateway::start();
    let whole = gateway.get("/fhir/metadata?mode=full").expect(200);
    let etag = whole.header("ETag").expect("it has a tag").to_owned();
    let known = asking("GET", "metadata").header("If-None-Match", &etag);
    assert_eq!(gateway.ask(&known).expect(304).header("ETag"), Some(&*etag));
    gateway.ask(&asking("GET", "metadata").header("If-None-Match", "W/\"other\"")).expect(200);
    let options = gateway.ask(&asking("OPTIONS", "")).expect(200);
    assert_eq!(options.header("Allow"), Some("GET, HEAD, POST"));
    assert_eq!(options.json(), whole.json());
    let part = read(&gateway, "metadata?_elements=software");
    assert!(part.get("rest").is_none() && part["software"]["name"] == "cdex-gateway", "{part}");
    let outcome = gateway.get("/fhir/metadata?_summary=nonsense").expect(400).json();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let mut answer = gateway.ask(&asking("HEAD", "metadata")).expect(200);
    assert_eq!(std::mem::take(&mut answer.body), b"");
}
