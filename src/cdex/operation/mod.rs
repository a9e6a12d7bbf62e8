//! The operations of the gateway as data: what they are called, where and how they are called, what they take and give.
//! Routing, the reading of their [`Inputs`] and what the gateway declares of itself all rest on [`OPERATIONS`], so that
//! none can say what the others do not do.

mod input;
#[cfg(test)]
mod input_tests;
mod table;

use crate::fhir::{OperationAddress, Place};

pub(crate) use input::Inputs;
pub(crate) use table::OPERATIONS;

/// The operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// CDex `$submit-attachment`
    SubmitAttachment,
    /// FHIR R4 `$validate`
    Validate,
    /// FHIR R4 `Patient/$match`
    Match,
    /// HRex `Patient/$member-match`
    MemberMatch,
    /// US Core `DocumentReference/$docref`
    Docref,
    /// FHIR R4 `Patient/[id]/$everything`
    Everything,
    /// R5 Backport `Subscription/$status` and `Subscription/[id]/$status`
    SubscriptionStatus,
    /// R5 Backport `Subscription/[id]/$events`
    SubscriptionEvents,
    /// Bulk Data Access `$export`
    Export,
    /// Our own `Task/$request`
    Request,
    /// Our own `$send-attachment`
    SendAttachment,
    /// Our own `Task/$notify`
    Notify,
}

/// What there is to know of an operation from outside.
#[derive(Debug)]
pub(crate) struct OperationDefinition {
    /// Which it is.
    pub(crate) operation: Operation,
    /// What follows the `$`.
    pub(crate) code: &'static str,
    /// The canonical URL of its definition.
    pub(crate) url: &'static str,
    /// What it does, in a sentence or two.
    pub(crate) description: &'static str,
    /// Where it can be called.
    pub(crate) levels: Levels,
    /// On which types; on all of them if empty.
    pub(crate) types: &'static [&'static str],
    /// Whether it may change something, so that GET is out of the question.
    pub(crate) affects_state: bool,
    /// Whether its answers come in pages.
    pub(crate) is_paged: bool,
    /// What it takes and gives.
    pub(crate) parameters: &'static [ParameterDefinition],
}

/// Where an operation can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Levels {
    /// `[base]/$[operation]`
    pub(crate) system: bool,
    /// `[base]/[type]/$[operation]`
    pub(crate) resource_type: bool,
    /// `[base]/[type]/[id]/$[operation]`
    pub(crate) instance: bool,
}

/// A parameter of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParameterDefinition {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether it is given or comes back.
    pub(crate) is_output: bool,
    /// Whether there must be one.
    pub(crate) is_required: bool,
    /// Whether there may be several.
    pub(crate) repeats: bool,
    /// What it is.
    pub(crate) kind: ParameterKind,
    /// What it means.
    pub(crate) documentation: &'static str,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ParameterKind {
    /// `boolean`
    Boolean,
    /// `integer`, from 1 on: all of ours count something.
    Count,
    /// `string`
    Text,
    /// `code`
    Code,
    /// `canonical`
    Canonical,
    /// `id`
    Id,
    /// `date`
    Date,
    /// `dateTime`
    DateTime,
    /// `instant`
    Instant,
    /// `Coding`; in a URL a token, as in a search.
    Coding,
    /// `CodeableConcept`
    CodeableConcept,
    /// `Identifier`
    Identifier,
    /// `Reference`
    Reference,
    /// A resource of this type; of any, if it is `Resource`.
    Resource(&'static str),
    /// Parameters within this one.
    Parts(&'static [ParameterDefinition]),
}

impl ParameterKind {
    /// The type as definitions name it; none for parts.
    pub(crate) fn type_name(self) -> Option<&'static str> {
        Some(match self {
            Self::Boolean => "boolean",
            Self::Count => "integer",
            Self::Text => "string",
            Self::Code => "code",
            Self::Canonical => "canonical",
            Self::Id => "id",
            Self::Date => "date",
            Self::DateTime => "dateTime",
            Self::Instant => "instant",
            Self::Coding => "Coding",
            Self::CodeableConcept => "CodeableConcept",
            Self::Identifier => "Identifier",
            Self::Reference => "Reference",
            Self::Resource(name) => name,
            Self::Parts(_) => return None,
        })
    }

    /// Whether it is a datatype with elements of its own, which are the operation's business.
    pub(crate) fn is_element(self) -> bool {
        matches!(self, Self::CodeableConcept | Self::Identifier | Self::Reference)
    }

    /// Whether a URL can carry it (FHIR R4 operations, Executing an Operation).
    pub(crate) fn fits_a_url(self) -> bool {
        match self {
            Self::Boolean
            | Self::Count
            | Self::Text
            | Self::Code
            | Self::Canonical
            | Self::Id
            | Self::Date
            | Self::DateTime
            | Self::Instant
            | Self::Coding => true,
            Self::CodeableConcept
            | Self::Identifier
            | Self::Reference
            | Self::Resource(_)
            | Self::Parts(_) => false,
        }
    }
}

impl OperationDefinition {
    /// The operation that an address names, if there is one of this name in that place.
    pub(crate) fn at(address: &OperationAddress) -> Option<&'static Self> {
        OPERATIONS.iter().find(|definition| {
            definition.code == address.code
                && match address.place {
                    Place::System => definition.levels.system,
                    Place::Type(name) => definition.levels.resource_type && definition.is_about(name),
                    Place::Instance(name, _) => definition.levels.instance && definition.is_about(name),
                }
        })
    }

    /// Whether it is an operation of this type.
    pub(crate) fn is_about(&self, resource_type: &str) -> bool {
        self.types.is_empty() || self.types.contains(&resource_type)
    }

    /// What it takes.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &'static ParameterDefinition> {
        self.parameters.iter().filter(|parameter| !parameter.is_output)
    }

    /// The only resource that it takes: it may come as the body itself.
    pub(crate) fn body(&self) -> Option<&'static ParameterDefinition> {
        let mut resources =
            self.inputs().filter(|parameter| matches!(parameter.kind, ParameterKind::Resource(_)));
        resources.next().filter(|_| resources.next().is_none())
    }

    /// Whether GET can call it: nothing changes, and a URL can carry all that it needs.
    pub(crate) fn is_called_by_get(&self) -> bool {
        !self.affects_state && self.inputs().all(|input| !input.is_required || input.kind.fits_a_url())
    }

    /// The methods that call it, as the `Allow` field lists them.
    pub(crate) fn allowed(&self) -> &'static str {
        if self.is_called_by_get() { "GET, HEAD, POST" } else { "POST" }
    }
}
