//! The tus door: create an upload, append to it. Uploads made of others are in
//! [`concatenate_upload`](super::concatenate_upload). The manifest is verified before anything exists (DEX pre-create);
//! a refused creation leaves its two reports and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use super::finish_upload::Finishing;
use super::{Body, BodyError, Exchange, Interrupted};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery::Routing;
use crate::id::UploadId;
use crate::manifest::{FieldError, ManifestFields, RejectedManifest, SenderManifest, verify};
use crate::report::{self, Report, ReportIssue, ReportStatus, Stage};
use crate::screening::Screened;
use crate::upload::{
    AppendRequest, Appended, Concat, Door, Ended, ExpectedChecksum, SMALL, Upload, UploadError, UploadState,
    Uploads, progress, stream_fields,
};

/// How long the bytes of a small upload are gathered that exists already, or while the gateway is stopping. Those of a
/// slower line are acknowledged as they come.
const PROMPT: Duration = Duration::from_millis(50);

/// An upload that a sender wants.
#[derive(Debug)]
pub(crate) struct CreateRequest {
    /// Upload-Length in bytes; `None`: it is told later.
    pub(crate) length: Option<u64>,
    /// The sender's manifest fields.
    pub(crate) fields: ManifestFields,
    /// Whether it is only there to be concatenated.
    pub(crate) is_partial: bool,
}

/// Bytes that come with the creation of an upload.
pub(crate) struct FirstBytes {
    /// Content-Length of the request in bytes, if it has one.
    pub(crate) declared: Option<u64>,
    /// What they must hash to.
    pub(crate) checksum: Option<ExpectedChecksum>,
    /// They themselves.
    pub(crate) body: Body,
}

/// A creation that became an upload, or did not.
#[derive(Debug)]
pub(crate) enum Creation {
    /// It exists.
    Created {
        /// Its id.
        id: UploadId,
        /// When it expires, if nothing happens to it.
        expires_at: Option<Timestamp>,
    },
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
    /// Whether it has all its bytes.
    pub(crate) is_complete: bool,
    /// When it expires, if it can.
    pub(crate) expires_at: Option<Timestamp>,
    /// Why no more bytes were taken.
    pub(crate) ended: Ended<BodyError>,
}

/// A creation, and what came of the bytes that came with it, if there is an upload.
pub(crate) type CreatedWith = (Creation, Option<Result<Reception, UploadError>>);

impl From<Interrupted> for UploadError {
    fn from(_: Interrupted) -> Self {
        Self::Stopping
    }
}

impl Exchange {
    /// Creates an upload.
    pub(crate) async fn create_upload(
        self: &Arc<Self>,
        caller: &Caller,
        request: CreateRequest,
    ) -> Result<Creation, DbError> {
        match self.new_upload(caller, request).await? {
            Ok(upload) => self.insert_upload(upload).await,
            Err(refused) => Ok(refused),
        }
    }

    /// Creates an upload whose first bytes are here. Its manifest is judged before they are asked for (T-21); one that
    /// is small and comes whole exists all at once. What became of the bytes comes too, if there is an upload.
    ///
    /// *Cancellation*: of a small upload nothing exists before its bytes are here, and all of it after that; any other
    /// may exist with the bytes that came.
    pub(crate) async fn create_upload_with(
        self: &Arc<Self>,
        caller: &Caller,
        request: CreateRequest,
        first: FirstBytes,
    ) -> Result<CreatedWith, DbError> {
        let upload = match self.new_upload(caller, request).await? {
            Ok(upload) => upload,
            Err(refused) => return Ok((refused, None)),
        };
        let FirstBytes { declared, checksum, mut body } = first;
        let may_be_small = checksum.is_none() && !upload.is_partial();
        if let Some(length) = upload.length.filter(|length| may_be_small && (1..=SMALL).contains(length)) {
            body = match self.take_small(body, length, false).await {
                Ok(bytes) => return self.create_whole(upload, bytes).await,
                Err(body) => body,
            };
        }
        let id = upload.id;
        let creation = self.insert_upload(upload).await?;
        let append = AppendRequest { declared, checksum, ..AppendRequest::new(caller.access(), id, 0) };
        Ok((creation, Some(self.append_upload(append, body).await)))
    }

    /// All of a body that has `length` bytes and does not take too long: if the upload `exists` already it may take a
    /// moment, otherwise until a moment after the gateway is told to stop. Any other comes back as if nothing had been
    /// read of it.
    async fn take_small(&self, mut body: Body, length: u64, exists: bool) -> Result<Bytes, Body> {
        let mut gathered = BytesMut::new();
        let mut late = std::pin::pin!(async {
            if !exists {
                self.stopping.cancelled().await;
            }
            tokio::time::sleep(PROMPT).await;
        });
        let next = loop {
            let next = tokio::select! {
                biased;
                () = &mut late => break None,
                next = body.next() => next,
            };
            match next {
                Some(Ok(bytes)) if (gathered.len() + bytes.len()) as u64 <= length => {
                    gathered.extend_from_slice(&bytes);
                }
                None if gathered.len() as u64 == length => return Ok(gathered.freeze()),
                next => break next,
            }
        };
        Err(stream::iter([Ok(gathered.freeze())].into_iter().chain(next)).chain(body).boxed())
    }

