//! Da Vinci CDex rules; pure functions over FHIR types.

mod submission;

pub(crate) use submission::{AttachTo, Identifier, Submission, SubmittedAttachment};
