//! Bulk export (FHIR Bulk Data Access 2.0): somebody asks for all resources that they may see, and fetches them as
//! NDJSON files once they are made.
//!
//! An export is a row from the moment when it is acknowledged ([`request`] is what it says); [`run`] makes its files
//! ([`mod@file`]), each of which counts once its bytes are durable and its row is there, so that a killed gateway goes
//! on after the last of them. What is exported is the state at the moment of the request, as far as it is known: a
//! resource that was changed later comes as it was then.

mod file;
mod request;
mod run;
mod store;
#[cfg(test)]
pub(super) mod tests;

use std::path::PathBuf;
use std::time::Duration;

use super::Exchange;
use super::find_resource::present;
use super::interaction::{Content, InteractionError, Requester};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::fhir::{Issue, IssueType, Place, Shape, UnknownAddress};
use crate::id::{ExportFileId, ExportId};
use crate::telemetry::metrics::count_exports;

pub(crate) use request::{ExportRequest, Level};

/// Between the moment of an export and its beginning: changes that were made at that moment have to be committed.
const SETTLE: Duration = Duration::from_secs(1);

/// Settings of bulk exports.
#[derive(Debug, Clone)]
pub(crate) struct ExportSettings {
    /// Where the files are.
    pub(crate) folder: PathBuf,
    /// Whether files survive a loss of power.
    pub(crate) durable: bool,
    /// Exports of one owner that are made or wait at the same time.
    pub(crate) jobs_per_owner: u32,
    /// Resources of a file at most.
    pub(crate) file_resources: u32,
    /// How long files are kept.
    pub(crate) retention: Duration,
}

/// A call of `$export`.
pub(crate) struct ExportCall {
    /// Where it is called.
    pub(crate) place: Place,
    /// Its URL.
    pub(crate) url: String,
    /// The parameters of the URL, decoded, in their order.
    pub(crate) parameters: Vec<(String, String)>,
    /// Whether what is not known may be ignored (`Prefer: handling=lenient`).
    pub(crate) lenient: bool,
    /// Parameters.
    pub(crate) content: Content,
}

/// An export that a worker makes.
#[derive(Debug, Clone)]
struct Job {
    id: ExportId,
    tenant: String,
    owner: String,
    request: ExportRequest,
    transaction_time: Timestamp,
    /// Which worker has it.
    epoch: i64,
    /// How often it was taken since its last file.
    attempts: i64,
    /// How many resources were written.
    resources: u64,
}

impl Job {
    /// What its owner may see.
    fn access(&self) -> Access {
        Access::of_owner(&self.tenant, &self.owner)
    }
}

/// Where an export is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportState {
    /// It waits, or is made.
    Running,
    /// Its files are there.
    Complete,
    /// It could not be made.
    Failed,
}

impl ExportState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }
}

/// What is known of an export.
#[derive(Debug, Clone)]
pub(crate) struct ExportStatus {
    /// What was asked for.
    pub(crate) request: ExportRequest,
    /// The moment whose state is exported.
    pub(crate) transaction_time: Timestamp,
    /// Where it is on its way.
    pub(crate) state: ExportState,
    /// How many resources were written so far.
    pub(crate) resources: u64,
    /// When it is removed; none while it is made.
    pub(crate) expires_at: Option<Timestamp>,
    /// The files that are there.
    pub(crate) files: Vec<MadeFile>,
}

/// What a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Resources.
    Output,
    /// Bundles that name deleted resources.
    Deleted,
}

impl FileKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Deleted => "deleted",
        }
    }
}

/// A file whose bytes are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MadeFile {
    /// Its name.
    pub(crate) id: ExportFileId,
    /// What it has.
    pub(crate) kind: FileKind,
    /// The type of its resources.
    pub(crate) resource_type: String,
    /// How many lines it has.
    pub(crate) resources: u64,
    /// The row of the last resource that was looked at; none if nothing of the type is left.
    last_key: Option<i64>,
}

/// Why an export was not begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// As many of the caller's exports are under way as may be.
    #[error("too many exports are under way")]
    TooMany,
    /// As any interaction.
    #[error(transparent)]
    Interaction(#[from] InteractionError),
}

impl From<DbError> for ExportError {
    fn from(error: DbError) -> Self {
        Self::Interaction(error.into())
    }
}

