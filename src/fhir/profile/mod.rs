//! The rules that resources are held to: StructureDefinitions and ValueSets read from rule files.
//!
//! [`structure`] is the tree of element rules, [`element`] reads one element of a differential into it,
//! [`slicing`] and [`binding`] what it says about slices and codes, and [`value_set`] the codes of a
//! ValueSet. [`loader`] reads all files and resolves what one says about another. The files of [`built_in`]
//! are compiled in; more can be read after them, and one with a URL that is known already takes its place.
//! A rule that the gateway cannot enforce is an error when the file is read, never ignored. What the rules
//! mean for a resource is [`mod@super::validate`]'s part.

mod binding;
mod built_in;
mod element;
mod error;
mod loader;
#[cfg(test)]
mod published_tests;
mod slicing;
mod structure;
#[cfg(test)]
mod tests;
mod value_set;

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use self::built_in::BUILT_IN;
use self::loader::Loader;

pub(crate) use binding::{Binding, BindingStrength};
pub(crate) use error::ProfileError;
pub(crate) use slicing::{Demand, SliceTest, Slicing, SlicingRules, Step};
pub(crate) use structure::{ElementRule, Invariant, Structure, Target, TypeRule};
pub(crate) use value_set::ValueSet;

/// Every profile in force, by canonical URL. Value sets are where they are bound.
#[derive(Debug)]
pub(crate) struct Profiles {
    structures: HashMap<String, Structure>,
}

impl Profiles {
    /// The rules that come with the program.
    pub(crate) fn built_in() -> Result<Self, Vec<ProfileError>> {
        Self::with_files([])
    }

    /// The rules that come with the program and those of the `*.json` files of a folder, in the order of
    /// their names. The folder is read once, here.
    pub(crate) fn load(folder: &Path) -> Result<Self, Vec<ProfileError>> {
        let unreadable = |file: &Path, source| ProfileError::Unreadable { file: file.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|source| vec![unreadable(folder, source)])? {
            paths.push(entry.map_err(|source| vec![unreadable(folder, source)])?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let (mut files, mut errors) = (Vec::new(), Vec::new());
        for path in &paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match std::fs::read_to_string(path) {
                Ok(text) => files.push((name, text)),
                Err(source) => errors.push(unreadable(path, source)),
            }
        }
        match Self::with_files(files.iter().map(|(name, text)| (name.as_ref(), text.as_str()))) {
            Ok(profiles) if errors.is_empty() => Ok(profiles),
            Ok(_) => Err(errors),
            Err(found) => {
                errors.extend(found);
                Err(errors)
            }
        }
    }

    /// The rules that come with the program and those of further files, given as name and text. A later
    /// file replaces an earlier one of the same canonical URL. All that is wrong with the files is told at
    /// once.
    pub(crate) fn with_files<'a>(
        further: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<ProfileError>> {
        let mut loader = Loader::default();
        for (file, text) in BUILT_IN.iter().copied().chain(further) {
            loader.read(file, text);
        }
        loader.finish()
    }

    /// The structure with this canonical URL.
    pub(crate) fn structure(&self, url: &str) -> Option<&Structure> {
        self.structures.get(without_version(url))
    }

    /// The canonical URLs of the profiles of a resource type, in alphabetical order.
    pub(crate) fn of_type(&self, resource_type: &str) -> Vec<&str> {
        let of_type = self.structures.values().filter(|structure| structure.root.name == resource_type);
        let mut urls: Vec<&str> = of_type.map(|structure| &*structure.url).collect();
        urls.sort_unstable();
        urls
    }

    /// The profiles that a resource claims in `meta.profile` and whose rules are in force, each once and in
    /// the order of the claims. What is claimed beside them is nobody's business here.
    pub(crate) fn of(&self, resource: &Value) -> Vec<&Structure> {
        let claims = resource.pointer("/meta/profile").and_then(Value::as_array).into_iter().flatten();
        let mut claimed: Vec<&Structure> = Vec::new();
        for structure in claims.filter_map(Value::as_str).filter_map(|url| self.structure(url)) {
            if !claimed.iter().any(|known| known.url == structure.url) {
                claimed.push(structure);
            }
        }
        claimed
    }
}

/// A canonical URL without its `|version`: one version of each rule is in force.
fn without_version(url: &str) -> &str {
    url.split_once('|').map_or(url, |(url, _)| url)
}

/// The name of one of FHIR R4's own types, if the URL is the one of its definition.
fn core_type(url: &str) -> Option<&str> {
    without_version(url)
        .strip_prefix("http://hl7.org/fhir/StructureDefinition/")
        .filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()))
}
