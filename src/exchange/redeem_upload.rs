//! What the journal of small uploads holds becomes what its acknowledgement said: blobs, rows, reports and deliveries,
//! as many as there are in one transaction (D-01). A group that cannot be redeemed is tried again until it is;
//! meanwhile uploads go the way without the journal, and are told what is wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Exchange;
use super::finish_upload::Finishing;
use super::receive_upload::{begin_reports, creation_reports};
use crate::db::{DbError, Tx};
use crate::report::{self, Report, StreamFields};
use crate::telemetry::metrics::observe_journal_stuck;
use crate::upload::{Group, Journal, Upload, UploadError, Uploads};

/// The pause after the first failure; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked at a stop whether everything is redeemed.
const DRAINING: Duration = Duration::from_millis(10);

/// The rows of a group.
struct Redemption {
    journal: String,
    entries: (u64, u64),
    uploads: Vec<Upload>,
    /// What is reported of those that have no bytes yet.
    begun: Vec<(StreamFields, Vec<Report>)>,
    /// What follows from those that are complete, behind these reports.
    finished: Vec<(Finishing, Vec<Report>)>,
}

impl Redemption {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        if !Uploads::redeem(tx, &self.journal, self.entries).await? {
            return Err(DbError::inconsistent("upload_journal", "redeemed", &self.journal));
        }
        Uploads::insert(tx, &self.uploads).await?;
        for (stream, reports) in &self.begun {
            report::record(tx, stream, reports).await?;
        }
        for (finishing, before) in &self.finished {
            finishing.write_consequences(tx, before).await?;
        }
        Ok(())
    }
}

impl Exchange {
    /// Redeems what is entered, until the gateway stops and nothing is left, or cannot be redeemed now: then the next
    /// start goes on.
    pub(crate) async fn redeem_uploads(self: Arc<Self>, stopping: CancellationToken) {
        let Some(journal) = self.uploads.journal().cloned() else { return stopping.cancelled().await };
        journal.wipe().await;
        loop {
            let group = tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                group = journal.due() => group,
            };
            if !self.redeem_in_the_end(&journal, &group, &stopping).await {
                return;
            }
        }
        // What is under way takes the way without it, so that nobody is left waiting here.
        journal.close();
        while !journal.is_drained() {
            let Ok(group) = tokio::time::timeout(DRAINING, journal.due()).await else { continue };
            if !self.redeem_in_the_end(&journal, &group, &stopping).await {
                return;
            }
        }
    }

    /// Redeems a group, trying again until it is done; `false` if the gateway stops before.
    async fn redeem_in_the_end(
        self: &Arc<Self>,
        journal: &Journal,
        group: &Group,
        stopping: &CancellationToken,
    ) -> bool {
        let mut pause = PAUSE;
        while let Err(error) = self.redeem(journal, group).await {
            journal.stuck();
            observe_journal_stuck(journal.unredeemed());
            tracing::error!(%error, uploads = journal.unredeemed(), "acknowledged uploads cannot be stored yet");
            let is_stopping = stopping.cancelled();
            if tokio::time::timeout(pause, is_stopping).await.is_ok() {
                tracing::warn!(
                    uploads = journal.unredeemed(),
                    "acknowledged uploads wait in the journal for the next start"
                );
                return false;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        journal.redeemed(group);
        observe_journal_stuck(0);
        self.announce_finished();
        journal.wipe().await;
        true
    }

    /// Makes blobs and rows of a group. It can be repeated, whatever came of it.
    async fn redeem(self: &Arc<Self>, journal: &Journal, group: &Group) -> Result<(), UploadError> {
        if self.is_redeemed(journal, group).await? {
            // An earlier try was committed, and nobody could say so. Its blobs may be read: they must not be written
            // anew.
            return Ok(());
        }
        let mut entered = group.uploads.clone();
        if group.is_left_over {
            // An upload whose entry failed may have gone on without it.
            let known = self.uploads.known(&entered).await?;
            entered.retain(|(upload, _)| !known.contains(&upload.id));
        }
        self.uploads.store_all(&entered).await?;
        let mut redemption = Redemption {
            journal: journal.id().to_owned(),
            entries: (group.first, group.last),
            uploads: Vec::new(),
            begun: Vec::new(),
            finished: Vec::new(),
        };
        for (upload, bytes) in entered {
            if let Some(at) = upload.completed_at {
                let finishing = Finishing::new(self, upload.clone(), Vec::new(), at);
                let finishing = finishing.screened(self.screen_whole(&upload, &bytes));
                redemption.finished.push((finishing, creation_reports(&upload, upload.created_at)));
            } else {
                redemption.begun.push((upload.stream(), begin_reports(&upload, upload.created_at)));
            }
            redemption.uploads.push(upload);
        }
        let written: Result<(), DbError> =
            self.db.write(redemption, |rows, tx| Box::pin(rows.write(tx))).await;
        Ok(written?)
    }

    async fn is_redeemed(&self, journal: &Journal, group: &Group) -> Result<bool, DbError> {
        let mut reader = self.db.reader().await?;
        let journals = Uploads::journals(&mut reader.tx()).await?;
        Ok(journals.iter().any(|(id, redeemed)| id == journal.id() && *redeemed >= group.last))
    }
}

#[cfg(test)]
#[path = "redeem_upload_tests.rs"]
mod tests;
