//! What becomes of each kind of content, and what is refused.

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::{Carried, OwnUploads, Payload, TakenData, payloads};
use crate::fhir::testing::published;
use crate::fhir::{Issue, IssueType, Spooled};
use crate::id::UploadId;

const AT: &str = "Parameters.parameter[7].part.where(name='Content').resource";

fn own() -> OwnUploads {
    OwnUploads { origins: vec!["https://gateway.example".into(), "http://127.0.0.1:8080/".into()] }
}

fn read(content: &Value, taken: Vec<TakenData>) -> Result<(Vec<Payload>, Vec<Issue>), Vec<Issue>> {
    payloads(content, AT, taken, &own())
}

fn one(content: &Value) -> Payload {
    let (mut payloads, _) =
        read(content, Vec::new()).unwrap_or_else(|issues| panic!("{content}: {issues:#?}"));
    assert_eq!(payloads.len(), 1, "{content}");
    payloads.remove(0)
}

fn refused(content: &Value) -> Vec<(IssueType, String)> {
    let issues = read(content, Vec::new()).expect_err("a refusal");
    let tell = |issue: Issue| {
        let at = issue.expression.unwrap_or_default();
        (issue.code, at.strip_prefix(AT).expect("an expression below the content").to_owned())
    };
    issues.into_iter().filter(Issue::is_error).map(tell).collect()
}

fn document(attachment: &Value) -> Value {
    json!({ "resourceType": "DocumentReference", "content": [{ "attachment": attachment }] })
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

fn spooled(bytes: &[u8]) -> Spooled {
    let length = bytes.len() as u64;
    Spooled { id: UploadId::new(), length, sha256: [0; 32], sha1: Sha1::digest(bytes).into() }
}

#[test]
fn each_content_of_a_document_reference_is_a_payload_in_order() {
    let upload = UploadId::new();
    let content = json!({
        "resourceType": "DocumentReference",
        "date": "2025-05-05T10:00:00Z",
        "content": [
            { "attachment": { "contentType": "text/plain", "data": base64(b"first"), "title": "One",
                "hash": base64(&Sha1::digest(b"first")), "size": 5 } },
            { "attachment": { "contentType": "application/pdf", "url": format!("/upload/files/{upload}"),
                "hash": base64(&[7; 20]), "size": 9 } },
        ],
    });
    let (payloads, warnings) = read(&content, Vec::new()).expect("payloads");
    assert_eq!(warnings, []);
    let [first, second] = &payloads[..] else { panic!("two payloads") };
    assert_eq!(first.carried, Carried::Decoded(b"first".to_vec()));
    assert_eq!(first.media_type.as_deref(), Some("text/plain"));
    assert_eq!(first.date.as_deref(), Some("2025-05-05T10:00:00Z"));
    assert_eq!(first.title.as_deref(), Some("One"));
    assert_eq!(first.expression, format!("{AT}.content[0].attachment.data"));
    assert_eq!(second.carried, Carried::Upload(upload));
    assert_eq!((second.claimed_sha1, second.claimed_length), (Some([7; 20]), Some(9)));
    assert_eq!(second.expression, format!("{AT}.content[1].attachment.url"));
}

#[test]
fn base64_may_be_folded_into_lines_and_nothing_else() {
    for (data, expected) in [
        ("Zmlyc3Q=", Some(&b"first"[..])),
        ("Zmly\r\nc3Q=\n", Some(b"first")),
        (" Zm ly\tc3 Q= ", Some(b"first")),
        ("Zmlyc3Q", None),
        ("Zmly-3Q=", None),
        ("Zmlyc3Q=Zg==", None),
        ("", None),
        ("\n", None),
    ] {
        let content = document(&json!({ "contentType": "text/plain", "data": data }));
        if let Some(bytes) = expected {
            assert_eq!(one(&content).carried, Carried::Decoded(bytes.to_vec()), "{data:?}");
        } else {
            let expected = (IssueType::Value, ".content[0].attachment.data".to_owned());
            assert_eq!(refused(&content), [expected], "{data:?}");
        }
    }
}

#[test]
fn only_uploads_of_this_gateway_can_be_referenced() {
    let upload = UploadId::new();
    for head in [
        "/upload/files/",
        "/files/",
        "https://gateway.example/upload/files/",
        "HTTPS://Gateway.Example/files/",
        "http://127.0.0.1:8080/files/",
    ] {
        let content = document(&json!({ "contentType": "text/plain", "url": format!("{head}{upload}") }));
        assert_eq!(one(&content).carried, Carried::Upload(upload), "{head}");
    }
    for url in [
        format!("https://elsewhere.example/upload/files/{upload}"),
        format!("https://gateway.example.evil.example/files/{upload}"),
        format!("https://gateway.example@evil.example/files/{upload}"),
        format!("http://gateway.example/files/{upload}"),
        format!("//elsewhere.example/files/{upload}"),
        format!("https://gateway.example/upload/info/{upload}"),
        format!("https://gateway.example/files/{upload}?x=1"),
        format!("https://gateway.example/files/{upload}/.."),
        format!("/files/../files/{upload}"),
        format!("files/{upload}"),
        "https://gateway.example".to_owned(),
        "Binary/1".to_owned(),
        "#contained".to_owned(),
        String::new(),
    ] {
        let content = document(&json!({ "contentType": "text/plain", "url": url }));
        let expected = (IssueType::NotSupported, ".content[0].attachment.url".to_owned());
        assert_eq!(refused(&content), [expected], "{url}");
    }
}

#[test]
fn what_cannot_be_taken_is_named_all_at_once() {
    use IssueType::{Required, Value as Wrong};
    let data = base64(b"first");
    let cases = [
        (json!({ "resourceType": "DocumentReference" }), vec![(Required, ".content")]),
        (json!({ "resourceType": "DocumentReference", "content": [] }), vec![(Required, ".content")]),
        (
            json!({ "resourceType": "DocumentReference", "content": [{}, {}] }),
            vec![(Required, ".content[0].attachment"), (Required, ".content[1].attachment")],
        ),
        (document(&json!({ "title": "empty" })), vec![(Required, ".content[0].attachment")]),
        (document(&json!({ "data": 7 })), vec![(Wrong, ".content[0].attachment.data")]),
        (
            document(&json!({ "data": data, "hash": base64(&[0; 20]) })),
            vec![(Wrong, ".content[0].attachment.hash")],
        ),
        (document(&json!({ "data": data, "hash": "no" })), vec![(Wrong, ".content[0].attachment.hash")]),
        (document(&json!({ "data": data, "size": 6 })), vec![(Wrong, ".content[0].attachment.size")]),
        (document(&json!({ "data": data, "size": 5.5 })), vec![(Wrong, ".content[0].attachment.size")]),
        (
            document(&json!({ "data": data, "contentType": " x", "hash": base64(&[0; 20]), "size": 1 })),
            vec![
                (Wrong, ".content[0].attachment.contentType"),
                (Wrong, ".content[0].attachment.hash"),
                (Wrong, ".content[0].attachment.size"),
            ],
        ),
        (json!({ "resourceType": "Binary", "contentType": "text/plain" }), vec![(Required, ".data")]),
        (json!({ "resourceType": "Binary", "data": data }), vec![(Required, ".contentType")]),
        (json!({ "resourceType": "Bundle", "timestamp": "now" }), vec![(Wrong, ".timestamp")]),
        (
            json!({ "resourceType": "Basic", "meta": { "lastUpdated": 7 } }),
            vec![(Wrong, ".meta.lastUpdated")],
        ),
    ];
    for (content, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|(code, at)| (code, at.to_owned())).collect();
        assert_eq!(refused(&content), expected, "{content}");
    }
}

