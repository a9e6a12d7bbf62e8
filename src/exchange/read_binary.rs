//! The raw bytes of a Binary: those in its row, or a stretch of those in the upload store.

use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use super::interaction::{InteractionError, Requester};
use crate::db::DbError;
use crate::fhir::{self, base64};
use crate::repository::StoredResource;
use crate::upload::{ContentReader, SourceError};

/// A version of a Binary, ready to be read.
#[derive(Debug)]
pub(crate) struct BinaryVersion {
    /// The version, its row's text without the bytes that are not in the row.
    pub(crate) resource: StoredResource,
    /// `Binary.contentType`
    pub(crate) content_type: String,
    /// The reference in `Binary.securityContext`.
    pub(crate) security_context: Option<String>,
    /// How many bytes it has.
    pub(crate) length: u64,
    /// The bytes, where they are in the row.
    inline: Option<Bytes>,
}

/// Bytes of a Binary on their way out.
pub(crate) enum BinaryBytes {
    /// In memory.
    Here(Bytes),
    /// In the upload store.
    Stored(ContentReader),
}

impl Exchange {
    /// What is known of the bytes of a version of a Binary.
    pub(crate) async fn binary(
        &self,
        requester: &Requester,
        resource: StoredResource,
    ) -> Result<BinaryVersion, InteractionError> {
        let unreadable = || DbError::inconsistent("resource", "content", &resource.id);
        let content = resource.content.clone().unwrap_or_default();
        let tree = fhir::parse(&content).map_err(|_| unreadable())?;
        let text = |pointer| tree.pointer(pointer).and_then(serde_json::Value::as_str);
        let content_type = text("/contentType").unwrap_or("application/octet-stream").to_owned();
        let security_context = text("/securityContext/reference").map(str::to_owned);
        let (length, inline) = if let Some(id) = resource.bytes {
            let content = self.uploads.find_content(&requester.access(), id).await?;
            (content.ok_or_else(unreadable)?.length, None)
        } else {
            let bytes = base64::decode(text("/data").unwrap_or_default()).map_err(|_| unreadable())?;
            (bytes.len() as u64, Some(Bytes::from(bytes)))
        };
        Ok(BinaryVersion { resource, content_type, security_context, length, inline })
    }

    /// Begins to read `length` bytes from `first_byte` on, which must be there.
    pub(crate) async fn read_binary(
        self: &Arc<Self>,
        requester: &Requester,
        binary: &BinaryVersion,
        (first_byte, length): (u64, u64),
    ) -> Result<BinaryBytes, InteractionError> {
        match (&binary.inline, binary.resource.bytes) {
            (Some(bytes), _) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(BinaryBytes::Here(bytes.slice(at(first_byte)..at(first_byte + length))))
            }
            (None, Some(id)) => {
                let reader = self.uploads.read_content(&requester.access(), id, (first_byte, length)).await;
                reader.map(BinaryBytes::Stored).map_err(InteractionError::from)
            }
            (None, None) => Ok(BinaryBytes::Here(Bytes::new())),
        }
    }
}

impl From<SourceError> for InteractionError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Missing => Self::NotFound,
            SourceError::Storage(error) => Self::Storage(error),
            SourceError::Truncated | SourceError::Corrupt => Self::Storage(std::io::Error::other(error)),
        }
    }
}
