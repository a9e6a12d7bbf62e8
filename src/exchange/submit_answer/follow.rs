//! An answer was settled by its delivery: the Task says so, links what was sent, and ends with the last answer.

use std::sync::Arc;

use serde_json::Value;

use super::progress::{Advance, Stage};
use super::store::{self, Answer, AnswerState, SentContent};
use super::{Present, Written, again, keep_versions};
use crate::agenda::{self, Item};
use crate::auth::Access;
use crate::cdex::attachment_request::AttachmentRequest;
use crate::cdex::task::TaskStatus;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery::{self, AttemptOutcome, DeliveryStatus, HELD};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::follow_delivery::Settled;
use crate::exchange::match_patient::tree_of;
use crate::repository::{self, Draft, Precondition};

/// How an attempt tells what the payer answered.
const ANSWERED: &str = "the partner answered with status ";

/// What becomes true at once.
struct Unit {
    item: Item,
    access: Access,
    task: String,
    number: u64,
    state: AnswerState,
    drafts: Vec<(Draft, Precondition)>,
    now: Timestamp,
}

impl Exchange {
    /// Goes on with the Task whose answer was delivered or given up; `what` is `{task id}/{number}`.
    pub(in crate::exchange) async fn follow_answer(
        self: &Arc<Self>,
        item: &Item,
        settled: &Settled,
        what: &str,
    ) -> Result<(), FollowError> {
        let access = item.access();
        let named = what.split_once('/').and_then(|(task, number)| Some((task, number.parse::<u64>().ok()?)));
        let Some((id, number)) = named else { return Ok(self.forget(item).await?) };
        let (task, answers) = {
            let mut reader = self.db.reader().await?;
            let task = repository::read(&mut reader.tx(), &access, "Task", id).await?;
            (task, store::list(&mut reader.tx(), &access, id).await?)
        };
        let delivered = settled.delivery.status == DeliveryStatus::Delivered;
        let state = if delivered { AnswerState::Delivered } else { AnswerState::Dead };
        let now = self.clock.now();
        let present = match task.filter(|task| task.content.is_some()) {
            Some(task) => Some(Present { version: task.version, tree: tree_of(&task)?, id: task.id }),
            None => None,
        };
        let drafts = present
            .filter(|task| TaskStatus::of(&task.tree).is_some_and(|status| !status.is_terminal()))
            .and_then(|task| {
                let step = if delivered {
                    after(&task.tree, (&answers, number), is_held(settled))
                } else {
                    Some(given_up(settled))
                };
                Some(self.drafts(&access, &task, &step?, now))
            })
            .unwrap_or_default();
        let unit = Unit { item: item.clone(), access, task: id.to_owned(), number, state, drafts, now };
        let written: Result<Written, DbError> =
            self.db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await;
        written?;
        self.agenda.wake();
        Ok(())
    }
}

impl Unit {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<Written, DbError> {
        let Self { item, access, task, number, state, drafts, now } = self;
        if !agenda::done(tx, item).await? {
            return Ok(Written::Lost);
        }
        let follows = drafts.first().and_then(|(_, follows)| match follows {
            Precondition::Version(versions) => versions.first().copied(),
            Precondition::None | Precondition::Present | Precondition::Absent => None,
        });
        if !keep_versions(tx, (access, task), follows, drafts, *now).await? {
            agenda::add(tx, &[again(item, *now)]).await?;
            return Ok(Written::Changed);
        }
        store::settle(tx, (access, task), *number, *state).await?;
        delivery::followed(tx, access, &item.subject, *now).await?;
        Ok(Written::All)
    }
}

/// What becomes of a Task when one of its answers was received; `None` if there is no such answer.
fn after(task: &Value, (answers, number): (&[Answer], u64), is_held: bool) -> Option<Advance> {
    let answer = answers.iter().find(|answer| answer.number == number)?;
    let is_received = |answer: &Answer| answer.number == number || answer.state == AnswerState::Delivered;
    let received: Vec<SentContent> = answers
        .iter()
        .filter(|answer| is_received(answer))
        .flat_map(|answer| answer.contents.clone())
        .collect();
    let is_whole = answers.iter().any(|answer| answer.is_last && is_received(answer))
        && answers.iter().all(|answer| is_received(answer) || answer.state == AnswerState::Dead);
    let step = if is_whole {
        // cdex §5.5: that it was received is all that the answer says.
        let (code, text) = if is_held {
            ("held", "Submitted, and held by the payer for a claim that is not known there yet")
        } else {
            ("submitted", "Submitted, and received by the payer")
        };
        Advance::to(TaskStatus::Completed, Stage::new(code, text))
    } else {
        let needed = AttachmentRequest::read(task).map_or(0, |request| request.needed.len());
        let mut inputs: Vec<usize> = received.iter().map(|content| content.input).collect();
        inputs.sort_unstable();
        inputs.dedup();
        let text = format!("Submitted in part: {} of {needed} received by the payer", inputs.len());
        Advance::to(TaskStatus::InProgress, Stage::new("submitted-in-part", text))
    };
    let sent = if is_whole { received } else { answer.contents.clone() };
    Some(Advance { sent, ..step })
}

