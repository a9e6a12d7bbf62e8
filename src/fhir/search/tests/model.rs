//! The published definitions as a model that an expression can be followed through: which R4 types it comes to, what
//! references there may lead to, and what codes are bound to.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::fhir::search::expression::{Condition, Step};

/// What is known of the elements of R4.
pub(super) struct Model {
    elements: HashMap<String, Element>,
    value_sets: HashMap<String, Value>,
}

/// One element, or what an expression came to.
#[derive(Clone, Default)]
pub(super) struct Element {
    pub(super) types: BTreeSet<String>,
    /// `*` for any type.
    pub(super) targets: BTreeSet<String>,
    pub(super) value_set: Option<String>,
    /// Where its own elements are: a path in its resource.
    pub(super) inner: Option<String>,
    /// Whether JSON calls it by its type too.
    pub(super) is_choice: bool,
}

impl Model {
    pub(super) fn of(definitions: impl IntoIterator<Item = Value>) -> Self {
        let mut model = Self { elements: HashMap::new(), value_sets: HashMap::new() };
        for definition in definitions {
            match definition["resourceType"].as_str() {
                Some("ValueSet") => {
                    let url = text(&definition, "url");
                    model.value_sets.insert(url, definition);
                }
                // Profiles and extensions define no types.
                Some("StructureDefinition") if definition["derivation"] != "constraint" => {
                    for element in definition["snapshot"]["element"].as_array().into_iter().flatten() {
                        let path = text(element, "path");
                        let is_choice = path.ends_with("[x]");
                        let path = path.trim_end_matches("[x]").to_owned();
                        model.elements.insert(path.clone(), Element::of(element, &path, is_choice));
                    }
                }
                _ => {}
            }
        }
        model
    }

    /// What the steps lead to from an element of this type; `None` if there is no such element.
    pub(super) fn follow(&self, resource_type: &str, steps: &[Step]) -> Option<Element> {
        let start = Element { inner: Some(resource_type.to_owned()), ..Element::default() };
        steps.iter().try_fold(start, |from, step| match step {
            Step::Resource => Some(Element { inner: Some(resource_type.to_owned()), ..Element::default() }),
            Step::Where(Condition::Refers(target)) => {
                Some(Element { targets: BTreeSet::from([(*target).to_owned()]), ..from })
            }
            Step::Where(_) => Some(from),
            Step::Choice { name } => self.member(&from, name),
            Step::Member { name, .. } => {
                // A choice must be known as one, or it would never be found in JSON.
                self.member(&from, name)
                    .filter(|found| !found.is_choice)
                    .or_else(|| self.of_choice(&from, name))
            }
        })
    }

    fn bases(from: &Element) -> Vec<&String> {
        from.inner.as_ref().map_or_else(|| from.types.iter().collect(), |inner| vec![inner])
    }

    fn member(&self, from: &Element, name: &str) -> Option<Element> {
        let found =
            Self::bases(from).into_iter().filter_map(|base| self.elements.get(&format!("{base}.{name}")));
        found.cloned().reduce(|mut left, right| {
            left.types.extend(right.types);
            left.targets.extend(right.targets);
            left
        })
    }

    /// `valueQuantity`: the Quantity of the choice `value`.
    fn of_choice(&self, from: &Element, name: &str) -> Option<Element> {
        (1..name.len()).filter(|at| name.as_bytes()[*at].is_ascii_uppercase()).find_map(|at| {
            let choice = self.member(from, &name[..at]).filter(|found| found.is_choice)?;
            let of_type =
                choice.types.iter().find(|of_type| of_type.eq_ignore_ascii_case(&name[at..]))?.clone();
            let targets = if of_type == "Reference" { choice.targets } else { BTreeSet::new() };
            Some(Element {
                types: BTreeSet::from([of_type]),
                targets,
                inner: None,
                is_choice: false,
                ..choice
            })
        })
    }

    /// The code systems of an element that is a code or a boolean, if they are known.
    pub(super) fn systems(&self, element: &Element) -> Option<BTreeSet<String>> {
        if element.types.contains("boolean") {
            return Some(BTreeSet::from(["http://terminology.hl7.org/CodeSystem/special-values".to_owned()]));
        }
        self.systems_of(element.value_set.as_ref()?)
    }

    fn systems_of(&self, value_set: &str) -> Option<BTreeSet<String>> {
        let url = value_set.split('|').next()?;
        let mut systems = BTreeSet::new();
        for include in self.value_sets.get(url)?["compose"]["include"].as_array()? {
            systems.extend(include["system"].as_str().map(str::to_owned));
            for included in include["valueSet"].as_array().into_iter().flatten() {
                systems.extend(self.systems_of(included.as_str()?)?);
            }
        }
        Some(systems)
    }
}

impl Element {
    /// What an expression comes to that is true or false.
    pub(super) fn boolean() -> Self {
        Self { types: BTreeSet::from(["boolean".to_owned()]), ..Self::default() }
    }

    fn of(element: &Value, path: &str, is_choice: bool) -> Self {
        let mut found = Self { is_choice, ..Self::default() };
        for of_type in element["type"].as_array().into_iter().flatten() {
            let code = text(of_type, "code");
            match code.as_str() {
                "BackboneElement" | "Element" => found.inner = Some(path.to_owned()),
                // FHIRPath's own string: the type of ids.
                code if code.starts_with("http:") => drop(found.types.insert("id".to_owned())),
                _ => drop(found.types.insert(code)),
            }
            for target in of_type["targetProfile"].as_array().into_iter().flatten() {
                let name = target.as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
                found.targets.insert(if name == "Resource" { "*".to_owned() } else { name.to_owned() });
            }
        }
        let content =
            element["contentReference"].as_str().map(|path| path.trim_start_matches('#').to_owned());
        found.inner = content.or(found.inner);
        found.value_set = element["binding"]["valueSet"].as_str().map(str::to_owned);
        found
    }
}

fn text(json: &Value, element: &str) -> String {
    json[element].as_str().unwrap_or_default().to_owned()
}
