//! `[manifest.fhir]`: which data stream a FHIR submission goes to, and where each manifest field comes
//! from. Plain types; `manifest` gives them their meaning. There is no source for a member's identifier or
//! for anybody's name, so no setting can put one into a manifest.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// The longest id or route of a data stream; neither is ever cut.
const STREAM_WORD_LIMIT_BYTES: usize = 64;
/// The longest manifest key.
const KEY_LIMIT_BYTES: usize = 40;
/// The most keys one data stream can have. With [`KEY_LIMIT_BYTES`] it keeps the whole manifest under 2 KB.
const KEY_LIMIT: usize = 30;
/// Fields that are not mapped: the stream is set by its own keys, the rest by the server.
const RESERVED_KEYS: [&str; 4] = ["data_stream_id", "data_stream_route", "dex_ingest_datetime", "upload_id"];

/// Where the value of a manifest field comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FhirSource {
    /// The authenticated client.
    Client,
    /// The value of `OrganizationId`.
    OrganizationId,
    /// The value of `ProviderId`.
    ProviderId,
    /// The value of `PayerId`.
    PayerId,
    /// The value of `TrackingId`.
    TrackingId,
    /// The value of `AdminRefNumber`.
    AdminRefNumber,
    /// `AttachTo`: `claim` or `preauthorization`.
    AttachTo,
    /// The code of the attachment.
    AttachmentCode,
    /// The type of resource that was asked for, of a payload that answers a search.
    QueryType,
    /// The id of the Communication that the payload came with.
    CommunicationId,
    /// The date of the document.
    DocumentDate,
    /// The title of the document. People type names into titles, so no default uses it.
    Title,
    /// `{interaction}-{upload id}{extension by media type}`.
    InteractionName,
    /// A fixed text.
    Literal(Cow<'static, str>),
}

impl FhirSource {
    /// The words of the sources that need no argument.
    const WORDS: [(&'static str, Self); 13] = [
        ("client", Self::Client),
        ("organization-id", Self::OrganizationId),
        ("provider-id", Self::ProviderId),
        ("payer-id", Self::PayerId),
        ("tracking-id", Self::TrackingId),
        ("admin-ref-number", Self::AdminRefNumber),
        ("attach-to", Self::AttachTo),
        ("attachment-code", Self::AttachmentCode),
        ("query-type", Self::QueryType),
        ("communication-id", Self::CommunicationId),
        ("document-date", Self::DocumentDate),
        ("title", Self::Title),
        ("interaction-name", Self::InteractionName),
    ];

    fn parse(text: &str) -> Option<Self> {
        if let Some(value) = text.strip_prefix("literal:") {
            return Some(Self::Literal(Cow::Owned(value.to_owned())));
        }
        Self::WORDS.into_iter().find(|(word, _)| *word == text).map(|(_, source)| source)
    }
}

impl<'de> Deserialize<'de> for FhirSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let words: Vec<_> = Self::WORDS.iter().map(|(word, _)| *word).collect();
            de::Error::custom(format!("must be one of {}, or literal: and a text", words.join(", ")))
        })
    }
}

/// Manifest keys with their sources, of which the first that gives a value counts; no source at all leaves
/// the key out. Written as one text or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct FhirFieldsConfig(BTreeMap<String, FhirSources>);

impl FhirFieldsConfig {
    /// The sources of `key`, if it is set here.
    pub fn get(&self, key: &str) -> Option<&[FhirSource]> {
        self.0.get(key).map(|sources| sources.0.as_slice())
    }

    /// The keys that are set here, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FhirSources(Vec<FhirSource>);

impl<'de> Deserialize<'de> for FhirSources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourcesVisitor;

        impl<'de> Visitor<'de> for SourcesVisitor {
            type Value = FhirSources;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a source or a list of sources")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FhirSources, E> {
                let source = FhirSource::deserialize(de::value::StrDeserializer::new(text))?;
                Ok(FhirSources(vec![source]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FhirSources, A::Error> {
                let mut sources = Vec::new();
                while let Some(source) = list.next_element()? {
                    sources.push(source);
                }
                Ok(FhirSources(sources))
            }
        }

        deserializer.deserialize_any(SourcesVisitor)
    }
}

/// How submissions become manifests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FhirMappingConfig {
    /// The data stream of submissions that no entry of `streams` takes.
    pub data_stream_id: String,
    /// Its route.
    pub data_stream_route: String,
    /// Sources that differ from the default table, for all streams.
    pub fields: FhirFieldsConfig,
    /// Further data streams; the first whose conditions a submission meets takes it.
    pub streams: Vec<FhirStreamConfig>,
}

