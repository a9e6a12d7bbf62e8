//! Makes exports: takes a job by a lease, walks its types in the order of creation, and writes files. A worker that
//! lost its job writes nothing more that counts; one that is killed has its job taken over after the last file.
//! [`select`] knows which resources are meant.

mod select;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::select::Patients;
use super::file::{self, NdjsonFile};
use super::{ExportState, FileKind, Job, MadeFile, store};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::find_resource::View;
use crate::fhir;
use crate::repository::entry::Space;
use crate::repository::{self, History, HistoryOf, Position, Search, StoredResource};
use crate::telemetry::metrics::count_exports;

/// Exports that are made at the same time.
const WORKERS: usize = 2;
/// Between two looks for work.
const POLL: Duration = Duration::from_secs(1);
/// How long a job is a worker's without a sign of life.
const LEASE: Duration = Duration::from_mins(1);
/// How often a job is taken without a file coming of it.
const MOST_ATTEMPTS: i64 = 20;
/// Resources of a page at least and at most, and how long a page should be: the next one is made to fit.
const PAGE: std::ops::RangeInclusive<u32> = 8..=200;
const PAGE_BYTES: usize = 4 << 20;
/// Deleted resources that a line names at most.
const DELETED_PER_LINE: u32 = 100;

/// Why a job was put down.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// Somebody else has it, or it was removed.
    #[error("the export was taken over or removed")]
    Lost,
    /// The gateway stops.
    #[error("the gateway is stopping")]
    Stopping,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The files cannot be written.
    #[error("the files of the export cannot be written: {}", .0.kind())]
    Io(#[from] io::Error),
}

impl Exchange {
    /// Makes exports until `stop` is cancelled.
    pub(crate) async fn run_exports(self: Arc<Self>, stop: CancellationToken) {
        join_all((0..WORKERS).map(|_| self.make_exports(&stop))).await;
    }

    async fn make_exports(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.make_next_export(stop).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "exports that are due could not be taken"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Makes the export that has waited longest; false if none is due.
    pub(super) async fn make_next_export(&self, stop: &CancellationToken) -> Result<bool, DbError> {
        let due = {
            let mut reader = self.db.reader().await?;
            store::due(&mut reader.tx(), self.clock.now()).await?
        };
        let Some(mut job) = due else { return Ok(false) };
        let lease_until = self.clock.now().after(LEASE);
        let is_ours =
            self.db.write(job.clone(), move |job, tx| Box::pin(store::claim(tx, job, lease_until))).await?;
        if !is_ours {
            return Ok(true);
        }
        job.epoch += 1;
        let span = tracing::info_span!("export", export.id = %job.id);
        self.make_export(job, stop).instrument(span).await?;
        Ok(true)
    }

    async fn make_export(&self, job: Job, stop: &CancellationToken) -> Result<(), DbError> {
        let mut run = Run::new(self, job, stop);
        if run.job.attempts >= MOST_ATTEMPTS {
            tracing::error!(attempts = run.job.attempts, "given up");
            count_exports("failed", 1);
            return run.end(ExportState::Failed).await.map(drop);
        }
        match run.make().await {
            Ok(()) => {
                tracing::info!(resources = run.job.resources, "complete");
                count_exports("complete", 1);
            }
            Err(Stopped::Lost) => tracing::info!("put down: it was taken over or removed"),
            Err(Stopped::Stopping) => {
                // Whoever comes next need not wait for the lease to end.
                let (job, now) = (run.job, self.clock.now());
                self.db.write(job, move |job, tx| Box::pin(store::renew(tx, job, now))).await?;
            }
            Err(error) => tracing::warn!(%error, "not complete; it is tried again when its lease ends"),
        }
        Ok(())
    }
}

/// A job on its way.
struct Run<'a> {
    exchange: &'a Exchange,
    stop: &'a CancellationToken,
    job: Job,
    access: Access,
    patients: Patients,
    /// How many files there are.
    files: u32,
    /// When the lease was last renewed.
    renewed_at: Timestamp,
}

impl<'a> Run<'a> {
    fn new(exchange: &'a Exchange, job: Job, stop: &'a CancellationToken) -> Self {
        let access = job.access();
        let renewed_at = exchange.clock.now();
        Self { exchange, stop, job, access, patients: Patients::Ignored, files: 0, renewed_at }
    }

