//! What is answered to a submission, and kept to be answered again.

use serde::{Deserialize, Serialize};

use super::SubmitError;
use crate::db::DbError;
use crate::fhir::{Issue, operation_outcome};
use crate::id::UploadId;

/// The answer to an accepted submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The uploads it became or named, in the order of its attachments.
    pub(crate) upload_ids: Vec<UploadId>,
    /// The OperationOutcome, as JSON.
    pub(crate) outcome: serde_json::Value,
}

impl Answer {
    /// The answer that names these uploads; remarks follow.
    pub(super) fn new(upload_ids: Vec<UploadId>, remarks: &[Issue]) -> Self {
        let mut issues: Vec<Issue> = upload_ids
            .iter()
            .map(|id| Issue::information(format!("Upload {id} was received; its status is at /upload/info/{id}")))
            .collect();
        issues.extend_from_slice(remarks);
        Self { upload_ids, outcome: operation_outcome(&issues) }
    }

    /// The answer as the database keeps it.
    pub(super) fn to_stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads an answer back.
    pub(super) fn from_stored(bytes: &[u8]) -> Result<Self, SubmitError> {
        serde_json::from_slice(bytes)
            .map_err(|_| DbError::inconsistent("submission", "answer", "of this body").into())
    }
}
