//! A `$submit-attachment` as the rest of the gateway sees it: parsed, checked, and without FHIR's shapes.
//!
//! [`parse`] holds the Parameters to the CDex profile and to the rules that the operation states in prose,
//! and reports all that is wrong at once. What the attachments carry is [`super::payload`]'s part.

use serde_json::Value;

use super::PARAMETERS_SUBMIT_ATTACHMENT;
use crate::fhir::datatype::{self, codings, date_time_precision, is_precise_to_the_day};
use crate::fhir::{self, Issue, IssueType, Profiles};

/// A FHIR Identifier as far as it identifies: its system, if given, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identifier {
    /// The namespace of the value.
    pub(crate) system: Option<String>,
    /// The identifier itself.
    pub(crate) value: String,
}

/// What the attachments belong to (CDex parameter AttachTo, value set `cdex-claim-use`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachTo {
    /// A claim.
    Claim,
    /// A prior authorization.
    Preauthorization,
}

impl AttachTo {
    /// The code as on the wire.
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Preauthorization => "preauthorization",
        }
    }

    /// The one of this code.
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        [Self::Claim, Self::Preauthorization].into_iter().find(|attach_to| attach_to.as_code() == code)
    }
}

/// One accepted reading of the operation's Parameters; fields are named after the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submission {
    /// TrackingId.
    pub(crate) tracking_id: Identifier,
    /// AdminRefNumber.
    pub(crate) admin_ref_number: Option<Identifier>,
    /// AttachTo.
    pub(crate) attach_to: AttachTo,
    /// PayerId.
    pub(crate) payer_id: Option<Identifier>,
    /// OrganizationId.
    pub(crate) organization_id: Option<Identifier>,
    /// ProviderId.
    pub(crate) provider_id: Option<Identifier>,
    /// MemberId.
    pub(crate) member_id: Identifier,
    /// ServiceDate, as sent (a FHIR dateTime).
    pub(crate) service_date: Option<String>,
    /// One per Attachment parameter, in order.
    pub(crate) attachments: Vec<SubmittedAttachment>,
    /// Final; true when absent.
    pub(crate) is_last_submission: bool,
}

/// One Attachment parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubmittedAttachment {
    /// Index of the parameter in `Parameters.parameter`.
    pub(crate) parameter: usize,
    /// Index of its Content part in `Parameters.parameter[parameter].part`.
    pub(crate) content_part: usize,
    /// LineItem parts, in order.
    pub(crate) line_items: Vec<String>,
    /// Code: the first coding's system and code, if there is one.
    pub(crate) code: Option<(Option<String>, String)>,
    /// Type of the resource in Content.
    pub(crate) resource_type: String,
}

/// Reads the Parameters of `$submit-attachment`: the submission and warnings about it, or every reason why
/// it cannot be accepted.
pub(crate) fn parse(parameters: &Value, profiles: &Profiles) -> Result<(Submission, Vec<Issue>), Vec<Issue>> {
    let mut issues = fhir::validate(parameters, PARAMETERS_SUBMIT_ATTACHMENT, profiles);
    let entries = match parameters.get("parameter") {
        Some(Value::Array(entries)) => entries.as_slice(),
        None => &[],
        Some(_) => {
            let text = "The parameters must be an array";
            issues.push(Issue::error(IssueType::Structure, "Parameters.parameter", text));
            &[]
        }
    };
    let submission = Reading { entries, issues: &mut issues }.submission();
    match submission {
        Some(submission) if !issues.iter().any(Issue::is_error) => Ok((submission, issues)),
        _ => Err(issues),
    }
}

/// Reads parameters after the profile was applied. What the profile refused reads as absent and is not
/// reported again; what only the prose of the operation demands is reported here, so that a laxer profile
/// in a further rule file cannot let through what the gateway cannot work with.
struct Reading<'a> {
    entries: &'a [Value],
    issues: &'a mut Vec<Issue>,
}

impl<'a> Reading<'a> {
    /// The submission; `None` only if an error was reported.
    fn submission(mut self) -> Option<Submission> {
        let tracking_id = self.identifier("TrackingId");
        let tracking_id = self.require("TrackingId", tracking_id);
        let admin_ref_number = self.identifier("AdminRefNumber");
        let attach_to = self.value("AttachTo", "valueCode").and_then(Value::as_str);
        let attach_to = self.require("AttachTo", attach_to.and_then(AttachTo::from_code));
        let payer_id = self.identifier("PayerId");
        let organization_id = self.identifier("OrganizationId");
        let provider_id = self.identifier("ProviderId");
        self.check_that_a_sender_is_named();
        let member_id = self.identifier("MemberId");
        let member_id = self.require("MemberId", member_id);
        let service_date = self.value("ServiceDate", "valueDateTime").and_then(Value::as_str);
        if attach_to == Some(AttachTo::Claim) {
            self.check_service_date(service_date);
        }
        let attachments = self.attachments();
        Some(Submission {
            tracking_id: tracking_id?,
            admin_ref_number,
            attach_to: attach_to?,
            payer_id,
            organization_id,
            provider_id,
            member_id: member_id?,
            service_date: service_date.map(str::to_owned),
            attachments,
            // `$submit-attachment`: when Final is omitted, this is the last submission.
            is_last_submission: self.value("Final", "valueBoolean").and_then(Value::as_bool).unwrap_or(true),
        })
    }

    fn identifier(&mut self, name: &str) -> Option<Identifier> {
        let identifier = datatype::Identifier::of(self.value(name, "valueIdentifier")?);
        if identifier.value.is_none() && !self.was_refused(name) {
            let expression = format!("{}.valueIdentifier.value", self.place(name));
            let text = format!("{name} has no value, and an Identifier without one identifies nothing");
            self.issues.push(Issue::error(IssueType::Required, expression, text));
        }
        Some(Identifier { system: identifier.system.map(str::to_owned), value: identifier.value?.to_owned() })
    }

