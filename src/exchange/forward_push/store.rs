//! SQL of what was forwarded: a payload of an origin once for its bytes.

use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};
use crate::id::UploadId;

const KNOWN: &str = "SELECT payload, sha256 FROM forwarded WHERE origin = $1 AND tenant = $2";
const INSERT: &str = "INSERT INTO forwarded (origin, payload, sha256, tenant, owner, resource, version, upload_id, \
     outcome, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
     ON CONFLICT (origin, payload, sha256) DO NOTHING";

/// Every statement, for the test that prepares each on both databases.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[KNOWN, INSERT];

/// What became of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is an upload that is on its way.
    Forwarded,
    /// It was an upload before.
    Named,
    /// It could not be had, or its manifest is refused; the reports under its id say why.
    Failed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Named => "named",
            Self::Failed => "failed",
        }
    }
}

/// A payload of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// What it comes from.
    pub(super) origin: [u8; 32],
    /// Its place there.
    pub(super) payload: String,
    /// The SHA-256 of its bytes; empty if there are none.
    pub(super) sha256: Vec<u8>,
    /// The resource, as `Type/id`, and its version.
    pub(super) resource: (String, u64),
    /// The upload that it is, or would have been.
    pub(super) upload_id: UploadId,
    /// What became of it.
    pub(super) outcome: Outcome,
}

/// The payloads of an origin that have been dealt with, each with the SHA-256 of its bytes.
pub(super) async fn known(
    tx: &mut Tx<'_>,
    access: &Access,
    origin: &[u8; 32],
) -> Result<Vec<(String, Vec<u8>)>, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_as(KNOWN).bind(origin.to_vec()).bind(access.tenant()).fetch_all(conn).await
    })?)
}

/// Remembers a payload; `false` if it was dealt with before.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    access: &Access,
    forwarded: &Forwarded,
    now: Timestamp,
) -> Result<bool, DbError> {
    let (resource, version) = &forwarded.resource;
    let changed = on_db!(tx, conn => {
        sqlx::query(INSERT)
            .bind(forwarded.origin.to_vec())
            .bind(&forwarded.payload)
            .bind(&forwarded.sha256)
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(resource)
            .bind(i64::try_from(*version).unwrap_or(i64::MAX))
            .bind(forwarded.upload_id.to_string())
            .bind(forwarded.outcome.as_str())
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}
