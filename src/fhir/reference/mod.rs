//! References between resources: all of them in a resource, to be looked up or to be given other texts when a
//! transaction has named its resources. [`narrative`] knows the links in XHTML.
//!
//! Whether something exists at the other end is not its business.

mod narrative;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::path;

/// Whether a text is an absolute URI: a scheme (RFC 3986, 3.1), then something.
pub(crate) fn is_absolute(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// The elements of type uri, url, oid or uuid that may point to a resource, by their names in JSON. Identifiers of
/// systems and names of profiles are of these types too, but name no resource of a transaction.
const LINKS: [&str; 11] = [
    "definitionUri",
    "derivedFromUri",
    "eventUri",
    "instantiatesUri",
    "rendering",
    "uri",
    "url",
    "valueOid",
    "valueUri",
    "valueUrl",
    "valueUuid",
];

/// All literal references of a resource, each with the path of its element; `at` is the path of the resource. What a
/// Bundle has in it refers to its other entries first and is not looked at.
pub(crate) fn find_references<'a>(resource: &'a Value, at: &str) -> Vec<(String, &'a str)> {
    let mut found = Vec::new();
    find(resource, &mut at.to_owned(), &mut found);
    found
}

fn find<'a>(value: &'a Value, at: &mut String, found: &mut Vec<(String, &'a str)>) {
    let length = at.len();
    match value {
        Value::Object(members) if is_bundle(members) => {}
        Value::Object(members) => {
            let is_reference = is_reference(members);
            for (name, value) in members {
                path::push_member(at, name.as_bytes());
                match value.as_str() {
                    Some(text) if is_reference && name == "reference" => found.push((at.clone(), text)),
                    _ => find(value, at, found),
                }
                at.truncate(length);
            }
        }
        Value::Array(entries) => {
            for (index, value) in entries.iter().enumerate() {
                path::push_index(at, index);
                find(value, at, found);
                at.truncate(length);
            }
        }
        _ => {}
    }
}

/// Gives references other texts (FHIR R4, RESTful API, Transaction Processing Rules): `rename` is asked about each
/// `Reference.reference`, and about each absolute URI in elements of type uri, url, oid or uuid and in the links and
/// images of narratives. Where it answers, the answer replaces the whole text. Canonical URLs and identifiers are
/// left alone, and so is what a Bundle has in it: it is kept whole, and its references are its own.
pub(crate) fn rewrite_references(resource: &mut Value, mut rename: impl FnMut(&str) -> Option<String>) {
    rewrite(resource, &mut rename);
}

fn rewrite(value: &mut Value, rename: &mut dyn FnMut(&str) -> Option<String>) {
    match value {
        Value::Object(members) => {
            if is_bundle(members) {
                return;
            }
            let is_reference = is_reference(members);
            for (name, value) in members {
                let is_link = LINKS.contains(&name.as_str());
                match value {
                    Value::String(text) if is_link => rewrite_uri(text, rename),
                    Value::Array(entries) if is_link => {
                        for entry in entries {
                            match entry {
                                Value::String(text) => rewrite_uri(text, rename),
                                entry => rewrite(entry, rename),
                            }
                        }
                    }
                    Value::String(text) if is_reference && name == "reference" => {
                        if let Some(renamed) = rename(text) {
                            *text = renamed;
                        }
                    }
                    Value::String(text) if name == "div" => {
                        if let Cow::Owned(renamed) = narrative::rewrite_links(text, &mut *rename) {
                            *text = renamed;
                        }
                    }
                    value => rewrite(value, rename),
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| rewrite(entry, rename)),
        _ => {}
    }
}

fn rewrite_uri(text: &mut String, rename: &mut dyn FnMut(&str) -> Option<String>) {
    if let Some(renamed) = is_absolute(text).then(|| rename(text)).flatten() {
        *text = renamed;
    }
}

/// Whether an object with a text in `reference` is a Reference and not, say, an extension's own thing.
fn is_reference(members: &Map<String, Value>) -> bool {
    const MEMBERS: [&str; 6] = ["reference", "type", "identifier", "display", "id", "extension"];
    members.get("reference").is_some_and(Value::is_string)
        && members.keys().all(|name| MEMBERS.contains(&name.strip_prefix('_').unwrap_or(name)))
}

fn is_bundle(members: &Map<String, Value>) -> bool {
    members.get("resourceType").is_some_and(|name| name == "Bundle")
}
