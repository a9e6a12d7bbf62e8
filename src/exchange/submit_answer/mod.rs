//! A payer asks for attachments by a Task, and the gateway answers with `$submit-attachment` as soon as what is asked
//! for is there: linked to the Task by a person or the EHR, or found by its type (CDex, "Requesting attachments").
//!
//! Each version of such a Task comes here by its errand. [`mod@gather`] says what is there, [`records`] where that is
//! looked up, [`mod@compose`] writes the body, [`endpoint`] says where it goes, and one unit makes true that it is
//! sent: the message, the row by which it is sent once, the next versions of the Task ([`progress`]). [`mod@follow`]
//! tells the Task what came of it. A Task that waits is known by the names of what it waits for ([`wait`]), so that a
//! document that comes later finds it.

mod compose;
mod endpoint;
mod follow;
mod gather;
mod progress;
mod records;
mod store;
#[cfg(test)]
mod tests;
mod wait;

use std::sync::Arc;

use serde_json::Value;

use self::compose::compose;
use self::endpoint::Endpoint;
use self::gather::{Gathered, Ready, Unready, gather};
use self::progress::{Advance, Stage};
use self::records::Records;
use self::store::{Answer, AnswerState, NewAnswer, SentContent};
use super::Exchange;
use super::follow_agenda::FollowError;
use super::match_patient::tree_of;
use super::send_message::{Composed, Message, Outgoing};
use crate::agenda::{self, Errand, Item, NewItem};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Access;
use crate::cdex::attachment_request::{AttachmentRequest, What};
use crate::cdex::task::{CdexTask, TaskStatus};
use crate::clock::Timestamp;
use crate::config::TaskPolicy;
use crate::db::{DbError, Tx};
use crate::fhir::FHIR_JSON;
use crate::repository::{self, Draft, Precondition};

pub(super) use compose::ComposeError;
pub(crate) use wait::Awaiting;

/// The route of submissions in their manifest.
pub(super) const SUBMISSION_ROUTE: &str = "submission";
/// The word of an answer in audit rows.
const ACTION: &str = "submit-answer";

/// A Task as the errand finds it.
struct Present {
    id: String,
    version: u64,
    tree: Value,
}

/// What is to be done now.
enum Plan {
    /// Nothing: the Task is finished, or somebody else's to go on with, or on its way.
    Leave,
    /// The same, but documents that come later may change that.
    Listen(Names),
    /// The Task says how far it is, and documents that come later may change that.
    Wait(Advance, Names),
    /// The Task can never be answered.
    Refuse(Advance),
    /// This is sent, and documents that come later are what is still missing.
    Send { step: Advance, answer: NewAnswer, composed: Box<Composed>, names: Names },
}

/// The names by which a document can turn out to be meant for a Task.
type Names = Vec<[u8; 32]>;

/// Everything that becomes true at once.
struct Unit {
    item: Item,
    access: Access,
    task: String,
    /// The version of the Task that was looked at.
    version: u64,
    drafts: Vec<(Draft, Precondition)>,
    sent: Option<(Outgoing, NewAnswer)>,
    /// Under which names the Task waits from now on; not at all if there are none.
    names: Names,
    audit: Option<Entry>,
    now: Timestamp,
}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// All of it is true.
    All,
    /// Nothing is: somebody else has the errand now.
    Lost,
    /// Nothing is: the Task was changed meanwhile, and the errand is on the agenda again.
    Changed,
}

impl Exchange {
    /// Answers an attachment request as far as it can be answered now.
    pub(super) async fn submit_attachments(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let Some(task) = self.present_task(item).await? else { return self.stop_waiting(item).await };
        let plan = self.plan(item, &task).await?;
        let now = self.clock.now();
        let (step, names, sent) = match plan {
            Plan::Leave => (None, Names::new(), None),
            Plan::Listen(names) => (None, names, None),
            Plan::Wait(step, names) => (Some(step), names, None),
            Plan::Refuse(step) => (Some(step), Names::new(), None),
            Plan::Send { step, answer, composed, names } => (Some(step), names, Some((answer, composed))),
        };
        let drafts = step.map(|step| self.drafts(&item.access(), &task, &step, now)).unwrap_or_default();
        let is_waiting = !names.is_empty();
        let unit = Unit {
            item: item.clone(),
            access: item.access(),
            audit: sent.is_some().then(|| audit_entry(item, now)),
            sent: sent.as_ref().map(|(answer, composed)| (composed.outgoing(), answer.clone())),
            version: task.version,
            task: task.id,
            drafts,
            names,
            now,
        };
        let written = self.db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await;
        if let Some((_, composed)) = sent {
            composed.settle(&written, |written| *written == Written::All).await;
            self.deliveries.wake();
        }
        if is_waiting {
            // Again, after the commit: whoever looked meanwhile saw nobody waiting.
            self.awaiting.begin();
        }
        self.agenda.wake();
        Ok(written.map(drop)?)
    }

