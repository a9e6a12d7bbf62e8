//! One line of the audit trail. Its types keep clients' texts out: what is free is one of our identifiers
//! or a word that stands in our source.

use crate::clock::Timestamp;

/// Whether the caller got what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuditOutcome {
    /// It was done.
    Success,
    /// It was not; nothing changed.
    Refused,
}

impl AuditOutcome {
    /// The word in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
        }
    }
}

/// Somebody did something, or was not allowed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The tenant whose data it is about.
    pub(crate) tenant: String,
    /// Who did it.
    pub(crate) owner: String,
    /// When.
    pub(crate) at: Timestamp,
    /// What, in the interaction's own word (`submit-attachment`, `redeliver`).
    pub(crate) action: &'static str,
    /// Whether it was done.
    pub(crate) outcome: AuditOutcome,
    /// To what: one of our identifiers.
    pub(crate) entity: Option<String>,
    /// What more there is to say, as fixed codes (the types of the issues of a refusal, say).
    pub(crate) detail: Vec<&'static str>,
    /// The name of the request that asked for it: at most 64 of `A-Z a-z 0-9 . _ -`.
    pub(crate) request_id: Option<String>,
}
