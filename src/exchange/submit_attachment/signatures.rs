//! Signatures of the FHIR resources in a submission, verified on their exact text. A DocumentReference or a Binary is
//! none of them: what it wraps has its signature inside (cdex.md 8.1).

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::read::PayloadBytes;
use super::{Exchange, SubmitError, SubmitRequest};
use crate::auth::Access;
use crate::cdex::Submission;
use crate::cdex::signature::has_signature;
use crate::config::SignaturePolicy;
use crate::db::DbError;
use crate::exchange::check_signatures::{Checked, LARGEST, too_long};
use crate::fhir::{Issue, Spool, Spooled};
use crate::partner::Partner;
use crate::upload::UploadSpool;

/// Bytes that are read back at once.
const BLOCK: usize = 256 << 10;

/// A resource that is itself a payload.
pub(super) struct Signable<'a> {
    /// Its path.
    pub(super) at: String,
    /// The resource, perhaps without its long strings.
    pub(super) resource: &'a Value,
    /// Its exact text.
    pub(super) text: PayloadBytes,
}

impl Exchange {
    /// The partner who sends a submission: the client, else whoever it says that it is from.
    pub(super) fn sender(&self, request: &SubmitRequest, submission: &Submission) -> Option<&Partner> {
        let named = [&submission.organization_id, &submission.provider_id].into_iter().flatten();
        let by_name = || {
            named
                .into_iter()
                .find_map(|named| self.partners.of_identifier(named.system.as_deref(), &named.value))
        };
        self.partners.of_client(request.caller.client_id()).or_else(by_name).map(AsRef::as_ref)
    }

    /// What there is to tell of signatures, and what is wrong with them where they count.
    pub(super) async fn signature_issues(
        &self,
        access: &Access,
        submission: &Submission,
        (checked, policy): (&Checked, SignaturePolicy),
    ) -> Result<Vec<Issue>, DbError> {
        let mut issues = checked.told(policy);
        // Only where a flag would make a difference is it looked for.
        let is_flagged = policy == SignaturePolicy::Flagged
            && !checked.missing(policy, true).is_empty()
            && self.association_of(access, submission).await?.asks_for_signature;
        issues.extend(checked.missing(policy, is_flagged));
        Ok(issues)
    }

    /// Verifies what is signed, and notes what is not.
    pub(super) async fn check_submitted(
        &self,
        resources: Vec<Signable<'_>>,
        sender: Option<&Partner>,
        spool: &mut UploadSpool,
    ) -> Result<Checked, SubmitError> {
        let mut checked = Checked::default();
        for Signable { at, resource, text } in resources {
            let verdicts = if has_signature(resource) {
                let text = whole(&text, spool).await?;
                self.verify_signatures(text, &at, sender).await.map_err(|_| SubmitError::Stopping)?
            } else {
                Vec::new()
            };
            checked.add(resource, &at, verdicts);
        }
        Ok(checked)
    }
}

/// The text of a resource in one piece.
async fn whole(text: &PayloadBytes, spool: &mut UploadSpool) -> Result<Bytes, SubmitError> {
    match text {
        PayloadBytes::Here(text) if text.len() as u64 <= LARGEST => Ok(text.clone()),
        PayloadBytes::Spooled(spooled) if spooled.length <= LARGEST => read_back(spooled, spool).await,
        PayloadBytes::Here(_) | PayloadBytes::Spooled(_) => Err(SubmitError::PartTooLarge(too_long())),
        // Only documents come in uploads of their own.
        PayloadBytes::Upload(_) => Ok(Bytes::new()),
    }
}

async fn read_back(spooled: &Spooled, spool: &mut UploadSpool) -> Result<Bytes, SubmitError> {
    let mut text = BytesMut::new();
    loop {
        let block = spool.read(spooled, text.len() as u64, BLOCK).await?;
        if block.is_empty() {
            return Ok(text.freeze());
        }
        text.extend_from_slice(&block);
    }
}
