//! From a FHIR submission to manifest fields: each of its payloads gets a manifest as if its sender had
//! come through tus. Never a member's identifier or a person's name; `verify` still has the last word.

use std::fmt::Write as _;

use super::fields::{FILENAME_KEYS, ManifestFields};
use crate::cdex::{Identifier, Submission, SubmittedAttachment};
use crate::config::{FhirFieldsConfig, FhirMappingConfig, FhirSource, FhirStreamConfig};
use crate::id::UploadId;

/// What S3 keeps of an object's metadata, keys and values together.
const MANIFEST_LIMIT_BYTES: usize = 2048;
/// Room for what the server adds: `upload_id` and `dex_ingest_datetime` with their values.
const SERVER_FIELDS_BYTES: usize = 96;
/// The longest value; halved until the whole manifest fits.
const VALUE_LIMIT_BYTES: usize = 256;
/// Where halving ends. The limits of the configuration see to it that this always fits.
const VALUE_LIMIT_FLOOR_BYTES: usize = 16;

/// What is known about one payload beside the submission it came with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PayloadFacts<'a> {
    /// The interaction it came by, as file names say it: `submit-attachment`.
    pub(crate) interaction: &'a str,
    /// The upload it becomes.
    pub(crate) upload_id: UploadId,
    /// Its media type, if one was given.
    pub(crate) media_type: Option<&'a str>,
    /// The date of the document, as sent.
    pub(crate) document_date: Option<&'a str>,
    /// The title of the document, as sent.
    pub(crate) title: Option<&'a str>,
}

/// The mapping of all data streams, as configured.
#[derive(Debug, Clone)]
pub(crate) struct FhirMapping {
    /// With conditions, in order.
    streams: Vec<StreamMapping>,
    /// For what no condition takes.
    default: StreamMapping,
}

#[derive(Debug, Clone)]
struct StreamMapping {
    data_stream_id: String,
    data_stream_route: String,
    attach_to: Option<String>,
    attachment_codes: Vec<String>,
    fields: Vec<(String, Vec<FhirSource>)>,
}

impl FhirMapping {
    /// Lays the configured sources over the default table.
    pub(crate) fn new(config: &FhirMappingConfig) -> Self {
        let default = StreamMapping {
            data_stream_id: config.data_stream_id.clone(),
            data_stream_route: config.data_stream_route.clone(),
            attach_to: None,
            attachment_codes: Vec::new(),
            fields: merged_fields([&config.fields, &FhirFieldsConfig::default()]),
        };
        let stream = |stream: &FhirStreamConfig| StreamMapping {
            data_stream_id: stream.data_stream_id.clone(),
            data_stream_route: stream.data_stream_route.clone(),
            attach_to: stream.attach_to.clone(),
            attachment_codes: stream.attachment_codes.clone(),
            fields: merged_fields([&stream.fields, &config.fields]),
        };
        Self { streams: config.streams.iter().map(stream).collect(), default }
    }

    /// The fields for one payload of a submission; `client` is the sender's client id, if a token proved it.
    ///
    /// Printable ASCII stays as it is; every other character becomes its UTF-8 bytes in percent notation.
    /// Values are cut at 256 bytes, and at half of that and so on, until the manifest has room in 2 KB. A
    /// field without a value is left out.
    pub(crate) fn wrap(
        &self,
        client: Option<&str>,
        submission: &Submission,
        attachment: &SubmittedAttachment,
        payload: &PayloadFacts<'_>,
    ) -> ManifestFields {
        let stream = self.stream_for(submission, attachment);
        let mut values: Vec<(&str, String)> = Vec::with_capacity(stream.fields.len());
        for (key, sources) in &stream.fields {
            let value =
                sources.iter().find_map(|source| value_of(source, client, submission, attachment, payload));
            if let Some(value) = value {
                values.push((key, ascii(key, &value)));
            }
        }
        let fixed = [
            ("data_stream_id", stream.data_stream_id.as_str()),
            ("data_stream_route", stream.data_stream_route.as_str()),
        ];
        let fixed_bytes: usize = fixed.iter().map(|(key, value)| key.len() + value.len()).sum();
        cut_to_fit(&mut values, MANIFEST_LIMIT_BYTES - SERVER_FIELDS_BYTES - fixed_bytes);
        let mut fields = ManifestFields::default();
        for (key, value) in fixed {
            fields.set(key, value);
        }
        for (key, value) in values {
            fields.set(key, value);
        }
        fields
    }

    fn stream_for(&self, submission: &Submission, attachment: &SubmittedAttachment) -> &StreamMapping {
        let code = attachment.code.as_ref().map(|(_, code)| code);
        let takes = |stream: &&StreamMapping| {
            stream.attach_to.as_deref().is_none_or(|attach_to| attach_to == submission.attach_to.as_code())
                && (stream.attachment_codes.is_empty()
                    || code.is_some_and(|code| stream.attachment_codes.contains(code)))
        };
        self.streams.iter().find(takes).unwrap_or(&self.default)
    }
}

