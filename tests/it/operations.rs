//! What operators and monitors ask: health, readiness, version, metrics, the capability statement, stopping.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;
use crate::support::submission::{accepted, note, submit};
use crate::support::tus;

#[test]
fn liveness_and_readiness_are_200_without_a_token() {
    for_each_database(&[], |gateway| {
        gateway.get("/health/live").expect(200);
        let ready = gateway.get("/health/ready").expect(200).json();
        assert_eq!(ready["status"], "UP");
    });
}

#[test]
fn dex_health_has_the_shape_that_dex_clients_read() {
    let gateway = Gateway::start();
    for path in ["/upload/health", "/health"] {
        let answer = gateway.get(path).expect(200);
        let health = answer.json();
        assert_eq!(health["status"], "UP", "a fresh gateway is not degraded: {health}");
        for service in health["services"].as_array().into_iter().flatten() {
            for key in ["service", "status", "health_issue"] {
                assert!(service[key].is_string(), "{key} of {service}");
            }
        }
    }
}

#[test]
fn dex_version_has_its_three_fields() {
    let gateway = Gateway::start();
    for path in ["/upload/version", "/version"] {
        let version = gateway.get(path).expect(200).json();
        for key in ["repo", "latest_release_version", "git_short_sha"] {
            assert!(version[key].is_string(), "{key} of {version}");
        }
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let gateway = Gateway::start();
    let ids = accepted(&submit(&gateway, note("metrics-tracking", b"x")));
    gateway.wait_delivered(&ids[0], 1);
    // What the README tells operators to watch is there from the start, also where it counts nothing.
    crate::support::wait::until("the state of deliveries to be shown", || {
        gateway.get("/metrics").text().contains("cdex_deliveries{status=\"dead\"} 0").then_some(())
    });
    let answer = gateway.get("/metrics").expect(200);
    assert!(answer.text().contains("cdex_delivery_attempts_total{"), "{}", answer.text());
    assert!(answer.header("Content-Type").is_some_and(|kind| kind.starts_with("text/plain")));
    let text = answer.text();
    assert!(text.lines().any(|line| line.starts_with("# TYPE ")), "{text}");
    assert!(!text.contains("metrics-tracking"), "no value of a client is a label");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let value = line.rsplit(' ').next().unwrap_or_default();
        assert!(value.parse::<f64>().is_ok(), "not a sample: {line}");
    }
}

#[test]
fn the_capability_statement_claims_the_operation_and_its_limit() {
    let gateway = Gateway::with(&[("CDEX_FHIR__PAYLOAD_LIMIT_BYTES", "123456789")]);
    let answer = gateway.get("/fhir/metadata").expect(200);
    assert!(answer.header("Content-Type").is_some_and(|kind| kind.starts_with("application/fhir+json")));
    let statement = answer.json();
    assert_eq!(statement["resourceType"], "CapabilityStatement");
    assert_eq!(statement["fhirVersion"], "4.0.1");
    let text = statement.to_string();
    assert!(text.contains("submit-attachment"), "the operation is declared");
    assert!(text.contains("123456789"), "CONF-022: the limit is declared");
    assert!(!text.contains("application/fhir+xml"), "only what is true");
}

#[test]
fn an_unknown_path_is_a_plain_404() {
    let gateway = Gateway::start();
    for path in [
        "/nothing",
        "/upload/nothing/here",
        "/upload/info",
        "/upload/info/",
        "/upload/route",
        "/upload/route/",
    ] {
        gateway.get(path).expect(404);
    }
    let answer = gateway.get("/nothing");
    assert_eq!(answer.text(), "404 page not found\n");
}

/// W-31
#[test]
fn every_answer_carries_a_request_id() {
    let gateway = Gateway::start();
    for path in ["/health/live", "/nothing", "/fhir/metadata"] {
        let made = gateway.get(path);
        assert!(made.header("X-Request-Id").is_some_and(|id| !id.is_empty()), "{path}");
        let kept = gateway.ask(&Request::new("GET", path).header("X-Request-Id", "from-outside-1"));
        assert_eq!(kept.header("X-Request-Id"), Some("from-outside-1"), "{path}");
    }
}

/// W-37
#[test]
fn sigterm_stops_in_good_order_and_nothing_is_lost() {
    for_each_database(&[], |mut gateway| {
        let ids = accepted(&submit(&gateway, note("stopped", b"kept")));
        let half = tus::create(&gateway, 8);
        tus::append(&gateway, &half.path, 0, b"half");
        assert!(gateway.stop().success(), "a stop that was asked for is a success");
        gateway.launch();
        gateway.wait_delivered(&ids[0], 1);
        assert_eq!(gateway.delivered_bytes(&ids[0]), b"kept");
        assert_eq!(tus::head(&gateway, &half.path), 4);
        tus::append(&gateway, &half.path, 4, b"full");
        gateway.wait_delivered(&half.id, 1);
        assert_eq!(gateway.delivered_bytes(&half.id), b"halffull");
    });
}

#[test]
fn a_stop_keeps_what_an_open_patch_has_sent() {
    let sent = vec![b'a'; 300_000];
    let mut gateway = Gateway::start();
    let upload = tus::create(&gateway, 1 << 20);
    let mut connection = gateway.connect().expect("it listens");
    let patch = tus::patch(&upload.path, 0).header("Content-Length", &(1 << 20).to_string());
    connection.begin(&patch).expect("a head goes out");
    connection.send(&sent).expect("a part goes out");
    crate::support::wait::until("the part to be read", || {
        (tus::head(&gateway, &upload.path) > 0).then_some(())
    });
    assert!(gateway.stop().success());
    drop(connection);
    gateway.launch();
    let offset = tus::head(&gateway, &upload.path);
    assert_eq!(offset, 300_000, "all that was sent is kept");
    let rest = sent[usize::try_from(offset).expect("small")..].to_vec();
    tus::append(&gateway, &upload.path, offset, &[rest, vec![b'b'; (1 << 20) - 300_000]].concat());
    gateway.wait_delivered(&upload.id, 1);
    assert!(
        gateway.delivered_bytes(&upload.id)
            == [vec![b'a'; 300_000], vec![b'b'; (1 << 20) - 300_000]].concat()
    );
}
