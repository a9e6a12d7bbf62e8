//! Resources that live on another server (`fhir.upstream`): reads, searches, histories and `$match` of their types go
//! there, and nothing is written. What comes back is shown as if it were kept here.

use serde_json::{Value, json};

use super::Exchange;
use super::find_resource::View;
use super::interaction::{Done, InteractionError, Method, Requester};
use crate::fhir::address::query_string;
use crate::fhir::search::{Query, Scope};
use crate::fhir::{Address, Issue, operation_outcome};
use crate::upstream::{self, History, Page, Search, Upstream, UpstreamError};

/// A resource, or a Bundle of them, that another server gave.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    /// The resource.
    pub(crate) resource: Value,
    /// How much is shown of it.
    pub(crate) view: View,
}

impl Exchange {
    /// The server on which the resources of an address live, if that is not this one.
    pub(super) fn upstream_of(&self, address: &Address) -> Option<&Upstream> {
        let resource_type = match address {
            Address::Type(name)
            | Address::TypeSearch(name)
            | Address::TypeHistory(name)
            | Address::Instance(name, _)
            | Address::InstanceHistory(name, _)
            | Address::Version(name, ..)
            | Address::Compartment(_, Some(name))
            | Address::CompartmentSearch(_, Some(name)) => name,
            Address::System
            | Address::SystemSearch
            | Address::Compartment(_, None)
            | Address::CompartmentSearch(_, None) => return None,
        };
        self.upstream.as_deref().filter(|upstream| upstream.serves(resource_type))
    }

    /// Asks that server. Writes are refused: what lives there is changed there.
    pub(super) async fn ask_upstream(
        &self,
        requester: &Requester,
        upstream: &Upstream,
        (method, address): (Method, Address),
        parameters: &[(String, String)],
        strict: bool,
    ) -> Result<Done, InteractionError> {
        let is_search = matches!(address, Address::TypeSearch(_) | Address::CompartmentSearch(..));
        if method != Method::Get && !is_search {
            return Err(InteractionError::LivesUpstream);
        }
        let access = requester.access();
        let mut view =
            upstream::View { access: &access, base: &requester.base, patient: None, may_see: None };
        match address {
            Address::Instance(resource_type, id) => {
                let resource = upstream.read(&view, resource_type, &id).await?;
                one(requester, resource_type, resource, parameters)
            }
            Address::Version(resource_type, id, version) => {
                let version = version.ok_or(InteractionError::NotFound)?.to_string();
                let resource = upstream.vread(&view, resource_type, &id, &version).await?;
                one(requester, resource_type, resource, parameters)
            }
            Address::TypeHistory(resource_type) | Address::InstanceHistory(resource_type, _) => {
                let id = if let Address::InstanceHistory(_, id) = &address { Some(&**id) } else { None };
                let query = parse(Scope::Type(resource_type), &pages_of(parameters), requester, false)?;
                let cursor = query.cursor.as_deref();
                let history = History { resource_type, id, parameters, count: query.count, cursor };
                let page = upstream.history(&view, &history).await?;
                let within = id.map(|id| format!("/{id}")).unwrap_or_default();
                let url = format!("{}/{resource_type}{within}/_history", requester.base);
                Ok(bundle("history", &url, &query, page))
            }
            Address::Type(resource_type) | Address::TypeSearch(resource_type) => {
                let query = parse(Scope::Type(resource_type), parameters, requester, strict)?;
                let page = upstream.search(&view, &search(resource_type, &query)).await?;
                Ok(bundle("searchset", &format!("{}/{resource_type}", requester.base), &query, page))
            }
            Address::Compartment(compartment, Some(resource_type))
            | Address::CompartmentSearch(compartment, Some(resource_type)) => {
                let scope = Scope::Compartment(compartment.clone(), Some(resource_type));
                let query = parse(scope, parameters, requester, strict)?;
                view.patient = Some(&compartment.patient);
                let page = upstream.search(&view, &search(resource_type, &query)).await?;
                let url = format!("{}/Patient/{}/{resource_type}", requester.base, compartment.patient);
                Ok(bundle("searchset", &url, &query, page))
            }
            // These name no one type, so that no server is asked for them.
            Address::System
            | Address::SystemSearch
            | Address::Compartment(_, None)
            | Address::CompartmentSearch(_, None) => Err(InteractionError::MethodNotAllowed),
        }
    }

