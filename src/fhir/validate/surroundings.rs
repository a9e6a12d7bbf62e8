//! What a reference leads to, as far as it stays within what was received: a contained resource, or another
//! entry of the same Bundle. Nothing is fetched or looked up anywhere else.

use serde_json::Value;

/// The resource that is looked at and the Bundle around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'v> {
    /// The resource that `#id` speaks about the contained resources of.
    pub(super) container: &'v Value,
    bundle: Option<&'v Value>,
}

impl<'v> Surroundings<'v> {
    /// A resource that nothing is around of.
    pub(super) fn of(resource: &'v Value) -> Self {
        Self { container: resource, bundle: is_bundle(resource).then_some(resource) }
    }

    /// A resource inside that is no contained one: of an entry of a Bundle, or of a parameter.
    pub(super) fn inside(self, resource: &'v Value) -> Self {
        Self { container: resource, bundle: if is_bundle(resource) { Some(resource) } else { self.bundle } }
    }

    /// The resource that a Reference leads to, if it is here.
    pub(super) fn resolve(&self, reference: &Value) -> Option<&'v Value> {
        let literal = reference.get("reference")?.as_str()?;
        match literal.strip_prefix('#') {
            Some("") => Some(self.container),
            Some(id) => {
                let mut contained = self.container.get("contained")?.as_array()?.iter();
                contained.find(|resource| resource.get("id").and_then(Value::as_str) == Some(id))
            }
            None => {
                let mut entries = self.bundle?.get("entry")?.as_array()?.iter();
                entries.find(|entry| is_at(entry, literal))?.get("resource")
            }
        }
    }

    /// The type of resource that a Reference leads to, as far as that can be told from what is here.
    pub(super) fn target_type(&self, reference: &'v Value) -> Option<&'v str> {
        if let Some(target) = self.resolve(reference) {
            return target.get("resourceType")?.as_str();
        }
        let literal = reference.get("reference").and_then(Value::as_str).and_then(literal_type);
        literal.or_else(|| reference.get("type").and_then(Value::as_str))
    }
}

fn is_bundle(resource: &Value) -> bool {
    resource.get("resourceType").is_some_and(|name| name == "Bundle")
}

/// Whether an entry has this URL, or a URL that ends with this `Type/id`. FHIR R4, Bundle, Resolving references.
fn is_at(entry: &Value, literal: &str) -> bool {
    let Some(url) = entry.get("fullUrl").and_then(Value::as_str) else { return false };
    url == literal
        || (literal_type(literal).is_some()
            && url.strip_suffix(literal).is_some_and(|base| base.ends_with('/')))
}

/// `Patient` in `Patient/1`, `https://example.org/fhir/Patient/1` and `Patient/1/_history/2`.
fn literal_type(literal: &str) -> Option<&str> {
    let unversioned = literal.split_once("/_history/").map_or(literal, |(resource, _)| resource);
    let (before, _) = unversioned.rsplit_once('/')?;
    let name = before.rsplit('/').next()?;
    let is_type = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_type.then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_leads_to_what_is_contained_or_in_the_same_bundle() {
        let task = json!({
            "resourceType": "Task",
            "contained": [{ "resourceType": "Patient", "id": "p" }],
        });
        let bundle = json!({
            "resourceType": "Bundle",
            "entry": [
                { "fullUrl": "urn:uuid:1", "resource": task },
                { "fullUrl": "https://example.org/fhir/Device/2", "resource": { "resourceType": "Device" } },
            ],
        });
        let task = &bundle["entry"][0]["resource"];
        let surroundings = Surroundings::of(&bundle).inside(task);
        for (reference, expected) in [
            (json!({ "reference": "#p" }), Some("Patient")),
            (json!({ "reference": "#" }), Some("Task")),
            (json!({ "reference": "#q" }), None),
            (json!({ "reference": "urn:uuid:1" }), Some("Task")),
            (json!({ "reference": "urn:uuid:3" }), None),
            (json!({ "reference": "Device/2" }), Some("Device")),
            (json!({ "reference": "Organization/5" }), Some("Organization")),
            (json!({ "reference": "https://other.org/a/b/Group/5/_history/1" }), Some("Group")),
            (json!({ "reference": "urn:uuid:3", "type": "Location" }), Some("Location")),
            (json!({ "identifier": {}, "type": "Location" }), Some("Location")),
            (json!({ "reference": "https://example.org" }), None),
            (json!({ "identifier": {} }), None),
        ] {
            assert_eq!(surroundings.target_type(&reference), expected, "{reference}");
        }
    }
}
