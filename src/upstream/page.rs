//! A Bundle from upstream becomes a page of ours: what was not asked for, or the caller may not see, is left out; what
//! is left is named as the gateway names it. An entry is built anew from the parts that are known, so that nothing
//! else comes through.

use serde_json::{Map, Value, json};

use super::error::BadAnswer;
use super::view::{Role, View};
use super::{Upstream, is_path_id};
use crate::fhir::{Issue, datatype};

/// The extension that says how well a patient matches (FHIR R4, Patient `$match`).
const MATCH_GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";

/// The codes of that extension.
const GRADES: [&str; 4] = ["certain", "probable", "possible", "certainly-not"];

/// A page of a search or of a history.
#[derive(Debug)]
pub(crate) struct Page {
    /// The entries as a Bundle has them, with `fullUrl`s of ours.
    pub(crate) entries: Vec<Value>,
    /// How many matches there are on all pages, if upstream says it and nothing is kept from the caller.
    pub(crate) total: Option<u64>,
    /// What the link to the next page carries; none on the last.
    pub(crate) next: Option<String>,
    /// What deserves attention.
    pub(crate) remarks: Vec<Issue>,
}

/// What a Bundle must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// Resources of a type, and what came along with them.
    Search(&'static str),
    /// Patients.
    Patients,
    /// Versions of resources of a type, or of one resource.
    History(&'static str, Option<&'a str>),
}

/// The entries and the total of a Bundle.
pub(super) fn read(
    bundle: &mut Value,
    wanted: Wanted<'_>,
    upstream: &Upstream,
    view: &View<'_>,
) -> Result<(Vec<Value>, Option<u64>), BadAnswer> {
    let bundle_type = match wanted {
        Wanted::Search(_) | Wanted::Patients => "searchset",
        Wanted::History(..) => "history",
    };
    if bundle["resourceType"] != "Bundle" || bundle["type"] != bundle_type {
        return Err(BadAnswer::Resource);
    }
    let given = match bundle.get_mut("entry").map(Value::take) {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(BadAnswer::Resource),
    };
    let count = given.len();
    let entries: Vec<Value> = given
        .into_iter()
        .filter_map(|entry| match wanted {
            Wanted::Search(resource_type) => found(entry, resource_type, upstream, view),
            Wanted::Patients => {
                found(entry, "Patient", upstream, view).filter(|entry| entry["search"]["mode"] == "match")
            }
            Wanted::History(resource_type, id) => version(entry, (resource_type, id), upstream, view),
        })
        .collect();
    if entries.len() < count {
        tracing::debug!(given = count, shown = entries.len(), "entries of the upstream server were left out");
    }
    let total = bundle.get("total").and_then(Value::as_u64).filter(|_| !view.is_confined());
    Ok((entries, total))
}

/// The URL of a link of a Bundle.
pub(super) fn link<'b>(bundle: &'b Value, relation: &str) -> Option<&'b str> {
    let links = bundle.get("link")?.as_array()?;
    links.iter().find(|link| link["relation"] == relation)?.get("url")?.as_str()
}

/// An entry of a search.
fn found(mut entry: Value, wanted: &str, upstream: &Upstream, view: &View<'_>) -> Option<Value> {
    let resource = entry.get_mut("resource")?.take();
    let (resource_type, id) = identity(&resource)?;
    let role = match (entry["search"]["mode"].as_str(), resource_type == wanted) {
        (Some("match") | None, true) => Role::Match,
        (Some("include"), _) | (None, false) => Role::Include,
        // A match of another type is none; an outcome holds texts of that server.
        (Some(_), _) => return None,
    };
    if !upstream.serves(resource_type) || !view.shows(&resource, role, upstream.line.base()) {
        return None;
    }
    let full_url = format!("{}/{resource_type}/{id}", view.base);
    let search = search_part(&entry["search"], role);
    Some(json!({ "fullUrl": full_url, "resource": resource, "search": search }))
}

