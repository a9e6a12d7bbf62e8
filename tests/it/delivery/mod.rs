//! The delivery engine from outside: lists of deliveries, their repetition by the API and at the command line, and
//! targets in trouble beside others. A file where the folder of a target should be breaks it for the moment, one where
//! a folder below it should be breaks the path for good.

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
      - { name: broken, path_template: '{{.DataStreamID}}/{{.UploadId}}' }
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

/// Puts a file where a folder should be, below the delivery folder; without it the target is sound.
fn break_at(gateway: &Gateway, folder: &str) -> PathBuf {
    let path = gateway.data_dir().join("delivered").join(folder);
    std::fs::create_dir_all(path.parent().expect("it is below a folder")).expect("folders can be made");
    std::fs::write(&path, b"no folder").expect("the folder takes files");
    path
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
