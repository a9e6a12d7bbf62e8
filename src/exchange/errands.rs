//! Which resources beget which errands once they are kept.

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;
use crate::subscription;

impl Exchange {
    /// What must be done because a version of this resource is kept, whichever way it came.
    #[expect(clippy::unused_self, reason = "the settings decide about some of them")]
    pub(super) fn errands_of(&self, resource_type: &str, tree: &Value) -> Vec<Errand> {
        match resource_type {
            "Subscription" => vec![Errand::Handshake],
            "Task" if subscription::is_order(tree) => vec![Errand::Notify],
            _ => Vec::new(),
        }
    }
}
