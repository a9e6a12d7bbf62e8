//! Attachments that are too long to stand in a resource (design 4.1). The scanner has put their bytes into the upload
//! store; here each becomes a Binary of its own, which a DocumentReference or Communication refers to, or the content
//! of the Binary that was sent. The unit that keeps the resource keeps them too, so that there is never one without the
//! other.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64_simd::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::interaction::InteractionError;
use crate::fhir::datatype::Attachment;
use crate::fhir::{Issue, IssueType, ScannedPayload};
use crate::id::UploadId;
use crate::repository::{self, Draft, Precondition};
use crate::upload::{Content, UploadSpool, Uploads};

/// The bytes that came with one body and are too long for rows.
#[derive(Default)]
pub(crate) struct Attachments {
    /// Those of each resource; a body that is no Bundle has the one of index 0.
    of: HashMap<usize, OfResource>,
    spool: Mutex<Option<UploadSpool>>,
}

/// The bytes that belong to one resource.
#[derive(Default)]
struct OfResource {
    contents: Vec<Content>,
    /// The Binaries that the resource refers to.
    binaries: Vec<(Draft, Precondition)>,
    /// The bytes of the resource itself, if it is a Binary.
    own: Option<UploadId>,
}

impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachments").field("resources", &self.of.len()).finish_non_exhaustive()
    }
}

/// The bytes that came with one resource of a body.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    all: Arc<Attachments>,
    index: usize,
}

impl Attachments {
    /// Puts what was taken out of a body in its place in the tree: a reference, or nothing where the resource is the
    /// Binary itself. None if nothing was taken out.
    ///
    /// # Errors
    /// A claimed size or hash is not that of the bytes, or `data` is too long where it cannot be taken out.
    pub(super) fn place(
        tree: &mut Value,
        payloads: Vec<ScannedPayload>,
        spool: UploadSpool,
    ) -> Result<Option<Arc<Self>>, InteractionError> {
        let is_bundle = tree.get("resourceType").is_some_and(|name| name == "Bundle");
        let (mut of, mut issues) = (HashMap::<usize, OfResource>::new(), Vec::new());
        for payload in payloads {
            let (at, pointer) = match (is_bundle, payload.parameter) {
                (true, entry) => {
                    (format!("Bundle.entry[{entry}].resource"), format!("/entry/{entry}/resource"))
                }
                (false, _) => (payload.resource_type.clone().unwrap_or_default(), String::new()),
            };
            if payload.raw.is_some() {
                let text = "Data of this length are taken as content.attachment.data of a DocumentReference, \
                            payload.contentAttachment.data of a Communication or data of a Binary, whose \
                            resourceType comes before them";
                return Err(InteractionError::TooLarge(Issue::error(IssueType::TooLong, at, text)));
            }
            for taken in &payload.taken {
                let spooled = &taken.spooled;
                let of_resource = of.entry(payload.parameter).or_default();
                of_resource.contents.push(Content::from(spooled));
                let Some(index) = taken.content else {
                    of_resource.own = Some(spooled.id);
                    if let Some(binary) = tree.pointer_mut(&pointer).and_then(Value::as_object_mut) {
                        binary.remove("data");
                    }
                    continue;
                };
                let (list, element) = match payload.resource_type.as_deref() {
                    Some("Communication") => ("payload", "contentAttachment"),
                    _ => ("content", "attachment"),
                };
                let place = format!("{pointer}/{list}/{index}/{element}");
                let Some(attachment) = tree.pointer_mut(&place).and_then(Value::as_object_mut) else {
                    continue;
                };
                let at = format!("{at}.{list}[{index}].{element}");
                let hash = STANDARD.encode_to_string(spooled.sha1);
                issues.extend(wrong_claims(&Value::Object(attachment.clone()), spooled.length, &hash, &at));
                of_resource.binaries.push((binary(spooled.id, attachment), Precondition::Absent));
                attachment.remove("data");
                attachment.insert("url".to_owned(), format!("Binary/{}", spooled.id).into());
                attachment.insert("size".to_owned(), spooled.length.into());
                attachment.insert("hash".to_owned(), hash.into());
            }
        }
        if !issues.is_empty() {
            return Err(InteractionError::Invalid(issues));
        }
        let spool = Mutex::new(Some(spool));
        Ok((!of.is_empty()).then(|| Arc::new(Self { of, spool })))
    }

