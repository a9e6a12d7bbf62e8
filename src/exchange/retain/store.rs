//! SQL of what has been done with: pages of candidates, oldest first, of every tenant. What must not go whatever its
//! age is left out here; its age is the policy's business. Rows are removed by the stages that own them.

use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};
use crate::report;

/// That every sink has the reports of upload `u`: all have a place that is not after `$published`, or there are no
/// sinks.
macro_rules! is_published {
    ($published:literal) => {
        concat!(
            "(CAST(",
            $published,
            " AS BIGINT) IS NULL OR NOT EXISTS (SELECT 1 FROM report r WHERE r.upload_id = u.id \
             AND (r.place IS NULL OR r.place > CAST(",
            $published,
            " AS BIGINT))))"
        )
    };
}
/// That upload `u` has its bytes, and nothing here needs them: no delivery that is not settled or is held back, no
/// Binary that shares them (their name is the end of the key), no pushed resource that names the upload, no scan that
/// waits, no submission that resources must still be made of.
macro_rules! is_source_free {
    ($published:literal) => {
        concat!(
            "u.state = 'complete' \
             AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.upload_id = u.id \
             AND (d.settled_at IS NULL OR d.status = 'held')) \
             AND NOT EXISTS (SELECT 1 FROM binary_content b \
             WHERE b.id = substr(u.storage_key, length(u.storage_key) - 35)) \
             AND NOT EXISTS (SELECT 1 FROM forwarded f WHERE f.upload_id = u.id AND f.outcome = 'named') \
             AND NOT EXISTS (SELECT 1 FROM agenda a WHERE a.errand = 'scan-upload' AND a.subject = u.id) \
             AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.tenant = u.tenant AND s.resources IS NULL \
             AND s.upload_ids LIKE '%' || u.id || '%') AND ",
            is_published!($published)
        )
    };
}

const SOURCES: &str = concat!(
    "SELECT u.id, u.tenant, u.data_stream_id, u.data_stream_route, u.changed_at AS at, \
     (SELECT MAX(d.settled_at) FROM delivery d WHERE d.upload_id = u.id) AS settled_at, \
     EXISTS (SELECT 1 FROM delivery d WHERE d.upload_id = u.id AND d.status = 'delivered') \
     AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.upload_id = u.id AND d.status = 'dead') AS is_delivered \
     FROM upload u WHERE u.changed_at <= $1 AND u.changed_at >= $2 AND (u.changed_at > $2 OR u.id > $3) AND ",
    is_source_free!("$4"),
    " ORDER BY u.changed_at, u.id LIMIT $5"
);
const IS_SOURCE_FREE: &str =
    concat!("SELECT COUNT(*) FROM upload u WHERE u.id = $1 AND u.tenant = $2 AND ", is_source_free!("$3"));
// As long as the bytes are here their deliveries stay: a complete upload without any would be told, and judged, as one
// that was never delivered. Those that somebody waits for stay until he has been told.
const DELIVERIES: &str = "SELECT d.id, d.tenant, u.data_stream_id, u.data_stream_route, d.settled_at AS at, \
     d.settled_at, FALSE AS is_delivered FROM delivery d JOIN upload u ON u.id = d.upload_id \
     WHERE d.settled_at <= $1 AND d.settled_at >= $2 AND (d.settled_at > $2 OR d.id > $3) \
     AND d.status IN ('delivered', 'cancelled', 'dead') AND u.state <> 'complete' \
     AND NOT EXISTS (SELECT 1 FROM agenda a WHERE a.errand = 'follow-delivery' AND a.subject = d.id) \
     ORDER BY d.settled_at, d.id LIMIT $4";
const TOMBSTONES: &str = concat!(
    "SELECT u.id, u.tenant, u.data_stream_id, u.data_stream_route, u.changed_at AS at, u.changed_at AS settled_at, \
     FALSE AS is_delivered FROM upload u WHERE u.state IN ('expired', 'terminated', 'retired') \
     AND u.changed_at <= $1 AND u.changed_at >= $2 AND (u.changed_at > $2 OR u.id > $3) \
     AND NOT EXISTS (SELECT 1 FROM delivery d JOIN agenda a ON a.errand = 'follow-delivery' AND a.subject = d.id \
     WHERE d.upload_id = u.id) AND ",
    is_published!("$4"),
    " ORDER BY u.changed_at, u.id LIMIT $5"
);
// A refused creation has no upload, and one whose row went has none any more: then the report itself says which stream
// it is about. Reports of one that still takes bytes, or is being delivered, are all needed.
const REPORTS: &str = "SELECT r.sequence, r.created_at, u.data_stream_id, u.data_stream_route, \
     CASE WHEN u.id IS NULL THEN r.body END AS body, \
     COALESCE(u.state IN ('open', 'ready'), FALSE) OR EXISTS (SELECT 1 FROM delivery d \
     WHERE d.upload_id = r.upload_id AND d.settled_at IS NULL) \
     OR (CAST($2 AS BIGINT) IS NOT NULL AND (r.place IS NULL OR r.place > CAST($2 AS BIGINT))) AS is_needed \
     FROM report r LEFT JOIN upload u ON u.id = r.upload_id WHERE r.sequence > $1 ORDER BY r.sequence LIMIT $3";

/// Every statement, for the test that prepares each on both databases.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SOURCES, IS_SOURCE_FREE, DELIVERIES, TOMBSTONES, REPORTS];

