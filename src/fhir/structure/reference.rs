//! References: whether one points to a type that its element allows, and whether what a resource contains is pointed
//! to. Only the text of a reference is read; nothing is resolved outside the resource.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::invariant;
use super::place::Place;
use super::problem::Problem;
use super::walk::{Scope, Walk};
use crate::fhir::{datatype, r4};

/// Checks a Reference; without `targets` it may point to any type.
pub(super) fn check(
    walk: &mut Walk,
    reference: &Map<String, Value>,
    targets: &[&'static str],
    place: &Place<'_>,
    scope: Scope<'_>,
) {
    let is_allowed = |name: &str| targets.is_empty() || targets.contains(&name);
    let text = |name: &str| reference.get(name).and_then(Value::as_str);
    let mut pointed_at = None;
    if let Some(url) = text("reference") {
        let place = place.member("reference");
        match target(url, scope.root) {
            Target::Type(name) => {
                pointed_at = Some(name);
                if !is_allowed(name) {
                    walk.report(Problem::ReferenceTarget, &place);
                }
            }
            Target::UnknownType => walk.report(Problem::ReferenceTarget, &place),
            Target::NotContained => walk.report(Problem::Broken(&invariant::REF_1), &place),
            Target::Elsewhere => {}
        }
    }
    // A type that is a whole URL is of a logical model.
    if let Some(claimed) = text("type").filter(|claimed| !claimed.contains(':')) {
        let agrees = pointed_at.is_none_or(|name| name == claimed);
        if !(agrees && is_allowed(claimed) && r4::resource(claimed).is_some()) {
            walk.report(Problem::ReferenceType, &place.member("type"));
        }
    }
}

/// The resource type that a reference names; `None` if it does not tell.
pub(super) fn type_of(url: &str) -> Option<&'static str> {
    match target(url, &Map::new()) {
        Target::Type(name) => Some(name),
        _ => None,
    }
}

/// What the text of a reference tells.
enum Target {
    Type(&'static str),
    /// It is relative and names a type that R4 does not have.
    UnknownType,
    /// It points into the resource, to something that is not there.
    NotContained,
    /// It does not tell.
    Elsewhere,
}

fn target(url: &str, root: &Map<String, Value>) -> Target {
    if let Some(id) = url.strip_prefix('#') {
        // `#` alone is the containing resource.
        let found = if id.is_empty() { Some(root) } else { contained(root).find(|inner| has_id(inner, id)) };
        let Some(found) = found else { return Target::NotContained };
        let name = found.get("resourceType").and_then(Value::as_str).and_then(r4::resource_type);
        return name.map_or(Target::Elsewhere, Target::Type);
    }
    // FHIR R4, References: `(base/)?Type/id(/_history/version)?`
    let mut parts = url.rsplit('/');
    let mut last = parts.next().unwrap_or_default();
    let mut before = parts.next();
    if before == Some("_history") {
        last = parts.next().unwrap_or_default();
        before = parts.next();
    }
    let Some(name) = before.filter(|_| datatype::is_id(last)) else { return Target::Elsewhere };
    match r4::resource_type(name) {
        Some(name) => Target::Type(name),
        None if parts.next().is_none() && !name.contains(':') => Target::UnknownType,
        None => Target::Elsewhere,
    }
}

fn contained(resource: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let all = resource.get("contained").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_object)
}

fn has_id(resource: &Map<String, Value>, id: &str) -> bool {
    resource.get("id").and_then(Value::as_str) == Some(id)
}

/// Checks what a resource contains (`dom-2` to `dom-5`).
pub(super) fn check_contained(walk: &mut Walk, resource: &Map<String, Value>, place: &Place<'_>) {
    let Some(all) = resource.get("contained").and_then(Value::as_array) else { return };
    let mut fragments = HashSet::new();
    resource.values().for_each(|value| collect_fragments(value, &mut fragments));
    let place = place.member("contained");
    for (index, inner) in all.iter().enumerate() {
        let Some(members) = inner.as_object() else { continue };
        let place = place.entry(index);
        if members.contains_key("contained") {
            walk.report(Problem::Broken(&invariant::DOM_2), &place.member("contained"));
        }
        let id = members.get("id").and_then(Value::as_str);
        let refers_back = || {
            let mut own = HashSet::new();
            collect_fragments(inner, &mut own);
            own.contains("")
        };
        if !id.is_some_and(|id| fragments.contains(id)) && !refers_back() {
            walk.report(Problem::Broken(&invariant::DOM_3), &place);
        }
        let Some(meta) = members.get("meta").and_then(Value::as_object) else { continue };
        let place = place.member("meta");
        for (name, invariant) in [
            ("versionId", &invariant::DOM_4),
            ("lastUpdated", &invariant::DOM_4),
            ("security", &invariant::DOM_5),
        ] {
            if meta.contains_key(name) {
                walk.report(Problem::Broken(invariant), &place.member(name));
            }
        }
    }
}

/// Every text that could point into the resource: a Reference, canonical, uri or url with a fragment alone.
fn collect_fragments<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix('#')),
        Value::Array(entries) => entries.iter().for_each(|entry| collect_fragments(entry, found)),
        Value::Object(members) => members.values().for_each(|member| collect_fragments(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
