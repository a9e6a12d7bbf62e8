//! Web pages of other origins: only those on the list, and then on every answer, errors too (`dex-upload` W-09).

use crate::support::gateway::Gateway;
use crate::support::http::{Answer, Request};
use crate::support::tus::{self, MANIFEST, created, creation, metadata, patch, request};

const PAGE: &str = "https://app.example";

/// W-09
#[test]
fn a_page_of_the_list_may_ask_and_is_told_what_it_may_send_and_read() {
    let gateway = listed();
    for path in ["/files", "/upload/files/00000000-0000-4000-8000-000000000000", "/info/x"] {
        let preflight = Request::new("OPTIONS", path)
            .header("Origin", PAGE)
            .header("Access-Control-Request-Method", "PATCH")
            .header("Access-Control-Request-Headers", "tus-resumable,upload-checksum");
        let answer = gateway.ask(&preflight);
        assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(PAGE));
        let methods = answer.header("Access-Control-Allow-Methods").unwrap_or_default();
        assert!(
            ["POST", "HEAD", "PATCH", "DELETE"].iter().all(|method| methods.contains(method)),
            "{methods}"
        );
        let allowed = answer.header("Access-Control-Allow-Headers").unwrap_or_default().to_ascii_lowercase();
        for name in [
            "authorization",
            "content-type",
            "tus-resumable",
            "upload-length",
            "upload-offset",
            "upload-metadata",
            "upload-defer-length",
            "upload-concat",
            "upload-checksum",
            "upload-complete",
            "upload-incomplete",
            "upload-draft-interop-version",
            "x-http-method-override",
        ] {
            assert!(allowed.split(", ").any(|known| known == name), "{name} in {allowed}");
        }
        assert_eq!(answer.header("Access-Control-Allow-Credentials"), None, "no cookie is ever accepted");
    }
}

/// W-09
#[test]
fn every_answer_to_a_listed_page_can_be_read_by_it_and_no_other() {
    let gateway = listed();
    let upload = created(&gateway.ask(&creation("/files", 3, &metadata(MANIFEST))));
    let unknown = format!("/files/{}", uuid::Uuid::new_v4());
    let requests: [(Request, u16); 10] = [
        (creation("/files", 3, &metadata(MANIFEST)), 201),
        (creation("/files", 3, ""), 400),
        (request("HEAD", &upload.path), 200),
        (request("HEAD", &unknown), 404),
        (Request::new("PATCH", &upload.path), 412),
        (patch(&upload.path, 2), 409),
        (request("PUT", &upload.path), 405),
        (patch(&upload.path, 0).header("Upload-Checksum", "crc32 AAAAAA==").body("abc"), 460),
        (request("DELETE", &upload.path), 204),
        (request("HEAD", &upload.path), 410),
    ];
    for (request, status) in requests {
        let answer = gateway.ask(&request.header("Origin", PAGE)).expect(status);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(PAGE), "{status}");
        assert!(vary(&answer), "{status}");
        let exposed = answer.header("Access-Control-Expose-Headers").unwrap_or_default().to_ascii_lowercase();
        for name in [
            "location",
            "upload-offset",
            "upload-length",
            "tus-resumable",
            "upload-expires",
            "upload-complete",
        ] {
            assert!(exposed.split(", ").any(|known| known == name), "{name} in {exposed}");
        }
    }
    for stranger in ["https://evil.example", "http://app.example", "https://app.example.evil", "null"] {
        let answer = gateway.ask(&creation("/files", 3, "").header("Origin", stranger)).expect(403);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), None, "{stranger}");
        assert!(vary(&answer));
    }
}

/// W-09
#[test]
fn without_a_list_no_page_is_let_in() {
    let gateway = Gateway::start();
    for method in ["OPTIONS", "HEAD"] {
        let asked = Request::new(method, "/files").header("Origin", PAGE);
        let answer = gateway.ask(&asked.header("Access-Control-Request-Method", "POST"));
        assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    }
    let create = || tus::creation("/files", 3, &metadata(MANIFEST));
    let answer = gateway.ask(&create().header("Origin", PAGE)).expect(403);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    assert_eq!(answer.text(), "ERR_ORIGIN_NOT_ALLOWED: request origin is not allowed\n");
    // A simple request, as a form of any page sends it.
    let upload = created(&gateway.ask(&create()));
    let route = Request::new("POST", &format!("/route/{}", upload.id)).header("Content-Type", "text/plain");
    gateway.ask(&route.header("Origin", PAGE).body(r#"{"target":"local"}"#)).expect(403);
    // Our own pages are no strangers.
    gateway.ask(&create().header("Origin", "http://gateway.test")).expect(201);
}

fn listed() -> Gateway {
    let list = format!("[\"{PAGE}\",\"http://127.0.0.1:5173\"]");
    Gateway::with(&[("CDEX_SERVER__CORS_ORIGINS", &list)])
}

fn vary(answer: &Answer) -> bool {
    answer.header("Vary").is_some_and(|names| names.split(',').any(|name| name.trim() == "Origin"))
}