    /// The Task of an errand, if it is there and an attachment request.
    async fn present_task(&self, item: &Item) -> Result<Option<Present>, FollowError> {
        let Some(("Task", id)) = item.resource() else { return Ok(None) };
        let mut reader = self.db.reader().await?;
        let found = repository::read(&mut reader.tx(), &item.access(), "Task", id).await?;
        let Some(found) = found.filter(|task| task.content.is_some()) else { return Ok(None) };
        let tree = tree_of(&found)?;
        Ok(AttachmentRequest::is_one(&tree).then_some(Present { id: found.id, version: found.version, tree }))
    }

    /// What is to be done, as far as the Task itself says.
    async fn plan(&self, item: &Item, task: &Present) -> Result<Plan, FollowError> {
        let status = TaskStatus::of(&task.tree);
        // Whoever else put it on hold takes it off again.
        let is_held = status == Some(TaskStatus::OnHold) && !Stage::is_at(&task.tree, Stage::NO_PARTNER);
        let Some(cdex) = CdexTask::read(&task.tree) else { return Ok(Plan::Leave) };
        if is_held || status.is_none_or(TaskStatus::is_terminal) {
            return Ok(Plan::Leave);
        }
        let is_new = status == Some(TaskStatus::Requested);
        // Not even a refusal goes out before a person has looked at it.
        if is_new && self.policy_of_task(None, &cdex).tasks == TaskPolicy::Review {
            return Ok(Plan::Leave);
        }
        let mut request = match AttachmentRequest::read(&task.tree) {
            Ok(request) => request,
            Err(issues) => {
                let elements: Vec<_> =
                    issues.iter().filter_map(|issue| issue.expression.as_deref()).collect();
                let reason = format!("The request cannot be answered without {}", elements.join(", "));
                let to = if is_new { TaskStatus::Rejected } else { TaskStatus::Failed };
                let stage = Stage::new("unanswerable", "The request is not complete");
                return Ok(Plan::Refuse(Advance { reason: Some(reason), ..Advance::to(to, stage) }));
            }
        };
        // Who asks to have it sent here is the payer itself, and the Task is its own copy.
        let own = |url: &String| {
            url.strip_prefix(&*self.settings.fhir_base).is_some_and(|rest| rest.starts_with('/'))
        };
        if request.submit_url().as_ref().is_some_and(own) {
            return Ok(Plan::Leave);
        }
        let before = {
            let mut reader = self.db.reader().await?;
            store::list(&mut reader.tx(), &item.access(), &task.id).await?
        };
        if is_ended(&before, request.may_be_several) {
            return Ok(Plan::Leave);
        }
        let payer = self.payer_of(&request).map(Arc::as_ref);
        request.must_be_signed |= self.partners.policy(payer).sign;
        self.plan_answer(item, task, &request, &before).await
    }

