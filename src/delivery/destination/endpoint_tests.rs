//! A partner's endpoint over real sockets: what it is sent, and what its answers mean.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Delivered, DeliveryRequest, Destination, EndpointDestination};
use crate::auth::Credentials;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::delivery::testing::{MemoryProgress, MemorySource};
use crate::delivery::{DeliveryError, Retry};
use crate::id::{DeliveryId, UploadId};
use crate::outbound::Reach;
use crate::outbound::testing::{FakeServer, Reply};
use crate::partner::{Partner, PartnerSettings};

fn endpoint(url: &str) -> EndpointDestination {
    let config = Config::defaults_in(std::path::Path::new("/srv/gateway")).expect("the defaults are sound");
    let settings = PartnerSettings {
        name: "payer".to_owned(),
        client_id: None,
        identifiers: Vec::new(),
        fhir_base: None,
        submit_url: None,
        urls: vec![url.to_owned()],
        reach: Reach::Everywhere,
        credentials: Credentials::None,
        policy: config.policy,
    };
    let clock: SharedClock = Arc::new(SystemClock);
    EndpointDestination::new(Arc::new(Partner::new(settings, &clock).expect("a partner")))
}

async fn deliver(url: &str, path: &str, source: MemorySource) -> Result<Delivered, DeliveryError> {
    let row = Mutex::default();
    let request = DeliveryRequest {
        delivery_id: DeliveryId::new(),
        lease_epoch: 1,
        delivered_before: 0,
        upload_id: UploadId::new(),
        path,
        media_type: Some("application/fhir+json"),
        headers: &[("x-subscription".to_owned(), "7".to_owned())],
        timeout: None,
        manifest: b"{}",
        progress: &MemoryProgress::of(&row),
        source: Box::new(source),
    };
    endpoint(url).deliver(request).await
}

#[tokio::test]
async fn the_upload_is_the_body_of_one_post_that_can_be_known_again() {
    let server = FakeServer::start(|_| {
        let outcome =
            r#"{"resourceType":"OperationOutcome","issue":[{"code":"informational"},{"code":"A secret!"}]}"#;
        Reply::new(201, "Location: http://payer.example/Task/1\r\n", outcome)
    })
    .await;
    let source = MemorySource::new(b"{\"a\":1}");
    let sha256 = source.real_sha256();
    let delivered =
        deliver(server.url(), &format!("{}/in", server.url()), source).await.expect("it is taken");
    assert_eq!((delivered.length, delivered.sha256), (7, sha256));
    assert_eq!(delivered.location, "http://payer.example/Task/1");
    assert_eq!(delivered.remark.as_deref(), Some("informational"));
    let seen = server.seen().remove(0);
    assert_eq!((seen.line(), &*seen.body), ("POST /in", "{\"a\":1}"));
    assert_eq!(seen.header("x-subscription"), Some("7"));
    assert_eq!(seen.header("content-type"), Some("application/fhir+json"));
    assert!(seen.header("idempotency-key").is_some_and(|key| key.parse::<DeliveryId>().is_ok()));
}

#[tokio::test]
async fn an_answer_says_whether_to_come_again() {
    let wait = Retry::NotBefore(Duration::from_secs(7));
    for (status, fields, retry) in [
        (503, "Retry-After: 7\r\n", wait),
        (429, "Retry-After: 7\r\n", wait),
        (409, "Retry-After: 7\r\n", wait),
        (500, "", Retry::OnSchedule),
        (401, "", Retry::OnSchedule),
        (400, "", Retry::Never),
        (422, "", Retry::Never),
        (307, "Location: /other\r\n", Retry::Never),
    ] {
        let server = FakeServer::start(move |_| Reply::new(status, fields, "no")).await;
        let refused = deliver(server.url(), server.url(), MemorySource::new(b"x")).await;
        assert_eq!(refused.expect_err("it is refused").retry(), retry, "{status}");
    }
    let elsewhere = deliver("http://127.0.0.1:1", "http://127.0.0.1:2", MemorySource::new(b"x")).await;
    assert_eq!(elsewhere.expect_err("it is not its server").retry(), Retry::Never);
}

#[tokio::test]
async fn an_endpoint_that_is_silent_for_as_long_as_the_delivery_allows_is_tried_again() {
    let server = FakeServer::start(|_| Reply::Stall(String::new())).await;
    let row = Mutex::default();
    let request = DeliveryRequest {
        delivery_id: DeliveryId::new(),
        lease_epoch: 1,
        delivered_before: 0,
        upload_id: UploadId::new(),
        path: server.url(),
        media_type: None,
        headers: &[],
        timeout: Some(Duration::from_millis(20)),
        manifest: b"{}",
        progress: &MemoryProgress::of(&row),
        source: Box::new(MemorySource::new(b"x")),
    };
    let silent = endpoint(server.url()).deliver(request).await.expect_err("it says nothing");
    assert_eq!(silent.retry(), Retry::OnSchedule, "{silent}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_delivered() {
    let server = FakeServer::start(|_| Reply::new(200, "", "")).await;
    let source = MemorySource::new(vec![7; 100_000]).failing_at(50_000);
    let broken = deliver(server.url(), server.url(), source).await.expect_err("it breaks off");
    assert!(matches!(broken, DeliveryError::Source(_)), "{broken}");
}
