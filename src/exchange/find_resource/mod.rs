//! Read, version read, history and search. Nothing is parsed here: what was stored goes out as it is.
//!
//! [`search`] answers searches page by page with what comes along ([`mod@include`]), [`history`] histories; [`cursor`]
//! is what their `next` links carry. All of it works on a connection that is given, so that a transaction sees its own
//! writes.

mod cursor;
mod history;
mod include;
mod search;

use bytes::Bytes;

use super::Exchange;
use super::interaction::{Done, InteractionError, Requester};
use super::precondition::Conditions;
use crate::auth::Access;
use crate::db::Tx;
use crate::fhir::search::{Query, Scope, Summary};
use crate::fhir::subset::{ElementFacts, Subset};
use crate::fhir::{Address, r4};
use crate::repository::{self, HistoryOf, StoredResource};

pub(crate) use history::HistoryPage;
pub(super) use include::supporting;
pub(super) use search::PageRequest;
pub(crate) use search::SearchPage;

/// How much is shown of each resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// `_summary`
    pub(crate) summary: Option<Summary>,
    /// `_elements`; all, if empty.
    pub(crate) elements: Vec<String>,
}

impl View {
    /// Whether all of it is shown.
    pub(crate) fn is_whole(&self) -> bool {
        self.elements.is_empty() && matches!(self.summary, None | Some(Summary::Count))
    }

    /// As much of a resource as is shown.
    pub(crate) fn of_text(&self, text: &[u8]) -> Option<Bytes> {
        let subset = match self.summary {
            Some(Summary::True) => Subset::Summary,
            Some(Summary::Text) => Subset::Text,
            Some(Summary::Data) => Subset::Data,
            Some(Summary::Count) | None => Subset::elements(&self.elements.join(",")),
        };
        subset.of(text, &element_facts).ok().map(Bytes::from)
    }

    /// The same of a resource that is no text yet.
    pub(super) fn of_tree(&self, resource: &serde_json::Value) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.of_text(resource.to_string().as_bytes())?).ok()
    }

    pub(super) fn of(query: &Query) -> Self {
        Self { summary: query.summary, elements: query.elements.clone() }
    }

    /// Reads the parameters of a read.
    pub(in crate::exchange) fn parse(
        resource_type: &'static str,
        parameters: &[(String, String)],
        base: &str,
    ) -> Result<Self, InteractionError> {
        let shown: Vec<(String, String)> = parameters
            .iter()
            .filter(|(name, _)| name == "_summary" || name == "_elements")
            .cloned()
            .collect();
        if shown.is_empty() {
            return Ok(Self::default());
        }
        let query = Query::parse(Scope::Type(resource_type), &shown, base, false);
        query.map(|query| Self::of(&query)).map_err(InteractionError::Malformed)
    }
}

impl Exchange {
    /// Answers whatever changes nothing.
    pub(super) async fn find(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        address: Address,
        parameters: &[(String, String)],
        conditions: &Conditions,
        strict: bool,
    ) -> Result<Done, InteractionError> {
        match address {
            Address::Instance(resource_type, id) => {
                let view = View::parse(resource_type, parameters, &requester.base)?;
                let resource = match self.declared.read(resource_type, &id) {
                    Some(definition) => definition.clone(),
                    None => present(tx, &requester.access(), resource_type, &id).await?,
                };
                if conditions.has(&resource) {
                    return Ok(Done::NotModified(resource));
                }
                Ok(Done::Read(resource, view))
            }
            Address::Version(resource_type, id, version) => {
                let view = View::parse(resource_type, parameters, &requester.base)?;
                let version = version.ok_or(InteractionError::NotFound)?;
                let definition = self.declared.read(resource_type, &id);
                let definition = definition.filter(|definition| definition.version == version).cloned();
                let found = if definition.is_some() {
                    definition
                } else {
                    let access = requester.access();
                    repository::read_version(tx, &access, resource_type, &id, version).await?
                };
                let resource = there(found)?;
                if conditions.has(&resource) {
                    return Ok(Done::NotModified(resource));
                }
                Ok(Done::Read(resource, view))
            }
            Address::InstanceHistory(resource_type, id) => {
                let of = HistoryOf::Instance { resource_type, id };
                self.history(tx, requester, of, parameters, strict).await.map(Done::History)
            }
            Address::TypeHistory(resource_type) => {
                let of = HistoryOf::Type(resource_type);
                self.history(tx, requester, of, parameters, strict).await.map(Done::History)
            }
            Address::Type(resource_type) | Address::TypeSearch(resource_type) => self
                .search(tx, requester, Scope::Type(resource_type), parameters, strict)
                .await
                .map(Done::Page),
            Address::System | Address::SystemSearch => {
                self.search(tx, requester, Scope::System, parameters, strict).await.map(Done::Page)
            }
            Address::Compartment(compartment, member) | Address::CompartmentSearch(compartment, member) => {
                let scope = Scope::Compartment(compartment, member);
                self.search(tx, requester, scope, parameters, strict).await.map(Done::Page)
            }
        }
    }
}

/// What R4 says about the element at a place: the JSON names from the resource type on.
fn element_facts(place: &[&str]) -> Option<ElementFacts> {
    let (first, names) = place.split_first()?;
    let mut within = Some(r4::resource(first)?);
    let mut facts = None;
    for name in names {
        let property = within?.property(name)?;
        let element = property.element;
        facts = Some(ElementFacts {
            is_summary: element.is_summary,
            is_mandatory: element.min > 0,
            is_choice: element.is_choice,
        });
        within = property.of_type.complex();
    }
    facts
}

/// The present version of a resource that is there.
pub(super) async fn present(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &str,
    id: &str,
) -> Result<StoredResource, InteractionError> {
    there(repository::read(tx, access, resource_type, id).await?)
}

/// Tells a resource that is there from one that was.
fn there(found: Option<StoredResource>) -> Result<StoredResource, InteractionError> {
    match found {
        Some(resource) if resource.content.is_some() => Ok(resource),
        Some(deleted) => Err(InteractionError::Gone(deleted.version)),
        None => Err(InteractionError::NotFound),
    }
}
