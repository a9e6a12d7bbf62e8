//! Which resources beget which errands once they are kept.

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;
use crate::subscription;

impl Exchange {
    /// What must be done because a version of this resource is kept, whichever way it came.
    pub(super) fn errands_of(&self, resource_type: &str, tree: &Value) -> Vec<Errand> {
        match resource_type {
            "Subscription" => {
                // Before it is kept, and so long before it can be active: no event is missed.
                self.has_subscribers.store(true, Ordering::Release);
                vec![Errand::Handshake]
            }
            "Task" if subscription::is_order(tree) && self.has_subscribers.load(Ordering::Acquire) => {
                vec![Errand::Notify]
            }
            _ => Vec::new(),
        }
    }
}
