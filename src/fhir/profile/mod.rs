//! The rules that resources are held to: StructureDefinitions and ValueSets read from rule files.
//!
//! [`structure`] reads an element tree from a StructureDefinition's differential, [`value_set`] the codes of
//! a ValueSet. The files in `profiles/` are compiled in; more can be read after them, and one with a URL
//! that is known already takes its place. A rule that the gateway cannot enforce is an error when the file
//! is read, never ignored. What the rules mean for a resource is [`mod@super::validate`]'s part.

mod structure;
#[cfg(test)]
mod tests;
mod value_set;

use std::collections::HashMap;

use serde_json::Value;

pub(crate) use structure::{Binding, BindingStrength, ElementRule, Slicing, SlicingRules, Structure};
pub(crate) use value_set::ValueSet;

/// The rule files of the project, by name.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "StructureDefinition-cdex-parameters-submit-attachment.json",
        include_str!("../../../profiles/StructureDefinition-cdex-parameters-submit-attachment.json"),
    ),
    ("ValueSet-cdex-claim-use.json", include_str!("../../../profiles/ValueSet-cdex-claim-use.json")),
    (
        "ValueSet-cdex-loinc-attachment-codes.json",
        include_str!("../../../profiles/ValueSet-cdex-loinc-attachment-codes.json"),
    ),
    (
        "ValueSet-cdex-pwk01-attachment-report-type-code.json",
        include_str!("../../../profiles/ValueSet-cdex-pwk01-attachment-report-type-code.json"),
    ),
];

/// A rule file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// It is not JSON.
    #[error("{file} is not JSON")]
    Json {
        /// The rule file.
        file: String,
        /// Where reading stopped.
        source: serde_json::Error,
    },
    /// It holds a resource that carries no rules.
    #[error("{file} is neither a StructureDefinition nor a ValueSet")]
    NotARuleFile {
        /// The rule file.
        file: String,
    },
    /// Something is missing or has the wrong form.
    #[error("{file}, {element}: {problem}")]
    Malformed {
        /// The rule file.
        file: String,
        /// The element of the profile, or of the rule file itself.
        element: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It demands what the gateway cannot check.
    #[error("{file}, {element}: {feature} cannot be enforced")]
    Unsupported {
        /// The rule file.
        file: String,
        /// The element of the profile, or of the rule file itself.
        element: String,
        /// What is demanded.
        feature: String,
    },
    /// An element is bound to a value set that no file defines.
    #[error("{url}, {element}: the value set {value_set} is not defined")]
    UnknownValueSet {
        /// The StructureDefinition.
        url: String,
        /// The element of the profile.
        element: String,
        /// The value set.
        value_set: String,
    },
}

/// Every rule in force, by canonical URL.
#[derive(Debug)]
pub(crate) struct Profiles {
    structures: HashMap<String, Structure>,
    value_sets: HashMap<String, ValueSet>,
}

impl Profiles {
    /// The rules that come with the program.
    pub(crate) fn built_in() -> Result<Self, ProfileError> {
        Self::with_files([])
    }

    /// The rules that come with the program and those of further files, given as name and text. A later
    /// file replaces an earlier one of the same canonical URL.
    pub(crate) fn with_files<'a>(
        further: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ProfileError> {
        let mut profiles = Self { structures: HashMap::new(), value_sets: HashMap::new() };
        for (file, text) in BUILT_IN.iter().copied().chain(further) {
            profiles.add(file, text)?;
        }
        profiles.check_bindings()?;
        Ok(profiles)
    }

    /// The structure with this canonical URL.
    pub(crate) fn structure(&self, url: &str) -> Option<&Structure> {
        self.structures.get(without_version(url))
    }

    /// The value set with this canonical URL.
    pub(crate) fn value_set(&self, url: &str) -> Option<&ValueSet> {
        self.value_sets.get(without_version(url))
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), ProfileError> {
        let source = Source { file };
        let json: Value = serde_json::from_str(text)
            .map_err(|source| ProfileError::Json { file: file.to_owned(), source })?;
        match json.get("resourceType").and_then(Value::as_str) {
            Some("StructureDefinition") => {
                let structure = Structure::read(&json, source)?;
                self.structures.insert(structure.url.clone(), structure);
            }
            Some("ValueSet") => {
                let value_set = ValueSet::read(&json, source)?;
                self.value_sets.insert(value_set.url.clone(), value_set);
            }
            _ => return Err(ProfileError::NotARuleFile { file: file.to_owned() }),
        }
        Ok(())
    }

    /// Files may come in any order, so that bindings can be resolved only when all are read.
    fn check_bindings(&self) -> Result<(), ProfileError> {
        for structure in self.structures.values() {
            for rule in structure.root.iter() {
                for value_set in rule.binding.iter().flat_map(|binding| &binding.value_sets) {
                    if self.value_set(value_set).is_none() {
                        return Err(ProfileError::UnknownValueSet {
                            url: structure.url.clone(),
                            element: rule.id.clone(),
                            value_set: value_set.clone(),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

/// The file being read, so that every error can name it.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a str,
}

impl Source<'_> {
    fn malformed(self, element: &str, problem: &str) -> ProfileError {
        ProfileError::Malformed {
            file: self.file.to_owned(),
            element: element.to_owned(),
            problem: problem.to_owned(),
        }
    }

    fn unsupported(self, element: &str, feature: &str) -> ProfileError {
        ProfileError::Unsupported {
            file: self.file.to_owned(),
            element: element.to_owned(),
            feature: feature.to_owned(),
        }
    }

    /// The text at `key`, or an error that names it.
    fn text<'v>(self, json: &'v Value, element: &str, key: &str) -> Result<&'v str, ProfileError> {
        json.get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| self.malformed(element, &format!("{key} is missing")))
    }
}

/// A canonical URL without its `|version`: one version of each rule is in force.
fn without_version(url: &str) -> &str {
    url.split_once('|').map_or(url, |(url, _)| url)
}
