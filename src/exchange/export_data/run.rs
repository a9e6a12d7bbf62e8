//! Makes exports: takes a job by a lease, walks its types in the order of creation, and writes files. A worker that
//! lost its job writes nothing more that counts; one that is killed has its job taken over after the last file.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::file::{self, NdjsonFile};
use super::request::is_of_patients;
use super::{ExportState, FileKind, Job, Level, MadeFile, store};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::find_resource::View;
use crate::fhir;
use crate::fhir::search::patient_compartment;
use crate::repository::criteria::{self, Bytes as BytesTest, Criterion, EntryTest};
use crate::repository::entry::{Space, Spaces};
use crate::repository::{self, History, HistoryOf, Position, Search, StoredResource, index};
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
/// Up to how many patients the index is asked for each of them; for more, all of the type are looked at.
const FEW_PATIENTS: usize = 200;
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

/// Whose resources are exported.
enum Patients {
    /// Everything is, whether it belongs to a patient or not.
    Ignored,
    /// Those of all patients.
    All,
    /// Those of the patients of these ids.
    These(HashSet<String>),
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

    /// Whose resources are exported, as of the moment of the export.
    async fn patients_of(&self, tx: &mut Tx<'_>) -> Result<Patients, DbError> {
        let asked: HashSet<String> = self.job.request.patients.iter().cloned().collect();
        match &self.job.request.level {
            Level::System => Ok(Patients::Ignored),
            Level::Patient if asked.is_empty() => Ok(Patients::All),
            Level::Patient => Ok(Patients::These(asked)),
            Level::Group(id) => {
                let group = repository::read(tx, &self.access, "Group", id).await?;
                let group = match group {
                    Some(group) => self.as_of(tx, "Group", group).await?,
                    None => None,
                };
                let content = group.and_then(|group| group.content).unwrap_or_default();
                let group = fhir::parse(&content).unwrap_or_default();
                let mut members = self.members(&group);
                if !asked.is_empty() {
                    members.retain(|id| asked.contains(id));
                }
                Ok(Patients::These(members))
            }
        }
    }

    /// The patients who are members of a Group.
    fn members(&self, group: &Value) -> HashSet<String> {
        let members = group.get("member").and_then(Value::as_array).into_iter().flatten();
        let active = members.filter(|member| member.get("inactive") != Some(&Value::Bool(true)));
        let references = active.filter_map(|member| member.pointer("/entity/reference")?.as_str());
        let local = references.map(|reference| {
            reference
                .strip_prefix(&self.job.request.base)
                .map_or(reference, |rest| rest.trim_start_matches('/'))
        });
        // A reference may name a version; the patient is meant all the same.
        let ids = local.filter_map(|local| local.strip_prefix("Patient/")?.split('/').next());
        ids.map(str::to_owned).collect()
    }

    /// What the index is asked for of a type. It may give more than is wanted.
    fn criterion(&self, resource_type: &'static str) -> Criterion {
        let tenant = &self.job.tenant;
        let mut parts = Vec::new();
        if let Some(since) = self.job.request.since {
            let first = Timestamp::from_nanos(since.saturating_add(1));
            parts.push(Criterion::LastUpdated(Some(first), None));
        }
        let few = match &self.patients {
            Patients::These(ids) if ids.len() <= FEW_PATIENTS => Some(ids),
            _ => None,
        };
        match (&self.patients, few) {
            (Patients::Ignored, _) => {}
            // What comes along with patients' resources if it is asked for.
            _ if !is_of_patients(resource_type) => {}
            (_, Some(ids)) if resource_type == "Patient" => {
                parts.push(Criterion::Id(ids.iter().cloned().collect()));
            }
            (_, None) if resource_type == "Patient" => {}
            (_, few) => {
                let test = |value| EntryTest { value, extra: BytesTest::Any };
                let tests = match few {
                    Some(ids) => ids
                        .iter()
                        .map(|id| test(BytesTest::Equal(["Patient/", id].concat().into_bytes())))
                        .collect(),
                    // From `Patient/` on to the character after the slash.
                    None => {
                        vec![test(BytesTest::Range(Some(b"Patient/".to_vec()), Some(b"Patient0".to_vec())))]
                    }
                };
                let spaces = Spaces::of(tenant, resource_type);
                let codes = patient_compartment(resource_type).iter();
                // No tests at all would mean any entry.
                parts.push(match few.is_some_and(HashSet::is_empty) {
                    true => Criterion::Never,
                    false => Criterion::Any(
                        codes.map(|code| Criterion::Has(spaces.of_code(&[code]), tests.clone())).collect(),
                    ),
                });
            }
        }
        let filters = self.job.request.filters_of(resource_type);
        if !filters.is_empty() {
            let of = |query: &_| criteria::of(query, tenant, self.job.transaction_time);
            parts.push(Criterion::Any(filters.iter().map(of).collect()));
        }
        Criterion::All(parts)
    }

    /// Whether a version belongs to one of the patients, where the index was not asked for each of them.
    fn is_wanted(&self, resource_type: &'static str, id: &str, content: &[u8]) -> bool {
        let Patients::These(ids) = &self.patients else { return true };
        if !is_of_patients(resource_type) {
            return true;
        }
        if resource_type == "Patient" {
            return ids.contains(id);
        }
        let Ok(tree) = fhir::parse(content) else { return false };
        let spaces = Spaces::of(&self.job.tenant, resource_type);
        let codes: HashSet<Space> =
            patient_compartment(resource_type).iter().map(|code| spaces.of_code(&[code])).collect();
        let entries = index::entries(&self.job.tenant, resource_type, &tree, &self.job.request.base);
        entries.iter().filter(|entry| codes.contains(&entry.space)).any(|entry| {
            let value = std::str::from_utf8(&entry.value).unwrap_or_default();
            value.strip_prefix("Patient/").is_some_and(|id| ids.contains(id))
        })
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

    /// Whether the version before a deletion belonged to one of the patients.
    async fn was_wanted(
        &self,
        tx: &mut Tx<'_>,
        name: &'static str,
        deleted: &StoredResource,
    ) -> Result<bool, DbError> {
        if !matches!(self.patients, Patients::These(_)) {
            return Ok(true);
        }
        let before = deleted.version.saturating_sub(1);
        let before = repository::read_version(tx, &self.access, name, &deleted.id, before).await?;
        let content = before.and_then(|before| before.content);
        Ok(content.is_some_and(|content| self.is_wanted(name, &deleted.id, &content)))
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
