//! `status`: what is known of an upload, its deliveries and its reports, or of a request that was sent to a partner.

use clap::Args;
use serde_json::Value;

use super::client::{ClientArgs, ClientError, GatewayClient, row};
use super::request::{outputs, tell};
use super::{Outcome, block_on, print};

/// What is asked about.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The id of an upload, or Task/ID of a request.
    id: String,
}

pub(super) fn run(args: &StatusArgs) -> Outcome {
    block_on(tell_all(args))?
}

async fn tell_all(args: &StatusArgs) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let gateway = GatewayClient::new(&args.client)?;
    let is_task = args.id.starts_with("Task/");
    let path = if is_task { format!("/fhir/{}", args.id) } else { format!("/upload/info/{}", args.id) };
    let mut known = gateway.get(&path).await.map_err(|error| match error {
        ClientError::Refused { status: 404, .. } if is_task => {
            ClientError::Failed(format!("the gateway has no request {}", args.id))
        }
        ClientError::Refused { status: 404, .. } => {
            let advice = "requests are asked about as Task/ID";
            ClientError::Failed(format!("the gateway has no upload with the id {}; {advice}", args.id))
        }
        error => error,
    })?;
    if !is_task {
        let reports = gateway.get(&format!("{path}?view=reports")).await?;
        known["reports"] = reports["reports"].clone();
    }
    if args.client.json {
        print(&known.to_string())?;
        return Ok(());
    }
    if is_task {
        row("request", &args.id)?;
        tell(&known)?;
        for output in outputs(&known) {
            row("output", &gateway.url(&format!("/fhir/{output}")))?;
        }
        return Ok(());
    }
    row("upload", &args.id)?;
    let text = |pointer: &str| shown(known.pointer(pointer));
    row("status", &text("/upload_status/status"))?;
    row("size", &format!("{} bytes", text("/file_info/size_bytes")))?;
    row("updated", &text("/file_info/updated_at"))?;
    for delivery in known["deliveries"].as_array().into_iter().flatten() {
        let part = |name: &str| shown(delivery.get(name));
        row("delivery", &format!("{} to {}", part("status"), part("name")))?;
        let why = delivery.pointer("/issues/0/message").and_then(Value::as_str);
        row("", why.unwrap_or(&part("location")))?;
    }
    for report in known["reports"].as_array().into_iter().flatten() {
        let part = |pointer: &str| shown(report.pointer(pointer));
        row("report", &format!("{}: {}", part("/stage_info/action"), part("/stage_info/status")))?;
    }
    Ok(())
}

/// A value of the answer for a reader.
fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}
