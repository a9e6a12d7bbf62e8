//! FHIR JSON on the wire: which media types are read and written, and a scanned body as a tree. XML is refused
//! by its media type, before a byte of it is read: no XML reader ever sees input.

use serde_json::Value;

use super::{Issue, IssueType};

/// The media type of every FHIR answer.
pub(crate) const FHIR_JSON: &str = "application/fhir+json";

/// The media types that are read and written.
const JSON_TYPES: [&str; 2] = [FHIR_JSON, "application/json"];

/// A body is not in a format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MediaTypeError {
    /// There is no `Content-Type`.
    #[error("the body has no media type")]
    Missing,
    /// It is not FHIR JSON.
    #[error("the body must be application/fhir+json")]
    NotJson,
    /// It is not UTF-8.
    #[error("the body must be UTF-8")]
    Charset,
    /// It is of another FHIR release.
    #[error("the body must be of FHIR release 4.0")]
    FhirVersion,
}

impl MediaTypeError {
    /// What the sender is told.
    pub(crate) fn issue(self) -> Issue {
        let text = match self {
            Self::Missing => "The body has no media type",
            Self::NotJson => "The media type of the body is not supported",
            Self::Charset => "The character set of the body is not supported",
            Self::FhirVersion => "The FHIR release of the body is not supported",
        };
        Issue::refusal(IssueType::NotSupported, text)
            .advising("Send application/fhir+json, FHIR release 4.0, in UTF-8")
    }
}

/// No format that the caller accepts is one that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("answers are application/fhir+json, which is not accepted")]
pub(crate) struct NotAcceptable;

impl NotAcceptable {
    /// What the caller is told.
    pub(crate) fn issue() -> Issue {
        Issue::refusal(IssueType::NotSupported, "No accepted media type is supported")
            .advising("Accept application/fhir+json")
    }
}

/// Checks the `Content-Type` of a request with a body.
///
/// # Errors
/// Anything but FHIR JSON of release 4.0 in UTF-8.
pub(crate) fn media_type(content_type: Option<&str>) -> Result<(), MediaTypeError> {
    media_type_among(&JSON_TYPES, content_type).map(drop)
}

/// Which of these media types the `Content-Type` of a request is.
///
/// # Errors
/// It is none of them, or one with parameters for another FHIR release or character set.
pub(super) fn media_type_among<'t>(
    types: &[&'t str],
    content_type: Option<&str>,
) -> Result<&'t str, MediaTypeError> {
    let mut parts = parts(content_type.ok_or(MediaTypeError::Missing)?, ';');
    let essence = parts.next().unwrap_or_default();
    let found = types.iter().find(|json| essence.eq_ignore_ascii_case(json));
    let found = *found.ok_or(MediaTypeError::NotJson)?;
    for parameter in parts {
        let (name, value) = split_parameter(parameter);
        if name.eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
            return Err(MediaTypeError::Charset);
        }
        if name.eq_ignore_ascii_case("fhirVersion") && value != "4.0" {
            return Err(MediaTypeError::FhirVersion);
        }
    }
    Ok(found)
}

/// Checks that an answer in FHIR JSON will do. `accept` is the `Accept` field, or the `_format` parameter, which
/// goes before it (FHIR R4, General Parameters).
///
/// # Errors
/// Only other formats are accepted, such as XML.
pub(crate) fn negotiate(accept: Option<&str>) -> Result<(), NotAcceptable> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else { return Ok(()) };
    // RFC 9110, 12.5.1: for each of our types the most specific range decides, and a weight of zero forbids.
    let is_acceptable = |json: &str| {
        let ranges = parts(accept, ',').filter_map(|range| Range::parse(range, json));
        ranges.max_by_key(|range| range.precedence).is_some_and(|range| !range.is_forbidden)
    };
    if JSON_TYPES.into_iter().any(is_acceptable) { Ok(()) } else { Err(NotAcceptable) }
}

