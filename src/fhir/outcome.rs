//! Issues and the OperationOutcome that carries them. Texts never repeat what a client sent: they name
//! elements and rules, so that no answer and no log line can hold a patient's data.

use serde::Serialize;
use serde_json::Value;

/// How bad an issue is, the worst first (FHIR R4 `issue-severity`; `fatal` is not used: a refused body is an `error`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// The request was refused because of it.
    Error,
    /// The request was accepted, but something deserves attention.
    Warning,
    /// Told for the reader's use.
    Information,
}

/// What kind of issue it is (FHIR R4 `issue-type`, the codes in use here).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IssueType {
    /// The body is not JSON, or not of the structure of its resource type.
    Structure,
    /// A required element is missing.
    Required,
    /// An element's value is unacceptable.
    Value,
    /// A code is not in its required value set.
    CodeInvalid,
    /// A rule between elements is broken.
    Invariant,
    /// A rule of the exchange is broken.
    BusinessRule,
    /// Content that is invalid for another reason.
    Invalid,
    /// More than the endpoint takes.
    TooLong,
    /// Too much structure to process.
    TooCostly,
    /// So many at once are not served.
    Throttled,
    /// Something that this server does not do.
    NotSupported,
    /// The thing named does not exist.
    NotFound,
    /// The thing named was there and has been deleted.
    Deleted,
    /// `forbidden`: this one may not do this.
    Forbidden,
    /// What is asked for does not fit the present state.
    Conflict,
    /// Several things answer to a description that must name one.
    MultipleMatches,
    /// The same request is being processed, or was made with other content.
    Duplicate,
    /// The server cannot do it now; trying again may help.
    Transient,
    /// Storage is full.
    NoStore,
    /// Something went wrong inside.
    Exception,
    /// Not a problem.
    Informational,
}

impl IssueType {
    /// The code as on the wire.
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::CodeInvalid => "code-invalid",
            Self::Invariant => "invariant",
            Self::BusinessRule => "business-rule",
            Self::Invalid => "invalid",
            Self::TooLong => "too-long",
            Self::TooCostly => "too-costly",
            Self::Throttled => "throttled",
            Self::NotSupported => "not-supported",
            Self::NotFound => "not-found",
            Self::Deleted => "deleted",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::MultipleMatches => "multiple-matches",
            Self::Duplicate => "duplicate",
            Self::Transient => "transient",
            Self::NoStore => "no-store",
            Self::Exception => "exception",
            Self::Informational => "informational",
        }
    }
}

/// One problem or remark about one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What kind it is.
    pub(crate) code: IssueType,
    /// The element, as a simple FHIRPath from the resource type on.
    pub(crate) expression: Option<String>,
    /// What a person reads; without anything that the client sent.
    pub(crate) text: String,
    /// What to do about it, if there is something to do.
    pub(crate) diagnostics: Option<String>,
}

impl Issue {
    /// An issue of severity `error` about the element at `expression`.
    pub(crate) fn error(code: IssueType, expression: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            expression: Some(expression.into()),
            text: text.into(),
            diagnostics: None,
        }
    }

    /// An issue of severity `error` about the request as a whole.
    pub(crate) fn refusal(code: IssueType, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, expression: None, text: text.into(), diagnostics: None }
    }

    /// A remark about an accepted request.
    pub(crate) fn information(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Information,
            code: IssueType::Informational,
            expression: None,
            text: text.into(),
            diagnostics: None,
        }
    }

    /// The same issue with a severity of `warning`.
    #[must_use]
    pub(crate) fn into_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same issue with advice on what to do.
    #[must_use]
    pub(crate) fn advising(mut self, diagnostics: impl Into<String>) -> Self {
        self.diagnostics = Some(diagnostics.into());
        self
    }

    /// The same issue as one about the entry of a Bundle: `Task.status` becomes `Bundle.entry[3].resource.status`.
    #[must_use]
    pub(crate) fn of_entry(mut self, entry: &str) -> Self {
        self.expression = Some(match &self.expression {
            Some(inner) if inner.starts_with("Bundle.entry[") => inner.clone(),
            Some(inner) => {
                let element = inner.find(['.', '[']).map_or("", |end| &inner[end..]);
                format!("{entry}.resource{element}")
            }
            None => entry.to_owned(),
        });
        self
    }

    /// Whether the request must be refused because of it.
    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// An OperationOutcome resource with these issues, as JSON.
pub(crate) fn operation_outcome(issues: &[Issue]) -> serde_json::Value {
    let issues: Vec<serde_json::Value> = issues
        .iter()
        .map(|issue| {
            let mut json = serde_json::json!({
                "severity": issue.severity,
                "code": issue.code.as_code(),
                "details": { "text": issue.text },
            });
            if let Some(diagnostics) = &issue.diagnostics {
                json["diagnostics"] = diagnostics.as_str().into();
            }
            if let Some(expression) = &issue.expression {
                json["expression"] = serde_json::json!([expression]);
            }
            json
        })
        .collect();
    serde_json::json!({ "resourceType": "OperationOutcome", "issue": issues })
}

/// Whether an OperationOutcome tells that attachments are held for a claim that is not known yet: an informational
/// issue in the words of CDex ("Submit attachments", CONF-021), the only mark that there is.
pub(crate) fn tells_of_holding(outcome: &[u8]) -> bool {
    let outcome: Value = serde_json::from_slice(outcome).unwrap_or_default();
    outcome["resourceType"] == "OperationOutcome"
        && outcome["issue"].as_array().into_iter().flatten().any(|issue| {
            let text = issue["details"]["text"].as_str().unwrap_or_default();
            issue["severity"] == "information" && text.contains("held for association")
        })
}

/// The codes of the issues in an OperationOutcome that somebody else sent, without repetitions and a few at most; empty
/// if it is none. Nothing else of it is safe to show.
pub(crate) fn issue_codes(outcome: &[u8]) -> Vec<String> {
    let outcome: Value = serde_json::from_slice(outcome).unwrap_or_default();
    if outcome["resourceType"] != "OperationOutcome" {
        return Vec::new();
    }
    let mut codes: Vec<String> = Vec::new();
    for code in outcome["issue"].as_array().into_iter().flatten().filter_map(|issue| issue["code"].as_str()) {
        let is_code = code.len() <= 24 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if is_code && codes.len() < 8 && !codes.iter().any(|known| known == code) {
            codes.push(code.to_owned());
        }
    }
    codes
}
