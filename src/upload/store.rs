//! SQL of uploads and their segments.

use sqlx::FromRow;

use super::blob::{Segment, StorageKey};
use super::model::{Concat, Door, Upload, UploadState};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, ROWS_PER_INSERT, Tx, later_on_db, on_db};
use crate::digest::ContentHash;
use crate::id::UploadId;
use crate::manifest::SenderManifest;

/// The columns of an `UploadRow`.
macro_rules! columns {
    () => {
        "id, tenant, owner, door, state, upload_length, upload_offset, manifest, media_type, upload_concat, \
         storage_key, sha256, lock_epoch, created_at, changed_at, completed_at, expires_at"
    };
}
/// That an upload of this id is waited for: one that is made of it takes its bytes still.
macro_rules! is_wanted {
    ($id:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM upload_part p JOIN upload f ON f.id = p.upload_id \
             WHERE p.part_id = ",
            $id,
            " AND f.state = 'open')"
        )
    };
}

const INSERT: &str = "INSERT INTO upload (id, tenant, owner, door, state, upload_length, upload_offset, manifest, \
     data_stream_id, data_stream_route, media_type, upload_concat, storage_key, sha256, lock_epoch, created_at, \
     changed_at, completed_at, expires_at) ";
const INSERT_SEGMENT: &str = "INSERT INTO segment (upload_id, first_byte, tenant, owner, length, hash) ";
const INSERT_PART: &str = "INSERT INTO upload_part (upload_id, position, tenant, owner, part_id) ";
const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM upload WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)"
);
// A final upload gets its bytes from the agenda's errand, which finishes it too.
const FIND_FULL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM upload WHERE state = 'open' AND upload_length = upload_offset \
     AND (upload_concat IS NULL OR upload_concat = 'partial') ORDER BY changed_at"
);
const FIND_EXPIRED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM upload WHERE expires_at <= $1 AND (expires_at, id) > ($3, $4) \
     AND state IN ('open', 'ready', 'damaged') AND NOT ",
    is_wanted!("upload.id"),
    " ORDER BY expires_at, id LIMIT $2"
);
// Whoever has read a part before this and wants to end it finds another epoch (`END`).
const CLAIM_PARTS: &str = "UPDATE upload SET lock_epoch = lock_epoch + 1 WHERE state = 'ready' AND tenant = $2 \
     AND (expires_at IS NULL OR expires_at > $3) \
     AND id IN (SELECT part_id FROM upload_part WHERE upload_id = $1)";
const PARTS: &str = "SELECT part_id FROM upload_part WHERE upload_id = $1 AND tenant = $2 \
     AND owner = COALESCE($3, owner) ORDER BY position";
const IS_WANTED: &str = concat!("SELECT ", is_wanted!("$1"));
const ADVANCE: &str = "UPDATE upload SET upload_offset = $1, changed_at = $2, expires_at = $6 \
     WHERE id = $3 AND upload_offset = $4 AND lock_epoch = $5 AND state = 'open'";
const COMPLETE: &str = "UPDATE upload SET state = $6, upload_length = $1, upload_offset = $1, changed_at = $2, \
     completed_at = $2, expires_at = $7 WHERE id = $3 AND upload_offset = $4 AND lock_epoch = $5 AND state = 'open' \
     AND (upload_length = $1 OR upload_length IS NULL)";
const DECLARE_LENGTH: &str = "UPDATE upload SET upload_length = $1 WHERE id = $2 AND upload_length IS NULL \
     AND upload_offset <= $1 AND lock_epoch = $3 AND state = 'open'";
// Nobody who is still writing may move what is over.
const END: &str = "UPDATE upload SET state = $1, changed_at = $2, expires_at = NULL, lock_epoch = lock_epoch + 1 \
     WHERE id = $3 AND tenant = $4 AND state = $5 AND upload_offset = $6 AND lock_epoch = $7";
const REMOVE_SEGMENTS: &str = "DELETE FROM segment WHERE upload_id = $1 AND tenant = $2";
const MARK_DAMAGED: &str =
    "UPDATE upload SET state = 'damaged', changed_at = $1 WHERE id = $2 AND tenant = $3 AND state = 'open'";
