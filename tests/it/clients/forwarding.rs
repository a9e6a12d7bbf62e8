//! Deliveries to another DEX: one of our own gateways, and `@tus/server`, over lines that break.

use serde_json::Value;

use crate::support::files;
use crate::support::gateway::{Gateway, PATIENT, furnish};
use crate::support::random::Random;
use crate::support::relay::{Break, Relay};
use crate::support::tus;
use crate::support::tus_server::TusServer;

/// A chunk of the deliveries.
const CHUNK: usize = 1 << 20;

/// A gateway that delivers the built-in stream to another DEX; `keys` are further keys of the target.
fn forwarding(url: &str, keys: &str) -> Gateway {
    let mut gateway = Gateway::prepare(&[
        ("CDEX_DELIVERY__CONFIG_FILE", "{data}/../delivery.yml"),
        PATIENT,
        ("CDEX_DELIVERY__POLL_INTERVAL_MS", "100"),
    ]);
    let routing = format!(
        "targets:\n  dex: {{ name: dex, type: dex, url: '{url}', chunk_bytes: {CHUNK}, {keys} }}\n\
         routing_groups:\n  - data_stream_id: cdex\n    data_stream_route: attachment\n    \
         delivery_targets: [{{ name: dex }}]\n"
    );
    furnish(&gateway, "delivery.yml", &routing);
    gateway.launch();
    gateway
}

fn content(megabytes: usize) -> Vec<u8> {
    Random::new(23).bytes((megabytes << 20) + 4711)
}

/// The id that the one successful delivery of an upload has at the other side.
#[track_caller]
fn id_there(info: &Value) -> String {
    let deliveries = info["deliveries"].as_array().expect("deliveries");
    let success: Vec<&Value> = deliveries.iter().filter(|one| one["status"] == "SUCCESS").collect();
    assert_eq!(success.len(), 1, "{deliveries:?}");
    let location = success[0]["location"].as_str().expect("a location");
    location.rsplit('/').next().expect("an id").to_owned()
}

/// F-05, F-06, F-09, F-10, F-13
#[test]
fn f_13_an_upload_reaches_another_gateway_once_over_a_line_that_breaks_again_and_again() {
    let receiver = Gateway::start();
    let breaks =
        [Break::Cut(CHUNK / 2), Break::Cut(3 * CHUNK), Break::Cut(10), Break::Cut(CHUNK), Break::Cut(300)];
    let relay = Relay::to(receiver.address(), breaks);
    let sender = forwarding(&format!("{}/upload/files", relay.url()), "wait_for: delivered");
    let bytes = content(9);
    let upload = tus::upload(&sender, tus::MANIFEST, &bytes);
    let info = sender.wait_delivered(&upload.id, 1);
    assert_eq!(relay.broken(), breaks.len());
    let there = id_there(&info);
    assert!(receiver.delivered_bytes(&there) == bytes, "other bytes arrived");
    assert_eq!(receiver.delivered().len(), 1);
    let manifest = &receiver.info(&there)["manifest"];
    assert_eq!(manifest["meta_ext_uploadid"], Value::from(upload.id));
    assert_eq!(manifest["sender_id"], "outside-test");
}

/// F-06, F-11
#[test]
fn f_06_f_11_a_gateway_that_is_killed_again_and_again_while_it_sends_goes_on_with_the_same_upload() {
    let receiver = Gateway::start();
    let stalls = [CHUNK / 2, 2 * CHUNK + 77, 3 * CHUNK];
    let relay = Relay::to(receiver.address(), stalls.map(Break::Stall));
    let mut sender = forwarding(&format!("{}/files", relay.url()), "");
    let bytes = content(9);
    let upload = tus::upload(&sender, tus::MANIFEST, &bytes);
    for kills in 1..=stalls.len() {
        relay.wait_broken(kills);
        sender.kill();
        sender.launch();
    }
    let there = id_there(&sender.wait_delivered(&upload.id, 1));
    receiver.wait_delivered(&there, 1);
    assert!(receiver.delivered_bytes(&there) == bytes, "other bytes arrived");
    assert_eq!(receiver.delivered().len(), 1);
    assert_eq!(receiver.stored().len(), 1, "no other upload was begun");
}

/// F-05, F-13
#[test]
fn f_13_tus_server_takes_an_upload_over_a_line_that_breaks() {
    let Some(server) = TusServer::start() else { return };
    let breaks = [Break::Cut(CHUNK / 2), Break::Cut(2 * CHUNK), Break::Stall(CHUNK), Break::Cut(20)];
    let relay = Relay::to(server.address(), breaks);
    let mut sender = forwarding(&format!("{}/files", relay.url()), "wait_for: sent");
    let bytes = content(7);
    let upload = tus::upload(&sender, tus::MANIFEST, &bytes);
    // Nobody hears of a line on which nothing moves; a gateway that is started again does not wait for it.
    relay.wait_broken(3);
    sender.kill();
    sender.launch();
    sender.wait_delivered(&upload.id, 1);
    let uploads = server.uploads();
    assert!(uploads.len() == 1 && uploads[0] == bytes, "{} uploads", uploads.len());
}

/// F-07: what the other side says of a manifest is told to whoever asks, and stands in no log.
#[test]
fn f_07_a_manifest_that_the_other_side_refuses_is_told_with_its_words() {
    let receiver = Gateway::start();
    let sender =
        forwarding(&format!("{}/files", receiver.url()), "metadata: { data_stream_id: 'zz-marker-stream' }");
    let upload = tus::upload(&sender, tus::MANIFEST, b"abc");
    let info = crate::support::wait::until("the delivery to fail", || {
        let info = sender.info(&upload.id);
        info["deliveries"].is_array().then_some(info)
    });
    let issue = info["deliveries"][0]["issues"][0]["message"].as_str().expect("an issue").to_owned();
    assert_eq!(info["deliveries"][0]["status"], "FAILURE");
    assert!(issue.contains("status 400") && issue.contains("zz-marker-stream"), "{issue}");
    assert!(!sender.wrote().contains("zz-marker"), "it is in the log");
    assert!(files::below(&receiver.data_dir().join("delivered")).is_empty());
}
