//! The table of operations.

use super::ParameterKind::{
    Boolean, Canonical, Code, CodeableConcept, Coding, Count, Date, DateTime, Id, Identifier, Instant, Parts,
    Reference, Resource, Text,
};
use super::{Levels, Operation, OperationDefinition, ParameterDefinition, ParameterKind};
use crate::cdex::{NOTIFY, REQUEST, SEND_ATTACHMENT, SUBMIT_ATTACHMENT};

const SYSTEM: Levels = Levels { system: true, resource_type: false, instance: false };
const TYPE: Levels = Levels { system: false, resource_type: true, instance: false };
const INSTANCE: Levels = Levels { system: false, resource_type: false, instance: true };
const TYPE_AND_INSTANCE: Levels = Levels { system: false, resource_type: true, instance: true };
const EVERYWHERE: Levels = Levels { system: true, resource_type: true, instance: true };

/// What may be given.
const fn optional(
    name: &'static str,
    kind: ParameterKind,
    documentation: &'static str,
) -> ParameterDefinition {
    ParameterDefinition { name, is_output: false, is_required: false, repeats: false, kind, documentation }
}

/// What must be given.
const fn required(
    name: &'static str,
    kind: ParameterKind,
    documentation: &'static str,
) -> ParameterDefinition {
    ParameterDefinition { is_required: true, ..optional(name, kind, documentation) }
}

/// What may be given more than once.
const fn several(
    name: &'static str,
    kind: ParameterKind,
    documentation: &'static str,
) -> ParameterDefinition {
    ParameterDefinition { repeats: true, ..optional(name, kind, documentation) }
}

/// What comes back.
const fn output(name: &'static str, kind: ParameterKind, documentation: &'static str) -> ParameterDefinition {
    ParameterDefinition { is_output: true, ..required(name, kind, documentation) }
}

/// The parts of `$submit-attachment`'s Attachment.
const ATTACHMENT: &[ParameterDefinition] = &[
    several("LineItem", Text, "A line of the claim that it is about"),
    optional("Code", CodeableConcept, "What was asked for"),
    required("Content", Resource("Resource"), "The attachment itself"),
];

