//! The Task by which a Data Consumer asks a Data Source for something (CDex Task Data Request, CDex Task Attachment
//! Request): [`mod@read`] takes from the parameters of `Task/$request` what is wanted, [`mod@build`] writes the Task
//! that asks for it, or [`complete`] one that the caller brought along. Pure: who is meant, and where we are, is given
//! by
//! [`RequestFacts`].
//!
//! [`mirror`] says how our copy of such a Task follows the one at the partner, [`schedule`] how often to look.

mod build;
pub(crate) mod mirror;
mod read;
pub(crate) mod schedule;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::AttachTo;
use crate::clock::Timestamp;

pub(crate) use build::{build, complete};
pub(crate) use read::{member_here, read};

/// What is wanted of a partner, as the Task will say it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskRequest {
    /// What is wanted.
    pub(crate) asked: Asked,
    /// Who asks, as a Reference.
    pub(crate) requester: Value,
    /// The claim, prior authorization or coverage that leads to the request, as a Reference (CONF-058, CONF-082).
    pub(crate) reason: Option<Value>,
    /// The formal authorizations that the request rests on, as References (cdex §6.9).
    pub(crate) authorizations: Vec<Value>,
    /// What the data are for, as a CodeableConcept (CONF-017).
    pub(crate) purpose_of_use: Option<Value>,
    /// Whether the result must be signed.
    pub(crate) needs_signature: Option<bool>,
    /// When the answer is due, as a `dateTime`.
    pub(crate) due: Option<String>,
    /// The work queues that the request belongs to (CDex work-queue codes).
    pub(crate) work_queues: Vec<String>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them at a time, for as long as its Task is built"
)]
pub(crate) enum Asked {
    /// Data, which the Task itself will hold or name.
    Data {
        /// Whose, as a Reference.
        patient: Value,
        /// Who is asked, as a Reference.
        owner: Value,
        /// Which.
        wanted: Wanted,
        /// Why, in words.
        reason: Option<String>,
    },
    /// Attachments, which will come by `$submit-attachment`.
    Attachments(Box<Attachments>),
}

/// Which data are wanted: one Task asks for one thing (cdex-9).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wanted {
    /// Those that a search finds: `Type?parameters`.
    Query(String),
    /// Documents of a type, as a CodeableConcept.
    Code(Value),
    /// What somebody will understand who reads this.
    Text(String),
    /// The answers to a Questionnaire, by its canonical URL.
    Questionnaire(String),
}

/// Attachments that are wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attachments {
    /// What ties them to their claim or prior authorization, as an Identifier.
    pub(crate) tracking_id: Value,
    /// The payer's second number, as an Identifier.
    pub(crate) admin_ref_number: Option<Value>,
    /// What they belong to.
    pub(crate) attach_to: AttachTo,
    /// The patient as CDex Patient Demographics.
    pub(crate) patient: Value,
    /// The provider, as an Identifier.
    pub(crate) practitioner: Option<Value>,
    /// The provider's organization, as an Identifier.
    pub(crate) organization: Option<Value>,
    /// Which attachments.
    pub(crate) needed: Needed,
    /// Where they are to be sent.
    pub(crate) payer_url: String,
    /// When the service began, as a `date`.
    pub(crate) service_date: Option<String>,
    /// Whether they may come in several submissions.
    pub(crate) multiple_submits: Option<bool>,
}

/// Which attachments are wanted: never both kinds (cdex-6).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Needed {
    /// Documents of these types, as CodeableConcepts, each for these lines of the claim.
    Codes(Vec<(Value, Vec<u32>)>),
    /// The answers to these Questionnaires, by their canonical URLs.
    Questionnaires(Vec<String>),
}

/// What a request says that the caller need not.
#[derive(Debug, Clone)]
pub(crate) struct RequestFacts {
    /// The request's own identifier, `urn:uuid:…`.
    pub(crate) identifier: String,
    /// Who asks, if we are known by an identifier.
    pub(crate) requester: Option<Value>,
    /// Who is asked, if the partner is known by one.
    pub(crate) owner: Option<Value>,
    /// Where `$submit-attachment` reaches us.
    pub(crate) payer_url: String,
    /// Our FHIR base URL: what is ours is named by it towards others.
    pub(crate) base: String,
    /// The patient of ours that the request is about, where one was named.
    pub(crate) member: Option<Value>,
    /// The present moment.
    pub(crate) now: Timestamp,
}

impl RequestFacts {
    /// The identifier by which a Data Source recognises the same request (`If-None-Exist`).
    fn own_identifier(&self) -> Value {
        json!({ "system": "urn:ietf:rfc:3986", "value": self.identifier })
    }
}

/// A CodeableConcept of one code.
fn concept((system, code): (&str, &str)) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}