/// The form of something that has a media type of its own and can be shown as FHIR JSON too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// As FHIR JSON.
    FhirJson,
    /// As what it is.
    Own,
}

/// Chooses between FHIR JSON, which is for those who name it, and the thing's own media type.
///
/// # Errors
/// Neither is accepted.
pub(crate) fn choose(accept: &str, own: &str) -> Result<Chosen, NotAcceptable> {
    if accept.trim().is_empty() {
        return Ok(Chosen::Own);
    }
    let own = parts(own, ';').next().unwrap_or_default();
    let (family, _) = own.split_once('/').unwrap_or((own, ""));
    // Of two that are accepted alike, the one that is named first.
    let mut best: Option<(f32, Chosen)> = None;
    for range in parts(accept, ',') {
        let mut range = parts(range, ';');
        let essence = range.next().unwrap_or_default();
        let weight = range
            .filter_map(|parameter| {
                Some(split_parameter(parameter)).filter(|(name, _)| name.eq_ignore_ascii_case("q"))
            })
            .find_map(|(_, weight)| weight.parse::<f32>().ok())
            .unwrap_or(1.0);
        let is_own = essence.eq_ignore_ascii_case(own)
            || essence == "*/*"
            || essence == "*"
            || essence.strip_suffix("/*").is_some_and(|range| range.eq_ignore_ascii_case(family));
        let is_json = essence.eq_ignore_ascii_case("json")
            || JSON_TYPES.iter().any(|json| essence.eq_ignore_ascii_case(json));
        let chosen = match (is_own, is_json) {
            (true, _) => Chosen::Own,
            (false, true) => Chosen::FhirJson,
            (false, false) => continue,
        };
        if weight > 0.0 && best.is_none_or(|(so_far, _)| weight > so_far) {
            best = Some((weight, chosen));
        }
    }
    best.map(|(_, chosen)| chosen).ok_or(NotAcceptable)
}

/// A media range that covers the type in question.
struct Range {
    precedence: u8,
    is_forbidden: bool,
}

impl Range {
    fn parse(range: &str, json: &str) -> Option<Self> {
        let mut parts = parts(range, ';');
        let essence = parts.next().unwrap_or_default();
        // `_format` knows a short name too.
        let precedence = if essence.eq_ignore_ascii_case(json) || essence.eq_ignore_ascii_case("json") {
            2
        } else if essence.eq_ignore_ascii_case("application/*") {
            1
        } else if essence == "*/*" || essence == "*" {
            0
        } else {
            return None;
        };
        let mut is_forbidden = false;
        for parameter in parts {
            let (name, value) = split_parameter(parameter);
            if name.eq_ignore_ascii_case("q") {
                // A weight that is no number is taken for one: the caller did want something.
                is_forbidden = value.parse::<f32>().is_ok_and(|weight| weight <= 0.0);
            } else if name.eq_ignore_ascii_case("fhirVersion") && value != "4.0" {
                return None;
            }
        }
        Some(Self { precedence, is_forbidden })
    }
}

/// The parts of a field value, but not where a separator is quoted.
fn parts(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let split = value.split(move |character: char| {
        is_quoted ^= character == '"';
        character == separator && !is_quoted
    });
    split.map(str::trim).filter(|part| !part.is_empty())
}

fn split_parameter(parameter: &str) -> (&str, &str) {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    (name.trim(), value.trim().trim_matches('"'))
}