impl Exchange {
    /// Takes an order for an export; it is kept when this returns.
    pub(crate) async fn begin_export(
        &self,
        requester: &Requester,
        call: ExportCall,
    ) -> Result<ExportId, ExportError> {
        let level = match call.place {
            Place::System => Level::System,
            Place::Type("Patient") => Level::Patient,
            Place::Instance("Group", id) => Level::Group(id),
            Place::Type(_) | Place::Instance(..) => {
                return Err(InteractionError::from(UnknownAddress::Interaction).into());
            }
        };
        let body = match call.content {
            Content::None => None,
            content => Some(self.receive_resource(requester, Shape::Plain, content).await?.tree),
        };
        if body.as_ref().is_some_and(|body| super::interaction::type_of(body) != Some("Parameters")) {
            let text = "An export takes Parameters";
            return Err(InteractionError::malformed(IssueType::Value, "resourceType", text).into());
        }
        let request = ExportRequest::read(
            level,
            (call.url, &requester.base),
            &call.parameters,
            body.as_ref(),
            call.lenient,
        );
        let request = request.map_err(InteractionError::Malformed)?;
        if let Level::Group(id) = &request.level {
            let mut reader = self.db.reader().await?;
            present(&mut reader.tx(), &requester.access(), "Group", id).await?;
        }
        let now = self.clock.now();
        let job = Job {
            id: ExportId::new(),
            tenant: requester.caller.tenant().to_owned(),
            owner: requester.caller.id().to_owned(),
            request,
            // Versions have whole milliseconds.
            transaction_time: Timestamp::from_nanos(now.as_nanos() - now.as_nanos().rem_euclid(1_000_000)),
            epoch: 0,
            attempts: 0,
            resources: 0,
        };
        let id = job.id;
        let entry = entry(requester, "export", id, now);
        let most = i64::from(self.settings.export.jobs_per_owner);
        let is_taken = self
            .db
            .write((job, entry, most), move |(job, entry, most), tx| {
                Box::pin(async move {
                    if store::running(tx, &job.access()).await? >= *most {
                        return Ok::<_, DbError>(false);
                    }
                    store::insert(tx, job, now.after(SETTLE)).await?;
                    audit::record(tx, entry).await?;
                    Ok(true)
                })
            })
            .await?;
        if is_taken { Ok(id) } else { Err(ExportError::TooMany) }
    }

    /// What is known of an export.
    pub(crate) async fn export_status(
        &self,
        requester: &Requester,
        id: ExportId,
    ) -> Result<ExportStatus, InteractionError> {
        let mut reader = self.db.reader().await?;
        let found = store::find(&mut reader.tx(), &requester.access(), id).await?;
        found.ok_or(InteractionError::NotFound)
    }

    /// Opens a file of a complete export; with its length.
    pub(crate) async fn open_export_file(
        &self,
        requester: &Requester,
        (id, file): (ExportId, ExportFileId),
    ) -> Result<(tokio::fs::File, u64), InteractionError> {
        let found = {
            let mut reader = self.db.reader().await?;
            store::find_file(&mut reader.tx(), &requester.access(), id, file).await?
        };
        let file = found.ok_or(InteractionError::NotFound)?;
        file::open(&self.settings.export.folder, id, file.id).await.map_err(InteractionError::Storage)
    }

    /// Removes an export and its files, whether it is complete or not.
    pub(crate) async fn remove_export(
        &self,
        requester: &Requester,
        id: ExportId,
    ) -> Result<(), InteractionError> {
        let entry = entry(requester, "export-delete", id, self.clock.now());
        let removed = self
            .db
            .write((requester.access(), entry), move |(access, entry), tx| {
                Box::pin(async move {
                    let removed = store::remove(tx, access, id).await?;
                    if removed {
                        audit::record(tx, entry).await?;
                    }
                    Ok::<_, DbError>(removed)
                })
            })
            .await?;
        if !removed {
            return Err(InteractionError::NotFound);
        }
        count_exports("removed", 1);
        // What cannot be removed now is removed by the next round of tidying.
        if let Err(error) = file::remove(&self.settings.export.folder, id).await {
            tracing::warn!(export.id = %id, error = %error.kind(), "the files of an export were not removed");
        }
        Ok(())
    }

    /// Removes exports whose time is over, and files that no row knows any more.
    pub(super) async fn tidy_exports(&self, now: Timestamp) -> Result<(), DbError> {
        let removed = self.db.write((), move |(), tx| Box::pin(store::expire(tx, now))).await?;
        if removed > 0 {
            tracing::info!(removed, "removed exports whose time was over");
            count_exports("removed", removed);
        }
        let folder = &self.settings.export.folder;
        for id in file::jobs(folder).await {
            let is_known = {
                let mut reader = self.db.reader().await?;
                store::is_known(&mut reader.tx(), id).await?
            };
            if !is_known && let Err(error) = file::remove(folder, id).await {
                tracing::warn!(export.id = %id, error = %error.kind(), "the files of an export were not removed");
            }
        }
        Ok(())
    }
}

/// Frees the exports of workers that are surely gone.
pub(crate) async fn free_all_leases(tx: &mut Tx<'_>) -> Result<(), DbError> {
    store::free_all_leases(tx).await
}

/// What a client is told whose exports are too many.
pub(crate) fn too_many() -> Issue {
    Issue::refusal(IssueType::Throttled, "As many exports are under way as one client may have")
        .advising("Wait until one is complete, or delete one")
}

fn entry(requester: &Requester, action: &'static str, id: ExportId, at: Timestamp) -> Entry {
    Entry {
        tenant: requester.caller.tenant().to_owned(),
        owner: requester.caller.id().to_owned(),
        at,
        action,
        outcome: AuditOutcome::Success,
        entity: Some(id.to_string()),
        detail: Vec::new(),
        request_id: Some(requester.request_id.clone()),
    }
}
