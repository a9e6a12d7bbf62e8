//! Reads one element of a differential into its rule. What the element does not mention stays as the profile
//! has it that this one builds on.

use serde_json::Value;

use super::super::validate::{find_invariant, is_base_invariant};
use super::error::Source;
use super::loader::Known;
use super::{
    Binding, ElementRule, Invariant, ProfileError, Slicing, Target, TypeRule, core_type, without_version,
};

/// What an element of a profile may say without a rule in it, or with one that is read below.
const UNDERSTOOD: &[&str] = &[
    "id",
    "path",
    "extension",
    "sliceName",
    "slicing",
    "min",
    "max",
    "type",
    "binding",
    "constraint",
    "condition",
    "contentReference",
    "short",
    "label",
    "definition",
    "comment",
    "requirements",
    "alias",
    "example",
    "mapping",
    "mustSupport",
    "isModifier",
    "isModifierReason",
    "isSummary",
];

impl ElementRule {
    /// Reads the element that this rule is about.
    pub(super) fn read(
        &mut self,
        json: &Value,
        source: Source<'_>,
        known: Known<'_>,
    ) -> Result<(), ProfileError> {
        let id = self.id.clone();
        let members = json.as_object().ok_or_else(|| source.malformed(&id, "an object is expected"))?;
        for (key, value) in members {
            if is_choice_of("fixed", key) {
                self.fixed = Some(value.clone());
            } else if is_choice_of("pattern", key) {
                self.pattern = Some(value.clone());
            } else if !UNDERSTOOD.contains(&key.as_str()) {
                return Err(source.unsupported(&id, key));
            }
        }
        if source.text(json, &id, "path")? != self.path {
            return Err(source.malformed(&id, "the path is not the one of the id"));
        }
        // The two may be spelled differently: cdex-patient-demographics has `identifier:pac` and `pat`.
        if json.get("sliceName").is_some() != self.slice.is_some() {
            return Err(source.malformed(&id, "either id or sliceName names no slice"));
        }
        if let Some(short) = json.get("short").and_then(Value::as_str) {
            self.short = Some(short.to_owned());
        }
        if let Some(min) = json.get("min") {
            let min = min.as_u64().and_then(|min| usize::try_from(min).ok());
            self.min = min.ok_or_else(|| source.malformed(&id, "min is not a number"))?;
        }
        match json.get("max").map(Value::as_str) {
            None | Some(Some("*")) => {}
            Some(max) => {
                let max = max.and_then(|max| max.parse().ok());
                self.max = Some(max.ok_or_else(|| source.malformed(&id, "max is neither a number nor *"))?);
            }
        }
        if let Some(types) = json.get("type").and_then(Value::as_array) {
            let types = types.iter().map(|json| TypeRule::read(json, &id, source, known));
            self.types = types.collect::<Result<_, _>>()?;
        }
        if let Some(binding) = json.get("binding") {
            self.binding = Binding::read(binding, &id, source, known)?;
        }
        if let Some(slicing) = json.get("slicing") {
            self.slicing = Some(Slicing::read(slicing, &id, source)?);
        }
        if let Some(referenced) = json.get("contentReference").and_then(Value::as_str) {
            let id = referenced.rsplit('#').next().unwrap_or(referenced);
            self.content_reference = Some(id.to_owned());
        }
        for constraint in json.get("constraint").and_then(Value::as_array).into_iter().flatten() {
            self.invariants.extend(Invariant::read(constraint, &id, &self.path, source)?);
        }
        Ok(())
    }
}

impl TypeRule {
    fn read(json: &Value, id: &str, source: Source<'_>, known: Known<'_>) -> Result<Self, ProfileError> {
        let code = source.text(json, id, "code")?.to_owned();
        let urls = |key: &str| {
            let urls = json.get(key).and_then(Value::as_array).into_iter().flatten();
            urls.filter_map(Value::as_str).map(without_version)
        };
        let mut rule = Self { code, ..Self::default() };
        let mut may_be_any = false;
        for url in urls("profile") {
            if rule.code == "Extension" {
                rule.extension_url = Some(url.to_owned());
            }
            match known.type_of_profile(url) {
                Some(_) => rule.profiles.push(url.to_owned()),
                None if core_type(url).is_some() => may_be_any = true,
                // The URL of an extension tells which it is; what is in it is another profile's matter.
                None if rule.code == "Extension" => may_be_any = true,
                None => return Err(source.undefined(id, "the profile", url)),
            }
        }
        if may_be_any {
            rule.profiles.clear();
        }
        // A canonical has target profiles too, but what it leads to is not here to be looked at.
        if rule.code == "Reference" {
            for url in urls("targetProfile").filter(|url| !url.is_empty()) {
                let profiled = known.type_of_profile(url);
                let target = Target {
                    url: url.to_owned(),
                    resource_type: profiled.or_else(|| core_type(url)).map(str::to_owned),
                    has_rules: profiled.is_some(),
                };
                // Versions of one profile are one to us.
                if !rule.targets.contains(&target) {
                    rule.targets.push(target);
                }
            }
            let aggregation = json.get("aggregation").and_then(Value::as_array);
            rule.contained_only =
                aggregation.is_some_and(|modes| modes.iter().all(|mode| mode == "contained"));
        }
        Ok(rule)
    }
}

impl Invariant {
    /// Reads a constraint; `None` if it is one of FHIR's own, which the structure check knows.
    fn read(json: &Value, id: &str, path: &str, source: Source<'_>) -> Result<Option<Self>, ProfileError> {
        let key = source.text(json, id, "key")?;
        let Some(holds) = find_invariant(key, path) else {
            if is_base_invariant(key) {
                return Ok(None);
            }
            return Err(source.unsupported(id, &format!("the invariant {key}")));
        };
        let is_warning = match source.text(json, id, "severity")? {
            "error" => false,
            "warning" => true,
            _ => return Err(source.malformed(id, "the severity is neither error nor warning")),
        };
        let human = source.text(json, id, "human")?.trim_end_matches('.').to_owned();
        Ok(Some(Self { key: key.to_owned(), is_warning, human, holds }))
    }
}

/// Whether a key is a choice element's property: `fixedString` is one of `fixed[x]`.
fn is_choice_of(name: &str, key: &str) -> bool {
    key.strip_prefix(name).is_some_and(|kind| kind.starts_with(|c: char| c.is_ascii_uppercase()))
}
