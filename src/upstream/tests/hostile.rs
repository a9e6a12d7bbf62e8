//! Servers that fail, lie or mean harm: what comes through is an error of ours, without a word of theirs.

use super::*;

/// What a server says that nobody else must read.
const MARK: &str = "ZZPHI";

async fn read_error(reply: Reply) -> UpstreamError {
    let (server, upstream) = upstream(move |_| reply.clone()).await;
    let access = access();
    let error = upstream.read(&view(&access), "Patient", "1").await.expect_err("it fails");
    assert_eq!(server.seen().len(), 1, "one call, no second try");
    let told = format!("{error} {error:?} {:?}", error.issue());
    assert!(!told.contains(MARK) && !told.contains("127.0.0.1"), "{told}");
    error
}

#[tokio::test]
async fn a_status_becomes_an_error_of_ours() {
    let outcome = format!(
        r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"x","diagnostics":"{MARK}"}}]}}"#
    );
    let cases = [
        (404, UpstreamError::NotFound),
        (410, UpstreamError::Gone),
        (401, UpstreamError::Denied(401)),
        (403, UpstreamError::Denied(403)),
        (400, UpstreamError::NotTaken(400)),
        (422, UpstreamError::NotTaken(422)),
        (429, UpstreamError::Busy { retry_after: None }),
        (500, UpstreamError::Failed(500)),
        (502, UpstreamError::Failed(502)),
        (504, UpstreamError::TimedOut),
        (204, UpstreamError::Failed(204)),
        (304, UpstreamError::Failed(304)),
    ];
    for (status, error) in cases {
        let body = if matches!(status, 204 | 304) { "" } else { &outcome };
        let reply = Reply::new(status, "Content-Type: application/fhir+json\r\n", body);
        assert_eq!(read_error(reply).await, error, "{status}");
    }
    let waits =
        [("7", Some(7)), (" 120 ", Some(120)), ("99999999", Some(86_400)), ("soon", None), ("-1", None)];
    for (text, seconds) in waits {
        let reply = Reply::new(503, &format!("Retry-After: {text}\r\n"), "");
        let retry_after = seconds.map(Duration::from_secs);
        assert_eq!(read_error(reply).await, UpstreamError::Busy { retry_after }, "{text}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (other, _) = upstream(|_| Reply::json(&patient("1"))).await;
    for status in [301, 302, 303, 307, 308] {
        let fields = format!("Location: {}/ehr/Patient/1\r\n", other.url());
        assert_eq!(read_error(Reply::new(status, &fields, "")).await, UpstreamError::Failed(status));
    }
    assert_eq!(other.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_resource_of_the_kind_asked_for_is_refused() {
    let json = "Content-Type: application/fhir+json\r\n";
    let deep = format!("{}{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    let cases = [
        (Reply::new(200, "Content-Type: text/html\r\n", MARK), BadAnswer::MediaType),
        (Reply::new(200, "", &patient("1").to_string()), BadAnswer::MediaType),
        (Reply::new(200, "Content-Type: application/fhir+xml\r\n", "<Patient/>"), BadAnswer::MediaType),
        (Reply::new(200, json, ""), BadAnswer::Json),
        (Reply::new(200, json, MARK), BadAnswer::Json),
        (Reply::new(200, json, r#"{"resourceType":"Patient","id":"1"#), BadAnswer::Json),
        (Reply::new(200, json, r#"{"resourceType":"Patient","id":"2","id":"1"}"#), BadAnswer::Json),
        (Reply::new(200, json, &deep), BadAnswer::Json),
        (Reply::json(&json!([])), BadAnswer::Json),
        (Reply::json(&json!({})), BadAnswer::Resource),
        (Reply::json(&patient("2")), BadAnswer::Resource),
        (Reply::json(&condition("1", "1")), BadAnswer::Resource),
        (Reply::json(&json!({ "resourceType": MARK, "id": "1" })), BadAnswer::Resource),
        (Reply::json(&searchset(&[])), BadAnswer::Resource),
    ];
    for (reply, error) in cases {
        let told = format!("{reply:?}");
        assert_eq!(read_error(reply).await, UpstreamError::BadAnswer(error), "{told}");
    }
}

#[tokio::test]
async fn a_bundle_of_another_kind_is_no_page() {
    let bundles = [
        patient("1"),
        json!({ "resourceType": "Bundle", "type": "history" }),
        json!({ "resourceType": "Bundle", "type": "searchset", "entry": {} }),
    ];
    for bundle in bundles {
        let told = bundle.to_string();
        let (_server, upstream) = upstream(move |_| Reply::json(&bundle)).await;
        let access = access();
        let failed = upstream.search(&view(&access), &search_of("Patient", &[])).await.expect_err("it fails");
        assert_eq!(failed, UpstreamError::BadAnswer(BadAnswer::Resource), "{told}");
    }
}

#[tokio::test]
async fn odd_entries_are_left_out_and_break_nothing() {
    let entries = json!([
        null, 1, [], {}, { "resource": null }, { "resource": [] }, { "resource": { "resourceType": 1, "id": 1 } },
        { "resource": patient("1"), "search": "x" },
    ]);
    for bundle_type in ["searchset", "history"] {
        let entries = entries.clone();
        let (_server, upstream) = upstream(move |_| {
            Reply::json(
                &json!({ "resourceType": "Bundle", "type": bundle_type, "entry": entries, "link": "x" }),
            )
        })
        .await;
        let access = access();
        let page = if bundle_type == "history" {
            let history =
                History { resource_type: "Patient", id: None, parameters: &[], count: None, cursor: None };
            upstream.history(&view(&access), &history).await
        } else {
            upstream.search(&view(&access), &search_of("Patient", &[])).await
        };
        assert_eq!(shown(&page.expect("a page")), [format!("{BASE}/Patient/1")], "{bundle_type}");
    }
}

#[tokio::test]
async fn a_next_page_elsewhere_is_told_and_not_offered() {
    for link in [
        "http://evil.example/ehr/Patient?page=2",
        "http://127.0.0.1:1/ehr/Patient?page=2",
        "//evil.example/ehr",
        "../admin",
        "/admin",
        "file:///etc/passwd",
    ] {
        let mut bundle = searchset(&[("match", patient("1"))]);
        bundle["link"] = json!([{ "relation": "next", "url": link }]);
        let (_server, upstream) = upstream(move |_| Reply::json(&bundle)).await;
        let access = access();
        let page = upstream.search(&view(&access), &search_of("Patient", &[])).await.expect("a page");
        assert_eq!((page.next, page.remarks.len()), (None, 1), "{link}");
        assert!(!format!("{:?}", page.remarks).contains("evil"));
    }
}

#[tokio::test]
async fn an_answer_without_measure_or_end_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n";
    let long = format!("{head}Transfer-Encoding: chunked\r\n\r\n20000\r\n{}", "x".repeat(0x20000));
    assert_eq!(read_error(Reply::Stall(long)).await, UpstreamError::Call(OutboundError::TooLarge));
    let announced = format!("{head}Content-Length: 9999999999\r\n\r\n{}", "x".repeat(0x20000));
    assert_eq!(read_error(Reply::Stall(announced)).await, UpstreamError::Call(OutboundError::TooLarge));
    let cut = format!("{head}Content-Length: 100\r\nConnection: close\r\n\r\n{{");
    assert_eq!(read_error(Reply::Bytes(cut)).await, UpstreamError::Call(OutboundError::Broken));
}

#[tokio::test]
async fn a_server_that_falls_silent_is_a_timeout() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 100\r\n\r\n{";
    for reply in [Reply::Stall(String::new()), Reply::Stall(head.to_owned())] {
        let server = FakeServer::start(move |_| reply.clone()).await;
        let upstream =
            upstream_with(UpstreamSettings { timeout: Duration::from_millis(50), ..settings(&server) });
        let access = access();
        let error = upstream.read(&view(&access), "Patient", "1").await.expect_err("it fails");
        assert!(error.is_timeout(), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_in_the_own_network_is_called_only_if_that_is_allowed() {
    let server = FakeServer::start(|_| Reply::json(&patient("1"))).await;
    let upstream = upstream_with(UpstreamSettings { reach: Reach::Public, ..settings(&server) });
    let access = access();
    let error = upstream.read(&view(&access), "Patient", "1").await.expect_err("it fails");
    assert_eq!(error, UpstreamError::Call(OutboundError::Forbidden));
    assert_eq!(server.lines(), Vec::<String>::new());
}
