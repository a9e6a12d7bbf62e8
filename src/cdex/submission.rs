//! A `$submit-attachment` as the rest of the gateway sees it: parsed, checked, and without FHIR's shapes.

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
