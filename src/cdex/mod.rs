//! Da Vinci CDex rules; pure functions over FHIR types.
//!
//! [`attachment_request`] reads the Task that asks for attachments and builds the Parameters that answer it,
//! [`submission`] reads the Parameters of `$submit-attachment`, [`payload`] says which bytes an attachment's
//! content carries, [`signature`] whether what it carries is signed as it should be, [`association`] which Task and
//! Claim they belong to and [`provenance`] where they come from. [`task`] says what Tasks ask for and what may become
//! of them,
//! [`request`] what we ask partners for, [`communication`] is the push of 2019, [`operation`] which operations there
//! are, [`documentation`] what has to be said of them in words, [`discovery`] what organisations publish, and [`tag`]
//! how resources are marked.

pub(crate) mod association;
#[cfg(test)]
mod association_tests;
pub(crate) mod attachment_request;
pub(crate) mod communication;
pub(crate) mod discovery;
pub(crate) mod documentation;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod matching;
pub(crate) mod member;
pub(crate) mod operation;
mod payload;
#[cfg(test)]
mod payload_tests;
pub(crate) mod provenance;
pub(crate) mod request;
pub(crate) mod signature;
mod submission;
#[cfg(test)]
mod submission_tests;
pub(crate) mod tag;
pub(crate) mod task;

pub(crate) use documentation::{CapabilityFacts, larger_payload_advice};
pub(crate) use payload::{Carried, MOST_PAYLOADS, OwnUploads, Payload, TakenData, payloads};
pub(crate) use submission::{AttachTo, Identifier, Submission, SubmittedAttachment, attachments, parse};

/// The code system in which `Task.businessStatus` says how far the gateway is.
pub(crate) const GATEWAY_STATUS: &str = "urn:cdex-gateway:task-status";

/// The operation `$submit-attachment`.
pub(crate) const SUBMIT_ATTACHMENT: &str =
    "http://hl7.org/fhir/us/davinci-cdex/OperationDefinition/submit-attachment";

/// The operation by which our own side asks a partner. No standard has it, so that its definition is ours.
pub(crate) const REQUEST: &str = "urn:cdex-gateway:OperationDefinition/request";

/// The operation by which our own side sends a partner attachments that no Task asked for.
pub(crate) const SEND_ATTACHMENT: &str = "urn:cdex-gateway:OperationDefinition/send-attachment";

/// The operation by which a partner tells that Tasks of ours have changed. The standard has no name for what a
/// notification is sent to.
pub(crate) const NOTIFY: &str = "urn:cdex-gateway:OperationDefinition/notify";

/// The profile of the operation's Parameters.
pub(crate) const PARAMETERS_SUBMIT_ATTACHMENT: &str =
    "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-parameters-submit-attachment";
