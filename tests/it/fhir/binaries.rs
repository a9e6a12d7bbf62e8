//! Binary as bytes, and long attachments, which become Binaries of their own (design 4.1).

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::{FHIR, asking, found, outcome, read, sending};
use crate::support::content::base64;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::random::Random;
use crate::support::wait;

/// Longer than what stands in a resource.
const LONG: usize = 3 << 20;

fn raw(method: &str, path: &str, media_type: &str, bytes: &[u8]) -> Request {
    Request::new(method, &format!("/fhir/{path}")).header("Content-Type", media_type).body(bytes)
}

/// The path of the version that an answer says it made, without the version.
#[track_caller]
fn place(answer: &Answer) -> String {
    let location = answer.header("Location").expect("a created resource is somewhere");
    let path = location.split_once("/fhir/").expect("it is below the base").1;
    path.split_once("/_history").expect("it names a version").0.to_owned()
}

fn note(data: &[u8]) -> Value {
    json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": "application/pdf", "data": base64(data), "title": "t"}}],
    })
}

#[test]
fn bytes_of_any_length_come_back_as_they_were_sent() {
    for_each_database(&[], |gateway| {
        for length in [0, 1, 1000, 1 << 20, LONG] {
            let bytes = Random::new(length as u64).bytes(length);
            let created = gateway.ask(&raw("POST", "Binary", "application/pdf", &bytes)).expect(201);
            let path = place(&created);
            let answer = gateway.ask(&asking("GET", &path)).expect(200);
            assert_eq!(answer.header("Content-Type"), Some("application/pdf"));
            assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
            assert_eq!(answer.header("ETag"), Some("\"1\""));
            assert!(answer.body == bytes, "{length} bytes");
            let head = gateway.ask(&asking("HEAD", &path)).expect(200);
            assert_eq!(head.header("Content-Length"), Some(&*length.to_string()));
            assert!(head.body.is_empty());
            let resource = gateway.ask(&asking("GET", &path).header("Accept", FHIR)).expect(200).json();
            let data = resource["data"].as_str().unwrap_or_default();
            assert!(data == base64(&bytes), "{length} bytes as FHIR JSON");
        }
    });
}

#[test]
fn accept_and_format_choose_between_the_bytes_and_the_resource() {
    let gateway = Gateway::start();
    let path = place(&gateway.ask(&raw("POST", "Binary", "text/plain; charset=utf-8", b"hello")).expect(201));
    for (query, accept, status, media_type) in [
        ("", "*/*", 200, "text/plain; charset=utf-8"),
        ("", "text/plain", 200, "text/plain; charset=utf-8"),
        ("", "application/fhir+json", 200, "application/fhir+json; charset=utf-8"),
        ("", "application/json", 200, "application/fhir+json; charset=utf-8"),
        ("?_format=json", "text/plain", 200, "application/fhir+json; charset=utf-8"),
        ("?_format=text/plain", "application/fhir+json", 200, "text/plain; charset=utf-8"),
        ("", "image/png", 406, "application/fhir+json; charset=utf-8"),
    ] {
        let answer = gateway.ask(&asking("GET", &format!("{path}{query}")).header("Accept", accept));
        assert_eq!(
            (answer.status, answer.header("Content-Type")),
            (status, Some(media_type)),
            "{query} {accept}"
        );
    }
}

#[test]
fn a_part_is_given_to_whoever_asks_for_one() {
    for_each_database(&[], |gateway| {
        for length in [100, LONG] {
            let bytes = Random::new(7).bytes(length);
            let path = place(&gateway.ask(&raw("POST", "Binary", "application/pdf", &bytes)).expect(201));
            let part = |range: &str, condition: Option<&str>| {
                let request = asking("GET", &path).header("Range", range);
                let request = match condition {
                    Some(condition) => request.header("If-Range", condition),
                    None => request,
                };
                gateway.ask(&request)
            };
            let some = part("bytes=10-19", None).expect(206);
            assert_eq!(some.header("Content-Range"), Some(&*format!("bytes 10-19/{length}")));
            assert_eq!(some.body, bytes[10..20]);
            assert_eq!(part("bytes=-5", None).expect(206).body, bytes[length - 5..]);
            assert_eq!(part("bytes=90-", Some("\"1\"")).expect(206).body.len(), length - 90);
            assert_eq!(part("bytes=90-", Some("\"2\"")).expect(200).body.len(), length);
            let beyond = part(&format!("bytes={length}-"), None).expect(416);
            assert_eq!(beyond.header("Content-Range"), Some(&*format!("bytes */{length}")));
        }
    });
}

