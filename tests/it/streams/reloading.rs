//! Configurations that change while the gateway runs (W-26).

use super::verdict;
use crate::support::buckets::{borrowed, s3_store};
use crate::support::gateway::{Gateway, furnish};
use crate::support::storage::S3Server;
use crate::support::{tus, wait};

const FREE: &str = r#"{"metadata_config":{"fields":[]}}"#;
const STRICT: &str = r#"{"metadata_config":{"fields":[{"field_name":"sender_id","required":true}]}}"#;
const LAB: &[(&str, &str)] =
    &[("data_stream_id", "Lab"), ("data_stream_route", "CSV"), ("received_filename", "f.txt")];

fn delivery(target: &str) -> String {
    format!(
        "targets:\n  {target}: {{ name: {target}, type: file, path: ./delivered/{target} }}\nrouting_groups:\n  \
         - {{ data_stream_id: lab, data_stream_route: csv, delivery_targets: [{{ name: {target}, path_template: '{{{{.UploadId}}}}' }}] }}\n"
    )
}

/// A gateway that looks at its files only when asked, or each second.
fn prepared(every: &str) -> Gateway {
    let gateway = Gateway::prepare(&[
        ("CDEX_MANIFEST__CONFIG_DIR", "{data}/../streams"),
        ("CDEX_DELIVERY__CONFIG_FILE", "{data}/../delivery.yml"),
        ("CDEX_MANIFEST__RELOAD_SECS", every),
    ]);
    furnish(&gateway, "streams/lab_csv.json", STRICT);
    furnish(&gateway, "delivery.yml", &delivery("one"));
    gateway
}

fn configuration(gateway: &Gateway) -> (String, String) {
    let health = gateway.get("/upload/health").expect(200).json();
    let services = health["services"].as_array().cloned().unwrap_or_default();
    let found = services.into_iter().find(|row| row["service"] == "Data Stream Configuration");
    let row = found.expect("it is told of");
    (
        health["status"].as_str().unwrap_or_default().to_owned(),
        row["status"].as_str().unwrap_or_default().to_owned(),
    )
}

/// W-26: what DEX reads once, however wrong it has become. An upload that was accepted stays so, and goes where its
/// stream goes when it is complete.
#[test]
fn w_26_files_are_followed_when_asked_and_what_is_wrong_changes_nothing() {
    let mut gateway = prepared("0");
    gateway.launch();
    verdict(&gateway, LAB).expect(400);
    let accepted = tus::created(&verdict(&gateway, &[LAB, &[("sender_id", "s")]].concat()));

    furnish(&gateway, "streams/lab_csv.json", FREE);
    furnish(&gateway, "delivery.yml", &delivery("two"));
    verdict(&gateway, LAB).expect(400);
    gateway.signal_reload();
    let free = wait::until("the new rules", || {
        let answer = verdict(&gateway, LAB);
        (answer.status == 201).then(|| tus::created(&answer))
    });
    assert_eq!(configuration(&gateway).1, "UP");
    tus::append(&gateway, &accepted.path, 0, b"abc");
    tus::append(&gateway, &free.path, 0, b"abc");
    for id in [&accepted.id, &free.id] {
        let info = gateway.wait_delivered(id, 1);
        assert_eq!(info["deliveries"][0]["name"], "two", "{info}");
    }

    // A target that nobody knows beside rules that are sound: neither counts.
    furnish(&gateway, "streams/lab_csv.json", STRICT);
    furnish(&gateway, "delivery.yml", &delivery("three").replace("[{ name: three", "[{ name: nowhere"));
    gateway.signal_reload();
    wait::until("what is wrong to be told", || {
        (configuration(&gateway) == ("DEGRADED".to_owned(), "DOWN".to_owned())).then_some(())
    });
    wait::until("it to be logged and counted", || {
        let (metrics, log) = (gateway.get("/metrics").text(), gateway.wrote());
        let counts = ["cdex_config_current 0", "cdex_config_reloads_total{result=\"refused\"} 1"];
        let is_told = log.contains("there is no target named nowhere");
        (is_told && counts.iter().all(|count| metrics.contains(count))).then_some(())
    });
    tus::created(&verdict(&gateway, LAB));
    gateway.get("/health/ready").expect(200);

    furnish(&gateway, "delivery.yml", &delivery("three"));
    gateway.signal_reload();
    wait::until("the mended files", || (verdict(&gateway, LAB).status == 400).then_some(()));
    wait::until("the health to say so", || (configuration(&gateway).1 == "UP").then_some(()));
}

#[test]
fn files_are_looked_at_regularly_without_being_asked() {
    let mut gateway = prepared("1");
    gateway.launch();
    verdict(&gateway, LAB).expect(400);
    furnish(&gateway, "streams/lab_csv.json", "{");
    wait::until("what is wrong to be told", || (configuration(&gateway).1 == "DOWN").then_some(()));
    furnish(&gateway, "streams/lab_csv.json", FREE);
    wait::until("the new rules", || (verdict(&gateway, LAB).status == 201).then_some(()));
}

#[test]
fn streams_may_lie_in_the_bucket_of_the_uploads() {
    let server = S3Server::start();
    let folder = server.folder().join("streams");
    std::fs::create_dir_all(&folder).expect("the server's folder takes others");
    std::fs::write(folder.join("lab_csv.json"), STRICT).expect("it takes files");
    let mut settings = s3_store(&server);
    settings.push(("CDEX_MANIFEST__CONFIG_DIR", format!("s3://{}/streams", crate::support::storage::BUCKET)));
    settings.push(("CDEX_MANIFEST__RELOAD_SECS", "1".to_owned()));
    let gateway = Gateway::with(&borrowed(&settings));
    verdict(&gateway, LAB).expect(400);
    std::fs::write(folder.join("lab_csv.json"), FREE).expect("it takes files");
    wait::until("the new rules", || (verdict(&gateway, LAB).status == 201).then_some(()));
    let back = server.go_away();
    wait::until("the bucket to be missed", || (configuration(&gateway).1 == "DOWN").then_some(()));
    back();
    wait::until("the bucket to be there", || (configuration(&gateway).1 == "UP").then_some(()));
}
