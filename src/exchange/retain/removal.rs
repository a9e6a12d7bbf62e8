//! How what has been done with goes (dex-upload W-23): page by page, a few in each unit, each looked at again in the
//! unit that removes it. First the row says that bytes are gone, then they go: a crash in between leaves them to the
//! sweep of the next start.

use std::time::Duration;

use super::super::terminate_upload::LEFT;
use super::policy::{Periods, is_over};
use super::store::{self, Candidate, Mark, Page};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::{Access, DEFAULT_TENANT};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery;
use crate::exchange::Exchange;
use crate::fhir::search::{Query, Scope, escaped};
use crate::report;
use crate::repository::entry::Space;
use crate::repository::{self, Search, criteria};
use crate::telemetry::metrics::count_removed;
use crate::upload::{Upload, Uploads};

/// Candidates that are looked at in one go.
const PAGE: u32 = 500;

/// What is removed in one unit, so that no writer waits long for it.
const UNIT: usize = 50;

/// Who removes, in the audit trail.
const OWNER: &str = "gateway";

/// How much a run removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) sources: u64,
    pub(super) deliveries: u64,
    pub(super) tombstones: u64,
    pub(super) reports: u64,
}

impl Removed {
    /// The kinds by name.
    fn kinds(self) -> [(&'static str, u64); 4] {
        [
            ("source", self.sources),
            ("delivery", self.deliveries),
            ("tombstone", self.tombstones),
            ("report", self.reports),
        ]
    }
}

/// What is looked for by candidates.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Bytes of uploads.
    Source,
    /// Settled deliveries of uploads whose bytes are gone, with their attempts.
    Delivery,
    /// Rows of uploads whose bytes are gone, with all that belongs to them but their reports.
    Tombstone,
}

impl Kind {
    fn period(self, periods: &Periods) -> Option<Duration> {
        match self {
            Self::Source => periods.source,
            Self::Delivery => periods.delivery,
            Self::Tombstone => periods.tombstone,
        }
    }

    fn may_go(self, candidate: &Candidate, periods: &Periods, now: Timestamp) -> bool {
        let is_ripe = match self {
            Self::Source => candidate.is_delivered || periods.undelivered,
            Self::Delivery | Self::Tombstone => true,
        };
        is_ripe && is_over(candidate.ended_at(), self.period(periods), now)
    }
}

impl Exchange {
    /// Removes what has been kept for its time and is needed by nobody.
    ///
    /// *Idempotence*: what is gone is no candidate any more; a run that was cut off is gone on with by the next.
    pub(super) async fn remove_old(&self, now: Timestamp) -> Result<Removed, DbError> {
        let mut removed = Removed::default();
        let done = self.remove_each(now, &mut removed).await;
        self.tell_removed(removed, now).await?;
        done.map(|()| removed)
    }

    async fn remove_each(&self, now: Timestamp, removed: &mut Removed) -> Result<(), DbError> {
        let published = {
            let mut reader = self.db.reader().await?;
            self.reports.published(&mut reader.tx()).await?
        };
        // A delivery goes once the bytes are gone, a row once nothing hangs on it.
        self.remove_all(Kind::Source, now, published, &mut removed.sources).await?;
        self.remove_all(Kind::Delivery, now, published, &mut removed.deliveries).await?;
        self.remove_all(Kind::Tombstone, now, published, &mut removed.tombstones).await?;
        self.remove_reports(now, published, &mut removed.reports).await
    }

    async fn remove_all(
        &self,
        kind: Kind,
        now: Timestamp,
        published: Option<i64>,
        removed: &mut u64,
    ) -> Result<(), DbError> {
        let Some(horizon) = self.retention.horizon(now, |periods| kind.period(periods)) else {
            return Ok(());
        };
        let mut after = Mark::start();
        loop {
            let page = Page { horizon, after: &after, limit: PAGE };
            let mut candidates = {
                let mut reader = self.db.reader().await?;
                let mut tx = reader.tx();
                match kind {
                    Kind::Source => store::sources(&mut tx, page, published).await?,
                    Kind::Delivery => store::deliveries(&mut tx, page).await?,
                    Kind::Tombstone => store::tombstones(&mut tx, page, published).await?,
                }
            };
            let Some(last) = candidates.last() else { return Ok(()) };
            after = last.into();
            candidates.retain(|candidate| kind.may_go(candidate, self.retention.of(candidate.stream()), now));
            for some in candidates.chunks(UNIT) {
                if self.stopping.is_cancelled() {
                    return Ok(());
                }
                *removed += match kind {
                    Kind::Source => self.remove_sources(some, now, published).await?,
                    Kind::Delivery => {
                        let unit =
                            self.db.write(ids(some), |ids, tx| Box::pin(delivery::remove_settled(tx, ids)));
                        unit.await?
                    }
                    Kind::Tombstone => {
                        let unit =
                            self.db.write(ids(some), |ids, tx| Box::pin(Uploads::remove_gone(tx, ids)));
                        unit.await?
                    }
                };
            }
        }
    }

