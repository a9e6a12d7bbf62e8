//! What is read of a Subscription, and every rule that one can break.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::terms::{PayloadContent, Terms, read};
use super::testing::{BASE, subscription};
use super::topic::TASK_TOPIC;
use crate::clock::Timestamp;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("an instant")
}

fn read_now(resource: &Value) -> Result<Terms, Vec<String>> {
    let refused = |issues: Vec<crate::fhir::Issue>| {
        let places = issues.into_iter().map(|issue| {
            assert!(issue.is_error(), "{issue:?}");
            format!("{} {}", issue.expression.unwrap_or_default(), issue.code.as_code())
        });
        places.collect()
    };
    read(resource, BASE, at("2026-01-01T00:00:00Z")).map_err(refused)
}

#[test]
fn conf_064_what_a_subscription_asks_for_is_read() {
    let mut resource = subscription("https://payer.test/hook", "full-resource");
    resource["end"] = "2026-06-01T00:00:00+02:00".into();
    resource["channel"]["header"] = json!(["Authorization: Bearer abc:def", "X-Empty:"]);
    resource["channel"]["payload"] = "application/json; charset=UTF-8".into();
    resource["channel"]["extension"] = json!([
        extension("backport-heartbeat-period", "valueUnsignedInt", 60),
        extension("backport-timeout", "valueUnsignedInt", 5),
        {"url": "http://example.org/unheard-of", "valueString": "x"},
        extension("backport-max-count", "valuePositiveInt", 10),
    ]);
    resource["_criteria"] = json!({"extension": [
        filter("Task?status=completed"),
        filter("Task?requester:identifier=http://example.org/cdex/payer/payer-ids|Payer123"),
    ]});
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = Terms {
        endpoint: "https://payer.test/hook".to_owned(),
        content_type: "application/json; charset=UTF-8".to_owned(),
        headers: vec![header("Authorization", "Bearer abc:def"), header("X-Empty", "")],
        content: PayloadContent::FullResource,
        criteria: vec![
            "Task?status=completed".to_owned(),
            "Task?requester:identifier=http://example.org/cdex/payer/payer-ids|Payer123".to_owned(),
        ],
        heartbeat_secs: 60,
        timeout_secs: 5,
        max_count: 10,
        end: Some(at("2026-05-31T22:00:00Z")),
    };
    assert_eq!(read_now(&resource), Ok(expected));

    let least = read_now(&subscription("https://payer.test/hook", "id-only")).expect("it is right");
    assert_eq!((least.content, least.max_count, least.end), (PayloadContent::IdOnly, 1, None));
    assert_eq!((least.heartbeat_secs, least.timeout_secs, least.headers.len()), (0, 0, 0));
}

fn extension(name: &str, member: &str, value: impl Into<Value>) -> Value {
    let url = format!("http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/{name}");
    json!({"url": url, member: value.into()})
}

fn filter(text: &str) -> Value {
    extension("backport-filter-criteria", "valueString", text)
}

#[test]
fn conf_064_what_is_not_served_is_refused_with_its_element() {
    let channel = "Subscription.channel";
    for (pointer, value, expected) in [
        ("/criteria", json!("http://example.org/topic"), "Subscription.criteria not-supported"),
        ("/criteria", json!("Task?status=completed"), "Subscription.criteria not-supported"),
        (
            "/_criteria",
            json!({"extension": [filter("Task?status=requested"), filter("Task?priority=urgent")]}),
            "Subscription.criteria.extension[1].value not-supported",
        ),
        (
            "/_criteria",
            json!({"extension": [extension("backport-filter-criteria", "valueUri", "Task?status=a")]}),
            "Subscription.criteria.extension[0] value",
        ),
        ("/channel/type", json!("email"), "Subscription.channel.type not-supported"),
        (
            "/channel/_type",
            json!({"extension": [extension("backport-channel-type", "valueCoding", json!({"code": "x"}))]}),
            "Subscription.channel.type.extension[0] not-supported",
        ),
        ("/channel/endpoint", Value::Null, "Subscription.channel.endpoint required"),
        ("/channel/payload", json!("application/fhir+xml"), "Subscription.channel.payload not-supported"),
        ("/channel/payload", json!("text/plain"), "Subscription.channel.payload not-supported"),
        ("/channel/payload", Value::Null, "Subscription.channel.payload required"),
        ("/channel/_payload", Value::Null, "Subscription.channel.payload.extension required"),
        (
            "/channel/_payload/extension/0/valueCode",
            json!("everything"),
            "Subscription.channel.payload.extension[0].value not-supported",
        ),
        ("/channel/header", json!(["no field"]), "Subscription.channel.header[0] value"),
        ("/channel/header", json!(["A: b", "B c: d"]), "Subscription.channel.header[1] value"),
        ("/channel/header", json!(["A: b\r\nHost: c"]), "Subscription.channel.header[0] value"),
        ("/channel/header", json!(["host: c"]), "Subscription.channel.header[0] business-rule"),
        ("/channel/header", json!(["Content-Type: a/b"]), "Subscription.channel.header[0] business-rule"),
        (
            "/channel/extension",
            json!([extension("backport-heartbeat-period", "valueUnsignedInt", -1)]),
            "Subscription.channel.extension[0].value value",
        ),
        (
            "/channel/extension",
            json!([extension("backport-max-count", "valuePositiveInt", 0)]),
            "Subscription.channel.extension[0].value value",
        ),
        (
            "/channel/extension",
            json!([
                extension("backport-timeout", "valueUnsignedInt", 1),
                extension("backport-timeout", "valueUnsignedInt", 2)
            ]),
            "Subscription.channel.extension structure",
        ),
        (
            "/channel/extension",
            json!([
                extension("backport-heartbeat-period", "valueUnsignedInt", 1),
                extension("backport-timeout", "valueUnsignedInt", 601)
            ]),
            "Subscription.channel.extension[1].value business-rule",
        ),
        ("/end", json!("2025-12-31T23:59:59Z"), "Subscription.end business-rule"),
    ] {
        let mut resource = subscription("https://payer.test/hook", "id-only");
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        resource.pointer_mut(parent).expect("its parent is there")[name] = value;
        assert_eq!(read_now(&resource), Err(vec![expected.to_owned()]), "{pointer} {channel}");
    }
}

