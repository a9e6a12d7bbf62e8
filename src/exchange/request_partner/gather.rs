//! The outputs of a partner's Task as resources of ours: what stands in the Task, what it refers to below the partner's
//! base, and the bytes that documents name there, which go to the upload store as they arrive. References between them
//! are put right; those to resources that stay with the partner become absolute, so that none is taken for one of ours.
//!
//! A Bundle that is a document or has a signature is kept whole; of others each entry becomes a resource.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::look::Answered;
use crate::cdex::provenance::SignatureCheck;
use crate::cdex::request::mirror;
use crate::cdex::signature::has_signature;
use crate::exchange::ask_partner::{self, Giving, NoAnswer};
use crate::exchange::check_signatures;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::interaction::{BinaryHeader, Content, InteractionError, Requester, shape_of};
use crate::exchange::store_resource::{Prepared, Received};
use crate::exchange::{BodyError, Exchange};
use crate::fhir::datatype::Attachment;
use crate::fhir::{self, Issue, StructureMode, reference};
use crate::id::ResourceId;
use crate::outbound::Base;
use crate::partner::Partner;

/// Resources that are taken of one answer at most.
const MOST: usize = 10_000;

/// What a Task brought.
#[derive(Default)]
pub(super) struct Gathered {
    /// The resources, ready to be kept.
    pub(super) resources: Vec<Prepared>,
    /// The outputs of our copy, which refer to them.
    pub(super) outputs: Vec<Value>,
    /// How many things were named that could not be had.
    pub(super) missing: usize,
    /// Whether some of them are missing because the partner does not let us in.
    pub(super) is_shut_out: bool,
    /// What the signatures in them turned out to be.
    pub(super) checks: Vec<SignatureCheck>,
}

/// A resource that will be ours.
struct Found {
    resource_type: &'static str,
    /// Its id here.
    id: String,
    received: Received,
}

/// Gathers the outputs of one Task.
pub(super) struct Gatherer<'a> {
    exchange: &'a Exchange,
    requester: &'a Requester,
    partner: &'a Partner,
    base: &'a Base,
    found: Vec<Found>,
    /// What a resource is called by others, and what it is called here.
    names: HashMap<String, String>,
    outputs: Vec<Value>,
    missing: usize,
    is_shut_out: bool,
    /// Whether what the partner does not let us at counts as missing now.
    is_last_look: bool,
    checks: Vec<SignatureCheck>,
}

impl<'a> Gatherer<'a> {
    /// Nothing is gathered yet.
    pub(super) fn new(
        exchange: &'a Exchange,
        requester: &'a Requester,
        (partner, base): (&'a Partner, &'a Base),
        is_last_look: bool,
    ) -> Self {
        Self {
            exchange,
            requester,
            partner,
            base,
            found: Vec::new(),
            names: HashMap::new(),
            outputs: Vec::new(),
            missing: 0,
            is_shut_out: false,
            is_last_look,
            checks: Vec::new(),
        }
    }

    /// Everything that a completed Task names.
    ///
    /// # Errors
    /// The partner cannot be asked now, or something here does not work now.
    pub(super) async fn gather(mut self, task: &Value) -> Result<Gathered, FollowError> {
        for output in task["output"].as_array().into_iter().flatten() {
            let Some(target) = output.pointer("/valueReference/reference").and_then(Value::as_str) else {
                // A value that is there itself, or something that only its identifier names.
                self.outputs.push(output.clone());
                continue;
            };
            let taken = match target.strip_prefix('#') {
                Some(id) => {
                    let contained = task["contained"].as_array().into_iter().flatten();
                    match contained.into_iter().find(|resource| resource["id"] == id) {
                        Some(resource) => self.take_all(resource.clone(), None).await?,
                        None => Vec::new(),
                    }
                }
                None => self.fetch_all(target).await?,
            };
            if taken.is_empty() {
                self.missing += 1;
            }
            for local in taken {
                let mut own = json!({ "valueReference": { "reference": local } });
                if let Some(kind) = output.get("type") {
                    own["type"] = kind.clone();
                }
                if !self.outputs.contains(&own) {
                    self.outputs.push(own);
                }
            }
        }
        self.fetch_bytes().await?;
        Ok(self.finish())
    }

    /// What a reference to the partner leads to; gives what it is called here.
    async fn fetch_all(&mut self, target: &str) -> Result<Vec<String>, FollowError> {
        let Some((resource_type, id)) = self.base.place_of(target).and_then(|place| local(&place)) else {
            return Ok(Vec::new());
        };
        let full_url = self.base.at(&format!("/{resource_type}/{id}"));
        if let Some(known) = self.names.get(&full_url) {
            return Ok(vec![known.clone()]);
        }
        match self.exchange.resource_of(self.partner, self.base, (resource_type, &id)).await {
            Ok(Some(Answered { resource, signed })) => {
                if let Some(bundle) = signed {
                    self.verify(&bundle).await?;
                }
                self.take_all(resource, Some(&full_url)).await
            }
            Ok(None) => Ok(Vec::new()),
            Err(error) => self.lack(error).map(|()| Vec::new()),
        }
    }