#[test]
fn taken_data_stands_for_the_elided_string_and_its_claims_are_checked() {
    let content = json!({
        "resourceType": "DocumentReference",
        "content": [
            { "attachment": { "contentType": "text/plain", "data": base64(b"small") } },
            { "attachment": { "contentType": "text/plain", "data": "AAAA", "size": 5,
                "hash": base64(&Sha1::digest(b"large")) } },
        ],
    });
    let large = spooled(b"large");
    let taken = vec![TakenData { content: Some(1), spooled: large.clone() }];
    let (payloads, _) = read(&content, taken).expect("payloads");
    assert_eq!(payloads[0].carried, Carried::Decoded(b"small".to_vec()));
    assert_eq!(payloads[1].carried, Carried::Spooled(large));

    let other = vec![TakenData { content: Some(1), spooled: spooled(b"other bytes") }];
    let issues = read(&content, other).expect_err("wrong hash and size");
    let at: Vec<_> = issues.iter().filter_map(|issue| issue.expression.as_deref()).collect();
    let attachment = format!("{AT}.content[1].attachment");
    assert_eq!(at, [format!("{attachment}.hash"), format!("{attachment}.size")]);
}

#[test]
fn a_binary_carries_its_data_and_any_other_resource_its_text() {
    let binary = json!({ "resourceType": "Binary", "contentType": "image/png", "data": base64(b"dots") });
    let payload = one(&binary);
    assert_eq!(
        (payload.carried, payload.media_type.as_deref()),
        (Carried::Decoded(b"dots".to_vec()), Some("image/png"))
    );
    assert_eq!(payload.expression, format!("{AT}.data"));

    let large = spooled(b"large");
    let taken = || vec![TakenData { content: None, spooled: large.clone() }];
    let elided = json!({ "resourceType": "Binary", "contentType": "image/png", "data": "AAAA" });
    assert_eq!(read(&elided, taken()).expect("a payload").0[0].carried, Carried::Spooled(large.clone()));
    let whole = json!({ "resourceType": "Bundle" });
    assert_eq!(read(&whole, taken()).expect("a payload").0[0].carried, Carried::Spooled(large.clone()));

    for (resource_type, date) in [
        ("QuestionnaireResponse", json!({ "authored": "2025-05" })),
        ("Bundle", json!({ "timestamp": "2025-05" })),
        ("Observation", json!({ "meta": { "lastUpdated": "2025-05" } })),
        ("Parameters", json!({ "meta": { "lastUpdated": "2025-05" } })),
    ] {
        let mut content = json!({ "resourceType": resource_type });
        content.as_object_mut().expect("an object").extend(date.as_object().expect("an object").clone());
        let payload = one(&content);
        assert_eq!(payload.carried, Carried::ResourceText, "{resource_type}");
        assert_eq!(payload.media_type.as_deref(), Some("application/fhir+json"), "{resource_type}");
        assert_eq!(payload.date.as_deref(), Some("2025-05"), "{resource_type}");
        assert_eq!(payload.expression, AT, "{resource_type}");
    }
}

