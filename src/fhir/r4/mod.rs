//! What FHIR R4 (4.0.1) publishes about its types, as a model to walk: the elements of every resource and
//! datatype, their cardinalities, types, reference targets and required bindings, and the codes of those.
//!
//! The facts are the tables in `profiles/r4/`, compiled in and parsed once; a test derives them from the published
//! definitions. [`model`] shapes what [`table`] reads; [`primitive`] holds the lexical forms. Nothing here looks at
//! a resource: that is [`super::structure`].

mod model;
mod primitive;
mod table;
#[cfg(test)]
mod tests;
mod value_set;

use self::table::MODEL;

pub(crate) use self::model::{Binding, Element, ElementType, Form, Property, Type};
pub(crate) use self::primitive::Primitive;
pub(crate) use self::value_set::ValueSet;

/// The resource type of this name. Abstract types (Resource, DomainResource) are not among them: nothing is of such
/// a type.
pub(crate) fn resource(name: &str) -> Option<&'static Type> {
    MODEL.named(name).filter(|found| found.is_resource() && !found.is_abstract())
}

/// The complex datatype of this name, abstract ones (Element, BackboneElement) included.
pub(crate) fn datatype(name: &str) -> Option<&'static Type> {
    MODEL.named(name).filter(|found| !found.is_resource() && !found.name().contains('.'))
}

/// The resource type of this name, as a text that does not come from a client.
pub(crate) fn resource_type(name: &str) -> Option<&'static str> {
    resource(name).map(Type::name)
}

/// Every resource type that something can be of, in alphabetical order.
pub(crate) fn resources() -> impl Iterator<Item = &'static Type> {
    MODEL.types().iter().filter(|found| found.is_resource() && !found.is_abstract())
}

/// Every type with elements, the inner ones (`Patient.contact`) too; the place of each is its [`Type::index`].
pub(crate) fn types() -> &'static [Type] {
    MODEL.types()
}
