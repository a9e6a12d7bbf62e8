//! SQL of what belongs to an interaction rather than to a stage: submissions, and the answers kept for
//! clients that send an `Idempotency-Key`.

use bytes::Bytes;

use crate::auth::Access;
use crate::cdex::provenance::SignatureCheck;
use crate::cdex::{Identifier, Submission};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};
use crate::id::{SubmissionId, UploadId};

const INSERT_SUBMISSION: &str = "INSERT INTO submission (id, tenant, owner, attach_to, tracking_system, \
     tracking_value, admin_ref_system, admin_ref_value, payer_system, payer_value, organization_system, \
     organization_value, provider_system, provider_value, member_system, member_value, service_date, \
     is_last_submission, amends, body_sha256, body_length, skeleton, upload_ids, answer, received_at, checks) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
     $23, $24, $25, $26) \
     ON CONFLICT (tenant, owner, attach_to, tracking_value, tracking_system, body_sha256) DO NOTHING";
const FIND_ANSWER: &str = "SELECT answer FROM submission WHERE tenant = $1 AND owner = $2 AND attach_to = $3 \
     AND tracking_value = $4 AND tracking_system = $5 AND body_sha256 = $6";
const FIND_LAST: &str = "SELECT id FROM submission WHERE tenant = $1 AND owner = $2 AND attach_to = $3 \
     AND tracking_value = $4 AND tracking_system = $5 AND is_last_submission ORDER BY received_at DESC LIMIT 1";
const FIND_KEY: &str = "SELECT body_sha256, answer FROM idempotency \
     WHERE tenant = $1 AND owner = $2 AND key = $3 AND expires_at > $4";
const INSERT_KEY: &str = "INSERT INTO idempotency (tenant, owner, key, body_sha256, answer, created_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, owner, key) DO UPDATE SET \
     body_sha256 = excluded.body_sha256, answer = excluded.answer, created_at = excluded.created_at, \
     expires_at = excluded.expires_at";
const NAMES_UPLOAD: &str =
    "SELECT COUNT(*) FROM submission WHERE tenant = $1 AND owner = $2 AND upload_ids LIKE $3";
const FORGET_KEYS: &str = "DELETE FROM idempotency WHERE expires_at <= $1";

/// Every statement, for the test that prepares each on both databases.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT_SUBMISSION, FIND_ANSWER, FIND_LAST, FIND_KEY, INSERT_KEY, NAMES_UPLOAD, FORGET_KEYS];

/// A submission as it is kept.
#[derive(Debug)]
pub(super) struct SubmissionRecord {
    pub(super) id: SubmissionId,
    pub(super) submission: Submission,
    /// SHA-256 and length in bytes of the body as received.
    pub(super) body_sha256: [u8; 32],
    pub(super) body_length: u64,
    /// The body without its large strings.
    pub(super) skeleton: Bytes,
    /// The uploads it became, as a JSON array.
    pub(super) upload_ids: String,
    pub(super) received_at: Timestamp,
    /// What the signatures in it turned out to be, with the number of the attachment.
    pub(super) checks: Vec<(usize, SignatureCheck)>,
}

/// `('', value)` where there is no system, so that equal identifiers are equal rows.
fn key(identifier: &Identifier) -> (&str, &str) {
    (identifier.system.as_deref().unwrap_or_default(), &identifier.value)
}

/// Whether a submission names an upload.
pub(super) async fn names_upload(tx: &mut Tx<'_>, access: &Access, id: UploadId) -> Result<bool, DbError> {
    let count: i64 = on_db!(tx, conn => {
        sqlx::query_scalar(NAMES_UPLOAD)
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(format!("%{id}%"))
            .fetch_one(conn)
            .await
    })?;
    Ok(count > 0)
}

