//! The codes of a ValueSet: lists of codes, or whole code systems. There is no terminology server behind
//! this; a ValueSet that would need one is refused when it is read.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::ProfileError;
use super::error::Source;
use crate::fhir::datatype::Coding;

/// The codes that an element may hold.
#[derive(Debug)]
pub(crate) struct ValueSet {
    /// The canonical URL.
    pub(crate) url: String,
    systems: HashMap<String, Codes>,
}

#[derive(Debug)]
enum Codes {
    /// Every code of the system.
    All,
    Listed(HashSet<String>),
}

impl ValueSet {
    /// Reads a ValueSet whose `compose` includes code systems, whole or code by code.
    pub(super) fn read(json: &Value, source: Source<'_>) -> Result<Self, ProfileError> {
        const ROOT: &str = "ValueSet";
        const INCLUDE: &str = "ValueSet.compose.include";
        let url = source.text(json, ROOT, "url")?.to_owned();
        let compose = json.get("compose").ok_or_else(|| source.malformed(ROOT, "compose is missing"))?;
        if compose.get("exclude").is_some() {
            return Err(source.unsupported("ValueSet.compose", "exclude"));
        }
        let includes = compose.get("include").and_then(Value::as_array);
        let includes = includes.ok_or_else(|| source.malformed("ValueSet.compose", "include is missing"))?;
        let mut systems = HashMap::new();
        for include in includes {
            for feature in ["filter", "valueSet"] {
                if include.get(feature).is_some() {
                    return Err(source.unsupported(INCLUDE, feature));
                }
            }
            let system = source.text(include, INCLUDE, "system")?.to_owned();
            let listed: HashSet<String> = match include.get("concept").and_then(Value::as_array) {
                None => {
                    systems.insert(system, Codes::All);
                    continue;
                }
                Some(concepts) => concepts
                    .iter()
                    .map(|concept| source.text(concept, INCLUDE, "code").map(str::to_owned))
                    .collect::<Result<_, _>>()?,
            };
            match systems.entry(system).or_insert_with(|| Codes::Listed(HashSet::new())) {
                Codes::All => {}
                Codes::Listed(codes) => codes.extend(listed),
            }
        }
        Ok(Self { url, systems })
    }

    /// Whether the coding is one of these; without a system or a code it is none.
    pub(crate) fn contains(&self, coding: Coding<'_>) -> bool {
        let (Some(system), Some(code)) = (coding.system, coding.code) else { return false };
        self.systems.get(system).is_some_and(|codes| codes.contain(code))
    }

    /// Whether any system here has the code: all that an element of type `code` can be asked.
    pub(crate) fn contains_code(&self, code: &str) -> bool {
        self.systems.values().any(|codes| codes.contain(code))
    }
}

impl Codes {
    fn contain(&self, code: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(codes) => codes.contains(code),
        }
    }
}
