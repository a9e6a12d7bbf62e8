//! A Task read as the CDex request that it is. What has the wrong form reads as absent: judging it is the profile's
//! part. Codings are looked at with their systems, as the slices of the profiles do.

use serde_json::Value;

use super::{ATTACHMENT_REQUEST, CDEX_TEMP, DATA_REQUEST, HREX_TEMP, PAS_TEMP, SDC_TEMP, TaskStatus};
use crate::clock::Timestamp;
use crate::fhir::datatype::{self, Coding, Identifier};
use crate::fhir::search::date;

/// What kind of request a Task is: its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// For what a FHIR search finds.
    DataQuery,
    /// For what a code, or a text, describes.
    DataCode,
    /// For a form filled in.
    DataQuestionnaire,
    /// For documents by their codes, to be submitted with `$submit-attachment`.
    AttachmentCode,
    /// For forms filled in, to be submitted with `$submit-attachment`.
    AttachmentQuestionnaire,
}

impl TaskKind {
    const ALL: [Self; 5] = [
        Self::DataQuery,
        Self::DataCode,
        Self::DataQuestionnaire,
        Self::AttachmentCode,
        Self::AttachmentQuestionnaire,
    ];

    /// The code, with its system.
    pub(crate) fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::DataQuery => (CDEX_TEMP, "data-request-query"),
            Self::DataCode => (CDEX_TEMP, "data-request-code"),
            Self::DataQuestionnaire => (CDEX_TEMP, "data-request-questionnaire"),
            Self::AttachmentCode => (PAS_TEMP, "attachment-request-code"),
            Self::AttachmentQuestionnaire => (PAS_TEMP, "attachment-request-questionnaire"),
        }
    }

    /// The profile that such a Task keeps, whether or not it claims it.
    pub(crate) fn profile(self) -> &'static str {
        if self.is_attachment_request() { ATTACHMENT_REQUEST } else { DATA_REQUEST }
    }

    /// Whether the answer goes to the payer by `$submit-attachment`.
    pub(crate) fn is_attachment_request(self) -> bool {
        matches!(self, Self::AttachmentCode | Self::AttachmentQuestionnaire)
    }

    fn of(task: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| has_coding(task.get("code"), kind.code()))
    }
}

/// The slices of `Task.input`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// The search to run: a string.
    Query,
    /// What is wanted: a CodeableConcept, by its coding or by its text alone.
    Code,
    /// The form to fill in: a canonical.
    Questionnaire,
    /// Whether the answer must be signed: a boolean.
    Signature,
    /// What the data are for: a CodeableConcept.
    PurposeOfUse,
    /// A kind of document that is wanted: a CodeableConcept.
    AttachmentsNeeded,
    /// A form that is wanted: a canonical.
    QuestionnaireContext,
    /// Where to submit: a url.
    PayerUrl,
    /// When the service was: a date.
    ServiceDate,
    /// Whether the answer may come in parts: a boolean.
    MultipleSubmits,
}

impl Input {
    /// The type of the input.
    pub(crate) fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::Query => (HREX_TEMP, "data-query"),
            Self::Code => (HREX_TEMP, "data-code"),
            Self::Questionnaire => (SDC_TEMP, "questionnaire"),
            Self::Signature => (CDEX_TEMP, "signature-flag"),
            Self::PurposeOfUse => (CDEX_TEMP, "purpose-of-use"),
            Self::AttachmentsNeeded => (PAS_TEMP, "attachments-needed"),
            Self::QuestionnaireContext => (PAS_TEMP, "questionnaire-context"),
            Self::PayerUrl => (PAS_TEMP, "payer-url"),
            Self::ServiceDate => (CDEX_TEMP, "service-date"),
            Self::MultipleSubmits => (CDEX_TEMP, "multiple-submits-flag"),
        }
    }

    /// The element that holds the value.
    pub(crate) fn value(self) -> &'static str {
        match self {
            Self::Query => "valueString",
            Self::Code | Self::PurposeOfUse | Self::AttachmentsNeeded => "valueCodeableConcept",
            Self::Questionnaire | Self::QuestionnaireContext => "valueCanonical",
            Self::Signature | Self::MultipleSubmits => "valueBoolean",
            Self::PayerUrl => "valueUrl",
            Self::ServiceDate => "valueDate",
        }
    }
}

/// The slices of `Task.output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Data, of a data request.
    Data,
    /// A form filled in, of a data request.
    QuestionnaireResponse,
    /// A document, of an attachment request.
    Attachment,
    /// A form filled in, of an attachment request.
    QuestionnaireContext,
}

impl Output {
    /// All of them.
    pub(super) const ALL: [Self; 4] =
        [Self::Data, Self::QuestionnaireResponse, Self::Attachment, Self::QuestionnaireContext];

    /// The type of the output.
    pub(crate) fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::Data => (HREX_TEMP, "data-value"),
            Self::QuestionnaireResponse => (SDC_TEMP, "questionnaire-response"),
            Self::Attachment => (PAS_TEMP, "attachments-needed"),
            Self::QuestionnaireContext => (PAS_TEMP, "questionnaire-context"),
        }
    }
}

