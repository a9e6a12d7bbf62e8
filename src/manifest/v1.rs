//! Manifests of version 1.0, which DEX took until 2.6.0 (dex-upload 3.2 and 3.6): judged by rules of their own, then
//! made manifests of today. What a sender wrote stays as it came, and what was made of it is added.

use std::collections::BTreeMap;

use super::config::{FieldConfig, StreamConfig, StreamConfigs, is_stream_word, stream_name};
use super::fields::ManifestFields;

/// The keys that name the stream and its route in a manifest of version 1.0.
pub(super) const STREAM_KEYS: [&str; 2] = ["meta_destination_id", "meta_ext_event"];

/// What the fields of today are usually made of, where no configuration says so: the first key that is there.
const USUAL: [(&str, &[&str]); 3] = [
    ("sender_id", &["meta_ext_source", "meta_username"]),
    ("jurisdiction", &["meta_ext_entity", "meta_organization", "reporting_jurisdiction"]),
    ("received_filename", &["meta_ext_filename", "original_filename", "filename"]),
];

/// Where the `version` of a sender is kept, which is `2.0` from then on.
const SENT_VERSION: &str = "cdex_sent_version";

/// The rules for manifests of version 1.0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct V1Rules {
    /// By the name of the file without `.json`.
    by_name: BTreeMap<String, V1Config>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct V1Config {
    config: StreamConfig,
    /// The file of today whose fields say what they are made of.
    compat_config: Option<String>,
}

impl V1Rules {
    /// Adds a file; whether nothing had its name.
    pub(super) fn add(&mut self, name: String, config: StreamConfig, compat_config: Option<String>) -> bool {
        self.by_name.insert(name, V1Config { config, compat_config }).is_none()
    }

    /// Whether a manifest is one of version 1.0: it names its stream in the words of that age alone.
    pub(super) fn applies_to(fields: &ManifestFields) -> bool {
        let is_of_today = ["data_stream_id", "data_stream_route"].iter().any(|key| fields.get(key).is_some());
        !is_of_today && STREAM_KEYS.iter().any(|key| fields.get(key).is_some())
    }

    /// The rules of a stream.
    pub(super) fn find(&self, id: &str, event: &str) -> Option<&[FieldConfig]> {
        self.entry(id, event).map(|entry| entry.config.fields.as_slice())
    }

    /// The names of the streams, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The files that name another as their file of today which is not there, each with it.
    pub(super) fn lacking<'a>(
        &'a self,
        configs: &'a StreamConfigs,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let named = self
            .by_name
            .iter()
            .filter_map(|(name, entry)| Some((name.as_str(), entry.compat_config.as_deref()?)));
        named.filter(|(_, file)| configs.of_file(file).is_none())
    }

    /// Makes a manifest of today of fields that keep the rules of their stream. Nothing that is there is changed but
    /// `version`, whose value is kept beside it. The names of the stream stay those of the sender, as DEX had it: the
    /// delivery file routes `ndlp`, not what became of it.
    pub(super) fn migrate(&self, configs: &StreamConfigs, mut fields: ManifestFields) -> ManifestFields {
        let [id, event] = STREAM_KEYS.map(|key| fields.get(key).unwrap_or_default().to_owned());
        let Some(entry) = self.entry(&id, &event) else { return fields };
        if let Some(version) = fields.get("version").map(str::to_owned) {
            fields.set(SENT_VERSION, version);
        }
        for (key, value) in [("version", "2.0"), ("data_stream_id", &id), ("data_stream_route", &event)] {
            fields.set(key, value);
        }
        let of_today = entry.compat_config.as_deref().and_then(|file| configs.of_file(file));
        let mapped = of_today
            .unwrap_or(&entry.config)
            .fields
            .iter()
            .filter_map(|field| Some((field.name.as_str(), vec![field.compat_name.as_deref()?])));
        let usual = USUAL.into_iter().map(|(key, sources)| (key, sources.to_vec()));
        for (key, sources) in mapped.chain(usual) {
            let value = sources.iter().find_map(|source| fields.get(source)).map(str::to_owned);
            if let (None, Some(value)) = (fields.get(key), value) {
                fields.set(key, value);
            }
        }
        fields
    }

    fn entry(&self, id: &str, event: &str) -> Option<&V1Config> {
        if !is_stream_word(id) || !is_stream_word(event) {
            return None;
        }
        ['-', '_'].iter().find_map(|&separator| self.by_name.get(&stream_name(separator, (id, event))))
    }
}

#[cfg(test)]
#[path = "v1_tests.rs"]
mod tests;
