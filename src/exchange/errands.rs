//! Which resources beget which errands once they are kept.

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;

impl Exchange {
    /// What must be done because a version of this resource is kept, whichever way it came.
    #[expect(clippy::unused_self, reason = "the settings decide about some of them")]
    pub(super) fn errands_of(&self, _resource_type: &str, _tree: &Value) -> Vec<Errand> {
        Vec::new()
    }
}
