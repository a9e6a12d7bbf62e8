//! The answer becomes true: the steps that lie between (accepted, in-progress), the last one with its outputs, the data
//! beside it and the audit rows, all in one transaction, and only if nobody changed the Task meanwhile.

use serde_json::Value;

use super::{Answer, Open};
use crate::agenda::{self, Errand, Item};
use crate::audit::{self, AuditOutcome};
use crate::auth::Access;
use crate::cdex::task::step::{self, Step};
use crate::cdex::task::{CdexTask, Input, Output, TaskStatus};
use crate::clock::{SharedClock, Timestamp};
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::fhir::datatype;
use crate::repository::{self, Draft, Precondition};

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
        let last = |last: Step| {
            let last = match (&answer.reason, answer.status) {
                (None, _) => last,
                // Why it waits is no reason for its end.
                (Some(reason), TaskStatus::OnHold) => last.business_status(reason),
                (Some(reason), _) => last.reason(reason),
            };
            let last = answer.contained.iter().fold(last, |last, it| last.contained(it.clone()));
            answer.outputs.iter().fold(last, |last, reference| last.output(Output::Data, reference))
        };
        let versions = step::versions(&open.tree, ended(&open.tree, answer.status), self.clock.now(), last);
        self.task_drafts(&item.tenant, (&open.id, open.version), &versions, Errand::AnswerTask)
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

/// Where an answer leaves a Task: one that was accepted cannot be rejected any more (cdex.md 6.1).
fn ended(task: &Value, wanted: TaskStatus) -> TaskStatus {
    match TaskStatus::of(task) {
        Some(from) if !from.may_become(wanted) => TaskStatus::Failed,
        _ => wanted,
    }
}

/// What the data are for, in the codes of CDex.
fn purpose(task: &Value) -> impl Iterator<Item = &'static str> {
    let purposes = CdexTask::read(task).into_iter().flat_map(|task| task.values(Input::PurposeOfUse));
    let codes: Vec<&str> = purposes.flat_map(datatype::codings).filter_map(|coding| coding.code).collect();
    PURPOSES.into_iter().filter(move |purpose| codes.contains(purpose)).collect::<Vec<_>>().into_iter()
}
