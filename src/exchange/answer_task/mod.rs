//! A CDex data request that the gateway can answer by itself: a search, or documents by their code, always of the one
//! patient whom the Task is about (cdex.md 6.3). [`authorize`] looks at what the request rests on, [`patient`] finds
//! out who is meant, [`find`] searches here or where the data live, [`output`] makes the answer what was agreed, and
//! [`give`] makes it true: every step of the Task, the data and the audit rows in one transaction.
//!
//! Whatever needs a person stays in the work queue as it is; so does what must be signed where the gateway has no key.

mod authorize;
mod find;
mod give;
mod output;
mod patient;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use self::patient::Patient;
use super::Exchange;
use super::follow_agenda::FollowError;
use super::interaction::{InteractionError, Requester};
use crate::agenda::Item;
use crate::auth::{Access, Caller};
use crate::cdex::signature::Signer;
use crate::cdex::tag;
use crate::cdex::task::query::PatientSearch;
use crate::cdex::task::{Asked, CdexTask, LOINC, TaskStatus};
use crate::config::{NoMatch, TaskPolicy};
use crate::db::DbError;
use crate::fhir;
use crate::fhir::datatype::Coding;
use crate::partner::{Partner, Policy};
use crate::repository::{self, Draft};
use crate::upstream::{UpstreamError, View};

/// What CDex says of a request that nothing matches (`cdex-task-example9`).
const NO_RESULTS: &str = "No matching results";

/// A Task that is to be answered.
struct Open {
    /// Its id.
    id: String,
    /// The version that was looked at.
    version: u64,
    /// What that version says.
    tree: Value,
    /// What is agreed with whoever asks.
    policy: Policy,
    /// Who asks, if that is a partner.
    partner: Option<Arc<Partner>>,
    /// Who signs the answer, if it must be signed.
    signer: Option<Arc<Signer>>,
}

/// The gateway, looking for what it was asked for in the data of all owners: who asks has none.
struct Seeker {
    requester: Requester,
    access: Access,
}

impl Seeker {
    fn of(tenant: &str, base: Arc<str>) -> Self {
        let access = Access::of_worker(tenant);
        let caller = Caller::of_worker(&access);
        Self { requester: Requester { caller, request_id: String::new(), base }, access }
    }

    /// What is seen on the server where the data live: those of one patient, or all.
    fn view<'s>(&'s self, patient: Option<&'s str>) -> View<'s> {
        View { access: &self.access, base: &self.requester.base, patient, may_see: None }
    }
}

/// What is answered.
struct Answer {
    /// Where the Task ends, or waits for a person.
    status: TaskStatus,
    /// Why, where it is not completed.
    reason: Option<String>,
    /// What the outputs refer to.
    outputs: Vec<String>,
    /// What is put into the Task.
    contained: Option<Value>,
    /// What is kept beside it.
    drafts: Vec<Draft>,
    /// Whose data it is.
    patient: Option<String>,
}

impl Answer {
    fn without_data(status: TaskStatus, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: Some(reason.into()),
            outputs: Vec::new(),
            contained: None,
            drafts: Vec::new(),
            patient: None,
        }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self::without_data(TaskStatus::Failed, reason)
    }

    fn rejected(reason: impl Into<String>) -> Self {
        Self::without_data(TaskStatus::Rejected, reason)
    }
}

/// Why there is no answer yet.
enum NoAnswer {
    /// There will be none, and the Task says so.
    Never(Answer),
    /// It cannot be told now.
    Now(FollowError),
}

impl From<Answer> for NoAnswer {
    fn from(answer: Answer) -> Self {
        Self::Never(answer)
    }
}

impl From<DbError> for NoAnswer {
    fn from(error: DbError) -> Self {
        Self::Now(error.into())
    }
}

impl From<InteractionError> for NoAnswer {
    fn from(error: InteractionError) -> Self {
        match error {
            InteractionError::Db(error) => error.into(),
            InteractionError::Malformed(_)
            | InteractionError::Invalid(_)
            | InteractionError::Upstream(UpstreamError::NotTaken(_)) => {
                let texts: Vec<String> = error
                    .issues()
                    .into_iter()
                    .filter(fhir::Issue::is_error)
                    .map(|issue| issue.text)
                    .collect();
                Self::Never(Answer::failed(format!("The query cannot be run: {}", texts.join("; "))))
            }
            error => Self::Now(FollowError::Unavailable(error.to_string())),
        }
    }
}