const REMOVE_GONE: &str =
    "DELETE FROM upload WHERE state IN ('expired', 'terminated', 'retired') AND id IN (";
const SEGMENTS: &str = "SELECT first_byte, length, hash FROM segment WHERE upload_id = $1 AND tenant = $2 \
     AND owner = COALESCE($3, owner) ORDER BY first_byte";
const EXISTS: &str =
    "SELECT COUNT(*) FROM upload WHERE id = $1 AND state NOT IN ('expired', 'terminated', 'retired')";

const IS_KNOWN: &str = "SELECT COUNT(*) FROM upload WHERE id = $1";
const JOURNALS: &str = "SELECT id, redeemed FROM upload_journal";
const INSERT_JOURNAL: &str =
    "INSERT INTO upload_journal (id, tenant, owner, redeemed) VALUES ($1, '', '', 0)";
const REDEEM: &str = "UPDATE upload_journal SET redeemed = $2 WHERE redeemed < $1 AND id = $3";

const STORE_ID: &str = "SELECT id FROM upload_store";
const INSERT_STORE_ID: &str = "INSERT INTO upload_store (id, tenant, owner) VALUES ($1, '', '')";

/// Every statement, for the test that prepares each on both databases.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    FIND,
    FIND_FULL,
    FIND_EXPIRED,
    CLAIM_PARTS,
    PARTS,
    IS_WANTED,
    ADVANCE,
    COMPLETE,
    DECLARE_LENGTH,
    END,
    REMOVE_SEGMENTS,
    MARK_DAMAGED,
    SEGMENTS,
    EXISTS,
    IS_KNOWN,
    JOURNALS,
    INSERT_JOURNAL,
    REDEEM,
    STORE_ID,
    INSERT_STORE_ID,
];

#[derive(FromRow)]
struct UploadRow {
    id: String,
    tenant: String,
    owner: String,
    door: String,
    state: String,
    upload_length: Option<i64>,
    upload_offset: i64,
    manifest: Vec<u8>,
    media_type: Option<String>,
    upload_concat: Option<String>,
    storage_key: String,
    sha256: Option<Vec<u8>>,
    lock_epoch: i64,
    created_at: i64,
    changed_at: i64,
    completed_at: Option<i64>,
    expires_at: Option<i64>,
}

impl TryFrom<UploadRow> for Upload {
    type Error = DbError;

    fn try_from(row: UploadRow) -> Result<Self, DbError> {
        let wrong = |column| DbError::inconsistent("upload", column, &row.id);
        Ok(Self {
            id: row.id.parse().map_err(|_| wrong("id"))?,
            door: Door::parse(&row.door).ok_or_else(|| wrong("door"))?,
            state: UploadState::parse(&row.state).ok_or_else(|| wrong("state"))?,
            length: row.upload_length.map(u64::try_from).transpose().map_err(|_| wrong("upload_length"))?,
            offset: row.upload_offset.try_into().map_err(|_| wrong("upload_offset"))?,
            manifest: SenderManifest::from_json(&row.manifest).map_err(|_| wrong("manifest"))?,
            sha256: row.sha256.map(TryInto::try_into).transpose().map_err(|_| wrong("sha256"))?,
            tenant: row.tenant,
            owner: row.owner,
            media_type: row.media_type,
            concat: row.upload_concat.map(Concat::from_stored),
            key: StorageKey::from_stored(row.storage_key),
            lock_epoch: row.lock_epoch,
            created_at: Timestamp::from_nanos(row.created_at),
            changed_at: Timestamp::from_nanos(row.changed_at),
            completed_at: row.completed_at.map(Timestamp::from_nanos),
            expires_at: row.expires_at.map(Timestamp::from_nanos),
        })
    }
}