/// Every operation that is served.
pub(crate) static OPERATIONS: &[OperationDefinition] = &[
    OperationDefinition {
        operation: Operation::SubmitAttachment,
        code: "submit-attachment",
        url: SUBMIT_ATTACHMENT,
        description: "Takes attachments for a claim or a prior authorization",
        levels: SYSTEM,
        types: &[],
        affects_state: true,
        is_paged: false,
        parameters: &[
            required("TrackingId", Identifier, "What the attachments belong to"),
            optional("AdminRefNumber", Identifier, "What the payer calls the request that they answer"),
            required("AttachTo", Code, "claim or prior-auth"),
            optional("PayerId", Identifier, "Who receives the attachments"),
            optional("OrganizationId", Identifier, "The organization that sends them"),
            optional("ProviderId", Identifier, "The provider who sends them"),
            required("MemberId", Identifier, "The member whom they are about"),
            optional("ServiceDate", DateTime, "When the service began"),
            ParameterDefinition {
                is_required: true,
                ..several("Attachment", Parts(ATTACHMENT), "An attachment")
            },
            optional("Final", Boolean, "Whether these are the last attachments"),
            output("return", Resource("OperationOutcome"), "What was taken"),
        ],
    },
    OperationDefinition {
        operation: Operation::Validate,
        code: "validate",
        url: "http://hl7.org/fhir/OperationDefinition/Resource-validate",
        description: "Tells all that is wrong with a resource: by the rules of FHIR R4 for its type, and by those of \
                      the profiles that it claims or that are asked for. Nothing is kept.",
        levels: EVERYWHERE,
        types: &[],
        affects_state: false,
        is_paged: false,
        parameters: &[
            optional(
                "resource",
                Resource("Resource"),
                "The resource; on an instance, the stored one without it",
            ),
            optional("mode", Code, "What is to be done with it: create, update, delete or profile"),
            several("profile", Canonical, "A profile that it must keep"),
            output("return", Resource("OperationOutcome"), "Everything that was found"),
        ],
    },
    OperationDefinition {
        operation: Operation::Match,
        code: "match",
        url: "http://hl7.org/fhir/OperationDefinition/Patient-match",
        description: "Finds the patients that a description may mean, the likeliest first. Identifiers, names, birth \
                      date, gender, telecom and address are weighed; candidates are found by identifier, by birth \
                      date with a name, by family with given name, or by telecom.",
        levels: TYPE,
        types: &["Patient"],
        affects_state: false,
        is_paged: false,
        parameters: &[
            required("resource", Resource("Patient"), "The description"),
            optional("onlyCertainMatches", Boolean, "Whether only a patient who is surely meant is wanted"),
            optional("count", Count, "How many matches are wanted at most"),
            output("return", Resource("Bundle"), "The matches with their scores and grades"),
        ],
    },
    OperationDefinition {
        operation: Operation::MemberMatch,
        code: "member-match",
        url: "http://hl7.org/fhir/us/davinci-hrex/OperationDefinition/member-match",
        description: "Identifies the one member whom a payer or provider describes. Demographics and the coverage must \
                      both fit, and the consent must be in force: otherwise nobody is named. CoverageToLink is \
                      checked and not kept.",
        levels: TYPE,
        types: &["Patient"],
        affects_state: true,
        is_paged: false,
        parameters: &[
            required("MemberPatient", Resource("Patient"), "The member"),
            required("Consent", Resource("Consent"), "What the member agreed to"),
            required("CoverageToMatch", Resource("Coverage"), "The coverage that the member has or had here"),
            optional("CoverageToLink", Resource("Coverage"), "The coverage that the member has elsewhere"),
            output("MemberIdentifier", Identifier, "The identifier that the member has here"),
            ParameterDefinition {
                is_required: false,
                ..output("MemberId", Reference, "The member as a resource here")
            },
        ],
    },
    OperationDefinition {
        operation: Operation::Docref,
        code: "docref",
        url: "http://hl7.org/fhir/us/core/OperationDefinition/docref",
        description: "Finds the current documents about a patient by type and dates of care. Without dates it is the \
                      latest one: of the types asked for, else the latest CCD (LOINC 34133-9), else the latest of \
                      all. Documents are not made on demand.",
        levels: TYPE,
        types: &["DocumentReference"],
        affects_state: false,
        is_paged: true,
        parameters: &[
            required("patient", Id, "The patient's id"),
            optional("start", DateTime, "The beginning of the care that the documents are about"),
            optional("end", DateTime, "Its end"),
            several("type", Coding, "A type of document; with several, documents of any of them"),
            optional(
                "on-demand",
                Boolean,
                "Whether documents that would have to be made first are wanted alone",
            ),
            several("profile", Canonical, "A profile that the reference claims; with several, any of them"),
            output("return", Resource("Bundle"), "The documents, the latest first"),
        ],
    },
    OperationDefinition {
        operation: Operation::Everything,
        code: "everything",
        url: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        description: "Gives a patient, all of the patient's compartment, and what that refers to directly: \
                      practitioners, organizations, locations, medications, devices and the like. With dates, what \
                      has a date of care outside of them is left out.",
        levels: INSTANCE,
        types: &["Patient"],
        affects_state: false,
        is_paged: true,
        parameters: &[
            optional("start", Date, "The beginning of the care that is wanted"),
            optional("end", Date, "Its end"),
            optional("_since", Instant, "Only what was changed at or after this moment"),
            several("_type", Code, "A type that is wanted"),
            optional("_count", Count, "How many resources a page has"),
            output("return", Resource("Bundle"), "One page of it"),
        ],
    },
    OperationDefinition {
        operation: Operation::Request,
        code: "request",
        url: REQUEST,
        description: "Asks a partner for data or attachments: sends it a CDex Task, follows the Task there and collects \
                      its outputs. The answer is our own copy of the Task; its status tells how the request goes on. \
                      With a tracking-id attachments are asked for, without one data.",
        levels: TYPE,
        types: &["Task"],
        affects_state: true,
        is_paged: false,
        parameters: REQUEST_OF_PARTNER,
    },
    OperationDefinition {
        operation: Operation::SendAttachment,
        code: "send-attachment",
        url: SEND_ATTACHMENT,
        description: "Sends attachments that nobody asked for by a Task to a partner, where its entry in the \
                      configuration or its discovery document (HRex) says. Attachments whose url is a Binary or an \
                      upload of this server go with their bytes. What became of it is told like of any upload.",
        levels: SYSTEM,
        types: &[],
        affects_state: true,
        is_paged: false,
        parameters: &[
            required("partner", Text, "Who gets them: the name of a partner in the configuration"),
            required("submission", Resource("Parameters"), "The Parameters of $submit-attachment"),
            output("upload", Id, "The upload that the submission is; its status is at /upload/info/[id]"),
            output("endpoint", Canonical, "Where it is sent"),
        ],
    },
    OperationDefinition {
        operation: Operation::Notify,
        code: "notify",
        url: NOTIFY,
        description: "Takes a notification of a subscription to Tasks at a partner (R5 Backport, rest-hook): those that \
                      were sent from here and that it names are looked at now.",
        levels: TYPE,
        types: &["Task"],
        affects_state: true,
        is_paged: false,
        parameters: &[
            required("notification", Resource("Bundle"), "The notification"),
            output("return", Resource("OperationOutcome"), "That it was taken"),
        ],
    },
    OperationDefinition {
        operation: Operation::SubscriptionStatus,
        code: "status",
        url: "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-status",
        description: "Tells where Subscriptions stand and how many events they had: one, those that are named, or all.",
        levels: TYPE_AND_INSTANCE,
        types: &["Subscription"],
        affects_state: false,
        is_paged: false,
        parameters: &[
            several("id", Id, "A Subscription that is asked about; on an instance, that one"),
            several("status", Code, "A status; only Subscriptions that have one of them are told"),
            output("return", Resource("Bundle"), "Parameters for each Subscription"),
        ],
    },
    OperationDefinition {
        operation: Operation::SubscriptionEvents,
        code: "events",
        url: "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-events",
        description: "Tells the events of a Subscription by their numbers, whether they were notified or not: at most \
                      1,000 at once, and of those that were notified the last 10,000.",
        levels: INSTANCE,
        types: &["Subscription"],
        affects_state: false,
        is_paged: false,
        parameters: &[
            optional("eventsSinceNumber", Text, "The first event that is wanted"),
            optional("eventsUntilNumber", Text, "The last event that is wanted"),
            optional("content", Code, "How much of each event is wanted: empty, id-only or full-resource"),
            output("return", Resource("Bundle"), "A notification of these events"),
        ],
    },
    OperationDefinition {
        url: "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
        description: "Exports all resources, or those of some types, as files of lines: asynchronously, as Bulk Data \
                      Access has it.",
        levels: SYSTEM,
        types: &[],
        parameters: EXPORT,
        ..EXPORT_OF
    },
    OperationDefinition {
        url: "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export",
        description: "Exports what belongs to patients, to all or to those that are named in a body, as files of \
                      lines: asynchronously, as Bulk Data Access has it.",
        levels: TYPE,
        types: &["Patient"],
        parameters: EXPORT_OF_PATIENTS,
        ..EXPORT_OF
    },
    OperationDefinition {
        url: "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export",
        description: "Exports what belongs to the patients of a Group, or to those of them that are named in a body, \
                      as files of lines: asynchronously, as Bulk Data Access has it.",
        levels: INSTANCE,
        types: &["Group"],
        parameters: EXPORT_OF_PATIENTS,
        ..EXPORT_OF
    },
];

