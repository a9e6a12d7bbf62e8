//! The push of the older CDex (0.1.0, the STU1 ballot of 2019; cdex §9): which resources belong to it, and what a
//! Communication carries. [`rules`] is what they must have. Pure: whoever forwards a payload reads its bytes.

mod rules;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::fhir::datatype::{Attachment, codings};

pub(crate) use rules::check;

/// Where the profiles and extensions of the older CDex have their names.
const DEFINITIONS: &str = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/";

/// The extension of a payload that tells which search it answers.
const QUERY_STRING: &str = "cdex-payload-query-string";

/// The extension of a payload that tells which kind of note it is.
const CLINICAL_NOTE_TYPE: &str = "cdex-payload-clinical-note-type";

/// Codes of `category` that the examples of the older CDex use, whatever their system.
const PUSHED: [&str; 3] = ["SolicitedAttachment", "UnsolicitedAttachment", "UnsolicitedResource"];

/// One payload of a Communication that somebody can take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushedPayload<'a> {
    /// Its place in `Communication.payload`.
    pub(crate) index: usize,
    /// The kind of note that it is said to be: the first code of the extension.
    pub(crate) note_type: Option<&'a str>,
    /// The search that it is said to answer.
    pub(crate) query: Option<&'a str>,
    /// What it carries.
    pub(crate) content: PushedContent<'a>,
}

/// What a payload carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushedContent<'a> {
    /// `contentAttachment`, with `data` or `url`.
    Attachment(&'a Value),
    /// `contentReference`: what `Reference.reference` says.
    Reference(&'a str),
}

/// Whether a Communication says of itself that it is a push of the older CDex: by its profile, by an extension of a
/// payload, or by its category. One that only refers to a CommunicationRequest may be any answer by words.
fn is_push(communication: &Value) -> bool {
    let categories = list(communication, "category").flat_map(codings);
    claims(communication, "cdex-communication")
        || has_payload_extension(communication)
        || categories.filter_map(|coding| coding.code).any(|code| PUSHED.contains(&code))
}

/// What a Communication carries for others to take away, in order. One that did not happen carries nothing, and words
/// alone (`contentString`) are for those who read it.
pub(crate) fn pushed(communication: &Value) -> Vec<PushedPayload<'_>> {
    let is_sent = matches!(text(communication, "status"), Some("completed" | "in-progress"));
    let payloads = list(communication, "payload").enumerate().filter(|_| is_sent);
    payloads
        .filter_map(|(index, payload)| {
            let note_type = extension(payload, CLINICAL_NOTE_TYPE)
                .and_then(|extension| extension.get("valueCodeableConcept"))
                .and_then(|concept| codings(concept).find_map(|coding| coding.code));
            let query = extension(payload, QUERY_STRING).and_then(|found| text(found, "valueString"));
            let content = content(communication, payload)?;
            Some(PushedPayload { index, note_type, query, content })
        })
        .collect()
}

fn content<'a>(communication: &'a Value, payload: &'a Value) -> Option<PushedContent<'a>> {
    if let Some(attachment) = payload.get("contentAttachment") {
        let Attachment { data, url, .. } = Attachment::of(attachment);
        return (data.is_some() || url.is_some()).then_some(PushedContent::Attachment(attachment));
    }
    let reference = text(payload.get("contentReference")?, "reference")?;
    let is_there = reference.strip_prefix('#').is_none_or(|id| contained(communication, id).is_some());
    is_there.then_some(PushedContent::Reference(reference))
}

/// The resource of this id that a resource contains.
pub(crate) fn contained<'a>(resource: &'a Value, id: &str) -> Option<&'a Value> {
    list(resource, "contained").find(|inner| text(inner, "id") == Some(id))
}

/// The requests that a Communication answers, as they are referred to.
pub(crate) fn answered_requests(communication: &Value) -> impl Iterator<Item = &str> {
    let references = list(communication, "basedOn").filter_map(|based_on| text(based_on, "reference"));
    references.filter(|reference| names_type(reference, "CommunicationRequest"))
}

/// What a Task of 2019 names that is pushed or asked for, while it waits for an answer.
pub(crate) fn pushed_focus(task: &Value) -> Option<&str> {
    let waits = claims(task, "cdex-task") && text(task, "status") == Some("requested");
    let focus = task.get("focus").filter(|_| waits).and_then(|focus| text(focus, "reference"))?;
    ["Communication", "CommunicationRequest"].iter().any(|name| names_type(focus, name)).then_some(focus)
}

/// Whether a reference names a resource of this type.
fn names_type(reference: &str, resource_type: &str) -> bool {
    let mut segments = reference.rsplit('/');
    segments.next().is_some_and(|id| !id.is_empty()) && segments.next() == Some(resource_type)
}

/// What a Communication is about, as far as a manifest may say it: whether that is a claim.
pub(crate) fn is_about_a_claim(communication: &Value) -> bool {
    let mut about = list(communication, "about").filter_map(|about| text(about, "reference"));
    about.any(|reference| names_type(reference, "Claim"))
}

/// The type of resource that a search asks for: all of it that may be shown, since its parameters can name a person.
pub(crate) fn type_asked_for(query: &str) -> Option<&'static str> {
    let path = query.split('?').next().unwrap_or_default();
    crate::fhir::resource_type(path.rsplit('/').next().unwrap_or_default())
}

/// The media type of a payload whose label names the other of XML and JSON: the reference applications of 2019
/// labelled JSON `application/fhir+xml` (cdex §9.3). None where the label may stand.
pub(crate) fn relabelled(label: &str, head: &[u8]) -> Option<&'static str> {
    let bare = label.split(';').next().unwrap_or_default().trim();
    let says_xml = bare.ends_with("+xml") || matches!(bare, "application/xml" | "text/xml");
    let says_json = bare.ends_with("+json") || bare == "application/json";
    let is_fhir = bare.starts_with("application/fhir");
    let start = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') if says_xml => {
            Some(if is_fhir { "application/fhir+json" } else { "application/json" })
        }
        Some(b'<') if says_json => Some(if is_fhir { "application/fhir+xml" } else { "application/xml" }),
        _ => None,
    }
}

fn claims(resource: &Value, profile: &str) -> bool {
    let profiles = resource.pointer("/meta/profile").and_then(Value::as_array).into_iter().flatten();
    let mut names = profiles.filter_map(Value::as_str).filter_map(|url| url.strip_prefix(DEFINITIONS));
    names.any(|name| name.split('|').next() == Some(profile))
}

fn has_payload_extension(resource: &Value) -> bool {
    let mut payloads = list(resource, "payload");
    payloads.any(|payload| {
        [QUERY_STRING, CLINICAL_NOTE_TYPE].iter().any(|name| extension(payload, name).is_some())
    })
}

/// The first extension of this name.
fn extension<'a>(element: &'a Value, name: &str) -> Option<&'a Value> {
    extensions(element, name).next()
}

fn extensions<'a>(element: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let is_named = move |url: &str| url.strip_prefix(DEFINITIONS).is_some_and(|own| own == name);
    list(element, "extension").filter(move |extension| text(extension, "url").is_some_and(is_named))
}

fn list<'a>(value: &'a Value, element: &str) -> impl Iterator<Item = &'a Value> {
    value.get(element).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, element: &str) -> Option<&'a str> {
    value.get(element).and_then(Value::as_str)
}
