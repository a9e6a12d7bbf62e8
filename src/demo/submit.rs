//! The steps that speak FHIR: documents pushed by `$submit-attachment`, a submission that is refused, and
//! one that names a file uploaded before.

use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};

use super::DemoError;
use super::console::{Console, bytes, millis, short_ids};
use super::documents::{LAB_REPORT, PROGRESS_NOTE, attached, large_file, parameters, submission};
use super::gateway::{self, Gateway};
use crate::outbound::Answer;

const CALL: &str = "POST /fhir/$submit-attachment";

/// A clinical note and a laboratory report arrive where they should.
pub(super) async fn push(console: &mut Console, gateway: &Gateway) -> Result<(), DemoError> {
    let documents = [PROGRESS_NOTE, LAB_REPORT];
    console.step("A provider pushes a clinical note and a lab report for a claim")?;
    let attachments = vec![PROGRESS_NOTE.attached("1"), LAB_REPORT.attached("2")];
    let body = Bytes::from(submission(&parameters("DEMO-0001", attachments)).to_string());
    console.row("asked", &format!("{CALL}, {}", bytes(body.len() as u64)))?;
    console.row("", "TrackingId DEMO-0001, AttachTo claim, 2 attachments:")?;
    for document in documents {
        let length = bytes(document.bytes.len() as u64);
        console.row("", &format!("  {:<18} {:<16} {length:>12}", document.name, document.media_type))?;
    }
    let asked = Instant::now();
    let answer = gateway.submit(body).await?;
    let answered = asked.elapsed();
    let ids = upload_ids(&answer);
    console.row("answered", &format!("{} {}", answer.status, resource_type(&answer)?))?;
    for (document, id) in documents.iter().zip(&ids) {
        console.row("", &format!("  {:<18} is upload {id}", document.name))?;
    }

    let asked = Instant::now();
    let mut delivered = Vec::new();
    for id in &ids {
        delivered.push(gateway.delivered(id).await?);
    }
    let arrived = asked.elapsed();
    if let Some(first) = delivered.first() {
        console.row("bytes", &format!("{}/", first.folder()))?;
    }
    for (file, id) in delivered.iter().zip(&ids) {
        console.row("", &format!("  {}", short_ids(&file.name(), id)))?;
    }
    console
        .row("took", &format!("{} to answer, {} more to deliver both", millis(answered), millis(arrived)))?;

    console.check("the submission was accepted", 200, answer.status)?;
    console.check("the answer names one upload for each attachment", documents.len(), ids.len())?;
    for (document, file) in documents.iter().zip(&delivered) {
        let comparison = file.compare([Bytes::from_static(document.bytes)]).await?;
        console.check_file(document.name, document.bytes.len() as u64, comparison.compared)?;
    }
    Ok(())
}

/// A submission without `MemberId` is refused, and the megabyte that came with it is gone.
pub(super) async fn refused(console: &mut Console, gateway: &Gateway) -> Result<(), DemoError> {
    const LENGTH: usize = 1024 * 1024;
    console.step("A submission without MemberId is refused and leaves nothing")?;
    let image: Vec<u8> = large_file::blocks(0, LENGTH).flatten().collect();
    let data = base64_simd::STANDARD.encode_to_string(image);
    let attachment = json!({ "contentType": "application/octet-stream", "data": data });
    let attachment = attached("1", "18748-4", "Diagnostic imaging study", &attachment);
    let mut parameters = parameters("DEMO-0002", vec![attachment]);
    parameters.retain(|parameter| parameter["name"] != "MemberId");
    let body = Bytes::from(submission(&parameters).to_string());
    let before = gateway.files().await?;
    console.row("asked", &format!("{CALL}, {}", bytes(body.len() as u64)))?;
    let length = bytes(LENGTH as u64);
    console.row("", &format!("TrackingId DEMO-0002, no MemberId, 1 attachment of {length}"))?;
    let asked = Instant::now();
    let answer = gateway.submit(body).await?;
    let answered = asked.elapsed();
    let after = gateway.files().await?;
    let outcome = gateway::json(CALL, &answer)?;
    let issue = &outcome["issue"][0];
    let text = issue["details"]["text"].as_str().unwrap_or_default();
    let expression = issue["expression"][0].as_str().unwrap_or_default();
    console.row("answered", &format!("{} {}: {text}", answer.status, resource_type(&answer)?))?;
    console.row("", &format!("at {expression}"))?;
    console.row("bytes", &format!("{} files kept before, {} after", before.len(), after.len()))?;
    console.row("took", &millis(answered))?;

    console.check("the submission was refused", 400, answer.status)?;
    let expected = "Parameters.parameter.where(name='MemberId')";
    console.check("the OperationOutcome names the missing parameter", expected, expression)?;
    console.check("the answer names no upload", 0, upload_ids(&answer).len())?;
    let changed = before.symmetric_difference(&after).count();
    console.check("no file was left in the store or at the target", 0, changed)
}

/// A document that was uploaded before is attached by its URL, and stays one upload, delivered once.
pub(super) async fn refer(
    console: &mut Console,
    gateway: &Gateway,
    upload_id: &str,
) -> Result<(), DemoError> {
    console.step("The provider attaches the uploaded file to the claim by its URL")?;
    let attachment = json!({
        "contentType": "application/octet-stream",
        "url": format!("{}/upload/files/{upload_id}", gateway.base()),
        "size": large_file::LENGTH,
        "title": large_file::NAME,
    });
    let attachment = attached("1", "18748-4", "Diagnostic imaging study", &attachment);
    let body = Bytes::from(submission(&parameters("DEMO-0003", vec![attachment])).to_string());
    let before = gateway.files().await?;
    console.row("asked", &format!("{CALL}, {}", bytes(body.len() as u64)))?;
    console.row("", "TrackingId DEMO-0003, 1 DocumentReference with attachment.url")?;
    console.row("", &format!("/upload/files/{upload_id}"))?;
    let asked = Instant::now();
    let answer = gateway.submit(body).await?;
    let answered = asked.elapsed();
    let ids = upload_ids(&answer);
    console.row("answered", &format!("{} {}", answer.status, resource_type(&answer)?))?;
    for id in &ids {
        console.row("", &format!("upload {id}"))?;
    }
    let after = gateway.files().await?;
    let deliveries = gateway.info(upload_id).await?["deliveries"].as_array().map_or(0, Vec::len);
    console.row("bytes", &format!("none moved: {} files before, {} after", before.len(), after.len()))?;
    console.row("took", &millis(answered))?;

    console.check("the submission was accepted", 200, answer.status)?;
    console.check("it names the upload made before, and no other", upload_id, ids.join(", ").as_str())?;
    let changed = before.symmetric_difference(&after).count();
    console.check("the store and the target have the same files as before", 0, changed)?;
    let claim = format!("its {} were delivered once", bytes(large_file::LENGTH as u64));
    console.check(&claim, 1, deliveries)
}

/// The ids in the `Link` field, in order: `</upload/info/{id}>; rel="status"`, comma-joined.
fn upload_ids(answer: &Answer) -> Vec<String> {
    let links = answer.header("link").unwrap_or_default().split(',');
    let id = |link: &str| Some(link.trim().strip_prefix("</upload/info/")?.split_once('>')?.0.to_owned());
    links.filter_map(id).collect()
}

fn resource_type(answer: &Answer) -> Result<String, DemoError> {
    let json: Value = gateway::json(CALL, answer)?;
    Ok(json["resourceType"].as_str().unwrap_or("no resource").to_owned())
}
