//! SQL of what became of submissions.

use bytes::Bytes;

use super::KeptContent;
use crate::auth::Access;
use crate::cdex::association::Association;
use crate::cdex::provenance::SignatureCheck;
use crate::cdex::{AttachTo, Identifier, Submission};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};
use crate::id::{SubmissionId, UploadId};

/// Submissions that one resource lets go on at most; the rest waits for its next version.
const WAITING: i64 = 1000;

const FIND: &str = "SELECT attach_to, tracking_system, tracking_value, admin_ref_system, admin_ref_value, payer_system, \
     payer_value, organization_system, organization_value, provider_system, provider_value, member_system, \
     member_value, is_last_submission, amends, upload_ids, received_at, task, claim, awaited_claim, resources, checks, \
     CASE WHEN resources IS NULL THEN skeleton END AS skeleton \
     FROM submission WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";
const WAITING_FOR_TASK: &str = "SELECT id, owner FROM submission \
     WHERE tenant = $1 AND tracking_value = $2 AND attach_to = $3 AND (task IS NULL \
     OR (task = $5 AND claim IS NULL AND COALESCE(awaited_claim, '') <> $6)) \
     ORDER BY received_at, id LIMIT $4";
const WAITING_FOR_NUMBER: &str = "SELECT id, owner FROM submission \
     WHERE tenant = $1 AND tracking_value = $2 AND attach_to = $3 AND claim IS NULL \
     ORDER BY received_at, id LIMIT $4";
const WAITING_FOR_CLAIM: &str = "SELECT id, owner FROM submission \
     WHERE tenant = $1 AND awaited_claim = $2 ORDER BY received_at, id LIMIT $3";
const RECORD: &str = "UPDATE submission SET association = $3, task = $4, claim = $5, awaited_claim = $6, \
     reasons = $7, resources = $8 WHERE id = $1 AND tenant = $2";

/// Every statement, for the test that prepares each on both databases.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[FIND, WAITING_FOR_TASK, WAITING_FOR_NUMBER, WAITING_FOR_CLAIM, RECORD];

/// A submission that was accepted, and what became of it so far.
#[derive(Debug, Clone)]
pub(super) struct KeptSubmission {
    pub(super) id: SubmissionId,
    /// Without its attachments and its service date.
    pub(super) submission: Submission,
    pub(super) amends: Option<SubmissionId>,
    pub(super) upload_ids: Vec<UploadId>,
    pub(super) received_at: Timestamp,
    /// The body without its large strings, as long as no resources were made of it.
    pub(super) skeleton: Option<Bytes>,
    pub(super) task: Option<String>,
    pub(super) claim: Option<String>,
    pub(super) awaited_claim: Option<String>,
    /// The resources made of it; none before they are.
    pub(super) resources: Option<Vec<KeptContent>>,
    /// What its signatures turned out to be, with the number of the attachment.
    pub(super) checks: Vec<(usize, SignatureCheck)>,
}

#[derive(sqlx::FromRow)]
struct SubmissionRow {
    attach_to: String,
    tracking_system: String,
    tracking_value: String,
    admin_ref_system: Option<String>,
    admin_ref_value: Option<String>,
    payer_system: Option<String>,
    payer_value: Option<String>,
    organization_system: Option<String>,
    organization_value: Option<String>,
    provider_system: Option<String>,
    provider_value: Option<String>,
    member_system: Option<String>,
    member_value: Option<String>,
    is_last_submission: bool,
    amends: Option<String>,
    upload_ids: String,
    received_at: i64,
    task: Option<String>,
    claim: Option<String>,
    awaited_claim: Option<String>,
    resources: Option<String>,
    checks: String,
    skeleton: Option<Vec<u8>>,
}

