//! `submit`: sends a file as an attachment (`$submit-attachment`), to a gateway that runs, through it to a partner, or
//! to any other endpoint. The file is read while it is sent: its size does not matter.

use std::path::{Path, PathBuf};

use base64_simd::STANDARD;
use bytes::Bytes;
use clap::Args;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::client::{ClientArgs, ClientError, GatewayClient, concept, identifier, npi, parameter, row};
use super::{Outcome, block_on, print};
use crate::fhir::FHIR_JSON;

/// Read at a time; a multiple of three, so that the base64 of the blocks is that of the whole.
const BLOCK: usize = 3 * 64 * 1024;

/// What a file is called on its way to a partner: FHIR's door reads what is called JSON, and its document says what it
/// is.
const OCTETS: &str = "application/octet-stream";

/// Stands where the base64 goes; no value of the command line can be like it, for it is made of what JSON escapes.
const HERE: &str = "\u{1}data\u{1}";

/// What is sent for what.
#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The file.
    file: PathBuf,
    /// Endpoint to send it to, instead of the gateway.
    #[arg(long, value_name = "URL", conflicts_with = "partner")]
    to: Option<String>,
    /// Name of a partner in the gateway's configuration that the gateway is to send it to.
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,
    /// The number that ties it to the claim or prior authorization (SYSTEM|VALUE).
    #[arg(long, value_name = "IDENTIFIER")]
    tracking_id: String,
    /// What it belongs to: claim or preauthorization.
    #[arg(long, value_name = "CODE", default_value = "claim")]
    attach_to: String,
    /// The member id of the patient (SYSTEM|VALUE).
    #[arg(long, value_name = "IDENTIFIER")]
    member: String,
    /// The provider who sends it (SYSTEM|VALUE, or an NPI).
    #[arg(long, value_name = "IDENTIFIER", required_unless_present = "organization")]
    provider: Option<String>,
    /// The organization that sends it (SYSTEM|VALUE, or an NPI).
    #[arg(long, value_name = "IDENTIFIER")]
    organization: Option<String>,
    /// For a claim: the day on which the service began.
    #[arg(long, value_name = "DATE", required_if_eq("attach_to", "claim"))]
    service_date: Option<String>,
    /// What was asked for (SYSTEM|CODE, or a LOINC code).
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// A line of the claim that it is about.
    #[arg(long, value_name = "NUMBER")]
    line: Vec<String>,
    /// Media type of the file; by its name unless given.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// More attachments will follow.
    #[arg(long)]
    not_final: bool,
}

pub(super) fn run(args: &SubmitArgs) -> Outcome {
    block_on(submit(args))?
}

async fn submit(args: &SubmitArgs) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let gateway = GatewayClient::new(&args.client)?;
    let failed = |source| ClientError::File { path: args.file.display().to_string(), source };
    let file = File::open(&args.file).await.map_err(failed)?;
    let length = file.metadata().await.map_err(failed)?.len();
    match &args.partner {
        Some(partner) => send_on(args, &gateway, partner, (file, length)).await,
        None => send(args, &gateway, (file, length)).await,
    }
}

/// Sends the file to an endpoint.
async fn send(
    args: &SubmitArgs,
    gateway: &GatewayClient,
    (file, length): (File, u64),
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let text = parameters(args, json!({ "data": HERE })).to_string();
    let marker = json!(HERE).to_string();
    let (before, after) = text.split_once(marker.trim_matches('"')).unwrap_or((&text, ""));
    let all = before.len() as u64 + length.div_ceil(3) * 4 + after.len() as u64;
    let url = match &args.to {
        Some(url) if url.ends_with("$submit-attachment") => url.clone(),
        Some(url) => format!("{}/$submit-attachment", url.trim_end_matches('/')),
        None => gateway.url("/fhir/$submit-attachment"),
    };
    let body = body(before.to_owned(), file, after.to_owned());
    let answer = gateway.send(&url, gateway.posting(&url, FHIR_JSON).stream(body, all)).await?;
    let ids: Vec<String> = upload_ids(answer.header("link").unwrap_or_default());
    let outcome: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if args.client.json {
        let told = json!({ "status": answer.status, "uploads": ids, "outcome": outcome });
        print(&told.to_string())?;
        return Ok(());
    }
    row("accepted", &format!("{length} bytes, status {}", answer.status))?;
    for id in &ids {
        row("upload", id)?;
    }
    for issue in outcome["issue"].as_array().into_iter().flatten() {
        if let Some(text) = issue.pointer("/details/text").and_then(Value::as_str) {
            row("told", text)?;
        }
    }
    if let Some(id) = ids.first().filter(|_| args.to.is_none()) {
        row("go on", &format!("cdex-gateway status {id}"))?;
    }
    Ok(())
}

