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

/// What is known about a payload that was pushed with a resource, beside [`PayloadFacts`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PushFacts<'a> {
    /// The identifier of the organisation that sends it, or another name of it.
    pub(crate) organization: Option<&'a str>,
    /// The identifier of the document or message.
    pub(crate) tracking: Option<&'a str>,
    /// What it belongs to: `claim`.
    pub(crate) attach_to: Option<&'a str>,
    /// The code of what kind of document it is.
    pub(crate) code: Option<&'a str>,
    /// The type of resource that was asked for.
    pub(crate) query_type: Option<&'a str>,
    /// The id of the Communication that it came with.
    pub(crate) communication_id: Option<&'a str>,
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
        fn value(identifier: Option<&Identifier>) -> Option<&str> {
            identifier.map(|known| known.value.as_str())
        }
        let known = Known {
            client,
            organization_id: value(submission.organization_id.as_ref()),
            provider_id: value(submission.provider_id.as_ref()),
            payer_id: value(submission.payer_id.as_ref()),
            tracking_id: Some(&submission.tracking_id.value),
            admin_ref_number: value(submission.admin_ref_number.as_ref()),
            attach_to: Some(submission.attach_to.as_code()),
            attachment_code: attachment.code.as_ref().map(|(_, code)| code.as_str()),
            query_type: None,
            communication_id: None,
        };
        self.stream_for(submission, attachment).fields(&known, payload)
    }

    /// The fields for a payload that was pushed with a resource; `stream` are id and route of a data stream of its
    /// own, if a rule names one. Otherwise as [`Self::wrap`].
    pub(crate) fn wrap_push(
        &self,
        stream: Option<(&str, &str)>,
        client: Option<&str>,
        push: &PushFacts<'_>,
        payload: &PayloadFacts<'_>,
    ) -> ManifestFields {
        let known = Known {
            client,
            organization_id: push.organization,
            tracking_id: push.tracking,
            attach_to: push.attach_to,
            attachment_code: push.code,
            query_type: push.query_type,
            communication_id: push.communication_id,
            ..Known::default()
        };
        let Some((id, route)) = stream else { return self.default.fields(&known, payload) };
        let is_named =
            |stream: &&StreamMapping| stream.data_stream_id == id && stream.data_stream_route == route;
        if let Some(stream) = self.streams.iter().find(is_named) {
            return stream.fields(&known, payload);
        }
        let stream = StreamMapping {
            data_stream_id: id.to_owned(),
            data_stream_route: route.to_owned(),
            ..self.default.clone()
        };
        stream.fields(&known, payload)
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

impl StreamMapping {
    fn fields(&self, known: &Known<'_>, payload: &PayloadFacts<'_>) -> ManifestFields {
        let mut values: Vec<(&str, String)> = Vec::with_capacity(self.fields.len());
        for (key, sources) in &self.fields {
            let value = sources.iter().find_map(|source| known.value_of(source, payload));
            if let Some(value) = value {
                values.push((key, ascii(key, &value)));
            }
        }
        let fixed = [
            ("data_stream_id", self.data_stream_id.as_str()),
            ("data_stream_route", self.data_stream_route.as_str()),
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

/// What the sources can take from, whichever way a payload came.
#[derive(Debug, Clone, Copy, Default)]
struct Known<'a> {
    client: Option<&'a str>,
    organization_id: Option<&'a str>,
    provider_id: Option<&'a str>,
    payer_id: Option<&'a str>,
    tracking_id: Option<&'a str>,
    admin_ref_number: Option<&'a str>,
    attach_to: Option<&'a str>,
    attachment_code: Option<&'a str>,
    query_type: Option<&'a str>,
    communication_id: Option<&'a str>,
}

impl Known<'_> {
    fn value_of(&self, source: &FhirSource, payload: &PayloadFacts<'_>) -> Option<String> {
        let value = match source {
            FhirSource::Client => self.client,
            FhirSource::OrganizationId => self.organization_id,
            FhirSource::ProviderId => self.provider_id,
            FhirSource::PayerId => self.payer_id,
            FhirSource::TrackingId => self.tracking_id,
            FhirSource::AdminRefNumber => self.admin_ref_number,
            FhirSource::AttachTo => self.attach_to,
            FhirSource::AttachmentCode => self.attachment_code,
            FhirSource::QueryType => self.query_type,
            FhirSource::CommunicationId => self.communication_id,
            FhirSource::DocumentDate => payload.document_date,
            FhirSource::Title => payload.title,
            FhirSource::Literal(text) => Some(&**text),
            FhirSource::InteractionName => {
                let extension = extension_for(payload.media_type);
                return Some(format!("{}-{}{extension}", payload.interaction, payload.upload_id));
            }
        };
        value.map(str::to_owned)
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

/// Media types with the extensions of their files; of several with one extension, the first is the usual one.
const EXTENSIONS: [(&str, &str); 27] = [
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

/// The file name extension for a media type: `.bin` where none is known or given.
fn extension_for(media_type: Option<&str>) -> &'static str {
    let bare = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
    let bare = bare.trim().to_ascii_lowercase();
    match EXTENSIONS.iter().find(|(known, _)| *known == bare) {
        Some((_, extension)) => extension,
        None if bare.ends_with("+json") => ".json",
        None if bare.ends_with("+xml") => ".xml",
        None if bare.starts_with("text/") => ".txt",
        None => ".bin",
    }
}

/// The media type that the extension of a file name tells, if it is one of those that files get here.
pub(crate) fn media_type_for(filename: &str) -> Option<&'static str> {
    let (_, extension) = filename.rsplit_once('.')?;
    let is_known =
        |known: &str| known.strip_prefix('.').is_some_and(|known| known.eq_ignore_ascii_case(extension));
    let further =
        [("text/plain", ".txt"), ("image/jpeg", ".jpeg"), ("image/tiff", ".tiff"), ("text/html", ".htm")];
    let mut all = EXTENSIONS.iter().chain(&further);
    all.find(|(_, known)| is_known(known)).map(|(media_type, _)| *media_type)
}

#[cfg(test)]
#[path = "wrap_tests.rs"]
mod tests;
