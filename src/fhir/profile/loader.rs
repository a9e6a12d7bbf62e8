//! Reads rule files in any order and then resolves what they say about each other: the profile that a
//! profile builds on, value sets, and the types of the profiles that references may lead to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::error::Source;
use super::structure::{ElementRule, Structure};
use super::value_set::ValueSet;
use super::{ProfileError, Profiles, core_type, without_version};

/// Rule files that were read but not resolved.
#[derive(Debug, Default)]
pub(super) struct Loader {
    definitions: BTreeMap<String, Definition>,
    value_sets: HashMap<String, Arc<ValueSet>>,
    errors: Vec<ProfileError>,
}

#[derive(Debug)]
struct Definition {
    file: String,
    json: Value,
}

impl Definition {
    /// The profile that this one builds on; what FHIR itself says about a type is no profile.
    fn base(&self) -> Option<&str> {
        let base = self.json.get("baseDefinition").and_then(Value::as_str).map(without_version)?;
        core_type(base).is_none().then_some(base)
    }
}

/// What an element rule may ask about the other files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    definitions: &'a BTreeMap<String, Definition>,
    value_sets: &'a HashMap<String, Arc<ValueSet>>,
}

impl Known<'_> {
    /// The value set with this canonical URL.
    pub(super) fn value_set(&self, url: &str) -> Option<Arc<ValueSet>> {
        self.value_sets.get(without_version(url)).cloned()
    }

    /// The type that a profile constrains, if it is one of ours.
    pub(super) fn type_of_profile(&self, url: &str) -> Option<&str> {
        self.definitions.get(without_version(url))?.json.get("type")?.as_str()
    }

    fn builds_on_itself(&self, url: &str) -> bool {
        let base = |url: &str| self.definitions.get(url).and_then(Definition::base);
        let mut seen = BTreeSet::new();
        let mut next = base(url);
        while let Some(base_url) = next.filter(|base_url| seen.insert(*base_url)) {
            if base_url == url {
                return true;
            }
            next = base(base_url);
        }
        false
    }
}

impl Loader {
    /// Takes one file.
    pub(super) fn read(&mut self, file: &str, text: &str) {
        if let Err(error) = self.take(file, text) {
            self.errors.push(error);
        }
    }

    fn take(&mut self, file: &str, text: &str) -> Result<(), ProfileError> {
        let source = Source { file };
        let json: Value = serde_json::from_str(text)
            .map_err(|source| ProfileError::Json { file: file.to_owned(), source })?;
        match json.get("resourceType").and_then(Value::as_str) {
            Some("StructureDefinition") => {
                let url = source.text(&json, "StructureDefinition", "url")?.to_owned();
                self.definitions.insert(url, Definition { file: file.to_owned(), json });
            }
            Some("ValueSet") => {
                let value_set = ValueSet::read(&json, source)?;
                self.value_sets.insert(value_set.url.clone(), Arc::new(value_set));
            }
            _ => return Err(ProfileError::NotARuleFile { file: file.to_owned() }),
        }
        Ok(())
    }

    /// Resolves everything that was read, or tells all that is wrong with it.
    pub(super) fn finish(mut self) -> Result<Profiles, Vec<ProfileError>> {
        let known = Known { definitions: &self.definitions, value_sets: &self.value_sets };
        let mut resolving = Resolving { known, structures: HashMap::new() };
        for url in self.definitions.keys() {
            if let Err(errors) = resolving.structure(url) {
                self.errors.extend(errors);
            }
        }
        if self.errors.is_empty() {
            Ok(Profiles { structures: resolving.structures })
        } else {
            Err(self.errors)
        }
    }
}

struct Resolving<'a> {
    known: Known<'a>,
    structures: HashMap<String, Structure>,
}

impl Resolving<'_> {
    /// Resolves one profile and, before it, those that it builds on. What is wrong with one of those is told
    /// once, when its own turn comes.
    fn structure(&mut self, url: &str) -> Result<(), Vec<ProfileError>> {
        const ROOT: &str = "StructureDefinition";
        let known = self.known;
        let Some(definition) = known.definitions.get(url).filter(|_| !self.structures.contains_key(url))
        else {
            return Ok(());
        };
        let source = Source { file: &definition.file };
        if known.builds_on_itself(url) {
            return Err(vec![source.malformed(ROOT, "the profile builds on itself")]);
        }
        let name = source.text(&definition.json, ROOT, "type").map_err(|error| vec![error])?;
        let root = match definition.base() {
            None => ElementRule::of_type(name),
            Some(base) => {
                if !known.definitions.contains_key(base) {
                    return Err(vec![source.undefined(ROOT, "the profile", base)]);
                }
                if self.structure(base).is_err() {
                    return Ok(());
                }
                let Some(base) = self.structures.get(base) else { return Ok(()) };
                base.root.clone()
            }
        };
        let structure = Structure::read(url, root, &definition.json, source, known)?;
        self.structures.insert(url.to_owned(), structure);
        Ok(())
    }
}
