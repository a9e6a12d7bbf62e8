//! Layering: defaults, file, environment, flags become one table, and the table a [`Config`]. A value that
//! does not fit is named, replaced by its default, and the rest is read on, so that all problems are
//! reported at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};

use super::environment::key_of;
use super::problems::Problem;
use super::{Config, Problems, dex_environment};

/// The complete commented default configuration; the single source of defaults.
pub(super) const DEFAULTS: &str = include_str!("../../examples/gateway.toml");

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The file to read over the defaults.
    pub file: Option<PathBuf>,
    /// Single keys, over everything else.
    pub flags: Vec<Flag>,
}

/// One key set on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The flag's name without dashes, for messages.
    pub name: &'static str,
    /// The key it sets, with dots between levels.
    pub key: &'static str,
    /// The text given.
    pub value: String,
}

/// Where the value of a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The key, with dots between levels.
    pub key: String,
    /// The file, variable or flag that sets it.
    pub source: String,
}

/// Values of one origin.
struct Layer {
    /// The origin, as messages name it.
    source: String,
    /// Whether its values are text whatever they mean, as in the environment.
    is_text: bool,
    values: Dict,
}

pub(super) fn load(options: &LoadOptions, environment: &[(String, OsString)]) -> Result<Config, Problems> {
    match examine(options, environment) {
        (Some(config), problems) if problems.is_empty() => Ok(config),
        (_, problems) => Err(problems),
    }
}

pub(super) fn examine(
    options: &LoadOptions,
    environment: &[(String, OsString)],
) -> (Option<Config>, Problems) {
    let mut problems = Problems::default();
    let defaults = parse(DEFAULTS, "examples/gateway.toml", &mut problems);
    let (of_dex, unused_variables) = dex_environment::settings(environment, &mut problems);
    // Whatever is set for us wins over what was set for DEX.
    let mut layers: Vec<Layer> =
        of_dex.iter().map(|set| single(set.variable.to_owned(), set.key, &set.value)).collect();
    if let Some(path) = &options.file {
        layers.push(read_file(path, &mut problems));
    }
    for (name, value) in environment.iter().filter(|(name, _)| !dex_environment::is_known(name)) {
        match value.to_str() {
            // Container set-ups pass a variable on by naming it, set or not.
            Some("") => {}
            Some(value) => layers.push(single(name.clone(), &key_of(name), value)),
            None => problems.push(Problem {
                path: key_of(name),
                text: "is not Unicode text".to_owned(),
                source: Some(name.clone()),
            }),
        }
    }
    for flag in &options.flags {
        layers.push(single(format!("--{}", flag.name), flag.key, &flag.value));
    }

    let Some(mut config) = extract(&defaults, &layers, &mut problems) else { return (None, problems) };
    config.origins = origins(&layers);
    config.unused_variables = unused_variables;
    let mut broken = Problems::default();
    config.resolve(&mut broken);
    config.validate(&mut broken);
    for problem in &broken {
        problems.push(Problem { source: source_of(&layers, &problem.path), ..problem.clone() });
    }
    (Some(config), problems)
}

fn read_file(path: &Path, problems: &mut Problems) -> Layer {
    let source = path.display().to_string();
    let values = match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, &source, problems),
        Err(error) => {
            problems.add(&source, format!("cannot be read: {}", error.kind()));
            Dict::new()
        }
    };
    Layer { source, is_text: false, values }
}

fn parse(text: &str, source: &str, problems: &mut Problems) -> Dict {
    Toml::from_str(text).unwrap_or_else(|error| {
        // The error's own text quotes the line, which may hold a password.
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        problems.add(&format!("{source}, line {line}"), format!("is not TOML: {}", error.message()));
        Dict::new()
    })
}

/// A layer that sets one key.
fn single(source: String, key: &str, value: &str) -> Layer {
    let value = key
        .rsplit('.')
        .fold(Value::from(value), |inner, segment| Value::from(Dict::from([(segment.to_owned(), inner)])));
    Layer { source, is_text: true, values: value.into_dict().unwrap_or_default() }
}

