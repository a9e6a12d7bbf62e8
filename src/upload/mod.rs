//! Upload resources: their state and their bytes.

mod metadata;

pub(crate) use metadata::{MetadataMode, MetadataRule, UploadMetadata, UploadMetadataError};
