//! SQL of answers to attachment requests: what was sent for which Task, and which Tasks wait for documents.

use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;

use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, ROWS_PER_INSERT, Tx, later_on_db, on_db};
use crate::id::UploadId;

const INSERT: &str = "INSERT INTO attachment_answer \
     (tenant, owner, task, number, state, sha256, is_last, contents, upload_id, created_at) \
     VALUES ($1, $2, $3, (SELECT COALESCE(MAX(number), 0) + 1 FROM attachment_answer WHERE tenant = $1 AND task = $3), \
     $4, $5, $6, $7, $8, $9) RETURNING number";
const LIST: &str = "SELECT number, state, is_last, contents FROM attachment_answer \
     WHERE tenant = $1 AND owner = COALESCE($2, owner) AND task = $3 ORDER BY number";
const SETTLE: &str =
    "UPDATE attachment_answer SET state = $4 WHERE tenant = $1 AND task = $2 AND number = $3";
const AWAIT: &str = "INSERT INTO awaited_document (tenant, owner, task, name) ";
const UNLESS_KNOWN: &str = " ON CONFLICT DO NOTHING";
const FORGET: &str = "DELETE FROM awaited_document WHERE tenant = $1 AND task = $2";
const IS_AWAITING: &str = "SELECT COUNT(*) FROM awaited_document WHERE tenant = $1 AND task = $2";
const ANY_AWAITING: &str =
    "SELECT COUNT(*) FROM (SELECT 1 AS one FROM awaited_document LIMIT 1) AS any_of_them";
const AWAITING: &str = "SELECT DISTINCT owner, task FROM awaited_document WHERE tenant = ";

/// Every fixed statement, for the test that prepares each on both databases.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, LIST, SETTLE, FORGET, IS_AWAITING, ANY_AWAITING];

/// Where an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerState {
    /// It is on its way.
    Sent,
    /// The payer has it.
    Delivered,
    /// It was given up.
    Dead,
}

impl AnswerState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Sent, Self::Delivered, Self::Dead].into_iter().find(|state| state.as_str() == text)
    }
}

/// A resource that was sent, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentContent {
    /// Index of the input in `Task.input`.
    pub(super) input: usize,
    /// The resource: `Type/id`, or `#id` where it is contained in the Task.
    pub(super) reference: String,
    /// Whether it answers a Questionnaire.
    pub(super) is_form: bool,
}

/// One `$submit-attachment` that was sent for a Task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Which of the Task's it is, from 1 on.
    pub(super) number: u64,
    /// Where it stands.
    pub(super) state: AnswerState,
    /// Whether it said to be the last.
    pub(super) is_last: bool,
    /// What was in it.
    pub(super) contents: Vec<SentContent>,
}

/// An answer that is to be sent.
#[derive(Debug, Clone)]
pub(super) struct NewAnswer {
    /// Whether it says to be the last.
    pub(super) is_last: bool,
    /// SHA-256 of its body.
    pub(super) sha256: [u8; 32],
    /// What is in it.
    pub(super) contents: Vec<SentContent>,
    /// The upload that its body is.
    pub(super) upload_id: UploadId,
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    number: i64,
    state: String,
    is_last: bool,
    contents: String,
}

impl TryFrom<AnswerRow> for Answer {
    type Error = DbError;

    fn try_from(row: AnswerRow) -> Result<Self, DbError> {
        let bad = |column| DbError::inconsistent("attachment_answer", column, row.number);
        Ok(Self {
            number: u64::try_from(row.number).map_err(|_| bad("number"))?,
            state: AnswerState::parse(&row.state).ok_or_else(|| bad("state"))?,
            is_last: row.is_last,
            contents: serde_json::from_str(&row.contents).map_err(|_| bad("contents"))?,
        })
    }
}

/// Keeps an answer and says which of the Task's it is. One with the body of another that was not given up is refused by
/// a constraint.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    (access, task): (&Access, &str),
    answer: &NewAnswer,
    now: Timestamp,
) -> Result<u64, DbError> {
    let contents = serde_json::to_string(&answer.contents).unwrap_or_default();
    let number: i64 = on_db!(tx, conn => {
        sqlx::query_scalar(INSERT)
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(task)
            .bind(AnswerState::Sent.as_str())
            .bind(answer.sha256.to_vec())
            .bind(answer.is_last)
            .bind(contents)
            .bind(answer.upload_id.to_string())
            .bind(now.as_nanos())
            .fetch_one(conn)
            .await
    })?;
    u64::try_from(number).map_err(|_| DbError::inconsistent("attachment_answer", "number", number))
}

/// What was sent for a Task, in order.
pub(super) async fn list(tx: &mut Tx<'_>, access: &Access, task: &str) -> Result<Vec<Answer>, DbError> {
    let rows: Vec<AnswerRow> = on_db!(tx, conn => {
        sqlx::query_as(LIST).bind(access.tenant()).bind(access.owner()).bind(task).fetch_all(conn).await
    })?;
    rows.into_iter().map(Answer::try_from).collect()
}

/// Says what became of an answer.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    (access, task): (&Access, &str),
    number: u64,
    state: AnswerState,
) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(SETTLE)
            .bind(access.tenant())
            .bind(task)
            .bind(i64::try_from(number).unwrap_or(i64::MAX))
            .bind(state.as_str())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Makes a Task wait for documents under these names.
pub(super) async fn wait_for(
    tx: &mut Tx<'_>,
    (access, task): (&Access, &str),
    names: &[[u8; 32]],
) -> Result<(), DbError> {
    for names in names.chunks(ROWS_PER_INSERT) {
        later_on_db!(&mut *tx, insert => {
            insert.push(AWAIT).push_values(names, |mut row, name| {
                row.push_bind(access.tenant())
                    .push_bind(access.owner().unwrap_or_default())
                    .push_bind(task)
                    .push_bind(name.to_vec());
            });
            insert.push(UNLESS_KNOWN);
        })?;
    }
    Ok(())
}

/// Makes a Task wait no longer.
pub(super) async fn forget(tx: &mut Tx<'_>, access: &Access, task: &str) -> Result<(), DbError> {
    on_db!(tx, conn => sqlx::query(FORGET).bind(access.tenant()).bind(task).execute(conn).await.map(drop))?;
    Ok(())
}

/// Whether a Task waits.
pub(super) async fn is_awaiting(tx: &mut Tx<'_>, access: &Access, task: &str) -> Result<bool, DbError> {
    let count: i64 = on_db!(tx, conn => {
        sqlx::query_scalar(IS_AWAITING).bind(access.tenant()).bind(task).fetch_one(conn).await
    })?;
    Ok(count > 0)
}

/// Whether any Task of any tenant waits.
pub(super) async fn is_any_awaiting(tx: &mut Tx<'_>) -> Result<bool, DbError> {
    let count: i64 = on_db!(tx, conn => sqlx::query_scalar(ANY_AWAITING).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// The Tasks of a tenant that wait under one of these names: owner and id of each.
pub(super) async fn awaiting(
    tx: &mut Tx<'_>,
    tenant: &str,
    names: &[[u8; 32]],
) -> Result<Vec<(String, String)>, DbError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on_db!(tx, conn => {
        let mut query = QueryBuilder::<Driver>::new(AWAITING);
        query.push_bind(tenant).push(" AND name IN (");
        let mut list = query.separated(", ");
        for name in names {
            list.push_bind(name.to_vec());
        }
        query.push(")");
        query.build_query_as().fetch_all(conn).await
    })?)
}
