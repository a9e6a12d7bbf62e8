//! The records of the organisation that answers: what is kept here, and what lives upstream. A payer asks and the
//! organisation answers, so all of the tenant's records are looked at, not only those that the payer may see.

use bytes::Bytes;
use serde_json::Value;

use crate::auth::Access;
use crate::cdex::matching::{self, Grade};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::interaction::{InteractionError, Requester};
use crate::exchange::match_patient::tree_of;
use crate::exchange::store_resource::Criteria;
use crate::fhir::search::reference::Target;
use crate::id::UploadId;
use crate::repository::{self, Search, StoredResource};
use crate::upstream::{self, UpstreamError};

/// Records that one search gives at most.
const MOST: u32 = 100;

/// A resource that was found.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// `Type/id`, or `#id` where it is contained in the Task.
    pub(super) reference: String,
    /// Its text.
    pub(super) text: Bytes,
    /// What the text says.
    pub(super) tree: Value,
    /// Of a Binary: the name of its bytes in the upload store, where they are too long for the text.
    pub(super) bytes: Option<UploadId>,
}

/// Whom a description means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meant {
    /// This Patient, as `Patient/id`.
    One(String),
    /// Nobody.
    Nobody,
    /// Several, between whom only a person can decide.
    Several,
}

/// Looks records up.
pub(super) struct Records<'e> {
    exchange: &'e Exchange,
    requester: Requester,
    access: Access,
}

impl<'e> Records<'e> {
    /// The records of the tenant of an errand.
    pub(super) fn new(exchange: &'e Exchange, requester: Requester) -> Self {
        let access = Access::of_worker(requester.caller.tenant());
        Self { exchange, requester, access }
    }

    /// Those that the requester may see, where somebody asks and the organisation does not answer for itself.
    pub(super) fn seen_by(exchange: &'e Exchange, requester: Requester) -> Self {
        let access = requester.access();
        Self { exchange, requester, access }
    }

    /// What may be seen.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// The resource that a literal reference leads to; `None` if it leads to none of the organisation's records.
    pub(super) async fn fetch(&self, reference: &str, task: &Value) -> Result<Option<Record>, FollowError> {
        if let Some(id) = reference.strip_prefix('#') {
            let mut contained = task.get("contained").and_then(Value::as_array).into_iter().flatten();
            let found = contained.find(|resource| resource["id"] == id);
            return Ok(found.map(|tree| Record::of_tree(reference.to_owned(), tree.clone())));
        }
        let Target::Local { resource_type, id } = Target::of(reference, &self.requester.base) else {
            return Ok(None);
        };
        self.read(resource_type, id).await
    }

    /// The present version of a resource.
    pub(super) async fn read(
        &self,
        resource_type: &'static str,
        id: &str,
    ) -> Result<Option<Record>, FollowError> {
        if let Some(upstream) =
            self.exchange.upstream.as_deref().filter(|upstream| upstream.serves(resource_type))
        {
            return match upstream.read(&self.view(), resource_type, id).await {
                Ok(tree) => Ok(Some(Record::of_tree(format!("{resource_type}/{id}"), tree))),
                Err(UpstreamError::NotFound) => Ok(None),
                Err(error) => Err(unavailable(&error)),
            };
        }
        let mut reader = self.exchange.db.reader().await?;
        let found = repository::read(&mut reader.tx(), &self.access, resource_type, id).await?;
        found.filter(|resource| resource.content.is_some()).map(Record::of_stored).transpose()
    }

    /// The resources of a type that a search finds; those that are too many are left out. Criteria that cannot be
    /// searched by find nothing.
    pub(super) async fn find(
        &self,
        resource_type: &'static str,
        parameters: &[(&str, String)],
    ) -> Result<Vec<Record>, FollowError> {
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        if let Some(upstream) =
            self.exchange.upstream.as_deref().filter(|upstream| upstream.serves(resource_type))
        {
            let search =
                upstream::Search { resource_type, parameters: &parameters, count: Some(MOST), cursor: None };
            let page = upstream.search(&self.view(), &search).await.map_err(|error| unavailable(&error))?;
            let found = page.entries.into_iter().filter(|entry| entry["search"]["mode"] != "include");
            let found = found.filter_map(|mut entry| Some(entry.get_mut("resource")?.take()));
            return Ok(found.filter_map(Record::of_upstream).collect());
        }
        let criteria = match self.exchange.criteria(&self.requester, resource_type, &parameters) {
            Ok(criteria) => criteria,
            Err(InteractionError::Db(error)) => return Err(error.into()),
            Err(_) => return Ok(Vec::new()),
        };
        let Criteria { kind, criterion } = criteria;
        let search =
            Search { types: vec![kind], criterion, order: Vec::new(), count: MOST, after: None, count_to: 0 };
        let mut reader = self.exchange.db.reader().await?;
        let page = repository::search(&mut reader.tx(), &self.access, &search).await?;
        page.resources.into_iter().map(Record::of_stored).collect()
    }

    /// The Patient whom a description means with certainty.
    pub(super) async fn patient(&self, wanted: &Value) -> Result<Meant, FollowError> {
        let mut certain: Vec<String> = Vec::new();
        for search in matching::searches(wanted) {
            for candidate in self.find("Patient", &search).await? {
                let is_certain = matching::assess(wanted, &candidate.tree).grade == Grade::Certain;
                if is_certain && !certain.contains(&candidate.reference) {
                    certain.push(candidate.reference);
                }
            }
        }
        Ok(match (certain.pop(), certain.is_empty()) {
            (Some(patient), true) => Meant::One(patient),
            (Some(_), false) => Meant::Several,
            (None, _) => Meant::Nobody,
        })
    }

    fn view(&self) -> upstream::View<'_> {
        upstream::View { access: &self.access, base: &self.requester.base, patient: None, may_see: None }
    }
}

impl Record {
    fn of_stored(resource: StoredResource) -> Result<Self, FollowError> {
        let tree = tree_of(&resource)?;
        Ok(Self {
            reference: format!("{}/{}", resource.resource_type, resource.id),
            tree,
            bytes: resource.bytes,
            text: resource.content.unwrap_or_default(),
        })
    }

    fn of_upstream(tree: Value) -> Option<Self> {
        let reference = format!("{}/{}", tree["resourceType"].as_str()?, tree["id"].as_str()?);
        Some(Self::of_tree(reference, tree))
    }

    fn of_tree(reference: String, tree: Value) -> Self {
        Self { reference, text: tree.to_string().into(), tree, bytes: None }
    }
}

/// The upstream server does not answer: it may later.
fn unavailable(error: &UpstreamError) -> FollowError {
    FollowError::Unavailable(error.to_string())
}
