//! `request`: asks a partner for data or attachments through a gateway that runs, and waits for the answer if it is
//! told to.

use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::client::{ClientArgs, ClientError, GatewayClient, concept, identifier, npi, parameter, row};
use super::{Outcome, block_on, print};

/// Time between two looks at our copy of the Task.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked of whom.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").multiple(true).args(["patient", "family"]))]
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
    /// For attachments: the patient's family name, where no Patient of the gateway's is named.
    #[arg(long, value_name = "NAME", requires_all = ["birth_date", "member"])]
    family: Option<String>,
    /// The patient's given name.
    #[arg(long, value_name = "NAME", requires = "family")]
    given: Vec<String>,
    /// The patient's birth date.
    #[arg(long, value_name = "DATE", requires = "family")]
    birth_date: Option<String>,
    /// The practitioner who is asked (SYSTEM|VALUE, or an NPI).
    #[arg(long, value_name = "IDENTIFIER")]
    practitioner: Option<String>,
    /// The organization that is asked (SYSTEM|VALUE, or an NPI), if it is not the one of the partner's entry.
    #[arg(long, value_name = "IDENTIFIER")]
    organization: Option<String>,
    /// Who asks (SYSTEM|VALUE), if it is not who the gateway stands for.
    #[arg(long, value_name = "IDENTIFIER")]
    requester: Option<String>,
    /// Ask for what a search finds (TYPE?PARAMETERS).
    #[arg(long, value_name = "SEARCH")]
    query: Option<String>,
    /// Ask for documents of a type (SYSTEM|CODE, or a LOINC code).
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Ask in words for a person.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Ask for the answers to a Questionnaire; with a tracking id they are to be submitted.
    #[arg(long, value_name = "URL")]
    questionnaire: Option<String>,
    /// Ask for attachments of a type to be submitted (SYSTEM|CODE, or a LOINC code).
    #[arg(long, value_name = "CODE", requires = "tracking_id")]
    attachment_code: Vec<String>,
    /// For attachments: the number that ties them to the claim (SYSTEM|VALUE).
    #[arg(long, value_name = "IDENTIFIER", requires_all = ["claim", "whose"])]
    tracking_id: Option<String>,
    /// For attachments to a prior authorization: the payer's second number (SYSTEM|VALUE).
    #[arg(long, value_name = "IDENTIFIER", requires = "tracking_id")]
    admin_ref_number: Option<String>,
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
    /// Attachments may come in several submissions.
    #[arg(long, requires = "tracking_id")]
    multiple_submits: bool,
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
    all.extend(member(args).map(|patient| parameter("member", "resource", patient)));
    for (name, named) in [("practitioner", &args.practitioner), ("organization", &args.organization)] {
        all.extend(named.as_ref().map(|named| parameter(name, "valueIdentifier", npi(named))));
    }
    all.extend(number("requester", &args.requester));
    all.extend(number("tracking-id", &args.tracking_id));
    all.extend(number("admin-ref-number", &args.admin_ref_number));
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
    for (name, is_set) in [("signature", args.signature), ("multiple-submits", args.multiple_submits)] {
        all.extend(is_set.then(|| parameter(name, "valueBoolean", true.into())));
    }
    json!({ "resourceType": "Parameters", "parameter": all })
}

/// The patient as the command line describes one.
fn member(args: &RequestArgs) -> Option<Value> {
    let mut name = json!({ "family": args.family.as_ref()? });
    if !args.given.is_empty() {
        name["given"] = args.given.clone().into();
    }
    Some(json!({ "resourceType": "Patient", "name": [name], "birthDate": args.birth_date }))
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