impl Default for FhirMappingConfig {
    fn default() -> Self {
        Self {
            data_stream_id: "cdex".to_owned(),
            data_stream_route: "attachment".to_owned(),
            fields: FhirFieldsConfig::default(),
            streams: Vec::new(),
        }
    }
}

/// A data stream of its own for some submissions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FhirStreamConfig {
    /// The data stream.
    pub data_stream_id: String,
    /// Its route.
    pub data_stream_route: String,
    /// Only submissions with this `AttachTo`, `claim` or `preauthorization`; any if absent.
    #[serde(default)]
    pub attach_to: Option<String>,
    /// Only attachments with one of these codes; any if empty.
    #[serde(default)]
    pub attachment_codes: Vec<String>,
    /// Sources that differ from those of all streams.
    #[serde(default)]
    pub fields: FhirFieldsConfig,
}

impl FhirMappingConfig {
    /// The default table: manifest keys in their order, each with its sources.
    pub fn default_fields() -> Vec<(&'static str, Vec<FhirSource>)> {
        use FhirSource as S;
        vec![
            ("sender_id", vec![S::Client, S::OrganizationId, S::ProviderId]),
            ("data_producer_id", vec![S::OrganizationId, S::ProviderId]),
            ("jurisdiction", vec![S::Literal(Cow::Borrowed("null"))]),
            ("received_filename", vec![S::InteractionName]),
            ("version", vec![S::Literal(Cow::Borrowed("2.0"))]),
            ("meta_ext_objectkey", vec![S::TrackingId]),
            ("meta_ext_file_timestamp", vec![S::DocumentDate]),
            ("cdex_attach_to", vec![S::AttachTo]),
            ("cdex_attachment_code", vec![S::AttachmentCode]),
            ("cdex_query_type", vec![S::QueryType]),
            ("cdex_communication_id", vec![S::CommunicationId]),
        ]
    }

    /// Everything that is wrong, each with the path of its key below this section.
    pub fn problems(&self) -> Vec<(String, &'static str)> {
        let mut problems = Vec::new();
        check_stream("", (&self.data_stream_id, &self.data_stream_route), &mut problems);
        check_keys("", [&self.fields, &FhirFieldsConfig::default()], &mut problems);
        for (index, stream) in self.streams.iter().enumerate() {
            let place = format!("streams[{index}].");
            check_stream(&place, (&stream.data_stream_id, &stream.data_stream_route), &mut problems);
            check_keys(&place, [&stream.fields, &self.fields], &mut problems);
            if stream.attach_to.as_deref().is_some_and(|code| code != "claim" && code != "preauthorization") {
                problems.push((format!("{place}attach_to"), "must be claim or preauthorization"));
            }
        }
        problems
    }
}

fn check_stream(place: &str, (id, route): (&str, &str), problems: &mut Vec<(String, &'static str)>) {
    for (key, word) in [("data_stream_id", id), ("data_stream_route", route)] {
        if !is_stream_word(word) {
            problems.push((
                format!("{place}{key}"),
                "must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'",
            ));
        }
    }
}

/// Whether a text can be the id or route of a data stream.
pub(super) fn is_stream_word(word: &str) -> bool {
    let is_word = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_word && !word.is_empty() && word.len() <= STREAM_WORD_LIMIT_BYTES
}

/// Checks the keys of `fields`, and that there are not too many together with those beneath them.
fn check_keys(
    place: &str,
    [fields, beneath]: [&FhirFieldsConfig; 2],
    problems: &mut Vec<(String, &'static str)>,
) {
    for key in fields.keys() {
        let at = || format!("{place}fields.{key}");
        // Azure metadata names must be identifiers (`dex-upload` 2.5).
        let is_identifier = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !key.starts_with(|first: char| first.is_ascii_digit());
        if key.is_empty() || !is_identifier || key.len() > KEY_LIMIT_BYTES {
            problems.push((at(), "must be an identifier of at most 40 letters, digits and underscores"));
        } else if RESERVED_KEYS.contains(&key) {
            problems.push((at(), "is set by the gateway itself"));
        }
    }
    let defaults = FhirMappingConfig::default_fields();
    let all: std::collections::BTreeSet<_> =
        defaults.iter().map(|(key, _)| *key).chain(fields.keys()).chain(beneath.keys()).collect();
    if all.len() > KEY_LIMIT {
        problems
            .push((format!("{place}fields"), "has more than 30 keys, counting those of the default table"));
    }
}