#[test]
fn each_version_keeps_its_own_bytes_and_its_security_context() {
    let gateway = Gateway::start();
    let (first, second) = (Random::new(1).bytes(LONG), Random::new(2).bytes(LONG));
    let request = raw("POST", "Binary", "application/pdf", &first).header("X-Security-Context", "Patient/p1");
    let path = place(&gateway.ask(&request).expect(201));
    gateway.ask(&raw("PUT", &path, "image/tiff", &second)).expect(200);
    let now = gateway.ask(&asking("GET", &path)).expect(200);
    assert_eq!((now.header("Content-Type"), now.header("X-Security-Context")), (Some("image/tiff"), None));
    assert!(now.body == second);
    let then = gateway.ask(&asking("GET", &format!("{path}/_history/1"))).expect(200);
    assert_eq!(then.header("X-Security-Context"), Some("Patient/p1"));
    assert!(then.body == first);
    gateway.ask(&asking("DELETE", &path)).expect(204);
    outcome(&gateway.ask(&asking("GET", &path)), 410);
}

#[test]
fn a_long_attachment_becomes_a_binary_and_is_shown_so_everywhere() {
    for_each_database(&[], |gateway| {
        let bytes = Random::new(3).bytes(LONG);
        let created = gateway.ask(&sending("POST", "DocumentReference", &note(&bytes))).expect(201);
        let path = place(&created);
        let attachment = &created.json()["content"][0]["attachment"];
        let url = attachment["url"].as_str().expect("the data are elsewhere").to_owned();
        assert_eq!(attachment["size"], LONG);
        assert_eq!(attachment["hash"], base64(Sha1::digest(&bytes)));
        assert_eq!((attachment.get("data"), &attachment["title"]), (None, &json!("t")));
        assert!(gateway.ask(&asking("GET", &url)).expect(200).body == bytes);
        let attachments = [
            read(&gateway, &path)["content"][0]["attachment"].clone(),
            found(&read(&gateway, "DocumentReference?patient=p1"), "match")[0]["content"][0]["attachment"]
                .clone(),
            read(&gateway, &format!("{path}/_history"))["entry"][0]["resource"]["content"][0]["attachment"]
                .clone(),
        ];
        assert!(attachments.iter().all(|shown| shown == attachment), "{attachments:?}");

        let short = gateway.ask(&sending("POST", "DocumentReference", &note(b"short"))).expect(201);
        assert_eq!(short.json()["content"][0]["attachment"]["data"], base64(b"short"));
    });
}

#[test]
fn the_entries_of_a_transaction_have_their_attachments_or_nothing_is_kept() {
    for_each_database(&[], |gateway| {
        let (first, second) = (Random::new(4).bytes(LONG), Random::new(5).bytes(LONG));
        let entry = |resource: Value, url: &str| json!({"resource": resource, "request": {"method": "POST", "url": url}});
        let binary = json!({"resourceType": "Binary", "contentType": "image/png", "data": base64(&second)});
        let bundle = |last: Value| {
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [
                entry(note(&first), "DocumentReference"), entry(binary.clone(), "Binary"), last,
            ]})
        };
        let before = gateway.stored().len();
        let refused = bundle(entry(json!({"resourceType": "Patient", "gender": "none"}), "Patient"));
        outcome(&gateway.ask(&sending("POST", "", &refused)), 422);
        wait::until("a refused transaction to leave no bytes", || {
            (gateway.stored().len() == before).then_some(())
        });

        let done =
            gateway.ask(&sending("POST", "", &bundle(entry(json!({"resourceType": "Patient"}), "Patient"))));
        let done = done.expect(200).json();
        let location = |index: usize| {
            let location = done["entry"][index]["response"]["location"].as_str().expect("it was created");
            location.split_once("/_history").expect("a version").0.to_owned()
        };
        let document = read(&gateway, &location(0));
        let url = document["content"][0]["attachment"]["url"].as_str().expect("the data are elsewhere");
        assert!(gateway.ask(&asking("GET", url)).expect(200).body == first);
        assert!(gateway.ask(&asking("GET", &location(1))).expect(200).body == second);
    });
}

#[test]
fn what_is_claimed_of_a_long_attachment_must_be_so() {
    let gateway = Gateway::start();
    let mut wrong = note(&Random::new(6).bytes(LONG));
    wrong["content"][0]["attachment"]["size"] = json!(1);
    wrong["content"][0]["attachment"]["hash"] = json!(base64([0; 20]));
    let at =
        |element: &str| ("value".to_owned(), format!("DocumentReference.content[0].attachment.{element}"));
    let answer = gateway.ask(&sending("POST", "DocumentReference", &wrong));
    assert_eq!(outcome(&answer, 422), [at("size"), at("hash")]);
    wait::until("a refused document to leave no bytes", || gateway.stored().is_empty().then_some(()));
}
