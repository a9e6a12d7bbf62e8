//! Which resources beget which errands once they are kept.

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;
use crate::cdex::attachment_request::AttachmentRequest;

impl Exchange {
    /// What must be done because a version of this resource is kept, whichever way it came.
    pub(super) fn errands_of(&self, resource_type: &str, tree: &Value) -> Vec<Errand> {
        match resource_type {
            "Task" if AttachmentRequest::is_one(tree) => vec![Errand::SubmitAttachments],
            "DocumentReference" | "QuestionnaireResponse" if self.is_anything_awaited() => {
                vec![Errand::MatchDocument]
            }
            _ => Vec::new(),
        }
    }
}