    async fn make(&mut self) -> Result<(), Stopped> {
        let made = {
            let mut reader = self.exchange.db.reader().await?;
            let mut tx = reader.tx();
            self.patients = self.patients_of(&mut tx).await?;
            store::files(&mut tx, &self.access, self.job.id).await?
        };
        let is_made = |id| made.iter().any(|file| file.id == id);
        file::remove_unfinished(&self.exchange.settings.export.folder, self.job.id, is_made).await?;
        self.files = u32::try_from(made.len()).unwrap_or(u32::MAX);
        self.job.resources = made.iter().map(|file| file.resources).sum();
        let types: Vec<&'static str> =
            self.job.request.types.iter().filter_map(|name| fhir::resource_type(name)).collect();
        // What was deleted is told last, so that then all types are done.
        let are_all_made = made.iter().any(|file| file.kind == FileKind::Deleted);
        let last = made.last();
        for name in types.iter().copied().filter(|_| !are_all_made) {
            // Types are exported in the order of their names.
            let after = match last {
                Some(last) if name < last.resource_type.as_str() => continue,
                Some(last) if name == last.resource_type => match last.last_key {
                    Some(key) => Some(key),
                    None => continue,
                },
                _ => None,
            };
            self.make_type(name, after).await?;
        }
        if let Some(since) = self.job.request.since.filter(|_| !are_all_made) {
            self.make_deleted(&types, Timestamp::from_nanos(since)).await?;
        }
        if self.end(ExportState::Complete).await? { Ok(()) } else { Err(Stopped::Lost) }
    }

    /// The version that was there at the moment of the export; none if there was none.
    async fn as_of(
        &self,
        tx: &mut Tx<'_>,
        resource_type: &'static str,
        resource: StoredResource,
    ) -> Result<Option<StoredResource>, DbError> {
        let moment = self.job.transaction_time;
        if resource.last_updated <= moment {
            return Ok(Some(resource).filter(|resource| resource.content.is_some()));
        }
        let history = History {
            of: HistoryOf::Instance { resource_type, id: resource.id },
            since: None,
            at: Some((moment, moment.after(Duration::from_nanos(1)))),
            count: 1,
            after: None,
        };
        let (versions, _) = repository::history(tx, &self.access, &history).await?;
        Ok(versions.into_iter().next().filter(|version| version.content.is_some()))
    }

    /// Exports a type, from a row on.
    async fn make_type(&mut self, name: &'static str, after: Option<i64>) -> Result<(), Stopped> {
        let elements = self.job.request.elements_of(name);
        let view = View { summary: None, elements };
        let most = u64::from(self.exchange.settings.export.file_resources);
        let mut search = Search {
            types: vec![Space::of_type(&self.job.tenant, name)],
            criterion: self.criterion(name),
            order: Vec::new(),
            count: *PAGE.start(),
            after: after.map(|key| Position { values: Vec::new(), key }),
            count_to: 0,
        };
        let mut file: Option<NdjsonFile> = None;
        loop {
            self.go_on(file.as_ref()).await?;
            let (found, next) = self.page(name, &search).await?;
            let mut bytes = 0;
            for (key, content) in found {
                let content =
                    if view.is_whole() { content } else { view.of_text(&content).unwrap_or(content) };
                bytes += content.len();
                let mut open = match file.take() {
                    Some(open) => open,
                    None => self.new_file().await?,
                };
                open.write(&content).await?;
                if open.lines >= most {
                    self.finish(open, FileKind::Output, name, Some(key)).await?;
                } else {
                    file = Some(open);
                }
            }
            let Some(next) = next else { break };
            let per_resource = (bytes / search.count as usize).max(1);
            let fitting = u32::try_from(PAGE_BYTES / per_resource).unwrap_or(u32::MAX);
            search.count = fitting.clamp(*PAGE.start(), (search.count * 2).min(*PAGE.end()));
            search.after = Some(next);
        }
        match file {
            Some(open) => self.finish(open, FileKind::Output, name, None).await,
            None => Ok(()),
        }
    }

