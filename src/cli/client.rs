//! A gateway that runs, as the commands for a person at a terminal call it. What it refuses is told in its own words;
//! nothing of a token is ever printed.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde_json::Value;

use super::print;
use crate::fhir::FHIR_JSON;
use crate::outbound::{Answer, Call, Client, Limits, OutboundError, Reach};

/// How long one call may take; a large file is sent in one.
const PATIENCE: Duration = Duration::from_hours(1);

/// The largest answer.
const ANSWER_BYTES: usize = 64 << 20;

/// Which gateway is called, and how the result is printed.
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    /// URL of the gateway, without /fhir.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    gateway: String,
    /// File that holds the access token to call it with.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

/// Something did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody answered.
    #[error("{url}: {source}")]
    Call {
        /// Whom it was to reach.
        url: String,
        /// Why it did not.
        #[source]
        source: OutboundError,
    },
    /// It was refused.
    #[error("{reason}")]
    Refused {
        /// The status.
        status: u16,
        /// What the other side says.
        reason: String,
    },
    /// The answer cannot be read.
    #[error("{0} did not answer with JSON")]
    NotJson(String),
    /// A file of this side cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was asked for has failed.
    #[error("{0}")]
    Failed(String),
}

/// A gateway.
pub(super) struct GatewayClient {
    client: Client,
    base: String,
    token: Option<String>,
}

impl GatewayClient {
    /// The gateway that the arguments name.
    pub(super) fn new(args: &ClientArgs) -> Result<Self, ClientError> {
        let limits = Limits {
            timeout: PATIENCE,
            read_timeout: Duration::from_mins(5),
            answer_bytes: ANSWER_BYTES,
            reach: Reach::Everywhere,
            ..Limits::default()
        };
        let base = args.gateway.trim_end_matches('/').trim_end_matches("/fhir").to_owned();
        let client = Client::new(limits).map_err(|source| ClientError::Call { url: base.clone(), source })?;
        let token = args.token_file.as_ref().map(|path| {
            let read = std::fs::read_to_string(path);
            read.map_err(|source| ClientError::File { path: path.display().to_string(), source })
        });
        Ok(Self { client, base, token: token.transpose()?.map(|token| token.trim().to_owned()) })
    }

    /// The URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// GET of something that is JSON.
    pub(super) async fn get(&self, path: &str) -> Result<Value, ClientError> {
        let url = self.url(path);
        let answer = self.send(&url, self.client.get(&url)).await?;
        json(&url, &answer)
    }

    /// POST of a resource.
    pub(super) async fn post(&self, path: &str, resource: &Value) -> Result<Value, ClientError> {
        let url = self.url(path);
        let call = self.posting(&url, FHIR_JSON);
        let answer = self.send(&url, call.body(Bytes::from(resource.to_string()))).await?;
        json(&url, &answer)
    }

    /// Begins a POST of something that is read while it is sent.
    pub(super) fn posting(&self, url: &str, content_type: &str) -> Call<'_> {
        self.client.post(url).header("content-type", content_type)
    }

    /// Makes a call; what is refused is an error that says why. The token goes to the gateway and to nobody else.
    pub(super) async fn send(&self, url: &str, call: Call<'_>) -> Result<Answer, ClientError> {
        let is_own =
            url.strip_prefix(&self.base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let call = match self.token.as_ref().filter(|_| is_own) {
            Some(token) => call.header("authorization", &format!("Bearer {token}")),
            None => call,
        };
        let answer = call.send().await.map_err(|source| ClientError::Call { url: url.to_owned(), source })?;
        match answer.status {
            200..300 => Ok(answer),
            status => Err(ClientError::Refused { status, reason: refusal(status, &answer.body) }),
        }
    }
}

fn json(url: &str, answer: &Answer) -> Result<Value, ClientError> {
    serde_json::from_slice(&answer.body).map_err(|_| ClientError::NotJson(url.to_owned()))
}

/// What a refusal says, an issue a line.
fn refusal(status: u16, body: &[u8]) -> String {
    let mut lines = vec![format!("refused with status {status}")];
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    // The DEX doors refuse in a line of text.
    if body.is_null() && text.lines().count() == 1 && !text.starts_with('<') {
        lines.push(format!("  {text}"));
    }
    for issue in body["issue"].as_array().into_iter().flatten() {
        let text = issue.pointer("/details/text").or_else(|| issue.get("diagnostics"));
        let text = text.and_then(Value::as_str).unwrap_or_default();
        match issue.pointer("/expression/0").and_then(Value::as_str) {
            Some(at) => lines.push(format!("  {at}: {text}")),
            None => lines.push(format!("  {text}")),
        }
    }
    lines.join("\n")
}

/// Prints a labelled row; without a label it goes on with the row above.
pub(super) fn row(label: &str, text: &str) -> std::io::Result<()> {
    print(&format!("{label:<10} {text}"))
}

/// An Identifier of the command line: `system|value`, or a value alone.
pub(super) fn identifier(text: &str) -> Value {
    match text.split_once('|') {
        Some((system, value)) if !system.is_empty() => {
            serde_json::json!({ "system": system, "value": value })
        }
        Some((_, value)) => serde_json::json!({ "value": value }),
        None => serde_json::json!({ "value": text }),
    }
}

/// An Identifier of a provider or an organization: `system|value`, or an NPI alone.
pub(super) fn npi(text: &str) -> Value {
    if text.contains('|') {
        identifier(text)
    } else {
        serde_json::json!({ "system": "http://hl7.org/fhir/sid/us-npi", "value": text })
    }
}

/// A CodeableConcept of the command line: `system|code`, or a LOINC code alone.
pub(super) fn concept(text: &str) -> Value {
    let (system, code) = text.split_once('|').unwrap_or(("http://loinc.org", text));
    serde_json::json!({ "coding": [{ "system": system, "code": code }] })
}

/// A parameter of an operation.
pub(super) fn parameter(name: &str, value: &str, content: Value) -> Value {
    let mut parameter = serde_json::json!({ "name": name });
    parameter[value] = content;
    parameter
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_gateway() {
        let outcome = json!({ "resourceType": "OperationOutcome", "issue": [
            { "severity": "error", "details": { "text": "It is missing" }, "expression": ["Parameters.parameter"] },
            { "severity": "error", "diagnostics": "Something else" },
        ] });
        let told = refusal(422, outcome.to_string().as_bytes());
        assert_eq!(told, "refused with status 422\n  Parameters.parameter: It is missing\n  Something else");
        assert_eq!(refusal(502, b"<html>"), "refused with status 502");
        assert_eq!(refusal(502, b""), "refused with status 502");
        assert_eq!(refusal(404, b"no such file\n"), "refused with status 404\n  no such file");
    }

    #[test]
    fn identifiers_and_codes_are_read_with_and_without_their_system() {
        assert_eq!(identifier("http://a|b"), json!({ "system": "http://a", "value": "b" }));
        assert_eq!(identifier("b"), json!({ "value": "b" }));
        assert_eq!(identifier("|b"), json!({ "value": "b" }));
        assert_eq!(npi("http://a|b"), identifier("http://a|b"));
        assert_eq!(npi("1")["system"], "http://hl7.org/fhir/sid/us-npi");
        assert_eq!(concept("1-8")["coding"][0]["system"], "http://loinc.org");
        assert_eq!(concept("s|c")["coding"][0], json!({ "system": "s", "code": "c" }));
    }
}