/// The skeleton of a scanned body as a tree.
///
/// # Errors
/// None after a scan: it refuses all that this would. The error is there for text that was not scanned.
pub(crate) fn parse(skeleton: &[u8]) -> Result<Value, Issue> {
    serde_json::from_slice(skeleton)
        .map_err(|_| Issue::refusal(IssueType::Structure, "the text is not a JSON document"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fhir_json_of_release_4_in_utf_8_is_read() {
        use MediaTypeError::{Charset, FhirVersion, Missing, NotJson};
        for (content_type, outcome) in [
            (Some("application/fhir+json"), Ok(())),
            (Some("Application/JSON"), Ok(())),
            (Some("application/fhir+json; charset=UTF-8; fhirVersion=4.0"), Ok(())),
            (Some("application/fhir+json;charset=\"utf-8\""), Ok(())),
            (Some("application/fhir+json; profile=\"http://x;charset=utf-16\""), Ok(())),
            (None, Err(Missing)),
            (Some(""), Err(NotJson)),
            (Some("text/json"), Err(NotJson)),
            (Some("text/html"), Err(NotJson)),
            (Some("application/fhir+xml"), Err(NotJson)),
            (Some("application/json-patch+json"), Err(NotJson)),
            (Some("multipart/form-data; boundary=x"), Err(NotJson)),
            (Some("application/fhir+json, text/html"), Err(NotJson)),
            (Some("application/fhir+json; charset=utf-16"), Err(Charset)),
            (Some("application/fhir+json; fhirVersion=5.0"), Err(FhirVersion)),
        ] {
            assert_eq!(media_type(content_type), outcome, "{content_type:?}");
        }
    }

    #[test]
    fn fhir_json_is_for_those_who_name_it_and_bytes_are_for_all_others() {
        use Chosen::{FhirJson, Own};
        for (accept, own, expected) in [
            ("", "application/pdf", Ok(Own)),
            ("*/*", "application/pdf", Ok(Own)),
            ("application/*", "application/pdf", Ok(Own)),
            ("application/pdf", "application/pdf", Ok(Own)),
            ("text/plain", "text/plain; charset=utf-8", Ok(Own)),
            ("application/fhir+json", "application/pdf", Ok(FhirJson)),
            ("application/json", "application/pdf", Ok(FhirJson)),
            ("json", "application/pdf", Ok(FhirJson)),
            ("application/json", "application/json", Ok(Own)),
            ("application/fhir+json, */*;q=0.1", "application/pdf", Ok(FhirJson)),
            ("application/fhir+json;q=0.1, */*", "application/pdf", Ok(Own)),
            ("application/pdf, application/fhir+json", "application/pdf", Ok(Own)),
            ("image/png", "application/pdf", Err(NotAcceptable)),
            ("application/fhir+xml", "application/pdf", Err(NotAcceptable)),
            ("application/pdf;q=0", "application/pdf", Err(NotAcceptable)),
        ] {
            assert_eq!(choose(accept, own), expected, "{accept} of {own}");
        }
    }

    #[test]
    fn an_answer_in_json_is_given_to_whoever_does_not_exclude_it() {
        for accept in [
            None,
            Some(""),
            Some("*/*"),
            Some("application/*"),
            Some("application/fhir+json"),
            Some("APPLICATION/JSON; q=0.1"),
            Some("application/fhir+xml, application/json;q=0.5"),
            Some("application/fhir+xml;q=1.0, */*;q=0.1"),
            Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            Some("application/fhir+json;q=0, application/json"),
            Some("application/fhir+json; fhirVersion=4.0"),
            Some("json"),
        ] {
            assert_eq!(negotiate(accept), Ok(()), "{accept:?}");
        }
        for accept in [
            "application/fhir+xml",
            "xml",
            "text/*",
            "text/html, image/png",
            "application/fhir+json;q=0, application/json;q=0.000, */*",
            "*/*;q=0",
            "application/fhir+json; fhirVersion=3.0",
        ] {
            assert_eq!(negotiate(Some(accept)), Err(NotAcceptable), "{accept:?}");
        }
    }

    #[test]
    fn a_tree_keeps_the_digits_of_a_decimal() {
        let tree = parse(b"{\"value\":1.00}").expect("it is JSON");
        assert_eq!(tree.to_string(), "{\"value\":1.00}");
        assert!(parse(b"{").is_err());
    }
}
