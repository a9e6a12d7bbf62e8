//! Parts of a resource, as `_summary` and `_elements` ask for (FHIR R4, Search, Managing Returned Resources), made from
//! the stored text without a tree. What is left is marked by the tag SUBSETTED, so that nobody takes it for
//! the whole. Which elements a summary has is given by whoever knows R4.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::datatype::Coding;
use super::resource::{Malformed, Member, entries, members};

/// The code system of the tag SUBSETTED.
const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// The tag, as JSON.
const SUBSETTED: &str =
    r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

/// What is wanted of each resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subset {
    /// `_summary=true`: the elements that R4 marks so, at each level.
    Summary,
    /// `_summary=text`: the narrative and what must not be left out.
    Text,
    /// `_summary=data`: all but the narrative.
    Data,
    /// `_elements=…`: the elements named, and what must not be left out.
    Elements(Vec<ElementName>),
}

/// A name in `_elements`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ElementName {
    /// The type that it is meant for, in `Patient.name`; else for all.
    resource_type: Option<String>,
    /// An element at the top of the resource, a choice without its type: `value`.
    name: String,
}

/// What R4 says about an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ElementFacts {
    /// It is part of a summary (`ElementDefinition.isSummary`).
    pub(crate) is_summary: bool,
    /// It must be there (`ElementDefinition.min` is not zero).
    pub(crate) is_mandatory: bool,
    /// The JSON name has the type of a choice at its end.
    pub(crate) is_choice: bool,
}

impl Subset {
    /// Reads the value of `_elements`. Names of elements inside others (`name.given`) choose nothing.
    pub(crate) fn elements(list: &str) -> Self {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty()).filter_map(|name| {
            let (resource_type, name) = match name.split_once('.') {
                Some((first, name)) if first.starts_with(|c: char| c.is_ascii_uppercase()) => {
                    (Some(first.to_owned()), name)
                }
                _ => (None, name),
            };
            let name = name.strip_suffix("[x]").unwrap_or(name);
            (!name.contains('.')).then(|| ElementName { resource_type, name: name.to_owned() })
        });
        Self::Elements(names.collect())
    }

    /// The text of this part of a resource. `facts` tells about the element at a place, the JSON names from the
    /// resource type on; what it does not know stays.
    ///
    /// # Errors
    /// The text is no JSON object with a `resourceType`.
    pub(crate) fn of(
        &self,
        resource: &[u8],
        facts: &dyn Fn(&[&str]) -> Option<ElementFacts>,
    ) -> Result<Vec<u8>, Malformed> {
        let view = View { subset: self, resource_type: &resource_type(resource)?, facts };
        let mut out = Vec::with_capacity(resource.len().min(64 * 1024));
        out.push(b'{');
        let mut has_meta = false;
        for member in members(resource) {
            let member = member?;
            if member.name == "meta" {
                has_meta = true;
                append_name(&member, &mut out);
                append_tagged(member.value, &mut out)?;
            } else {
                view.append_member(&member, &mut out)?;
            }
        }
        if !has_meta {
            out.extend_from_slice(format!(r#","meta":{{"tag":[{SUBSETTED}]}}"#).as_bytes());
        }
        out.push(b'}');
        Ok(out)
    }
}

/// A subset of resources of one type.
struct View<'a> {
    subset: &'a Subset,
    resource_type: &'a str,
    facts: &'a dyn Fn(&[&str]) -> Option<ElementFacts>,
}

