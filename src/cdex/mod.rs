//! Da Vinci CDex rules; pure functions over FHIR types.
//!
//! [`submission`] reads the Parameters of `$submit-attachment`, [`payload`] says which bytes an attachment's
//! content carries, [`association`] which Task and Claim they belong to, [`provenance`] where they come from and
//! [`signature`] whether they are signed as they should be. [`task`] says what Tasks ask for and what may become of them,
//! [`request`] what we ask partners for, [`operation`] which operations there are, [`documentation`] what has to be said of
//! them in words, [`discovery`] what organisations publish, and [`tag`] how resources are marked.

pub(crate) mod association;
#[cfg(test)]
mod association_tests;
pub(crate) mod discovery;
pub(crate) mod documentation;
#[cfg(fuzzing)]
pub mod fuzzing;
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
pub(crate) use submission::{AttachTo, Identifier, Submission, SubmittedAttachment, parse};

/// The operation `$submit-attachment`.
pub(crate) const SUBMIT_ATTACHMENT: &str =
    "http://hl7.org/fhir/us/davinci-cdex/OperationDefinition/submit-attachment";

/// The operation by which our own side asks a partner. No standard has it, so that its definition is ours.
pub(crate) const REQUEST: &str = "urn:cdex-gateway:OperationDefinition/request";

/// The operation by which a partner tells that Tasks of ours have changed. The standard has no name for what a
/// notification is sent to.
pub(crate) const NOTIFY: &str = "urn:cdex-gateway:OperationDefinition/notify";

/// The profile of the operation's Parameters.
pub(crate) const PARAMETERS_SUBMIT_ATTACHMENT: &str =
    "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-parameters-submit-attachment";
