//! Patches of a resource (FHIR R4, RESTful API, patch): from a body of one of four media types to a [`Patch`], and
//! from that and the present resource to the new one, or to issues that name the operation.
//!
//! [`json_patch`] is RFC 6902 on the places of [`mod@pointer`], [`merge_patch`] RFC 7396, and [`fhirpath`] the
//! Parameters resource of FHIR. A patch is applied whole or not at all, and never changes what a resource is. Whether
//! the new resource is a right one is for the checks to say, after; which version is patched is for the caller to know.

mod equal;
mod fhirpath;
mod json_patch;
mod merge_patch;
mod pointer;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::codec::{self, MediaTypeError};
use super::r4::resource_type;
use super::{Issue, IssueType};

use self::fhirpath::FhirPathPatch;
use self::json_patch::JsonPatch;

/// The media types of a patch, as `Accept-Patch` lists them.
pub(crate) const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/fhir+json",
    "application/json",
];

/// More operations than this are not taken.
const MOST_OPERATIONS: usize = 1_000;

/// Containers inside each other that a patch may make, which is what a body may have.
const DEEPEST: usize = 100;

/// What a body of a patch says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchFormat {
    /// `application/json-patch+json`.
    JsonPatch,
    /// `application/merge-patch+json`.
    MergePatch,
    /// `application/fhir+json`: a Parameters resource with operations.
    Fhir,
    /// `application/json`: the shape of the body decides.
    Json,
}

impl PatchFormat {
    /// Reads the `Content-Type` of a request.
    ///
    /// # Errors
    /// It is none of [`PATCH_TYPES`], in UTF-8 and of FHIR release 4.0.
    pub(crate) fn of(content_type: Option<&str>) -> Result<Self, MediaTypeError> {
        Ok(match codec::media_type_among(&PATCH_TYPES, content_type)? {
            "application/json-patch+json" => Self::JsonPatch,
            "application/merge-patch+json" => Self::MergePatch,
            "application/fhir+json" => Self::Fhir,
            _ => Self::Json,
        })
    }
}

/// Why a patch was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    /// It does not fit the resource, or would make it another one or a too large one.
    #[error("the patch cannot be applied to the resource")]
    Inapplicable(Vec<Issue>),
    /// A `test` of a JSON Patch found another value.
    #[error("a test of the patch failed")]
    TestFailed(Vec<Issue>),
}

impl PatchError {
    /// What the sender is told.
    #[cfg(test)]
    pub(crate) fn issues(&self) -> &[Issue] {
        match self {
            Self::Inapplicable(issues) | Self::TestFailed(issues) => issues,
        }
    }
}

/// A change to a resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Patch {
    /// A JSON Patch (RFC 6902).
    Json(JsonPatch),
    /// A JSON Merge Patch (RFC 7396).
    Merge(Value),
    /// A FHIRPath Patch (FHIR R4, FHIRPath Patch).
    FhirPath(FhirPathPatch),
}

impl Patch {
    /// Reads a body that has passed the scanner.
    ///
    /// # Errors
    /// Everything that is wrong with it. A JSON Patch has no elements, so its operations are named as FHIRPath
    /// would name the entries of the body: `$this[3].path`.
    pub(crate) fn parse(format: PatchFormat, body: Value) -> Result<Self, Vec<Issue>> {
        let is_parameters = body.get("resourceType").is_some_and(|name| name == "Parameters");
        let wanted = match (format, body) {
            (PatchFormat::Fhir | PatchFormat::Json, body @ Value::Object(_)) if is_parameters => {
                return FhirPathPatch::parse(&body).map(Self::FhirPath);
            }
            (PatchFormat::MergePatch | PatchFormat::Json, body @ Value::Object(_)) => {
                return Ok(Self::Merge(body));
            }
            (PatchFormat::JsonPatch | PatchFormat::Json, Value::Array(operations)) => {
                return JsonPatch::parse(operations).map(Self::Json);
            }
            (PatchFormat::JsonPatch, _) => "A JSON Patch is an array of operations",
            (PatchFormat::MergePatch, _) => "A merge patch of a resource is an object",
            (PatchFormat::Fhir, _) => "A patch in FHIR is a Parameters resource",
            (PatchFormat::Json, _) => {
                "A patch is an array of operations, a part of the resource or a Parameters resource"
            }
        };
        Err(vec![Issue::refusal(IssueType::Structure, wanted)])
    }

    /// The resource with the changes; the given one is not touched.
    ///
    /// # Errors
    /// The first operation that cannot be done, or what the patch must not change.
    pub(crate) fn apply(&self, resource: &Value) -> Result<Value, PatchError> {
        let patched = match self {
            Self::Json(patch) => patch.apply(resource)?,
            Self::Merge(patch) => merge_patch::merge(resource.clone(), patch),
            Self::FhirPath(patch) => patch.apply(resource)?,
        };
        let issues = changes_of_identity(resource, &patched);
        if issues.is_empty() { Ok(patched) } else { Err(PatchError::Inapplicable(issues)) }
    }
}

/// The issues of a patch that makes the resource another one.
fn changes_of_identity(resource: &Value, patched: &Value) -> Vec<Issue> {
    if !patched.is_object() {
        return vec![Issue::refusal(IssueType::Structure, "The result of the patch is no resource")];
    }
    let name =
        resource.get("resourceType").and_then(Value::as_str).and_then(resource_type).unwrap_or("Resource");
    let changed =
        ["resourceType", "id"].into_iter().filter(|member| patched.get(member) != resource.get(member));
    changed
        .map(|member| {
            let text = "A patch must not change the type or the id of a resource";
            Issue::error(IssueType::BusinessRule, format!("{name}.{member}"), text)
        })
        .collect()
}

/// A patch with more operations than are taken.
fn too_many_operations() -> Vec<Issue> {
    let text = format!("A patch has at most {MOST_OPERATIONS} operations");
    vec![Issue::refusal(IssueType::TooCostly, text)]
}

/// How many containers are inside each other, this one included.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(entries) => 1 + entries.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
