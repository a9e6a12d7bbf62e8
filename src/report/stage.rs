//! The stages that are reported, by their names on the wire, and the content of each (`dex-upload 5.1`).
//! Contents are versioned 1.0.0 like the envelope; what a stage needs beyond the stream is in its variant.

use std::collections::BTreeMap;

use serde::Serialize;

use super::StreamFields;
use crate::id::UploadId;

/// A stage of an upload and what it has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// `metadata-transform`: the gateway added its own fields to the manifest.
    MetadataTransform,
    /// `metadata-verify`: the manifest was checked.
    MetadataVerify {
        /// The effective file name.
        filename: String,
        /// The whole manifest, with the fields the gateway added.
        metadata: BTreeMap<String, String>,
    },
    /// `upload-started`: the upload exists.
    UploadStarted,
    /// `upload-status`: how far it is. Takes the place of the one before.
    UploadStatus {
        /// The effective file name.
        filename: String,
        /// Bytes received.
        offset: u64,
        /// Bytes in all; `None` while the client has not said.
        size: Option<u64>,
    },
    /// `upload-completed`: the last byte is in.
    UploadCompleted,
    /// `blob-file-copy`: one attempt of one delivery has ended.
    BlobFileCopy {
        /// Where the bytes are now; empty unless the attempt succeeded.
        file_destination_blob_url: String,
        /// The target's name.
        destination_name: String,
    },
}

impl Stage {
    /// The stage's name on the wire: `action`, and the name of its content schema.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::MetadataTransform => "metadata-transform",
            Self::MetadataVerify { .. } => "metadata-verify",
            Self::UploadStarted => "upload-started",
            Self::UploadStatus { .. } => "upload-status",
            Self::UploadCompleted => "upload-completed",
            Self::BlobFileCopy { .. } => "blob-file-copy",
        }
    }

    /// Whether a report of this stage takes the place of the upload's earlier one (`disposition_type`).
    pub(super) fn replaces(&self) -> bool {
        matches!(self, Self::UploadStatus { .. })
    }

    pub(super) fn to_wire<'a>(&'a self, stream: &'a StreamFields) -> impl Serialize + 'a {
        let body = match self {
            Self::MetadataTransform => BodyWire::MetadataTransform {
                transforms: [
                    TransformWire::new("update", "ID", stream.upload_id.to_string()),
                    TransformWire::new("append", "dex_ingest_datetime", stream.dex_ingest_datetime.clone()),
                    TransformWire::new("append", "upload_id", stream.upload_id.to_string()),
                ],
            },
            Self::MetadataVerify { filename, metadata } => BodyWire::MetadataVerify { filename, metadata },
            // `status` says that the stage was reached; a stage that was not has no report.
            Self::UploadStarted | Self::UploadCompleted => BodyWire::Reached { status: "SUCCESS" },
            Self::UploadStatus { filename, offset, size } => BodyWire::UploadStatus {
                filename,
                tguid: stream.upload_id,
                offset: *offset,
                size: size.unwrap_or(0),
            },
            // The source has no address that anybody could fetch; the key must be there all the same.
            Self::BlobFileCopy { file_destination_blob_url, destination_name } => BodyWire::BlobFileCopy {
                file_source_blob_url: "",
                file_destination_blob_url,
                destination_name,
            },
        };
        ContentWire { content_schema_name: self.name(), content_schema_version: "1.0.0", body }
    }
}

#[derive(Serialize)]
struct ContentWire<'a> {
    content_schema_name: &'static str,
    content_schema_version: &'static str,
    // Written, never read: F4 is about reading numbers back.
    #[serde(flatten)]
    body: BodyWire<'a>,
}

#[derive(Serialize)]
// Written, never read, like the one above.
#[serde(untagged)]
enum BodyWire<'a> {
    MetadataTransform {
        transforms: [TransformWire; 3],
    },
    MetadataVerify {
        filename: &'a str,
        metadata: &'a BTreeMap<String, String>,
    },
    Reached {
        status: &'static str,
    },
    UploadStatus {
        filename: &'a str,
        tguid: UploadId,
        offset: u64,
        size: u64,
    },
    BlobFileCopy {
        file_source_blob_url: &'static str,
        file_destination_blob_url: &'a str,
        destination_name: &'a str,
    },
}

#[derive(Serialize)]
struct TransformWire {
    action: &'static str,
    field: &'static str,
    value: String,
}

impl TransformWire {
    fn new(action: &'static str, field: &'static str, value: String) -> Self {
        Self { action, field, value }
    }
}
