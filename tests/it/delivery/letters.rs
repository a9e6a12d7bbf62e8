//! Dead letters (D-06): listed, counted, filtered and delivered again, one or many, by API and command.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{break_at, prepared, upload};
use crate::support::gateway::{Gateway, furnish};
use crate::support::http::{Answer, Request};
use crate::support::{rows, wait};

/// Where a file breaks every path of the stream at the target `broken`.
const PLACE: &str = "broken/dextesting";

/// A gateway with `count` deliveries that were given up, of senders `s0`, `s1`, …, and its uploads.
fn with_dead(count: usize) -> (Gateway, Vec<String>) {
    let mut gateway = prepared(&[]);
    break_at(&gateway, PLACE);
    gateway.launch();
    let uploads = (0..count).map(|number| upload(&gateway, &format!("s{number}"))).collect();
    wait::until("deliveries to end", || {
        let ended =
            ["?status=dead", "?status=delivered"].map(|query| list(&gateway, query)["total"] == count);
        (ended == [true, true]).then_some(())
    });
    (gateway, uploads)
}

fn list(gateway: &Gateway, query: &str) -> Value {
    gateway.get(&format!("/upload/deliveries{query}")).expect(200).json()
}

fn redeliver(gateway: &Gateway, body: &Value) -> Answer {
    gateway.ask(&Request::new("POST", "/upload/deliveries/redeliver").body(body.to_string()))
}

fn mend(gateway: &Gateway) {
    std::fs::remove_file(gateway.data_dir().join("delivered").join(PLACE)).expect("the file was there");
}

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    let url = gateway.url();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdex-gateway"));
    command.args(arguments).args(["--gateway", &url]).current_dir(gateway.scratch());
    command.output().expect("the binary under test runs")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn d_06_w_03_what_was_given_up_is_listed_counted_and_found_by_its_filters() {
    let (gateway, uploads) = with_dead(3);
    let dead = list(&gateway, "?status=dead");
    let first = &dead["deliveries"][0];
    assert_eq!(first["upload_id"], uploads[0].as_str());
    assert_eq!((&first["target"], &first["status"]), (&json!("broken"), &json!("dead")));
    assert_eq!((&first["sender_id"], &first["attempts"]), (&json!("s0"), &json!(1)));
    assert!(first["issue"].is_string() && first["ended_at"].is_string(), "{first}");
    let all = dead["deliveries"].as_array().expect("a list");
    let ended = all.iter().filter_map(|one| one["ended_at"].as_str()).min().expect("a moment");
    let cases = [
        ("?status=dead,delivered".to_owned(), 6),
        ("?target=sound".to_owned(), 3),
        ("?status=dead&target=sound".to_owned(), 0),
        ("?status=dead&sender_id=s1".to_owned(), 1),
        ("?data_stream_id=dextesting&data_stream_route=testevent1".to_owned(), 6),
        ("?data_stream_id=other".to_owned(), 0),
        (format!("?status=dead&until={ended}"), 0),
        (format!("?status=dead&since={ended}"), 3),
        ("?status=dead&limit=1".to_owned(), 3),
    ];
    for (query, total) in cases {
        assert_eq!(list(&gateway, &query)["total"], total, "{query}");
    }
    let page = list(&gateway, "?status=dead&limit=2");
    let next = page["next"].as_str().expect("there is more");
    let rest = list(&gateway, &format!("?status=dead&limit=2&after={next}"));
    assert_eq!(rest["deliveries"].as_array().map(Vec::len), Some(1));
    assert_eq!((&rest["deliveries"][0]["upload_id"], &rest["next"]), (&json!(uploads[2]), &Value::Null));
    for query in ["?status=lost", "?since=yesterday", "?after=x", "?what=x", "?limit=many"] {
        gateway.get(&format!("/upload/deliveries{query}")).expect(400);
    }
}