/// What a request takes: the Task itself, or what it is to ask for.
const REQUEST_OF_PARTNER: &[ParameterDefinition] = &[
    required("partner", Text, "Who is asked: the name of a partner in the configuration"),
    optional("task", Resource("Task"), "The Task, instead of all that follows"),
    optional(
        "patient",
        Reference,
        "Whom it is about: a Patient of the partner; for attachments also one kept here",
    ),
    optional("member", Resource("Patient"), "For attachments: the patient with name and birth date"),
    optional("member-id", Identifier, "The member id of the patient"),
    optional("patient-account", Identifier, "For attachments: the number of the patient at the provider"),
    optional("query", Text, "The search whose results are wanted: Type?parameters"),
    optional("code", CodeableConcept, "The type of document that is wanted"),
    optional("text", Text, "What is wanted, in words for a person"),
    several("questionnaire", Canonical, "The Questionnaire that is to be answered"),
    several(
        "attachment-code",
        CodeableConcept,
        "An attachment that is wanted; extensions extension-paLineNumber name its lines of the claim",
    ),
    optional(
        "tracking-id",
        Identifier,
        "The number that ties attachments to their claim or prior authorization",
    ),
    optional("admin-ref-number", Identifier, "For a prior authorization: the payer's second number"),
    optional("claim-use", Code, "What attachments belong to: claim (without it) or preauthorization"),
    optional("claim", Reference, "The claim, prior authorization or coverage that leads to the request"),
    optional("service-date", Date, "For attachments to a claim: the day on which the service began"),
    optional(
        "payer-url",
        Canonical,
        "Where attachments are sent; without it, this server's $submit-attachment",
    ),
    optional("multiple-submits", Boolean, "Whether attachments may come in several submissions"),
    optional("practitioner", Identifier, "The provider who is asked"),
    optional(
        "organization",
        Identifier,
        "The organization that is asked; without it, the partner's identifier",
    ),
    optional("requester", Identifier, "Who asks; without it, this server's identifier"),
    optional("reason", Text, "Why data are wanted, in words"),
    optional("due", DateTime, "When the answer is due"),
    optional("purpose-of-use", CodeableConcept, "What the data are for"),
    optional("signature", Boolean, "Whether the result must be signed"),
    several("work-queue", Code, "A CDex work queue that the request belongs to"),
    several("authorization", Reference, "A CommunicationRequest or ServiceRequest that the request rests on"),
    output("return", Resource("Task"), "The copy of the Task that is kept here"),
];