    /// Creates an upload that is complete; without bytes if the store does not take them.
    async fn create_whole(self: &Arc<Self>, upload: Upload, bytes: Bytes) -> Result<CreatedWith, DbError> {
        let screened = self.screen_whole(&upload, &bytes);
        if self.may_enter(&upload) && self.uploads.enter_whole(&upload, &bytes, self.clock.now()).await? {
            return Ok(created_whole(upload.id, bytes.len() as u64));
        }
        let exchange = self.clone();
        let created = self.outlive(async move { exchange.store_whole(upload, bytes, screened).await });
        created.await.unwrap_or(Err(DbError::Closed))
    }

    /// The same without the journal.
    async fn store_whole(
        self: &Arc<Self>,
        upload: Upload,
        bytes: Bytes,
        screened: Option<Screened>,
    ) -> Result<CreatedWith, DbError> {
        let offset = bytes.len() as u64;
        let sha256 = match self.uploads.store_whole(&upload, bytes).await {
            Ok(sha256) => sha256,
            Err(error) => return Ok((self.insert_upload(upload).await?, Some(Err(error)))),
        };
        let now = self.clock.now();
        let upload = upload.completed(offset, sha256, now);
        let finishing = Finishing::new(self, upload.clone(), Vec::new(), now).screened(screened);
        let written: Result<(), DbError> = self
            .db
            .write((upload.clone(), finishing), |(upload, finishing), tx| {
                Box::pin(async move {
                    Uploads::insert(tx, std::slice::from_ref(upload)).await?;
                    finishing.write_consequences(tx, &creation_reports(upload, upload.created_at)).await
                })
            })
            .await;
        if let Err(error) = written {
            // If nobody can say whether there is a row, the next start looks.
            if !error.leaves_commit_unknown() {
                let _ = self.uploads.remove_bytes(&upload).await;
            }
            return Err(error);
        }
        self.announce_finished();
        Ok(created_whole(upload.id, offset))
    }

    /// What an upload begins as, unless its manifest is refused.
    async fn new_upload(
        &self,
        caller: &Caller,
        request: CreateRequest,
    ) -> Result<Result<Upload, Creation>, DbError> {
        let CreateRequest { length, fields, is_partial } = request;
        let (id, now) = (UploadId::new(), self.clock.now());
        // A part says what it is only if it wants to; what it becomes a part of must (T-37).
        let manifest = if is_partial && fields.is_empty() {
            SenderManifest::of_part(id, now)
        } else {
            match self.admit(caller, id, fields, now).await? {
                Ok(manifest) => manifest,
                Err(refused) => return Ok(Err(refused)),
            }
        };
        let mut upload = Upload::new((caller.tenant(), caller.id()), id, Door::Tus, length, manifest, now);
        upload.concat = is_partial.then_some(Concat::Partial);
        upload.expires_at = self.uploads.expires_at(&upload, now);
        Ok(Ok(upload))
    }

