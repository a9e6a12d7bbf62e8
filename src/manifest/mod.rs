//! The DEX sender manifest: what the sender of a file says about it, checked against the rules of its data
//! stream. Pure, but for reading the folder of the per-stream files.
//!
//! [`wrap`] makes the fields for what comes in through FHIR, a tus creation brings its own; either way
//! [`ManifestFields::ingested`] adds what the server knows and [`verify()`] turns them into a [`SenderManifest`] by the
//! rules in [`config`], those of version 1.0 by way of [`v1`], or into a [`RejectedManifest`]. Nothing here knows how
//! an answer looks on the wire, beyond the messages that DEX clients match on.

mod config;
mod dex_file;
mod fields;
#[cfg(test)]
pub(crate) mod testing;
mod v1;
mod verify;
mod wrap;

pub(crate) use config::{
    BUILT_IN_STREAM, StreamConfigs, StreamFile, is_stream_file, is_stream_word, stream_files, stream_key,
    stream_name, stream_paths,
};
pub(crate) use dex_file::{ConfigProblem, Variables, expand_variables};
pub(crate) use fields::{ManifestFields, SenderManifest};
pub(crate) use v1::V1Rules;
pub(crate) use verify::{FieldError, FieldErrorCode, RejectedManifest, verify};
pub(crate) use wrap::{FhirMapping, PayloadFacts, PushFacts, media_type_for};

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// The fields break the rules of their data stream, or the stream is unknown.
    #[error(transparent)]
    Rejected(#[from] RejectedManifest),
    /// What was stored as a manifest is none.
    #[error("a stored manifest is not a JSON object of strings that names its data stream")]
    Stored(#[source] serde_json::Error),
}
