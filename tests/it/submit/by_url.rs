//! A large attachment goes over tus first and is referenced by `DocumentReference.content.attachment.url`.

use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::submission::{accepted, document, inline, names, parameters, refused, submit};
use crate::support::{rows, tus};

#[test]
fn a_complete_upload_is_accepted_under_its_id_and_not_delivered_twice() {
    let gateway = Gateway::with(&[("CDEX_SERVER__PUBLIC_URL", "http://127.0.0.1:{port}")]);
    let content = b"sent over tus before";
    let upload = tus::upload(&gateway, tus::MANIFEST, content);
    gateway.wait_delivered(&upload.id, 1);
    let urls = [
        format!("/upload/files/{}", upload.id),
        format!("/files/{}", upload.id),
        format!("{}/upload/files/{}", gateway.url(), upload.id),
    ];
    for (number, url) in urls.iter().enumerate() {
        let body = referencing(&format!("by-url-{number}"), url);
        assert_eq!(accepted(&submit(&gateway, body.to_string())), [upload.id.as_str()], "{url}");
    }
    let deliveries = gateway.info(&upload.id)["deliveries"].as_array().map(Vec::len);
    assert_eq!(deliveries, Some(1), "a reference is no second delivery");
    assert_eq!(gateway.delivered_bytes(&upload.id), content);
    assert_eq!(rows::count(&gateway, "upload"), 1);
    assert_eq!(rows::count(&gateway, "submission"), 3);
}

#[test]
fn referenced_and_inline_attachments_keep_their_order() {
    let gateway = Gateway::start();
    let upload = tus::upload(&gateway, tus::MANIFEST, b"referenced");
    let by_url = json!({"contentType": "text/plain", "url": format!("/upload/files/{}", upload.id)});
    let body = parameters("mixed", vec![document(vec![inline(b"before"), by_url, inline(b"after")])]);
    let ids = accepted(&submit(&gateway, body.to_string()));
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[1], upload.id);
    for (id, bytes) in ids.iter().zip([b"before".as_slice(), b"referenced", b"after"]) {
        gateway.wait_delivered(id, 1);
        assert_eq!(gateway.delivered_bytes(id), bytes);
    }
}

#[test]
fn an_incomplete_unknown_or_foreign_upload_is_400_naming_the_url() {
    let gateway = Gateway::start();
    let incomplete = tus::create(&gateway, 10);
    tus::append(&gateway, &incomplete.path, 0, b"half ");
    let urls = [
        format!("/upload/files/{}", incomplete.id),
        format!("/upload/files/{}", uuid::Uuid::new_v4()),
        "/upload/files/".to_owned(),
        "/upload/files/../../etc/passwd".to_owned(),
        format!("http://attacker.example/upload/files/{}", incomplete.id),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("Binary/{}", incomplete.id),
    ];
    for url in urls {
        let answer = submit(&gateway, referencing("refused-url", &url).to_string());
        assert!(names(&refused(&answer, 400), "url"), "{url}: {}", answer.text());
    }
    assert_eq!(rows::count(&gateway, "submission"), 0);
    assert_eq!(rows::count(&gateway, "upload"), 1, "the incomplete one stays");
    assert_eq!(tus::head(&gateway, &incomplete.path), 5, "and can go on");
    tus::append(&gateway, &incomplete.path, 5, b"whole");
    gateway.wait_delivered(&incomplete.id, 1);
}

/// A submission whose one attachment is at a URL.
fn referencing(tracking_id: &str, url: &str) -> Value {
    parameters(tracking_id, vec![document(vec![json!({"contentType": "text/plain", "url": url})])])
}