    /// Bytes of uploads; their rows stay.
    async fn remove_sources(
        &self,
        candidates: &[Candidate],
        now: Timestamp,
        published: Option<i64>,
    ) -> Result<u64, DbError> {
        let origin = self.settings.fhir_base.strip_suffix("/fhir").unwrap_or_default().to_owned();
        let unit = self.db.write((candidates.to_vec(), origin), move |(candidates, origin), tx| {
            Box::pin(retire(tx, candidates, origin, published, now))
        });
        let retired = unit.await?;
        for upload in &retired {
            if let Err(error) = self.uploads.remove_bytes(upload).await {
                tracing::warn!(upload.id = %upload.id, %error, "{LEFT}");
            }
        }
        Ok(retired.len() as u64)
    }

    async fn remove_reports(
        &self,
        now: Timestamp,
        published: Option<i64>,
        removed: &mut u64,
    ) -> Result<(), DbError> {
        let Some(horizon) = self.retention.horizon(now, |periods| periods.report) else { return Ok(()) };
        let mut after = 0;
        loop {
            let mut reader = self.db.reader().await?;
            let reports = store::reports(&mut reader.tx(), after, published, PAGE).await?;
            drop(reader);
            let Some(last) = reports.last() else { return Ok(()) };
            after = last.sequence;
            // Their numbers are in the order of time, but for what was written at the same moment.
            let is_young = last.ended_at() > horizon;
            let going = reports.iter().filter(|report| {
                let period = self.retention.of(report.stream()).report;
                !report.is_needed && is_over(report.ended_at(), period, now)
            });
            let going: Vec<i64> = going.map(|report| report.sequence).collect();
            if self.stopping.is_cancelled() {
                return Ok(());
            }
            if !going.is_empty() {
                let unit = self.db.write(going, |going, tx| Box::pin(report::remove(tx, going)));
                *removed += unit.await?;
            }
            if is_young {
                return Ok(());
            }
        }
    }

    /// Counts what went, and leaves a line in the log and in the audit trail if anything did.
    async fn tell_removed(&self, removed: Removed, now: Timestamp) -> Result<(), DbError> {
        let went = removed.kinds().into_iter().filter(|(_, count)| *count > 0);
        let kinds: Vec<&'static str> = went.map(|(kind, _)| kind).collect();
        if kinds.is_empty() {
            return Ok(());
        }
        for (kind, count) in removed.kinds() {
            count_removed(kind, count);
        }
        let Removed { sources, deliveries, tombstones, reports } = removed;
        tracing::info!(sources, deliveries, tombstones, reports, "removed what had been kept for its time");
        let entry = Entry {
            tenant: DEFAULT_TENANT.to_owned(),
            owner: OWNER.to_owned(),
            at: now,
            action: "retain",
            outcome: AuditOutcome::Success,
            entity: None,
            detail: kinds,
            request_id: None,
        };
        self.db.write(entry, |entry, tx| Box::pin(audit::record(tx, entry))).await
    }
}

fn ids(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(|candidate| candidate.id.clone()).collect()
}

/// Takes the bytes away from those uploads that still nothing needs; gives these as they were.
async fn retire(
    tx: &mut Tx<'_>,
    candidates: &[Candidate],
    origin: &str,
    published: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Upload>, DbError> {
    let mut retired = Vec::new();
    for candidate in candidates {
        let is_free = store::is_source_free(tx, candidate, published).await?
            && !is_in_document(tx, candidate, origin, now).await?;
        let Some(id) = candidate.id.parse().ok().filter(|_| is_free) else { continue };
        let access = Access::of_worker(&candidate.tenant);
        retired.extend(Uploads::retire(tx, &access, id, now).await?);
    }
    Ok(retired)
}

/// Whether a DocumentReference names an upload by its URL. One that cannot be asked about is.
async fn is_in_document(
    tx: &mut Tx<'_>,
    candidate: &Candidate,
    origin: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let id = &candidate.id;
    let paths = ["/upload/files/", "/files/", "/upload/"];
    let urls = paths.iter().flat_map(|path| [format!("{origin}{path}{id}"), format!("{path}{id}")]);
    let urls: Vec<String> = urls.map(|url| escaped(&url).into_owned()).collect();
    let parameters = [("location".to_owned(), urls.join(","))];
    let Ok(query) = Query::parse(Scope::Type("DocumentReference"), &parameters, "", true) else {
        return Ok(true);
    };
    let search = Search {
        types: vec![Space::of_type(&candidate.tenant, "DocumentReference")],
        criterion: criteria::of(&query, &candidate.tenant, now),
        order: Vec::new(),
        count: 1,
        after: None,
        count_to: 0,
    };
    let access = Access::of_worker(&candidate.tenant);
    Ok(!repository::search(tx, &access, &search).await?.resources.is_empty())
}
