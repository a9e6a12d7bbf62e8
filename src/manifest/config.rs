//! The rules of each data stream, read from DEX's per-stream JSON files of any age, plus the built-in stream. Once read
//! a stream is looked up in memory: no path is ever made from what a client sent. Where the files lie is the caller's
//! affair.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::dex_file::{ConfigProblem, Variables, expand_variables};
use super::v1::V1Rules;

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
    /// The key of a manifest of version 1.0 that it takes its value from.
    pub(super) compat_name: Option<String>,
}

/// A file of a place of stream configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamFile {
    /// Its name, with the folder in front if it is not at the top.
    pub(crate) name: String,
    /// What is in it, or why that cannot be told.
    pub(crate) text: Result<String, String>,
}

/// The rules of all data streams that this gateway knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamConfigs {
    /// By the name of the file without `.json`, as [`stream_key`] makes it.
    by_name: BTreeMap<String, StreamConfig>,
    /// Those for manifests of version 1.0, where these are taken.
    v1: Option<V1Rules>,
}

impl StreamConfigs {
    /// The built-in stream alone.
    pub(crate) fn built_in() -> Self {
        let by_name = BTreeMap::from([(stream_name('_', BUILT_IN_STREAM), built_in_stream())]);
        Self { by_name, v1: None }
    }

