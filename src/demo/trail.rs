//! The step that asks where the file is: the status of one upload, and the report of every stage it went
//! through.

use std::time::Instant;

use serde_json::Value;

use super::DemoError;
use super::console::{Console, bytes, grouped, millis};
use super::documents::large_file;
use super::gateway::Gateway;
use crate::clock::Timestamp;

/// The stages of an upload that was delivered once, in order (dex-upload 5.1).
const STAGES: [&str; 6] = [
    "metadata-transform",
    "metadata-verify",
    "upload-started",
    "upload-status",
    "upload-completed",
    "blob-file-copy",
];

/// Shows what is known about an upload and checks that it is the whole story.
pub(super) async fn show(console: &mut Console, gateway: &Gateway, id: &str) -> Result<(), DemoError> {
    console.step("The operator asks where the file is")?;
    console.row("asked", &format!("GET /upload/info/{id}"))?;
    let asked = Instant::now();
    let info = gateway.info(id).await?;
    let answered = asked.elapsed();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let size = info["file_info"]["size_bytes"].as_u64().unwrap_or(0);
    let status = text(&info["upload_status"]["status"]);
    let manifest = &info["manifest"];
    console.row("answered", "manifest")?;
    for key in
        ["data_stream_id", "data_stream_route", "sender_id", "received_filename", "dex_ingest_datetime"]
    {
        console.row("", &format!("  {key:<20} {}", text(&manifest[key])))?;
    }
    console.row("", &format!("file_info      {}", bytes(size)))?;
    console.row("", &format!("upload_status  {status}"))?;
    let deliveries = info["deliveries"].as_array().map_or(&[][..], Vec::as_slice);
    for delivery in deliveries {
        let (status, name) = (text(&delivery["status"]), text(&delivery["name"]));
        console
            .row("", &format!("deliveries     {status} to {name} at {}", text(&delivery["delivered_at"])))?;
    }
    console.row("took", &millis(answered))?;
    console.check("it is complete", "Complete", status.as_str())?;
    console.check("it has all its bytes", large_file::LENGTH as u64, size)?;
    console.check("it was delivered once, although it was sent and referred to", 1, deliveries.len())?;

    console.row("asked", &format!("GET /upload/info/{id}?view=reports"))?;
    let asked = Instant::now();
    let answer = gateway.get_json(&format!("/upload/info/{id}?view=reports")).await?;
    let answered = asked.elapsed();
    let reports = answer["reports"].as_array().map_or(&[][..], Vec::as_slice);
    let stages: Vec<&Value> = reports.iter().map(|report| &report["stage_info"]).collect();
    let begun = stages.first().and_then(|stage| time(&stage["start_processing_time"]));
    for (row, stage) in stages.iter().enumerate() {
        let label = if row == 0 { "answered" } else { "" };
        let ended = time(&stage["end_processing_time"]);
        let after = begun.zip(ended).map(|(begun, ended)| millis(ended.since(begun))).unwrap_or_default();
        let (action, status) = (text(&stage["action"]), text(&stage["status"]));
        console.row(label, &format!("{action:<19} {status:<8} after {after:>9}"))?;
    }
    console.row("took", &millis(answered))?;
    let actions: Vec<String> = stages.iter().map(|stage| text(&stage["action"])).collect();
    console.check(
        "the trail has the six stages, in order",
        STAGES.join(", ").as_str(),
        actions.join(", ").as_str(),
    )?;
    let succeeded = stages.iter().filter(|stage| stage["status"] == "SUCCESS").count();
    let claim = format!("all {} stages succeeded", grouped(STAGES.len() as u64));
    console.check(&claim, STAGES.len(), succeeded)
}

fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(value.as_str()?)
}