    /// Does without something.
    ///
    /// # Errors
    /// It may be had later.
    fn lack(&mut self, error: NoAnswer) -> Result<(), FollowError> {
        let is_shut_out = matches!(error, NoAnswer::NotLetIn(_)) && self.is_last_look;
        if !error.is_lasting() && !is_shut_out {
            return Err(FollowError::Unavailable(error.to_string()));
        }
        self.is_shut_out |= is_shut_out;
        Ok(())
    }

    /// Takes a resource, or what a Bundle of search results has in it; gives what the results are called here.
    async fn take_all(
        &mut self,
        mut resource: Value,
        full_url: Option<&str>,
    ) -> Result<Vec<String>, FollowError> {
        self.verify(&resource).await?;
        let entries = match resource.get_mut("entry") {
            Some(Value::Array(entries)) if !entries.is_empty() => std::mem::take(entries),
            _ => Vec::new(),
        };
        if entries.is_empty() || is_whole(&resource) {
            if !entries.is_empty() {
                resource["entry"] = entries.into();
            }
            return Ok(self.take(resource, full_url).await?.into_iter().collect());
        }
        let mut results = Vec::new();
        for mut entry in entries {
            let mode = entry.pointer("/search/mode").and_then(Value::as_str).unwrap_or("match").to_owned();
            let full_url = entry.get("fullUrl").and_then(Value::as_str).map(str::to_owned);
            if mode == "outcome" || entry.get("resource").is_none() {
                continue;
            }
            let resource = entry["resource"].take();
            self.verify(&resource).await?;
            match self.take(resource, full_url.as_deref()).await? {
                Some(local) if mode == "match" => results.push(local),
                Some(_) => {}
                None => self.missing += 1,
            }
        }
        Ok(results)
    }

    /// Looks at the signatures of what came, as it came. They decide nothing: what is wrong with data that were pulled
    /// is for people to settle (cdex §6.8).
    async fn verify(&mut self, resource: &Value) -> Result<(), FollowError> {
        if !has_signature(resource) {
            return Ok(());
        }
        let text = Bytes::from(resource.to_string());
        if text.len() as u64 > check_signatures::LARGEST {
            return Ok(());
        }
        let resource_type = resource["resourceType"].as_str().and_then(fhir::resource_type);
        let at = resource_type.unwrap_or("Resource");
        let verified = self.exchange.verify_signatures(text, at, Some(self.partner)).await;
        let verdicts = verified.map_err(|error| FollowError::Unavailable(error.to_string()))?;
        self.checks.extend(verdicts.iter().flat_map(|(_, verdict)| SignatureCheck::of(verdict)));
        Ok(())
    }

    /// Takes one resource; gives what it is called here, or nothing if it cannot be kept.
    async fn take(
        &mut self,
        mut resource: Value,
        full_url: Option<&str>,
    ) -> Result<Option<String>, FollowError> {
        let resource_type = resource["resourceType"].as_str().and_then(fhir::resource_type);
        let Some(resource_type) = resource_type.filter(|_| self.found.len() < MOST) else { return Ok(None) };
        let names = names_of(&resource, full_url, self.base);
        if let Some(known) = names.iter().find_map(|name| self.names.get(name)) {
            return Ok(Some(known.clone()));
        }
        let issues = fhir::check_structure(&resource, resource_type, StructureMode::Lenient);
        if issues.iter().any(Issue::is_error) {
            return Ok(None);
        }
        forget_identity(&mut resource);
        let shape = if resource_type == "Bundle" { fhir::Shape::Plain } else { shape_of(resource_type) };
        let content = Content::Arriving(stream::iter([Ok(resource.to_string().into())]).boxed());
        let Some(received) = self.received(shape, content).await? else { return Ok(None) };
        Ok(Some(self.add(resource_type, received, names)))
    }

    fn add(&mut self, resource_type: &'static str, received: Received, names: Vec<String>) -> String {
        let id = ResourceId::new().to_string();
        let local = format!("{resource_type}/{id}");
        self.names.extend(names.into_iter().map(|name| (name, local.clone())));
        self.found.push(Found { resource_type, id, received });
        local
    }

    /// What the door would make of it; nothing if it would refuse it.
    async fn received(&self, shape: fhir::Shape, content: Content) -> Result<Option<Received>, FollowError> {
        match self.exchange.receive_resource(self.requester, shape, content).await {
            Ok(received) => Ok(Some(received)),
            Err(
                InteractionError::Malformed(_)
                | InteractionError::Invalid(_)
                | InteractionError::TooLarge(_)
                | InteractionError::Body(BodyError::TooLarge),
            ) => Ok(None),
            Err(InteractionError::Db(error)) => Err(error.into()),
            Err(error) => Err(FollowError::Unavailable(error.to_string())),
        }
    }

