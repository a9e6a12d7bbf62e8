//! What must be signed and is not: the one rule for responses to Questionnaires (CONF-026) and for what is pushed as an
//! attachment (cdex.md 6.8, 8.1), and who may sign it. Says nothing about whether a signature holds.

use serde_json::Value;

use super::element::{array, covers, is_signature, signatures, text};
use crate::fhir::base64;

/// Where a Questionnaire, or an item of one, says that responses must be signed.
const SIGNATURE_REQUIRED: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-signatureRequired";

/// Media types of text without any place for a signature.
const PLAIN: [&str; 3] = ["text/plain", "text/csv", "text/markdown"];

/// Media types of JSON, whose signature, if it has one, is that of a resource.
const JSON: [&str; 2] = ["application/fhir+json", "application/json"];

/// A signature that a QuestionnaireResponse should have and has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// The whole is not signed.
    Whole,
    /// An item is not signed.
    Item,
}

/// The signatures that a QuestionnaireResponse lacks: of the whole, where the Task (`is_flagged`) or the Questionnaire
/// demands it, and of each item of which the Questionnaire does.
pub(crate) fn unsigned(response: &Value, form: Option<&Value>, is_flagged: bool) -> Vec<Unsigned> {
    let is_whole = is_signed(response);
    let mut missing = Vec::new();
    if (is_flagged || form.is_some_and(demands)) && !is_whole {
        missing.push(Unsigned::Whole);
    }
    if !is_whole && form.is_some_and(|form| has_unsigned_item(response, &demanded_items(form))) {
        missing.push(Unsigned::Item);
    }
    missing
}

/// Whether a resource carries a signature of the whole: its own, or those of all items of a QuestionnaireResponse.
pub(crate) fn is_signed(resource: &Value) -> bool {
    let found = signatures(resource, "", usize::MAX);
    let expressions: Vec<&str> = found.iter().map(|signed| signed.expression.as_str()).collect();
    covers(resource, "", &expressions)
}

/// Whether a resource passes where a signature is demanded: it is signed, or wraps what has its signature inside, if it
/// has one. Of a PDF or a C-CDA only a person can tell.
pub(crate) fn passes_as_signed(resource: &Value) -> bool {
    is_document(resource) || is_signed(resource)
}

/// Whether the organisation that holds a resource may attest it, because nobody else's signature is in it and nobody
/// else's is asked for: a form is signed by whoever filled it in, and a document that can hold a signature by its
/// author.
pub(crate) fn may_be_attested(resource: &Value) -> bool {
    match text(resource, "resourceType") {
        None | Some("QuestionnaireResponse") => false,
        Some("DocumentReference") => {
            let mut attachments = array(resource, "content").iter().map(|content| &content["attachment"]);
            attachments.len() > 0 && attachments.all(holds_no_signature)
        }
        Some("Binary") => holds_no_signature(resource),
        Some(_) => !is_signed(resource),
    }
}

fn is_document(resource: &Value) -> bool {
    matches!(text(resource, "resourceType"), Some("DocumentReference" | "Binary"))
}

/// Whether an Attachment, or a Binary, is of a media type without a place for a signature, or of JSON that has none.
/// JSON that does not stand here may have one.
fn holds_no_signature(attachment: &Value) -> bool {
    let media_type = text(attachment, "contentType").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if PLAIN.contains(&&*media_type) {
        return true;
    }
    let content = text(attachment, "data").filter(|_| JSON.contains(&&*media_type));
    let content = content.and_then(|data| base64::decode(data).ok());
    let content = content.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    content.is_some_and(|content| signatures(&content, "", 1).is_empty())
}

/// Whether a Questionnaire, or an item of one, demands a signature.
fn demands(element: &Value) -> bool {
    array(element, "extension").iter().any(|extension| text(extension, "url") == Some(SIGNATURE_REQUIRED))
}

/// The items of a Questionnaire that must be signed, by their link.
fn demanded_items(form: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let mut items: Vec<&Value> = array(form, "item").iter().collect();
    while let Some(item) = items.pop() {
        items.extend(array(item, "item"));
        found.extend(text(item, "linkId").filter(|_| demands(item)));
    }
    found
}

/// Whether one of these items is answered below an element and neither it nor an item around it is signed: a signature
/// covers the items in its own.
fn has_unsigned_item(element: &Value, demanded: &[&str]) -> bool {
    let mut unsigned: Vec<&Value> = vec![element];
    while let Some(parent) = unsigned.pop() {
        // An answer holds items too, and has no link of its own.
        unsigned.extend(array(parent, "answer"));
        for item in array(parent, "item") {
            if array(item, "extension").iter().any(is_signature) {
                continue;
            }
            if text(item, "linkId").is_some_and(|link| demanded.contains(&link)) {
                return true;
            }
            unsigned.push(item);
        }
    }
    false
}
