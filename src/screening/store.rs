//! SQL of what is known of the bytes of uploads: one row for each that there is something to tell of.

use super::{Agreement, Look, Screened, Verdict};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};
use crate::id::UploadId;

const INSERT: &str = "INSERT INTO screening (upload_id, tenant, owner, declared, found, agreement, is_allowed, \
     verdict, signature, is_held, scanned_at, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const UPDATE: &str = "UPDATE screening SET verdict = $4, signature = $5, is_held = $6, scanned_at = $7 \
     WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";
const FIND: &str = "SELECT declared, found, agreement, is_allowed, verdict, signature, is_held, scanned_at \
     FROM screening WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";

/// Every statement, for the test that prepares each on both databases.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, UPDATE, FIND];

#[derive(sqlx::FromRow)]
struct ScreeningRow {
    declared: Option<String>,
    found: Option<String>,
    agreement: String,
    is_allowed: bool,
    verdict: String,
    signature: Option<String>,
    is_held: bool,
    scanned_at: Option<i64>,
}

pub(super) async fn insert(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
    screened: &Screened,
    now: Timestamp,
) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(INSERT)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(&screened.look.declared)
            .bind(&screened.look.found)
            .bind(screened.look.agreement.as_str())
            .bind(screened.look.is_allowed)
            .bind(screened.verdict.as_str())
            .bind(&screened.signature)
            .bind(screened.is_held)
            .bind(screened.scanned_at.map(Timestamp::as_nanos))
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

pub(super) async fn update(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
    screened: &Screened,
) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(UPDATE)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .bind(screened.verdict.as_str())
            .bind(&screened.signature)
            .bind(screened.is_held)
            .bind(screened.scanned_at.map(Timestamp::as_nanos))
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

pub(super) async fn find(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
) -> Result<Option<Screened>, DbError> {
    let row: Option<ScreeningRow> = on_db!(tx, conn => {
        sqlx::query_as(FIND)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    let wrong = |column| DbError::inconsistent("screening", column, upload_id);
    row.map(|row| {
        Ok(Screened {
            look: Look {
                declared: row.declared,
                found: row.found,
                agreement: Agreement::parse(&row.agreement).ok_or_else(|| wrong("agreement"))?,
                is_allowed: row.is_allowed,
            },
            verdict: Verdict::parse(&row.verdict).ok_or_else(|| wrong("verdict"))?,
            signature: row.signature,
            is_held: row.is_held,
            scanned_at: row.scanned_at.map(Timestamp::from_nanos),
        })
    })
    .transpose()
}
