//! What CDex wants documented in words, in the CapabilityStatement and in answers: which attachment and Task features
//! there are, how large a payload may be, and what to do with a larger one. It states what is true of this version and
//! nothing that is planned.

use super::MOST_PAYLOADS;
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

/// Who may call.
pub(crate) const SECURITY: &str = "Callers are not told apart by this version: it is meant to be reached by its own \
    machine, or through a gateway that checks who calls.";

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
pub(crate) fn of_submit_attachment(facts: &CapabilityFacts<'_>) -> String {
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
         the last is taken as an amendment.\n\n\
         Association: the Task or Claim of the same tracking number and use is meant, if the parties agree; the \
         attachments become its outputs, and the last submission completes the Task. Until there is one they are \
         held, and the answer says so. 200 means received, not adjudicated.",
        base = facts.public_url,
        limit = facts.payload_limit_bytes,
        advice = larger_payload_advice(facts.public_url),
    )
}

/// What the door as a whole is for.
pub(crate) fn of_rest(facts: &CapabilityFacts<'_>) -> String {
    format!(
        "Attachments by $submit-attachment, as the payer's side of Da Vinci CDex (see the operation for what it \
         takes), and a repository of FHIR resources that answers direct queries. The parameters that are not \
         applied to a search are told in its answer; with Prefer: handling=strict they are errors. A date without \
         a time zone is taken as UTC. One $submit-attachment may have at most {} bytes, any other request {} bytes. Only JSON is \
         understood. {}",
        facts.payload_limit_bytes,
        facts.body_limit_bytes,
        larger_payload_advice(facts.public_url),
    )
}

/// CONF-001 and CONF-078: what is done with resources of a type beyond keeping them.
pub(crate) fn of_type(name: &str) -> Option<&'static str> {
    Some(match name {
        "Task" => {
            "CDex data requests and attachment requests are known by their code and held to the CDex profile of \
             that code, whether or not they claim it, and to the status transitions of HRex: they are created as \
             requested, may skip forward, and end as rejected, completed or failed; their inputs, tags, identifiers \
             and parties stay. Data requests by query, and by a LOINC code for a type of document, are answered by \
             this server, always about the patient of the Task alone, at once or once somebody has accepted them, as \
             agreed; free text, Questionnaires and what must be signed by a person wait in the work queue \
             (status and _tag) for somebody who updates the Task. A query has the form Type?parameters; one with a \
             parameter that is not known fails. One that matches nothing fails, or is completed with an empty Bundle, \
             as agreed. A Task that is not answered by the end of restriction.period gets the tag overdue. Any \
             target of reasonReference is taken. Other Tasks are kept as any other resource."
        }
        "Subscription" => {
            "Subscriptions to the topic of HRex about Tasks, as the R5 Backport has them for R4: by rest-hook, to an \
             endpoint on a server of a known partner (https, unless the partner's are in a private network), empty, \
             id-only or with the Task, filtered by code, owner, requester (and their identifiers) and status. Asked \
             for with status requested; active once the endpoint has answered a handshake. Notifications are sent in \
             order and repeated for hours; what cannot be sent brings the Subscription into error, in which events are \
             counted, and sent once it is requested again. \
             backport-timeout is kept, but an attempt has the time that all calls have. $status and $events tell the same to whoever asks."
        }
        "Binary" => {
            "Read as FHIR JSON or, by Accept or _format, as the bytes themselves, whole or in ranges; created and \
             updated either way."
        }
        "Communication" => {
            "The push of the older CDex (2019): attachments, and documents that are referred to, are delivered like \
             those of $submit-attachment, once for their bytes, and the Provenance of the Communication names their \
             uploads. An answer completes the CommunicationRequest that it is based on; one to nothing that is known \
             here is tagged unsolicited."
        }
        "CommunicationRequest" => {
            "Kept as any other resource, and completed by a Communication that is based on it."
        }
        "SearchParameter" | "OperationDefinition" | "CompartmentDefinition" => {
            "What this server itself serves is defined by resources that cannot be changed. They are found by \
             searches of this type alone, before those that are stored, and each part is sorted for itself."
        }
        _ => return None,
    })
}