    /// Patients that live on another server and match. `parameters` are those of `Patient/$match`, checked.
    pub(super) async fn match_upstream(
        &self,
        requester: &Requester,
        upstream: &Upstream,
        parameters: &Value,
    ) -> Result<Done, InteractionError> {
        let access = requester.access();
        let view = upstream::View { access: &access, base: &requester.base, patient: None, may_see: None };
        let page = upstream.match_patient(&view, parameters).await?;
        let query = parse(Scope::Type("Patient"), &[], requester, false)?;
        Ok(bundle("searchset", &format!("{}/Patient/$match", requester.base), &query, page))
    }
}

impl From<UpstreamError> for InteractionError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::NotFound => Self::NotFound,
            error => Self::Upstream(error),
        }
    }
}

fn parse(
    scope: Scope,
    parameters: &[(String, String)],
    requester: &Requester,
    strict: bool,
) -> Result<Query, InteractionError> {
    let query = Query::parse(scope, parameters, &requester.base, strict);
    let mut query = query.map_err(InteractionError::Malformed)?;
    query.applied.retain(|(name, _)| name != "_cursor");
    Ok(query)
}

/// Of the parameters of a history those that a search has too.
fn pages_of(parameters: &[(String, String)]) -> Vec<(String, String)> {
    let of_page = |name: &str| matches!(name, "_count" | "_cursor");
    parameters.iter().filter(|(name, _)| of_page(name)).cloned().collect()
}

fn search<'q>(resource_type: &'static str, query: &'q Query) -> Search<'q> {
    Search { resource_type, parameters: &query.applied, count: query.count, cursor: query.cursor.as_deref() }
}

/// A resource as it is shown.
fn one(
    requester: &Requester,
    resource_type: &'static str,
    resource: Value,
    parameters: &[(String, String)],
) -> Result<Done, InteractionError> {
    let view = View::parse(resource_type, parameters, &requester.base)?;
    Ok(Done::Elsewhere(Elsewhere { resource, view }))
}

/// A page as a Bundle.
fn bundle(bundle_type: &str, url: &str, query: &Query, page: Page) -> Done {
    let Page { mut entries, total, next, mut remarks } = page;
    let view = View::of(query);
    if !view.is_whole() {
        for entry in &mut entries {
            if let Some(resource) = entry.get_mut("resource")
                && let Some(shown) = view.of_tree(resource)
            {
                *resource = shown;
            }
        }
    }
    remarks.extend(query.ignored.iter().cloned());
    if bundle_type == "searchset" && !remarks.is_empty() {
        let remarks: Vec<Issue> = remarks.into_iter().map(Issue::into_warning).collect();
        entries.push(json!({ "resource": operation_outcome(&remarks), "search": { "mode": "outcome" } }));
    }
    let pairs = || query.applied.iter().map(|(name, value)| (&**name, &**value));
    let with = |query: String| if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") };
    let mut links = vec![json!({ "relation": "self", "url": with(query_string(pairs())) })];
    if let Some(cursor) = &next {
        let query = query_string(pairs().chain([("_cursor", &**cursor)]));
        links.push(json!({ "relation": "next", "url": with(query) }));
    }
    let mut bundle = json!({ "resourceType": "Bundle", "type": bundle_type, "link": links });
    if let Some(total) = total {
        bundle["total"] = total.into();
    }
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    Done::Elsewhere(Elsewhere { resource: bundle, view: View::default() })
}