/// Whether the payer said that it holds what it received for a claim that it does not know yet.
fn is_held(settled: &Settled) -> bool {
    match settled.last.as_ref().map(|attempt| &attempt.outcome) {
        Some(AttemptOutcome::Success { remark: Some(remark), .. }) => {
            remark.split(", ").any(|word| word == HELD)
        }
        _ => false,
    }
}

/// What becomes of a Task whose answer was given up: the payer refused it, or could not be reached all the time. In the
/// second case a person can send the Task on its way again.
fn given_up(settled: &Settled) -> Advance {
    let issue = match settled.last.as_ref().map(|attempt| &attempt.outcome) {
        Some(AttemptOutcome::Failure { issue, .. }) => issue.as_str(),
        Some(AttemptOutcome::Success { .. }) | None => "",
    };
    if is_refusal(issue) {
        let reason = format!("The payer did not take the attachments: {issue}");
        let stage = Stage::new("refused", "The payer did not take the attachments");
        return Advance { reason: Some(reason), ..Advance::to(TaskStatus::Failed, stage) };
    }
    let text = "The payer could not be reached; the status in-progress sends the attachments again";
    Advance::to(TaskStatus::OnHold, Stage::new("unreachable", text))
}

/// Whether an attempt ended because the payer refused what was sent, and would again: not because it let nobody in or
/// had no time. One that sends us elsewhere does so every time, and no redirect is followed.
fn is_refusal(issue: &str) -> bool {
    let status = issue.strip_prefix(ANSWERED).and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    status
        .is_some_and(|status| (300..500).contains(&status) && !matches!(status, 401 | 403 | 408 | 425 | 429))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::DeliveryError;

    #[test]
    fn a_refusal_is_known_by_what_attempts_say_of_one() {
        let refused = |status| DeliveryError::Refused { status, retry_after: None, codes: String::new() };
        for (status, is_final) in [
            (301, true),
            (307, true),
            (400, true),
            (404, true),
            (413, true),
            (422, true),
            (401, false),
            (408, false),
            (429, false),
            (503, false),
        ] {
            assert_eq!(is_refusal(&refused(status).to_string()), is_final, "{status}");
        }
        assert!(!is_refusal("the partner gave no answer"));
    }

    #[test]
    fn a_task_ends_when_the_last_of_its_answers_was_received_and_no_other_is_on_its_way() {
        let answer = |number: u64, state, is_last| Answer {
            number,
            state,
            is_last,
            contents: vec![SentContent {
                input: usize::try_from(number).expect("small"),
                reference: format!("DocumentReference/{number}"),
                is_form: false,
            }],
        };
        let task = json!({ "resourceType": "Task", "status": "in-progress" });
        let cases = [
            (vec![answer(1, AnswerState::Sent, true)], 1, TaskStatus::Completed, 1),
            (vec![answer(1, AnswerState::Sent, false)], 1, TaskStatus::InProgress, 1),
            (
                vec![answer(1, AnswerState::Delivered, false), answer(2, AnswerState::Sent, true)],
                2,
                TaskStatus::Completed,
                2,
            ),
            (
                vec![answer(1, AnswerState::Sent, false), answer(2, AnswerState::Sent, true)],
                2,
                TaskStatus::InProgress,
                1,
            ),
            (
                vec![answer(1, AnswerState::Dead, true), answer(2, AnswerState::Sent, true)],
                2,
                TaskStatus::Completed,
                1,
            ),
        ];
        for (answers, number, status, sent) in cases {
            let step = after(&task, (&answers, number), false).expect("there is such an answer");
            assert_eq!((step.status, step.sent.len()), (status, sent), "{answers:?}");
        }
        assert!(after(&task, (&[], 1), false).is_none());
    }
}
