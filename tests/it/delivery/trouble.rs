//! A target in trouble beside a sound one: what is delivered, what is told, and that nothing is lost.

use serde_json::json;

use super::{break_at, prepared, upload};
use crate::support::gateway::{Gateway, PATIENT};
use crate::support::wait;

/// A gateway one of whose targets fails for the moment, each time anew.
fn troubled() -> Gateway {
    let mut gateway = prepared(&[PATIENT, ("CDEX_DELIVERY__POLL_INTERVAL_MS", "50")]);
    break_at(&gateway, "broken");
    gateway.launch();
    gateway
}

fn mend(gateway: &Gateway) {
    let file = gateway.data_dir().join("delivered/broken");
    std::fs::remove_file(file).expect("the file was there");
}

fn health_of_broken(gateway: &Gateway) -> String {
    // Whatever else is slow at the moment.
    let health = gateway.get("/health/ready").json();
    let checks = health["checks"].as_array().cloned().unwrap_or_default();
    let check = checks.iter().find(|check| check["name"] == "target broken").expect("it is shown");
    check["status"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn d_05_w_12_a_target_that_fails_is_told_as_such_and_caught_up_with_when_it_works_again() {
    let gateway = troubled();
    assert_eq!(health_of_broken(&gateway), "UP", "nothing is known of it yet");
    let uploads: Vec<String> = (0..8).map(|number| upload(&gateway, &format!("s{number}"))).collect();
    for id in &uploads {
        gateway.wait_delivered(id, 1);
    }
    wait::until("the circuit to open", || (health_of_broken(&gateway) == "DOWN").then_some(()));
    let metrics = wait::until("the open circuit to be counted", || {
        let metrics = gateway.get("/metrics").text();
        metrics.contains("cdex_delivery_circuit_open{target=\"broken\"} 1").then_some(metrics)
    });
    assert!(metrics.contains("cdex_delivery_circuit_open{target=\"sound\"} 0"), "{metrics}");
    let health = gateway.get("/upload/health").expect(200).json();
    assert_eq!(health["status"], "DEGRADED");
    let summary = gateway.get(&format!("/upload/info/{}?view=summary", uploads[7])).expect(200).json();
    let targets = summary["targets"].as_array().cloned().unwrap_or_default();
    let waiting = targets.iter().find(|target| target["target"] == "broken").expect("it is there");
    assert_ne!(waiting["status"], "dead", "what waits uses no attempts up");

    mend(&gateway);
    for id in &uploads {
        gateway.wait_delivered(id, 2);
    }
    assert_eq!(health_of_broken(&gateway), "UP");
}

#[test]
fn d_01_w_01_w_37_deliveries_that_wait_for_a_target_outlive_a_kill_and_a_stop() {
    let mut gateway = troubled();
    let uploads = ["one", "two"].map(|sender| upload(&gateway, sender));
    for id in &uploads {
        gateway.wait_delivered(id, 1);
    }
    gateway.kill();
    gateway.launch();
    assert!(gateway.stop().success());
    mend(&gateway);
    gateway.launch();
    for id in &uploads {
        gateway.wait_delivered(id, 2);
    }
    let left = gateway.get("/upload/deliveries?status=pending,leased,waiting,dead").expect(200).json();
    assert_eq!(left["total"], json!(0));
}

#[test]
fn d_02_w_13_what_is_repeated_while_it_waits_is_not_delivered_twice() {
    let gateway = troubled();
    let id = upload(&gateway, "one");
    gateway.wait_delivered(&id, 1);
    let request = crate::support::http::Request::new("POST", &format!("/upload/route/{id}"))
        .header("Accept", "application/json")
        .body(r#"{"target":"broken"}"#);
    let answer = gateway.ask(&request).expect(200).json();
    assert_eq!(answer["status"], "under-way");
    assert!(answer["delivery_id"].is_string(), "{answer}");
    mend(&gateway);
    gateway.wait_delivered(&id, 2);
    assert_eq!(gateway.delivered().len(), 2);
}
