//! What is kept of the attachments of a submission as resources: the content resources with ids of our own. The bytes
//! of documents are Binaries that share the bytes of the uploads which the submission became, so that they lie in the
//! store once; a resource that is too long for a row stays its upload, and a DocumentReference refers to that.

use bytes::BytesMut;
use serde_json::{Map, Value, json};

use super::super::follow_agenda::FollowError;
use super::store::KeptSubmission;
use crate::auth::Access;
use crate::cdex::provenance::logical;
use crate::cdex::{self, Identifier, SubmittedAttachment};
use crate::exchange::Exchange;
use crate::fhir::{self, FHIR_JSON};
use crate::id::{ResourceId, UploadId};
use crate::upload::{Content, SourceError, Sources, UploadState};

/// The longest resource that is read back from its upload into a row.
const LONGEST_TEXT: u64 = 1 << 20;

/// Types by which the gateway itself acts or says who somebody is. What a sender submits of them is a document like any
/// other and never one of the payer's own: a Task would ask for something, a Patient would be matched.
const NEVER_TAKEN: [&str; 25] = [
    "AuditEvent",
    "CapabilityStatement",
    "Claim",
    "ClaimResponse",
    "CodeSystem",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Consent",
    "Coverage",
    "Endpoint",
    "Group",
    "OperationDefinition",
    "Organization",
    "Parameters",
    "Patient",
    "Person",
    "Practitioner",
    "PractitionerRole",
    "Provenance",
    "RelatedPerson",
    "SearchParameter",
    "StructureDefinition",
    "Subscription",
    "Task",
    "ValueSet",
];

/// A resource that is made of an attachment.
#[derive(Debug)]
pub(super) struct NewContent {
    /// Which of the submission's attachments it is.
    pub(super) attachment: usize,
    pub(super) resource_type: &'static str,
    pub(super) id: String,
    pub(super) tree: Value,
    /// The uploads that it came as.
    pub(super) uploads: Vec<UploadId>,
    /// The bytes that it has or refers to.
    pub(super) bytes: Vec<SharedBytes>,
}

/// The bytes of an upload, as those of a Binary of the same id.
#[derive(Debug, Clone)]
pub(super) struct SharedBytes {
    pub(super) content: Content,
    pub(super) media_type: String,
}

impl NewContent {
    /// `Type/id`
    pub(super) fn reference(&self) -> String {
        format!("{}/{}", self.resource_type, self.id)
    }

    fn new(attachment: usize, resource_type: &'static str, tree: Value, uploads: &[UploadId]) -> Self {
        let id = ResourceId::new().to_string();
        Self { attachment, resource_type, id, tree, uploads: uploads.to_vec(), bytes: Vec::new() }
    }
}

/// How long the bytes of an upload are, if it is complete.
enum Known {
    Complete(Content),
    Missing,
}

impl Exchange {
    /// Makes resources of the attachments of a submission.
    pub(super) async fn new_contents(
        &self,
        access: &Access,
        kept: &KeptSubmission,
    ) -> Result<Vec<NewContent>, FollowError> {
        // It was read when it came; a row that cannot be read any more has nothing to make resources of.
        let skeleton = kept.skeleton.as_deref().unwrap_or_default();
        let Ok(mut body) = fhir::parse(skeleton) else { return Ok(Vec::new()) };
        let mut uploads = kept.upload_ids.as_slice();
        let mut contents = Vec::new();
        for (number, attachment) in cdex::attachments(&body).into_iter().enumerate() {
            let SubmittedAttachment { parameter, content_part, .. } = attachment;
            let place = format!("/parameter/{parameter}/part/{content_part}/resource");
            let Some(tree) = body.pointer_mut(&place).map(Value::take) else { continue };
            let count = match (&*attachment.resource_type, tree.get("content").and_then(Value::as_array)) {
                ("DocumentReference", Some(contents)) => contents.len(),
                _ => 1,
            };
            let (own, rest) = uploads.split_at(count.min(uploads.len()));
            uploads = rest;
            let member = &kept.submission.member_id;
            contents.push(match &*attachment.resource_type {
                "DocumentReference" => self.document(access, (number, tree), own, member).await?,
                "Binary" => self.binary_content(access, (number, tree), own).await?,
                _ => self.resource(access, (number, &attachment), own, member).await?,
            });
        }
        Ok(contents)
    }

    async fn document(
        &self,
        access: &Access,
        (number, mut tree): (usize, Value),
        uploads: &[UploadId],
        member: &Identifier,
    ) -> Result<NewContent, FollowError> {
        let mut bytes = Vec::new();
        let contents = tree.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten();
        for (content, upload) in contents.zip(uploads) {
            let Some(attachment) = content.get_mut("attachment").and_then(Value::as_object_mut) else {
                continue;
            };
            bytes.extend(self.refer(access, attachment, *upload).await?);
        }
        // The member is whom the document is about: CDex names people by identifiers.
        if tree.get("subject").is_none_or(|subject| subject.get("identifier").is_none()) {
            if !tree["subject"].is_object() {
                tree["subject"] = json!({});
            }
            tree["subject"]["identifier"] = logical(member)["identifier"].take();
        }
        Ok(NewContent { bytes, ..NewContent::new(number, "DocumentReference", tree, uploads) })
    }

