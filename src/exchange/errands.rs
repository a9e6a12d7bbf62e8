//! Which resources beget which errands once they are kept.

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;

impl Exchange {
    /// What must be done because a version of this resource is kept, whichever way it came.
    pub(super) fn errands_of(&self, resource_type: &str, tree: &Value) -> Vec<Errand> {
        let mut errands = Vec::new();
        if self.forward.concern(resource_type, tree) {
            errands.push(Errand::ForwardPush);
        }
        errands
    }
}
