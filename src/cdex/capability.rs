//! What the gateway declares about itself: the CapabilityStatement at `/fhir/metadata`, and the advice for
//! payloads that are too large. It states what is true of this version and nothing that is planned.

use serde_json::{Value, json};

use super::{MOST_PAYLOADS, SUBMIT_ATTACHMENT};
use crate::clock::Timestamp;

/// What a CapabilityStatement says that depends on the installation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CapabilityFacts<'a> {
    /// Where clients reach the gateway, without `/fhir` and without a slash at the end.
    pub(crate) public_url: &'a str,
    /// The version of the program.
    pub(crate) software_version: &'a str,
    /// How large the body of one `$submit-attachment` may be.
    pub(crate) payload_limit_bytes: u64,
    /// How large the body of any other FHIR request may be.
    pub(crate) body_limit_bytes: u64,
    /// When the statement last changed: the start of the program.
    pub(crate) date: Timestamp,
}

/// The CapabilityStatement resource.
pub(crate) fn capability_statement(facts: &CapabilityFacts<'_>) -> Value {
    let base = format!("{}/fhir", facts.public_url);
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": facts.date.to_string(),
        "kind": "instance",
        "software": { "name": "cdex-gateway", "version": facts.software_version },
        "implementation": {
            "description": "Takes attachments for claims and prior authorizations and delivers them to their targets",
            "url": base,
        },
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{
            "mode": "server",
            "documentation": rest_documentation(facts),
            "operation": [{
                "name": "submit-attachment",
                "definition": SUBMIT_ATTACHMENT,
                "documentation": operation_documentation(facts),
            }],
        }],
    })
}

/// What a client should do whose payload is larger than one request may be. CONF-024 wants it documented
/// in advance; the 413 answer repeats it.
pub(crate) fn larger_payload_advice(public_url: &str) -> String {
    format!(
        "Upload the document over tus 1.0.0 at {public_url}/upload/files, where it can be resumed and is not \
         bound by this limit, and submit a DocumentReference whose content.attachment.url is the URL of the \
         complete upload ({public_url}/upload/files/[id]). Or split the attachments into several submissions \
         with the same TrackingId, all but the last with Final = false."
    )
}

/// CONF-001 and CONF-022: which attachment features there are.
fn operation_documentation(facts: &CapabilityFacts<'_>) -> String {
    format!(
        "Takes attachments, solicited or not, by POST {base}/fhir/$submit-attachment with a Parameters resource \
         as application/fhir+json or application/json.\n\n\
         Content: a DocumentReference with its documents inline (content.attachment.data) or uploaded before \
         (content.attachment.url naming a complete upload of this gateway; other URLs are refused); a Binary; or \
         any other resource, such as a QuestionnaireResponse or a Bundle, which is passed on exactly as received. \
         Documents may be of any media type. Signatures are kept, not verified.\n\n\
         Size: one request may have at most {limit} bytes, {MOST_PAYLOADS} documents, and 16 MiB besides their \
         data; a larger one is answered 413. {advice}\n\n\
         Final is honoured: with Final = false the submission stays open and later ones with the same TrackingId \
         are taken as its continuation; without Final, or with Final = true, it is the last. One that comes after \
         the last is taken as an amendment.",
        base = facts.public_url,
        limit = facts.payload_limit_bytes,
        advice = larger_payload_advice(facts.public_url),
    )
}

fn rest_documentation(facts: &CapabilityFacts<'_>) -> String {
    format!(
        "Attachments by $submit-attachment, as the payer's side of Da Vinci CDex; see the operation for what it \
         takes. One $submit-attachment may have at most {} bytes, any other request {} bytes. Only JSON is \
         understood. {}",
        facts.payload_limit_bytes,
        facts.body_limit_bytes,
        larger_payload_advice(facts.public_url),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdex::PARAMETERS_SUBMIT_ATTACHMENT;
    use crate::fhir::Profiles;

    fn statement() -> Value {
        capability_statement(&CapabilityFacts {
            public_url: "https://gateway.example",
            software_version: "1.2.3",
            payload_limit_bytes: 4_294_967_296,
            body_limit_bytes: 67_108_864,
            date: Timestamp::from_nanos(1_746_453_802_000_000_000),
        })
    }

    #[test]
    fn the_statement_has_what_fhir_demands_of_an_instance() {
        let statement = statement();
        let facts = ["/date", "/kind", "/fhirVersion", "/format/0", "/implementation/url", "/rest/0/mode"]
            .map(|pointer| statement.pointer(pointer).and_then(Value::as_str).expect(pointer).to_owned());
        assert_eq!(
            facts,
            ["2025-05-05T14:03:22Z", "instance", "4.0.1", "json", "https://gateway.example/fhir", "server"]
        );
    }

    #[test]
    fn conf_001_022_024_limit_final_and_the_way_around_the_limit_are_documented() {
        let statement = statement();
        let documentation = statement["rest"][0]["operation"][0]["documentation"].as_str().expect("a text");
        for fact in [
            "4294967296 bytes",
            "Final = false",
            "DocumentReference",
            "https://gateway.example/upload/files",
            &larger_payload_advice("https://gateway.example"),
        ] {
            assert!(documentation.contains(fact), "{fact}");
        }
    }

    #[test]
    fn the_declared_operation_is_the_one_whose_profile_is_enforced() {
        let profiles = Profiles::built_in().expect("the built-in rules");
        assert!(profiles.structure(PARAMETERS_SUBMIT_ATTACHMENT).is_some());
        assert_eq!(statement()["rest"][0]["operation"][0]["definition"], SUBMIT_ATTACHMENT);
    }
}
