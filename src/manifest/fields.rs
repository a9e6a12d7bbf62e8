//! The fields of a manifest: an ordered map of strings, before and after verification. On disk and on the
//! wire it is a JSON object of strings; the order is the sender's, with the server's additions at the end.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::ManifestError;
use super::config::stream_name;
use crate::clock::Timestamp;
use crate::id::UploadId;

/// The keys that can name the file; the first one present does (DEX Upload API, names).
pub(super) const FILENAME_KEYS: [&str; 4] =
    ["filename", "original_filename", "meta_ext_filename", "received_filename"];

/// Manifest fields that nobody has verified: each key once, in order.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct ManifestFields(Vec<(String, String)>);

impl ManifestFields {
    /// The value under `key`, which may be empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Sets `key`, at its place if it is there, else at the end.
    pub(crate) fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some(field) => field.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The fields with what the server adds at the end: the moment of ingest and the upload's id. A client
    /// cannot choose either, so whatever it sent under these keys is gone.
    #[must_use]
    pub(crate) fn ingested(mut self, upload_id: UploadId, now: Timestamp) -> Self {
        self.0.retain(|(key, _)| key != "dex_ingest_datetime" && key != "upload_id");
        self.set("dex_ingest_datetime", now.to_string());
        self.set("upload_id", upload_id.to_string());
        self
    }

    /// The effective file name: the first present of `filename`, `original_filename`, `meta_ext_filename`
    /// and `received_filename`.
    pub(crate) fn filename(&self) -> Option<&str> {
        FILENAME_KEYS.iter().find_map(|key| self.get(key))
    }
}

impl FromIterator<(String, String)> for ManifestFields {
    /// A key that comes again replaces the value at its first place.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        let mut map = Self::default();
        for (key, value) in fields {
            map.set(key, value);
        }
        map
    }
}

impl fmt::Debug for ManifestFields {
    /// Only how many there are: keys and values come from outside and may name people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManifestFields({})", self.0.len())
    }
}

impl Serialize for ManifestFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ManifestFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = ManifestFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ManifestFields, A::Error> {
                let mut fields = ManifestFields::default();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if fields.get(&key).is_some() {
                        return Err(de::Error::custom("a key stands twice"));
                    }
                    fields.0.push((key, value));
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A manifest after verification: it names its data stream and satisfies that stream's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SenderManifest(ManifestFields);

impl SenderManifest {
    /// Only `verify` may say that fields are a manifest.
    pub(super) fn verified(fields: ManifestFields) -> Self {
        Self(fields)
    }

    /// The manifest of something that the gateway itself sends: its stream is none of the senders', so that no
    /// configuration has rules for it.
    pub(crate) fn of_message(route: &str, upload_id: UploadId, now: Timestamp) -> Self {
        let mut fields = ManifestFields::default();
        for (key, value) in [
            ("version", "2.0"),
            ("data_stream_id", "cdex"),
            ("data_stream_route", route),
            ("sender_id", "cdex-gateway"),
            ("data_producer_id", "cdex-gateway"),
            ("jurisdiction", "null"),
        ] {
            fields.set(key, value);
        }
        fields.set("received_filename", format!("{route}-{upload_id}.json"));
        Self(fields.ingested(upload_id, now))
    }

    /// What stands for the manifest of a partial upload that came without metadata: it belongs to no data stream, and
    /// is never delivered (tus 1.0.0, Concatenation).
    pub(crate) fn of_part(upload_id: UploadId, now: Timestamp) -> Self {
        let mut fields = ManifestFields::default();
        fields.set("data_stream_id", "");
        fields.set("data_stream_route", "");
        Self(fields.ingested(upload_id, now))
    }

    /// Reads what [`Self::to_json`] wrote. What was accepted stays accepted: a stored manifest is not
    /// checked against the rules of today.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        let fields: ManifestFields = serde_json::from_slice(json).map_err(ManifestError::Stored)?;
        for key in ["data_stream_id", "data_stream_route"] {
            if fields.get(key).is_none() {
                return Err(ManifestError::Stored(de::Error::missing_field(key)));
            }
        }
        Ok(Self(fields))
    }

    /// The manifest as a JSON object of strings, in order.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("a map from strings to strings is always JSON")
    }

    /// All fields.
    pub(crate) fn fields(&self) -> &ManifestFields {
        &self.0
    }

    /// The data stream: the program that the file is for.
    pub(crate) fn data_stream_id(&self) -> &str {
        self.text("data_stream_id")
    }

    /// The route within the data stream, often the format.
    pub(crate) fn data_stream_route(&self) -> &str {
        self.text("data_stream_route")
    }

    /// The data stream as its file is called, without `.json`.
    pub(crate) fn stream_name(&self) -> String {
        stream_name('_', (self.data_stream_id(), self.data_stream_route()))
    }

    /// When the gateway took the upload, as written into the manifest.
    pub(crate) fn dex_ingest_datetime(&self) -> &str {
        self.text("dex_ingest_datetime")
    }

    /// The effective file name; empty if no key gives one.
    pub(crate) fn filename(&self) -> &str {
        self.0.filename().unwrap_or_default()
    }

    /// Reports write an absent field as an empty string.
    fn text(&self, key: &str) -> &str {
        self.0.get(key).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> ManifestFields {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn json_keeps_the_order_and_comes_back() {
        let json = br#"{"z":"1","data_stream_route":"r","a":"","data_stream_id":"i","m":"\u00e9\u0000"}"#;
        let manifest = SenderManifest::from_json(json).unwrap();
        let keys: Vec<&str> = manifest.fields().iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["z", "data_stream_route", "a", "data_stream_id", "m"]);
        assert_eq!(SenderManifest::from_json(&manifest.to_json()).unwrap(), manifest);
    }

    #[test]
    fn what_is_no_manifest_is_not_read_as_one() {
        for json in [
            "",
            "[]",
            r#"{"data_stream_id":"i"}"#,
            r#"{"data_stream_id":"i","data_stream_route":5}"#,
            r#"{"data_stream_id":"i","data_stream_route":"r","a":["x"]}"#,
            r#"{"data_stream_id":"i","data_stream_route":"r","data_stream_id":"i"}"#,
        ] {
            assert!(SenderManifest::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn what_the_server_adds_replaces_what_the_client_sent() {
        let id = UploadId::new();
        let now = Timestamp::parse_rfc3339("2025-05-05T14:03:22.1234567Z").unwrap();
        let sent = fields(&[("upload_id", "mine"), ("a", "b"), ("dex_ingest_datetime", "1999")]);
        let expected = fields(&[
            ("a", "b"),
            ("dex_ingest_datetime", "2025-05-05T14:03:22.1234567Z"),
            ("upload_id", &id.to_string()),
        ]);
        assert_eq!(
            serde_json::to_string(&sent.ingested(id, now)).ok(),
            serde_json::to_string(&expected).ok()
        );
    }

    #[test]
    fn the_first_present_filename_key_names_the_file_even_when_empty() {
        let cases = [
            ([("received_filename", "r"), ("meta_ext_filename", "m")], Some("m")),
            ([("original_filename", "o"), ("filename", "")], Some("")),
            ([("received_filename", "r"), ("a", "b")], Some("r")),
            ([("Filename", "r"), ("a", "b")], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(fields(&pairs).filename(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_manifest_does_not_show_itself_in_debug_output() {
        assert_eq!(format!("{:?}", fields(&[("patient", "Jane Roe")])), "ManifestFields(1)");
    }
}
