//! Rows of deliveries, attempts and the uploads they carry, as the store reads them. A stored value that
//! cannot be read is an error that names table, column and row.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::model::{Attempt, AttemptOutcome, Cause, Delivery, DeliveryStatus, NewDelivery};
use super::CarriedUpload;
use crate::clock::Timestamp;
use crate::db::DbError;
use crate::report::StreamFields;

/// A row of `delivery`.
#[derive(sqlx::FromRow)]
pub(super) struct DeliveryRow {
    id: String,
    tenant: String,
    owner: String,
    upload_id: String,
    target: String,
    path: String,
    status: String,
    cause: String,
    due_at: i64,
    attempts: i64,
    lease_epoch: i64,
    trace: Option<String>,
    location: Option<String>,
    header: Option<String>,
    followed_by: Option<String>,
    is_ordered: bool,
    #[sqlx(default)]
    progress: Option<Vec<u8>>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = DbError;

    fn try_from(row: DeliveryRow) -> Result<Self, DbError> {
        let bad = |column| DbError::inconsistent("delivery", column, &row.id);
        let header = match &row.header {
            Some(text) => Header::parse(text).ok_or_else(|| bad("header"))?,
            None => Header::default(),
        };
        Ok(Self {
            id: row.id.parse().map_err(|_| bad("id"))?,
            upload_id: row.upload_id.parse().map_err(|_| bad("upload_id"))?,
            status: DeliveryStatus::parse(&row.status).ok_or_else(|| bad("status"))?,
            cause: Cause::parse(&row.cause).ok_or_else(|| bad("cause"))?,
            due_at: Timestamp::from_nanos(row.due_at),
            attempts: u32::try_from(row.attempts).map_err(|_| bad("attempts"))?,
            headers: header.fields,
            timeout: header.timeout_secs.map(Duration::from_secs),
            lease_epoch: row.lease_epoch,
            tenant: row.tenant,
            owner: row.owner,
            target: row.target,
            path: row.path,
            trace: row.trace,
            location: row.location,
            followed_by: row.followed_by,
            is_ordered: row.is_ordered,
            progress: row.progress,
        })
    }
}

/// What a call needs beside its body, as `delivery.header` keeps it: a list of fields, or an object if there is more.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Header {
    fields: Vec<(String, String)>,
    timeout_secs: Option<u64>,
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with('[') {
            Some(Self { fields: serde_json::from_str(text).ok()?, timeout_secs: None })
        } else {
            serde_json::from_str(text).ok()
        }
    }

    /// The text of a delivery; none if there is nothing to say.
    pub(super) fn of(delivery: &NewDelivery) -> Option<String> {
        // Strings and numbers cannot fail to be written.
        let text = match delivery.timeout {
            Some(timeout) => {
                let header = Self { fields: delivery.headers.clone(), timeout_secs: Some(timeout.as_secs()) };
                serde_json::to_string(&header)
            }
            None if delivery.headers.is_empty() => return None,
            None => serde_json::to_string(&delivery.headers),
        };
        text.ok()
    }
}

/// A row of `attempt`.
#[derive(sqlx::FromRow)]
pub(super) struct AttemptRow {
    id: String,
    delivery_id: String,
    target: String,
    number: i64,
    cause: String,
    status: String,
    location: Option<String>,
    issue: Option<String>,
    size_bytes: Option<i64>,
    started_at: i64,
    ended_at: i64,
}

impl AttemptRow {
    /// `status` of an attempt that delivered; the word `/info` shows.
    pub(super) const SUCCESS: &str = "SUCCESS";
    /// `status` of one that did not.
    pub(super) const FAILURE: &str = "FAILURE";
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = DbError;

    fn try_from(row: AttemptRow) -> Result<Self, DbError> {
        let bad = |column| DbError::inconsistent("attempt", column, &row.id);
        let outcome = match row.status.as_str() {
            AttemptRow::SUCCESS => AttemptOutcome::Success {
                location: row.location.ok_or_else(|| bad("location"))?,
                size_bytes: row
                    .size_bytes
                    .and_then(|size| u64::try_from(size).ok())
                    .ok_or_else(|| bad("size_bytes"))?,
                remark: row.issue,
            },
            AttemptRow::FAILURE => AttemptOutcome::Failure {
                issue: row.issue.ok_or_else(|| bad("issue"))?,
                read_bytes: row.size_bytes.and_then(|size| u64::try_from(size).ok()),
            },
            _ => return Err(bad("status")),
        };
        Ok(Self {
            delivery_id: row.delivery_id.parse().map_err(|_| bad("delivery_id"))?,
            target: row.target,
            number: u32::try_from(row.number).map_err(|_| bad("number"))?,
            cause: Cause::parse(&row.cause).ok_or_else(|| bad("cause"))?,
            outcome,
            started_at: Timestamp::from_nanos(row.started_at),
            ended_at: Timestamp::from_nanos(row.ended_at),
        })
    }
}

/// What a delivery reads of `upload`.
#[derive(sqlx::FromRow)]
pub(super) struct UploadRow {
    id: String,
    tenant: String,
    owner: String,
    manifest: Vec<u8>,
    media_type: Option<String>,
    data_stream_id: String,
    data_stream_route: String,
    delivered_before: i64,
}

impl TryFrom<UploadRow> for CarriedUpload {
    type Error = DbError;

    fn try_from(row: UploadRow) -> Result<Self, DbError> {
        let bad = |column| DbError::inconsistent("upload", column, &row.id);
        let mut fields: BTreeMap<String, String> =
            serde_json::from_slice(&row.manifest).map_err(|_| bad("manifest"))?;
        let mut field = |name| fields.remove(name).unwrap_or_default();
        Ok(Self {
            stream: StreamFields {
                upload_id: row.id.parse().map_err(|_| bad("id"))?,
                tenant: row.tenant,
                owner: row.owner,
                sender_id: field("sender_id"),
                data_stream_id: row.data_stream_id,
                data_stream_route: row.data_stream_route,
                jurisdiction: field("jurisdiction"),
                dex_ingest_datetime: field("dex_ingest_datetime"),
            },
            manifest: row.manifest,
            media_type: row.media_type,
            delivered_before: u32::try_from(row.delivered_before).unwrap_or(u32::MAX),
        })
    }
}
