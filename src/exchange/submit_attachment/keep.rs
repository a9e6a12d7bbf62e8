//! A submission that breaks no rule becomes true: its payloads are uploads with a manifest, complete and
//! on their way, in the one transaction that also holds the submission, the reports and the audit row.

use super::answer::Answer;
use super::read::{PayloadBytes, ReadPayload, Reading};
use super::receive::{Fingerprint, Received};
use super::{Exchange, SubmitError, SubmitRequest};
use crate::agenda::{self, Errand, NewItem};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Access;
use crate::cdex::provenance::SignatureCheck;
use crate::cdex::signature::Verdict;
use crate::cdex::{Submission, SubmittedAttachment};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::finish_upload::Finishing;
use crate::exchange::receive_upload::creation_reports;
use crate::exchange::store::{self, SubmissionRecord};
use crate::fhir::{Issue, IssueType, Spool, Spooled};
use crate::id::{SubmissionId, UploadId};
use crate::manifest::{FieldErrorCode, PayloadFacts, RejectedManifest, SenderManifest, verify};
use crate::screening::HEAD_BYTES;
use crate::upload::{Door, Upload, UploadSpool, Uploads};

/// What is told of a submission that belongs to nothing that is known here now (CONF-021).
const HELD: &str = "The attachments can not be associated with a current claim or prior authorization and are \
     being held for association with a future claim or prior authorization.";
/// What is told of one that comes after the last one was announced.
const AMENDMENT: &str = "A submission that said it was the last for this TrackingId was received before; this one \
     is kept as an amendment of it.";
/// The same where both belong to nothing that is known here now.
const HELD_AMENDMENT: &str = "A submission that said it was the last for this TrackingId was received before; this \
     one is kept as an amendment of it, and is being held for association with a future claim or prior authorization.";

/// What became of a submission.
#[derive(Debug)]
pub(super) enum Kept {
    /// It was kept; the spool's bytes now belong to its uploads.
    New(Answer),
    /// The same one was kept before; nothing new is.
    Before(Answer),
}

/// Everything that becomes true at once.
struct Unit {
    access: Access,
    record: SubmissionRecord,
    remarks: Vec<Issue>,
    /// Whether it belongs to something that is known here.
    is_associated: bool,
    upload_ids: Vec<UploadId>,
    uploads: Vec<Upload>,
    finishings: Vec<Finishing>,
    key: Option<(String, Timestamp)>,
    audit: Entry,
}

