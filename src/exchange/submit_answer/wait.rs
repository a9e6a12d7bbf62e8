//! Tasks that wait for documents. A Task waits under names: its tracking id, the patient's identifiers and birth date,
//! the Patient. A document or Patient that is kept goes by the same names and so finds the Tasks that it may be meant
//! for; and after growing pauses a waiting Task looks around by itself, for what nothing here could tell (another
//! server).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::digest::{Digest, Sha256};
use serde_json::Value;

use super::{Names, store};
use crate::agenda::{self, Errand, Item, NewItem};
use crate::auth::Access;
use crate::cdex::attachment_request::{AttachmentRequest, linked};
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Dialect, Tx};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::submit_answer::records::Records;
use crate::fhir::datatype::Identifier;
use crate::fhir::search::reference::Target;

/// The first pause after which a Task that waits looks around; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_mins(15);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);

/// Whether any Task may be waiting. Where none is, documents are kept without an errand; this is what makes that cheap.
///
/// It may say "no" for a moment although a Task has just begun to wait; such a Task finds what it missed when it looks
/// around.
#[derive(Debug, Default)]
pub(crate) struct Awaiting(AtomicBool);

impl Awaiting {
    /// Whether one waits in the database with which a gateway starts.
    pub(crate) async fn at_start(db: &Db) -> Result<Self, DbError> {
        let mut reader = db.reader().await?;
        Ok(Self(store::is_any_awaiting(&mut reader.tx()).await?.into()))
    }

    /// Some Task waits.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Exchange {
    /// Whether a document may be waited for.
    pub(in crate::exchange) fn is_anything_awaited(&self) -> bool {
        // Where several gateways share a database, the Tasks of one wait for documents that another keeps.
        self.db.dialect() == Dialect::Postgres || self.awaiting.0.load(Ordering::SeqCst)
    }

    /// A document or Patient was kept: the Tasks that may have waited for it look at what there is.
    pub(in crate::exchange) async fn match_document(
        self: &Arc<Self>,
        item: &Item,
    ) -> Result<(), FollowError> {
        if !self.is_anybody_waiting().await? {
            self.awaiting.0.store(false, Ordering::SeqCst);
            // Whoever began to wait between the look and the note is seen by a second look.
            if !self.is_anybody_waiting().await? {
                return Ok(self.forget(item).await?);
            }
            self.awaiting.begin();
        }
        let records = Records::new(self, self.requester(&Access::of_worker(&item.tenant)));
        let found = match item.resource() {
            Some((resource_type, id)) => match crate::fhir::resource_type(resource_type) {
                Some(resource_type) => records.read(resource_type, id).await?,
                None => None,
            },
            None => None,
        };
        let Some(found) = found else { return Ok(self.forget(item).await?) };
        let names = match item.resource() {
            Some(("Patient", id)) => names_of_patient(id, &found.tree),
            _ => self.names_of_document(&records, &found.tree).await?,
        };
        let now = self.clock.now();
        let state = (item.clone(), names);
        let written: Result<bool, DbError> = self
            .db
            .write(state, move |(item, names), tx| {
                Box::pin(async move {
                    if !agenda::done(tx, item).await? {
                        return Ok(false);
                    }
                    let tasks = store::awaiting(tx, &item.tenant, names).await?;
                    let errands: Vec<NewItem> = tasks
                        .into_iter()
                        .map(|(owner, task)| look(&item.tenant, owner, &task, now))
                        .collect();
                    agenda::add(tx, &errands).await?;
                    Ok(true)
                })
            })
            .await;
        written?;
        self.agenda.wake();
        Ok(())
    }

    async fn is_anybody_waiting(&self) -> Result<bool, DbError> {
        let mut reader = self.db.reader().await?;
        store::is_any_awaiting(&mut reader.tx()).await
    }

    /// A Task that waits looks around by itself, and will again.
    pub(in crate::exchange) async fn look_again(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let now = self.clock.now();
        let written: Result<(), DbError> = self
            .db
            .write(item.clone(), move |item, tx| {
                Box::pin(async move {
                    let Some((_, task)) = item.resource() else {
                        return agenda::done(tx, item).await.map(drop);
                    };
                    if !store::is_awaiting(tx, &item.access(), task).await? {
                        return agenda::done(tx, item).await.map(drop);
                    }
                    // Each look that leaves it waiting counts as an attempt.
                    if agenda::failed(tx, item, now.after(pause(item.attempts + 1))).await? {
                        agenda::add(tx, &[look(&item.tenant, item.owner.clone(), task, now)]).await?;
                    }
                    Ok(())
                })
            })
            .await;
        written?;
        self.agenda.wake();
        Ok(())
    }

    /// The Task is gone: it waits no longer.
    pub(super) async fn stop_waiting(&self, item: &Item) -> Result<(), FollowError> {
        let written: Result<(), DbError> = self
            .db
            .write(item.clone(), |item, tx| {
                Box::pin(async move {
                    let is_ours = agenda::done(tx, item).await?;
                    match item.resource() {
                        Some((_, task)) if is_ours => store::forget(tx, &item.access(), task).await,
                        _ => Ok(()),
                    }
                })
            })
            .await;
        Ok(written?)
    }