/// Something that may be old enough to go.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Candidate {
    /// Its identifier.
    pub(super) id: String,
    /// Whose it is.
    pub(super) tenant: String,
    data_stream_id: String,
    data_stream_route: String,
    /// Its place among the candidates.
    at: i64,
    settled_at: Option<i64>,
    /// Of an upload with bytes: whether it went to all targets, of which there is one at least.
    pub(super) is_delivered: bool,
}

impl Candidate {
    /// The data stream and its route.
    pub(super) fn stream(&self) -> (&str, &str) {
        (&self.data_stream_id, &self.data_stream_route)
    }

    /// When the last thing happened to it.
    pub(super) fn ended_at(&self) -> Timestamp {
        Timestamp::from_nanos(self.settled_at.map_or(self.at, |settled_at| settled_at.max(self.at)))
    }
}

/// Where a page of candidates ended.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    at: i64,
    id: String,
}

impl Mark {
    /// Before the first candidate.
    pub(super) fn start() -> Self {
        Self { at: i64::MIN, id: String::new() }
    }
}

impl From<&Candidate> for Mark {
    fn from(candidate: &Candidate) -> Self {
        Self { at: candidate.at, id: candidate.id.clone() }
    }
}

/// A report that may be old enough to go.
#[derive(Debug)]
pub(super) struct OldReport {
    /// Its number among all reports of the gateway.
    pub(super) sequence: i64,
    created_at: i64,
    stream: (String, String),
    /// Whether it must stay whatever its age.
    pub(super) is_needed: bool,
}

#[derive(sqlx::FromRow)]
struct ReportRow {
    sequence: i64,
    created_at: i64,
    data_stream_id: Option<String>,
    data_stream_route: Option<String>,
    body: Option<Vec<u8>>,
    is_needed: bool,
}

impl From<ReportRow> for OldReport {
    fn from(row: ReportRow) -> Self {
        let ReportRow { sequence, created_at, data_stream_id, data_stream_route, body, is_needed } = row;
        let of_upload = data_stream_id.zip(data_stream_route);
        let stream = of_upload.or_else(|| report::stream_of(body.as_deref()?)).unwrap_or_default();
        Self { sequence, created_at, stream, is_needed }
    }
}

impl OldReport {
    /// The data stream and its route; empty where nothing tells them.
    pub(super) fn stream(&self) -> (&str, &str) {
        (&self.stream.0, &self.stream.1)
    }

    /// When its stage ended.
    pub(super) fn ended_at(&self) -> Timestamp {
        Timestamp::from_nanos(self.created_at)
    }
}

/// Which candidates are looked at: those that ended not after a moment, from a mark on, at most so many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    /// The latest end that is old enough for some stream.
    pub(super) horizon: Timestamp,
    /// Where the page before it ended.
    pub(super) after: &'a Mark,
    /// Candidates at most.
    pub(super) limit: u32,
}

/// Uploads whose bytes nothing here needs. `published` is the place up to which every sink has all reports.
pub(super) async fn sources(
    tx: &mut Tx<'_>,
    page: Page<'_>,
    published: Option<i64>,
) -> Result<Vec<Candidate>, DbError> {
    with_reports(tx, SOURCES, page, published).await
}

/// Uploads without bytes.
pub(super) async fn tombstones(
    tx: &mut Tx<'_>,
    page: Page<'_>,
    published: Option<i64>,
) -> Result<Vec<Candidate>, DbError> {
    with_reports(tx, TOMBSTONES, page, published).await
}

async fn with_reports(
    tx: &mut Tx<'_>,
    sql: &'static str,
    page: Page<'_>,
    published: Option<i64>,
) -> Result<Vec<Candidate>, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_as(sql)
            .bind(page.horizon.as_nanos())
            .bind(page.after.at)
            .bind(&page.after.id)
            .bind(published)
            .bind(i64::from(page.limit))
            .fetch_all(conn)
            .await
    })?)
}

/// Deliveries that are settled, of uploads whose bytes are gone.
pub(super) async fn deliveries(tx: &mut Tx<'_>, page: Page<'_>) -> Result<Vec<Candidate>, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_as(DELIVERIES)
            .bind(page.horizon.as_nanos())
            .bind(page.after.at)
            .bind(&page.after.id)
            .bind(i64::from(page.limit))
            .fetch_all(conn)
            .await
    })?)
}

/// Reports from a number on, in their order.
pub(super) async fn reports(
    tx: &mut Tx<'_>,
    after: i64,
    published: Option<i64>,
    limit: u32,
) -> Result<Vec<OldReport>, DbError> {
    let rows: Vec<ReportRow> = on_db!(tx, conn => {
        sqlx::query_as(REPORTS).bind(after).bind(published).bind(i64::from(limit)).fetch_all(conn).await
    })?;
    Ok(rows.into_iter().map(OldReport::from).collect())
}

/// Whether still nothing here needs the bytes of an upload.
pub(super) async fn is_source_free(
    tx: &mut Tx<'_>,
    candidate: &Candidate,
    published: Option<i64>,
) -> Result<bool, DbError> {
    let count: i64 = on_db!(tx, conn => {
        sqlx::query_scalar(IS_SOURCE_FREE)
            .bind(&candidate.id)
            .bind(&candidate.tenant)
            .bind(published)
            .fetch_one(conn)
            .await
    })?;
    Ok(count > 0)
}
