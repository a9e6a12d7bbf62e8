//! What an operator sees of a sink: its health, how far it is behind, what it refused.

use crate::support::endpoint::{Endpoint, Reply};
use crate::support::gateway::Gateway;
use crate::support::{rows, tus, wait};

fn metric(gateway: &Gateway, name: &str) -> Option<f64> {
    let text = gateway.get("/metrics").expect(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.and_then(|value| value.parse().ok())
}

/// W-19: a sink that is down is shown, and nothing else suffers from it.
#[test]
fn a_sink_that_is_down_is_shown_and_the_gateway_stays_ready() {
    let settings = [
        ("CDEX_REPORT__SINK__STATUS__TYPE", "http"),
        // Nobody listens on the discard port.
        ("CDEX_REPORT__SINK__STATUS__URL", "http://127.0.0.1:9/reports"),
        ("CDEX_REPORT__POLL_INTERVAL_MS", "50"),
    ];
    let gateway = Gateway::with(&settings);
    let upload = tus::upload(&gateway, tus::MANIFEST, b"abc");
    gateway.wait_delivered(&upload.id, 1);
    wait::until("the sink to be down", || {
        let ready = gateway.get("/health/ready").expect(200).json();
        let checks = ready["checks"].as_array()?.clone();
        let sink = checks.into_iter().find(|check| check["name"] == "report sink status")?;
        (sink["status"] == "DOWN" && ready["status"] == "UP").then_some(())
    });
    let health = gateway.get("/upload/health").expect(200).json();
    let services = health["services"].as_array().expect("a list");
    let sink =
        services.iter().find(|service| service["service"] == "Report Sink status").expect("it is listed");
    assert_eq!(sink["status"], "DOWN");
    assert_eq!(sink["health_issue"], "the other side cannot be reached");
    assert_eq!(health["status"], "DEGRADED");
    wait::until("the lag to be seen", || {
        metric(&gateway, r#"cdex_report_lag{sink="status"}"#).filter(|lag| *lag >= 6.0)
    });
    assert!(metric(&gateway, r#"cdex_report_lag_seconds{sink="status"}"#).is_some());
    assert!(metric(&gateway, r#"cdex_reports_total{sink="status",result="failed"}"#).is_some());
}

/// W-19: what is never taken is counted and set aside, and the rest goes on.
#[test]
fn what_an_endpoint_refuses_for_good_is_set_aside_and_counted() {
    let endpoint = Endpoint::start();
    let url = endpoint.url();
    let settings = [
        ("CDEX_REPORT__SINK__STATUS__TYPE", "http"),
        ("CDEX_REPORT__SINK__STATUS__URL", url.as_str()),
        ("CDEX_REPORT__POLL_INTERVAL_MS", "50"),
    ];
    endpoint.answer([Reply::new(200), Reply::new(400), Reply::new(422)]);
    let gateway = Gateway::with(&settings);
    let upload = tus::upload(&gateway, tus::MANIFEST, b"abc");
    gateway.wait_delivered(&upload.id, 1);
    endpoint.wait_for(6);
    // Both can be of one batch, which is remembered as a whole.
    let statuses = wait::until("the refusals to be set aside", || {
        let of = "SELECT CAST(status AS TEXT) FROM report_refusal ORDER BY sequence";
        Some(rows::texts(&gateway, of)).filter(|statuses| statuses.len() >= 2)
    });
    assert_eq!(statuses, ["400", "422"]);
    let refused = metric(&gateway, r#"cdex_reports_total{sink="status",result="refused"}"#);
    assert!(refused.is_some_and(|count| count >= 2.0), "{refused:?}");
    let ready = gateway.get("/health/ready").expect(200).json();
    assert!(!ready.to_string().contains("DOWN"), "{ready}");
}
