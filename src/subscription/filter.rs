//! Which Tasks a subscriber wants to hear of: criteria in the grammar of searches (`Task?owner:identifier=…`), all of
//! which a Task must meet. Pure. A filter is read as the search that it is, and asked of the entries that the index of
//! the repository would have of the Task: what a search finds, a filter lets pass.

use serde_json::Value;

use super::topic::CAN_FILTER_BY;
use crate::clock::Timestamp;
use crate::fhir::search::{Query, Scope};
use crate::fhir::{Issue, IssueType, address};
use crate::repository::criteria::{self, Criterion};
use crate::repository::entry::Space;
use crate::repository::memory::{self, Row};

/// The type that the topic is about.
const TASK: &str = "Task";

/// More criteria than a subscriber has on purpose.
pub(super) const MOST_CRITERIA: usize = 50;

/// What a subscriber wants to hear of.
#[derive(Debug)]
pub(crate) struct Filter {
    criteria: Vec<Query>,
}

impl Filter {
    /// Reads criteria. `base` is the gateway's FHIR base URL: references to it are references to resources here.
    ///
    /// # Errors
    /// All that is wrong with all of them, each with its index.
    pub(crate) fn parse<'a>(
        criteria: impl IntoIterator<Item = &'a str>,
        base: &str,
    ) -> Result<Self, Vec<(usize, Issue)>> {
        let mut read = Vec::new();
        let mut wrong = Vec::new();
        for (index, text) in criteria.into_iter().enumerate() {
            match criterion(text, base) {
                Ok(query) => read.push(query),
                Err(issues) => wrong.extend(issues.into_iter().map(|issue| (index, issue))),
            }
        }
        if wrong.is_empty() { Ok(Self { criteria: read }) } else { Err(wrong) }
    }

    /// Whether a Task meets all criteria.
    pub(crate) fn passes(&self, task: &Candidate<'_>) -> bool {
        self.criteria.iter().all(|query| task.meets(query))
    }
}

/// A Task that filters are asked of.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    row: Row,
    tenant: &'a str,
    now: Timestamp,
}

impl<'a> Candidate<'a> {
    /// A Task of a tenant. `base` is the gateway's FHIR base URL.
    pub(crate) fn new(tenant: &'a str, id: &str, task: &Value, base: &str, now: Timestamp) -> Self {
        Self { row: Row::new(tenant, (TASK, id), now, task, base), tenant, now }
    }

    fn meets(&self, query: &Query) -> bool {
        let criterion: Criterion = criteria::of(query, self.tenant, self.now);
        let types = [Space::of_type(self.tenant, TASK)];
        !memory::search(std::slice::from_ref(&self.row), &types, &criterion, &[]).is_empty()
    }
}

/// One criterion: `Task?` and what stands behind it in the URL of a search.
fn criterion(text: &str, base: &str) -> Result<Query, Vec<Issue>> {
    let refused = |code, text: &str| Err(vec![Issue::refusal(code, text)]);
    let Some((name, query)) = text.split_once('?') else {
        return refused(IssueType::Value, "A filter is written Task?parameter=value");
    };
    if name.trim_start_matches('/') != TASK {
        return refused(IssueType::NotSupported, "The topic is about Tasks: its filters begin with Task?");
    }
    let parameters = address::parameters(query);
    let mut issues = Vec::new();
    if parameters.is_empty() {
        issues.push(Issue::refusal(IssueType::Value, "The filter names no parameter"));
    }
    for (name, value) in &parameters {
        if !can_filter_by(name) {
            let text = "The topic cannot be filtered by such a parameter, or not with such a modifier";
            issues.push(Issue::refusal(IssueType::NotSupported, text).advising(ADVICE));
        }
        // A search leaves out what has no value; a filter that did would let pass more than was meant.
        if value.split(',').all(str::is_empty) {
            issues.push(Issue::refusal(IssueType::Value, "A parameter of the filter has no value"));
        }
    }
    if issues.is_empty() { Query::parse(Scope::Type(TASK), &parameters, base, true) } else { Err(issues) }
}

/// What a filter can consist of.
const ADVICE: &str =
    "Filter by code, owner, owner:identifier, requester, requester:identifier or status of the Task";

fn can_filter_by(name: &str) -> bool {
    let (code, modifier) = name.split_once(':').map_or((name, None), |(code, rest)| (code, Some(rest)));
    let found = CAN_FILTER_BY.iter().find(|(known, _)| *known == code);
    found.is_some_and(|(_, modifiers)| modifier.is_none_or(|modifier| modifiers.contains(&modifier)))
}