    /// `$submit-attachment`: "A ProviderId parameter, OrganizationId parameter, or both SHALL be present."
    fn check_that_a_sender_is_named(&mut self) {
        if self.entry("ProviderId").is_none() && self.entry("OrganizationId").is_none() {
            self.issues.push(Issue::error(
                IssueType::Required,
                "Parameters.parameter.where(name='ProviderId' or name='OrganizationId')",
                "ProviderId, OrganizationId or both are required",
            ));
        }
    }

    /// `$submit-attachment`: for a claim, "ServiceDate SHALL be present and precise to the day". A time of
    /// day is more than that, and right.
    fn check_service_date(&mut self, service_date: Option<&str>) {
        const NAME: &str = "ServiceDate";
        let Some(service_date) = service_date else {
            if !self.was_refused(NAME) {
                let text = "ServiceDate is required when the attachments belong to a claim";
                self.issues.push(Issue::error(IssueType::Required, self.place(NAME), text));
            }
            return;
        };
        // What is no dateTime at all was refused by the profile.
        if date_time_precision(service_date).is_some() && !is_precise_to_the_day(service_date) {
            let text = "ServiceDate must be precise to the day when the attachments belong to a claim";
            let at = format!("{}.valueDateTime", self.place(NAME));
            self.issues.push(Issue::error(IssueType::Value, at, text));
        }
    }

    fn attachments(&mut self) -> Vec<SubmittedAttachment> {
        let entries = self.entries.iter().enumerate().filter(|(_, entry)| is_named(entry, "Attachment"));
        let attachments: Option<Vec<_>> = entries.map(|(index, entry)| attachment(index, entry)).collect();
        let attachments = attachments.unwrap_or_default();
        if attachments.is_empty() && !self.issues.iter().any(Issue::is_error) {
            let text = "An Attachment with a resource as its Content is required";
            self.issues.push(Issue::error(IssueType::Required, missing("Attachment"), text));
        }
        for attachment in &attachments {
            // CONF-002. Nothing here tells whether a submission was solicited, and the answer to a
            // Questionnaire has no Code even then.
            if attachment.code.is_none() && attachment.resource_type != "QuestionnaireResponse" {
                let at = format!("Parameters.parameter[{}].part.where(name='Code')", attachment.parameter);
                let text =
                    "Attachment.Code should say what kind of attachment it is, unless it was requested";
                self.issues.push(Issue::error(IssueType::BusinessRule, at, text).into_warning());
            }
        }
        attachments
    }

    /// Passes on what was read of a parameter without which there is no submission.
    fn require<T>(&mut self, name: &str, read: Option<T>) -> Option<T> {
        if read.is_none() && !self.was_refused(name) {
            let text = format!("{name} is required");
            self.issues.push(Issue::error(IssueType::Required, self.place(name), text));
        }
        read
    }

    fn was_refused(&self, name: &str) -> bool {
        let place = self.place(name);
        self.issues
            .iter()
            .filter(|issue| issue.is_error())
            .any(|issue| issue.expression.as_ref().is_some_and(|expression| expression.starts_with(&place)))
    }

    /// Where the parameter of this name is, or would be.
    fn place(&self, name: &str) -> String {
        match self.entries.iter().position(|entry| is_named(entry, name)) {
            Some(index) => format!("Parameters.parameter[{index}]"),
            None => missing(name),
        }
    }

    fn entry(&self, name: &str) -> Option<&'a Value> {
        self.entries.iter().find(|entry| is_named(entry, name))
    }

    fn value(&self, name: &str, property: &str) -> Option<&'a Value> {
        self.entry(name)?.get(property)
    }
}

/// The attachments of Parameters that were accepted before.
pub(crate) fn attachments(parameters: &Value) -> Vec<SubmittedAttachment> {
    let entries = parameters.get("parameter").and_then(Value::as_array).into_iter().flatten().enumerate();
    let entries = entries.filter(|(_, entry)| is_named(entry, "Attachment"));
    entries.filter_map(|(index, entry)| attachment(index, entry)).collect()
}

/// One Attachment parameter; `None` without a resource in its Content, which the profile has refused.
fn attachment(index: usize, entry: &Value) -> Option<SubmittedAttachment> {
    let parts = entry.get("part")?.as_array()?;
    let (content_part, resource_type) = parts.iter().enumerate().find_map(|(index, part)| {
        let resource_type = part.get("resource")?.get("resourceType")?.as_str()?;
        is_named(part, "Content").then(|| (index, resource_type.to_owned()))
    })?;
    let line_items = parts.iter().filter(|part| is_named(part, "LineItem"));
    let line_items = line_items.filter_map(|part| part.get("valueString")?.as_str());
    let code = parts.iter().find(|part| is_named(part, "Code")).and_then(|part| {
        let mut codings = codings(part.get("valueCodeableConcept")?);
        codings.find_map(|coding| Some((coding.system.map(str::to_owned), coding.code?.to_owned())))
    });
    Some(SubmittedAttachment {
        parameter: index,
        content_part,
        line_items: line_items.map(str::to_owned).collect(),
        code,
        resource_type,
    })
}

fn is_named(entry: &Value, name: &str) -> bool {
    entry.get("name").is_some_and(|own| own == name)
}

/// The expression of a parameter that is not there: only its name tells which is meant.
fn missing(name: &str) -> String {
    format!("Parameters.parameter.where(name='{name}')")
}
