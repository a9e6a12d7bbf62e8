//! The answer becomes true: the steps that lie between (accepted, in-progress), the last one with its outputs, the data
//! beside it and the audit rows, all in one transaction, and only if nobody changed the Task meanwhile.

use serde_json::Value;

use super::{Answer, Open};
use crate::agenda::{self, Errand, Item};
use crate::audit::{self, AuditOutcome};
use crate::auth::Access;
use crate::cdex::task::step::Step;
use crate::cdex::task::{CdexTask, Input, Output, TaskStatus};
use crate::clock::{SharedClock, Timestamp};
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::fhir::datatype;
use crate::repository::{self, Draft, Precondition, index};

/// The purposes that have a code (CDex value set `cdex-POU`): what else is said is not repeated in the audit rows.
const PURPOSES: [&str; 12] = [
    "COVERAGE",
    "CLMATTCH",
    "COVAUTH",
    "HQUALIMP",
    "HDM",
    "COC",
    "TREAT",
    "care-planning",
    "social-risk",
    "payment-noe",
    "operations-noe",
    "treatment-noe",
];

/// An answer, as a unit of writing.
struct Giving {
    item: Item,
    access: Access,
    clock: SharedClock,
    /// The versions of the Task, in order; the first follows the one that was looked at.
    steps: Vec<(Draft, Precondition)>,
    /// What is kept beside it.
    drafts: Vec<(Draft, Precondition)>,
    id: String,
    /// How it ended, and what for.
    detail: Vec<&'static str>,
    patient: Option<String>,
}

impl Exchange {
    /// Makes an answer true.
    pub(super) async fn give_answer(
        &self,
        item: &Item,
        open: &Open,
        answer: Answer,
    ) -> Result<(), FollowError> {
        let begets_errands = answer.drafts.iter().any(|draft| !draft.errands.is_empty());
        let steps = self.steps(item, open, &answer);
        let begets_errands = begets_errands || steps.iter().any(|(draft, _)| !draft.errands.is_empty());
        let giving = Giving {
            item: item.clone(),
            access: item.access(),
            clock: self.clock.clone(),
            id: open.id.clone(),
            detail: std::iter::once(answer.status.as_code()).chain(purpose(&open.tree)).collect(),
            patient: answer.patient.filter(|_| answer.status == TaskStatus::Completed),
            drafts: answer.drafts.into_iter().map(|draft| (draft, Precondition::None)).collect(),
            steps,
        };
        self.db.write(giving, |giving, tx| Box::pin(giving.write(tx))).await?;
        if begets_errands {
            self.agenda.wake();
        }
        Ok(())
    }

    /// The versions that lead from the one that was looked at to the answer, each a step of HRex's graph.
    fn steps(&self, item: &Item, open: &Open, answer: &Answer) -> Vec<(Draft, Precondition)> {
        let now = self.clock.now();
        let from = CdexTask::read(&open.tree).and_then(|task| task.status).unwrap_or(TaskStatus::Requested);
        let between: &[TaskStatus] = match (from, answer.status) {
            (_, TaskStatus::Rejected) => &[],
            (TaskStatus::Requested, _) => &[TaskStatus::Accepted, TaskStatus::InProgress],
            _ => &[TaskStatus::InProgress],
        };
        let mut trees: Vec<Value> =
            between.iter().map(|status| Step::from(&open.tree).status(*status, now).into_tree()).collect();
        trees.push(last(&open.tree, answer, now));
        let end = trees.len() - 1;
        let versions = (open.version..).zip(trees).enumerate();
        let drafts = versions.map(|(at, (version, tree))| {
            let mut draft = self.task_draft(&item.tenant, &open.id, &tree);
            if at < end {
                // It is found as what it becomes at once.
                draft.entries = Vec::new();
                draft.errands.retain(|errand| !matches!(errand, Errand::RemindTask));
            }
            draft.errands.retain(|errand| !matches!(errand, Errand::AnswerTask));
            (draft, Precondition::Version(vec![version]))
        });
        drafts.collect()
    }

    /// The next version of a Task, as it is kept.
    pub(in crate::exchange) fn task_draft(&self, tenant: &str, id: &str, tree: &Value) -> Draft {
        Draft {
            resource_type: "Task",
            id: id.to_owned(),
            text: tree.to_string().into(),
            entries: index::entries(tenant, "Task", tree, &self.settings.fhir_base),
            bytes: None,
            errands: self.errands_of("Task", tree),
        }
    }
}

impl Giving {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(());
        }
        // Whoever changed the Task meanwhile has brought an item of their own, or wants to answer themselves. Looked at
        // first: a later step would find the version that it expects where somebody else has made it.
        let there = repository::read_to_change(tx, &self.access, "Task", &self.id).await?;
        if there.is_none_or(|there| there.version != self.item.version || there.content.is_none()) {
            return Ok(());
        }
        let now = self.clock.now();
        repository::keep(tx, &self.access, &self.steps, false, now).await?;
        if !self.drafts.is_empty() {
            repository::keep(tx, &self.access, &self.drafts, true, now).await?;
        }
        let task = self.entry("answer-task", format!("Task/{}", self.id), self.detail.clone(), now);
        let patient =
            self.patient.as_ref().map(|id| self.entry("disclose", format!("Patient/{id}"), Vec::new(), now));
        let entries: Vec<audit::Entry> = std::iter::once(task).chain(patient).collect();
        audit::record_all(tx, &entries).await
    }

    fn entry(
        &self,
        action: &'static str,
        entity: String,
        detail: Vec<&'static str>,
        at: Timestamp,
    ) -> audit::Entry {
        audit::Entry {
            tenant: self.item.tenant.clone(),
            owner: self.item.owner.clone(),
            at,
            action,
            outcome: AuditOutcome::Success,
            entity: Some(entity),
            detail,
            request_id: None,
        }
    }
}

/// The version that ends it.
fn last(task: &Value, answer: &Answer, now: Timestamp) -> Value {
    let step = Step::from(task).status(answer.status, now);
    let step = match (&answer.reason, answer.status) {
        (None, _) => step,
        // Why it waits is no reason for its end.
        (Some(reason), TaskStatus::OnHold) => step.business_status(reason),
        (Some(reason), _) => step.reason(reason),
    };
    let step = answer.contained.iter().fold(step, |step, resource| step.contained(resource.clone()));
    answer.outputs.iter().fold(step, |step, reference| step.output(Output::Data, reference)).into_tree()
}

/// What the data are for, in the codes of CDex.
fn purpose(task: &Value) -> impl Iterator<Item = &'static str> {
    let purposes = CdexTask::read(task).into_iter().flat_map(|task| task.values(Input::PurposeOfUse));
    let codes: Vec<&str> = purposes.flat_map(datatype::codings).filter_map(|coding| coding.code).collect();
    PURPOSES.into_iter().filter(move |purpose| codes.contains(purpose)).collect::<Vec<_>>().into_iter()
}
