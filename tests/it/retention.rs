//! Retention from outside (dex-upload W-23): bytes that were delivered go after their time, what needs them keeps them.
//! Time is let pass by moving the moments in the database of a gateway that is stopped.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;
use crate::support::{files, rows, submission, tus, wait};

const SETTINGS: &[(&str, &str)] = &[
    ("CDEX_RETENTION__SOURCE_DAYS", "1"),
    ("CDEX_RETENTION__INTERVAL_SECS", "1"),
    ("CDEX_DELIVERY__RETRY_SCHEDULE_SECS", "[0]"),
];

/// Lets two days pass.
fn grow_old(gateway: &mut Gateway) {
    const DAYS: &str = "2 * 86400000000000";
    gateway.stop();
    for change in [
        format!("UPDATE upload SET changed_at = changed_at - {DAYS}, completed_at = completed_at - {DAYS}"),
        format!("UPDATE delivery SET settled_at = settled_at - {DAYS} WHERE settled_at IS NOT NULL"),
    ] {
        rows::execute(gateway, &change);
    }
}

fn is_stored(gateway: &Gateway, id: &str) -> bool {
    gateway.stored().iter().any(|path| path.ends_with(id))
}

/// W-23
#[test]
fn w_23_delivered_bytes_go_and_what_needs_them_keeps_them() {
    for_each_database(SETTINGS, |mut gateway| {
        let delivered = tus::upload(&gateway, tus::MANIFEST, b"delivered");
        gateway.wait_delivered(&delivered.id, 1);
        let swept = tus::upload(&gateway, tus::MANIFEST, b"swept");
        gateway.wait_delivered(&swept.id, 1);

        let answer = submission::submit(&gateway, submission::note("T-1", b"a document"));
        let document = submission::accepted(&answer).remove(0);
        gateway.wait_delivered(&document, 1);
        let binary = format!("/fhir/Binary/{document}");
        wait::until("the document to be kept", || (gateway.get(&binary).status == 200).then_some(()));

        let target = gateway.data_dir().join("delivered/local");
        std::fs::rename(&target, gateway.scratch().join("aside")).expect("the target was made");
        std::fs::write(&target, "no folder").expect("a file can be there");
        let dead = tus::upload(&gateway, tus::MANIFEST, b"dead");
        wait::until("the delivery to be given up", || {
            let summary = gateway.get(&format!("/upload/info/{}?view=summary", dead.id)).expect(200).json();
            (summary["targets"][0]["status"] == "dead").then_some(())
        });

        grow_old(&mut gateway);
        // As a crash would leave it between the row and the bytes.
        let change = format!("UPDATE upload SET state = 'retired' WHERE id = '{}'", swept.id);
        rows::execute(&gateway, &change);
        gateway.launch();

        let head = |path: &str| gateway.ask(&tus::request("HEAD", path)).status;
        wait::until("the bytes to go", || (head(&delivered.path) == 410).then_some(()));
        wait::until("the bytes to be removed", || (!is_stored(&gateway, &delivered.id)).then_some(()));
        wait::until("the bytes to be swept", || (!is_stored(&gateway, &swept.id)).then_some(()));
        let info = gateway.info(&delivered.id);
        assert_eq!(info["upload_status"]["status"], "Complete");
        assert!(info["file_info"].is_null() && info["source_removed_at"].is_string(), "{info}");
        assert_eq!(info["deliveries"][0]["status"], "SUCCESS", "what was delivered is told still");
        assert_eq!(info["manifest"]["received_filename"], "note.txt");
        let repeat =
            Request::new("POST", &format!("/upload/route/{}", delivered.id)).body(br#"{"target":"local"}"#);
        assert_eq!(gateway.ask(&repeat).status, 410);
        let again = gateway.ask(&tus::patch(&delivered.path, 9).body(b"x"));
        assert_eq!(again.status, 410);

        assert_eq!(head(&dead.path), 200, "a dead delivery keeps its source");
        assert!(is_stored(&gateway, &dead.id));
        assert!(is_stored(&gateway, &document), "a document keeps its bytes");
        assert_eq!(gateway.get(&binary).status, 200);
        assert!(files::below(&gateway.scratch().join("aside")).len() >= 3, "what was delivered stays");
        let trail = rows::audit_trail(&gateway).into_iter().filter(|row| row.contains(" retain "));
        assert_eq!(trail.count(), 1);
        let metrics = gateway.get("/metrics").expect(200).text();
        assert!(metrics.contains(r#"cdex_retention_removed_total{kind="source"} 1"#), "{metrics}");
    });
}
