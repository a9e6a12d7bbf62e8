//! What a partner says when it is asked for Tasks or for what they name. Several Tasks are asked for with one search;
//! where it was agreed that answers are signed, every question is a search, because a read cannot be signed (CONF-009).

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::PartnerRequest;
use super::send::identifier_search;
use crate::config::SignaturePolicy;
use crate::exchange::Exchange;
use crate::exchange::ask_partner::{self, NoAnswer};
use crate::fhir::datatype;
use crate::id::TaskRequestId;
use crate::outbound::{Base, form};
use crate::partner::Partner;

/// What was seen of one Task.
#[derive(Debug)]
pub(super) enum Seen {
    /// The Task.
    Task(Value),
    /// It is there no longer.
    Gone,
    /// Nothing: the partner did not say.
    Nothing,
}

/// What was seen of several Tasks.
#[derive(Debug, Default)]
pub(super) struct Look {
    seen: HashMap<TaskRequestId, Seen>,
    /// How long the partner wants not to be asked.
    pub(super) wait: Option<Duration>,
}

impl Look {
    /// What was seen of the Task of a request.
    pub(super) fn take(&mut self, id: TaskRequestId) -> Seen {
        self.seen.remove(&id).unwrap_or(Seen::Nothing)
    }
}

/// A resource that a partner gave.
#[derive(Debug)]
pub(super) struct Answered {
    /// The resource.
    pub(super) resource: Value,
    /// The Bundle in which it came, if that is signed.
    pub(super) signed: Option<Value>,
}

/// Whether what a partner answers is signed, so that it is searched for and never read.
pub(super) fn is_signed(partner: &Partner) -> bool {
    partner.policy.signatures != SignaturePolicy::None
}

impl Exchange {
    /// Looks at the Tasks of requests that one partner took.
    pub(super) async fn look(&self, partner: &Partner, base: &Base, requests: &[PartnerRequest]) -> Look {
        let mut look = Look::default();
        let (placed, lost): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.place.is_some());
        let mut alone = placed.clone();
        if placed.len() > 1 {
            alone = self.look_at_many(partner, base, &placed, &mut look).await;
        }
        for request in alone.into_iter().chain(lost) {
            if look.wait.is_some() {
                break;
            }
            let seen = match self.look_at(partner, base, request).await {
                Ok(Some(task)) => Seen::Task(task),
                // A search that finds nothing where a place is known says as much as a read that finds nothing.
                Ok(None) | Err(NoAnswer::Gone) if request.place.is_some() => Seen::Gone,
                Err(error) if !error.is_lasting() => {
                    look.wait = Some(wait_of(error));
                    Seen::Nothing
                }
                Ok(None) | Err(_) => Seen::Nothing,
            };
            look.seen.insert(request.id, seen);
        }
        look
    }

    /// Looks at several Tasks by one search; gives those back of which it says nothing.
    async fn look_at_many<'r>(
        &self,
        partner: &Partner,
        base: &Base,
        requests: &[&'r PartnerRequest],
        look: &mut Look,
    ) -> Vec<&'r PartnerRequest> {
        let ids: Vec<&str> = requests.iter().filter_map(|request| id_of(request)).collect();
        let count = ids.len().to_string();
        let query = form([("_id", ids.join(",").as_str()), ("_count", count.as_str())]);
        match self.ask(partner, &base.at(&format!("/Task?{query}"))).await {
            Ok(mut bundle) => {
                let mut unseen = Vec::new();
                for &request in requests {
                    match id_of(request).and_then(|id| entry(&mut bundle, "Task", Some(id))) {
                        Some(task) => {
                            look.seen.insert(request.id, Seen::Task(task));
                        }
                        None => unseen.push(request),
                    }
                }
                unseen
            }
            Err(error) if !error.is_lasting() => {
                look.wait = Some(wait_of(error));
                Vec::new()
            }
            // A server that does not search can perhaps be read.
            Err(_) => requests.to_vec(),
        }
    }

    /// Looks at one Task; where the partner did not say where it is, it is known by its identifier.
    async fn look_at(
        &self,
        partner: &Partner,
        base: &Base,
        request: &PartnerRequest,
    ) -> Result<Option<Value>, NoAnswer> {
        let Some(id) = id_of(request) else {
            let search = identifier_search(&request.identifier());
            let mut bundle = self.ask(partner, &base.at(&format!("/Task?{search}"))).await?;
            // A server may ignore what it does not know, and answer with anybody's Task.
            let ours = |task: &Value| {
                let known = task["identifier"].as_array().into_iter().flatten();
                known.into_iter().any(|known| known["value"] == request.identifier())
            };
            return Ok(entry(&mut bundle, "Task", None).filter(ours));
        };
        Ok(self.resource_of(partner, base, ("Task", id)).await?.map(|answered| answered.resource))
    }

    /// A resource of a partner: read, or searched for where it must be signed.
    pub(super) async fn resource_of(
        &self,
        partner: &Partner,
        base: &Base,
        (resource_type, id): (&str, &str),
    ) -> Result<Option<Answered>, NoAnswer> {
        if is_signed(partner) {
            let search = form([("_id", id)]);
            let mut bundle = self.ask(partner, &base.at(&format!("/{resource_type}?{search}"))).await?;
            let signed = bundle.get("signature").is_some().then(|| bundle.clone());
            let resource = entry(&mut bundle, resource_type, Some(id));
            return Ok(resource.map(|resource| Answered { resource, signed }));
        }
        let resource = self.ask(partner, &base.at(&format!("/{resource_type}/{id}"))).await?;
        if resource["resourceType"] != resource_type {
            return Err(NoAnswer::Unreadable);
        }
        Ok(Some(Answered { resource, signed: None }))
    }

    /// Asks for FHIR JSON.
    async fn ask(&self, partner: &Partner, url: &str) -> Result<Value, NoAnswer> {
        Ok(ask_partner::resource(self.settings.rest.scan, partner, url).await?.tree)
    }
}

/// How long a partner wants not to be asked. Whoever is not let in today may be tomorrow, and nothing is gained by
/// asking the same server for the next Task.
fn wait_of(error: NoAnswer) -> Duration {
    match error {
        NoAnswer::NotNow(wait) => wait.unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

/// The id of the Task at the partner, where that is known.
fn id_of(request: &PartnerRequest) -> Option<&str> {
    request.place.as_deref()?.strip_prefix("Task/")
}

/// Takes a resource out of a searchset: the first of this type, and of this id if there is one.
fn entry(bundle: &mut Value, resource_type: &str, id: Option<&str>) -> Option<Value> {
    let entries = bundle.get_mut("entry")?.as_array_mut()?;
    let is_meant = |entry: &&mut Value| {
        let resource = &entry["resource"];
        resource["resourceType"] == resource_type
            && match (id, resource["id"].as_str()) {
                (Some(wanted), own) => own == Some(wanted),
                (None, own) => own.is_some_and(datatype::is_id),
            }
    };
    entries.iter_mut().find(is_meant).map(|entry| entry["resource"].take())
}
