//! What a FHIRPath Patch must know of R4: which elements there are at a place, and which of them repeat. JSON writes
//! an element that repeats as an array even where there is one, and a choice such as `value[x]` by its type.

use fhirbolt::FhirReleases;
use fhirbolt_shared::path::ElementPath;

/// Whether the element of this JSON name repeats; `None` if there is none at the place. A place is the names that
/// lead to it from the resource type on, such as `["Patient", "contact"]`.
pub(super) fn repeats(place: &[&str], name: &str) -> Option<bool> {
    let mut model = ElementPath::new(FhirReleases::R4);
    for step in place {
        model.push(step);
    }
    match (model.children(), name) {
        (Some(elements), _) if elements.contains(name) => {
            model.push(name);
            Some(model.current_element_is_sequence())
        }
        // What every element has, those with a plain value too.
        (_, "extension") => Some(true),
        (_, "id") => Some(false),
        _ => None,
    }
}

/// The JSON name that an element is written under, and whether it repeats: `value` of the type `Quantity` is written
/// as `valueQuantity`.
pub(super) fn json_name(place: &[&str], name: &str, type_name: Option<&str>) -> Option<(String, bool)> {
    let name = name.strip_suffix("[x]").unwrap_or(name);
    if let Some(repeats) = repeats(place, name) {
        return Some((name.to_owned(), repeats));
    }
    let name = format!("{name}{}", type_name?);
    repeats(place, &name).map(|repeats| (name, repeats))
}

/// Whether `key` is how JSON writes the choice element `name` of one type or another.
pub(super) fn is_choice(place: &[&str], name: &str, key: &str) -> bool {
    key.strip_prefix(name).is_some_and(|suffix| suffix.starts_with(|first: char| first.is_ascii_uppercase()))
        && repeats(place, key).is_some()
        && repeats(place, name).is_none()
}