    /// Fetches the bytes that documents name below the partner's base; each becomes a Binary.
    async fn fetch_bytes(&mut self) -> Result<(), FollowError> {
        for index in 0..self.found.len() {
            let attachments = match &self.found[index].received.tree["content"] {
                Value::Array(contents) if self.found[index].resource_type == "DocumentReference" => {
                    contents.len()
                }
                _ => 0,
            };
            for at in 0..attachments {
                let received = &self.found[index].received;
                let attachment = &received.tree["content"][at]["attachment"];
                let named = Attachment::of(attachment);
                let Some(url) = named.url.filter(|_| named.data.is_none()) else { continue };
                if received.attached().is_some_and(|attached| attached.holds(url)) {
                    continue;
                }
                let Some(place) = self.base.place_of(url) else { continue };
                let declared = named.content_type.unwrap_or("application/octet-stream").to_owned();
                let named_here = if let Some(local) = self.fetch_binary(&place, declared).await? {
                    local
                } else {
                    self.missing += 1;
                    self.base.at(&place)
                };
                self.found[index].received.tree["content"][at]["attachment"]["url"] = named_here.into();
            }
        }
        Ok(())
    }

    /// Fetches bytes as a Binary; gives what it is called here.
    async fn fetch_binary(&mut self, place: &str, declared: String) -> Result<Option<String>, FollowError> {
        let url = self.base.at(place);
        if let Some(known) = self.names.get(&url) {
            return Ok(Some(known.clone()));
        }
        let limit = self.exchange.settings.payload_limit_bytes;
        let Giving { content_type, body } = match ask_partner::stream(self.partner, &url, "*/*", limit).await
        {
            Ok(giving) => giving,
            Err(error) => return self.lack(error).map(|()| None),
        };
        // FHIR R4 binary: a server may give the resource instead of its content.
        let is_resource = content_type.as_deref().is_some_and(|given| given.starts_with(fhir::FHIR_JSON));
        if is_resource && declared != fhir::FHIR_JSON {
            let received = self.received(shape_of("Binary"), Content::Arriving(body)).await?;
            let Some(mut received) = received.filter(|received| is_binary(&received.tree)) else {
                return Ok(None);
            };
            let names = names_of(&received.tree, Some(&url), self.base);
            forget_identity(&mut received.tree);
            return Ok(Some(self.add("Binary", received, names)));
        }
        let header = BinaryHeader {
            content_type: content_type.filter(|given| !given.is_empty()).unwrap_or(declared),
            security_context: None,
            id: None,
        };
        let received = self.received(fhir::Shape::Plain, Content::Bytes(header, body)).await?;
        Ok(received.map(|received| self.add("Binary", received, vec![url])))
    }

    /// Puts references right.
    fn finish(self) -> Gathered {
        let Self { exchange, requester, base, found, names, outputs, missing, is_shut_out, checks, .. } =
            self;
        let resources = found.into_iter().map(|Found { resource_type, id, mut received }| {
            reference::rewrite_references(&mut received.tree, |target| {
                let unversioned = target.split_once("/_history/").map_or(target, |(target, _)| target);
                let here = names.get(target).or_else(|| names.get(unversioned)).cloned();
                here.or_else(|| mirror::absolute(target, base.as_str()))
            });
            received.text = received.tree.to_string().into();
            let mut prepared = exchange.draft(requester, resource_type, id, &received);
            // What a partner answers is data and never a command: a Task among it asks us for nothing.
            prepared.draft.errands.clear();
            prepared
        });
        Gathered { resources: resources.collect(), outputs, missing, is_shut_out, checks }
    }
}

/// Whether a Bundle means something as a whole.
fn is_whole(resource: &Value) -> bool {
    resource["resourceType"] != "Bundle"
        || resource["type"] == "document"
        || resource.get("signature").is_some()
}

fn is_binary(resource: &Value) -> bool {
    resource["resourceType"] == "Binary"
        && !fhir::check_structure(resource, "Binary", StructureMode::Lenient).iter().any(Issue::is_error)
}

/// Takes from a resource what it is called where it comes from.
fn forget_identity(resource: &mut Value) {
    if let Some(resource) = resource.as_object_mut() {
        resource.shift_remove("id");
    }
    if let Some(meta) = resource.get_mut("meta").and_then(Value::as_object_mut) {
        meta.shift_remove("versionId");
        meta.shift_remove("lastUpdated");
    }
}

/// The names by which other resources of the same answer may refer to one.
fn names_of(resource: &Value, full_url: Option<&str>, base: &Base) -> Vec<String> {
    let mut names: Vec<String> = full_url.map(str::to_owned).into_iter().collect();
    if let (Some(name), Some(id)) = (resource["resourceType"].as_str(), resource["id"].as_str()) {
        names.push(format!("{name}/{id}"));
        names.push(base.at(&format!("/{name}/{id}")));
    }
    names
}

/// Type and id of a place.
fn local(place: &str) -> Option<(&'static str, String)> {
    let mut segments = place.trim_start_matches('/').split('/');
    let resource_type = segments.next().and_then(fhir::resource_type)?;
    let id = segments.next().filter(|id| fhir::datatype::is_id(id))?;
    Some((resource_type, id.to_owned()))
}
