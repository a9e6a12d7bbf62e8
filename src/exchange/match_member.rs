//! HRex `Patient/$member-match`: a payer or provider describes a member, and learns who that is here if exactly one is
//! meant. Whoever is named has agreed to it: without a consent in force nobody is looked for.

use serde_json::Value;

use super::Exchange;
use super::interaction::{InteractionError, Requester};
use super::match_patient::{Candidate, assessed, tree_of};
use crate::audit;
use crate::cdex::matching::{self, Grade};
use crate::cdex::member;
use crate::cdex::operation::Inputs;
use crate::db::Tx;
use crate::fhir::{self, Issue, IssueType, StructureMode};
use crate::repository::{self, StoredResource};

/// Coverages of one number, or of one patient, that are looked at.
const COVERAGES: u32 = 50;

impl Exchange {
    /// Holds the Parameters to R4 and to their profile.
    pub(super) fn check_member_match(&self, body: Option<&Value>) -> Result<(), InteractionError> {
        // What is not even there, or is no Parameters resource, is told when the inputs are read.
        let is_parameters = |body: &&Value| body.get("resourceType").is_some_and(|name| name == "Parameters");
        let Some(body) = body.filter(is_parameters) else { return Ok(()) };
        let mut issues = fhir::check_structure(body, "Parameters", StructureMode::Strict);
        issues.extend(fhir::validate(body, member::PARAMETERS_MEMBER_MATCH_IN, &self.profiles));
        if issues.iter().any(Issue::is_error) { Err(InteractionError::Invalid(issues)) } else { Ok(()) }
    }

    /// Names the one member who is meant.
    ///
    /// # Errors
    /// Nobody is meant, or several are, or the consent is not in force.
    pub(super) async fn match_member(
        &self,
        requester: &Requester,
        mut inputs: Inputs,
    ) -> Result<Value, InteractionError> {
        let mut require = |name| inputs.require(name).map_err(InteractionError::Malformed);
        let patient = require("MemberPatient")?.resource;
        let consent = require("Consent")?;
        let coverage = require("CoverageToMatch")?.resource;
        let issues = member::consent_issues(&consent.resource, self.clock.now(), &consent.expression);
        if !issues.is_empty() {
            return Err(InteractionError::Invalid(issues));
        }
        let mut members = {
            let mut reader = self.db.reader().await?;
            self.members(&mut reader.tx(), requester, &patient, &coverage).await?
        };
        let found = match (members.pop(), members.is_empty()) {
            (Some(found), true) => found,
            (None, _) => return Err(unmatched(IssueType::NotFound, "No member matches")),
            (Some(_), false) => {
                return Err(unmatched(IssueType::MultipleMatches, "More than one member matches"));
            }
        };
        let id = &found.candidate.resource.id;
        let entry = self.write_context(requester).audit("member-match", "Patient", id, self.clock.now());
        self.db.write(entry, |entry, tx| Box::pin(audit::record(tx, entry))).await?;
        let url = format!("{}/Patient/{id}", requester.base);
        Ok(member::answer(&found.candidate.tree, found.coverage.as_ref(), &url))
    }

    /// Everybody of this description who has or had this coverage here.
    async fn members(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        patient: &Value,
        coverage: &Value,
    ) -> Result<Vec<Member>, InteractionError> {
        let mut candidates = self.candidates(tx, requester, patient).await?;
        for beneficiary in self.bearers(tx, requester, coverage).await? {
            if candidates.iter().all(|candidate| candidate.resource.key != beneficiary.key) {
                candidates.push(assessed(patient, beneficiary)?);
            }
        }
        // HRex: a match by demographics alone is none, nor is one by a number that is somebody else's.
        candidates.retain(|candidate| candidate.assessment.grade >= Grade::Probable);
        let mut members = Vec::new();
        for candidate in candidates {
            let own = [("beneficiary".to_owned(), format!("Patient/{}", candidate.resource.id))];
            let stored = self.look_up(tx, requester, "Coverage", &own, COVERAGES).await?;
            let stored = stored.iter().map(tree_of).collect::<Result<Vec<_>, _>>()?;
            let same = stored.into_iter().find(|here| member::is_same_coverage(coverage, here));
            if same.is_some() || member::bears_number(&candidate.tree, coverage) {
                members.push(Member { candidate, coverage: same });
            }
        }
        Ok(members)
    }

    /// The Patients who bear a number of a coverage, or whose Coverage does.
    async fn bearers(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        coverage: &Value,
    ) -> Result<Vec<StoredResource>, InteractionError> {
        let numbers = member::member_numbers(coverage);
        let tokens: Vec<String> = numbers.iter().filter_map(matching::identifier_token).collect();
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let parameters = [("identifier".to_owned(), tokens.join(","))];
        let mut found = self.look_up(tx, requester, "Patient", &parameters, COVERAGES).await?;
        for stored in self.look_up(tx, requester, "Coverage", &parameters, COVERAGES).await? {
            let tree = tree_of(&stored)?;
            let reference =
                tree.pointer("/beneficiary/reference").and_then(Value::as_str).unwrap_or_default();
            let local = reference.strip_prefix(&*requester.base).unwrap_or(reference).trim_start_matches('/');
            if let Some(id) = local.strip_prefix("Patient/")
                && let Some(beneficiary) = repository::read(tx, &requester.access(), "Patient", id).await?
                && beneficiary.content.is_some()
            {
                found.push(beneficiary);
            }
        }
        found.sort_unstable_by_key(|resource| resource.key);
        found.dedup_by_key(|resource| resource.key);
        Ok(found)
    }
}

/// Somebody who is meant.
struct Member {
    candidate: Candidate,
    /// The Coverage that is the one described, unless the Patient itself bears its number.
    coverage: Option<Value>,
}

/// HRex: whoever is not found, and whoever is found twice, is answered alike: 422.
fn unmatched(code: IssueType, text: &str) -> InteractionError {
    InteractionError::Invalid(vec![Issue::refusal(code, text)])
}