#[test]
fn d_06_w_29_many_are_delivered_again_after_a_dry_run_that_does_nothing() {
    let (gateway, uploads) = with_dead(3);
    mend(&gateway);
    let dry = redeliver(&gateway, &json!({ "dry_run": true })).expect(200).json();
    assert_eq!((&dry["queued"], &dry["dry_run"]), (&json!(3), &json!(true)));
    assert_eq!(list(&gateway, "?status=dead")["total"], 3);
    // What is not queued is passed over by whoever goes on.
    let (mut seen, mut next) = (Vec::new(), Value::Null);
    loop {
        let mut ask = json!({ "dry_run": true, "limit": 1 });
        if next.is_string() {
            ask["after"] = next;
        }
        let page = redeliver(&gateway, &ask).expect(200).json();
        seen.push(page["deliveries"][0]["upload_id"].as_str().expect("a delivery").to_owned());
        next = page["next"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!(seen, uploads);
    let audited = rows::count(&gateway, "audit");

    let one = redeliver(&gateway, &json!({ "target": "broken", "sender_id": "s1" })).expect(200).json();
    assert_eq!(one["queued"], 1);
    assert_eq!(one["deliveries"][0]["upload_id"], uploads[1].as_str());
    gateway.wait_delivered(&uploads[1], 2);
    let rest = redeliver(&gateway, &json!({ "status": "dead", "limit": 1 })).expect(200).json();
    assert_eq!((&rest["queued"], &rest["more"]), (&json!(1), &json!(true)));
    let rest = redeliver(&gateway, &json!({})).expect(200).json();
    assert_eq!((&rest["queued"], &rest["more"], &rest["next"]), (&json!(1), &json!(false), &Value::Null));
    for upload in &uploads {
        gateway.wait_delivered(upload, 2);
    }
    assert_eq!(rows::count(&gateway, "audit"), audited + 3, "each is in the trail");
    assert_eq!(list(&gateway, "?status=dead")["total"], 0);
    let bad = ["status", "what", "since", "after"].map(|name| json!({ name: "pending" }));
    for body in bad.into_iter().chain([json!([])]) {
        redeliver(&gateway, &body).expect(400);
    }
}

#[test]
fn w_39_the_command_lists_dry_runs_and_repeats_and_its_exit_code_says_whether_all_was_done() {
    let (gateway, uploads) = with_dead(2);
    let told = printed(&run(&gateway, &["deliveries"]));
    assert!(told.starts_with("2 in all") && uploads.iter().all(|id| told.contains(id)), "{told}");
    let told = printed(&run(&gateway, &["deliveries", "--sender", "s1", "--json"]));
    let line: Value = serde_json::from_str(told.trim()).expect("a line of JSON");
    assert_eq!(line["upload_id"], uploads[1].as_str());

    mend(&gateway);
    let dry = run(&gateway, &["redeliver", "--dry-run"]);
    assert!(dry.status.success() && printed(&dry).contains("2 of 2 would be queued"), "{}", printed(&dry));
    assert_eq!(list(&gateway, "?status=dead")["total"], 2);
    // A dry run of one says what the call itself says.
    let dry = run(&gateway, &["redeliver", &uploads[0], "--target", "broken", "--dry-run"]);
    assert!(dry.status.success() && printed(&dry).contains("would be queued"), "{}", printed(&dry));
    assert_eq!(list(&gateway, "?status=dead")["total"], 2);
    for dry_run in [&["--dry-run"][..], &[]] {
        let typo = run(&gateway, &[&["redeliver", &uploads[0], "--target", "brokn"][..], dry_run].concat());
        assert!(!typo.status.success() && printed(&typo).contains("Invalid target"), "{}", printed(&typo));
    }
    let one = run(&gateway, &["redeliver", &uploads[0], "--target", "broken"]);
    assert!(one.status.success(), "{}", printed(&one));
    gateway.wait_delivered(&uploads[0], 2);
    let rest = run(&gateway, &["redeliver", "--target", "broken", "--json"]);
    let told: Value = serde_json::from_str(printed(&rest).trim()).expect("JSON");
    assert!(rest.status.success() && told["done"] == 1, "{told}");
    gateway.wait_delivered(&uploads[1], 2);
}

#[test]
fn w_39_the_csv_file_of_dexs_tool_is_taken_and_what_fails_is_told() {
    let (gateway, uploads) = with_dead(1);
    mend(&gateway);
    let unknown = uuid::Uuid::new_v4();
    let csv = format!("upload id,target\n{},broken\n{unknown},broken\n{},nowhere\n", uploads[0], uploads[0]);
    furnish(&gateway, "again.csv", &csv);
    let ended = run(&gateway, &["redeliver", "--csv", "again.csv"]);
    let told = printed(&ended);
    assert!(!ended.status.success() && told.contains("1 of 3 queued"), "{told}");
    assert!(told.contains("404") && told.contains("Invalid target"), "{told}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("2 of 3"), "standard error says so too");
    gateway.wait_delivered(&uploads[0], 2);
}

#[test]
fn d_11_the_summary_says_for_each_target_where_the_upload_stands() {
    let (gateway, uploads) = with_dead(1);
    gateway.wait_delivered(&uploads[0], 1);
    let path = format!("/upload/info/{}?view=summary", uploads[0]);
    let summary = gateway.get(&path).expect(200).json();
    assert_eq!((&summary["status"], &summary["size_bytes"]), (&json!("Complete"), &json!(3)));
    let of = |name: &str| {
        let targets = summary["targets"].as_array().into_iter().flatten();
        targets.clone().find(|target| target["target"] == name).cloned().expect("each target is there")
    };
    let (sound, broken) = (of("sound"), of("broken"));
    assert_eq!((&sound["status"], &broken["status"]), (&json!("delivered"), &json!("dead")));
    assert_eq!(sound["attempts"][0]["size_bytes"], 3);
    assert!(sound["location"].is_string() && sound["attempts"][0]["duration_ms"].is_u64(), "{sound}");
    assert_eq!(broken["attempts"][0]["status"], "FAILURE");
    assert!(broken["attempts"][0]["issue"].is_string(), "{broken}");
    gateway.get(&format!("/upload/info/{}?view=summary", uuid::Uuid::new_v4())).expect(404);
}