    /// The content of a Binary that is sent as raw bytes.
    pub(super) fn of_binary(content: Content, spool: UploadSpool) -> Arc<Self> {
        let own = Some(content.id);
        let of_resource = OfResource { contents: vec![content], binaries: Vec::new(), own };
        Arc::new(Self { of: HashMap::from([(0, of_resource)]), spool: Mutex::new(Some(spool)) })
    }

    /// Those of the resource of this index, if there are any.
    pub(in crate::exchange) fn part(self: &Arc<Self>, index: usize) -> Option<Attached> {
        self.of.contains_key(&index).then(|| Attached { all: self.clone(), index })
    }
}

impl Attached {
    /// The bytes of the resource itself, if it is a Binary.
    pub(in crate::exchange) fn own(&self) -> Option<UploadId> {
        self.all.of.get(&self.index)?.own
    }

    /// Whether a reference is to one of the Binaries that the resource refers to.
    pub(in crate::exchange) fn holds(&self, reference: &str) -> bool {
        let binaries = self.all.of.get(&self.index).into_iter().flat_map(|of| &of.binaries);
        let id = reference.strip_prefix("Binary/");
        binaries.into_iter().any(|(binary, _)| id == Some(&*binary.id))
    }

    /// Makes them true, in the unit that keeps the resource.
    pub(in crate::exchange) async fn write(
        &self,
        tx: &mut Tx<'_>,
        access: &Access,
        now: Timestamp,
    ) -> Result<(), DbError> {
        let Some(OfResource { contents, binaries, .. }) = self.all.of.get(&self.index) else { return Ok(()) };
        Uploads::insert_contents(tx, access, contents, now).await?;
        if !binaries.is_empty() {
            repository::keep(tx, access, binaries, true, now).await?;
        }
        Ok(())
    }

    /// The unit is over: the bytes stay if it kept any of them. Where nobody knows, they stay too, and the next start
    /// removes what no row names. Without this call they go.
    pub(in crate::exchange) fn settle<T>(
        &self,
        outcome: Result<&T, &DbError>,
        kept: impl FnOnce(&T) -> bool,
    ) {
        let stays = match outcome {
            Ok(outcome) => kept(outcome).then_some(true),
            Err(error) => error.leaves_commit_unknown().then_some(false),
        };
        let Some(is_certain) = stays else { return };
        let spool = self.all.spool.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (spool, is_certain) {
            (Some(spool), true) => spool.keep(),
            (Some(spool), false) => spool.leave(),
            (None, _) => {}
        }
    }
}

/// The Binary that holds the bytes of an attachment.
fn binary(id: UploadId, attachment: &Map<String, Value>) -> Draft {
    let content_type =
        attachment.get("contentType").and_then(Value::as_str).unwrap_or("application/octet-stream");
    let text = json!({ "resourceType": "Binary", "contentType": content_type }).to_string();
    Draft {
        resource_type: "Binary",
        id: id.to_string(),
        text: Bytes::from(text),
        entries: Vec::new(),
        bytes: Some(id),
        errands: Vec::new(),
    }
}

/// What an attachment claims about its bytes and is not so.
fn wrong_claims(attachment: &Value, length: u64, hash: &str, at: &str) -> Vec<Issue> {
    let claimed = Attachment::of(attachment);
    let mut issues = Vec::new();
    if claimed.size.is_some_and(|size| size != length) {
        let text = "The size is not that of the data";
        issues.push(Issue::error(IssueType::Value, format!("{at}.size"), text));
    }
    if claimed.hash.is_some_and(|claimed| claimed != hash) {
        let text = "The hash is not the SHA-1 of the data";
        issues.push(Issue::error(IssueType::Value, format!("{at}.hash"), text));
    }
    issues
}
