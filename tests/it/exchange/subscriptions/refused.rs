//! Which Subscriptions are not taken, and what is said of them.

use serde_json::{Value, json};

use super::{create, extension, gateway, sending, subscription, wait_for};
use crate::support::endpoint::Endpoint;
use crate::support::environment::shared;
use crate::support::gateway::Gateway;
use crate::support::rows;

/// Code and element of each error of a refusal.
#[track_caller]
fn refused(gateway: &Gateway, resource: &Value) -> Vec<String> {
    let answer = gateway.ask(&sending("POST", "Subscription", resource)).expect(422).json();
    let issues = answer["issue"].as_array().expect("issues");
    let errors = issues.iter().filter(|issue| issue["severity"] == "error");
    let of = |issue: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{} {}", text(&issue["expression"][0]), text(&issue["code"]))
    };
    errors.map(of).collect()
}

#[test]
fn conf_064_what_is_not_served_is_refused_with_all_that_is_wrong() {
    let endpoint = Endpoint::start();
    let gateway = gateway(&endpoint);
    let hook = format!("{}/hook", endpoint.url());
    let mut resource = subscription(&hook, "id-only");
    resource["criteria"] = "http://example.org/SubscriptionTopic/other".into();
    resource["_criteria"] = json!({"extension": [extension("backport-filter-criteria", "valueString", "Task?patient=Patient/1")]});
    resource["channel"]["type"] = "email".into();
    resource["channel"]["payload"] = "application/fhir+xml".into();
    resource["channel"]["endpoint"] = "https://elsewhere.example/hook".into();
    assert_eq!(
        refused(&gateway, &resource),
        [
            "Subscription.criteria not-supported",
            "Subscription.channel.type not-supported",
            "Subscription.channel.payload not-supported",
            "Subscription.criteria.extension[0].value not-supported",
            "Subscription.channel.endpoint business-rule",
        ]
    );
    let mut unheard_of = subscription(&hook, "id-only");
    unheard_of["channel"]["_payload"] =
        json!({"extension": [extension("backport-payload-content", "valueCode", "everything")]});
    assert_eq!(
        refused(&gateway, &unheard_of),
        ["Subscription.channel.payload.extension[0].value not-supported"]
    );
    let mut in_error = subscription(&hook, "id-only");
    in_error["status"] = "error".into();
    assert_eq!(refused(&gateway, &in_error), ["Subscription.status business-rule"]);
    assert_eq!((rows::count(&gateway, "subscription"), rows::count(&gateway, "agenda")), (0, 0));
    assert!(endpoint.received().is_empty());
}

#[test]
fn an_endpoint_is_a_partners_and_encrypted_unless_the_partner_is_private() {
    let public = Gateway::with(&[(
        "CDEX_PARTNER__ACME__HOSTS",
        "[\"https://acme.example\", \"http://acme.example\"]",
    )]);
    let at = "Subscription.channel.endpoint business-rule";
    for endpoint in [
        "http://acme.example/hook",
        "https://acme.example:8443/hook",
        "https://acme.example.evil.example/hook",
        "https://user@acme.example/hook",
        "https://127.0.0.1/hook",
        "ftp://acme.example/hook",
    ] {
        assert_eq!(refused(&public, &subscription(endpoint, "id-only")), [at], "{endpoint}");
    }
    create(&public, &subscription("https://acme.example/hook", "id-only"));
    let nobody = Gateway::start();
    assert_eq!(refused(&nobody, &subscription("https://acme.example/hook", "id-only")), [at]);
    let silent = Gateway::with(&[
        ("CDEX_PARTNER__ACME__HOSTS", "[\"https://acme.example\"]"),
        ("CDEX_PARTNER__ACME__POLICY__SUBSCRIPTIONS", "false"),
    ]);
    assert_eq!(refused(&silent, &subscription("https://acme.example/hook", "id-only")), [at]);
}

#[test]
fn the_official_examples_are_taken_where_their_host_is_a_partners() {
    let Some(folder) = shared("cdex/examples") else { return };
    let example = |name: &str| -> Value {
        let path = folder.join(format!("cdex-task-inline-scenario1-subscription-{name}.json"));
        let text = std::fs::read(path).expect("the example is there");
        serde_json::from_slice(&text).expect("it is JSON")
    };
    let stranger = Gateway::start();
    assert_eq!(refused(&stranger, &example("requested")), ["Subscription.channel.endpoint business-rule"]);
    // Their endpoint is not encrypted: only a partner in a private network may have one.
    let gateway = Gateway::with(&[
        ("CDEX_PARTNER__PAYER__HOSTS", "[\"http://example.org\"]"),
        ("CDEX_PARTNER__PAYER__PRIVATE_ADDRESSES", "true"),
        ("CDEX_DELIVERY__RETRY_SCHEDULE_SECS", "[0]"),
    ]);
    for name in ["requested", "active"] {
        let answer = gateway.ask(&sending("POST", "Subscription", &example(name))).expect(201).json();
        assert_eq!(answer["status"], "requested", "{name}");
        let id = answer["id"].as_str().expect("an id");
        assert!(wait_for(&gateway, id, "error")["error"].is_string(), "nobody answers there");
    }
    // What others send as notifications can be kept as it is.
    gateway.ask(&sending("POST", "Bundle", &example("notification"))).expect(201);
}
