//! Accepted submissions: every byte arrives, once, under the id that the answer named.

use serde_json::{Value, json};

use crate::support::content::{base64, from_base64};
use crate::support::environment::shared;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;
use crate::support::submission::{
    SUBMIT, accepted, document, inline, linked, note, parameters, request, submit,
};

#[test]
fn the_published_documents_arrive_byte_for_byte() {
    let Some(folder) = shared("cdex/examples") else { return };
    for_each_database(&[], |gateway| {
        for name in ["cdex-parameters-example1.json", "cdex-parameters-example3.json"] {
            let text = std::fs::read_to_string(folder.join(name)).expect("a published example is readable");
            let parsed: Value = serde_json::from_str(&text).expect("a published example is JSON");
            let ids = accepted(&submit(&gateway, text));
            let attachments = attachment_data(&parsed);
            assert_eq!(ids.len(), attachments.len(), "{name}: one upload for each attachment");
            for (id, data) in ids.iter().zip(attachments) {
                gateway.wait_delivered(id, 1);
                assert!(gateway.delivered_bytes(id) == from_base64(&data), "{name}: other bytes arrived");
            }
        }
    });
}

#[test]
fn the_published_questionnaire_response_arrives_as_the_text_that_was_sent() {
    let Some(file) = shared("cdex/examples/cdex-parameters-example5.json") else { return };
    let text = std::fs::read_to_string(file).expect("a published example is readable");
    let sent = resource_text(&text);
    for_each_database(&[], |gateway| {
        let ids = accepted(&submit(&gateway, text.as_str()));
        assert_eq!(ids.len(), 1);
        gateway.wait_delivered(&ids[0], 1);
        assert_eq!(String::from_utf8_lossy(&gateway.delivered_bytes(&ids[0])), sent);
    });
}

#[test]
fn each_attachment_of_a_submission_becomes_one_upload_in_order() {
    let answer_text = r#"{ "resourceType" : "QuestionnaireResponse","status":"completed","questionnaire":"http://example.org/q" }"#;
    let body = parameters(
        "several",
        vec![
            document(vec![inline(b"first"), inline(b"second")]),
            json!({"resourceType": "Binary", "contentType": "application/pdf", "data": base64(b"third")}),
            json!("QUESTIONNAIRE-RESPONSE"),
        ],
    );
    // Spaces of the resource must survive, so it is put in as text.
    let body = body.to_string().replace("\"QUESTIONNAIRE-RESPONSE\"", answer_text);
    let gateway = Gateway::start();
    let ids = accepted(&submit(&gateway, body));
    let expected: [&[u8]; 4] = [b"first", b"second", b"third", answer_text.as_bytes()];
    assert_eq!(ids.len(), expected.len());
    for (id, bytes) in ids.iter().zip(expected) {
        gateway.wait_delivered(id, 1);
        assert_eq!(String::from_utf8_lossy(&gateway.delivered_bytes(id)), String::from_utf8_lossy(bytes));
    }
    assert_eq!(gateway.delivered().len(), expected.len(), "and nothing else lies there");
}

#[test]
fn resources_of_any_type_arrive_as_received() {
    let texts = [
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}"#,
        r#"{"status":"final","code":{"text":"type last"},"resourceType":"Observation"}"#,
        r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"active":true,"resourceType":"Patient"}}]}"#,
        "{\"resourceType\":\"Basic\",\n\t\"code\":{\"text\":\"\\u00e9 \u{e9} \\/\"}}",
    ];
    let gateway = Gateway::start();
    for (number, text) in texts.iter().enumerate() {
        let body = parameters(&format!("type-{number}"), vec![json!("HERE")]).to_string();
        let ids = accepted(&submit(&gateway, body.replace("\"HERE\"", text)));
        gateway.wait_delivered(&ids[0], 1);
        assert_eq!(String::from_utf8_lossy(&gateway.delivered_bytes(&ids[0])), *text);
    }
}

