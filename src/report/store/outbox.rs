//! SQL of what the sinks have: reports get places in one order, and each sink has all up to one of them.
//!
//! A place is given once a report is committed, by whoever holds the one row of `report_order`; so nothing with a
//! smaller place ever appears later, however transactions overlap. What a publisher writes names its epoch; no row
//! changed means that another one serves the sink now. Looks at all tenants: for the publisher and retention only.

use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};

const IS_ANY_WITHOUT_PLACE: &str =
    "SELECT COUNT(*) FROM (SELECT 1 AS one FROM report WHERE place IS NULL LIMIT 1) AS found";
// Changes nothing and keeps others from giving places until the unit ends.
const HOLD_ORDER: &str = "UPDATE report_order SET last_place = last_place RETURNING last_place";
const GIVE_PLACES: &str = "UPDATE report SET place = numbered.place FROM (SELECT sequence, \
     $1 + ROW_NUMBER() OVER (ORDER BY sequence) AS place FROM (SELECT sequence FROM report WHERE place IS NULL \
     ORDER BY sequence LIMIT $2) AS waiting) AS numbered WHERE report.sequence = numbered.sequence";
const MOVE_ORDER: &str = "UPDATE report_order SET last_place = last_place + $1";
const SERVE: &str = "INSERT INTO report_sink (name, tenant, owner, place, epoch, created_at) \
     VALUES ($1, '', '', 0, 1, $2) ON CONFLICT (name) DO UPDATE SET epoch = report_sink.epoch + 1 \
     RETURNING place, epoch";
const NEXT: &str = "SELECT place, sequence, upload_id, stage, body, created_at FROM report WHERE place > $1 \
     ORDER BY place LIMIT $2";
const BEHIND: &str = "SELECT last_place - $1 FROM report_order";
const ADVANCE: &str = "UPDATE report_sink SET place = $2 WHERE name = $1 AND epoch = $3";
// A report whose place was taken by a later one of its stage has nothing to set aside any more.
const SET_ASIDE: &str = "INSERT INTO report_refusal (sink, sequence, tenant, owner, upload_id, status, refused_at) \
     SELECT $1, sequence, tenant, owner, upload_id, $3, $4 FROM report WHERE sequence = $2 \
     ON CONFLICT (sink, sequence) DO NOTHING";
const PLACES: &str = "SELECT name, place FROM report_sink";

/// Every statement of this file.
#[cfg(test)]
pub(in crate::report) const STATEMENTS: &[&str] = &[
    IS_ANY_WITHOUT_PLACE,
    HOLD_ORDER,
    GIVE_PLACES,
    MOVE_ORDER,
    SERVE,
    NEXT,
    BEHIND,
    ADVANCE,
    SET_ASIDE,
    PLACES,
];

/// A report on its way to a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Outgoing {
    /// Where it stands in the order of all.
    pub(in crate::report) place: i64,
    /// Its number among all reports of the gateway.
    pub(in crate::report) sequence: i64,
    /// The upload that it is about.
    pub(in crate::report) upload_id: String,
    /// The stage's name on the wire.
    pub(in crate::report) stage: String,
    /// The whole envelope, as JSON without line breaks.
    pub(in crate::report) body: Vec<u8>,
    /// When the stage ended.
    pub(in crate::report) created_at: Timestamp,
}

impl Outgoing {
    /// The name of the report, the same whenever it is sent again; numbers of other gateways belong to other uploads.
    pub(in crate::report) fn id(&self) -> String {
        format!("{}-{}", self.upload_id, self.sequence)
    }
}

/// Who serves a sink, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) struct Seat {
    /// The sink has all reports up to this place.
    pub(in crate::report) place: i64,
    /// Fences whoever served it before.
    pub(in crate::report) epoch: i64,
}

#[derive(sqlx::FromRow)]
struct OutgoingRow {
    place: i64,
    sequence: i64,
    upload_id: String,
    stage: String,
    body: Vec<u8>,
    created_at: i64,
}

impl From<OutgoingRow> for Outgoing {
    fn from(row: OutgoingRow) -> Self {
        let OutgoingRow { place, sequence, upload_id, stage, body, created_at } = row;
        Self { place, sequence, upload_id, stage, body, created_at: Timestamp::from_nanos(created_at) }
    }
}

