//! The rules that a resource is held to before it is kept: the structure of its type always, the profiles that it
//! claims as strictly as the sender's partner entry says.

use serde_json::Value;

use super::Received;

use crate::auth::Caller;
use crate::cdex::communication;
use crate::cdex::task::{CdexTask, change};
use crate::config::Validation;
use crate::exchange::Exchange;
use crate::exchange::interaction::{InteractionError, type_of};
use crate::fhir::{self, Issue, IssueType, StructureMode};

/// How the canonical URLs of the Task profiles of CDex begin (cdex §10): a Task that claims one and breaks it is
/// refused, because what happens with it next rests on the profile.
const CDEX_TASKS: &str = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task-";

impl Exchange {
    /// What deserves attention in a resource that may be kept.
    ///
    /// # Errors
    /// All that must not be, at once.
    pub(in crate::exchange) fn check_resource(
        &self,
        caller: &Caller,
        resource_type: &'static str,
        tree: &Value,
    ) -> Result<Vec<Issue>, InteractionError> {
        judged(self.issues_of(caller, resource_type, tree)?)
    }

    /// The same for one that is created under an id of the gateway's own.
    ///
    /// # Errors
    /// All that must not be, at once.
    pub(in crate::exchange) fn check_created(
        &self,
        caller: &Caller,
        resource_type: &'static str,
        tree: &Value,
    ) -> Result<Vec<Issue>, InteractionError> {
        let mut issues = self.issues_of(caller, resource_type, tree)?;
        issues.extend(self.check_new_task(caller, tree));
        judged(issues)
    }

    fn issues_of(
        &self,
        caller: &Caller,
        resource_type: &'static str,
        tree: &Value,
    ) -> Result<Vec<Issue>, InteractionError> {
        match type_of(tree) {
            Some(own) if own == resource_type => {}
            Some(_) => {
                let at = format!("{resource_type}.resourceType");
                return Err(InteractionError::malformed(
                    IssueType::Value,
                    &at,
                    "The resource is not of the type that the URL names",
                ));
            }
            None => {
                let text = "A resource says its type";
                return Err(InteractionError::malformed(IssueType::Required, "resourceType", text));
            }
        }
        let validation = self.settings.rest.validation_of(caller.client_id());
        let mode = match validation {
            Validation::Lenient => StructureMode::Lenient,
            Validation::Structure | Validation::Profiles => StructureMode::Strict,
        };
        let mut issues = fhir::check_structure(tree, resource_type, mode);
        issues.extend(subsetted(tree, resource_type));
        issues.extend(self.check_profiles(validation, tree));
        if resource_type == "Subscription" {
            issues.extend(self.check_subscription(tree));
        }
        let of_cdex = communication::check(tree).into_iter();
        let of_cdex = of_cdex.chain(CdexTask::read(tree).and_then(|task| change::check_status(&task)));
        issues.extend(of_cdex.map(|issue| match validation {
            Validation::Lenient => issue.into_warning(),
            Validation::Structure | Validation::Profiles => issue,
        }));
        Ok(issues)
    }

    /// The same of a resource that has arrived, with what there is to tell of its signatures.
    pub(in crate::exchange) async fn check_received(
        &self,
        caller: &Caller,
        resource_type: &'static str,
        received: &Received,
    ) -> Result<Vec<Issue>, InteractionError> {
        let remarks = self.check_resource(caller, resource_type, &received.tree)?;
        self.with_signatures(remarks, caller, resource_type, received).await
    }

    /// The same of one that is created under an id of the gateway's own.
    pub(in crate::exchange) async fn check_received_new(
        &self,
        caller: &Caller,
        resource_type: &'static str,
        received: &Received,
    ) -> Result<Vec<Issue>, InteractionError> {
        let remarks = self.check_created(caller, resource_type, &received.tree)?;
        self.with_signatures(remarks, caller, resource_type, received).await
    }

    async fn with_signatures(
        &self,
        mut remarks: Vec<Issue>,
        caller: &Caller,
        resource_type: &'static str,
        received: &Received,
    ) -> Result<Vec<Issue>, InteractionError> {
        let signed = (&received.text, &received.tree);
        remarks.extend(self.signature_remarks(caller, resource_type, signed).await?);
        Ok(remarks)
    }

    fn check_profiles(&self, validation: Validation, tree: &Value) -> Vec<Issue> {
        let claimed = tree.pointer("/meta/profile").and_then(Value::as_array).into_iter().flatten();
        // A CDex Task keeps the profile of its code whether or not it says so (CONF-057, CONF-098, CONF-099).
        let by_code = CdexTask::read(tree).map(|task| task.kind.profile());
        let claimed = claimed.filter_map(Value::as_str).filter(|url| Some(unversioned(url)) != by_code);
        let known = claimed.chain(by_code).filter(|url| self.profiles.structure(url).is_some());
        known
            .flat_map(|profile| {
                let refuses = match validation {
                    Validation::Lenient => false,
                    Validation::Structure => profile.starts_with(CDEX_TASKS),
                    Validation::Profiles => true,
                };
                let issues = fhir::validate(tree, profile, &self.profiles);
                issues
                    .into_iter()
                    .map(move |issue| if issue.is_error() && !refuses { issue.into_warning() } else { issue })
            })
            .collect()
    }
}

/// What deserves attention, if nothing is wrong.
fn judged(mut issues: Vec<Issue>) -> Result<Vec<Issue>, InteractionError> {
    if issues.iter().any(Issue::is_error) {
        // What is wrong first, remarks after it.
        issues.sort_by_key(|issue| !issue.is_error());
        return Err(InteractionError::Invalid(issues));
    }
    Ok(issues)
}

fn unversioned(canonical: &str) -> &str {
    canonical.split_once('|').map_or(canonical, |(canonical, _)| canonical)
}

/// FHIR R4 search, `_summary`: what was read in part must not replace the whole.
fn subsetted(tree: &Value, resource_type: &str) -> Option<Issue> {
    let tags = tree.pointer("/meta/tag").and_then(Value::as_array)?;
    tags.iter().any(|tag| tag["code"] == "SUBSETTED").then(|| {
        let text = "The resource was read in part only, as its tag says, and would lose the rest";
        Issue::error(IssueType::BusinessRule, format!("{resource_type}.meta.tag"), text)
    })
}
