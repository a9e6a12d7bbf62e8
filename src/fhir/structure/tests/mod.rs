//! Every published example passes, every broken one is refused where it is broken.

mod examples;
mod mutations;
mod oracle;
mod rules;
mod shape;
mod speed;

use std::sync::LazyLock;

use serde_json::Value;

use super::{Mode, check};
use crate::fhir::{IssueType, testing};

/// Every published example that can be found.
static PUBLISHED: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let mut all = testing::cdex_examples();
    all.extend(testing::r4_examples());
    all
});

/// The paths and kinds of the issues of a resource.
fn found_in(resource: &Value, mode: Mode) -> Vec<(String, IssueType)> {
    let issues = check(resource, "R", mode).into_iter();
    issues.map(|issue| (issue.expression.unwrap_or_default(), issue.code)).collect()
}
