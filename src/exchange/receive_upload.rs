//! The tus door: create an upload, append to it. The manifest is verified before anything exists (DEX
//! pre-create); a refused creation leaves its two reports and nothing else.

use std::sync::Arc;

use super::finish_upload::Finishing;
use super::{Body, BodyError, Exchange, Interrupted};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::id::UploadId;
use crate::manifest::{FieldError, ManifestFields, RejectedManifest, SenderManifest, verify};
use crate::report::{self, Report, ReportIssue, ReportStatus, Stage};
use crate::upload::{AppendRequest, Appended, Door, Ended, Upload, UploadError, Uploads, stream_fields};

/// A creation that became an upload, or did not.
#[derive(Debug)]
pub(crate) enum Creation {
    /// It exists.
    Created(UploadId),
    /// Its manifest was refused. The id names nothing but the two reports.
    Refused {
        /// The id that the upload would have had.
        id: UploadId,
        /// What is wrong.
        rejected: RejectedManifest,
    },
    /// Its data stream has no destination, and the configuration refuses such uploads.
    Unrouted(UploadId),
}

/// What an append came to.
#[derive(Debug)]
pub(crate) struct Reception {
    /// The upload's offset now: every byte before it is durable.
    pub(crate) offset: u64,
    /// Why no more bytes were taken.
    pub(crate) ended: Ended<BodyError>,
}

impl From<Interrupted> for UploadError {
    fn from(_: Interrupted) -> Self {
        Self::Stopping
    }
}

impl Exchange {
    /// Creates an upload of `length` bytes (`None`: told later) with the sender's manifest fields.
    pub(crate) async fn create_upload(
        self: &Arc<Self>,
        caller: &Caller,
        length: Option<u64>,
        fields: ManifestFields,
    ) -> Result<Creation, DbError> {
        let (id, now) = (UploadId::new(), self.clock.now());
        let owner = (caller.tenant(), caller.id());
        let verified = verify(&self.streams, fields.ingested(id, now));
        let manifest = match verified.and_then(|manifest| self.storable(manifest)) {
            Ok(manifest) => manifest,
            Err(rejected) => {
                self.report_refusal(caller, id, &rejected.fields, rejected.legacy_messages().join("\n"), now)
                    .await?;
                return Ok(Creation::Refused { id, rejected });
            }
        };
        if self.settings.refuse_unrouted && !self.is_routed(&manifest) {
            let message = "the data stream has no destination".to_owned();
            self.report_refusal(caller, id, manifest.fields(), message, now).await?;
            return Ok(Creation::Unrouted(id));
        }
        let upload = Upload::new(owner, id, Door::Tus, length, manifest, now);
        let unit = NewUpload { reports: creation_reports(&upload, now), upload, now };
        if length == Some(0) {
            // An upload without bytes is complete at once (T-14).
            let finishing = Finishing::new(self, unit.upload.clone(), None, now);
            self.db
                .write((unit, finishing), |(unit, finishing), tx| {
                    Box::pin(async move {
                        unit.write(tx).await?;
                        finishing.write(tx).await
                    })
                })
                .await
                .map(drop)
                .map_err(|error: DbError| error)?;
            self.deliveries.wake();
        } else {
            self.db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await?;
        }
        Ok(Creation::Created(id))
    }

    /// Appends a body to an upload and, if that was the last of it, finishes the upload.
    ///
    /// *Cancellation*: the append goes on; what arrived counts.
    pub(crate) async fn append_upload(
        self: &Arc<Self>,
        request: AppendRequest,
        body: Body,
    ) -> Result<Reception, UploadError> {
        let exchange = self.clone();
        self.outlive(async move {
            let appended = exchange.uploads.append(request, body, &exchange.stopping).await?;
            exchange.acknowledge(appended).await
        })
        .await?
    }

    async fn acknowledge(self: &Arc<Self>, appended: Appended<BodyError>) -> Result<Reception, UploadError> {
        let full = appended.fills();
        // The lock inside `appended` is held until the last segment is committed.
        let Appended { upload, last, ended, lock } = appended;
        let offset = last.as_ref().map_or(upload.offset, super::super::upload::blob::Segment::end);
        if full {
            if !self.finish_upload(upload, last).await? {
                // Nothing of ours was written, so nothing of ours may be acknowledged.
                return Err(UploadError::Locked);
            }
        } else if let Some(last) = last {
            self.uploads.advance(&upload, last).await?;
        }
        drop(lock);
        Ok(Reception { offset, ended })
    }

    /// Whether an upload with this manifest goes anywhere.
    pub(super) fn is_routed(&self, manifest: &SenderManifest) -> bool {
        !self.routing.targets_for(manifest.data_stream_id(), manifest.data_stream_route()).is_empty()
    }

    /// Refuses a manifest that a target could not keep with the object: after the last byte it would be too late.
    fn storable(&self, manifest: SenderManifest) -> Result<SenderManifest, RejectedManifest> {
        let fields: Vec<(&str, &str)> = manifest.fields().iter().collect();
        let stream = (manifest.data_stream_id(), manifest.data_stream_route());
        let misfits = self.routing.misfits(stream, &fields);
        if misfits.is_empty() {
            return Ok(manifest);
        }
        let errors = misfits.into_iter().map(FieldError::not_storable).collect();
        Err(RejectedManifest { fields: manifest.fields().clone(), errors })
    }

    /// Writes the two reports of a creation that was refused.
    async fn report_refusal(
        &self,
        caller: &Caller,
        id: UploadId,
        fields: &ManifestFields,
        message: String,
        now: Timestamp,
    ) -> Result<(), DbError> {
        let stream = stream_fields((caller.tenant(), caller.id()), id, fields);
        let reports = refusal_reports(fields, message, now);
        self.db
            .write((stream, reports), |(stream, reports), tx| Box::pin(report::record(tx, stream, reports)))
            .await
    }
}

/// The row and the reports of an upload that begins.
struct NewUpload {
    upload: Upload,
    reports: Vec<Report>,
    now: Timestamp,
}

impl NewUpload {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        Uploads::insert(tx, std::slice::from_ref(&self.upload), &[]).await?;
        let mut reports = self.reports.clone();
        reports.push(crate::upload::progress(&self.upload, 0, self.now));
        report::record(tx, &self.upload.stream(), &reports).await
    }
}

/// What is reported of an upload that came to nothing: `metadata-transform`, which did happen, and `metadata-verify`
/// with the reasons.
pub(super) fn refusal_reports(fields: &ManifestFields, message: String, now: Timestamp) -> [Report; 2] {
    [
        Report::success(Stage::MetadataTransform, now, now),
        Report::failure(metadata_verify(fields), message, now, now),
    ]
}

/// What is reported of every upload whose manifest was accepted, before its first byte.
pub(super) fn creation_reports(upload: &Upload, now: Timestamp) -> Vec<Report> {
    [Stage::MetadataTransform, metadata_verify(upload.manifest.fields()), Stage::UploadStarted]
        .map(|stage| Report {
            stage,
            status: ReportStatus::Success,
            issues: Vec::<ReportIssue>::new(),
            started_at: now,
            ended_at: now,
        })
        .into()
}

fn metadata_verify(fields: &ManifestFields) -> Stage {
    Stage::MetadataVerify {
        filename: fields.filename().unwrap_or_default().to_owned(),
        metadata: fields.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}