/// `Bundle.entry.search`: the mode, and how well a patient matches.
fn search_part(given: &Value, role: Role) -> Value {
    let mut search = Map::new();
    let grades = given["extension"].as_array().into_iter().flatten().filter(|extension| {
        extension["url"] == MATCH_GRADE && GRADES.iter().any(|grade| extension["valueCode"] == *grade)
    });
    if let Some(grade) = grades.map(|extension| extension["valueCode"].clone()).next() {
        search.insert("extension".to_owned(), json!([{ "url": MATCH_GRADE, "valueCode": grade }]));
    }
    let mode = match role {
        Role::Match => "match",
        Role::Include => "include",
    };
    search.insert("mode".to_owned(), mode.into());
    if given["score"].is_number() {
        search.insert("score".to_owned(), given["score"].clone());
    }
    search.into()
}

/// An entry of a history.
fn version(
    mut entry: Value,
    (wanted, wanted_id): (&'static str, Option<&str>),
    upstream: &Upstream,
    view: &View<'_>,
) -> Option<Value> {
    let resource = entry.get_mut("resource").map(Value::take);
    let method = entry["request"]["method"]
        .as_str()
        .filter(|method| ["POST", "PUT", "PATCH", "DELETE"].contains(method));
    let (resource_type, id) = match &resource {
        Some(resource) => identity(resource).map(|(resource_type, id)| (resource_type, id.to_owned()))?,
        // Whose resource was deleted cannot be seen any more.
        None if method == Some("DELETE") && !view.is_confined() => {
            let place = upstream.line.base().place_of(entry["request"]["url"].as_str()?)?;
            let (resource_type, id) = place.strip_prefix('/')?.split_once('/')?;
            (crate::fhir::resource_type(resource_type)?, id.to_owned())
        }
        None => return None,
    };
    let is_wanted = resource_type == wanted && wanted_id.is_none_or(|wanted| wanted == id) && is_path_id(&id);
    let is_shown = |resource: &Value| view.shows(resource, Role::Match, upstream.line.base());
    if !is_wanted || !resource.as_ref().is_none_or(is_shown) {
        return None;
    }
    let mut shown = Map::new();
    shown.insert("fullUrl".to_owned(), format!("{}/{resource_type}/{id}", view.base).into());
    let method = method.unwrap_or("PUT");
    let url = if method == "POST" { resource_type.to_owned() } else { format!("{resource_type}/{id}") };
    let response = response_part(&entry["response"], resource.as_ref());
    if let Some(resource) = resource {
        shown.insert("resource".to_owned(), resource);
    }
    shown.insert("request".to_owned(), json!({ "method": method, "url": url }));
    shown.insert("response".to_owned(), response);
    Some(shown.into())
}

/// `Bundle.entry.response` of a history: status, version and time.
fn response_part(given: &Value, resource: Option<&Value>) -> Value {
    let mut response = Map::new();
    let status = given["status"].as_str().and_then(|text| text.get(..3));
    let status = status.filter(|status| status.bytes().all(|digit| digit.is_ascii_digit()));
    response.insert("status".to_owned(), status.unwrap_or("200").into());
    if let Some(version) = resource.and_then(|resource| resource["meta"]["versionId"].as_str())
        && datatype::is_id(version)
    {
        response.insert("etag".to_owned(), format!("W/\"{version}\"").into());
    }
    let of_resource = resource.map(|resource| &resource["meta"]["lastUpdated"]);
    let time = [Some(&given["lastModified"]), of_resource].into_iter().flatten().filter_map(Value::as_str);
    if let Some(time) = time.into_iter().find(|text| datatype::is_instant(text)) {
        response.insert("lastModified".to_owned(), time.into());
    }
    response.into()
}

/// The type and id of a resource that can be named.
pub(super) fn identity(resource: &Value) -> Option<(&'static str, &str)> {
    let resource_type = crate::fhir::resource_type(resource.get("resourceType")?.as_str()?)?;
    let id = resource.get("id")?.as_str()?;
    is_path_id(id).then_some((resource_type, id))
}
