//! A CDex Task Attachment Request as whoever answers it needs it, and the Parameters of `$submit-attachment` that
//! answer it (CDex, "Mapping attachment request to submission").
//!
//! [`AttachmentRequest::read`] reads a Task completely or names what is missing; [`parameters`] writes the text around
//! the contents, so that contents of any length can be written in between; [`content`] says which resource answers
//! which input. Pure: who sends what, and when, is for the exchange to say.

mod content;
mod parameters;
#[cfg(test)]
pub(crate) mod tests;

use serde_json::Value;

use super::submission::{AttachTo, Identifier};
use super::tag;
use super::task::{CdexTask, Input};
use crate::fhir::datatype::{self, Coding, codings};
use crate::fhir::{Issue, IssueType};

pub(crate) use content::{care_includes, document_date, fits, linked};

/// Where identifiers are said to be member numbers (MB).
const IDENTIFIER_TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
/// The line numbers of an input; PAS 2.2 gave the extension another name (cdex §4.3: both are read).
const LINE_NUMBERS: [&str; 2] = [
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-paLineNumber",
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-serviceLineNumber",
];
/// The last segment of the operation's URL.
const OPERATION: &str = "$submit-attachment";

/// An attachment request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttachmentRequest {
    /// `Task.identifier` of type tracking-id.
    pub(crate) tracking_id: Identifier,
    /// `Task.identifier` of type admin-ref-number.
    pub(crate) admin_ref_number: Option<Identifier>,
    /// What the attachments belong to: `Task.reasonCode`.
    pub(crate) attach_to: AttachTo,
    /// `Task.requester.identifier`.
    pub(crate) payer_id: Option<Identifier>,
    /// `organization.identifier` of the contained PractitionerRole.
    pub(crate) organization_id: Option<Identifier>,
    /// `practitioner.identifier` of the contained PractitionerRole.
    pub(crate) provider_id: Option<Identifier>,
    /// The identifier of type MB of the contained Patient.
    pub(crate) member_id: Identifier,
    /// The contained Patient: whoever is meant is described by it.
    pub(crate) patient: Value,
    /// The input service-date.
    pub(crate) service_date: Option<String>,
    /// The input payer-url, as received. Only where profiles are not enforced it may be missing: then the payer is
    /// known by [`Self::payer_id`].
    pub(crate) payer_url: Option<String>,
    /// What is asked for, in the order of the inputs.
    pub(crate) needed: Vec<Needed>,
    /// Whether a signature is asked for: by the input signature-flag, or by agreement with whoever asks.
    pub(crate) must_be_signed: bool,
    /// The input multiple-submits-flag: whether what is ready may be sent before the rest.
    pub(crate) may_be_several: bool,
}

/// One thing that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Needed {
    /// Index of the input in `Task.input`.
    pub(crate) input: usize,
    /// What it is.
    pub(crate) what: What,
    /// The lines of the claim that it is for, as LineItem has them.
    pub(crate) line_items: Vec<String>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// Documents of a type: a CodeableConcept, as received.
    Attachment(Value),
    /// The response to a Questionnaire, by its canonical URL.
    Questionnaire(String),
}

impl AttachmentRequest {
    /// Whether a resource is an attachment request that is ours to answer: not the copy of one that we sent.
    pub(crate) fn is_one(task: &Value) -> bool {
        CdexTask::read(task)
            .is_some_and(|task| task.kind.is_attachment_request() && !task.has_tag(tag::TAGS, tag::SENT))
    }

    /// Reads an attachment request.
    ///
    /// # Errors
    /// Everything without which it cannot be answered, each by its element.
    pub(crate) fn read(task: &Value) -> Result<Self, Vec<Issue>> {
        let mut reading = Reading { task, issues: Vec::new() };
        let request = reading.request();
        match request {
            Some(request) if reading.issues.is_empty() => Ok(request),
            _ => Err(reading.issues),
        }
    }

    /// Where the answer is sent by what the Task says: the input payer-url is the full URL, and the name of the
    /// operation is added only where it is missing (cdex §10, row 27).
    pub(crate) fn submit_url(&self) -> Option<String> {
        let payer_url = self.payer_url.as_deref()?;
        let (place, query) = match payer_url.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (payer_url, None),
        };
        let place = place.trim_end_matches('/');
        let last = place.rsplit('/').next().unwrap_or_default();
        let is_operation = last == OPERATION || last.strip_prefix("%24") == OPERATION.strip_prefix('$');
        let mut url = place.to_owned();
        if !is_operation {
            url.push('/');
            url.push_str(OPERATION);
        }
        if let Some(query) = query {
            url.push('?');
            url.push_str(query);
        }
        Some(url)
    }

    /// All identifiers of the contained Patient.
    pub(crate) fn patient_identifiers(&self) -> impl Iterator<Item = datatype::Identifier<'_>> {
        items(&self.patient, "identifier").map(datatype::Identifier::of).filter(|id| id.value.is_some())
    }
}

/// A reading of a Task that collects what is missing.
struct Reading<'t> {
    task: &'t Value,
    issues: Vec<Issue>,
}

