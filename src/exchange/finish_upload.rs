//! The last byte is in: the upload becomes complete, its deliveries exist, and the reports say so, in one
//! transaction. It is idempotent, and the start runs it again for every upload that a crash left full but
//! open (dex-upload T-34, D-01).

use std::sync::Arc;

use super::Exchange;
use super::screen_upload::write_screened;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery::{self, NewDelivery};
use crate::report::{self, Report, Stage};
use crate::screening::Screened;
use crate::telemetry::metrics::count_unrouted;
use crate::upload::{Segment, Upload, Uploads, progress};

/// What is reported of an upload whose data stream has no destination.
const NO_DESTINATION: &str = "the data stream has no destination";

/// Everything that becomes true when one upload is finished.
#[derive(Debug)]
pub(super) struct Finishing {
    upload: Upload,
    tail: Vec<Segment>,
    deliveries: Vec<NewDelivery>,
    screened: Option<Screened>,
    now: Timestamp,
}

impl Finishing {
    /// `tail` is what was appended but not yet acknowledged.
    pub(super) fn new(exchange: &Exchange, upload: Upload, tail: Vec<Segment>, now: Timestamp) -> Self {
        let deliveries = exchange.deliveries_of(&upload);
        Self { upload, tail, deliveries, screened: None, now }
    }

    /// With what is seen of the bytes.
    #[must_use]
    pub(super) fn screened(mut self, screened: Option<Screened>) -> Self {
        self.screened = screened;
        self
    }

    /// The offset once this is written.
    pub(super) fn end(&self) -> u64 {
        self.tail.last().map_or(self.upload.offset, Segment::end)
    }

    /// Finishes an upload that is open; `false` if it was finished already. Nothing follows from a partial upload but
    /// that it can be concatenated (T-29).
    pub(super) async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, DbError> {
        if !Uploads::complete(tx, &self.upload, &self.tail, self.now).await? {
            return Ok(false);
        }
        if !self.upload.is_partial() {
            self.write_consequences(tx, &[]).await?;
        }
        Ok(true)
    }

    /// Writes what follows from an upload that is complete already, after the reports in `before`.
    pub(super) async fn write_consequences(&self, tx: &mut Tx<'_>, before: &[Report]) -> Result<(), DbError> {
        delivery::enqueue(tx, &self.deliveries, self.now).await?;
        let completed = write_screened(tx, &self.upload, self.screened.as_ref(), self.now).await?;
        let mut reports = before.to_vec();
        // The last progress comes before the completion, so that no reader sees it step back (W-18).
        reports.push(progress(&self.upload, self.end(), self.now));
        reports.extend(completed);
        if self.deliveries.is_empty() {
            // Complete and going nowhere: somebody must be able to see it (W-03).
            count_unrouted();
            let nowhere = Stage::BlobFileCopy {
                file_destination_blob_url: String::new(),
                destination_name: String::new(),
            };
            reports.push(Report::failure(nowhere, NO_DESTINATION, self.now, self.now));
        }
        report::record(tx, &self.upload.stream(), &reports).await
    }
}

impl Exchange {
    /// Finishes an open upload whose last byte is in; `false` if somebody else did, or moved its offset.
    pub(crate) async fn finish_upload(
        self: &Arc<Self>,
        upload: Upload,
        tail: Vec<Segment>,
    ) -> Result<bool, DbError> {
        let finishing = self.finishing(upload, tail).await;
        let finished = self.db.write(finishing, |finishing, tx| Box::pin(finishing.write(tx))).await?;
        self.announce_finished();
        Ok(finished)
    }

    /// Wakes whoever goes on with an upload that is finished, once that is committed.
    pub(super) fn announce_finished(&self) {
        self.deliveries.wake();
        if self.screening.scanner.is_some() {
            self.agenda.wake();
        }
    }

    /// What becomes true when an upload whose bytes are all in the store is finished.
    pub(super) async fn finishing(&self, upload: Upload, tail: Vec<Segment>) -> Finishing {
        let screened = if upload.is_partial() { None } else { self.screen_stored(&upload).await };
        Finishing::new(self, upload, tail, self.clock.now()).screened(screened)
    }

    /// Finishes what a crash left full but open; returns how many uploads that were.
    pub(crate) async fn finish_left_over(self: &Arc<Self>) -> Result<usize, DbError> {
        let left = self.uploads.full_but_open().await?;
        let count = left.len();
        for upload in left {
            self.finish_upload(upload, Vec::new()).await?;
        }
        Ok(count)
    }
}