    /// The rules in these files, and the built-in stream unless one of them names it. With `accept_v1` the folders `v1`
    /// and `v2` count too, as DEX had them until 2.6.0, and what calls itself version 1.0 is for manifests of that age.
    ///
    /// *Errors*: all problems of all files.
    pub(crate) fn read(
        files: &[StreamFile],
        accept_v1: bool,
        variables: Variables<'_>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let mut configs = Self { by_name: BTreeMap::new(), v1: accept_v1.then(V1Rules::default) };
        let mut problems = Vec::new();
        // What lies at the top wins over what DEX kept in `v2`.
        let (top, below): (Vec<_>, Vec<_>) = files.iter().partition(|file| !file.name.contains('/'));
        for file in top.into_iter().chain(below.into_iter().filter(|_| accept_v1)) {
            let parsed = match &file.text {
                Ok(text) => read_stream(&file.name, text, variables),
                Err(reason) => Err(vec![ConfigProblem::new(&file.name, reason)]),
            };
            match parsed {
                Ok(parsed) => problems.extend(configs.add(&file.name, parsed)),
                Err(more) => problems.extend(more),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if configs.find(BUILT_IN_STREAM.0, BUILT_IN_STREAM.1).is_none() {
            configs.by_name.insert(stream_name('_', BUILT_IN_STREAM), built_in_stream());
        }
        Ok(configs)
    }

    fn add(&mut self, file: &str, parsed: ParsedStream) -> Option<ConfigProblem> {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let name = stream_key(without_extension(name));
        let is_new = match &mut self.v1 {
            Some(v1) if folder == "v1" || parsed.is_v1 => v1.add(name, parsed.config, parsed.compat_config),
            _ if folder == "v2" => {
                self.by_name.entry(name).or_insert(parsed.config);
                true
            }
            _ => self.by_name.insert(name, parsed.config).is_none(),
        };
        (!is_new).then(|| ConfigProblem::new(file, "another file has this name in other letter case"))
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

    /// The rules for manifests of version 1.0, where these are taken.
    pub(crate) fn v1(&self) -> Option<&V1Rules> {
        self.v1.as_ref()
    }

    /// The rules of the file of this name.
    pub(super) fn of_file(&self, file: &str) -> Option<&StreamConfig> {
        self.by_name.get(&stream_key(without_extension(file)))
    }

    /// Whether a manifest that names this stream can be judged, of whatever version.
    pub(crate) fn knows(&self, data_stream_id: &str, data_stream_route: &str) -> bool {
        let in_v1 = |v1: &V1Rules| v1.find(data_stream_id, data_stream_route).is_some();
        self.find(data_stream_id, data_stream_route).is_some() || self.v1.as_ref().is_some_and(in_v1)
    }

    /// What is legal but surely not meant.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let is_stream =
            |name: &&str| is_stream_word(name) && name.trim_matches(['_', '-']).contains(['_', '-']);
        let nameless = self.names().filter(|name| !is_stream(name)).map(|name| {
            format!(
                "data stream file {name}.json: no data stream has this name, which is {{id}}_{{route}}.json"
            )
        });
        let astray = self.v1.iter().flat_map(|v1| v1.lacking(self)).map(|(name, wanted)| {
            format!("data stream file {name}.json names {wanted} as its file of today, which is not there")
        });
        nameless.chain(astray).collect()
    }
}

/// How names of data streams are compared, wherever that is done: letter case does not matter (dex-upload W-26).
pub(crate) fn stream_key(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn without_extension(file: &str) -> &str {
    let stem = file.len().checked_sub(".json".len());
    stem.filter(|&at| file.is_char_boundary(at) && file[at..].eq_ignore_ascii_case(".json"))
        .map_or(file, |at| &file[..at])
}

/// Whether `text` can be a stream's id or route: not empty and only `[A-Za-z0-9._-]`.
pub(crate) fn is_stream_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The name of a stream's file without `.json`.
pub(crate) fn stream_name(separator: char, (id, route): (&str, &str)) -> String {
    stream_key(&format!("{id}{separator}{route}"))
}

fn built_in_stream() -> StreamConfig {
    let field = |name: &&str| FieldConfig {
        name: (*name).to_owned(),
        required: true,
        allowed_values: Vec::new(),
        compat_name: None,
    };
    StreamConfig { fields: BUILT_IN_FIELDS.iter().map(field).collect() }
}

/// Whether a file of this name, with the folders in front, can say something about a stream.
pub(crate) fn is_stream_file(name: &str) -> bool {
    let (folder, name) = name.rsplit_once('/').unwrap_or(("", name));
    matches!(folder, "" | "v1" | "v2") && without_extension(name).len() < name.len()
}

/// The files of a folder that can be about streams, by name, so that problems come in the same order on every machine.
///
/// *Errors*: the folder itself cannot be read.
pub(crate) fn stream_paths(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut paths = BTreeMap::new();
    for part in ["", "v1/", "v2/"] {
        let entries = match std::fs::read_dir(folder.join(part)) {
            Err(_) if !part.is_empty() => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = format!("{part}{}", entry.file_name().to_string_lossy());
            if is_stream_file(&name) && entry.path().is_file() {
                paths.insert(name, entry.path());
            }
        }
    }
    Ok(paths)
}

/// The same with what is in them.
pub(crate) fn stream_files(folder: &Path) -> io::Result<Vec<StreamFile>> {
    let read = |(name, path)| {
        let text = std::fs::read_to_string(path).map_err(|error: io::Error| error.to_string());
        StreamFile { name, text }
    };
    Ok(stream_paths(folder)?.into_iter().map(read).collect())
}

/// Reads a file. A variable that is not set is a problem where it would say something: files that DEX published have
/// one in a part that nobody reads any more.
fn read_stream(file: &str, text: &str, variables: Variables<'_>) -> Result<ParsedStream, Vec<ConfigProblem>> {
    let unset = match expand_variables(file, text, variables) {
        Ok(text) => return parse_stream(file, &text),
        Err(unset) => unset,
    };
    let with = |value: &str| {
        let stand_in = |name: &str| variables(name).or_else(|| Some(value.to_owned()));
        parse_stream(file, &expand_variables(file, text, &stand_in)?)
    };
    match (with(""), with("unset")) {
        (Ok(one), Ok(other)) if one == other => Ok(one),
        _ => Err(unset),
    }
}

/// What a file says.
#[derive(PartialEq)]
struct ParsedStream {
    config: StreamConfig,
    is_v1: bool,
    /// The file of today of a file for manifests of version 1.0.
    compat_config: Option<String>,
}

/// The part of a file that still means something; DEX of every age ignores keys it does not know, and
/// `copy_config` has been dead since delivery got its own file.
#[derive(Deserialize)]
struct StreamConfigWire {
    metadata_config: MetadataConfigWire,
    compat_config_filename: Option<String>,
}

#[derive(Deserialize)]
struct MetadataConfigWire {
    /// Of any type: DEX of today does not read it.
    #[serde(default)]
    version: serde_json::Value,
    fields: Vec<FieldConfigWire>,
}

#[derive(Deserialize)]
struct FieldConfigWire {
    field_name: String,
    required: Option<bool>,
    allowed_values: Option<Vec<String>>,
    compat_field_name: Option<String>,
}

fn parse_stream(file: &str, text: &str) -> Result<ParsedStream, Vec<ConfigProblem>> {
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
        compat_name: field.compat_field_name,
    });
    Ok(ParsedStream {
        config: StreamConfig { fields: fields.collect() },
        is_v1: wire.metadata_config.version == "1.0",
        compat_config: wire.compat_config_filename,
    })
}
