//! The `Upload-Metadata` header of tus 1.0.0, both directions. What comes out is raw: bounded and well
//! formed, but believed by nobody until `manifest` has verified it.

use std::fmt;

/// The longest header that is read.
const HEADER_LIMIT_BYTES: usize = 8 * 1024;
/// The most keys that one header may bring.
const KEY_LIMIT: usize = 64;
/// The longest value, decoded.
const VALUE_LIMIT_BYTES: usize = 1024;

/// Keys that a refusal names: fields of the sender manifest, and what tus clients add by themselves. Others
/// come from outside, and people put names into keys.
const FIELDS: [&str; 13] = [
    "data_stream_id",
    "data_stream_route",
    "sender_id",
    "data_producer_id",
    "jurisdiction",
    "received_filename",
    "version",
    "filename",
    "original_filename",
    "meta_ext_filename",
    "filetype",
    "name",
    "type",
];

/// What to do with an entry that breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetadataMode {
    /// Refuse the header.
    Strict,
    /// Do as tusd does, for old clients: drop the entry; of a key that stands twice the last value counts.
    /// The limits hold all the same.
    Lenient,
}

/// Metadata as the client sent it: each key once, in order.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct UploadMetadata(Vec<(String, String)>);

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataRule {
    /// There is nothing before the value, or nothing at all between two commas.
    #[error("the key is empty")]
    EmptyKey,
    /// A key holds something else than printable ASCII.
    #[error("the key is not printable ASCII")]
    KeyCharacter,
    /// The key was there before.
    #[error("the key stands twice")]
    DuplicateKey,
    /// There is more than one space.
    #[error("it is not a key and a value with one space between them")]
    Malformed,
    /// The value is not base64 with padding.
    #[error("the value is not base64 with padding")]
    Base64,
    /// The decoded value is not UTF-8.
    #[error("the decoded value is not UTF-8 text")]
    NotText,
    /// The decoded value holds a control character, such as a line break: it could break the headers and names
    /// that it is written into (T-11).
    #[error("the decoded value holds a control character")]
    ControlCharacter,
    /// The decoded value is too long.
    #[error("the decoded value is longer than {VALUE_LIMIT_BYTES} bytes")]
    ValueTooLong,
    /// There are too many entries.
    #[error("there are more than {KEY_LIMIT} keys")]
    TooManyKeys,
    /// The header is too long.
    #[error("the header is longer than {HEADER_LIMIT_BYTES} bytes")]
    HeaderTooLong,
}

/// A header was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Upload-Metadata, entry {entry}{}: {rule}", key.as_ref().map_or(String::new(), |key| format!(" ({key})")))]
pub(crate) struct UploadMetadataError {
    /// Which entry, from 1 on; 0 is the header as a whole.
    pub(crate) entry: usize,
    /// Its key, where that is one of [`FIELDS`].
    pub(crate) key: Option<String>,
    /// The rule that is broken.
    pub(crate) rule: MetadataRule,
}

impl UploadMetadata {
    /// Reads a header; several header lines are joined with commas first (RFC 9110, 5.3).
    ///
    /// *Errors*: the first entry that breaks a rule; in lenient mode only the limits.
    pub(crate) fn parse(header: &[u8], mode: MetadataMode) -> Result<Self, UploadMetadataError> {
        let mut metadata = Self::default();
        if header.len() > HEADER_LIMIT_BYTES {
            return Err(UploadMetadataError { entry: 0, key: None, rule: MetadataRule::HeaderTooLong });
        }
        if header.trim_ascii().is_empty() {
            return Ok(metadata);
        }
        for (index, entry) in header.split(|&byte| byte == b',').enumerate() {
            let refused = match parse_entry(entry.trim_ascii()) {
                Ok((key, value)) => metadata.add(key, value, mode).err(),
                Err(refused) => Some(refused),
            };
            if let Some(rule) = refused {
                let is_limit = matches!(rule, MetadataRule::TooManyKeys | MetadataRule::ValueTooLong);
                if mode == MetadataMode::Strict || is_limit {
                    return Err(UploadMetadataError { entry: index + 1, key: field_name(entry), rule });
                }
            }
        }
        Ok(metadata)
    }

    /// The header that says this. The key of an empty value stands alone.
    pub(crate) fn to_header(&self) -> String {
        let mut header = String::new();
        for (key, value) in &self.0 {
            if !header.is_empty() {
                header.push(',');
            }
            header.push_str(key);
            if !value.is_empty() {
                header.push(' ');
                base64_simd::STANDARD.encode_append(value, &mut header);
            }
        }
        header
    }

    /// The value under `key`, which may be empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The pairs, in order, for `manifest`.
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    fn add(&mut self, key: String, value: String, mode: MetadataMode) -> Result<(), MetadataRule> {
        let is_full = self.0.len() == KEY_LIMIT;
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some(known) if mode == MetadataMode::Lenient => known.1 = value,
            Some(_) => return Err(MetadataRule::DuplicateKey),
            None if is_full => return Err(MetadataRule::TooManyKeys),
            None => self.0.push((key, value)),
        }
        Ok(())
    }
}

impl FromIterator<(String, String)> for UploadMetadata {
    /// What a header cannot say is left out: a key that is empty, stands twice, or is not printable ASCII
    /// without space and comma.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut metadata = Self::default();
        for (key, value) in pairs {
            if is_key(key.as_bytes()) && metadata.get(&key).is_none() {
                metadata.0.push((key, value));
            }
        }
        metadata
    }
}

impl fmt::Debug for UploadMetadata {
    /// Only how many there are: keys and values come from outside and may name people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadMetadata({})", self.0.len())
    }
}

/// The key of an entry, if it is one that senders of DEX manifests know.
fn field_name(entry: &[u8]) -> Option<String> {
    let key = entry.trim_ascii().split(|&byte| byte == b' ').next()?;
    let key = std::str::from_utf8(key).ok()?;
    FIELDS.contains(&key).then(|| key.to_owned())
}

fn parse_entry(entry: &[u8]) -> Result<(String, String), MetadataRule> {
    let (key, value) = match entry.iter().position(|&byte| byte == b' ') {
        Some(space) => (&entry[..space], &entry[space + 1..]),
        None => (entry, &b""[..]),
    };
    if key.is_empty() {
        return Err(MetadataRule::EmptyKey);
    }
    if !is_key(key) {
        return Err(MetadataRule::KeyCharacter);
    }
    Ok((String::from_utf8_lossy(key).into_owned(), parse_value(value)?))
}

fn parse_value(value: &[u8]) -> Result<String, MetadataRule> {
    if value.contains(&b' ') {
        return Err(MetadataRule::Malformed);
    }
    let decoded = base64_simd::STANDARD.decode_to_vec(value).map_err(|_| MetadataRule::Base64)?;
    if decoded.len() > VALUE_LIMIT_BYTES {
        return Err(MetadataRule::ValueTooLong);
    }
    let text = String::from_utf8(decoded).map_err(|_| MetadataRule::NotText)?;
    if text.chars().any(char::is_control) { Err(MetadataRule::ControlCharacter) } else { Ok(text) }
}

/// tus 1.0.0, Creation: not empty, no space, no comma, ASCII; control characters are no key either.
fn is_key(key: &[u8]) -> bool {
    !key.is_empty() && key.iter().all(|&byte| byte.is_ascii_graphic() && byte != b',')
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
