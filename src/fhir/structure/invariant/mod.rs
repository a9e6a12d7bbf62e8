//! The invariants of R4 by their published keys, each as a function over the element that it is about. The published
//! severity is `error` for all that are here; best practices (`dom-6`) are nobody's mistake and left out.
//!
//! Also left out are those that cannot fail as published (`ppc-2` to `ppc-5` compare with a made-up system), those on
//! XHTML beyond its form (`txt-1`, `txt-2`), and those about definitions (StructureDefinition, ImplementationGuide,
//! StructureMap, TestScript), which the gateway stores and never uses.

mod administration;
mod bundle;
mod clinical;
mod conformance;
mod datatype;
mod moment;
mod node;
mod questionnaire;

use std::sync::LazyLock;

use crate::fhir::r4::{self, Type};

pub(super) use self::node::Node;

/// A rule between the parts of one element.
#[derive(Debug)]
pub(super) struct Invariant {
    /// As published.
    pub(super) key: &'static str,
    /// The type that it is asked of: a datatype, a resource type, or the inner type of an element.
    pub(super) on: &'static str,
    /// What it asks, in few words.
    pub(super) says: &'static str,
    /// Whether an element keeps it.
    pub(super) holds: fn(Node<'_>) -> bool,
}

const fn rule(
    key: &'static str,
    on: &'static str,
    says: &'static str,
    holds: fn(Node<'_>) -> bool,
) -> Invariant {
    Invariant { key, on, says, holds }
}

/// Judged by the walk, which knows more than the element: the key and the words only.
const fn judged_by_walk(key: &'static str, on: &'static str, says: &'static str) -> Invariant {
    rule(key, on, says, |_| true)
}

pub(super) static ELE_1: Invariant =
    judged_by_walk("ele-1", "Element", "An element has a value or something beside its id");
pub(super) static REF_1: Invariant =
    judged_by_walk("ref-1", "Reference", "A reference within the resource points to a contained resource");
pub(super) static SQTY_1: Invariant =
    judged_by_walk("sqty-1", "Quantity", "There must be no comparator here");
pub(super) static DOM_2: Invariant =
    judged_by_walk("dom-2", "DomainResource", "A contained resource contains no other");
pub(super) static DOM_3: Invariant = judged_by_walk(
    "dom-3",
    "DomainResource",
    "A contained resource is referred to by the resource, or refers to it",
);
pub(super) static DOM_4: Invariant =
    judged_by_walk("dom-4", "DomainResource", "A contained resource has no version and no time of update");
pub(super) static DOM_5: Invariant =
    judged_by_walk("dom-5", "DomainResource", "A contained resource has no security label");

/// All but those that the walk judges itself.
fn all() -> impl Iterator<Item = &'static Invariant> {
    [
        datatype::RULES,
        bundle::RULES,
        clinical::RULES,
        administration::RULES,
        questionnaire::RULES,
        conformance::RULES,
    ]
    .into_iter()
    .flatten()
}

/// For each type of the model, by its index, the rules about it and about what it specialises.
static BY_TYPE: LazyLock<Vec<Vec<&'static Invariant>>> = LazyLock::new(|| {
    let is_about = |of: &Type, invariant: &Invariant| {
        std::iter::successors(Some(of), |of| of.base()).any(|of| of.name() == invariant.on)
    };
    let about = |of: &Type| all().filter(|invariant| is_about(of, invariant)).collect();
    r4::types().iter().map(about).collect()
});

/// The rules for elements of a type.
pub(super) fn of(of: &Type) -> &'static [&'static Invariant] {
    &BY_TYPE[of.index()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::fhir::testing;

    #[test]
    fn every_key_is_a_published_error_about_that_element() {
        let (Some(mut definitions), Some(more)) =
            (testing::r4_definitions("profiles-resources"), testing::r4_definitions("profiles-types"))
        else {
            return;
        };
        definitions.extend(more);
        let list =
            |value: &serde_json::Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let mut published = HashSet::new();
        for element in definitions.iter().flat_map(|definition| list(&definition["snapshot"], "element")) {
            for constraint in list(&element, "constraint") {
                if constraint["severity"] == "error" {
                    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                    published.insert((text(&constraint["key"]), text(&element["path"])));
                }
            }
        }
        let by_walk = [&ELE_1, &REF_1, &SQTY_1, &DOM_2, &DOM_3, &DOM_4, &DOM_5];
        for invariant in all().chain(by_walk) {
            // What has no type of its own is looked at from the type that contains it.
            let is_it = |path: &str| {
                path.strip_prefix(invariant.on).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let mut paths = published.iter().filter(|(key, _)| key == invariant.key).map(|(_, path)| path);
            assert!(paths.any(|path| is_it(path)), "{} on {}", invariant.key, invariant.on);
        }
        assert_eq!(
            all().map(|invariant| (invariant.key, invariant.on)).collect::<HashSet<_>>().len(),
            all().count()
        );
    }

    #[test]
    fn every_rule_is_about_a_type_of_the_model() {
        for invariant in all() {
            assert!(r4::types().iter().any(|of| of.name() == invariant.on), "{}", invariant.on);
        }
    }
}
