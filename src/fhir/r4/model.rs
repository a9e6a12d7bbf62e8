//! The model of R4 as its users see it: types, their elements, and what JSON calls them. Built once from the tables and
//! then never changed; everything in it lives as long as the program.

use super::primitive::Primitive;
use super::table::MODEL;
#[cfg(test)]
use super::value_set::whole_url;
use super::value_set::{ValueSet, has_form, value_set};

/// A resource type, a complex datatype, or the inner type of one element (`Patient.contact`).
#[derive(Debug)]
pub(crate) struct Type {
    pub(super) index: usize,
    pub(super) name: &'static str,
    pub(super) base: Option<usize>,
    pub(super) is_resource: bool,
    pub(super) is_abstract: bool,
    /// Inherited ones first.
    pub(super) elements: Vec<Element>,
    /// What JSON calls them, in alphabetical order.
    pub(super) names: Vec<Name>,
    /// A bit for each element with a minimum above zero.
    pub(super) required: u64,
}

/// A JSON name and what it stands for.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    pub(super) element: usize,
    pub(super) of_type: usize,
}

impl Type {
    /// Where it stands in [`super::types`].
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Its name; of an inner type the path of its element.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is a resource, abstract or not.
    pub(crate) fn is_resource(&self) -> bool {
        self.is_resource
    }

    /// Whether it is only there to be specialised.
    pub(crate) fn is_abstract(&self) -> bool {
        self.is_abstract
    }

    /// What it specialises.
    pub(crate) fn base(&self) -> Option<&'static Type> {
        self.base.map(|index| &MODEL.types()[index])
    }

    /// All its elements, inherited ones first, in the published order.
    pub(crate) fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// Which elements must be there, as a set of bits by [`Property::index`].
    pub(crate) fn required(&self) -> u64 {
        self.required
    }

    /// The element that JSON calls so (`valueString`), and its type there.
    pub(crate) fn property(&self, json_name: &str) -> Option<Property<'_>> {
        let found = self.names.binary_search_by(|name| (*name.text).cmp(json_name)).ok()?;
        let Name { element: index, of_type, .. } = self.names[found];
        let element = &self.elements[index];
        Some(Property { index, element, of_type: &element.types[of_type] })
    }

    /// The element of this name, as in JSON (`valueString`) or as in FHIRPath (`value`).
    #[cfg(test)]
    pub(crate) fn element(&self, name: &str) -> Option<&Element> {
        let by_path = || self.elements.iter().find(|element| element.name == name);
        self.property(name).map(|property| property.element).or_else(by_path)
    }
}

/// What a JSON name stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Property<'a> {
    /// Where the element stands in [`Type::elements`].
    pub(crate) index: usize,
    /// The element.
    pub(crate) element: &'a Element,
    /// Which of its types this name says.
    pub(crate) of_type: &'a ElementType,
}

/// An element of a type.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    /// As in FHIRPath: `value` of what R4 writes `value[x]`.
    pub(crate) name: &'static str,
    /// Whether it has a choice of types, so that JSON calls it `valueString`.
    pub(crate) is_choice: bool,
    /// The type, or those to choose from.
    pub(crate) types: Vec<ElementType>,
    /// How often it must be there.
    pub(crate) min: u32,
    /// How often it may be there; `None` is without limit, and then it is an array.
    pub(crate) max: Option<u32>,
    /// Whether `_summary=true` shows it.
    pub(crate) is_summary: bool,
    /// The value set that its codes must be from, where R4 demands one.
    pub(crate) binding: Option<Binding>,
}

impl Element {
    /// Whether JSON writes it as an array.
    pub(crate) fn repeats(&self) -> bool {
        self.max != Some(1)
    }

    /// The type that a JSON name of this element says; `None` if it is not one of its names.
    #[cfg(test)]
    pub(crate) fn type_of(&self, json_name: &str) -> Option<&ElementType> {
        let suffix = json_name.strip_prefix(self.name)?;
        if !self.is_choice {
            return self.types.first().filter(|_| suffix.is_empty());
        }
        self.types.iter().find(|of_type| is_suffix(suffix, of_type.name()))
    }
}

/// A type that an element may have.
#[derive(Debug, Clone)]
pub(crate) struct ElementType {
    /// What a value looks like.
    pub(crate) form: Form,
    /// Which resource types a Reference or canonical may point to; empty where any may be. Of a Quantity: its profile
    /// SimpleQuantity.
    pub(crate) targets: Vec<&'static str>,
}

impl ElementType {
    /// The name of the type; of an inner type the path of its element.
    #[cfg(test)]
    pub(crate) fn name(&self) -> &'static str {
        match self.form {
            Form::Primitive(primitive) => primitive.name(),
            Form::Complex(index) => MODEL.types()[index].name,
            Form::Resource => "Resource",
        }
    }

    /// The type with its elements, unless it is primitive or any resource.
    pub(crate) fn complex(&self) -> Option<&'static Type> {
        match self.form {
            Form::Complex(index) => Some(&MODEL.types()[index]),
            Form::Primitive(_) | Form::Resource => None,
        }
    }
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A plain value.
    Primitive(Primitive),
    /// An object with the elements of the type at this index.
    Complex(usize),
    /// A whole resource that says its type itself.
    Resource,
}

/// A required binding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    pub(super) name: &'static str,
    pub(super) codes: Option<&'static ValueSet>,
}

impl Binding {
    pub(super) fn to(name: &'static str) -> Self {
        Self { name, codes: value_set(name) }
    }

    /// The canonical URL of the value set, without a version.
    #[cfg(test)]
    pub(crate) fn url(&self) -> String {
        whole_url(self.name)
    }

    /// Whether a plain code may be there. Of a set that nobody can list the form decides, as far as it has one.
    pub(crate) fn accepts(&self, code: &str) -> bool {
        self.codes.map_or_else(|| has_form(self.name, code), |codes| codes.contains(code))
    }

    /// The codes, where they can be listed.
    pub(crate) fn value_set(&self) -> Option<&'static ValueSet> {
        self.codes
    }
}

/// Whether a choice element of a type of this name ends so in JSON: the name with a capital letter.
#[cfg(test)]
fn is_suffix(suffix: &str, type_name: &str) -> bool {
    let mut suffix = suffix.chars();
    let mut name = type_name.chars();
    suffix.next() == name.next().map(|first| first.to_ascii_uppercase()) && suffix.eq(name)
}