/// An offset or a length as a column holds it. The largest upload a configuration allows is far below.
fn column(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) async fn insert(tx: &mut Tx<'_>, uploads: &[Upload]) -> Result<(), DbError> {
    for uploads in uploads.chunks(ROWS_PER_INSERT) {
        later_on_db!(&mut *tx, query => {
            query.push(INSERT).push_values(uploads, |mut row, upload| {
                row.push_bind(upload.id.to_string())
                    .push_bind(&upload.tenant)
                    .push_bind(&upload.owner)
                    .push_bind(upload.door.as_str())
                    .push_bind(upload.state.as_str())
                    .push_bind(upload.length.map(column))
                    .push_bind(column(upload.offset))
                    .push_bind(upload.manifest.to_json())
                    .push_bind(upload.manifest.data_stream_id().to_owned())
                    .push_bind(upload.manifest.data_stream_route().to_owned())
                    .push_bind(&upload.media_type)
                    .push_bind(upload.concat.as_ref().map(Concat::as_str))
                    .push_bind(upload.key.as_str())
                    .push_bind(upload.sha256.map(Vec::from))
                    .push_bind(upload.lock_epoch)
                    .push_bind(upload.created_at.as_nanos())
                    .push_bind(upload.changed_at.as_nanos())
                    .push_bind(upload.completed_at.map(Timestamp::as_nanos))
                    .push_bind(upload.expires_at.map(Timestamp::as_nanos));
            });
        })?;
    }
    Ok(())
}

pub(super) async fn insert_segments(tx: &mut Tx<'_>, segments: &[(&Upload, Segment)]) -> Result<(), DbError> {
    for segments in segments.chunks(ROWS_PER_INSERT) {
        later_on_db!(&mut *tx, query => {
            query.push(INSERT_SEGMENT).push_values(segments, |mut row, (upload, segment)| {
                row.push_bind(upload.id.to_string())
                    .push_bind(column(segment.first_byte))
                    .push_bind(&upload.tenant)
                    .push_bind(&upload.owner)
                    .push_bind(column(segment.length))
                    .push_bind(segment.hash.to_bytes());
            });
        })?;
    }
    Ok(())
}