/// What the exports have in common.
const EXPORT_OF: OperationDefinition = OperationDefinition {
    operation: Operation::Export,
    code: "export",
    url: "",
    description: "",
    levels: SYSTEM,
    types: &[],
    affects_state: false,
    is_paged: false,
    parameters: &[],
};

const OUTPUT_FORMAT: ParameterDefinition = optional("_outputFormat", Text, "The format of the files: NDJSON");
const SINCE: ParameterDefinition =
    optional("_since", Instant, "Only what was changed at or after this moment");
const UNTIL: ParameterDefinition =
    optional("_until", Instant, "Only what was changed at or before this moment");
const TYPES: ParameterDefinition = several("_type", Text, "The types that are wanted, between commas");
const ELEMENTS: ParameterDefinition = several("_elements", Text, "The elements that are wanted");
const FILTERS: ParameterDefinition =
    several("_typeFilter", Text, "Searches, one of which a resource must match");

/// What an export takes.
const EXPORT: &[ParameterDefinition] = &[OUTPUT_FORMAT, SINCE, UNTIL, TYPES, ELEMENTS, FILTERS];

/// What an export of patients takes.
const EXPORT_OF_PATIENTS: &[ParameterDefinition] = &[
    OUTPUT_FORMAT,
    SINCE,
    UNTIL,
    TYPES,
    ELEMENTS,
    FILTERS,
    several("patient", Reference, "A patient that is wanted"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::fhir::{OperationAddress, resource_type};

    fn at(path: &str) -> Option<Operation> {
        let address = OperationAddress::parse(path)?.ok()?;
        OperationDefinition::at(&address).map(|definition| definition.operation)
    }

    #[test]
    fn an_operation_is_found_only_where_it_can_be_called() {
        for (path, expected) in [
            ("/$submit-attachment", Some(Operation::SubmitAttachment)),
            ("/Patient/$submit-attachment", None),
            ("/$validate", Some(Operation::Validate)),
            ("/Resource/$validate", Some(Operation::Validate)),
            ("/Task/$validate", Some(Operation::Validate)),
            ("/Task/1/$validate", Some(Operation::Validate)),
            ("/Patient/$match", Some(Operation::Match)),
            ("/Practitioner/$match", None),
            ("/Patient/1/$match", None),
            ("/$match", None),
            ("/Patient/$member-match", Some(Operation::MemberMatch)),
            ("/DocumentReference/$docref", Some(Operation::Docref)),
            ("/Patient/$docref", None),
            ("/Patient/1/$everything", Some(Operation::Everything)),
            ("/Patient/$everything", None),
            ("/Encounter/1/$everything", None),
            ("/Task/$request", Some(Operation::Request)),
            ("/Task/1/$request", None),
            ("/$send-attachment", Some(Operation::SendAttachment)),
            ("/Task/$send-attachment", None),
            ("/Task/$notify", Some(Operation::Notify)),
            ("/Subscription/$status", Some(Operation::SubscriptionStatus)),
            ("/Subscription/1/$status", Some(Operation::SubscriptionStatus)),
            ("/Task/1/$status", None),
            ("/Subscription/1/$events", Some(Operation::SubscriptionEvents)),
            ("/Subscription/$events", None),
            ("/$export", Some(Operation::Export)),
            ("/Patient/$export", Some(Operation::Export)),
            ("/Group/1/$export", Some(Operation::Export)),
            ("/Group/$export", None),
            ("/Task/$export", None),
            ("/$unheard-of", None),
            ("/$", None),
        ] {
            assert_eq!(at(path), expected, "{path}");
        }
    }

    #[test]
    fn get_calls_what_changes_nothing_and_needs_no_resource() {
        let by_get: Vec<&str> = OPERATIONS
            .iter()
            .filter(|definition| definition.allowed() != "POST")
            .map(|definition| definition.code)
            .collect();
        assert_eq!(
            by_get,
            ["validate", "docref", "everything", "status", "events", "export", "export", "export"]
        );
    }

    #[test]
    fn every_row_of_the_table_is_sound() {
        let mut urls = HashSet::new();
        for definition in OPERATIONS {
            assert!(urls.insert(definition.url), "{} stands twice", definition.code);
            assert!(definition.types.iter().all(|name| resource_type(name).is_some()), "{}", definition.code);
            assert!(definition.levels != Levels::default(), "{}", definition.code);
            let names: HashSet<_> = definition.parameters.iter().map(|it| (it.name, it.is_output)).collect();
            assert_eq!(names.len(), definition.parameters.len(), "{}", definition.code);
            for parameter in definition.parameters {
                let kind = parameter.kind;
                assert!(kind.type_name().is_some() || matches!(kind, Parts(_)), "{}", parameter.name);
            }
        }
    }
}
