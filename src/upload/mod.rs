//! Upload resources: their state and their bytes.

mod metadata;

pub(crate) use metadata::{MetadataMode, UploadMetadata, UploadMetadataError};
