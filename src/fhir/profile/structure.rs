//! The tree of element rules of one profile. Only what profiles state is in the tree: what base FHIR R4 says
//! about an element is the general structure check's part. A profile that builds on another begins with a
//! copy of that one's tree.

use serde_json::Value;

use super::super::validate::Holds;
use super::error::Source;
use super::loader::Known;
use super::{Binding, ProfileError, SliceTest, Slicing};

/// The rules of one profile.
#[derive(Debug)]
pub(crate) struct Structure {
    /// The canonical URL.
    pub(crate) url: String,
    /// The rules of the resource, or of the value of a datatype.
    pub(crate) root: ElementRule,
}

/// What one element, or one slice of it, is held to.
#[derive(Debug, Default, Clone)]
pub(crate) struct ElementRule {
    /// The element id: `Parameters.parameter:Attachment.part`.
    pub(crate) id: String,
    /// The path without slices: `Parameters.parameter.part`.
    pub(crate) path: String,
    /// The last step of the path: `part`, or `value[x]` for a choice of types.
    pub(crate) name: String,
    /// The property that holds the extensions of a primitive: `_part`.
    pub(crate) twin: String,
    /// The slice's name, if this is a slice.
    pub(crate) slice: Option<String>,
    /// What the element is, for whoever left it out.
    pub(crate) short: Option<String>,
    /// How often it must be there.
    pub(crate) min: usize,
    /// How often it may be there; `None` if the profile sets no limit.
    pub(crate) max: Option<usize>,
    /// The types it may have; all, if empty.
    pub(crate) types: Vec<TypeRule>,
    /// Exactly this value.
    pub(crate) fixed: Option<Value>,
    /// At least this value.
    pub(crate) pattern: Option<Value>,
    /// The codes it may hold.
    pub(crate) binding: Option<Binding>,
    /// Rules between the elements inside.
    pub(crate) invariants: Vec<Invariant>,
    /// The id of the rule whose inner elements this one has too.
    pub(crate) content_reference: Option<String>,
    /// How its occurrences are told apart.
    pub(crate) slicing: Option<Slicing>,
    /// The slices, if it is sliced.
    pub(crate) slices: Vec<ElementRule>,
    /// If this is a slice, what makes an occurrence its own.
    pub(crate) tests: Vec<SliceTest>,
    /// The elements inside.
    pub(crate) children: Vec<ElementRule>,
}

/// A type that an element may have.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct TypeRule {
    /// The type: `CodeableConcept`, `Reference`, `Patient`.
    pub(crate) code: String,
    /// The profiles of which a value must keep one; any value will do, if empty.
    pub(crate) profiles: Vec<String>,
    /// For an extension, the URL that its profile gives it, whether or not that profile is known.
    pub(crate) extension_url: Option<String>,
    /// What a Reference may lead to; anything, if empty.
    pub(crate) targets: Vec<Target>,
    /// Whether a Reference must lead to a contained resource.
    pub(crate) contained_only: bool,
}

/// What a Reference may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The canonical URL of the profile, or of the resource type's own definition.
    pub(crate) url: String,
    /// The type of resource; `None` if the profile is not known here.
    pub(crate) resource_type: Option<String>,
    /// Whether there are rules for the profile.
    pub(crate) has_rules: bool,
}

/// A rule between elements.
#[derive(Debug, Clone)]
pub(crate) struct Invariant {
    /// FHIR's key for it: `cdex-1`.
    pub(crate) key: String,
    /// Whether breaking it deserves only a warning.
    pub(crate) is_warning: bool,
    /// What it demands.
    pub(crate) human: String,
    /// Whether it holds.
    pub(crate) holds: Holds,
}

impl Structure {
    /// Reads a differential into `root`, which holds what the profile builds on.
    pub(super) fn read(
        url: &str,
        mut root: ElementRule,
        json: &Value,
        source: Source<'_>,
        known: Known<'_>,
    ) -> Result<Self, Vec<ProfileError>> {
        let elements = json.pointer("/differential/element").and_then(Value::as_array);
        let Some(elements) = elements else {
            return Err(vec![source.malformed("StructureDefinition", "differential is missing")]);
        };
        let mut errors = Vec::new();
        for element in elements {
            let read = root.of_element(element, source).and_then(|rule| rule.read(element, source, known));
            errors.extend(read.err());
        }
        root.settle_slicing(source, &mut errors);
        if errors.is_empty() { Ok(Self { url: url.to_owned(), root }) } else { Err(errors) }
    }
}

impl ElementRule {
    /// The rule of a type, which demands nothing yet.
    pub(super) fn of_type(name: &str) -> Self {
        Self::at(name, None)
    }

    fn at(id: &str, parent_path: Option<&str>) -> Self {
        let last = id.rsplit('.').next().unwrap_or(id);
        let (name, slice) = split_slice(last);
        Self {
            id: id.to_owned(),
            path: parent_path.map_or_else(|| name.to_owned(), |parent| format!("{parent}.{name}")),
            name: name.to_owned(),
            twin: format!("_{name}"),
            slice: slice.map(str::to_owned),
            ..Self::default()
        }
    }

    /// The rule below this one, which is a type's, that has an element id without slices.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Self> {
        let mut steps = id.split('.');
        steps.next().filter(|root| *root == self.name)?;
        steps.try_fold(self, |rule, step| rule.child(step))
    }

    /// The rule of an element inside; that of a choice of types is found without its `[x]` too.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name || child.stem() == Some(name))
    }

    /// `value`, if this is `value[x]`.
    pub(crate) fn stem(&self) -> Option<&str> {
        self.name.strip_suffix("[x]")
    }

    /// The rule that an element of a differential is about, made where there is none: a differential may
    /// leave out what it does not change.
    fn of_element(&mut self, json: &Value, source: Source<'_>) -> Result<&mut Self, ProfileError> {
        let id = source.text(json, "StructureDefinition", "id")?;
        let mut steps = id.split('.');
        if steps.next() != Some(&self.name) {
            return Err(source.malformed(id, "the id does not begin with the type of the profile"));
        }
        Ok(steps.fold(self, Self::step))
    }

    /// The rule of one more step of an element id: `part` or `part:Content`.
    fn step(&mut self, step: &str) -> &mut Self {
        let (name, slice) = split_slice(step);
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
}

/// `part:Content` names an element and a slice of it.
fn split_slice(step: &str) -> (&str, Option<&str>) {
    step.split_once(':').map_or((step, None), |(name, slice)| (name, Some(slice)))
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
