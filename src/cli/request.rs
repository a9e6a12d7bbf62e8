//! `request`: asks a partner for data or attachments through a gateway that runs, and waits for the answer if it is told
//! to.

use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::client::{ClientArgs, ClientError, GatewayClient, concept, identifier, parameter, row};
use super::{Outcome, block_on, print};

/// Time between two looks at our copy of the Task.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked of whom.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("wanted").required(true).args(["query", "code", "text", "questionnaire", "attachment_code"]))]
pub(super) struct RequestArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the partner in the gateway's configuration.
    #[arg(long, value_name = "NAME")]
    partner: String,
    /// The patient: a Patient of the partner (Patient/ID), for attachments one of the gateway's own.
    #[arg(long, value_name = "REFERENCE", required_unless_present = "member")]
    patient: Option<String>,
    /// The patient's member id (SYSTEM|VALUE).
    #[arg(long, value_name = "IDENTIFIER")]
    member: Option<String>,
    /// Ask for what a search finds (TYPE?PARAMETERS).
    #[arg(long, value_name = "SEARCH")]
    query: Option<String>,
    /// Ask for documents of a type (SYSTEM|CODE, or a LOINC code).
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Ask in words for a person.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Ask for the answers to a Questionnaire.
    #[arg(long, value_name = "URL")]
    questionnaire: Option<String>,
    /// Ask for attachments of a type to be submitted (SYSTEM|CODE, or a LOINC code).
    #[arg(long, value_name = "CODE", requires = "tracking_id")]
    attachment_code: Vec<String>,
    /// For attachments: the number that ties them to the claim (SYSTEM|VALUE).
    #[arg(long, value_name = "IDENTIFIER")]
    tracking_id: Option<String>,
    /// The claim or prior authorization (SYSTEM|VALUE).
    #[arg(long, value_name = "IDENTIFIER")]
    claim: Option<String>,
    /// For attachments: claim or preauthorization.
    #[arg(long, value_name = "CODE")]
    claim_use: Option<String>,
    /// For attachments to a claim: the day on which the service began.
    #[arg(long, value_name = "DATE")]
    service_date: Option<String>,
    /// When the answer is due.
    #[arg(long, value_name = "DATE")]
    due: Option<String>,
    /// What the data are for (a code of v3-ActReason, or SYSTEM|CODE).
    #[arg(long, value_name = "CODE")]
    purpose_of_use: Option<String>,
    /// The result must be signed.
    #[arg(long)]
    signature: bool,
    /// Wait until the partner has answered and everything is collected.
    #[arg(long)]
    wait: bool,
}

pub(super) fn run(args: &RequestArgs) -> Outcome {
    block_on(ask(args))?
}

async fn ask(args: &RequestArgs) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let gateway = GatewayClient::new(&args.client)?;
    let mut task = gateway.post("/fhir/Task/$request", &parameters(args)).await?;
    let path = format!("Task/{}", task["id"].as_str().unwrap_or_default());
    if !args.client.json {
        row("request", &path)?;
        row("partner", &args.partner)?;
        tell(&task)?;
    }
    while args.wait && !is_over(&task) {
        tokio::time::sleep(PAUSE).await;
        let next = gateway.get(&format!("/fhir/{path}")).await?;
        if !args.client.json && said(&next) != said(&task) {
            tell(&next)?;
        }
        task = next;
    }
    if args.client.json {
        print(&task.to_string())?;
    } else if is_over(&task) {
        for output in outputs(&task) {
            row("output", &gateway.url(&format!("/fhir/{output}")))?;
        }
    } else {
        row("go on", &format!("cdex-gateway status {path}"))?;
    }
    match task["status"].as_str() {
        Some(status @ ("failed" | "rejected" | "cancelled" | "entered-in-error")) => {
            Err(ClientError::Failed(format!("the request has ended as {status}")).into())
        }
        _ => Ok(()),
    }
}

/// The Parameters of the operation.
fn parameters(args: &RequestArgs) -> Value {
    let text = |name: &'static str, kind: &'static str, value: &Option<String>| {
        value.as_ref().map(|value| parameter(name, kind, value.as_str().into()))
    };
    let number = |name: &'static str, value: &Option<String>| {
        value.as_ref().map(|value| parameter(name, "valueIdentifier", identifier(value)))
    };
    let mut all = vec![parameter("partner", "valueString", args.partner.as_str().into())];
    all.extend(
        args.patient
            .as_ref()
            .map(|patient| parameter("patient", "valueReference", json!({ "reference": patient }))),
    );
    all.extend(number("member-id", &args.member));
    all.extend(number("tracking-id", &args.tracking_id));
    all.extend(text("query", "valueString", &args.query));
    all.extend(text("text", "valueString", &args.text));
    all.extend(text("questionnaire", "valueCanonical", &args.questionnaire));
    all.extend(args.code.as_ref().map(|code| parameter("code", "valueCodeableConcept", concept(code))));
    let needed = args.attachment_code.iter();
    all.extend(needed.map(|code| parameter("attachment-code", "valueCodeableConcept", concept(code))));
    all.extend(
        args.claim
            .as_ref()
            .map(|claim| parameter("claim", "valueReference", json!({ "identifier": identifier(claim) }))),
    );
    all.extend(text("claim-use", "valueCode", &args.claim_use));
    all.extend(text("service-date", "valueDate", &args.service_date));
    all.extend(text("due", "valueDateTime", &args.due));
    all.extend(args.purpose_of_use.as_ref().map(|purpose| {
        let purpose = if purpose.contains('|') {
            concept(purpose)
        } else {
            concept(&format!("http://terminology.hl7.org/CodeSystem/v3-ActReason|{purpose}"))
        };
        parameter("purpose-of-use", "valueCodeableConcept", purpose)
    }));
    all.extend(args.signature.then(|| parameter("signature", "valueBoolean", true.into())));
    json!({ "resourceType": "Parameters", "parameter": all })
}

/// What a Task says of how it stands.
pub(super) fn tell(task: &Value) -> std::io::Result<()> {
    let (status, words) = said(task);
    match words {
        Some(words) => row("status", &format!("{status}: {words}")),
        None => row("status", status),
    }
}

fn said(task: &Value) -> (&str, Option<&str>) {
    let text = |element: &str| task[element]["text"].as_str();
    (task["status"].as_str().unwrap_or("unknown"), text("statusReason").or_else(|| text("businessStatus")))
}

/// Whether a Task changes no more.
fn is_over(task: &Value) -> bool {
    let over = ["completed", "failed", "rejected", "cancelled", "entered-in-error"];
    task["status"].as_str().is_some_and(|status| over.contains(&status))
}

/// What the outputs of a Task refer to.
pub(super) fn outputs(task: &Value) -> impl Iterator<Item = &str> {
    let outputs = task["output"].as_array().into_iter().flatten();
    outputs.filter_map(|output| output.pointer("/valueReference/reference").and_then(Value::as_str))
}