/// Reads the table until it fits. `None` only if the defaults themselves do not.
fn extract(defaults: &Dict, layers: &[Layer], problems: &mut Problems) -> Option<Config> {
    let mut table = defaults.clone();
    for layer in layers {
        merge(&mut table, &layer.values);
    }
    let mut interpreted = BTreeSet::new();
    let mut given_up = BTreeSet::new();
    loop {
        let error = match Value::from(table.clone()).deserialize::<Config>() {
            Ok(config) => return Some(config),
            Err(error) => error,
        };
        let mut path = error.path.clone();
        if let Kind::UnknownField(name, _) = &error.kind {
            path.push(name.clone());
        }
        let path = settable(&table, &path);
        let key = path.join(".");
        // The environment and the command line know only text; where something else is wanted, the text is
        // read as TOML would.
        if let Some(Value::String(_, text)) = get(&table, &path)
            && last_setter(layers, &path).is_some_and(|layer| layer.is_text)
            && interpreted.insert(key.clone())
            && let Ok(value @ (Value::Num(..) | Value::Bool(..) | Value::Array(..))) = text.parse::<Value>()
        {
            set(&mut table, &path, Some(value));
            continue;
        }
        problems.push(Problem {
            text: describe(&error.kind),
            source: source_of(layers, &key),
            path: key.clone(),
        });
        if path.is_empty() || !given_up.insert(key) {
            return None;
        }
        set(&mut table, &path, get(defaults, &path).cloned());
    }
}

/// The longest beginning of `path` that a layer can have set: it ends before the index of a list.
fn settable(table: &Dict, path: &[String]) -> Vec<String> {
    let known = (1..=path.len()).take_while(|&n| get(table, &path[..n]).is_some()).last();
    path[..known.unwrap_or(path.len())].to_vec()
}

fn get<'d>(table: &'d Dict, path: &[String]) -> Option<&'d Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first)?;
    if rest.is_empty() { Some(value) } else { get(value.as_dict()?, rest) }
}

/// Replaces what is at `path`, or removes it.
fn set(table: &mut Dict, path: &[String], value: Option<Value>) {
    let Some((first, rest)) = path.split_first() else { return };
    match (table.get_mut(first), rest.is_empty(), value) {
        (_, true, Some(value)) => {
            table.insert(first.clone(), value);
        }
        (_, true, None) => {
            table.remove(first);
        }
        (Some(Value::Dict(_, inner)), false, value) => set(inner, rest, value),
        (_, false, _) => {}
    }
}

fn merge(table: &mut Dict, over: &Dict) {
    for (key, value) in over {
        match (table.get_mut(key), value) {
            (Some(Value::Dict(_, inner)), Value::Dict(_, value)) => merge(inner, value),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}

fn last_setter<'l>(layers: &'l [Layer], path: &[String]) -> Option<&'l Layer> {
    layers.iter().rev().find(|layer| get(&layer.values, path).is_some())
}

fn source_of(layers: &[Layer], key: &str) -> Option<String> {
    let key = key.split('[').next().unwrap_or(key);
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    last_setter(layers, &path).map(|layer| layer.source.clone())
}

/// The keys that some layer sets, each with the last that does.
fn origins(layers: &[Layer]) -> Vec<Origin> {
    fn collect(path: &str, values: &Dict, source: &str, found: &mut BTreeMap<String, String>) {
        for (key, value) in values {
            let key = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match value {
                Value::Dict(_, inner) => collect(&key, inner, source, found),
                _ => {
                    found.insert(key, source.to_owned());
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    for layer in layers {
        collect("", &layer.values, &layer.source, &mut found);
    }
    found.into_iter().map(|(key, source)| Origin { key, source }).collect()
}

/// The rule a value breaks, without the value.
fn describe(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(_, expected)
        | Kind::InvalidValue(_, expected)
        | Kind::InvalidLength(_, expected) => {
            if expected.starts_with("struct ") {
                "must be a table".to_owned()
            } else {
                format!("must be {}", in_words(expected))
            }
        }
        Kind::UnknownVariant(_, known) => format!("must be one of {}", known.join(", ")),
        Kind::UnknownField(..) => "is not a known key".to_owned(),
        Kind::MissingField(name) => format!("lacks {name}"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "is out of range".to_owned(),
        Kind::Message(text) => text.clone(),
        Kind::DuplicateField(_) | Kind::Unsupported(_) | Kind::UnsupportedKey(..) => {
            "cannot be used here".to_owned()
        }
    }
}

/// What serde expects, as an operator would say it.
fn in_words(expected: &str) -> &str {
    match expected {
        "u64" | "u32" | "usize" => "a whole number that is not negative",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "path string" | "a string" => "text",
        other => other,
    }
}
