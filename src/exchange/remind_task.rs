//! A Task that is not answered by the end of its period gets a tag that searches and people find (`_tag=overdue`). The
//! tag stays when the Task is answered: it was late.

use super::Exchange;
use super::follow_agenda::FollowError;
use crate::agenda::{self, Errand, Item, NewItem};
use crate::audit::{self, AuditOutcome};
use crate::cdex::tag;
use crate::cdex::task::step::Step;
use crate::cdex::task::{CdexTask, TaskStatus};
use crate::clock::{SharedClock, Timestamp};
use crate::db::{DbError, Tx};
use crate::fhir;
use crate::repository::{self, Draft, Precondition};

/// What an errand comes to.
enum Reminder {
    /// Nothing any more.
    Nothing,
    /// To come back at this moment.
    At(Timestamp),
    /// The next version of the Task.
    Now(Box<(Draft, Precondition)>),
}

impl Exchange {
    /// Tags a Task whose time is over, or waits until it is.
    pub(super) async fn remind_task(&self, item: &Item) -> Result<(), FollowError> {
        let reminder = self.reminder(item).await?;
        let state = (item.clone(), reminder, self.clock.clone());
        let write =
            self.db.write(state, |(item, reminder, clock), tx| Box::pin(settle(tx, item, reminder, clock)));
        write.await.map_err(FollowError::Db)
    }

    async fn reminder(&self, item: &Item) -> Result<Reminder, DbError> {
        let Some((_, id)) = item.resource() else { return Ok(Reminder::Nothing) };
        let (id, moment) = id.split_once('/').map_or((id, None), |(id, moment)| (id, Some(moment)));
        let mut reader = self.db.reader().await?;
        let there = repository::read(&mut reader.tx(), &item.access(), "Task", id).await?;
        let Some((version, content)) = there.and_then(|there| Some((there.version, there.content?))) else {
            return Ok(Reminder::Nothing);
        };
        let unreadable = |_| DbError::inconsistent("resource", "content", id);
        let tree = fhir::parse(&content).map_err(unreadable)?;
        let Some(task) = CdexTask::read(&tree) else { return Ok(Reminder::Nothing) };
        let Some(due) = task.due() else { return Ok(Reminder::Nothing) };
        let is_over = task.status.is_none_or(TaskStatus::is_terminal);
        if is_over || task.has_tag(tag::TAGS, tag::OVERDUE) {
            return Ok(Reminder::Nothing);
        }
        if self.clock.now() < due {
            // A moment that has changed since has an item of its own.
            return Ok(if moment.is_none() { Reminder::At(due) } else { Reminder::Nothing });
        }
        let next = [Step::from(&tree).tag(tag::TAGS, tag::OVERDUE).into_tree()];
        let next = self.task_drafts(&item.tenant, (id, version), &next, Errand::RemindTask).pop();
        Ok(next.map_or(Reminder::Nothing, |next| Reminder::Now(Box::new(next))))
    }
}

async fn settle(
    tx: &mut Tx<'_>,
    item: &Item,
    reminder: &Reminder,
    clock: &SharedClock,
) -> Result<(), DbError> {
    if !agenda::done(tx, item).await? {
        return Ok(());
    }
    let now = clock.now();
    match reminder {
        Reminder::Nothing => Ok(()),
        Reminder::At(due) => {
            // Under a name of its own, so that other moments of the same Task do not wait for this one.
            let again = NewItem {
                tenant: item.tenant.clone(),
                owner: item.owner.clone(),
                errand: Errand::RemindTask,
                subject: format!("{}/{}", item.subject, due.as_nanos()),
                version: item.version,
                due_at: *due,
            };
            agenda::add(tx, &[again]).await
        }
        Reminder::Now(next) => {
            // If somebody changed the Task meanwhile, that version has brought an item of its own.
            repository::keep(tx, &item.access(), std::slice::from_ref(&**next), false, now).await?;
            let entry = audit::Entry {
                tenant: item.tenant.clone(),
                owner: item.owner.clone(),
                at: now,
                action: "remind-task",
                outcome: AuditOutcome::Success,
                entity: Some(format!("Task/{}", next.0.id)),
                detail: Vec::new(),
                request_id: None,
            };
            audit::record(tx, &entry).await
        }
    }
}