#[test]
fn what_the_channel_asks_for_is_kept_within_bounds() {
    for (name, member, value, expected) in [
        ("backport-heartbeat-period", "valueUnsignedInt", 0, Some((0, 0, 1))),
        ("backport-heartbeat-period", "valueUnsignedInt", 86_400, Some((86_400, 0, 1))),
        ("backport-timeout", "valueUnsignedInt", 0, Some((0, 0, 1))),
        ("backport-timeout", "valueUnsignedInt", 60, Some((0, 60, 1))),
        ("backport-timeout", "valueUnsignedInt", 600, Some((0, 600, 1))),
        ("backport-timeout", "valueUnsignedInt", 3_600, None),
        ("backport-max-count", "valuePositiveInt", 1, Some((0, 0, 1))),
        ("backport-max-count", "valuePositiveInt", 20, Some((0, 0, 20))),
        ("backport-max-count", "valueUnsignedInt", 20, None),
        ("backport-max-count", "valuePositiveInt", -1, None),
    ] {
        let mut resource = subscription("https://payer.test/hook", "id-only");
        resource["channel"]["extension"] = json!([extension(name, member, value)]);
        let terms = read_now(&resource).ok();
        let read = terms.map(|terms| (terms.heartbeat_secs, terms.timeout_secs, terms.max_count));
        assert_eq!(read, expected, "{name} {value}");
    }
}

#[test]
fn a_subscription_to_a_search_is_told_what_to_send_instead() {
    for (criteria, is_search) in [
        ("Task?status=completed", true),
        ("http://gateway.test/fhir/Task?status=completed", true),
        ("Task", true),
        ("http://example.org/topic", false),
        ("urn:uuid:6a8fd7b2-5f1c-4d0e-9a53-0f6b6e1f2a3c", false),
    ] {
        let mut resource = subscription("https://payer.test/hook", "id-only");
        resource["criteria"] = criteria.into();
        let issues = read(&resource, BASE, at("2026-01-01T00:00:00Z")).expect_err("it is refused");
        let advice = issues[0].diagnostics.clone().unwrap_or_default();
        assert!(advice.contains(TASK_TOPIC), "{advice}");
        assert_eq!(advice.contains("backport-filter-criteria"), is_search, "{criteria}: {advice}");
        assert!(!advice.contains("completed"), "no word of the sender's: {advice}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let resource = json!({
        "resourceType": "Subscription",
        "status": "requested",
        "criteria": "http://example.org/topic",
        "_criteria": {"extension": [filter("Patient?name=x")]},
        "channel": {"type": "websocket", "payload": "text/plain", "header": ["x"]},
    });
    assert_eq!(read_now(&resource).expect_err("nothing is right").len(), 7);
}

#[test]
fn what_was_turned_off_may_have_ended() {
    let mut resource = subscription("https://payer.test/hook", "empty");
    resource["end"] = "2025-12-31T23:59:59Z".into();
    resource["status"] = "off".into();
    assert_eq!(read_now(&resource).map(|terms| terms.content), Ok(PayloadContent::Empty));
}

proptest! {
    #[test]
    fn a_header_that_is_read_is_one_line(line in "[ -~\\r\\n\\t\\u{0}é]{0,30}") {
        let mut resource = subscription("https://payer.test/hook", "id-only");
        resource["channel"]["header"] = json!([line]);
        if let Ok(terms) = read_now(&resource) {
            for (name, value) in terms.headers {
                prop_assert!(!name.is_empty() && !name.contains([' ', ':', '\r', '\n']));
                prop_assert!(!value.contains(['\r', '\n', '\0']) && value.is_ascii());
            }
        }
    }
}