impl View<'_> {
    /// Appends a member of the resource, as far as it is wanted.
    fn append_member(&self, member: &Member<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        // The twin of a plain element goes with it.
        let name = member.name.strip_prefix('_').unwrap_or(&member.name);
        let place = [self.resource_type, name];
        let begin = out.len();
        if self.subset == &Subset::Summary && !is_basic(name) {
            if self.is_in_summary(&place) {
                append_name(member, out);
                if !self.append_summary_of(member, &place, out)? {
                    out.truncate(begin);
                }
            }
        } else if self.wants(name, &place) {
            append_name(member, out);
            out.extend_from_slice(member.value);
        }
        Ok(())
    }

    fn wants(&self, name: &str, place: &[&str]) -> bool {
        if is_basic(name) {
            return true;
        }
        let facts = (self.facts)(place).unwrap_or_default();
        match self.subset {
            Subset::Summary => true,
            Subset::Data => name != "text",
            Subset::Text => name == "text" || facts.is_mandatory,
            Subset::Elements(names) => {
                facts.is_mandatory
                    || names.iter().any(|wanted| wanted.covers(self.resource_type, name, facts))
            }
        }
    }

    fn is_in_summary(&self, place: &[&str]) -> bool {
        (self.facts)(place).is_none_or(|facts| facts.is_summary || facts.is_mandatory)
    }

    /// Appends what of a member's value belongs into a summary, and says whether there is anything. What says more
    /// about a plain value, or changes the meaning of all beside it, is not cut.
    fn append_summary_of(
        &self,
        member: &Member<'_>,
        place: &[&str],
        out: &mut Vec<u8>,
    ) -> Result<bool, Malformed> {
        if member.name.starts_with('_') || member.name == "modifierExtension" {
            out.extend_from_slice(member.value);
            return Ok(true);
        }
        self.append_summary(member.value, place, out)
    }

    /// Appends what of a value belongs into a summary, and says whether there is anything. How deep it goes is bounded
    /// by the scanner.
    fn append_summary(&self, value: &[u8], place: &[&str], out: &mut Vec<u8>) -> Result<bool, Malformed> {
        match value.first() {
            Some(b'{') if !is_resource(value, place) => {
                let begin = out.len();
                out.push(b'{');
                for member in members(value) {
                    let member = member?;
                    let name = member.name.strip_prefix('_').unwrap_or(&member.name);
                    let place = [place, &[name]].concat();
                    if name == "modifierExtension" || self.is_in_summary(&place) {
                        let before = out.len();
                        append_name(&member, out);
                        if !self.append_summary_of(&member, &place, out)? {
                            out.truncate(before);
                        }
                    }
                }
                let is_empty = out.len() == begin + 1;
                out.push(b'}');
                Ok(!is_empty)
            }
            Some(b'[') => {
                let begin = out.len();
                out.push(b'[');
                for entry in entries(value) {
                    let before = out.len();
                    if before > begin + 1 {
                        out.push(b',');
                    }
                    if !self.append_summary(entry?, place, out)? {
                        out.truncate(before);
                    }
                }
                let is_empty = out.len() == begin + 1;
                out.push(b']');
                Ok(!is_empty)
            }
            _ => {
                out.extend_from_slice(value);
                Ok(true)
            }
        }
    }
}

impl ElementName {
    fn covers(&self, resource_type: &str, name: &str, facts: ElementFacts) -> bool {
        let is_named = || match name.strip_prefix(self.name.as_str()) {
            Some("") => true,
            Some(suffix) => facts.is_choice && suffix.starts_with(|c: char| c.is_ascii_uppercase()),
            None => false,
        };
        self.resource_type.as_ref().is_none_or(|wanted| wanted == resource_type) && is_named()
    }
}

/// What no part of a resource is without: what it is, and what changes the meaning of all the rest.
fn is_basic(name: &str) -> bool {
    matches!(name, "resourceType" | "id" | "meta" | "implicitRules" | "modifierExtension")
}

/// Whether a value is a resource inside another, which is a matter of its own. Elements of other names hold none.
fn is_resource(value: &[u8], place: &[&str]) -> bool {
    let may_be = matches!(place.last(), Some(&("resource" | "contained" | "outcome")));
    may_be && resource_type(value).is_ok()
}

fn resource_type(resource: &[u8]) -> Result<String, Malformed> {
    for member in members(resource) {
        let member = member?;
        if member.name == "resourceType" {
            return serde_json::from_slice(member.value).map_err(|_| Malformed);
        }
    }
    Err(Malformed)
}

/// Appends `meta` with the tag, once.
fn append_tagged(meta: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut has_tag = false;
    out.push(b'{');
    for member in members(meta) {
        let member = member?;
        append_name(&member, out);
        if member.name != "tag" {
            out.extend_from_slice(member.value);
            continue;
        }
        has_tag = true;
        out.push(b'[');
        let mut is_tagged = false;
        for (at, tag) in entries(member.value).enumerate() {
            let tag = tag?;
            is_tagged = is_tagged || is_subsetted(tag);
            out.extend_from_slice(if at == 0 { b"" } else { b"," });
            out.extend_from_slice(tag);
        }
        if !is_tagged {
            out.extend_from_slice(if out.ends_with(b"[") { b"" } else { b"," });
            out.extend_from_slice(SUBSETTED.as_bytes());
        }
        out.push(b']');
    }
    if !has_tag {
        out.extend_from_slice(if out.ends_with(b"{") { b"" } else { b"," });
        out.extend_from_slice(format!(r#""tag":[{SUBSETTED}]"#).as_bytes());
    }
    out.push(b'}');
    Ok(())
}

fn is_subsetted(tag: &[u8]) -> bool {
    serde_json::from_slice::<Value>(tag).is_ok_and(|tag| {
        Coding::of(&tag) == Coding { system: Some(OBSERVATION_VALUE), code: Some("SUBSETTED") }
    })
}

/// Appends a comma, unless this is the first member, and the name.
fn append_name(member: &Member<'_>, out: &mut Vec<u8>) {
    if !out.ends_with(b"{") {
        out.push(b',');
    }
    out.extend_from_slice(member.raw_name);
    out.push(b':');
}