    /// Makes an upload exist that has no bytes yet.
    async fn insert_upload(self: &Arc<Self>, upload: Upload) -> Result<Creation, DbError> {
        let (id, now, mut expires_at) = (upload.id, upload.created_at, upload.expires_at);
        let (length, is_partial) = (upload.length, upload.is_partial());
        if self.may_enter(&upload) && self.uploads.enter(&upload).await? {
            return Ok(Creation::Created { id, expires_at });
        }
        let unit = NewUpload { upload, now };
        if length == Some(0) {
            // An upload without bytes is complete at once (T-14).
            let finishing = Finishing::new(self, unit.upload.clone(), Vec::new(), now);
            expires_at = expires_at.filter(|_| is_partial);
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
        Ok(Creation::Created { id, expires_at })
    }

    /// Judges the manifest fields of an upload that is to be created. What is refused leaves its two reports.
    pub(super) async fn admit(
        &self,
        caller: &Caller,
        id: UploadId,
        fields: ManifestFields,
        now: Timestamp,
    ) -> Result<Result<SenderManifest, Creation>, DbError> {
        let rules = self.rules.current();
        let verified = verify(&rules.streams, fields.ingested(id, now));
        let manifest = match verified.and_then(|manifest| storable(&rules.routing, manifest)) {
            Ok(manifest) => manifest,
            Err(rejected) => {
                self.report_refusal(caller, id, &rejected.fields, rejected.legacy_messages().join("\n"), now)
                    .await?;
                return Ok(Err(Creation::Refused { id, rejected }));
            }
        };
        if self.settings.refuse_unrouted && !self.is_routed(&manifest) {
            let message = "the data stream has no destination".to_owned();
            self.report_refusal(caller, id, manifest.fields(), message, now).await?;
            return Ok(Err(Creation::Unrouted(id)));
        }
        Ok(Ok(manifest))
    }

    /// Appends a body to an upload and, if that was the last of it, finishes the upload.
    ///
    /// *Cancellation*: the append goes on; what arrived counts, unless it is the beginning of a small upload that
    /// arrived a moment ago.
    pub(crate) async fn append_upload(
        self: &Arc<Self>,
        request: AppendRequest,
        body: Body,
    ) -> Result<Reception, UploadError> {
        let body = match self.enter_bytes(&request, body).await? {
            Ok(reception) => return Ok(reception),
            Err(body) => body,
        };
        let exchange = self.clone();
        self.outlive(async move {
            let appended = exchange.uploads.append(request, body, &exchange.stopping).await?;
            exchange.acknowledge(appended).await
        })
        .await?
    }

    /// Enters a body that is all of a small upload and comes at once; any other comes back as if nothing had been read
    /// of it.
    async fn enter_bytes(
        &self,
        request: &AppendRequest,
        body: Body,
    ) -> Result<Result<Reception, Body>, DbError> {
        let Some(upload) = self.uploads.awaits_all_of(request) else { return Ok(Err(body)) };
        let length = upload.length.unwrap_or_default();
        let bytes = match self.take_small(body, length, true).await {
            Ok(bytes) => bytes,
            Err(body) => return Ok(Err(body)),
        };
        // What cannot be looked at is not taken either.
        self.screen_whole(&upload, &bytes);
        if !self.uploads.enter_bytes(&request.access, upload, &bytes).await? {
            return Ok(Err(stream::iter([Ok(bytes)]).boxed()));
        }
        Ok(Ok(Reception { offset: length, is_complete: true, expires_at: None, ended: Ended::Whole }))
    }

    async fn acknowledge(self: &Arc<Self>, appended: Appended<BodyError>) -> Result<Reception, UploadError> {
        let (full, offset) = (appended.fills(), appended.end());
        // The lock inside `appended` is held until the tail is committed.
        let Appended { mut upload, tail, ended, lock, .. } = appended;
        let is_complete = full || upload.state != UploadState::Open;
        let expires_at = match (is_complete, tail.is_empty()) {
            (true, _) => upload.expires_at.filter(|_| upload.is_partial()),
            (false, true) => upload.expires_at,
            (false, false) => self.uploads.expires_at(&upload, self.clock.now()),
        };
        if full {
            // The end of the last body may be all that tells the length.
            upload.length = Some(offset);
            if !self.finish_upload(upload, tail).await? {
                // Nothing of ours was written, so nothing of ours may be acknowledged.
                return Err(UploadError::Locked);
            }
        } else {
            self.uploads.advance(&upload, &tail).await?;
        }
        drop(lock);
        Ok(Reception { offset, is_complete, expires_at, ended })
    }

    /// Whether an upload may be acknowledged before its deliveries exist: not where one must keep its place behind
    /// others that come another way.
    fn may_enter(&self, upload: &Upload) -> bool {
        self.deliveries_of(upload).iter().all(|delivery| delivery.ordering_key.is_none())
    }

    /// Whether an upload with this manifest goes anywhere.
    pub(crate) fn is_routed(&self, manifest: &SenderManifest) -> bool {
        let (id, route) = (manifest.data_stream_id(), manifest.data_stream_route());
        !self.rules.current().routing.targets_for(id, route).is_empty()
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

/// What a creation comes to whose bytes all came with it.
fn created_whole(id: UploadId, offset: u64) -> CreatedWith {
    let reception = Reception { offset, is_complete: true, expires_at: None, ended: Ended::Whole };
    (Creation::Created { id, expires_at: None }, Some(Ok(reception)))
}

/// Refuses a manifest that a target could not keep with the object: after the last byte it would be too late.
fn storable(routing: &Routing, manifest: SenderManifest) -> Result<SenderManifest, RejectedManifest> {
    let fields: Vec<(&str, &str)> = manifest.fields().iter().collect();
    let misfits = routing.misfits((manifest.data_stream_id(), manifest.data_stream_route()), &fields);
    if misfits.is_empty() {
        return Ok(manifest);
    }
    let errors = misfits.into_iter().map(FieldError::not_storable).collect();
    Err(RejectedManifest { fields: manifest.fields().clone(), errors })
}

/// The row and the reports of an upload that begins.
struct NewUpload {
    upload: Upload,
    now: Timestamp,
}

impl NewUpload {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        Uploads::insert(tx, std::slice::from_ref(&self.upload)).await?;
        // A part is no file of its own: nobody follows it.
        if self.upload.is_partial() {
            return Ok(());
        }
        report::record(tx, &self.upload.stream(), &begin_reports(&self.upload, self.now)).await
    }
}

/// What is reported of an upload that exists and has no bytes.
pub(super) fn begin_reports(upload: &Upload, now: Timestamp) -> Vec<Report> {
    let mut reports = creation_reports(upload, now);
    reports.push(progress(upload, 0, now));
    reports
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
