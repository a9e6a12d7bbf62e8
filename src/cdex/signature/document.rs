//! FHIR documents: resources that answer a Task which asks for a signature are first wrapped in one, so that there is a
//! Bundle to sign (cdex.md 8.1). The author of the document is its signer.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::element::text;
use super::sign::{SignError, Signer};
use crate::clock::Timestamp;
use crate::id::ResourceId;

/// The profile of a Bundle with a signature.
const SIGNATURE_BUNDLE: &str =
    "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-signature-bundle";

/// A signed document with these resources, which a Composition in front of them lists. `subject` is a Reference to
/// the patient, and `base` the FHIR base that the resources are at: references between them are seen from it.
///
/// # Errors
/// A number in a resource has no canonical form, or the signer's certificate does not hold now.
pub(crate) fn sign_document(
    resources: &[Value],
    subject: &Value,
    base: &str,
    now: Timestamp,
    signer: &Signer,
) -> Result<Value, SignError> {
    let mut urls = HashSet::new();
    let mut entries = Vec::new();
    for resource in resources {
        let url = match (text(resource, "resourceType"), text(resource, "id")) {
            (Some(name), Some(id)) => format!("{}/{name}/{id}", base.trim_end_matches('/')),
            _ => fresh_url(),
        };
        // A document names each resource once (bdl-7).
        if urls.insert(url.clone()) {
            entries.push(json!({ "fullUrl": url, "resource": resource }));
        }
    }
    let listed: Vec<Value> = entries.iter().map(|entry| json!({ "reference": entry["fullUrl"] })).collect();
    let mut section = json!({ "title": "Requested information" });
    if listed.is_empty() {
        section["emptyReason"] = json!({ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "unavailable",
        }] });
    } else {
        section["entry"] = listed.into();
    }
    let when = now.to_string();
    let composition = json!({
        "resourceType": "Composition",
        "status": "final",
        "type": { "coding": [{ "system": "http://loinc.org", "code": "11503-0", "display": "Medical records" }] },
        "subject": subject,
        "date": when,
        "author": [signer.reference()],
        "title": "Requested information",
        "section": [section],
    });
    entries.insert(0, json!({ "fullUrl": fresh_url(), "resource": composition }));
    let mut bundle = json!({
        "resourceType": "Bundle",
        "meta": { "profile": [SIGNATURE_BUNDLE] },
        "identifier": { "system": "urn:ietf:rfc:3986", "value": fresh_url() },
        "type": "document",
        "timestamp": when,
        "entry": entries,
    });
    signer.sign(&mut bundle, now)?;
    Ok(bundle)
}

/// A Bundle with the signature of the organisation that holds a resource: the resource itself if it is a document or
/// the answer to a search, else a document with it (cdex.md 8.1).
///
/// # Errors
/// As [`sign_document`].
pub(crate) fn attest(
    resource: Value,
    subject: &Value,
    base: &str,
    now: Timestamp,
    signer: &Signer,
) -> Result<Value, SignError> {
    let is_bundle = text(&resource, "resourceType") == Some("Bundle");
    if !is_bundle || !matches!(text(&resource, "type"), Some("document" | "searchset")) {
        return sign_document(&[resource], subject, base, now, signer);
    }
    let mut bundle = resource;
    signer.sign(&mut bundle, now)?;
    Ok(bundle)
}

fn fresh_url() -> String {
    format!("urn:uuid:{}", ResourceId::new())
}
