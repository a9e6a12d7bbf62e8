//! `$submit-attachment`: from a body that is still arriving to uploads that are complete and on their way.
//!
//! [`receive`] reads the body once and spools what is large, [`read`] makes a submission with its payloads of
//! what stays or names everything that is wrong with it, [`signatures`] verifies what is signed, [`keep`] turns
//! payloads into uploads and writes, in one transaction, the submission, its uploads, their deliveries and reports, and
//! the audit row. Until that commit nothing is visible to anyone; a refusal leaves one audit row and no bytes.

mod answer;
mod keep;
mod key;
mod read;
mod receive;
mod signatures;

use std::sync::Arc;

use super::{Body, BodyError, Exchange, store};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Caller;
use crate::cdex::OwnUploads;
use crate::db::DbError;
use crate::fhir::{Issue, ScanError, SpoolError};

pub(crate) use answer::Answer;
pub(crate) use key::RunningKeys;

/// The word of this interaction in audit rows.
const ACTION: &str = "submit-attachment";

/// From this many bytes on what stays of a body is long.
const LONG_SKELETON: usize = 256 * 1024;

/// What came with the body.
#[derive(Debug, Clone)]
pub(crate) struct SubmitRequest {
    /// Who sends it.
    pub(crate) caller: Caller,
    /// The request's name, for the audit row.
    pub(crate) request_id: String,
    /// `Idempotency-Key`, if there is one.
    pub(crate) idempotency_key: Option<String>,
    /// What URLs of uploads of ours look like.
    pub(crate) own_uploads: OwnUploads,
    /// Content-Length in bytes, if there is one.
    pub(crate) declared: Option<u64>,
}

/// Why a submission was not accepted. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    /// It breaks rules; each broken one is an issue.
    #[error("the submission breaks {} rule(s)", .0.len())]
    Refused(Vec<Issue>),
    /// The body is longer than the limit (CONF-023).
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A part of the body other than attachment data is larger than may be held in memory.
    #[error("a part of the body is too large")]
    PartTooLarge(Issue),
    /// The body ended before its end.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The `Idempotency-Key` was used with another body.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// A request with the same `Idempotency-Key` is being received.
    #[error("a request with the same idempotency key is being received")]
    KeyRunning,
    /// No space is left.
    #[error("no space is left")]
    Full,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// The upload store failed.
    #[error("the upload store failed")]
    Storage(#[source] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl SubmitError {
    /// The kinds of refusal an audit row tells of; none where nothing was refused but something broke.
    fn refusal(&self) -> Option<Vec<&'static str>> {
        match self {
            Self::Refused(issues) => {
                let mut codes: Vec<&str> = issues
                    .iter()
                    .filter(|issue| issue.is_error())
                    .map(|issue| issue.code.as_code())
                    .collect();
                codes.sort_unstable();
                codes.dedup();
                Some(codes)
            }
            Self::TooLarge { .. } | Self::PartTooLarge(_) | Self::Body(BodyError::TooLarge) => {
                Some(vec!["too-long"])
            }
            Self::KeyReused | Self::KeyRunning => Some(vec!["duplicate"]),
            Self::Body(_) | Self::Full | Self::Stopping | Self::Storage(_) | Self::Db(_) => None,
        }
    }
}

impl From<SpoolError> for SubmitError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Full => Self::Full,
            SpoolError::Storage(source) => Self::Storage(source),
        }
    }
}

impl From<ScanError> for SubmitError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Spool(error) => error.into(),
            ScanError::Refused(_) if error.is_too_large() => Self::PartTooLarge(error.issue()),
            ScanError::Refused(_) => Self::Refused(vec![error.issue()]),
        }
    }
}

impl Exchange {
    /// Takes a submission.
    ///
    /// *Idempotence*: the same caller, AttachTo, TrackingId and body again get the same answer and leave
    /// nothing new; so does the same `Idempotency-Key` with the same body.
    ///
    /// *Cancellation*: the work goes on once the body has arrived; if it has not, its breaking ends the work.
    pub(crate) async fn submit_attachment(
        self: &Arc<Self>,
        request: SubmitRequest,
        body: Body,
    ) -> Result<Answer, SubmitError> {
        let exchange = self.clone();
        self.outlive(async move { exchange.submit(&request, body).await })
            .await
            .unwrap_or(Err(SubmitError::Stopping))
    }

    async fn submit(&self, request: &SubmitRequest, body: Body) -> Result<Answer, SubmitError> {
        let outcome = self.submit_once(request, body).await;
        if let Err(error) = &outcome
            && let Some(detail) = error.refusal()
        {
            self.audit_refusal(&request.caller, &request.request_id, detail).await?;
        }
        outcome
    }

    /// Writes the audit row of a submission that was refused; `detail` are the kinds of its issues.
    pub(crate) async fn audit_refusal(
        &self,
        caller: &Caller,
        request_id: &str,
        detail: Vec<&'static str>,
    ) -> Result<(), DbError> {
        let entry = Entry { detail, ..self.audit_entry(caller, request_id, AuditOutcome::Refused) };
        self.db.write(entry, |entry, tx| Box::pin(audit::record(tx, entry))).await
    }

    async fn submit_once(&self, request: &SubmitRequest, body: Body) -> Result<Answer, SubmitError> {
        let access = request.caller.access();
        let _running = match &request.idempotency_key {
            Some(key) => Some(self.running.begin(&access, key).ok_or(SubmitError::KeyRunning)?),
            None => None,
        };
        if let Some(key) = &request.idempotency_key {
            let known = {
                let mut reader = self.db.reader().await?;
                store::find_key(&mut reader.tx(), &access, key, self.clock.now()).await?
            };
            if let Some((body_sha256, answer)) = known {
                let same = self.hash(request, body).await?.sha256[..] == body_sha256;
                return if same { Answer::from_stored(&answer) } else { Err(SubmitError::KeyReused) };
            }
        }
        let mut spool = self.uploads.spool(&access);
        let kept = self.submit_into(request, body, &mut spool).await;
        match kept {
            Ok(keep::Kept::New(answer)) => {
                spool.keep();
                self.deliveries.wake();
                self.agenda.wake();
                Ok(answer)
            }
            Ok(keep::Kept::Before(answer)) => {
                spool.give_up().await;
                Ok(answer)
            }
            // The commit may have happened all the same; then these bytes are somebody's only copy.
            Err(SubmitError::Db(error)) if error.leaves_commit_unknown() => {
                spool.leave();
                Err(error.into())
            }
            Err(error) => {
                spool.give_up().await;
                Err(error)
            }
        }
    }

    async fn submit_into(
        &self,
        request: &SubmitRequest,
        body: Body,
        spool: &mut crate::upload::UploadSpool,
    ) -> Result<keep::Kept, SubmitError> {
        let received = self.receive(request, body, spool).await?;
        // A tree takes many times its text: only a few large ones may exist at once.
        let _permit = match received.scanned.skeleton.len() {
            0..LONG_SKELETON => None,
            _ => Some(self.reading.acquire().await.map_err(|_| SubmitError::Stopping)?),
        };
        let reading = self.read(request, &received, spool).await?;
        self.keep(request, received, reading, spool).await
    }

    fn audit_entry(&self, caller: &Caller, request_id: &str, outcome: AuditOutcome) -> Entry {
        Entry {
            tenant: caller.tenant().to_owned(),
            owner: caller.id().to_owned(),
            at: self.clock.now(),
            action: ACTION,
            outcome,
            entity: None,
            detail: Vec::new(),
            request_id: Some(request_id.to_owned()),
        }
    }
}