impl Exchange {
    /// Answers a Task if that is still to be done.
    pub(super) async fn answer_task(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let Some(open) = self.open_task(item).await? else { return Ok(self.forget(item).await?) };
        let answer = match self.answer(item, &open).await {
            Ok(Some(answer)) | Err(NoAnswer::Never(answer)) => answer,
            Ok(None) => return Ok(self.forget(item).await?),
            Err(NoAnswer::Now(error)) => return Err(error),
        };
        self.give_answer(item, &open, answer).await
    }

    /// The Task, if the version that was to be answered is still the present one and the gateway is to answer it.
    async fn open_task(&self, item: &Item) -> Result<Option<Open>, DbError> {
        let Some((_, id)) = item.resource() else { return Ok(None) };
        let there = {
            let mut reader = self.db.reader().await?;
            repository::read(&mut reader.tx(), &item.access(), "Task", id).await?
        };
        // Somebody else's version has brought its own errands.
        let Some(there) = there.filter(|there| there.version == item.version) else { return Ok(None) };
        let Some(content) = there.content else { return Ok(None) };
        let tree = fhir::parse(&content).map_err(|_| DbError::inconsistent("resource", "content", id))?;
        let Some(task) = CdexTask::read(&tree) else { return Ok(None) };
        let policy = self.policy_of_task(Some(&item.owner), &task).clone();
        let is_ours = match policy.tasks {
            TaskPolicy::Automatic => task.status == Some(TaskStatus::Requested),
            // Whoever skips a step has taken it (cdex.md 6.1); on hold a person keeps it from us.
            TaskPolicy::Review => {
                matches!(task.status, Some(TaskStatus::Accepted | TaskStatus::InProgress))
            }
        };
        let must_be_signed = policy.sign || task.asks_for_signature();
        let signer = self.signatures.signer().filter(|_| must_be_signed).cloned();
        if !is_ours || (must_be_signed && signer.is_none()) || task.has_tag(tag::TAGS, tag::SENT) {
            return Ok(None);
        }
        let partner = self.partner_of_task(Some(&item.owner), &task).cloned();
        Ok(Some(Open { id: id.to_owned(), version: item.version, policy, partner, signer, tree }))
    }

    /// The answer; none where only a person can give it.
    async fn answer(&self, item: &Item, open: &Open) -> Result<Option<Answer>, NoAnswer> {
        let Some(task) = CdexTask::read(&open.tree) else { return Ok(None) };
        let seeker = Seeker::of(&item.tenant, self.settings.fhir_base.clone());
        let (search, is_query) = match task.asked() {
            Asked::Query(text) => {
                let search = PatientSearch::parse(text, &seeker.requester.base);
                (search.map_err(|refused| Answer::failed(refused.text()))?, true)
            }
            Asked::Coded(codings) => {
                let known: Vec<Coding<'_>> =
                    codings.into_iter().filter(|it| it.system.is_none_or(|it| it == LOINC)).collect();
                if known.is_empty() {
                    return Ok(None);
                }
                (PatientSearch::of_documents(&known), false)
            }
            Asked::FreeText | Asked::Questionnaires(_) | Asked::Attachments | Asked::Nothing => {
                return Ok(None);
            }
        };
        let mut drafts = self.authorize(item, open, &task, &seeker).await?;
        let patient = match self.patient_of(&seeker, &task).await? {
            Patient::One(id) => id,
            Patient::Unknown => return Ok(Some(Answer::failed(NO_RESULTS))),
            Patient::Several => {
                let text = "Several patients have this identifier: a person must say who is meant";
                return Ok(Some(Answer::without_data(TaskStatus::OnHold, text)));
            }
        };
        for other in search.others(&patient) {
            if self.is_known_patient(&seeker, other).await? {
                return Ok(Some(Answer::rejected("The query names another patient than the Task")));
            }
        }
        let found = self.find_record(&seeker, &search, &patient).await?;
        let may_be_empty = is_query && open.policy.no_match == NoMatch::Completed;
        if !found.has_matches() && !may_be_empty {
            return Ok(Some(Answer { drafts, ..Answer::failed(NO_RESULTS) }));
        }
        let mut answer = self.output_of(item, open, &seeker, (&patient, found), is_query).await?;
        drafts.append(&mut answer.drafts);
        Ok(Some(Answer { drafts, patient: Some(patient), ..answer }))
    }
}