impl<'t> Reading<'t> {
    /// The request; `None` only if an issue was reported.
    fn request(&mut self) -> Option<AttachmentRequest> {
        let tracking_id = self.identifier("tracking-id");
        let tracking_id = self.require("Task.identifier", tracking_id);
        let attach_to = attach_to(self.task);
        let attach_to = self.require("Task.reasonCode", attach_to);
        let patient = self.contained("for", "Patient");
        let patient = self.require("Task.for", patient);
        let member = patient.and_then(|patient| {
            items(patient, "identifier")
                .find(|json| has_coding(json.get("type"), Some(IDENTIFIER_TYPES), "MB"))
        });
        let member_id = member.and_then(identified);
        let member_id = self.require("Task.contained.where(id='patient').identifier", member_id);
        let role = self.contained("owner", "PractitionerRole");
        let of_role = |element: &str| identified(role?.get(element)?.get("identifier")?);
        let (organization_id, provider_id) = (of_role("organization"), of_role("practitioner"));
        let sender = organization_id.as_ref().or(provider_id.as_ref()).map(drop);
        self.require("Task.contained.where(id='practitionerrole')", sender);
        let payer_url = self.input(Input::PayerUrl).and_then(Value::as_str);
        let payer_id = self.task.pointer("/requester/identifier").and_then(identified);
        let to = payer_url.map(drop).or(payer_id.as_ref().map(drop));
        self.require("Task.input.where(type.coding.code='payer-url')", to);
        let service_date = self.input(Input::ServiceDate).and_then(Value::as_str);
        if attach_to == Some(AttachTo::Claim) {
            // CONF-012, CONF-079
            let at = "Task.input.where(type.coding.code='service-date')";
            self.require(at, service_date.filter(|date| datatype::is_precise_to_the_day(date)).map(drop));
        }
        let needed = self.needed();
        self.require("Task.input", (!needed.is_empty()).then_some(()));
        Some(AttachmentRequest {
            tracking_id: tracking_id?,
            admin_ref_number: self.identifier("admin-ref-number"),
            attach_to: attach_to?,
            payer_id,
            organization_id,
            provider_id,
            member_id: member_id?,
            patient: patient?.clone(),
            service_date: service_date.map(str::to_owned),
            payer_url: payer_url.map(str::to_owned),
            needed,
            must_be_signed: self.flag(Input::Signature),
            may_be_several: self.flag(Input::MultipleSubmits),
        })
    }

    /// Passes on what was read of an element without which there is no answer.
    fn require<T>(&mut self, at: &str, read: Option<T>) -> Option<T> {
        if read.is_none() {
            let text = "An attachment request cannot be answered without this element";
            self.issues.push(Issue::error(IssueType::Required, at, text));
        }
        read
    }

    /// The identifier of the Task of this type.
    fn identifier(&self, code: &str) -> Option<Identifier> {
        items(self.task, "identifier").find(|json| has_code(json.get("type"), code)).and_then(identified)
    }

    /// The contained resource that an element refers to.
    fn contained(&self, element: &str, resource_type: &str) -> Option<&'t Value> {
        let id = self.task.get(element)?.get("reference")?.as_str()?.strip_prefix('#')?;
        items(self.task, "contained").find(|json| json["id"] == id && json["resourceType"] == resource_type)
    }

    /// The value of the input of this type. As in the invariants of the profile its system does not matter (cdex §3.0).
    fn input(&self, input: Input) -> Option<&'t Value> {
        items(self.task, "input").find(|entry| is_input(entry, input))?.get(input.value())
    }

    fn flag(&self, input: Input) -> bool {
        self.input(input).and_then(Value::as_bool) == Some(true)
    }

    fn needed(&self) -> Vec<Needed> {
        let inputs = items(self.task, "input").enumerate();
        inputs
            .filter_map(|(index, input)| {
                let value = |of: Input| input.get(of.value());
                let what = if is_input(input, Input::AttachmentsNeeded) {
                    What::Attachment(value(Input::AttachmentsNeeded)?.clone())
                } else if is_input(input, Input::QuestionnaireContext) {
                    What::Questionnaire(value(Input::QuestionnaireContext)?.as_str()?.to_owned())
                } else {
                    return None;
                };
                Some(Needed { input: index, what, line_items: line_items(input) })
            })
            .collect()
    }
}

/// The line numbers of an input as LineItem has them: decimal, without leading zeros (cdex §10, row 17).
fn line_items(input: &Value) -> Vec<String> {
    let extensions = items(input, "extension");
    let lines = extensions.filter(|json| json["url"].as_str().is_some_and(|url| LINE_NUMBERS.contains(&url)));
    let number =
        |json: &Value| ["valueInteger", "valuePositiveInt"].iter().find_map(|name| json.get(name)?.as_i64());
    lines.filter_map(number).map(|line| line.to_string()).collect()
}

/// What the reason says that the attachments belong to.
fn attach_to(task: &Value) -> Option<AttachTo> {
    let reason = task.get("reasonCode")?;
    let text = reason.get("text").and_then(Value::as_str);
    codings(reason).filter_map(|coding| coding.code).chain(text).find_map(AttachTo::from_code)
}

/// An Identifier that has a value.
fn identified(json: &Value) -> Option<Identifier> {
    let identifier = datatype::Identifier::of(json);
    let value = identifier.value.filter(|value| !value.trim().is_empty())?;
    Some(Identifier { system: identifier.system.map(str::to_owned), value: value.to_owned() })
}

/// Whether an input is of this type.
fn is_input(entry: &Value, input: Input) -> bool {
    has_code(entry.get("type"), input.code().1)
}

/// Whether a CodeableConcept has a code, whatever its system.
fn has_code(concept: Option<&Value>, code: &str) -> bool {
    has_coding(concept, None, code)
}

/// Whether a CodeableConcept has a code of a system; of any, if none is given.
fn has_coding(concept: Option<&Value>, system: Option<&str>, code: &str) -> bool {
    let is_it = |coding: Coding<'_>| {
        coding.code == Some(code) && system.is_none_or(|system| coding.system == Some(system))
    };
    concept.is_some_and(|concept| codings(concept).any(is_it))
}

/// The entries of a repeating element.
fn items<'a>(json: &'a Value, element: &str) -> impl Iterator<Item = &'a Value> {
    json.get(element).and_then(Value::as_array).into_iter().flatten()
}