    /// What is to be done, as far as what is there says.
    async fn plan_answer(
        &self,
        item: &Item,
        task: &Present,
        request: &AttachmentRequest,
        before: &[Answer],
    ) -> Result<Plan, FollowError> {
        // Before anything is looked up: a document that is kept from here on comes by its own errand.
        self.awaiting.begin();
        let records = Records::new(self, self.requester(&Access::of_worker(&item.tenant)));
        let signs = self.signatures.signer().is_some();
        let Gathered { ready, unready, patient } =
            gather(&records, (&task.tree, &task.id), request, signs).await?;
        let names = wait::names(request, patient.as_deref(), &task.tree);
        let new: Vec<Ready> = ready.into_iter().filter(|ready| !is_sent(before, request, ready)).collect();
        let missing: Vec<(usize, Unready)> = unready
            .into_iter()
            .filter(|(index, _)| !is_answered(before, request.needed[*index].input))
            .collect();
        let may_send = !new.is_empty() && (missing.is_empty() || request.may_be_several);
        if may_send {
            return self
                .plan_message(
                    item,
                    (task, request),
                    (&records, names),
                    before.len(),
                    (&new, missing.is_empty()),
                )
                .await;
        }
        let is_form = request.needed.iter().all(|needed| matches!(needed.what, What::Questionnaire(_)));
        let is_untouched = TaskStatus::of(&task.tree) == Some(TaskStatus::Requested)
            && missing.iter().all(|(_, why)| *why == Unready::Missing);
        // Nobody but a person or the EHR can begin with a form: the Task stays in the work queue. And of one that is
        // answered in part its answers tell how far it is.
        if (is_form && is_untouched) || sent(before).next().is_some() {
            return Ok(Plan::Listen(names));
        }
        Ok(Plan::Wait(Advance::to(TaskStatus::InProgress, waiting(request, &missing)), names))
    }