    /// The names by which a document goes.
    async fn names_of_document(&self, records: &Records<'_>, document: &Value) -> Result<Names, FollowError> {
        let mut names = Names::new();
        if let (Some(kind), Some(id)) = (document["resourceType"].as_str(), document["id"].as_str()) {
            names.push(name_of(kind, id));
        }
        let related = document.pointer("/context/related").or_else(|| document.get("basedOn"));
        for reference in related.and_then(Value::as_array).into_iter().flatten() {
            names.extend(reference.get("identifier").and_then(|json| of_identifier(&Identifier::of(json))));
            if let Some(text) = reference.get("reference").and_then(Value::as_str)
                && let Target::Local { resource_type: "Task", id } =
                    Target::of(text, &self.settings.fhir_base)
            {
                names.push(name_of("Task", id));
            }
        }
        let Some(subject) = document.get("subject") else { return Ok(names) };
        names.extend(subject.get("identifier").and_then(|json| of_identifier(&Identifier::of(json))));
        if let Some(text) = subject.get("reference").and_then(Value::as_str)
            && let Target::Local { resource_type: "Patient", id } = Target::of(text, &self.settings.fhir_base)
        {
            names.push(name_of("Patient", id));
            let patient = records.read("Patient", id).await?;
            let identifiers =
                patient.iter().filter_map(|patient| patient.tree["identifier"].as_array()).flatten();
            names.extend(identifiers.filter_map(|json| of_identifier(&Identifier::of(json))));
        }
        Ok(names)
    }
}

/// The pause after so many looks.
fn pause(looks: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << looks.min(16)).min(LONGEST_PAUSE)
}

/// The names by which a Patient goes. Whoever is described without an identifier that is known here is told by name and
/// birth date, of which the date is written in one way only.
fn names_of_patient(id: &str, patient: &Value) -> Names {
    let identifiers = patient["identifier"].as_array().into_iter().flatten();
    let mut names: Names = identifiers.filter_map(|json| of_identifier(&Identifier::of(json))).collect();
    names.push(name_of("Patient", id));
    names.extend(of_birth_date(patient));
    names
}

/// The names under which a Task waits, but for that of its own id: what it asks about, and what is linked and not
/// ready.
pub(super) fn names(request: &AttachmentRequest, patient: Option<&str>, task: &Value) -> Names {
    let tracking = &request.tracking_id;
    let tracking = Identifier { system: tracking.system.as_deref(), value: Some(&tracking.value) };
    let mut names: Names = of_identifier(&tracking).into_iter().collect();
    names.extend(request.patient_identifiers().filter_map(|identifier| of_identifier(&identifier)));
    // Who is known already is not told by it any more.
    names.extend(patient.is_none().then(|| of_birth_date(&request.patient)).flatten());
    let linked = linked(task).into_iter().map(|output| output.reference);
    let references = patient.into_iter().chain(linked).filter_map(|reference| reference.split_once('/'));
    names.extend(references.map(|(kind, id)| name_of(kind, id)));
    names
}

/// Makes a Task wait under these names; without any it waits no longer. One that begins to wait looks around at once,
/// because what was kept between its last look and this unit did not find it waiting; and then at long intervals.
pub(super) async fn write(
    tx: &mut Tx<'_>,
    (access, task): (&Access, &str),
    names: &Names,
    now: Timestamp,
) -> Result<(), DbError> {
    if names.is_empty() {
        return store::forget(tx, access, task).await;
    }
    if !store::is_awaiting(tx, access, task).await? {
        let look = look(access.tenant(), access.owner().unwrap_or_default().to_owned(), task, now);
        let timer = NewItem { errand: Errand::LookAgain, due_at: now.after(pause(0)), ..look.clone() };
        agenda::add(tx, &[look, timer]).await?;
    }
    let mut names = names.clone();
    names.push(name_of("Task", task));
    store::wait_for(tx, (access, task), &names).await
}

/// The errand to answer a Task.
fn look(tenant: &str, owner: String, task: &str, now: Timestamp) -> NewItem {
    NewItem {
        tenant: tenant.to_owned(),
        owner,
        errand: Errand::SubmitAttachments,
        subject: format!("Task/{task}"),
        version: 0,
        due_at: now,
    }
}

/// The name of an identifier. Without a system it names nobody.
fn of_identifier(identifier: &Identifier<'_>) -> Option<[u8; 32]> {
    Some(name_of(identifier.system?, identifier.value?))
}

fn of_birth_date(patient: &Value) -> Option<[u8; 32]> {
    Some(name_of("Patient.birthDate", patient["birthDate"].as_str()?))
}

/// A name of two parts, such that no two pairs share one.
fn name_of(kind: &str, value: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((kind.len() as u64).to_be_bytes());
    hash.update(kind);
    hash.update(value);
    hash.finalize().into()
}
