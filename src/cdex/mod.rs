//! Da Vinci CDex rules; pure functions over FHIR types.
//!
//! [`submission`] reads the Parameters of `$submit-attachment`, [`payload`] says which bytes an attachment's
//! content carries, [`signature`] whether what it carries is signed as it should be, [`task`] what Tasks ask for and
//! what may become of them, [`operation`] which operations there are, and [`documentation`] what has to be said of them
//! in words.

pub(crate) mod documentation;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod matching;
pub(crate) mod member;
pub(crate) mod operation;
mod payload;
#[cfg(test)]
mod payload_tests;
pub(crate) mod signature;
mod submission;
#[cfg(test)]
mod submission_tests;
pub(crate) mod task;

pub(crate) use documentation::{CapabilityFacts, larger_payload_advice};
pub(crate) use payload::{Carried, MOST_PAYLOADS, OwnUploads, Payload, TakenData, payloads};
#[cfg(test)]
pub(crate) use submission::AttachTo;
pub(crate) use submission::{Identifier, Submission, SubmittedAttachment, parse};

/// The operation `$submit-attachment`.
pub(crate) const SUBMIT_ATTACHMENT: &str =
    "http://hl7.org/fhir/us/davinci-cdex/OperationDefinition/submit-attachment";

/// The profile of the operation's Parameters.
pub(crate) const PARAMETERS_SUBMIT_ATTACHMENT: &str =
    "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-parameters-submit-attachment";
