//! The rules of CDex Tasks at every door: what may be created, and, in the unit that keeps it, what may follow the
//! version that is there (cdex.md 6.1). The rules themselves are [`task`](crate::cdex::task)'s; here is what they are
//! held against.

use std::sync::Arc;

use serde_json::Value;

use super::Exchange;
use super::store_resource::WriteContext;
use crate::auth::{Access, Caller};
use crate::cdex::task::change::{self, Role};
use crate::cdex::task::{CdexTask, Output, TaskKind, TaskStatus, questionnaire, reference_of};
use crate::config::PurposeOfUse;
use crate::db::{DbError, Tx};
use crate::fhir::search::reference::Target;
use crate::fhir::search::{Query, Scope};
use crate::fhir::{self, Issue, IssueType};
use crate::partner::{Partner, Policy};
use crate::repository::criteria;
use crate::repository::entry::Space;
use crate::repository::{self, Draft, Precondition, Search, StoredResource, index};

/// Whether a draft may follow what is there.
pub(super) enum Follows {
    /// It may.
    AsItIs,
    /// It may, with what must not be lost of the version before.
    Amended((Draft, Precondition)),
    /// It may not, for these reasons.
    Not(Vec<Issue>),
}

impl Exchange {
    /// The partner who sent a Task: as the token says, else as the Task says who asks.
    pub(super) fn partner_of_task(
        &self,
        client_id: Option<&str>,
        task: &CdexTask<'_>,
    ) -> Option<&Arc<Partner>> {
        let named = || {
            let requester = task.requester()?;
            self.partners.of_identifier(requester.system, requester.value?)
        };
        self.partners.of_client(client_id).or_else(named)
    }

    /// What is agreed with them.
    pub(super) fn policy_of_task(&self, client_id: Option<&str>, task: &CdexTask<'_>) -> &Policy {
        self.partners.policy(self.partner_of_task(client_id, task).map(Arc::as_ref))
    }

    /// Partners ask; whoever else may call belongs to those who answer.
    pub(super) fn role_of(&self, caller: &Caller) -> Role {
        match self.partners.of_client(caller.client_id()) {
            Some(_) => Role::Consumer,
            None => Role::Source,
        }
    }

    /// What is wrong with a Task that is created, if it is a CDex Task.
    pub(super) fn check_new_task(&self, caller: &Caller, tree: &Value) -> Vec<Issue> {
        let Some(task) = CdexTask::read(tree) else { return Vec::new() };
        let policy = self.policy_of_task(caller.client_id(), &task);
        change::check_created(&task, policy.purpose_of_use == PurposeOfUse::Required)
    }
}

/// Whether a draft may follow what is there, which stays so until the unit ends. Drafts of other types always may.
pub(super) async fn follow(
    tx: &mut Tx<'_>,
    context: &WriteContext,
    (draft, precondition): &(Draft, Precondition),
) -> Result<Follows, DbError> {
    if draft.resource_type != "Task" {
        return Ok(Follows::AsItIs);
    }
    let there = repository::read_to_change(tx, &context.access, "Task", &draft.id).await?;
    // What is wrong with the text, and whether this is the version that is meant, is told where it is kept.
    let Ok(mut next) = fhir::parse(&draft.text) else { return Ok(Follows::AsItIs) };
    let Some((version, content)) = there.and_then(|there| Some((there.version, there.content?))) else {
        let issues = CdexTask::read(&next).map(|next| change::check_put(&next, context.role));
        return Ok(issues.filter(|issues| !issues.is_empty()).map_or(Follows::AsItIs, Follows::Not));
    };
    if !is_meant(precondition, version) {
        return Ok(Follows::AsItIs);
    }
    let unreadable = |_| DbError::inconsistent("resource", "content", &draft.id);
    let previous = fhir::parse(&content).map_err(unreadable)?;
    let Some(task) = CdexTask::read(&previous) else { return Ok(Follows::AsItIs) };
    let mut issues = change::check_change(&task, &next, context.role);
    issues.extend(check_forms(tx, context, &task, &next).await?);
    if !issues.is_empty() {
        return Ok(Follows::Not(issues));
    }
    if !change::keep_tags(&previous, &mut next) {
        return Ok(Follows::AsItIs);
    }
    let entries = index::entries(context.access.tenant(), "Task", &next, &context.base);
    let draft = Draft { text: next.to_string().into(), entries, ..draft.clone() };
    Ok(Follows::Amended((draft, precondition.clone())))
}

/// Whether a version is the one that a change is about.
fn is_meant(precondition: &Precondition, version: u64) -> bool {
    match precondition {
        Precondition::None | Precondition::Present => true,
        Precondition::Version(versions) => versions.contains(&version),
        Precondition::Absent => false,
    }
}

/// What keeps the forms that a Task is completed with from being its answer. One that lives on another server is not
/// looked at.
async fn check_forms(
    tx: &mut Tx<'_>,
    context: &WriteContext,
    previous: &CdexTask<'_>,
    next: &Value,
) -> Result<Vec<Issue>, DbError> {
    let is_completed = |task: &CdexTask<'_>| task.status == Some(TaskStatus::Completed);
    let Some(next) = CdexTask::read(next).filter(|next| next.kind == TaskKind::DataQuestionnaire) else {
        return Ok(Vec::new());
    };
    if !is_completed(&next) || is_completed(previous) {
        return Ok(Vec::new());
    }
    // Whoever fills the form in may be somebody else than who completes the Task.
    let access = Access::of_worker(context.access.tenant());
    let mut issues = Vec::new();
    for reference in next.outputs(Output::QuestionnaireResponse).filter_map(reference_of) {
        let response = match (reference.strip_prefix('#'), Target::of(reference, &context.base)) {
            (Some(id), _) => contained(next.tree(), id).cloned(),
            (None, Target::Local { resource_type, id }) => {
                repository::read(tx, &access, resource_type, id).await?.and_then(|found| tree_of(&found))
            }
            (None, Target::Url(_)) => continue,
        };
        let Some(response) = response else {
            let text = "The output refers to a QuestionnaireResponse that is not here";
            issues.push(Issue::error(IssueType::BusinessRule, "Task.output", text));
            continue;
        };
        let form = match questionnaire::answered(&response) {
            Some(canonical) => find_form(tx, context, &access, canonical).await?,
            None => None,
        };
        issues.extend(questionnaire::check_answer(&next, &response, form.as_ref()));
    }
    Ok(issues)
}

/// The Questionnaire of this canonical URL, if it is here.
async fn find_form(
    tx: &mut Tx<'_>,
    context: &WriteContext,
    access: &Access,
    canonical: &str,
) -> Result<Option<Value>, DbError> {
    let tenant = access.tenant();
    let parameters = [("url".to_owned(), fhir::search::escaped(canonical).into_owned())];
    let Ok(query) = Query::parse(Scope::Type("Questionnaire"), &parameters, &context.base, true) else {
        return Ok(None);
    };
    let search = Search {
        types: vec![Space::of_type(tenant, "Questionnaire")],
        criterion: criteria::of(&query, tenant, context.clock.now()),
        order: Vec::new(),
        count: 1,
        after: None,
        count_to: 0,
    };
    let found = repository::search(tx, access, &search).await?.resources;
    Ok(found.first().and_then(tree_of))
}

fn contained<'a>(task: &'a Value, id: &str) -> Option<&'a Value> {
    let contained = task.get("contained")?.as_array()?;
    contained.iter().find(|resource| resource.get("id").and_then(Value::as_str) == Some(id))
}

fn tree_of(stored: &StoredResource) -> Option<Value> {
    fhir::parse(stored.content.as_ref()?).ok()
}