pub(super) async fn find(tx: &mut Tx<'_>, access: &Access, id: UploadId) -> Result<Option<Upload>, DbError> {
    let row: Option<UploadRow> = on_db!(tx, conn => {
        sqlx::query_as(FIND)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    row.map(Upload::try_from).transpose()
}

/// Uploads of every tenant whose last byte is in but which were not finished: what a crash left.
pub(super) async fn full_but_open(tx: &mut Tx<'_>) -> Result<Vec<Upload>, DbError> {
    let rows: Vec<UploadRow> = on_db!(tx, conn => sqlx::query_as(FIND_FULL).fetch_all(conn).await)?;
    rows.into_iter().map(Upload::try_from).collect()
}

/// Moves the offset to `end`; `false` if somebody else moved it first.
pub(super) async fn advance(
    tx: &mut Tx<'_>,
    upload: &Upload,
    end: u64,
    (now, expires_at): (Timestamp, Option<Timestamp>),
) -> Result<bool, DbError> {
    let moved = on_db!(tx, conn => {
        sqlx::query(ADVANCE)
            .bind(column(end))
            .bind(now.as_nanos())
            .bind(upload.id.to_string())
            .bind(column(upload.offset))
            .bind(upload.lock_epoch)
            .bind(expires_at.map(Timestamp::as_nanos))
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(moved == 1)
}

/// Marks an upload complete, or ready if it is a partial one, whose bytes end at `end`; `false` if it is complete
/// already, or somebody else moved its offset.
pub(super) async fn complete(
    tx: &mut Tx<'_>,
    upload: &Upload,
    end: u64,
    (now, expires_at): (Timestamp, Option<Timestamp>),
) -> Result<bool, DbError> {
    let state = if upload.is_partial() { UploadState::Ready } else { UploadState::Complete };
    let moved = on_db!(tx, conn => {
        sqlx::query(COMPLETE)
            .bind(column(end))
            .bind(now.as_nanos())
            .bind(upload.id.to_string())
            .bind(column(upload.offset))
            .bind(upload.lock_epoch)
            .bind(state.as_str())
            .bind(expires_at.map(Timestamp::as_nanos))
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(moved == 1)
}

/// Keeps the length of an upload that had none; `false` if it has one, or more bytes than that.
pub(super) async fn declare_length(tx: &mut Tx<'_>, upload: &Upload, length: u64) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(DECLARE_LENGTH)
            .bind(column(length))
            .bind(upload.id.to_string())
            .bind(upload.lock_epoch)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Leaves nothing of an upload but its row, in `state`; `false` if it is not any more what it was when it was read.
pub(super) async fn end(
    tx: &mut Tx<'_>,
    upload: &Upload,
    state: UploadState,
    now: Timestamp,
) -> Result<bool, DbError> {
    let ended = on_db!(&mut *tx, conn => {
        sqlx::query(END)
            .bind(state.as_str())
            .bind(now.as_nanos())
            .bind(upload.id.to_string())
            .bind(&upload.tenant)
            .bind(upload.state.as_str())
            .bind(column(upload.offset))
            .bind(upload.lock_epoch)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    if ended == 1 {
        on_db!(&mut *tx, conn => {
            let query = sqlx::query(REMOVE_SEGMENTS).bind(upload.id.to_string()).bind(&upload.tenant);
            query.execute(conn).await.map(drop)
        })?;
    }
    Ok(ended == 1)
}

/// Removes the rows of uploads that have no bytes any more; returns how many.
pub(super) async fn remove_gone(tx: &mut Tx<'_>, ids: &[String]) -> Result<u64, DbError> {
    let mut removed = 0;
    for ids in ids.chunks(ROWS_PER_INSERT) {
        removed += on_db!(&mut *tx, conn => {
            let mut query = sqlx::QueryBuilder::<Driver>::new(REMOVE_GONE);
            let mut list = query.separated(", ");
            for id in ids {
                list.push_bind(id);
            }
            list.push_unseparated(")");
            query.build().execute(conn).await.map(|done| done.rows_affected())
        })?;
    }
    Ok(removed)
}

/// Up to `limit` uploads of every tenant that have expired and that no final upload needs any more, in the order of
/// their end, behind the one that ended at the moment and has the id of `after`.
pub(super) async fn expired(
    tx: &mut Tx<'_>,
    now: Timestamp,
    after: Option<(Timestamp, UploadId)>,
    limit: u32,
) -> Result<Vec<Upload>, DbError> {
    let (at, id) = after.map_or((i64::MIN, String::new()), |(at, id)| (at.as_nanos(), id.to_string()));
    let rows: Vec<UploadRow> = on_db!(tx, conn => {
        sqlx::query_as(FIND_EXPIRED)
            .bind(now.as_nanos())
            .bind(i64::from(limit))
            .bind(at)
            .bind(&id)
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(Upload::try_from).collect()
}

/// Notes that the parts of a new final upload are used; `false` if one of the `count` cannot be used any more.
pub(super) async fn claim_parts(tx: &mut Tx<'_>, upload: &Upload, count: usize) -> Result<bool, DbError> {
    let claimed = on_db!(tx, conn => {
        sqlx::query(CLAIM_PARTS)
            .bind(upload.id.to_string())
            .bind(&upload.tenant)
            .bind(upload.created_at.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(claimed == count as u64)
}

/// Says what a final upload is made of.
pub(super) async fn insert_parts(
    tx: &mut Tx<'_>,
    upload: &Upload,
    parts: &[UploadId],
) -> Result<(), DbError> {
    let numbered: Vec<(i64, &UploadId)> = (0..).zip(parts).collect();
    for parts in numbered.chunks(ROWS_PER_INSERT) {
        later_on_db!(&mut *tx, query => {
            query.push(INSERT_PART).push_values(parts, |mut row, (position, part)| {
                row.push_bind(upload.id.to_string())
                    .push_bind(*position)
                    .push_bind(&upload.tenant)
                    .push_bind(&upload.owner)
                    .push_bind(part.to_string());
            });
        })?;
    }
    Ok(())
}

/// What a final upload is made of, in order.
pub(super) async fn parts(tx: &mut Tx<'_>, access: &Access, id: UploadId) -> Result<Vec<UploadId>, DbError> {
    let ids: Vec<String> = on_db!(tx, conn => {
        let query = sqlx::query_scalar(PARTS).bind(id.to_string()).bind(access.tenant()).bind(access.owner());
        query.fetch_all(conn).await
    })?;
    ids.into_iter()
        .map(|part| part.parse().map_err(|_| DbError::inconsistent("upload_part", "part_id", id)))
        .collect()
}

/// Whether a final upload that is not complete is made of this one.
pub(super) async fn is_wanted(tx: &mut Tx<'_>, id: UploadId) -> Result<bool, DbError> {
    Ok(on_db!(tx, conn => sqlx::query_scalar(IS_WANTED).bind(id.to_string()).fetch_one(conn).await)?)
}

/// Marks an upload as one that lost bytes; `false` if it is not open any more.
pub(super) async fn mark_damaged(tx: &mut Tx<'_>, upload: &Upload, now: Timestamp) -> Result<bool, DbError> {
    let marked = on_db!(tx, conn => {
        let query = sqlx::query(MARK_DAMAGED).bind(now.as_nanos()).bind(upload.id.to_string());
        query.bind(&upload.tenant).execute(conn).await.map(|done| done.rows_affected())
    })?;
    Ok(marked == 1)
}

pub(super) async fn segments(
    tx: &mut Tx<'_>,
    access: &Access,
    id: UploadId,
) -> Result<Vec<Segment>, DbError> {
    let rows: Vec<(i64, i64, Vec<u8>)> = on_db!(tx, conn => {
        sqlx::query_as(SEGMENTS)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter()
        .map(|(first_byte, length, hash)| {
            let wrong = |column| DbError::inconsistent("segment", column, id);
            Ok(Segment {
                first_byte: first_byte.try_into().map_err(|_| wrong("first_byte"))?,
                length: length.try_into().map_err(|_| wrong("length"))?,
                hash: ContentHash::from_bytes(&hash).ok_or_else(|| wrong("hash"))?,
            })
        })
        .collect()
}

/// Whether any tenant has an upload of this id; only the sweep of left-over files asks without an owner.
pub(super) async fn exists(tx: &mut Tx<'_>, id: UploadId) -> Result<bool, DbError> {
    let count: i64 =
        on_db!(tx, conn => sqlx::query_scalar(EXISTS).bind(id.to_string()).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// Whether any tenant has a row of this id, whatever it says; only the redemption of a crashed gateway's journal asks
/// without an owner.
pub(super) async fn is_known(tx: &mut Tx<'_>, id: UploadId) -> Result<bool, DbError> {
    let count: i64 =
        on_db!(tx, conn => sqlx::query_scalar(IS_KNOWN).bind(id.to_string()).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// The journals that the database knows, and up to which number the entries of each are redeemed; they belong to no
/// tenant.
pub(super) async fn journals(tx: &mut Tx<'_>) -> Result<Vec<(String, u64)>, DbError> {
    let rows: Vec<(String, i64)> = on_db!(tx, conn => sqlx::query_as(JOURNALS).fetch_all(conn).await)?;
    rows.into_iter()
        .map(|(id, redeemed)| match redeemed.try_into() {
            Ok(redeemed) => Ok((id, redeemed)),
            Err(_) => Err(DbError::inconsistent("upload_journal", "redeemed", id)),
        })
        .collect()
}

pub(super) async fn insert_journal(tx: &mut Tx<'_>, id: &str) -> Result<(), DbError> {
    on_db!(tx, conn => sqlx::query(INSERT_JOURNAL).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Moves the number of a journal behind the entries from `first` to `last`; `false` if it is there already.
pub(super) async fn redeem(tx: &mut Tx<'_>, id: &str, (first, last): (u64, u64)) -> Result<bool, DbError> {
    let moved = on_db!(tx, conn => {
        let query = sqlx::query(REDEEM).bind(column(first)).bind(column(last)).bind(id);
        query.execute(conn).await.map(|done| done.rows_affected())
    })?;
    Ok(moved == 1)
}

/// The mark of the store that the rows belong to; belongs to no tenant.
pub(super) async fn store_id(tx: &mut Tx<'_>) -> Result<Option<String>, DbError> {
    Ok(on_db!(tx, conn => sqlx::query_scalar(STORE_ID).fetch_optional(conn).await)?)
}

pub(super) async fn insert_store_id(tx: &mut Tx<'_>, id: &str) -> Result<(), DbError> {
    on_db!(tx, conn => sqlx::query(INSERT_STORE_ID).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}