    async fn binary_content(
        &self,
        access: &Access,
        (number, mut tree): (usize, Value),
        uploads: &[UploadId],
    ) -> Result<NewContent, FollowError> {
        let mut made = NewContent::new(number, "Binary", Value::Null, uploads);
        if let Some(upload) = uploads.first() {
            made.id = upload.to_string();
            if let Known::Complete(content) = self.bytes_of(access, *upload).await? {
                made.bytes = vec![SharedBytes { content, media_type: media_type(tree.as_object()) }];
            }
        }
        if let Some(binary) = tree.as_object_mut() {
            binary.remove("data");
        }
        Ok(NewContent { tree, ..made })
    }

    /// Any other resource: its text is its upload.
    async fn resource(
        &self,
        access: &Access,
        (number, attachment): (usize, &SubmittedAttachment),
        uploads: &[UploadId],
        member: &Identifier,
    ) -> Result<NewContent, FollowError> {
        let known = fhir::resource_type(&attachment.resource_type).filter(|name| !NEVER_TAKEN.contains(name));
        if let (Some(known), Some(upload)) = (known, uploads.first())
            && let Some(tree) = self.short_text(access, *upload).await?
        {
            return Ok(NewContent::new(number, known, tree, uploads));
        }
        let mut wrapped = Map::from_iter([("contentType".to_owned(), Value::from(FHIR_JSON))]);
        let mut bytes = None;
        if let Some(upload) = uploads.first() {
            bytes = self.refer(access, &mut wrapped, *upload).await?;
        }
        let mut tree = json!({ "resourceType": "DocumentReference", "status": "current",
            "subject": logical(member), "content": [{ "attachment": wrapped }] });
        if let Some((system, code)) = &attachment.code {
            let mut coding = json!({ "code": code });
            if let Some(system) = system {
                coding["system"] = system.as_str().into();
            }
            tree["type"] = json!({ "coding": [coding] });
        }
        let made = NewContent::new(number, "DocumentReference", tree, uploads);
        Ok(NewContent { bytes: bytes.into_iter().collect(), ..made })
    }

    /// Lets an attachment refer to the bytes of its upload.
    async fn refer(
        &self,
        access: &Access,
        attachment: &mut Map<String, Value>,
        upload: UploadId,
    ) -> Result<Option<SharedBytes>, FollowError> {
        attachment.remove("data");
        match self.bytes_of(access, upload).await? {
            Known::Complete(content) => {
                attachment.insert("url".to_owned(), format!("Binary/{upload}").into());
                attachment.insert("size".to_owned(), content.length.into());
                let media_type = media_type(Some(attachment));
                Ok(Some(SharedBytes { content, media_type }))
            }
            Known::Missing => {
                attachment.insert("url".to_owned(), format!("urn:uuid:{upload}").into());
                Ok(None)
            }
        }
    }

    /// What is known of the bytes of an upload. Those that came over tus are read once for their hash.
    async fn bytes_of(&self, access: &Access, id: UploadId) -> Result<Known, FollowError> {
        let upload = self.uploads.find(access, id).await?;
        let Some(upload) = upload.filter(|upload| upload.state == UploadState::Complete) else {
            return Ok(Known::Missing);
        };
        let length = upload.offset;
        if let Some(sha256) = upload.sha256 {
            return Ok(Known::Complete(Content { id, length, sha256 }));
        }
        let hashed = async {
            let mut source = self.uploads.open(access, id).await?;
            while source.next().await?.is_some() {}
            Ok(source.sha256())
        };
        Ok(match readable(hashed.await)?.flatten() {
            Some(sha256) => Known::Complete(Content { id, length, sha256 }),
            None => Known::Missing,
        })
    }

    /// The resource that an upload is, unless that is too long.
    async fn short_text(&self, access: &Access, id: UploadId) -> Result<Option<Value>, FollowError> {
        let text = async {
            let mut source = self.uploads.open(access, id).await?;
            if source.length() > LONGEST_TEXT {
                return Ok(None);
            }
            let mut text = BytesMut::new();
            while let Some(block) = source.next().await? {
                text.extend_from_slice(&block);
            }
            Ok(Some(text))
        };
        let text = readable(text.await)?.flatten();
        Ok(text.and_then(|text| fhir::parse(&text).ok()))
    }
}

/// What was read; none where the bytes are lost, which no repetition brings back.
fn readable<T>(outcome: Result<T, SourceError>) -> Result<Option<T>, FollowError> {
    match outcome {
        Ok(read) => Ok(Some(read)),
        Err(SourceError::Storage(_)) => {
            Err(FollowError::Unavailable("the upload store cannot be read".to_owned()))
        }
        Err(SourceError::Missing | SourceError::Truncated | SourceError::Corrupt) => Ok(None),
    }
}

fn media_type(attachment: Option<&Map<String, Value>>) -> String {
    let given = attachment.and_then(|attachment| attachment.get("contentType")).and_then(Value::as_str);
    given.unwrap_or("application/octet-stream").to_owned()
}