/// Has the gateway send the file to a partner: kept there as a Binary first, because a body of an operation is bounded
/// and a Binary is not.
async fn send_on(
    args: &SubmitArgs,
    gateway: &GatewayClient,
    partner: &str,
    (file, length): (File, u64),
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = gateway.url("/fhir/Binary");
    let kept = gateway.send(&url, gateway.posting(&url, OCTETS).stream(blocks(file), length)).await?;
    let location = kept.header("location").unwrap_or_default();
    let id = location.split('/').skip_while(|segment| *segment != "Binary").nth(1).unwrap_or_default();
    let submission = parameters(args, json!({ "url": format!("Binary/{id}") }));
    let inputs = [
        parameter("partner", "valueString", partner.into()),
        parameter("submission", "resource", submission),
    ];
    let call = json!({ "resourceType": "Parameters", "parameter": inputs });
    let told = gateway.post("/fhir/$send-attachment", &call).await?;
    if args.client.json {
        print(&told.to_string())?;
        return Ok(());
    }
    let output = |name: &str, value: &str| {
        let outputs = told["parameter"].as_array().into_iter().flatten();
        let mut named = outputs.filter(|output| output["name"] == name);
        named.find_map(|output| output[value].as_str()).unwrap_or_default().to_owned()
    };
    let upload = output("upload", "valueId");
    row("sending", &format!("{length} bytes to {partner}"))?;
    row("endpoint", &output("endpoint", "valueUrl"))?;
    row("upload", &upload)?;
    row("go on", &format!("cdex-gateway status {upload}"))?;
    Ok(())
}

fn content_type(args: &SubmitArgs) -> &str {
    args.content_type.as_deref().unwrap_or_else(|| media_type(&args.file))
}

/// The Parameters; `place` says where the bytes of the file are.
fn parameters(args: &SubmitArgs, place: Value) -> Value {
    let mut attachment = place;
    attachment["contentType"] = content_type(args).into();
    let code = args.code.as_deref().map(concept);
    let mut document = json!({
        "resourceType": "DocumentReference", "status": "current", "content": [{ "attachment": attachment }],
    });
    if let Some(code) = &code {
        document["type"] = code.clone();
    }
    let mut parts: Vec<Value> =
        args.line.iter().map(|line| parameter("LineItem", "valueString", line.as_str().into())).collect();
    parts.extend(code.map(|code| parameter("Code", "valueCodeableConcept", code)));
    parts.push(parameter("Content", "resource", document));
    let mut all = vec![
        parameter("TrackingId", "valueIdentifier", identifier(&args.tracking_id)),
        parameter("AttachTo", "valueCode", args.attach_to.as_str().into()),
    ];
    let organization = args.organization.as_ref();
    all.extend(organization.map(|it| parameter("OrganizationId", "valueIdentifier", npi(it))));
    all.extend(args.provider.as_ref().map(|it| parameter("ProviderId", "valueIdentifier", npi(it))));
    all.push(parameter("MemberId", "valueIdentifier", identifier(&args.member)));
    let date = args.service_date.as_ref();
    all.extend(date.map(|date| parameter("ServiceDate", "valueDateTime", date.as_str().into())));
    all.push(parameter("Attachment", "part", parts.into()));
    all.push(parameter("Final", "valueBoolean", (!args.not_final).into()));
    json!({ "resourceType": "Parameters", "parameter": all })
}

/// What stands before the data, the data as base64, and what stands after them.
fn body(before: String, file: File, after: String) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let data = blocks(file).map(|block| Ok(Bytes::from(STANDARD.encode_to_string(&block?))));
    let piece = |text: String| stream::iter([Ok(Bytes::from(text))]);
    piece(before).chain(data).chain(piece(after))
}

/// The bytes of a file, in blocks.
fn blocks(file: File) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut block = Vec::with_capacity(BLOCK);
        match (&mut file).take(BLOCK as u64).read_to_end(&mut block).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Bytes::from(block)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// The ids in a `Link` field: `</upload/info/{id}>; rel="status"`, comma-joined.
fn upload_ids(link: &str) -> Vec<String> {
    let id = |link: &str| Some(link.trim().strip_prefix("</upload/info/")?.split_once('>')?.0.to_owned());
    link.split(',').filter_map(id).collect()
}

/// The media type that a file's name tells.
fn media_type(file: &Path) -> &'static str {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "xml" => "text/xml",
        "txt" => "text/plain",
        "rtf" => "text/rtf",
        "htm" | "html" => "text/html",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "tif" | "tiff" => "image/tiff",
        "json" => "application/json",
        "dcm" => "application/dicom",
        _ => OCTETS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uploads_of_an_answer_are_read_in_order() {
        let link = r#"</upload/info/a>; rel="status", </upload/info/b>; rel="status""#;
        assert_eq!(upload_ids(link), ["a", "b"]);
        assert!(upload_ids("").is_empty());
    }

    #[test]
    fn a_media_type_is_told_by_the_name() {
        for (name, expected) in
            [("a.PDF", "application/pdf"), ("b.xml", "text/xml"), ("c", "application/octet-stream")]
        {
            assert_eq!(media_type(Path::new(name)), expected);
        }
    }
}
