//! The entries of a batch or transaction as calls. The text of each resource stays the piece of the body that it is.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::super::interaction::{Call, Content, InteractionError, Method, Requester};
use super::super::precondition::{Conditions, Tags};
use super::super::store_resource::{Attachments, PatchFormat, Received};
use crate::clock::Timestamp;
use crate::fhir::{self, Address, Issue, IssueType, Patch, address, base64, resource};

/// An entry as it came.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) full_url: Option<String>,
    pub(super) request: Value,
    pub(super) resource: Option<Received>,
}

/// Takes the entries out of a Bundle; of the tree the shell stays.
pub(super) fn take(
    text: &Bytes,
    tree: &mut Value,
    attachments: Option<&Arc<Attachments>>,
    most: usize,
) -> Result<Vec<Entry>, InteractionError> {
    let Some(entries) = tree.get_mut("entry").and_then(Value::as_array_mut) else { return Ok(Vec::new()) };
    if entries.len() > most {
        let text = format!("A Bundle has at most {most} entries here");
        return Err(InteractionError::TooLarge(Issue::error(IssueType::TooLong, "Bundle.entry", text)));
    }
    let texts = resource_texts(text);
    let entries = entries.iter_mut().enumerate().map(|(index, entry)| {
        let tree = entry.as_object_mut().and_then(|entry| entry.remove("resource"));
        let text = texts.get(index).cloned().flatten();
        Entry {
            full_url: entry.get("fullUrl").and_then(Value::as_str).map(str::to_owned),
            request: entry.get("request").cloned().unwrap_or_default(),
            resource: text.zip(tree).map(|(text, tree)| Received {
                bytes: attachments.and_then(|all| all.part(index)?.own()),
                attachments: attachments.cloned(),
                index,
                ..Received::of_text(text, tree)
            }),
        }
    });
    Ok(entries.collect())
}

/// The text of each entry's resource. The scanner has read the body, so nothing here can fail.
fn resource_texts(text: &Bytes) -> Vec<Option<Bytes>> {
    let member = |object, name: &str| {
        resource::members(object).flatten().find(|member| member.name == name).map(|member| member.value)
    };
    let Some(entries) = member(text, "entry") else { return Vec::new() };
    resource::entries(entries)
        .flatten()
        .map(|entry| member(entry, "resource").map(|resource| text.slice_ref(resource)))
        .collect()
}

impl Entry {
    /// The method that it names.
    pub(super) fn method(&self) -> Option<Method> {
        match self.text("method") {
            // The door reads HEAD as GET; in a Bundle both are allowed too (FHIR R4 `http-verb`).
            Some(name) => Method::from_name(name),
            None => None,
        }
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.request.get(member).and_then(Value::as_str)
    }

    /// What the entry asks for.
    ///
    /// # Errors
    /// The first thing that is wrong with its `request`, named from the entry on.
    pub(super) fn into_call(
        self,
        index: usize,
        requester: &Requester,
        strict: bool,
    ) -> Result<Call, InteractionError> {
        let wrong = |element: &str, text: &str| {
            let element = format!("Bundle.entry[{index}].request.{element}");
            InteractionError::Malformed(vec![Issue::error(IssueType::Value, element, text)])
        };
        let method = self
            .method()
            .ok_or_else(|| wrong("method", "It must be GET, HEAD, POST, PUT, PATCH or DELETE"))?;
        let url = self.text("url").ok_or_else(|| wrong("url", "It must be there"))?;
        let path = url.strip_prefix(&*requester.base).unwrap_or(url);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let address = Address::parse(path)?;
        let is_nested = matches!((method, &address), (Method::Post, Address::System));
        if is_nested || !method.is_allowed(&address) {
            return Err(InteractionError::MethodNotAllowed);
        }
        let tags = |member: &str| {
            let tags = self.text(member).map(Tags::parse).transpose();
            tags.map_err(|_| wrong(member, "It must be a list of entity tags"))
        };
        let conditions = Conditions {
            if_match: tags("ifMatch")?,
            if_none_match: tags("ifNoneMatch")?,
            if_modified_since: self.text("ifModifiedSince").and_then(Timestamp::parse_rfc3339),
            if_none_exist: self.text("ifNoneExist").map(criteria_of),
        };
        let parameters = address::parameters(query);
        let content = match (method, self.resource) {
            (Method::Patch, Some(resource)) => Content::Patch(patch(resource)?),
            (Method::Post | Method::Put, Some(resource)) => Content::Here(resource),
            _ => Content::None,
        };
        Ok(Call { method, address, parameters, conditions, strict, content })
    }
}

/// The criteria alone, also where somebody wrote the whole search.
fn criteria_of(text: &str) -> String {
    text.split_once('?').map_or(text, |(_, criteria)| criteria).to_owned()
}

/// A patch in a Bundle: Parameters, or a Binary that holds a JSON Patch (FHIR R4 http, patch).
fn patch(resource: Received) -> Result<Patch, InteractionError> {
    let tree = resource.tree;
    if tree.get("resourceType").and_then(Value::as_str) != Some("Binary") {
        return Patch::parse(PatchFormat::Fhir, tree).map_err(InteractionError::Malformed);
    }
    let content_type = tree.get("contentType").and_then(Value::as_str);
    let format = PatchFormat::of(content_type).map_err(|error| {
        InteractionError::Malformed(vec![Issue {
            expression: Some("Binary.contentType".to_owned()),
            ..error.issue()
        }])
    })?;
    let data = tree.get("data").and_then(Value::as_str).unwrap_or_default();
    let not_a_patch = || {
        InteractionError::malformed(IssueType::Value, "Binary.data", "It must be the base64 text of a patch")
    };
    let decoded = base64::decode(data).map_err(|_| not_a_patch())?;
    let body = fhir::parse(&decoded).map_err(|_| not_a_patch())?;
    Patch::parse(format, body).map_err(InteractionError::Malformed)
}
