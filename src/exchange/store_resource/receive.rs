//! A body, read once: scanned while it arrives, then one tree of it. Its text stays as received, for that is what is
//! kept.

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;

use crate::exchange::interaction::{Content, InteractionError, Requester};
use crate::exchange::{Body, Exchange};
use crate::fhir::{self, Patch, ScanError, Scanner, Shape};

/// From this many bytes on a body is long.
const LONG: usize = 256 * 1024;

/// A resource that has arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Its text.
    pub(crate) text: Bytes,
    /// What the text says.
    pub(crate) tree: Value,
}

impl Received {
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
        content: Content,
    ) -> Result<Received, InteractionError> {
        match content {
            Content::Here(received) => Ok(received),
            Content::Arriving(body) => self.receive_body(requester, body, &[], &[]).await,
            Content::None | Content::Patch(_) | Content::ArrivingPatch(..) => {
                let text = "The request needs a resource in its body";
                Err(InteractionError::malformed(fhir::IssueType::Required, "Resource", text))
            }
        }
    }

    /// Takes the patch that comes with a call.
    pub(in crate::exchange) async fn receive_patch(
        &self,
        requester: &Requester,
        content: Content,
    ) -> Result<Patch, InteractionError> {
        match content {
            Content::ArrivingPatch(format, body) => {
                // The scanner reads objects, and a JSON Patch is an array: it is read as the member of one.
                let mut received = self.receive_body(requester, body, b"{\"patch\":", b"}").await?;
                let patch = received.tree.get_mut("patch").map(Value::take).unwrap_or_default();
                Patch::parse(format, patch).map_err(InteractionError::Malformed)
            }
            Content::Patch(patch) => Ok(patch),
            Content::None | Content::Arriving(_) | Content::Here(_) => {
                let text = "The request needs a patch in its body";
                Err(InteractionError::malformed(fhir::IssueType::Required, "Resource", text))
            }
        }
    }

    /// Reads a body between two texts of ours.
    async fn receive_body(
        &self,
        requester: &Requester,
        mut body: Body,
        before: &'static [u8],
        after: &'static [u8],
    ) -> Result<Received, InteractionError> {
        // Nothing of these bodies is taken out, so nothing is ever put into this spool.
        let mut spool = self.uploads.spool(&requester.access());
        let mut scanner = Scanner::new(self.settings.rest.scan, Shape::Plain);
        scanner.feed(Bytes::from_static(before), &mut spool).await?;
        loop {
            let next = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Err(InteractionError::Stopping),
                next = body.next() => next,
            };
            let Some(bytes) = next.transpose()? else { break };
            scanner.feed(bytes, &mut spool).await?;
        }
        scanner.feed(Bytes::from_static(after), &mut spool).await?;
        let text = scanner.finish(&mut spool).await?.skeleton;
        // A tree takes many times its text: only a few large ones are made at once.
        let _permit = match text.len() {
            0..LONG => None,
            _ => Some(self.reading.acquire().await.map_err(|_| InteractionError::Stopping)?),
        };
        let tree = fhir::parse(&text).map_err(|issue| InteractionError::Malformed(vec![issue]))?;
        Ok(Received { text, tree })
    }
}

impl From<ScanError> for InteractionError {
    fn from(error: ScanError) -> Self {
        if error.is_too_large() {
            Self::TooLarge(error.issue())
        } else {
            Self::Malformed(vec![error.issue()])
        }
    }
}
