//! The rules of each data stream, read once at start from DEX's per-stream JSON files of any age, plus the
//! built-in stream. After that a stream is looked up in memory: no path is ever made from what a client
//! sent.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::dex_file::{ConfigProblem, Variables, expand_variables};

/// Id and route of the stream that exists without any file, unless a file names it.
pub(crate) const BUILT_IN_STREAM: (&str, &str) = ("cdex", "attachment");

/// What the built-in stream requires. Anything else, `version` included, is optional; no value lists.
const BUILT_IN_FIELDS: [&str; 6] = [
    "data_stream_id",
    "data_stream_route",
    "sender_id",
    "data_producer_id",
    "jurisdiction",
    "received_filename",
];

/// The rules of one data stream, in the order in which they are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamConfig {
    /// One per configured field.
    pub(crate) fields: Vec<FieldConfig>,
}

/// The rule for one manifest field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldConfig {
    /// The manifest key.
    pub(crate) name: String,
    /// Whether the key must be present; an empty value is present.
    pub(crate) required: bool,
    /// The values it may have, compared exactly; empty for any.
    pub(crate) allowed_values: Vec<String>,
}

/// The rules of all data streams that this gateway knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamConfigs {
    /// By lower-case file name without `.json`.
    by_name: BTreeMap<String, StreamConfig>,
}

impl StreamConfigs {
    /// The built-in stream alone.
    pub(crate) fn built_in() -> Self {
        Self { by_name: BTreeMap::from([(stream_name('_', BUILT_IN_STREAM), built_in_stream())]) }
    }

    /// Every `*.json` directly in `folder`, and the built-in stream unless one of them names it.
    ///
    /// *Errors*: all problems of all files.
    pub(crate) fn load(folder: &Path, variables: Variables<'_>) -> Result<Self, Vec<ConfigProblem>> {
        let read = read_folder(folder);
        let texts = read.map_err(|error| {
            vec![ConfigProblem::new(
                format!("manifest.config_dir: {}", folder.display()),
                error.kind().to_string(),
            )]
        })?;
        let mut problems = Vec::new();
        let mut readable = Vec::new();
        for (name, text) in texts {
            match text {
                Ok(text) => readable.push((name, text)),
                Err(error) => problems.push(ConfigProblem::new(name, error.to_string())),
            }
        }
        match Self::from_texts(readable, variables) {
            Ok(configs) if problems.is_empty() => Ok(configs),
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }

    /// The same from texts, each with its file name.
    pub(crate) fn from_texts(
        texts: impl IntoIterator<Item = (String, String)>,
        variables: Variables<'_>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let mut by_name = BTreeMap::new();
        let mut problems = Vec::new();
        for (file, text) in texts {
            let name = file.strip_suffix(".json").unwrap_or(&file).to_lowercase();
            match expand_variables(&file, &text, variables).and_then(|text| parse_stream(&file, &text)) {
                Ok(config) => {
                    if by_name.insert(name, config).is_some() {
                        problems.push(ConfigProblem::new(
                            file,
                            "another file has this name in other letter case",
                        ));
                    }
                }
                Err(more) => problems.extend(more),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut configs = Self { by_name };
        if configs.find(BUILT_IN_STREAM.0, BUILT_IN_STREAM.1).is_none() {
            configs.by_name.insert(stream_name('_', BUILT_IN_STREAM), built_in_stream());
        }
        Ok(configs)
    }

    /// The rules of a stream. Letter case does not matter; an id or route with a character outside
    /// `[A-Za-z0-9._-]` names no stream.
    pub(crate) fn find(&self, data_stream_id: &str, data_stream_route: &str) -> Option<&StreamConfig> {
        if !is_stream_word(data_stream_id) || !is_stream_word(data_stream_route) {
            return None;
        }
        // Until DEX 2.6.0 the files were named with a dash; those of today come first.
        ['_', '-'].iter().find_map(|&separator| {
            self.by_name.get(&stream_name(separator, (data_stream_id, data_stream_route)))
        })
    }

    /// The names of the streams, as their files are called, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// Whether `text` can be a stream's id or route: not empty and only `[A-Za-z0-9._-]`.
pub(crate) fn is_stream_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The name of a stream's file without `.json`.
pub(crate) fn stream_name(separator: char, (id, route): (&str, &str)) -> String {
    format!("{id}{separator}{route}").to_lowercase()
}

fn built_in_stream() -> StreamConfig {
    let field =
        |name: &&str| FieldConfig { name: (*name).to_owned(), required: true, allowed_values: Vec::new() };
    StreamConfig { fields: BUILT_IN_FIELDS.iter().map(field).collect() }
}

/// One entry per `*.json` file, by name, so that problems come in the same order on every machine.
fn read_folder(folder: &Path) -> io::Result<BTreeMap<String, io::Result<String>>> {
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if let Some(name) = path.file_stem().filter(|_| is_json && path.is_file()) {
            texts.insert(format!("{}.json", name.to_string_lossy()), std::fs::read_to_string(&path));
        }
    }
    Ok(texts)
}

/// The part of a file that still means something; DEX of every age ignores keys it does not know, and
/// `copy_config` has been dead since delivery got its own file.
#[derive(Deserialize)]
struct StreamConfigWire {
    metadata_config: MetadataConfigWire,
}

#[derive(Deserialize)]
struct MetadataConfigWire {
    fields: Vec<FieldConfigWire>,
}

#[derive(Deserialize)]
struct FieldConfigWire {
    field_name: String,
    required: Option<bool>,
    allowed_values: Option<Vec<String>>,
}

fn parse_stream(file: &str, text: &str) -> Result<StreamConfig, Vec<ConfigProblem>> {
    // Some editors begin a file with a byte order mark, which JSON does not allow.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let wire: StreamConfigWire =
        serde_json::from_str(text).map_err(|error| vec![ConfigProblem::new(file, error.to_string())])?;
    let nameless = |(index, field): (usize, &FieldConfigWire)| {
        field.field_name.is_empty().then(|| {
            ConfigProblem::new(file, format!("metadata_config.fields[{index}].field_name must not be empty"))
        })
    };
    let problems: Vec<_> = wire.metadata_config.fields.iter().enumerate().filter_map(nameless).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let fields = wire.metadata_config.fields.into_iter().map(|field| FieldConfig {
        name: field.field_name,
        required: field.required.unwrap_or(false),
        allowed_values: field.allowed_values.unwrap_or_default(),
    });
    Ok(StreamConfig { fields: fields.collect() })
}