    /// A message with what is ready; or why there is none.
    async fn plan_message(
        &self,
        item: &Item,
        (task, request): (&Present, &AttachmentRequest),
        (records, names): (&Records<'_>, Names),
        answers_before: usize,
        (ready, is_last): (&[Ready], bool),
    ) -> Result<Plan, FollowError> {
        let Endpoint { partner, url } = match self.endpoint_of(item, request).await? {
            Ok(endpoint) => endpoint,
            Err(stage) => return Ok(Plan::Wait(Advance::to(TaskStatus::OnHold, stage), names)),
        };
        let access = item.access();
        let (spool, spooled) = match compose(self, records, &access, request, (ready, is_last)).await {
            Ok(composed) => composed,
            Err(ComposeError::Unreadable(index)) => {
                let text = "an attachment of what answers it leads to nothing that can be read";
                return Ok(Plan::Wait(held_up("waiting-for-documents", request, index, text), names));
            }
            Err(ComposeError::Unsignable(index)) => {
                let text =
                    "what answers it is too long to be signed here, or has a number that no signature covers";
                return Ok(Plan::Wait(held_up("waiting-for-signature", request, index, text), names));
            }
            Err(error) => return Err(error.into()),
        };
        let message = Message {
            route: SUBMISSION_ROUTE,
            content_type: FHIR_JSON.to_owned(),
            partner: partner.name.clone(),
            url,
            headers: Vec::new(),
            timeout: None,
            ordering_key: Some(format!("Task/{}", task.id)),
            followed_by: Some(format!("Task/{}/{}", task.id, answers_before + 1)),
        };
        let contents = ready.iter().map(|ready| sent_content(request, ready)).collect();
        let answer = NewAnswer { is_last, sha256: spooled.sha256, contents, upload_id: spooled.id };
        let composed = Box::new(Self::compose_spooled(&access, message, spool, spooled));
        let stage = Stage::new("submitting", "The attachments are on their way to the payer");
        let names = if is_last { Names::new() } else { names };
        Ok(Plan::Send { step: Advance::to(TaskStatus::InProgress, stage), answer, composed, names })
    }

    /// The next versions of a Task as they are kept. They come from here and need not come here again.
    fn drafts(
        &self,
        access: &Access,
        task: &Present,
        step: &Advance,
        now: Timestamp,
    ) -> Vec<(Draft, Precondition)> {
        let versions = step.versions(&task.tree, now);
        let follows = (&*task.id, task.version);
        self.task_drafts(access.tenant(), follows, &versions, Errand::SubmitAttachments)
    }
}

impl Unit {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<Written, DbError> {
        let Self { item, access, task, version, drafts, sent, names, audit, now } = self;
        if !agenda::done(tx, item).await? {
            return Ok(Written::Lost);
        }
        // Where nothing changes it is no matter what the Task has become.
        let follows = (!drafts.is_empty() || sent.is_some()).then_some(*version);
        if !keep_versions(tx, (access, task), follows, drafts, *now).await? {
            agenda::add(tx, &[again(item, *now)]).await?;
            return Ok(Written::Changed);
        }
        if let Some((outgoing, answer)) = sent {
            outgoing.write(tx, *now).await?;
            store::insert(tx, (access, task), answer, *now).await?;
        }
        if let Some(entry) = audit {
            audit::record(tx, entry).await?;
        }
        wait::write(tx, (access, task), names, *now).await?;
        Ok(Written::All)
    }
}

/// Keeps the next versions of a Task, if there are any; none of them, and `false`, if it is not the version that they
/// follow.
async fn keep_versions(
    tx: &mut Tx<'_>,
    (access, task): (&Access, &str),
    follows: Option<u64>,
    drafts: &[(Draft, Precondition)],
    now: Timestamp,
) -> Result<bool, DbError> {
    let Some(version) = follows else { return Ok(true) };
    // By the first alone: where it does not fit, the number that the second waits for may be somebody else's version.
    let present = repository::read_to_change(tx, access, "Task", task).await?;
    let present = present.filter(|present| present.content.is_some());
    if present.is_none_or(|present| present.version != version) {
        return Ok(false);
    }
    if !drafts.is_empty() {
        repository::keep(tx, access, drafts, false, now).await?;
    }
    Ok(true)
}

/// The same errand once more.
fn again(item: &Item, now: Timestamp) -> NewItem {
    NewItem {
        tenant: item.tenant.clone(),
        owner: item.owner.clone(),
        errand: item.errand,
        subject: item.subject.clone(),
        version: item.version,
        due_at: now,
    }
}

fn audit_entry(item: &Item, at: Timestamp) -> Entry {
    Entry {
        tenant: item.tenant.clone(),
        owner: item.owner.clone(),
        at,
        action: ACTION,
        outcome: AuditOutcome::Success,
        entity: Some(item.subject.clone()),
        detail: Vec::new(),
        request_id: None,
    }
}

fn sent_content(request: &AttachmentRequest, ready: &Ready) -> SentContent {
    let needed = &request.needed[ready.needed];
    SentContent {
        input: needed.input,
        reference: ready.record.reference.clone(),
        is_form: matches!(needed.what, What::Questionnaire(_)),
    }
}

/// What was sent and not given up.
fn sent(before: &[Answer]) -> impl Iterator<Item = &SentContent> {
    before.iter().filter(|answer| answer.state != AnswerState::Dead).flat_map(|answer| &answer.contents)
}

/// Whether nothing more is sent: the last one, or the only one, was.
fn is_ended(before: &[Answer], may_be_several: bool) -> bool {
    before.iter().any(|answer| answer.state != AnswerState::Dead && (answer.is_last || !may_be_several))
}

fn is_sent(before: &[Answer], request: &AttachmentRequest, ready: &Ready) -> bool {
    let content = sent_content(request, ready);
    sent(before).any(|known| known.input == content.input && known.reference == content.reference)
}

fn is_answered(before: &[Answer], input: usize) -> bool {
    sent(before).any(|known| known.input == input)
}

/// A Task that waits because of one of its inputs.
fn held_up(code: &'static str, request: &AttachmentRequest, index: usize, text: &str) -> Advance {
    let stage = Stage::new(code, format!("Task.input[{}]: {text}", request.needed[index].input));
    Advance::to(TaskStatus::InProgress, stage)
}

/// What a person reads of a Task that waits: which inputs, and for what.
fn waiting(request: &AttachmentRequest, missing: &[(usize, Unready)]) -> Stage {
    let told = missing.iter().map(|(index, why)| {
        let what = match why {
            Unready::Missing => "nothing answers it yet",
            Unready::Unknown => {
                "nothing answers it yet, and no Patient here is certainly the one in Task.for"
            }
            Unready::Ambiguous => {
                "nothing answers it yet, and several Patients here may be the one in Task.for"
            }
            Unready::Unfinished => "what answers it is not finished",
            Unready::Unsigned => "what answers it must be signed",
        };
        format!("Task.input[{}]: {what}", request.needed[*index].input)
    });
    let is_unsigned = !missing.is_empty() && missing.iter().all(|(_, why)| *why == Unready::Unsigned);
    let lacks_patient = |(_, why): &(usize, Unready)| matches!(why, Unready::Unknown | Unready::Ambiguous);
    let code = if is_unsigned {
        "waiting-for-signature"
    } else if missing.iter().any(lacks_patient) {
        // Without the patient no document is looked for: whoever puts that right comes first.
        "waiting-for-patient"
    } else {
        "waiting-for-documents"
    };
    Stage::new(code, told.collect::<Vec<_>>().join("; "))
}
