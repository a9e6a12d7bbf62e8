//! What the gateway says of itself: its CapabilityStatement, and the definitions of the search parameters and
//! operations that it serves. All of it is made from the tables that routing and search rest on ([`capability`],
//! [`definition`]), once, when somebody first asks.
//!
//! Definitions are resources that nobody stored: they are read and found beside stored ones, and cannot be changed.
//! Their ids are the last parts of their canonical URLs (`Task-owner`). What is stored under such an id does not show.

mod capability;
mod definition;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::digest::{Digest, Sha256};
use bytes::Bytes;
use serde_json::Value;

use super::Exchange;
use super::find_resource::View;
use super::interaction::{InteractionError, Method};
use crate::cdex::CapabilityFacts;
use crate::clock::Timestamp;
use crate::fhir::Address;
use crate::fhir::search::Query;
use crate::repository::criteria;
use crate::repository::entry::Space;
use crate::repository::memory::{self, Row};
use crate::repository::{Change, StoredResource};

/// The type whose elements `_summary` and `_elements` are about.
const CAPABILITY_STATEMENT: &str = "CapabilityStatement";

/// The tenant of definitions: they are everybody's.
const NOBODYS: &str = "";

/// What the gateway declares, made when it is first asked for.
#[derive(Debug)]
pub(crate) struct Declared {
    at: Timestamp,
    definitions: OnceLock<Definitions>,
    statement: OnceLock<Statement>,
}

/// The definitions, in the order of their types and ids.
#[derive(Debug)]
struct Definitions {
    resources: Vec<StoredResource>,
    rows: Vec<Row>,
    by_name: HashMap<(&'static str, String), usize>,
}

/// The CapabilityStatement.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// As text.
    pub(crate) text: Bytes,
    /// Its entity tag: the same as long as the text is.
    pub(crate) etag: String,
}

impl Declared {
    /// Declares everything as of this moment.
    pub(crate) fn new(at: Timestamp) -> Self {
        Self { at, definitions: OnceLock::new(), statement: OnceLock::new() }
    }

    /// A definition.
    pub(super) fn read(&self, resource_type: &'static str, id: &str) -> Option<&StoredResource> {
        // Most resources are of no such type, and nothing has to be made to know that.
        let is_one = definition::TYPES.contains(&resource_type);
        let definitions = is_one.then(|| self.definitions())?;
        let found = definitions.by_name.get(&(resource_type, id.to_owned()))?;
        definitions.resources.get(*found)
    }

    /// The definitions that a search finds, in its order. A chain leads from them to nothing: what it is about is
    /// stored.
    pub(super) fn search(&self, query: &Query, now: Timestamp) -> Vec<StoredResource> {
        match query.types[..] {
            [name] if definition::TYPES.contains(&name) && query.compartment.is_none() => {
                let definitions = self.definitions();
                let criterion = criteria::of(query, NOBODYS, now);
                let order = criteria::order(query, NOBODYS);
                let kind = Space::of_type(NOBODYS, name);
                let found = memory::search(&definitions.rows, &[kind], &criterion, &order);
                found.into_iter().filter_map(|index| definitions.resources.get(index).cloned()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn definitions(&self) -> &Definitions {
        self.definitions.get_or_init(|| Definitions::new(self.at))
    }
}

impl Definitions {
    fn new(at: Timestamp) -> Self {
        let mut all = Self { resources: Vec::new(), rows: Vec::new(), by_name: HashMap::new() };
        for (resource_type, id, mut content) in definition::all() {
            content["meta"] = serde_json::json!({ "versionId": "1", "lastUpdated": at.to_string() });
            all.by_name.insert((resource_type, id.clone()), all.resources.len());
            all.rows.push(Row::new(NOBODYS, (resource_type, &id), at, &content, ""));
            all.resources.push(StoredResource {
                // Rows count from 1 on.
                key: -1,
                resource_type: resource_type.to_owned(),
                id,
                version: 1,
                last_updated: at,
                change: Change::Create,
                content: Some(content.to_string().into()),
                bytes: None,
            });
        }
        all
    }
}

impl Exchange {
    /// The CapabilityStatement.
    pub(crate) fn capability_statement(&self, facts: &CapabilityFacts<'_>) -> &Statement {
        self.declared.statement.get_or_init(|| {
            let text = capability::statement(facts, &self.settings.rest, &self.profiles).to_string();
            let digest = Sha256::digest(&text);
            let (first, _) = digest.split_at(8);
            Statement { text: text.into(), etag: format!("W/\"{}\"", hex::encode(first)) }
        })
    }

    /// As much of the CapabilityStatement as the parameters ask for. Others than those of the view are ignored: `mode`
    /// too, because there is nothing but the whole.
    pub(crate) fn shown_capability_statement(
        &self,
        facts: &CapabilityFacts<'_>,
        parameters: &[(String, String)],
    ) -> Result<Statement, InteractionError> {
        let whole = self.capability_statement(facts);
        let view = View::parse(CAPABILITY_STATEMENT, parameters, facts.public_url)?;
        let text = if view.is_whole() { None } else { view.of_text(&whole.text) };
        Ok(Statement { text: text.unwrap_or_else(|| whole.text.clone()), etag: whole.etag.clone() })
    }

    /// That a call does not change one of the definitions: those follow from what the program does.
    pub(super) fn may_be_done(&self, method: Method, address: &Address) -> Result<(), InteractionError> {
        match address {
            Address::Instance(resource_type, id)
                if method != Method::Get && self.declared.read(resource_type, id).is_some() =>
            {
                Err(InteractionError::MethodNotAllowed)
            }
            _ => Ok(()),
        }
    }
}

/// The last part of a canonical URL.
fn last_part(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// A name for programs: `Task-owner` becomes `TaskOwner` (FHIR R4, spd-0 and opd-0).
fn pascal_case(id: &str) -> String {
    let words = id.split(['-', '.', '_']);
    let capitalised = words.filter_map(|word| {
        let first = word.get(..1)?;
        Some(first.to_ascii_uppercase() + &word[1..])
    });
    capitalised.collect()
}

/// Sets a member, unless it were an empty list (FHIR R4, JSON: arrays are never empty).
fn put_list(object: &mut Value, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        object[name] = list.into();
    }
}
