//! A body, read once: scanned while it arrives, then one tree of it. Its text stays as received, for that is what is
//! kept.

use std::sync::Arc;

use base64_simd::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::attachments::{Attached, Attachments};

use crate::exchange::interaction::{BinaryHeader, Content as CallContent, InteractionError, Requester};
use crate::exchange::{Body, Exchange};
use crate::fhir::{self, Patch, ScanError, Scanned, Scanner, Shape, Spool, SpoolError};
use crate::id::UploadId;
use crate::upload::Content;

/// From this many bytes on a body is long.
const LONG: usize = 256 * 1024;

/// A resource that has arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Its text.
    pub(crate) text: Bytes,
    /// What the text says.
    pub(crate) tree: Value,
    /// Of a Binary: the name of its bytes in the upload store, where they are too long for the text.
    pub(crate) bytes: Option<UploadId>,
    /// What came with the body and is too long for its text.
    pub(in crate::exchange) attachments: Option<Arc<Attachments>>,
    /// Which resource of the body this is.
    pub(in crate::exchange) index: usize,
}

impl Received {
    /// A resource that is a body of its own, with what is too long for its text.
    fn with(text: Bytes, tree: Value, attachments: Arc<Attachments>) -> Self {
        let bytes = attachments.part(0).and_then(|part| part.own());
        Self { text, tree, bytes, attachments: Some(attachments), index: 0 }
    }

    /// A resource whose text is all there is of it.
    pub(in crate::exchange) fn of_text(text: Bytes, tree: Value) -> Self {
        Self { text, tree, bytes: None, attachments: None, index: 0 }
    }

    /// What came with it and is too long for its text.
    pub(in crate::exchange) fn attached(&self) -> Option<Attached> {
        self.attachments.as_ref()?.part(self.index)
    }

    /// The id that it says it has.
    pub(in crate::exchange) fn id(&self) -> Option<&str> {
        self.tree.get("id").and_then(Value::as_str)
    }
}

impl Exchange {
    /// Takes the resource that comes with a call.
    pub(in crate::exchange) async fn receive_resource(
        &self,
        requester: &Requester,
        shape: Shape,
        content: CallContent,
    ) -> Result<Received, InteractionError> {
        match content {
            CallContent::Here(received) => Ok(received),
            CallContent::Arriving(body) => self.receive_body(requester, body, shape).await,
            CallContent::Bytes(header, body) => self.receive_bytes(requester, header, body).await,
            CallContent::None | CallContent::Patch(_) | CallContent::ArrivingPatch(..) => {
                let text = "The request needs a resource in its body";
                Err(InteractionError::malformed(fhir::IssueType::Required, "Resource", text))
            }
        }
    }

    /// Takes the patch that comes with a call.
    pub(in crate::exchange) async fn receive_patch(
        &self,
        requester: &Requester,
        content: CallContent,
    ) -> Result<Patch, InteractionError> {
        match content {
            CallContent::ArrivingPatch(format, body) => {
                // The scanner reads objects, and a JSON Patch is an array: it is read as the member of one.
                let piece = |text: &'static [u8]| stream::iter([Ok(Bytes::from_static(text))]);
                let body = piece(b"{\"patch\":").chain(body).chain(piece(b"}")).boxed();
                let mut received = self.receive_body(requester, body, Shape::Plain).await?;
                let patch = received.tree.get_mut("patch").map(Value::take).unwrap_or_default();
                Patch::parse(format, patch).map_err(InteractionError::Malformed)
            }
            CallContent::Patch(patch) => Ok(patch),
            CallContent::None | CallContent::Arriving(_) | CallContent::Bytes(..) | CallContent::Here(_) => {
                let text = "The request needs a patch in its body";
                Err(InteractionError::malformed(fhir::IssueType::Required, "Resource", text))
            }
        }
    }

    /// Reads a body; what is too long to stand in a resource goes to the upload store.
    async fn receive_body(
        &self,
        requester: &Requester,
        mut body: Body,
        shape: Shape,
    ) -> Result<Received, InteractionError> {
        let mut spool = self.uploads.spool(&requester.access());
        let mut scanner = Scanner::new(self.settings.rest.scan, shape);
        while let Some(bytes) = self.next_block(&mut body).await? {
            scanner.feed(bytes, &mut spool).await?;
        }
        let Scanned { skeleton, payloads } = scanner.finish(&mut spool).await?;
        // A tree takes many times its text: only a few large ones are made at once.
        let _permit = match skeleton.len() {
            0..LONG => None,
            _ => Some(self.reading.acquire().await.map_err(|_| InteractionError::Stopping)?),
        };
        let mut tree = fhir::parse(&skeleton).map_err(|issue| InteractionError::Malformed(vec![issue]))?;
        let Some(attachments) = Attachments::place(&mut tree, payloads, spool)? else {
            return Ok(Received::of_text(skeleton, tree));
        };
        let text = tree.to_string().into();
        Ok(Received::with(text, tree, attachments))
    }

    /// Reads the raw bytes of a Binary. Few stay in its text.
    async fn receive_bytes(
        &self,
        requester: &Requester,
        header: BinaryHeader,
        mut body: Body,
    ) -> Result<Received, InteractionError> {
        let inline = self.settings.rest.scan.inline_data_bytes / 4 * 3;
        let mut start = BytesMut::new();
        let mut tree = json!({ "resourceType": "Binary", "contentType": header.content_type });
        if let Some(id) = &header.id {
            tree["id"] = id.as_str().into();
        }
        if let Some(context) = &header.security_context {
            tree["securityContext"] = json!({ "reference": context });
        }
        while start.len() <= inline {
            let Some(bytes) = self.next_block(&mut body).await? else {
                if !start.is_empty() {
                    tree["data"] = STANDARD.encode_to_string(&start).into();
                }
                let text = tree.to_string().into();
                return Ok(Received::of_text(text, tree));
            };
            start.extend_from_slice(&bytes);
        }
        let mut spool = self.uploads.spool(&requester.access());
        spool.begin().await?;
        spool.write(start.freeze()).await?;
        while let Some(bytes) = self.next_block(&mut body).await? {
            spool.write(bytes).await?;
        }
        let content = Content::from(&spool.end().await?);
        let text = tree.to_string().into();
        Ok(Received::with(text, tree, Attachments::of_binary(content, spool)))
    }

    /// The next block of a body; a gateway that stops takes no more of one that nobody was promised anything for.
    async fn next_block(&self, body: &mut Body) -> Result<Option<Bytes>, InteractionError> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(InteractionError::Stopping),
            next = body.next() => Ok(next.transpose()?),
        }
    }
}

impl From<ScanError> for InteractionError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Spool(error) => error.into(),
            ScanError::Refused(_) if error.is_too_large() => Self::TooLarge(error.issue()),
            ScanError::Refused(_) => Self::Malformed(vec![error.issue()]),
        }
    }
}

impl From<SpoolError> for InteractionError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Full => Self::Full,
            SpoolError::Storage(source) => Self::Storage(source),
        }
    }
}
