//! The delivery engine from outside: lists of deliveries, their repetition by the API and at the command line, and
//! targets in trouble beside others. A target is broken by a file where its folder should be (for good, as the gateway
//! sees it), or by a symbolic link to itself (for the moment).

mod letters;
mod trouble;

use std::path::PathBuf;

use crate::support::gateway::{Gateway, furnish};
use crate::support::tus;

const STREAM: &str = r#"{"metadata_config":{"fields":[{"field_name":"sender_id","required":true}]}}"#;

const ROUTING: &str = "\
targets:
  sound: { name: sound, type: file, path: ./delivered/sound }
  broken: { name: broken, type: file, path: ./delivered/broken, concurrency: 2 }
routing_groups:
  - data_stream_id: dextesting
    data_stream_route: testevent1
    delivery_targets:
      - { name: sound, path_template: '{{.UploadId}}' }
      - { name: broken, path_template: '{{.UploadId}}' }
";

/// A gateway with two targets for one stream, not started yet.
fn prepared(settings: &[(&str, &str)]) -> Gateway {
    let files = [
        ("CDEX_DELIVERY__CONFIG_FILE", "{data}/../delivery.yml"),
        ("CDEX_MANIFEST__CONFIG_DIR", "{data}/../streams"),
    ];
    let gateway = Gateway::prepare(&[&files[..], settings].concat());
    furnish(&gateway, "delivery.yml", ROUTING);
    furnish(&gateway, "streams/dextesting_testevent1.json", STREAM);
    gateway
}

/// Where the broken target's folder should be.
fn broken(gateway: &Gateway) -> PathBuf {
    let folder = gateway.data_dir().join("delivered");
    std::fs::create_dir_all(&folder).expect("the data folder takes others");
    folder.join("broken")
}

/// Uploads a file of a sender to both targets.
fn upload(gateway: &Gateway, sender: &str) -> String {
    let manifest = [
        ("data_stream_id", "dextesting"),
        ("data_stream_route", "testevent1"),
        ("sender_id", sender),
        ("received_filename", "note.txt"),
    ];
    tus::upload(gateway, &manifest, b"abc").id
}