#[test]
fn a_large_resource_arrives_as_received_wherever_its_type_stands() {
    let bytes = vec![7_u8; 300_000];
    let data = base64(&bytes);
    let first = format!(r#"{{"resourceType":"Binary","contentType":"image/png","data":"{data}"}}"#);
    let last = format!(r#"{{"data":"{data}", "contentType":"image/png", "resourceType":"Binary"}}"#);
    let other = format!(
        r#"{{ "resourceType":"Media","status":"completed","content":{{"contentType":"image/png","data":"{data}"}} }}"#
    );
    let gateway = Gateway::start();
    let cases: [(&str, &[u8]); 3] = [(&first, &bytes), (&last, &bytes), (&other, other.as_bytes())];
    for (number, (text, expected)) in cases.into_iter().enumerate() {
        let body = parameters(&format!("large-{number}"), vec![json!("HERE")]).to_string();
        let ids = accepted(&submit(&gateway, body.replace("\"HERE\"", text)));
        gateway.wait_delivered(&ids[0], 1);
        assert!(gateway.delivered_bytes(&ids[0]) == expected, "case {number}: other bytes arrived");
    }
}

#[test]
fn the_status_trail_tells_what_became_of_a_submission() {
    let gateway = Gateway::start();
    let ids = accepted(&submit(&gateway, note("trail", b"a clinical note")));
    let info = gateway.wait_delivered(&ids[0], 1);
    assert_eq!(info["upload_status"]["status"], "Complete");
    assert_eq!(info["file_info"]["size_bytes"].to_string(), "15");
    let manifest = &info["manifest"];
    assert_eq!(manifest["upload_id"], ids[0]);
    assert_eq!(manifest["data_stream_id"], "cdex");
    assert_eq!(manifest["data_stream_route"], "attachment");
    assert_eq!(manifest["version"], "2.0");
    assert_eq!(manifest["jurisdiction"], "null");
    assert_eq!(manifest["sender_id"], "1407071236");
    assert_eq!(manifest["data_producer_id"], "1407071236");
    assert_eq!(manifest["meta_ext_objectkey"], "trail");
    assert!(!info.to_string().contains("234567"), "a member id is never in a manifest");
    let deliveries = info["deliveries"].as_array().expect("it was delivered");
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0]["name"], "local");
    assert_eq!(deliveries[0]["issues"], Value::Null);
}

#[test]
fn return_minimal_is_an_empty_200_with_the_link() {
    let gateway = Gateway::start();
    let answer = gateway.ask(&request(note("minimal", b"x")).header("Prefer", "return=minimal")).expect(200);
    assert_eq!(linked(&answer).len(), 1);
    assert_eq!(answer.text(), "");
}

#[test]
fn both_json_media_types_are_taken() {
    let gateway = Gateway::start();
    for kind in
        ["application/json", "application/fhir+json; charset=utf-8", "application/fhir+json;fhirVersion=4.0"]
    {
        let body = note(kind, b"x");
        let answer = gateway.ask(&Request::new("POST", SUBMIT).header("Content-Type", kind).body(body));
        assert_eq!(accepted(&answer).len(), 1, "{kind}");
    }
}

/// Each `content.attachment.data` of a published submission, in order.
fn attachment_data(parameters: &Value) -> Vec<String> {
    let parts = parameters["parameter"].as_array().into_iter().flatten();
    let parts = parts.filter_map(|parameter| parameter["part"].as_array()).flatten();
    let contents = parts.filter_map(|part| part["resource"]["content"].as_array()).flatten();
    contents.filter_map(|content| content["attachment"]["data"].as_str().map(str::to_owned)).collect()
}

/// The text of the one `resource` value, found without a JSON parser: braces in its strings would mislead it,
/// and the published example has none.
fn resource_text(text: &str) -> &str {
    let start = text.find("\"resource\"").expect("the example has a resource");
    let start = start + text[start..].find('{').expect("a resource is an object");
    let mut depth = 0_usize;
    for (at, byte) in text[start..].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return &text[start..=start + at];
        }
    }
    unreachable!("the example is balanced")
}
