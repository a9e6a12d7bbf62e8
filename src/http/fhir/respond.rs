//! FHIR answers: JSON with FHIR's media type, as much of it as `Prefer` asks for.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::fhir::{Issue, operation_outcome};

/// The media type of every body of this door.
pub(super) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// What the client wants back (FHIR R4 http, `Prefer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Return {
    /// Headers alone.
    Minimal,
    /// The outcome in full; the default.
    Representation,
}

/// Reads `Prefer: return=…`; the last one counts, and what is not known is ignored.
pub(super) fn preferred_return(headers: &HeaderMap) -> Return {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut chosen = Return::Representation;
    for preference in preferences.flat_map(|value| value.split([',', ';'])) {
        // RFC 7240: names know no case, and a value may be quoted.
        match preference.trim().to_ascii_lowercase().replace('"', "").as_str() {
            "return=minimal" => chosen = Return::Minimal,
            "return=representation" | "return=operationoutcome" => chosen = Return::Representation,
            _ => {}
        }
    }
    chosen
}

/// A resource as an answer.
pub(super) fn resource(status: StatusCode, resource: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, FHIR_JSON)], resource.to_string()).into_response()
}

/// An OperationOutcome as an answer.
pub(super) fn outcome(status: StatusCode, issues: &[Issue]) -> Response {
    resource(status, &operation_outcome(issues))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_known_return_preference_counts() {
        let cases = [
            ("", Return::Representation),
            ("return=minimal", Return::Minimal),
            ("handling=strict; return=minimal", Return::Minimal),
            ("return=minimal, return=OperationOutcome", Return::Representation),
            ("respond-async", Return::Representation),
            ("RETURN=\"Minimal\"", Return::Minimal),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", text.parse().expect("a header value"));
            assert_eq!(preferred_return(&headers), expected, "{text}");
        }
        assert_eq!(preferred_return(&HeaderMap::new()), Return::Representation);
    }
}
