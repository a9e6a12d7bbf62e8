//! `Patient/$match`: candidates are found through the index, weighed by the rules of [`matching`], and told with their
//! scores and grades (FHIR R4, Patient-match).

use std::collections::HashMap;

use serde_json::Value;

use super::Exchange;
use super::interaction::{InteractionError, Requester};
use crate::cdex::matching::{self, Assessment, Grade};
use crate::cdex::operation::Inputs;
use crate::db::{DbError, Tx};
use crate::fhir::{self, Issue, IssueType, StructureMode};
use crate::repository::StoredResource;

/// How many candidates one search gives at most: more share a value than it tells anybody apart.
const CANDIDATES: u32 = 200;

/// The Patients who may be meant.
#[derive(Debug)]
pub(crate) struct MatchPage {
    /// Those that are shown, the likeliest first.
    pub(crate) matches: Vec<(StoredResource, Assessment)>,
    /// How many there are.
    pub(crate) total: u64,
    /// What deserves attention.
    pub(crate) remarks: Vec<Issue>,
}

/// A Patient who may be meant.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The Patient as stored.
    pub(super) resource: StoredResource,
    /// What its text says.
    pub(super) tree: Value,
    /// How much speaks for it.
    pub(super) assessment: Assessment,
}

impl Exchange {
    /// Finds the Patients whom a description may mean.
    pub(super) async fn match_patient(
        &self,
        requester: &Requester,
        mut inputs: Inputs,
    ) -> Result<MatchPage, InteractionError> {
        let mut remarks = std::mem::take(&mut inputs.ignored);
        let wanted = inputs.require("resource").map_err(InteractionError::Malformed)?;
        let issues = fhir::check_structure(&wanted.resource, &wanted.expression, StructureMode::Lenient);
        if issues.iter().any(Issue::is_error) {
            return Err(InteractionError::Malformed(issues));
        }
        if matching::searches(&wanted.resource).is_empty() {
            let text = "The description is not enough to find anybody by";
            let issue = Issue::refusal(IssueType::Required, text).into_warning();
            remarks.push(
                issue.advising("Give an identifier, or a birth date or a given name with a family name"),
            );
        }
        let mut reader = self.db.reader().await?;
        let mut found = self.candidates(&mut reader.tx(), requester, &wanted.resource).await?;
        drop(reader);
        found.retain(|candidate| candidate.assessment.grade > Grade::CertainlyNot);
        if inputs.flag("onlyCertainMatches") == Some(true) {
            found.retain(|candidate| candidate.assessment.grade == Grade::Certain);
            if found.len() > 1 {
                // FHIR R4, Patient-match: of several none is certain.
                found.clear();
                let text = "Several patients match with certainty, so that none is certainly meant";
                remarks.push(Issue::refusal(IssueType::MultipleMatches, text).into_warning());
            }
        }
        if found.is_empty() && remarks.is_empty() {
            remarks.push(Issue::information("Nobody matches"));
        }
        let total = found.len() as u64;
        let count = self.page_size(inputs.count("count"), &mut []);
        found.truncate(count as usize);
        let matches = found.into_iter().map(|candidate| (candidate.resource, candidate.assessment)).collect();
        Ok(MatchPage { matches, total, remarks })
    }

    /// Everybody whom the index leads to, the likeliest first.
    pub(super) async fn candidates(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        wanted: &Value,
    ) -> Result<Vec<Candidate>, InteractionError> {
        let mut found: HashMap<i64, StoredResource> = HashMap::new();
        for search in matching::searches(wanted) {
            let parameters: Vec<_> =
                search.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let resources = self.look_up(tx, requester, "Patient", &parameters, CANDIDATES).await?;
            found.extend(resources.into_iter().map(|resource| (resource.key, resource)));
        }
        let candidates = found.into_values().map(|resource| assessed(wanted, resource));
        let mut candidates = candidates.collect::<Result<Vec<_>, DbError>>()?;
        // Of equals the one that was there first.
        candidates.sort_by(|one, other| {
            other
                .assessment
                .rank()
                .cmp(&one.assessment.rank())
                .then(one.resource.key.cmp(&other.resource.key))
        });
        Ok(candidates)
    }
}

/// A stored Patient, weighed.
pub(super) fn assessed(wanted: &Value, resource: StoredResource) -> Result<Candidate, DbError> {
    let tree = tree_of(&resource)?;
    let assessment = matching::assess(wanted, &tree);
    Ok(Candidate { resource, tree, assessment })
}

/// What the text of a stored resource says.
pub(super) fn tree_of(resource: &StoredResource) -> Result<Value, DbError> {
    let content = resource.content.as_deref().unwrap_or_default();
    fhir::parse(content).map_err(|_| DbError::inconsistent("resource", "content", resource.key))
}
