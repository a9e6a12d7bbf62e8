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
use crate::fhir::datatype::{Coding, codings};
use crate::fhir::search::{Query, Scope, escaped};
use crate::fhir::{Issue, Spool, Spooled};
use crate::partner::Partner;
use crate::repository::entry::Space;
use crate::repository::{self, Search, criteria};
use crate::upload::UploadSpool;

/// Tasks of one number that are looked at.
const MOST_TASKS: u32 = 50;

/// The code system of the inputs of a Task.
const TEMPORARY_CODES: &str = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp";

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
            && self.is_flagged(access, submission).await?;
        issues.extend(checked.missing(policy, is_flagged));
        Ok(issues)
    }

    /// Whether a Task with the tracking number of a submission asks for signatures. It is the payer's own, whoever of its
    /// people or programs keeps it: the whole tenant is looked at.
    async fn is_flagged(&self, access: &Access, submission: &Submission) -> Result<bool, DbError> {
        let worker = Access::of_worker(access.tenant());
        let number = escaped(&submission.tracking_id.value).into_owned();
        let parameters = [("identifier".to_owned(), number)];
        // A number that cannot be searched for is that of no Task.
        let Ok(query) = Query::parse(Scope::Type("Task"), &parameters, "", true) else { return Ok(false) };
        if query.filters.is_empty() {
            return Ok(false);
        }
        let search = Search {
            types: vec![Space::of_type(worker.tenant(), "Task")],
            criterion: criteria::of(&query, worker.tenant(), self.clock.now()),
            order: Vec::new(),
            count: MOST_TASKS,
            after: None,
            count_to: 0,
        };
        let mut reader = self.db.reader().await?;
        let tasks = repository::search(&mut reader.tx(), &worker, &search).await?.resources;
        let texts = tasks.iter().filter_map(|task| task.content.as_deref());
        Ok(texts.filter_map(|text| serde_json::from_slice(text).ok()).any(|task| asks_for_signature(&task)))
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

/// Whether a Task has a signature flag (cdex.md 6.8).
fn asks_for_signature(task: &Value) -> bool {
    let inputs = task.get("input").and_then(Value::as_array).into_iter().flatten();
    inputs.filter(|input| input["valueBoolean"] == true).any(|input| {
        input.get("type").is_some_and(|kind| {
            codings(kind).any(|coding| {
                coding == Coding { system: Some(TEMPORARY_CODES), code: Some("signature-flag") }
            })
        })
    })
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