/// Whether reports have come that have no place yet.
pub(in crate::report) async fn is_any_without_place(tx: &mut Tx<'_>) -> Result<bool, DbError> {
    let count: i64 = on_db!(tx, conn => sqlx::query_scalar(IS_ANY_WITHOUT_PLACE).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// Gives places to the first `limit` reports that have none; returns how many those were.
pub(in crate::report) async fn give_places(tx: &mut Tx<'_>, limit: u32) -> Result<u64, DbError> {
    let last: i64 = on_db!(&mut *tx, conn => sqlx::query_scalar(HOLD_ORDER).fetch_one(conn).await)?;
    let given = on_db!(&mut *tx, conn => {
        let query = sqlx::query(GIVE_PLACES).bind(last).bind(i64::from(limit));
        query.execute(conn).await.map(|done| done.rows_affected())
    })?;
    let moved = i64::try_from(given).unwrap_or(i64::MAX);
    on_db!(&mut *tx, conn => sqlx::query(MOVE_ORDER).bind(moved).execute(conn).await.map(drop))?;
    Ok(given)
}

/// Takes a sink over from whoever served it before. A sink that is new begins with the first report that is kept.
pub(in crate::report) async fn serve(tx: &mut Tx<'_>, sink: &str, now: Timestamp) -> Result<Seat, DbError> {
    let (place, epoch): (i64, i64) = on_db!(tx, conn => {
        sqlx::query_as(SERVE).bind(sink).bind(now.as_nanos()).fetch_one(conn).await
    })?;
    Ok(Seat { place, epoch })
}

/// What a sink gets next.
pub(in crate::report) async fn next(
    tx: &mut Tx<'_>,
    seat: Seat,
    limit: u32,
) -> Result<Vec<Outgoing>, DbError> {
    let rows: Vec<OutgoingRow> = on_db!(tx, conn => {
        sqlx::query_as(NEXT).bind(seat.place).bind(i64::from(limit)).fetch_all(conn).await
    })?;
    Ok(rows.into_iter().map(Outgoing::from).collect())
}

/// How many reports a sink does not have; those whose place was taken by a later one of their stage are counted, too.
pub(in crate::report) async fn behind(tx: &mut Tx<'_>, seat: Seat) -> Result<u64, DbError> {
    let count: i64 = on_db!(tx, conn => sqlx::query_scalar(BEHIND).bind(seat.place).fetch_one(conn).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Says that a sink has all up to `place`, but for what it refused (each with the status of the refusal); `false`, and
/// nothing written, if somebody else serves it.
pub(in crate::report) async fn advance(
    tx: &mut Tx<'_>,
    sink: &str,
    (epoch, place): (i64, i64),
    refused: &[(i64, u16)],
    now: Timestamp,
) -> Result<bool, DbError> {
    let moved = on_db!(&mut *tx, conn => {
        let query = sqlx::query(ADVANCE).bind(sink).bind(place).bind(epoch);
        query.execute(conn).await.map(|done| done.rows_affected())
    })?;
    if moved == 0 {
        return Ok(false);
    }
    for (sequence, status) in refused {
        on_db!(&mut *tx, conn => {
            sqlx::query(SET_ASIDE)
                .bind(sink)
                .bind(sequence)
                .bind(i64::from(*status))
                .bind(now.as_nanos())
                .execute(conn)
                .await
                .map(drop)
        })?;
    }
    Ok(true)
}

/// What the sinks refused: sink, upload and status, in the order in which it was reported.
#[cfg(test)]
pub(in crate::report) async fn refused(tx: &mut Tx<'_>) -> Result<Vec<(String, String, i64)>, DbError> {
    const REFUSED: &str = "SELECT sink, upload_id, status FROM report_refusal ORDER BY sequence";
    Ok(on_db!(tx, conn => sqlx::query_as(REFUSED).fetch_all(conn).await)?)
}

/// The place up to which all of these sinks have every report; `None` if there are no sinks.
pub(in crate::report) async fn published(tx: &mut Tx<'_>, sinks: &[String]) -> Result<Option<i64>, DbError> {
    let places: Vec<(String, i64)> = on_db!(tx, conn => sqlx::query_as(PLACES).fetch_all(conn).await)?;
    let of = |sink: &String| places.iter().find(|(name, _)| name == sink).map_or(0, |(_, place)| *place);
    Ok(sinks.iter().map(of).min())
}
