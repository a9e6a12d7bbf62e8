//! Processing status reports; a sink for all stages.
//!
//! A stage says what became true as a [`Report`] and [`record`]s it in the transaction that made it true. `model.rs` is
//! the envelope, `stage.rs` the contents of each stage, `store` the rows. The caller passes the fields of the data
//! stream; this module knows no manifest and no upload. The [`Publisher`] sends what was recorded to the
//! [`sink`]s: the rows are the outbox, so that none is lost while a sink is down (`dex-upload W-19`).

mod model;
mod publisher;
pub(crate) mod sink;
mod stage;
mod store;

pub(crate) use model::{Report, ReportIssue, ReportStatus, StreamFields, stream_of};
pub(crate) use publisher::Publisher;
pub(crate) use stage::Stage;
pub(crate) use store::{StoredReport, list, remove};

use crate::db::{DbError, Tx};

/// Records what became true for one upload, in the order given.
///
/// A stage whose disposition is `replace` takes the place of the upload's earlier report of that stage; a
/// call holds at most one of it.
/// Readers see reports in the order in which they were recorded, so a call that ends an upload gives
/// `upload-status` before `upload-completed`, and nothing records an `upload-status` later (`dex-upload
/// W-18`).
pub(crate) async fn record(
    tx: &mut Tx<'_>,
    stream: &StreamFields,
    reports: &[Report],
) -> Result<(), DbError> {
    store::record(tx, stream, reports).await
}

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