/// What a Task asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// What this search finds.
    Query(&'a str),
    /// Documents of a type that one of these codings names.
    Coded(Vec<Coding<'a>>),
    /// What a person reads in its text.
    FreeText,
    /// A form filled in; the canonicals of those that are meant.
    Questionnaires(Vec<&'a str>),
    /// Documents to be submitted; what they are, is in the inputs [`Input::AttachmentsNeeded`].
    Attachments,
    /// Nothing that could be read.
    Nothing,
}

/// A CDex Task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CdexTask<'a> {
    /// What kind of request it is.
    pub(crate) kind: TaskKind,
    /// Where it stands; none where the status is not one of HRex.
    pub(crate) status: Option<TaskStatus>,
    task: &'a Value,
}

impl<'a> CdexTask<'a> {
    /// Reads a Task; none if the resource is not a CDex Task.
    pub(crate) fn read(resource: &'a Value) -> Option<Self> {
        let is_task = resource.get("resourceType").is_some_and(|name| name == "Task");
        let kind = is_task.then(|| TaskKind::of(resource)).flatten()?;
        let status = TaskStatus::of(resource);
        Some(Self { kind, status, task: resource })
    }

    /// The resource.
    pub(crate) fn tree(&self) -> &'a Value {
        self.task
    }

    /// The inputs of a slice, each whole, so that extensions can be read too.
    pub(crate) fn inputs(&self, input: Input) -> impl Iterator<Item = &'a Value> + use<'a> {
        entries(self.task, "input").filter(move |entry| has_coding(entry.get("type"), input.code()))
    }

    /// The values of the inputs of a slice.
    pub(crate) fn values(&self, input: Input) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.inputs(input).filter_map(move |entry| entry.get(input.value()))
    }

    /// What it asks for.
    pub(crate) fn asked(&self) -> Asked<'a> {
        let texts = |input| self.values(input).filter_map(Value::as_str);
        match self.kind {
            TaskKind::DataQuery => texts(Input::Query).next().map_or(Asked::Nothing, Asked::Query),
            TaskKind::DataCode => match self.values(Input::Code).next() {
                None => Asked::Nothing,
                Some(concept) => {
                    let codings: Vec<_> =
                        datatype::codings(concept).filter(|coding| coding.code.is_some()).collect();
                    if codings.is_empty() { Asked::FreeText } else { Asked::Coded(codings) }
                }
            },
            TaskKind::DataQuestionnaire => Asked::Questionnaires(texts(Input::Questionnaire).collect()),
            TaskKind::AttachmentQuestionnaire => {
                Asked::Questionnaires(texts(Input::QuestionnaireContext).collect())
            }
            TaskKind::AttachmentCode => Asked::Attachments,
        }
    }

    /// Whether the answer must be signed, whatever was agreed otherwise.
    pub(crate) fn asks_for_signature(&self) -> bool {
        self.values(Input::Signature).any(|value| value == &Value::Bool(true))
    }

    /// The references in the outputs of a slice.
    pub(crate) fn outputs(&self, output: Output) -> impl Iterator<Item = &'a Value> + use<'a> {
        outputs(self.task, output)
    }

    /// Whom the data are about.
    pub(crate) fn patient(&self) -> Option<&'a Value> {
        self.task.get("for")
    }

    /// The identifier of who asks.
    pub(crate) fn requester(&self) -> Option<Identifier<'a>> {
        self.task.get("requester")?.get("identifier").map(Identifier::of)
    }

    /// What authorizes the request (`basedOn`).
    pub(crate) fn authorizations(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        entries(self.task, "basedOn")
    }

    /// The moment after which it is overdue: the end of `restriction.period.end`, which may be a day.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let end = self.task.pointer("/restriction/period/end")?.as_str()?;
        let (from, until) = date::stretch(end)?;
        Some(if end.contains('T') { from } else { until })
    }

    /// Whether it has this tag.
    pub(crate) fn has_tag(&self, system: &str, code: &str) -> bool {
        let tags = self.task.pointer("/meta/tag").and_then(Value::as_array).into_iter().flatten();
        tags.map(Coding::of).any(|tag| tag.system == Some(system) && tag.code == Some(code))
    }
}

/// The references in the outputs of a slice, of whatever Task.
pub(super) fn outputs(task: &Value, output: Output) -> impl Iterator<Item = &Value> {
    entries(task, "output")
        .filter(move |entry| has_coding(entry.get("type"), output.code()))
        .filter_map(|entry| entry.get("valueReference"))
}

/// The text of a Reference, if it is a literal one.
pub(crate) fn reference_of(reference: &Value) -> Option<&str> {
    reference.get("reference").and_then(Value::as_str)
}

/// The entries of a repeating element.
pub(super) fn entries<'a>(resource: &'a Value, element: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    resource.get(element).and_then(Value::as_array).into_iter().flatten()
}

/// Whether a CodeableConcept has this coding, among others perhaps.
pub(super) fn has_coding(concept: Option<&Value>, (system, code): (&str, &str)) -> bool {
    let mut codings = concept.into_iter().flat_map(datatype::codings);
    codings.any(|coding| coding.system == Some(system) && coding.code == Some(code))
}
