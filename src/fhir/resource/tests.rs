//! The stored text against the received one, read by a parser that knows nothing of either.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::testing;

fn moment() -> Timestamp {
    Timestamp::from_nanos(1_746_453_802_000_000_000)
}

fn stamped(received: &str) -> String {
    let text = stamp(received.as_bytes(), "7", 3, moment()).expect("a resource");
    String::from_utf8(text).expect("UTF-8 in, UTF-8 out")
}

#[test]
fn what_the_server_says_stands_in_front_and_all_the_rest_is_as_received() {
    let meta = r#""meta":{"versionId":"3","lastUpdated":"2025-05-05T14:03:22Z""#;
    for (received, stored) in [
        (r#"{"resourceType":"Basic"}"#, format!(r#"{{"resourceType":"Basic","id":"7",{meta}}}}}"#)),
        (
            " {\n \"a\" : [ 1.50 , -0e+1 ,\ttrue ] , \"resourceType\" : \"Basic\"\r\n} ",
            format!(r#"{{"resourceType":"Basic","id":"7",{meta}}},"a":[1.50,-0e+1,true]}}"#),
        ),
        (
            r#"{"id":"x","_id":{"id":"i"},"s":"  \" { , \u00e9 \\","resourceType":"Basic","o":{ } }"#,
            format!(
                r#"{{"resourceType":"Basic","id":"7",{meta}}},"_id":{{"id":"i"}},"s":"  \" {{ , \u00e9 \\","o":{{}}}}"#
            ),
        ),
        (
            r#"{"resourceType":"Basic","meta":{"versionId":"9","profile":[ "p" ],"lastUpdated":"1","_lastUpdated":{},"tag":[{}]}}"#,
            format!(r#"{{"resourceType":"Basic","id":"7",{meta},"profile":["p"],"tag":[{{}}]}}}}"#),
        ),
        (
            r#"{"resourceType":"Basic","\u0069d":"x","m\u0065ta":{}}"#,
            format!(r#"{{"resourceType":"Basic","id":"7",{meta}}}}}"#),
        ),
    ] {
        assert_eq!(stamped(received), stored);
    }
}

#[test]
fn stamping_again_changes_only_what_the_server_says() {
    let once = stamped(r#"{"resourceType":"Basic","meta":{"source":"s"},"code":{"text":"t"}}"#);
    let twice = stamp(once.as_bytes(), "7", 4, moment().after(Duration::from_secs(1))).expect("a resource");
    let expected = once.replacen("\"3\"", "\"4\"", 1).replacen(":22Z", ":23Z", 1);
    assert_eq!(String::from_utf8(twice).expect("UTF-8"), expected);
}

#[test]
fn a_text_that_is_no_resource_is_refused() {
    for text in [
        "",
        "[]",
        "{",
        "{}",
        "null",
        r#"{"resourceType"}"#,
        r#"{"resourceType":}"#,
        r#"{"resourceType":"Basic""#,
        r#"{"resourceType":"Basic" "a":1}"#,
        r#"{"resourceType":"Basic","a":[}"#,
        r#"{"resourceType":"Basic","a":"\"#,
        r#"{"resourceType":"Basic","a":"\"}"#,
        r#"{"resourceType":"Basic","meta":null}"#,
        r#"{"resourceType":"Basic",1:2}"#,
    ] {
        assert_eq!(stamp(text.as_bytes(), "7", 1, moment()), Err(Malformed), "{text}");
    }
}

#[test]
fn members_and_entries_are_slices_of_the_text() {
    let text = br#"{ "a" : [ 1.0 , { "b" : [ ] } , "x,]" ] , "\u0062" : null }"#;
    let found: Vec<_> = members(text).map(|member| member.expect("it is an object")).collect();
    let names: Vec<&str> = found.iter().map(|member| &*member.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(found[1].raw_name, br#""\u0062""#);
    assert_eq!(found[1].value, b"null");
    let entries: Vec<_> = entries(found[0].value).map(|entry| entry.expect("it is an array")).collect();
    assert_eq!(entries, [&b"1.0"[..], br#"{ "b" : [ ] }"#, br#""x,]""#]);
    assert_eq!(members(b"[]").collect::<Vec<_>>(), [Err(Malformed)]);
    assert_eq!(super::entries(b"[1,").collect::<Vec<_>>(), [Ok(&b"1"[..]), Err(Malformed)]);
}

#[test]
fn every_published_example_keeps_its_numbers_orders_and_extensions() {
    for (name, text) in testing::published_examples() {
        let stored = stamp(text, "7", 3, moment()).expect(name);
        let mut before: Value = serde_json::from_slice(text).expect(name);
        let mut after: Value = serde_json::from_slice(&stored).expect(name);
        // Not `==`, which does not see the order of members.
        assert_eq!(without_stamp(&mut before).to_string(), without_stamp(&mut after).to_string(), "{name}");
    }
}

/// The resource without what the server says about it, and the client's `meta` without what it may not say.
fn without_stamp(resource: &mut Value) -> &Value {
    let members = resource.as_object_mut().expect("a resource");
    members.shift_remove("id");
    let mut meta = members.shift_remove("meta").unwrap_or_else(|| json!({}));
    for name in ["versionId", "lastUpdated", "_versionId", "_lastUpdated"] {
        meta.as_object_mut().expect("meta is an object").shift_remove(name);
    }
    let resource_type = members.shift_remove("resourceType").expect("a resource");
    members.insert("resourceType".to_owned(), resource_type);
    members.insert("meta".to_owned(), meta);
    resource
}

/// JSON with strings and numbers that are easily changed by accident.
fn json() -> impl Strategy<Value = Value> {
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number.prop_map(|text| serde_json::from_str(&text).expect("a number")),
        "[ -~\\\\\"\u{e9}\n\t]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec(("[ -~\\\\\"\u{e9}]{0,6}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_stored_text_is_the_received_resource(
        members in proptest::collection::vec(("[a-z_]{1,8}|id", json()), 0..8),
        at in any::<prop::sample::Index>(),
        pretty in any::<bool>(),
    ) {
        let mut members = members;
        members.retain(|(name, _)| name != "meta" && name != "resourceType");
        members.insert(at.index(members.len() + 1), ("resourceType".to_owned(), "Basic".into()));
        let mut resource = Value::Object(members.into_iter().collect());
        let received =
            if pretty { serde_json::to_string_pretty(&resource) } else { serde_json::to_string(&resource) };
        let stored = stamped(&received.expect("a tree is written"));

        let mut after: Value = serde_json::from_str(&stored).expect("it is JSON");
        prop_assert_eq!(&after["id"], "7");
        prop_assert_eq!(stored.len(), after.to_string().len(), "nothing between the tokens");
        prop_assert_eq!(without_stamp(&mut after).to_string(), without_stamp(&mut resource).to_string());
    }

    #[test]
    fn no_text_makes_it_panic(text in "[{}\\[\\],:\"\\\\a1 ]{0,40}") {
        let _ = stamp(text.as_bytes(), "7", 1, moment());
        prop_assert!(members(text.as_bytes()).count() <= text.len() + 1);
        prop_assert!(entries(text.as_bytes()).count() <= text.len() + 1);
    }
}

#[test]
fn a_member_is_replaced_added_or_left_out_and_all_else_stays() {
    let text = br#"{"resourceType":"Subscription", "status" : "active","n":1.00,"error":"x"}"#;
    for (name, value, expected) in [
        (
            "status",
            Some(serde_json::json!("off")),
            r#"{"resourceType":"Subscription","status":"off","n":1.00,"error":"x"}"#,
        ),
        ("error", None, r#"{"resourceType":"Subscription","status":"active","n":1.00}"#),
        ("new", None, r#"{"resourceType":"Subscription","status":"active","n":1.00,"error":"x"}"#),
        (
            "new",
            Some(serde_json::json!(["a"])),
            r#"{"resourceType":"Subscription","status":"active","n":1.00,"error":"x","new":["a"]}"#,
        ),
    ] {
        let changed = with_member(text, name, value.as_ref()).expect("it is an object");
        assert_eq!(String::from_utf8_lossy(&changed), expected, "{name}");
    }
    assert_eq!(with_member(b"{}", "a", None), Ok(b"{}".to_vec()));
    assert_eq!(with_member(b"[]", "a", None), Err(Malformed));
}
