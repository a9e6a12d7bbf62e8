//! A FHIR client: pushes a document for a claim by `$submit-attachment` and waits until it was delivered.
//!
//! ```text
//! cargo run -- serve
//! cargo run --example submit_attachment -- [FILE [GATEWAY]]
//! ```
//!
//! `FILE` is `examples/resources/progress-note.xml` and `GATEWAY` is `http://127.0.0.1:8080` unless given.
//! Nothing of the gateway's own code is used here: this is what any client does.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LINK};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "examples/resources/progress-note.xml".to_owned());
    let gateway = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());

    let client = client()?;
    let bytes = tokio::fs::read(&file).await?;
    let answer = client
        .post(format!("{gateway}/fhir/$submit-attachment"))
        .header(CONTENT_TYPE, "application/fhir+json")
        .body(parameters(media_type(&file), &bytes).to_string())
        .send()
        .await?;

    // `Link` has one entry for each attachment, in order: </upload/info/{id}>; rel="status"
    let status = answer.status();
    let link = answer.headers().get(LINK).and_then(|link| link.to_str().ok()).unwrap_or_default();
    let info = link.split(['<', '>']).nth(1).map(|path| format!("{gateway}{path}"));
    let outcome: Value = serde_json::from_slice(&answer.bytes().await?)?;
    println!("{status}\n{outcome:#}");
    let Some(info) = info.filter(|_| status.is_success()) else {
        return Err("the submission was not accepted".into());
    };

    loop {
        let answer: Value = serde_json::from_slice(&client.get(&info).send().await?.bytes().await?)?;
        // `null` until the first attempt to deliver has ended.
        if answer["deliveries"].is_array() {
            println!("{info}\n{answer:#}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The smallest complete body: whom it concerns, what it belongs to, and one `DocumentReference`.
fn parameters(media_type: &str, bytes: &[u8]) -> Value {
    let identifier = |name: &str, system: &str, value: &str| json!({ "name": name, "valueIdentifier": { "system": system, "value": value } });
    json!({
        "resourceType": "Parameters",
        "parameter": [
            identifier("TrackingId", "http://example.org/provider", "EXAMPLE-0001"),
            { "name": "AttachTo", "valueCode": "claim" },
            identifier("OrganizationId", "http://hl7.org/fhir/sid/us-npi", "1407071236"),
            identifier("ProviderId", "http://hl7.org/fhir/sid/us-npi", "9941339108"),
            identifier("MemberId", "http://example.org/cdex/member-ids", "EXAMPLE-417"),
            { "name": "ServiceDate", "valueDateTime": "2026-03-12" },
            { "name": "Attachment", "part": [
                { "name": "LineItem", "valueString": "1" },
                { "name": "Code", "valueCodeableConcept": {
                    "coding": [{ "system": "http://loinc.org", "code": "11506-3", "display": "Progress note" }],
                } },
                { "name": "Content", "resource": {
                    "resourceType": "DocumentReference",
                    "status": "current",
                    "content": [{ "attachment": {
                        "contentType": media_type,
                        "data": base64_simd::STANDARD.encode_to_string(bytes),
                    } }],
                } },
            ] },
        ],
    })
}

fn media_type(file: &str) -> &'static str {
    match Path::new(file).extension().and_then(|extension| extension.to_str()) {
        Some("xml") => "text/xml",
        Some("pdf") => "application/pdf",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

#[expect(clippy::disallowed_methods, reason = "the ban is for the gateway; this is a client of its own")]
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().build()
}