impl SubmissionRow {
    fn read(self, id: SubmissionId) -> Result<KeptSubmission, DbError> {
        let wrong = |column| DbError::inconsistent("submission", column, id);
        let identifier = |system: Option<String>, value: Option<String>| {
            value.map(|value| Identifier { system: system.filter(|system| !system.is_empty()), value })
        };
        let tracking_id = identifier(Some(self.tracking_system), Some(self.tracking_value));
        Ok(KeptSubmission {
            id,
            submission: Submission {
                tracking_id: tracking_id.ok_or_else(|| wrong("tracking_value"))?,
                admin_ref_number: identifier(self.admin_ref_system, self.admin_ref_value),
                attach_to: AttachTo::from_code(&self.attach_to).ok_or_else(|| wrong("attach_to"))?,
                payer_id: identifier(self.payer_system, self.payer_value),
                organization_id: identifier(self.organization_system, self.organization_value),
                provider_id: identifier(self.provider_system, self.provider_value),
                member_id: identifier(self.member_system, self.member_value)
                    .ok_or_else(|| wrong("member_value"))?,
                service_date: None,
                attachments: Vec::new(),
                is_last_submission: self.is_last_submission,
            },
            amends: self.amends.map(|id| id.parse()).transpose().map_err(|_| wrong("amends"))?,
            upload_ids: serde_json::from_str(&self.upload_ids).map_err(|_| wrong("upload_ids"))?,
            received_at: Timestamp::from_nanos(self.received_at),
            skeleton: self.skeleton.map(Bytes::from),
            task: self.task,
            claim: self.claim,
            awaited_claim: self.awaited_claim,
            resources: self
                .resources
                .map(|text| serde_json::from_str(&text))
                .transpose()
                .map_err(|_| wrong("resources"))?,
            checks: serde_json::from_str(&self.checks).map_err(|_| wrong("checks"))?,
        })
    }
}

/// Looks a submission up.
pub(super) async fn find(
    tx: &mut Tx<'_>,
    access: &Access,
    id: SubmissionId,
) -> Result<Option<KeptSubmission>, DbError> {
    let row: Option<SubmissionRow> = on_db!(tx, conn => {
        sqlx::query_as(FIND)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    row.map(|row| row.read(id)).transpose()
}

/// The submissions of this number to which a Task has something to tell, the oldest first, each with its owner: those
/// that answer none, and those of its own that do not know the Claim yet that it names now. So a version of a Task that
/// says nothing new sends none on its way, however many answer it.
pub(super) async fn waiting_for_task(
    tx: &mut Tx<'_>,
    tenant: &str,
    number: &str,
    attach_to: AttachTo,
    (task, claim): (&str, Option<&str>),
) -> Result<Vec<(String, String)>, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_as(WAITING_FOR_TASK)
            .bind(tenant)
            .bind(number)
            .bind(attach_to.as_code())
            .bind(WAITING)
            .bind(task)
            .bind(claim.unwrap_or_default())
            .fetch_all(conn)
            .await
    })?)
}

/// The submissions of this number that have no Claim, the oldest first, each with its owner.
pub(super) async fn waiting_for_number(
    tx: &mut Tx<'_>,
    tenant: &str,
    number: &str,
    attach_to: AttachTo,
) -> Result<Vec<(String, String)>, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_as(WAITING_FOR_NUMBER)
            .bind(tenant)
            .bind(number)
            .bind(attach_to.as_code())
            .bind(WAITING)
            .fetch_all(conn)
            .await
    })?)
}

/// The submissions whose Task names the Claim of this number, the oldest first, each with its owner.
pub(super) async fn waiting_for_claim(
    tx: &mut Tx<'_>,
    tenant: &str,
    number: &str,
) -> Result<Vec<(String, String)>, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_as(WAITING_FOR_CLAIM)
            .bind(tenant)
            .bind(number)
            .bind(WAITING)
            .fetch_all(conn)
            .await
    })?)
}

/// Writes down what a submission belongs to and what was made of it.
pub(super) async fn record(
    tx: &mut Tx<'_>,
    tenant: &str,
    id: SubmissionId,
    association: &Association,
    resources: &[KeptContent],
) -> Result<(), DbError> {
    let state = if association.is_made() { "associated" } else { "held" };
    on_db!(tx, conn => {
        sqlx::query(RECORD)
            .bind(id.to_string())
            .bind(tenant)
            .bind(state)
            .bind(association.task.as_deref())
            .bind(association.claim.as_deref())
            .bind(association.awaited_claim.as_ref().map(|claim| claim.value.as_str()))
            .bind(association.reasons.join(" "))
            .bind(serde_json::to_string(resources).unwrap_or_default())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}