/// Keeps a submission, which changes the final one `amends` if there is such a one, with the answer given to
/// it; `false` if the same one is there already.
pub(super) async fn insert_submission(
    tx: &mut Tx<'_>,
    access: &Access,
    record: &SubmissionRecord,
    amends: Option<&str>,
    answer: &[u8],
) -> Result<bool, DbError> {
    let Submission { tracking_id, admin_ref_number, attach_to, payer_id, organization_id, .. } =
        &record.submission;
    let Submission { provider_id, member_id, service_date, is_last_submission, .. } = &record.submission;
    let system = |id: &Option<Identifier>| id.as_ref().and_then(|id| id.system.clone());
    let value = |id: &Option<Identifier>| id.as_ref().map(|id| id.value.clone());
    let tracking = key(tracking_id);
    let inserted = on_db!(tx, conn => {
        sqlx::query(INSERT_SUBMISSION)
            .bind(record.id.to_string())
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(attach_to.as_code())
            .bind(tracking.0)
            .bind(tracking.1)
            .bind(system(admin_ref_number))
            .bind(value(admin_ref_number))
            .bind(system(payer_id))
            .bind(value(payer_id))
            .bind(system(organization_id))
            .bind(value(organization_id))
            .bind(system(provider_id))
            .bind(value(provider_id))
            .bind(&member_id.system)
            .bind(&member_id.value)
            .bind(service_date)
            .bind(is_last_submission)
            .bind(amends)
            .bind(record.body_sha256.to_vec())
            .bind(i64::try_from(record.body_length).unwrap_or(i64::MAX))
            .bind(record.skeleton.to_vec())
            .bind(&record.upload_ids)
            .bind(answer.to_vec())
            .bind(record.received_at.as_nanos())
            .bind(serde_json::to_string(&record.checks).unwrap_or_default())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(inserted == 1)
}

/// The answer given before to the same body for the same claim or authorization.
pub(super) async fn find_answer(
    tx: &mut Tx<'_>,
    access: &Access,
    submission: &Submission,
    body_sha256: &[u8; 32],
) -> Result<Option<Vec<u8>>, DbError> {
    let tracking = key(&submission.tracking_id);
    Ok(on_db!(tx, conn => {
        sqlx::query_scalar(FIND_ANSWER)
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(submission.attach_to.as_code())
            .bind(tracking.1)
            .bind(tracking.0)
            .bind(body_sha256.to_vec())
            .fetch_optional(conn)
            .await
    })?)
}

/// The latest submission for the same claim or authorization that said it was the last.
pub(super) async fn find_last(
    tx: &mut Tx<'_>,
    access: &Access,
    submission: &Submission,
) -> Result<Option<String>, DbError> {
    let tracking = key(&submission.tracking_id);
    Ok(on_db!(tx, conn => {
        sqlx::query_scalar(FIND_LAST)
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(submission.attach_to.as_code())
            .bind(tracking.1)
            .bind(tracking.0)
            .fetch_optional(conn)
            .await
    })?)
}

/// The body's SHA-256 and the answer kept under an `Idempotency-Key`, unless they have expired.
pub(super) async fn find_key(
    tx: &mut Tx<'_>,
    access: &Access,
    key: &str,
    now: Timestamp,
) -> Result<Option<(Vec<u8>, Vec<u8>)>, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_as(FIND_KEY)
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(key)
            .bind(now.as_nanos())
            .fetch_optional(conn)
            .await
    })?)
}

/// Keeps an answer under an `Idempotency-Key` until `expires_at`.
pub(super) async fn insert_key(
    tx: &mut Tx<'_>,
    access: &Access,
    key: &str,
    (body_sha256, answer): (&[u8; 32], &[u8]),
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(INSERT_KEY)
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(key)
            .bind(body_sha256.to_vec())
            .bind(answer.to_vec())
            .bind(now.as_nanos())
            .bind(expires_at.as_nanos())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Removes answers whose time is over.
pub(super) async fn forget_keys(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, DbError> {
    Ok(on_db!(tx, conn => {
        let query = sqlx::query(FORGET_KEYS).bind(now.as_nanos());
        query.execute(conn).await.map(|done| done.rows_affected())
    })?)
}
