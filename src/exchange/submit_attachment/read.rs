//! What stayed of the body, read: a submission and its payloads, or everything that is wrong with them in
//! one list.

use bytes::Bytes;
use serde_json::Value;

use super::receive::Received;
use super::signatures::Signable;
use super::{Exchange, SubmitError, SubmitRequest};
use crate::auth::Access;
use crate::cdex::{self, Carried, MOST_PAYLOADS, Payload, Submission, TakenData};
use crate::exchange::check_signatures::Checked;
use crate::fhir::{self, Issue, IssueType, KnownType, ScannedPayload, Spool, Spooled};
use crate::id::UploadId;
use crate::upload::{UploadSpool, UploadState};

/// How many payloads a content carries, before anything is made of them.
fn payload_count(content: &Value) -> usize {
    match content.get("content") {
        Some(Value::Array(contents)) if content["resourceType"] == "DocumentReference" => contents.len(),
        _ => 1,
    }
}

/// Whether a content resource is itself the payload.
fn is_payload_itself(content: &Value) -> bool {
    content["resourceType"].as_str().and_then(KnownType::of_content).is_none()
}

/// A payload resource in the body.
fn resource_of<'b>(body: &'b Value, scanned: &ScannedPayload) -> Option<&'b Value> {
    body.pointer(&format!("/parameter/{}/part/{}/resource", scanned.parameter, scanned.part))
}

/// The parameter or part that an issue is about: `Parameters.parameter[3]`, `Parameters.parameter[8].part[1]`.
fn parameter_of(issue: &Issue) -> Option<&str> {
    let expression = issue.expression.as_deref()?;
    let end = expression.strip_prefix("Parameters.parameter[").and(expression.find(']'))?;
    match expression[end..].strip_prefix("].part") {
        None => Some(&expression[..=end]),
        Some(part) if part.starts_with('[') => {
            let end = end + "].part".len() + part.find(']')?;
            Some(&expression[..=end])
        }
        Some(_) => None,
    }
}

/// Whether the profile has told something about the same parameter or part.
fn is_told(issue: &Issue, found: &[Issue]) -> bool {
    let parameter = parameter_of(issue);
    parameter.is_some() && found.iter().any(|told| parameter_of(told) == parameter)
}

/// What is wrong first, remarks after it.
fn refused(mut issues: Vec<Issue>) -> SubmitError {
    issues.sort_by_key(|issue| !issue.is_error());
    SubmitError::Refused(issues)
}

/// A submission that breaks no rule.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) submission: Submission,
    /// What deserves attention all the same.
    pub(super) remarks: Vec<Issue>,
    /// What was found about signatures.
    pub(super) signatures: Checked,
    /// In the order of the attachments.
    pub(super) payloads: Vec<ReadPayload>,
}

/// One payload and where its bytes are.
#[derive(Debug)]
pub(super) struct ReadPayload {
    /// Which of the submission's attachments carries it.
    pub(super) attachment: usize,
    pub(super) bytes: PayloadBytes,
    pub(super) payload: Payload,
}

/// The bytes of a payload.
#[derive(Debug, Clone)]
pub(super) enum PayloadBytes {
    /// In memory.
    Here(Bytes),
    /// In the spool.
    Spooled(Spooled),
    /// In a complete upload made before.
    Upload(UploadId),
}

/// A payload resource, as far as it stayed in memory.
struct ContentResource {
    value: Option<Value>,
    taken: Vec<TakenData>,
    /// Its exact text, where that is in the spool.
    raw: Option<Spooled>,
}

impl Exchange {
    /// Reads a body that has arrived. What the spool holds is the caller's to give up if this fails.
    pub(super) async fn read(
        &self,
        request: &SubmitRequest,
        received: &Received,
        spool: &mut UploadSpool,
    ) -> Result<Reading, SubmitError> {
        let skeleton = &received.scanned.skeleton;
        let body = fhir::parse(skeleton).map_err(|issue| SubmitError::Refused(vec![issue]))?;
        let mut issues = fhir::check_structure(&body, "Parameters", fhir::StructureMode::Shape);
        let (mut payloads, mut signable) = (Vec::new(), Vec::new());
        let mut count = 0;
        for scanned in &received.scanned.payloads {
            let at = format!("Parameters.parameter[{}].part[{}].resource", scanned.parameter, scanned.part);
            let content = self.content_resource(scanned, &at, spool).await?;
            let Some(value) = content.value.as_ref().or_else(|| resource_of(&body, scanned)) else {
                continue;
            };
            count += payload_count(value);
            if count > MOST_PAYLOADS {
                let text = format!("A submission carries at most {MOST_PAYLOADS} payloads");
                return Err(SubmitError::PartTooLarge(Issue::refusal(IssueType::TooLong, text)));
            }
            match cdex::payloads(value, &at, content.taken, &request.own_uploads) {
                Ok((found, remarks)) => {
                    issues.extend(remarks);
                    let text = content.raw.map_or_else(
                        || PayloadBytes::Here(skeleton.slice(scanned.text.clone())),
                        PayloadBytes::Spooled,
                    );
                    if is_payload_itself(value)
                        && let Some(resource) = resource_of(&body, scanned)
                    {
                        signable.push(Signable { at, resource, text: text.clone() });
                    }
                    payloads.push(((scanned.parameter, scanned.part), text, found));
                }
                Err(found) => issues.extend(found),
            }
        }
        let submission = match cdex::parse(&body, &self.profiles) {
            Ok((submission, remarks)) => {
                issues.extend(remarks);
                Some(submission)
            }
            Err(found) => {
                // One mistake is told once, and with the parameter's name where the profile told it.
                issues.retain(|issue| !is_told(issue, &found));
                issues.extend(found);
                None
            }
        };
        let Some(submission) = submission.filter(|_| !issues.iter().any(Issue::is_error)) else {
            return Err(refused(issues));
        };
        let sender = self.sender(request, &submission);
        let policy = self.partners.policy(sender).signatures;
        let signatures = self.check_submitted(signable, sender, spool).await?;
        let access = request.caller.access();
        issues.extend(self.signature_issues(&access, &submission, (&signatures, policy)).await?);
        let payloads = self.attach(&access, &submission, payloads, &mut issues).await?;
        if issues.iter().any(Issue::is_error) {
            return Err(refused(issues));
        }
        Ok(Reading { submission, remarks: issues, signatures, payloads })
    }

