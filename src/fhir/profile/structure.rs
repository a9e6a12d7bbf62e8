//! A StructureDefinition's differential as a tree of element rules. Only what the differential states is
//! in the tree: what base FHIR R4 says about an element is the general structure check's part.

use serde_json::Value;

use super::{ProfileError, Source, without_version};

/// What an element of a profile may say without a rule in it, or with one that is read below.
const UNDERSTOOD: &[&str] = &[
    "id",
    "path",
    "sliceName",
    "slicing",
    "min",
    "max",
    "type",
    "binding",
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
    "isSummary",
];

/// An R4 ElementDefinition.binding names further value sets in this extension.
const ADDITIONAL_BINDING: &str = "http://hl7.org/fhir/tools/StructureDefinition/additional-binding";

/// The rules of one profile.
#[derive(Debug)]
pub(crate) struct Structure {
    /// The canonical URL.
    pub(crate) url: String,
    /// The rules of the resource itself.
    pub(crate) root: ElementRule,
}

/// What one element, or one slice of it, is held to.
#[derive(Debug, Default)]
pub(crate) struct ElementRule {
    /// The element id: `Parameters.parameter:Attachment.part`.
    pub(crate) id: String,
    /// The path without slices: `Parameters.parameter.part`.
    pub(crate) path: String,
    /// The last step of the path: `part`, or `value[x]` for a choice of types.
    pub(crate) name: String,
    /// The slice's name, if this is a slice.
    pub(crate) slice: Option<String>,
    /// What the element is, for whoever left it out.
    pub(crate) short: Option<String>,
    /// How often it must be there.
    pub(crate) min: usize,
    /// How often it may be there; `None` if the differential sets no limit.
    pub(crate) max: Option<usize>,
    /// The types it may have; all, if empty.
    pub(crate) types: Vec<String>,
    /// Exactly this value.
    pub(crate) fixed: Option<Value>,
    /// At least this value.
    pub(crate) pattern: Option<Value>,
    /// The codes it may hold.
    pub(crate) binding: Option<Binding>,
    /// How its occurrences are told apart.
    pub(crate) slicing: Option<Slicing>,
    /// The slices, if it is sliced.
    pub(crate) slices: Vec<ElementRule>,
    /// The elements inside.
    pub(crate) children: Vec<ElementRule>,
}

/// How an element's occurrences are told apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slicing {
    /// Paths whose fixed or pattern value decides, as steps; no step means the element itself.
    pub(crate) discriminators: Vec<Vec<String>>,
    /// What becomes of an occurrence that belongs to no slice.
    pub(crate) rules: SlicingRules,
}

/// What becomes of an occurrence that belongs to no slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlicingRules {
    /// It is an error.
    Closed,
    /// It is no concern of the profile.
    Open,
}

/// Which codes an element may hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    /// How strictly.
    pub(crate) strength: BindingStrength,
    /// The value set and, after it, additional ones; a code in any of them is right. Where an additional
    /// one applies only in certain usages, that is not looked at: it would need the meaning of other elements.
    pub(crate) value_sets: Vec<String>,
}

/// How strictly an element is bound to its value set. Weaker bindings than these are no rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindingStrength {
    /// Another code is an error.
    Required,
    /// Another code is right only if none of the set fits, which deserves a warning.
    Extensible,
}

impl Structure {
    /// Reads the differential of a constraint.
    pub(super) fn read(json: &Value, source: Source<'_>) -> Result<Self, ProfileError> {
        const ROOT: &str = "StructureDefinition";
        let url = source.text(json, ROOT, "url")?.to_owned();
        let resource_type = source.text(json, ROOT, "type")?;
        let mut root = ElementRule::at(resource_type, None);
        let elements = json.pointer("/differential/element").and_then(Value::as_array);
        for element in elements.ok_or_else(|| source.malformed(ROOT, "differential is missing"))? {
            let id = source.text(element, ROOT, "id")?;
            let mut steps = id.split('.');
            if steps.next() != Some(resource_type) {
                return Err(source.malformed(id, "the id does not begin with the type of the profile"));
            }
            let rule = steps.fold(&mut root, |rule, step| rule.step(step));
            rule.read(element, source)?;
        }
        root.check_slicing(source)?;
        Ok(Self { url, root })
    }
}

impl ElementRule {
    /// A rule that demands nothing yet.
    fn at(id: &str, parent_path: Option<&str>) -> Self {
        let last = id.rsplit('.').next().unwrap_or(id);
        let (name, slice) = last.split_once(':').map_or((last, None), |(name, slice)| (name, Some(slice)));
        Self {
            id: id.to_owned(),
            path: parent_path.map_or_else(|| name.to_owned(), |parent| format!("{parent}.{name}")),
            name: name.to_owned(),
            slice: slice.map(str::to_owned),
            ..Self::default()
        }
    }

