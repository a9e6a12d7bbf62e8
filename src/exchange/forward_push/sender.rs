//! Who a pushed resource comes from: the organisation that it names as its sender, custodian or author.

use serde_json::Value;

use super::identifier_of;
use crate::auth::Access;
use crate::cdex::provenance::Agent;
use crate::cdex::{Identifier, communication};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::fhir::search::reference::Target;
use crate::fhir::{self, datatype};
use crate::repository;

/// Who a resource comes from.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// The identifier of the organisation.
    pub(super) identifier: Option<Identifier>,
    /// What it is called in a manifest: the value of its identifier, else its id.
    pub(super) name: Option<String>,
    /// The reference to it, where others can follow it.
    agent: Option<Value>,
}

impl Sender {
    /// The same as who made what was pushed; without a word of it that is the client.
    pub(super) fn to_agent(&self, owner: &str) -> Agent {
        match (&self.identifier, &self.agent) {
            (Some(identifier), _) => Agent::organization(identifier),
            (None, Some(reference)) => Agent::referenced(reference.clone()),
            (None, None) => Agent::client(owner),
        }
    }
}

impl Exchange {
    /// Who a resource says that it comes from.
    pub(super) async fn sender_of_push(
        &self,
        access: &Access,
        resource: &Value,
    ) -> Result<Sender, FollowError> {
        let elements = ["/sender", "/custodian", "/author/0", "/author", "/source"];
        let reference = elements.iter().find_map(|at| resource.pointer(at).filter(|found| found.is_object()));
        let Some(reference) = reference else { return Ok(Sender::default()) };
        let text = reference.get("reference").and_then(Value::as_str).unwrap_or_default();
        let (is_organization, referred) =
            match (text.strip_prefix('#'), Target::of(text, &self.settings.fhir_base)) {
                (Some(id), _) => {
                    let found = communication::contained(resource, id);
                    (found.is_some_and(|found| found["resourceType"] == "Organization"), found.cloned())
                }
                (None, Target::Local { resource_type: "Organization", id }) => {
                    let mut reader = self.db.reader().await?;
                    let stored = repository::read(&mut reader.tx(), access, "Organization", id).await?;
                    (true, stored.and_then(|stored| fhir::parse(&stored.content?).ok()))
                }
                (None, _) => {
                    let told = reference.get("type").and_then(Value::as_str);
                    let named = text.rsplit('/').nth(1);
                    (told.or(named).is_none_or(|name| name == "Organization"), None)
                }
            };
        if !is_organization {
            // A person's identifiers have no place in a manifest, and a Provenance would have to say for whom they act.
            return Ok(Sender::default());
        }
        let first = |of: &Value| of.get("identifier").and_then(|found| found.get(0)).and_then(identifier_of);
        let identifier = reference.get("identifier").and_then(identifier_of);
        let identifier = identifier.or_else(|| referred.as_ref().and_then(first));
        let by_id = text.strip_prefix('#').is_none().then(|| text.rsplit('/').next()).flatten();
        Ok(Sender {
            name: identifier
                .as_ref()
                .map(|identifier| identifier.value.clone())
                .or_else(|| by_id.filter(|id| datatype::is_id(id)).map(str::to_owned)),
            agent: Some(reference.clone()).filter(|_| !text.starts_with('#') && !text.is_empty()),
            identifier,
        })
    }
}