#[test]
fn signatures_are_noticed_at_every_level() {
    let signature =
        json!([{ "url": "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature" }]);
    for (content, signed) in [
        (json!({ "resourceType": "Bundle", "signature": {} }), true),
        (json!({ "resourceType": "Bundle" }), false),
        (json!({ "resourceType": "QuestionnaireResponse", "extension": signature }), true),
        (json!({ "resourceType": "QuestionnaireResponse", "item": [{ "extension": signature }] }), true),
        (
            json!({ "resourceType": "QuestionnaireResponse",
                "item": [{ "answer": [{ "item": [{ "extension": signature }] }] }] }),
            true,
        ),
        (json!({ "resourceType": "QuestionnaireResponse", "extension": [{ "url": "urn:other" }] }), false),
        (json!({ "resourceType": "Observation", "signature": {} }), false),
    ] {
        assert_eq!(one(&content).signed, signed, "{content}");
    }
}

#[test]
fn doubtful_attachments_are_taken_with_a_warning() {
    let both = document(
        &json!({ "contentType": "text/plain", "data": base64(b"x"), "url": "https://elsewhere.example/1" }),
    );
    let (payloads, warnings) = read(&both, Vec::new()).expect("a payload");
    assert_eq!(payloads[0].carried, Carried::Decoded(b"x".to_vec()));
    assert_eq!(warnings.iter().map(|w| w.code).collect::<Vec<_>>(), [IssueType::BusinessRule]);

    let untyped = document(&json!({ "data": base64(b"x") }));
    let (payloads, warnings) = read(&untyped, Vec::new()).expect("a payload");
    assert_eq!(payloads[0].media_type, None);
    assert_eq!(warnings.iter().map(|w| w.code).collect::<Vec<_>>(), [IssueType::Required]);
    assert!(!warnings.iter().any(Issue::is_error));

    for (content_type, is_right) in [
        ("application/pdf", true),
        ("text/plain; charset=utf-8", true),
        ("x-application/hl7-v2+er7", true),
        ("application/vnd.oasis.opendocument.text", true),
        ("notamime", false),
        ("pdf/", false),
        ("/pdf", false),
        ("a/b/c", false),
        ("application/p df", false),
        ("application/*", false),
    ] {
        let typed = document(&json!({ "contentType": content_type, "data": base64(b"x") }));
        let (payloads, warnings) = read(&typed, Vec::new()).expect("a payload");
        assert_eq!(payloads[0].media_type.as_deref(), Some(content_type));
        let told: Vec<_> = warnings.iter().map(|w| (w.code, w.expression.as_deref())).collect();
        let at = format!("{AT}.content[0].attachment.contentType");
        let expected: &[_] = if is_right { &[] } else { &[(IssueType::CodeInvalid, Some(&*at))] };
        assert_eq!(told, expected, "{content_type}");
    }
}

#[test]
fn the_documents_of_the_published_examples_have_the_hash_they_claim() {
    for example in ["example1", "example3", "example5"] {
        let Some(resource) = published(&format!("cdex/examples/cdex-parameters-{example}.json")) else {
            return;
        };
        let profiles = crate::fhir::Profiles::built_in().expect("the built-in rules");
        let (submission, _) = super::parse(&resource, &profiles).expect("a submission");
        for attachment in &submission.attachments {
            let content =
                &resource["parameter"][attachment.parameter]["part"][attachment.content_part]["resource"];
            let payload = one(content);
            assert!(payload.date.is_some(), "{example}");
            assert_eq!(payload.claimed_sha1.is_some(), example == "example1");
        }
    }
}