    /// This rule and all rules below it.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        let below = self.slices.iter().chain(&self.children).flat_map(Self::iter);
        Box::new(std::iter::once(self).chain(below))
    }

    /// The rule of one more step of an element id (`part` or `part:Content`), made where there is none:
    /// a differential may leave out what it does not change.
    fn step(&mut self, step: &str) -> &mut Self {
        let (name, slice) = step.split_once(':').map_or((step, None), |(name, slice)| (name, Some(slice)));
        let id = format!("{}.{name}", self.id);
        let path = self.path.clone();
        let child =
            find_or_push(&mut self.children, |child| child.name == name, || Self::at(&id, Some(&path)));
        match slice {
            None => child,
            Some(slice) => find_or_push(
                &mut child.slices,
                |rule| rule.slice.as_deref() == Some(slice),
                || Self::at(&format!("{id}:{slice}"), Some(&path)),
            ),
        }
    }

    fn read(&mut self, json: &Value, source: Source<'_>) -> Result<(), ProfileError> {
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
        if json.get("sliceName").and_then(Value::as_str) != self.slice.as_deref() {
            return Err(source.malformed(&id, "the slice name is not the one of the id"));
        }
        self.short = json.get("short").and_then(Value::as_str).map(str::to_owned);
        if let Some(min) = json.get("min") {
            let min = min.as_u64().and_then(|min| usize::try_from(min).ok());
            self.min = min.ok_or_else(|| source.malformed(&id, "min is not a number"))?;
        }
        self.max = match json.get("max").map(Value::as_str) {
            None | Some(Some("*")) => None,
            Some(max) => {
                let max = max.and_then(|max| max.parse().ok());
                Some(max.ok_or_else(|| source.malformed(&id, "max is neither a number nor *"))?)
            }
        };
        for kind in json.get("type").and_then(Value::as_array).into_iter().flatten() {
            for feature in ["profile", "targetProfile", "aggregation"] {
                if kind.get(feature).is_some() {
                    return Err(source.unsupported(&id, feature));
                }
            }
            self.types.push(source.text(kind, &id, "code")?.to_owned());
        }
        self.binding =
            json.get("binding").map(|json| Binding::read(json, &id, source)).transpose()?.flatten();
        self.slicing = json.get("slicing").map(|json| Slicing::read(json, &id, source)).transpose()?;
        Ok(())
    }

    /// Whether each slice says which value at each discriminator makes an occurrence its own.
    fn check_slicing(&self, source: Source<'_>) -> Result<(), ProfileError> {
        for rule in self.iter().filter(|rule| !rule.slices.is_empty()) {
            let slicing =
                rule.slicing.as_ref().ok_or_else(|| source.malformed(&rule.id, "slicing is missing"))?;
            for slice in &rule.slices {
                let told_apart =
                    slicing.discriminators.iter().all(|path| slice.discriminating(path).is_some());
                if !told_apart {
                    return Err(
                        source.unsupported(&slice.id, "a slice without a fixed or pattern discriminator")
                    );
                }
            }
        }
        Ok(())
    }

    /// The rule below this one, at a discriminator's path, whose fixed or pattern value decides.
    pub(crate) fn discriminating(&self, path: &[String]) -> Option<&Self> {
        let rule = path
            .iter()
            .try_fold(self, |rule, step| rule.children.iter().find(|child| child.name == *step))?;
        (rule.fixed.is_some() || rule.pattern.is_some()).then_some(rule)
    }
}

impl Slicing {
    fn read(json: &Value, id: &str, source: Source<'_>) -> Result<Self, ProfileError> {
        let rules = match source.text(json, id, "rules")? {
            "closed" => SlicingRules::Closed,
            "open" => SlicingRules::Open,
            _ => return Err(source.unsupported(id, "slicing with these rules")),
        };
        if json.get("ordered").and_then(Value::as_bool) == Some(true) {
            return Err(source.unsupported(id, "ordered slicing"));
        }
        let given = json.get("discriminator").and_then(Value::as_array).filter(|given| !given.is_empty());
        let mut discriminators = Vec::new();
        for discriminator in given.ok_or_else(|| source.malformed(id, "the discriminator is missing"))? {
            if !matches!(source.text(discriminator, id, "type")?, "value" | "pattern") {
                return Err(source.unsupported(id, "a discriminator of this type"));
            }
            discriminators.push(match source.text(discriminator, id, "path")? {
                "$this" => Vec::new(),
                path if path.contains(['(', '[', '$']) => {
                    return Err(source.unsupported(id, "a discriminator with this path"));
                }
                path => path.split('.').map(str::to_owned).collect(),
            });
        }
        Ok(Self { discriminators, rules })
    }
}

impl Binding {
    /// Reads a binding; `None` if it is too weak to be a rule.
    fn read(json: &Value, id: &str, source: Source<'_>) -> Result<Option<Self>, ProfileError> {
        let strength = match source.text(json, id, "strength")? {
            "required" => BindingStrength::Required,
            "extensible" => BindingStrength::Extensible,
            "preferred" | "example" => return Ok(None),
            _ => return Err(source.unsupported(id, "a binding of this strength")),
        };
        let mut value_sets = vec![without_version(source.text(json, id, "valueSet")?).to_owned()];
        for extension in json.get("extension").and_then(Value::as_array).into_iter().flatten() {
            if extension.get("url").and_then(Value::as_str) != Some(ADDITIONAL_BINDING) {
                continue;
            }
            for part in extension.get("extension").and_then(Value::as_array).into_iter().flatten() {
                match part.get("url").and_then(Value::as_str) {
                    Some("valueSet") => {
                        value_sets.push(without_version(source.text(part, id, "valueCanonical")?).to_owned());
                    }
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

/// Whether a key is a choice element's property: `fixedString` is one of `fixed[x]`.
fn is_choice_of(name: &str, key: &str) -> bool {
    key.strip_prefix(name).is_some_and(|kind| kind.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn find_or_push(
    rules: &mut Vec<ElementRule>,
    wanted: impl Fn(&ElementRule) -> bool,
    make: impl FnOnce() -> ElementRule,
) -> &mut ElementRule {
    let index = rules.iter().position(wanted).unwrap_or_else(|| {
        rules.push(make());
        rules.len() - 1
    });
    &mut rules[index]
}
