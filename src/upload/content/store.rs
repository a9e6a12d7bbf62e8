//! SQL of the bytes of resources.

use super::Content;
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, ROWS_PER_INSERT, Tx, later_on_db, on_db};
use crate::id::UploadId;

const INSERT: &str = "INSERT INTO binary_content (id, tenant, owner, length, sha256, created_at) ";
const FIND: &str = "SELECT length, sha256, owner FROM binary_content \
     WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";
const EXISTS: &str = "SELECT COUNT(*) FROM binary_content WHERE id = $1";

/// Every statement, for the test that prepares each on both databases.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, EXISTS];

pub(super) async fn insert(
    tx: &mut Tx<'_>,
    access: &Access,
    contents: &[Content],
    now: Timestamp,
) -> Result<(), DbError> {
    for contents in contents.chunks(ROWS_PER_INSERT) {
        later_on_db!(&mut *tx, query => {
            query.push(INSERT).push_values(contents, |mut row, content| {
                row.push_bind(content.id.to_string())
                    .push_bind(access.tenant())
                    .push_bind(access.owner().unwrap_or_default())
                    .push_bind(i64::try_from(content.length).unwrap_or(i64::MAX))
                    .push_bind(content.sha256.to_vec())
                    .push_bind(now.as_nanos());
            });
            // Several resources may share the bytes of one upload.
            query.push(" ON CONFLICT (id) DO NOTHING");
        })?;
    }
    Ok(())
}

/// The bytes and their owner.
pub(super) async fn find(
    tx: &mut Tx<'_>,
    access: &Access,
    id: UploadId,
) -> Result<Option<(Content, String)>, DbError> {
    let row: Option<(i64, Vec<u8>, String)> = on_db!(tx, conn => {
        sqlx::query_as(FIND)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    row.map(|(length, sha256, owner)| {
        let wrong = |column| DbError::inconsistent("binary_content", column, id);
        let content = Content {
            id,
            length: length.try_into().map_err(|_| wrong("length"))?,
            sha256: sha256.try_into().map_err(|_| wrong("sha256"))?,
        };
        Ok((content, owner))
    })
    .transpose()
}

/// Whether any tenant has bytes of this name; only the sweep of left-over files asks without an owner.
pub(in crate::upload) async fn exists(tx: &mut Tx<'_>, id: UploadId) -> Result<bool, DbError> {
    let count: i64 =
        on_db!(tx, conn => sqlx::query_scalar(EXISTS).bind(id.to_string()).fetch_one(conn).await)?;
    Ok(count > 0)
}