/// The default table with each layer's sources in place of its own, the first layer on top; keys that only
/// a layer has follow in alphabetical order.
fn merged_fields(layers: [&FhirFieldsConfig; 2]) -> Vec<(String, Vec<FhirSource>)> {
    let set = |key: &str| layers.iter().find_map(|layer| layer.get(key)).map(<[FhirSource]>::to_vec);
    let defaults = FhirMappingConfig::default_fields();
    let mut further: Vec<&str> = layers.iter().flat_map(|layer| layer.keys()).collect();
    further.retain(|key| defaults.iter().all(|(known, _)| known != key));
    further.sort_unstable();
    further.dedup();
    let mut fields: Vec<(String, Vec<FhirSource>)> =
        further.into_iter().map(|key| (key.to_owned(), set(key).unwrap_or_default())).collect();
    let head = defaults.into_iter().map(|(key, sources)| (key.to_owned(), set(key).unwrap_or(sources)));
    fields.splice(0..0, head);
    fields
}

fn value_of(
    source: &FhirSource,
    client: Option<&str>,
    submission: &Submission,
    attachment: &SubmittedAttachment,
    payload: &PayloadFacts<'_>,
) -> Option<String> {
    let value_in = |identifier: &Option<Identifier>| identifier.as_ref().map(|known| known.value.clone());
    match source {
        FhirSource::Client => client.map(str::to_owned),
        FhirSource::OrganizationId => value_in(&submission.organization_id),
        FhirSource::ProviderId => value_in(&submission.provider_id),
        FhirSource::PayerId => value_in(&submission.payer_id),
        FhirSource::TrackingId => Some(submission.tracking_id.value.clone()),
        FhirSource::AdminRefNumber => value_in(&submission.admin_ref_number),
        FhirSource::AttachTo => Some(submission.attach_to.as_code().to_owned()),
        FhirSource::AttachmentCode => attachment.code.as_ref().map(|(_, code)| code.clone()),
        FhirSource::DocumentDate => payload.document_date.map(str::to_owned),
        FhirSource::Title => payload.title.map(str::to_owned),
        FhirSource::InteractionName => {
            let extension = extension_for(payload.media_type);
            Some(format!("{}-{}{extension}", payload.interaction, payload.upload_id))
        }
        FhirSource::Literal(text) => Some(text.clone().into_owned()),
    }
}

/// The value in printable ASCII. In a file name `/` becomes `_`, which DEX would refuse.
fn ascii(key: &str, value: &str) -> String {
    let is_filename = FILENAME_KEYS.contains(&key);
    let mut ascii = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'/' if is_filename => ascii.push('_'),
            b' '..=b'~' => ascii.push(char::from(byte)),
            _ => write!(ascii, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    ascii
}

fn cut_to_fit(values: &mut [(&str, String)], limit_bytes: usize) {
    let mut value_limit = VALUE_LIMIT_BYTES;
    loop {
        for (_, value) in values.iter_mut() {
            cut(value, value_limit);
        }
        let total: usize = values.iter().map(|(key, value)| key.len() + value.len()).sum();
        if total <= limit_bytes || value_limit <= VALUE_LIMIT_FLOOR_BYTES {
            return;
        }
        value_limit /= 2;
    }
}

/// Cuts ASCII text, but never within a `%XX`.
fn cut(value: &mut String, limit_bytes: usize) {
    if value.len() > limit_bytes {
        let opened = value[..limit_bytes].rfind('%').filter(|at| at + 3 > limit_bytes);
        value.truncate(opened.unwrap_or(limit_bytes));
    }
}

/// The file name extension for a media type: `.bin` where none is known or given.
pub(crate) fn extension_for(media_type: Option<&str>) -> &'static str {
    const KNOWN: [(&str, &str); 27] = [
        ("application/dicom", ".dcm"),
        ("application/gzip", ".gz"),
        ("application/hl7-v2", ".hl7"),
        ("application/json", ".json"),
        ("application/fhir+ndjson", ".ndjson"),
        ("application/ndjson", ".ndjson"),
        ("application/x-ndjson", ".ndjson"),
        ("application/msword", ".doc"),
        ("application/pdf", ".pdf"),
        ("application/rtf", ".rtf"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx"),
        ("application/xhtml+xml", ".html"),
        ("application/xml", ".xml"),
        ("application/zip", ".zip"),
        ("audio/mpeg", ".mp3"),
        ("audio/wav", ".wav"),
        ("image/gif", ".gif"),
        ("image/jpeg", ".jpg"),
        ("image/png", ".png"),
        ("image/svg+xml", ".svg"),
        ("image/tiff", ".tif"),
        ("text/csv", ".csv"),
        ("text/html", ".html"),
        ("text/rtf", ".rtf"),
        ("text/xml", ".xml"),
        ("video/mp4", ".mp4"),
        ("x-application/hl7-v2+er7", ".hl7"),
    ];
    let bare = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
    let bare = bare.trim().to_ascii_lowercase();
    match KNOWN.iter().find(|(known, _)| *known == bare) {
        Some((_, extension)) => extension,
        None if bare.ends_with("+json") => ".json",
        None if bare.ends_with("+xml") => ".xml",
        None if bare.starts_with("text/") => ".txt",
        None => ".bin",
    }
}

#[cfg(test)]
#[path = "wrap_tests.rs"]
mod tests;