    /// A page of what is exported: rows with their texts, and where the next page begins.
    async fn page(
        &self,
        name: &'static str,
        search: &Search,
    ) -> Result<(Vec<(i64, Bytes)>, Option<Position>), DbError> {
        let mut reader = self.exchange.db.reader().await?;
        let mut tx = reader.tx();
        let page = repository::search(&mut tx, &self.access, search).await?;
        let mut found = Vec::with_capacity(page.resources.len());
        for resource in page.resources {
            let key = resource.key;
            let Some(version) = self.as_of(&mut tx, name, resource).await? else { continue };
            let Some(content) = version.content else { continue };
            if self.job.request.wants(version.last_updated) && self.is_wanted(name, &version.id, &content) {
                found.push((key, content));
            }
        }
        Ok((found, page.next))
    }

    /// Names what was deleted since.
    async fn make_deleted(&mut self, types: &[&'static str], since: Timestamp) -> Result<(), Stopped> {
        let until = self.job.request.until.map_or(self.job.transaction_time, |until| {
            self.job.transaction_time.min(Timestamp::from_nanos(until))
        });
        let mut file: Option<NdjsonFile> = None;
        for name in types.iter().copied() {
            let kind = Space::of_type(&self.job.tenant, name);
            let mut after = 0;
            loop {
                self.go_on(file.as_ref()).await?;
                let mut entries = Vec::new();
                let is_last = {
                    let mut reader = self.exchange.db.reader().await?;
                    let mut tx = reader.tx();
                    let times = (since, until);
                    let deleted =
                        repository::deleted(&mut tx, &self.access, kind, times, after, DELETED_PER_LINE)
                            .await?;
                    for resource in &deleted {
                        after = resource.key;
                        if self.was_wanted(&mut tx, name, resource).await? {
                            let url = format!("{name}/{}", resource.id);
                            entries.push(json!({"request": {"method": "DELETE", "url": url}}));
                        }
                    }
                    deleted.len() < DELETED_PER_LINE as usize
                };
                if !entries.is_empty() {
                    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
                    let mut open = match file.take() {
                        Some(open) => open,
                        None => self.new_file().await?,
                    };
                    open.write(bundle.to_string().as_bytes()).await?;
                    file = Some(open);
                }
                if is_last {
                    break;
                }
            }
        }
        match file {
            Some(open) => self.finish(open, FileKind::Deleted, "Bundle", None).await,
            None => Ok(()),
        }
    }

    /// That the work goes on: the job is still ours, and the gateway does not stop.
    async fn go_on(&mut self, file: Option<&NdjsonFile>) -> Result<(), Stopped> {
        if self.stop.is_cancelled() {
            return Err(Stopped::Stopping);
        }
        let now = self.exchange.clock.now();
        if now.since(self.renewed_at) < LEASE / 6 {
            return Ok(());
        }
        self.renewed_at = now;
        let mut job = self.job.clone();
        job.resources += file.map_or(0, |file| file.lines);
        let lease_until = now.after(LEASE);
        let renewed =
            self.exchange.db.write(job, move |job, tx| Box::pin(store::renew(tx, job, lease_until))).await?;
        if renewed { Ok(()) } else { Err(Stopped::Lost) }
    }

    async fn new_file(&self) -> io::Result<NdjsonFile> {
        let settings = &self.exchange.settings.export;
        NdjsonFile::create(&settings.folder, self.job.id, settings.durable).await
    }

    /// Makes a file count.
    async fn finish(
        &mut self,
        mut open: NdjsonFile,
        kind: FileKind,
        resource_type: &str,
        last_key: Option<i64>,
    ) -> Result<(), Stopped> {
        // The row comes after the bytes: what it names is there whatever happens.
        open.finish(self.exchange.settings.export.durable).await?;
        self.job.resources += open.lines;
        let made = MadeFile {
            id: open.id,
            kind,
            resource_type: resource_type.to_owned(),
            resources: open.lines,
            last_key,
        };
        self.renewed_at = self.exchange.clock.now();
        let lease_until = self.renewed_at.after(LEASE);
        let number = self.files;
        self.files += 1;
        let added = self
            .exchange
            .db
            .write((self.job.clone(), made), move |(job, made), tx| {
                Box::pin(store::add_file(tx, job, (number, made), lease_until))
            })
            .await?;
        if added { Ok(()) } else { Err(Stopped::Lost) }
    }

    async fn end(&self, state: ExportState) -> Result<bool, DbError> {
        let times = (self.exchange.clock.now(), self.exchange.settings.export.retention);
        self.exchange
            .db
            .write(self.job.clone(), move |job, tx| Box::pin(store::end(tx, job, state, times)))
            .await
    }
}
