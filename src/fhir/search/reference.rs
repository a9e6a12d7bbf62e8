//! What the text of a reference says about where it leads: to a resource here, or somewhere else. Nothing is looked up.

use serde_json::Value;

use crate::fhir::r4::resource_type;

/// Where a reference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// To a resource here.
    Local {
        /// Its type.
        resource_type: &'static str,
        /// Its id.
        id: &'a str,
    },
    /// To this URL: another server's, a URN, a canonical, or a contained resource (`#id`).
    Url(&'a str),
}

impl<'a> Target<'a> {
    /// Reads a reference: relative, absolute or neither. `base` is the gateway's FHIR base URL. A version is left out:
    /// a search is about resources, whichever version is meant.
    pub(crate) fn of(text: &'a str, base: &str) -> Self {
        let text = text.split_once("/_history/").map_or(text, |(unversioned, _)| unversioned);
        let below_base =
            text.strip_prefix(base.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
        let local = below_base.unwrap_or(text).split_once('/').and_then(|(name, id)| {
            let is_whole = !id.is_empty() && !id.contains(['/', '|', '#', '?']);
            resource_type(name).filter(|_| is_whole).map(|resource_type| Self::Local { resource_type, id })
        });
        local.unwrap_or(Self::Url(text))
    }
}

/// The resource type that a Reference, a URI or a contained resource is about, as far as its text tells.
pub(super) fn type_of(element: &Value, resource: &Value) -> Option<&'static str> {
    if let Some(name) = element.get("resourceType") {
        return name.as_str().and_then(resource_type);
    }
    let text = element.as_str().or_else(|| element.get("reference")?.as_str()).unwrap_or_default();
    if let Some(id) = text.strip_prefix('#') {
        let contained = resource.get("contained")?.as_array()?;
        let found =
            contained.iter().find(|contained| contained.get("id").and_then(Value::as_str) == Some(id))?;
        return resource_type(found.get("resourceType")?.as_str()?);
    }
    let text = text.split_once("/_history/").map_or(text, |(unversioned, _)| unversioned);
    let by_text = text.rsplit('/').nth(1).and_then(resource_type);
    by_text.or_else(|| resource_type(element.get("type")?.as_str()?))
}