    /// Where the parts of one payload resource are. A text that had to be spooled before its type was known
    /// is read back once if the type turns out to be one whose bytes are decoded.
    async fn content_resource(
        &self,
        scanned: &ScannedPayload,
        at: &str,
        spool: &mut UploadSpool,
    ) -> Result<ContentResource, SubmitError> {
        let known = scanned.resource_type.as_deref().and_then(KnownType::of_content);
        let (value, taken, raw) = match (&scanned.raw, known) {
            (Some(raw), Some(known)) => {
                let (skeleton, taken) = fhir::convert(self.settings.scan, raw, known, at, spool).await?;
                spool.discard(raw).await;
                let value = fhir::parse(&skeleton).map_err(|issue| SubmitError::Refused(vec![issue]))?;
                (Some(value), taken, None)
            }
            (raw, _) => (None, scanned.taken.clone(), raw.clone()),
        };
        let taken = taken
            .into_iter()
            .map(|taken| TakenData { content: taken.content, spooled: taken.spooled })
            .collect();
        Ok(ContentResource { value, taken, raw })
    }

    /// Gives each payload to its attachment, and looks up the uploads that are named.
    async fn attach(
        &self,
        access: &Access,
        submission: &Submission,
        found: Vec<((usize, usize), PayloadBytes, Vec<Payload>)>,
        issues: &mut Vec<Issue>,
    ) -> Result<Vec<ReadPayload>, SubmitError> {
        let mut read = Vec::new();
        for (position, text, payloads) in found {
            let of = |a: &cdex::SubmittedAttachment| (a.parameter, a.content_part) == position;
            let Some(attachment) = submission.attachments.iter().position(of) else { continue };
            let mut text = Some(text);
            for payload in payloads {
                let bytes = match &payload.carried {
                    Carried::Decoded(bytes) => Some(PayloadBytes::Here(Bytes::copy_from_slice(bytes))),
                    Carried::Spooled(spooled) => Some(PayloadBytes::Spooled(spooled.clone())),
                    Carried::ResourceText => text.take(),
                    Carried::Upload(id) => self.uploaded_before(access, *id, &payload, issues).await?,
                };
                read.extend(bytes.map(|bytes| ReadPayload { attachment, bytes, payload }));
            }
        }
        Ok(read)
    }

    /// A url may only name an upload that is there and whole (design 2).
    async fn uploaded_before(
        &self,
        access: &Access,
        id: UploadId,
        payload: &Payload,
        issues: &mut Vec<Issue>,
    ) -> Result<Option<PayloadBytes>, SubmitError> {
        let attachment = payload.expression.trim_end_matches(".url");
        let refuse = |code, element, text| Issue::error(code, format!("{attachment}.{element}"), text);
        let upload = self.uploads.find(access, id).await?;
        let Some(upload) = upload else {
            issues.push(refuse(IssueType::NotFound, "url", "The url names no upload of this gateway"));
            return Ok(None);
        };
        if upload.state != UploadState::Complete {
            issues.push(refuse(
                IssueType::BusinessRule,
                "url",
                "The upload that the url names is not complete",
            ));
            return Ok(None);
        }
        if payload.claimed_length.is_some_and(|claimed| claimed != upload.offset) {
            issues.push(refuse(
                IssueType::Value,
                "size",
                "The size is not that of the upload that the url names",
            ));
            return Ok(None);
        }
        if payload.claimed_sha1.is_some() {
            let text =
                "The hash of an upload made before is not compared; its bytes were verified when they came";
            issues.push(refuse(IssueType::Informational, "hash", text).into_warning());
        }
        Ok(Some(PayloadBytes::Upload(id)))
    }
}