impl Exchange {
    pub(super) async fn keep(
        &self,
        request: &SubmitRequest,
        received: Received,
        reading: Reading,
        spool: &mut UploadSpool,
    ) -> Result<Kept, SubmitError> {
        let access = request.caller.access();
        let Fingerprint { sha256: body_sha256, length: body_length } = received.fingerprint;
        let before = {
            let mut reader = self.db.reader().await?;
            store::find_answer(&mut reader.tx(), &access, &reading.submission, &body_sha256).await?
        };
        let now = self.clock.now();
        let key = request.idempotency_key.clone().map(|key| (key, now.after(self.settings.idempotency)));
        if let Some(answer) = before {
            self.keep_key(access, key, body_sha256, answer.clone(), now).await?;
            return Ok(Kept::Before(Answer::from_stored(&answer)?));
        }
        let mut remarks = reading.remarks;
        let (mut upload_ids, mut uploads, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut screenings = Vec::new();
        for read in reading.payloads {
            let spooled = match &read.bytes {
                PayloadBytes::Upload(id) => {
                    upload_ids.push(*id);
                    continue;
                }
                PayloadBytes::Spooled(spooled) => spooled.clone(),
                PayloadBytes::Here(bytes) => spool.add(bytes.clone()).await?,
            };
            let head = match &read.bytes {
                PayloadBytes::Here(bytes) => bytes.slice(..bytes.len().min(HEAD_BYTES)),
                PayloadBytes::Spooled(_) | PayloadBytes::Upload(_) => {
                    spool.read(&spooled, 0, HEAD_BYTES).await?
                }
            };
            let screened = self.screen(read.payload.media_type.as_deref(), &head);
            if let Some(remark) = screened.as_ref().and_then(|screened| screened.look.remark()) {
                let issue = Issue::error(IssueType::Value, &read.payload.expression, remark);
                remarks.push(issue.into_warning());
            }
            upload_ids.push(spooled.id);
            match self.wrap(request, &reading.submission, &read, &spooled, now) {
                Ok(manifest) => {
                    uploads.push(complete_upload(&access, manifest, &read, &spooled, now));
                    screenings.push(screened);
                }
                Err(rejected) => refused.extend(manifest_issues(&read, &rejected)),
            }
        }
        if !refused.is_empty() {
            return Err(SubmitError::Refused(refused));
        }
        self.refuse_unrouted(&uploads)?;
        let is_associated = self.association_of(&access, &reading.submission).await?.is_made();
        let checks = checks(&reading.submission, &reading.signatures.verdicts);
        let id = SubmissionId::new();
        let unit = Unit {
            record: SubmissionRecord {
                id,
                submission: reading.submission,
                body_sha256,
                body_length,
                skeleton: received.scanned.skeleton,
                upload_ids: serde_json::to_string(&upload_ids).unwrap_or_default(),
                received_at: now,
                checks,
            },
            remarks,
            is_associated,
            upload_ids,
            finishings: uploads
                .iter()
                .zip(screenings)
                .map(|(upload, screened)| {
                    Finishing::new(self, upload.clone(), Vec::new(), now).screened(screened)
                })
                .collect(),
            uploads,
            key,
            audit: Entry {
                entity: Some(id.to_string()),
                ..self.audit_entry(&request.caller, &request.request_id, AuditOutcome::Success)
            },
            access,
        };
        self.db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await
    }

    /// The verified manifest of one payload (design 2, "From FHIR to the manifest").
    fn wrap(
        &self,
        request: &SubmitRequest,
        submission: &Submission,
        read: &ReadPayload,
        spooled: &Spooled,
        now: Timestamp,
    ) -> Result<SenderManifest, RejectedManifest> {
        let facts = PayloadFacts {
            interaction: super::ACTION,
            upload_id: spooled.id,
            media_type: read.payload.media_type.as_deref(),
            document_date: read.payload.date.as_deref(),
            title: read.payload.title.as_deref(),
        };
        let attachment = &submission.attachments[read.attachment];
        let fields = self.mapping.wrap(request.caller.client_id(), submission, attachment, &facts);
        verify(&self.rules.current().streams, fields.ingested(spooled.id, now))
    }

    /// Remembers the key of a submission that was kept before: it answers for this body now.
    async fn keep_key(
        &self,
        access: Access,
        key: Option<(String, Timestamp)>,
        body_sha256: [u8; 32],
        answer: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), DbError> {
        let Some((key, expires_at)) = key else { return Ok(()) };
        self.db
            .write((access, key, body_sha256, answer), move |(access, key, body_sha256, answer), tx| {
                Box::pin(store::insert_key(tx, access, key, (body_sha256, answer), (now, expires_at)))
            })
            .await
    }

    fn refuse_unrouted(&self, uploads: &[Upload]) -> Result<(), SubmitError> {
        let unrouted = uploads.iter().any(|upload| !self.is_routed(&upload.manifest));
        if self.settings.refuse_unrouted && unrouted {
            let text = "The data stream of this submission has no destination";
            return Err(SubmitError::Refused(vec![Issue::refusal(IssueType::BusinessRule, text)]));
        }
        Ok(())
    }
}

impl Unit {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<Kept, SubmitError> {
        let Self { access, record, .. } = self;
        let amends = store::find_last(tx, access, &record.submission).await?;
        let mut remarks = self.remarks.clone();
        // One answer to what becomes of it.
        let told = match (self.is_associated, amends.is_some()) {
            (true, false) => None,
            (true, true) => Some(AMENDMENT),
            (false, true) => Some(HELD_AMENDMENT),
            (false, false) => Some(HELD),
        };
        remarks.extend(told.map(Issue::information));
        let answer = Answer::new(self.upload_ids.clone(), &remarks);
        let stored = answer.to_stored();
        if !store::insert_submission(tx, access, record, amends.as_deref(), &stored).await? {
            let before = store::find_answer(tx, access, &record.submission, &record.body_sha256).await?;
            let before = before.unwrap_or_default();
            self.write_key(tx, &before).await?;
            return Ok(Kept::Before(Answer::from_stored(&before)?));
        }
        Uploads::insert(tx, &self.uploads).await?;
        for (upload, finishing) in self.uploads.iter().zip(&self.finishings) {
            let before = creation_reports(upload, record.received_at);
            finishing.write_consequences(tx, &before).await?;
        }
        let errand = NewItem {
            tenant: access.tenant().to_owned(),
            owner: access.owner().unwrap_or_default().to_owned(),
            errand: Errand::Associate,
            subject: record.id.to_string(),
            version: 0,
            due_at: record.received_at,
        };
        agenda::add(tx, &[errand]).await?;
        self.write_key(tx, &stored).await?;
        audit::record(tx, &self.audit).await?;
        Ok(Kept::New(answer))
    }

