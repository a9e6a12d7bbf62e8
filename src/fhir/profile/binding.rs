//! The value sets that an element is bound to, and how strictly.

use std::sync::Arc;

use serde_json::Value;

use super::error::Source;
use super::loader::Known;
use super::{ProfileError, ValueSet};

/// An R4 ElementDefinition.binding names further value sets in this extension.
const ADDITIONAL_BINDING: &str = "http://hl7.org/fhir/tools/StructureDefinition/additional-binding";

/// Which codes an element may hold.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    /// How strictly.
    pub(crate) strength: BindingStrength,
    /// The value set and, after it, additional ones; a code in any of them is right. Where an additional
    /// one applies only in certain usages, that is not looked at: it would need the meaning of other elements.
    pub(crate) value_sets: Vec<Arc<ValueSet>>,
}

/// How strictly an element is bound to its value set. Weaker bindings than these are no rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindingStrength {
    /// Another code is an error.
    Required,
    /// Another code is right only if none of the set fits, which deserves a warning.
    Extensible,
}

impl Binding {
    /// Reads a binding; `None` if it is too weak to be a rule.
    pub(super) fn read(
        json: &Value,
        id: &str,
        source: Source<'_>,
        known: Known<'_>,
    ) -> Result<Option<Self>, ProfileError> {
        let strength = match source.text(json, id, "strength")? {
            "required" => BindingStrength::Required,
            "extensible" => BindingStrength::Extensible,
            "preferred" | "example" => return Ok(None),
            _ => return Err(source.unsupported(id, "a binding of this strength")),
        };
        let value_set = |json: &Value, key: &str| {
            let url = source.text(json, id, key)?;
            known.value_set(url).ok_or_else(|| source.undefined(id, "the value set", url))
        };
        let mut value_sets = vec![value_set(json, "valueSet")?];
        for extension in json.get("extension").and_then(Value::as_array).into_iter().flatten() {
            if extension.get("url").and_then(Value::as_str) != Some(ADDITIONAL_BINDING) {
                continue;
            }
            for part in extension.get("extension").and_then(Value::as_array).into_iter().flatten() {
                match part.get("url").and_then(Value::as_str) {
                    Some("valueSet") => value_sets.push(value_set(part, "valueCanonical")?),
                    // Other purposes narrow the binding down; this one widens it.
                    Some("purpose") if source.text(part, id, "valueCode")? != "extensible" => {
                        return Err(source.unsupported(id, "an additional binding of this purpose"));
                    }
                    _ => {}
                }
            }
        }
        Ok(Some(Self { strength, value_sets }))
    }
}