    async fn write_key(&self, tx: &mut Tx<'_>, answer: &[u8]) -> Result<(), DbError> {
        let Some((key, expires_at)) = &self.key else { return Ok(()) };
        let kept = (&self.record.body_sha256, answer);
        store::insert_key(tx, &self.access, key, kept, (self.record.received_at, *expires_at)).await
    }
}

/// What signatures turned out to be, with the number of the attachment that each is in.
fn checks(submission: &Submission, verdicts: &[(String, Verdict)]) -> Vec<(usize, SignatureCheck)> {
    let lines = verdicts.iter().flat_map(|(path, verdict)| {
        let is_in = |attachment: &SubmittedAttachment| {
            let SubmittedAttachment { parameter, content_part, .. } = attachment;
            path.starts_with(&format!("Parameters.parameter[{parameter}].part[{content_part}]."))
        };
        let number = submission.attachments.iter().position(is_in);
        number
            .into_iter()
            .flat_map(|number| SignatureCheck::of(verdict).into_iter().map(move |check| (number, check)))
    });
    lines.collect()
}

fn complete_upload(
    access: &Access,
    manifest: SenderManifest,
    read: &ReadPayload,
    spooled: &Spooled,
    now: Timestamp,
) -> Upload {
    let owner = (access.tenant(), access.owner().unwrap_or_default());
    let upload = Upload::new(owner, spooled.id, Door::Fhir, Some(spooled.length), manifest, now);
    Upload {
        media_type: read.payload.media_type.clone(),
        ..upload.completed(spooled.length, spooled.sha256, now)
    }
}

/// What is wrong with a manifest, without its values: field names are the operator's, not the sender's.
fn manifest_issues(read: &ReadPayload, rejected: &RejectedManifest) -> Vec<Issue> {
    let issue = |error: &crate::manifest::FieldError| {
        let what = match error.code {
            FieldErrorCode::Missing => "is required and has no value",
            FieldErrorCode::DisallowedValue => "has a value that is not allowed",
            FieldErrorCode::InvalidCharacter => "has a character that is not allowed",
            FieldErrorCode::UnknownDataStream => "names a data stream that is not configured",
            FieldErrorCode::NotStorable => "cannot be kept as it is at a target",
        };
        let text = format!("The sender manifest made of this submission is refused: {} {what}", error.field);
        Issue::error(IssueType::BusinessRule, &read.payload.expression, text)
    };
    rejected.errors.iter().map(issue).collect()
}
