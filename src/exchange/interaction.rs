//! What all interactions of the FHIR REST API share: who asks, what is asked, what came of it, and why it did not.
//! [`Exchange::interact`] gives each to its use case. The door reads requests into a [`Call`], a batch its entries, so
//! that both mean the same. Statuses are the door's business.

use std::sync::Arc;

use serde_json::Value;

use super::ask_upstream::Elsewhere;
use super::find_resource::{HistoryPage, SearchPage, View};
use super::match_patient::MatchPage;
use super::precondition::{Conditions, with_criteria_of_url};
use super::run_bundle::Performed;
use super::sign_answer::unsigned;
use super::store_resource::{PatchFormat, Received};
use super::{Body, BodyError, Exchange, Interrupted};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::{Access, Caller};
use crate::cdex::signature::SignError;
use crate::db::DbError;
use crate::fhir::{Address, Issue, IssueType, KnownType, Patch, Shape, UnknownAddress};
use crate::repository::StoredResource;
use crate::upstream::{self, UpstreamError};

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Requester {
    /// The caller.
    pub(crate) caller: Caller,
    /// The request's name, for the audit rows.
    pub(crate) request_id: String,
    /// The FHIR base URL under which the caller sees the gateway, without a slash at its end.
    pub(crate) base: Arc<str>,
}

impl Requester {
    /// What the requester may see.
    pub(super) fn access(&self) -> Access {
        self.caller.access()
    }
}

/// The methods of the REST API. HEAD is GET to all but the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Read, search, history.
    Get,
    /// Create, search, batch and transaction.
    Post,
    /// Update.
    Put,
    /// Patch.
    Patch,
    /// Delete.
    Delete,
}

impl Method {
    /// The method of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => return None,
        })
    }

    /// What an address takes, as the `Allow` field lists it.
    pub(crate) fn allowed(address: &Address) -> &'static str {
        match address {
            Address::Type(_) => "GET, HEAD, POST, PUT, PATCH, DELETE",
            Address::Instance(..) => "GET, HEAD, PUT, PATCH, DELETE",
            Address::System
            | Address::SystemSearch
            | Address::TypeSearch(_)
            | Address::CompartmentSearch(..) => "GET, HEAD, POST",
            Address::TypeHistory(_)
            | Address::InstanceHistory(..)
            | Address::Version(..)
            | Address::Compartment(..) => "GET, HEAD",
        }
    }

    /// Whether an address takes this method.
    pub(crate) fn is_allowed(self, address: &Address) -> bool {
        Self::allowed(address).split(", ").any(|name| Self::from_name(name) == Some(self))
    }
}

/// A request of the REST API.
pub(crate) struct Call {
    /// What is to be done.
    pub(crate) method: Method,
    /// To what.
    pub(crate) address: Address,
    /// The parameters of the URL and of a search form, decoded, in their order.
    pub(crate) parameters: Vec<(String, String)>,
    /// Under which conditions.
    pub(crate) conditions: Conditions,
    /// Whether parameters that cannot be applied are errors (`Prefer: handling=strict`).
    pub(crate) strict: bool,
    /// What is to be kept, or how it is to be changed.
    pub(crate) content: Content,
}

/// What came with a call.
pub(crate) enum Content {
    /// Nothing.
    None,
    /// A resource that is still arriving.
    Arriving(Body),
    /// The raw bytes of a Binary, which are still arriving.
    Bytes(BinaryHeader, Body),
    /// A resource.
    Here(Received),
    /// A patch.
    Patch(Patch),
    /// A patch that is still arriving.
    ArrivingPatch(PatchFormat, Body),
}

/// What is said of the raw bytes of a Binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BinaryHeader {
    /// Their media type.
    pub(crate) content_type: String,
    /// The resource whose readers may read them (`X-Security-Context`).
    pub(crate) security_context: Option<String>,
    /// The id under which they are to be kept, if the URL has one.
    pub(crate) id: Option<String>,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Done {
    /// A resource was created.
    Created(Stored),
    /// A resource has a new version.
    Updated(Stored),
    /// The resource that a conditional create asked for was there; nothing changed.
    Existed(StoredResource),
    /// A resource was deleted, or was none before.
    Deleted(Option<StoredResource>),
    /// A version of a resource.
    Read(StoredResource, View),
    /// The client has the present version.
    NotModified(StoredResource),
    /// A page of a search.
    Page(SearchPage),
    /// A page of a history.
    History(HistoryPage),
    /// A batch or transaction.
    Performed(Performed),
    /// All that there is to say of a resource.
    Validated(Vec<Issue>),
    /// Who may be meant.
    Matched(MatchPage),
    /// What an operation gives.
    Answered(Value),
    /// What another server gave.
    Elsewhere(Elsewhere),
}

/// A resource as it was kept.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Its new version.
    pub(crate) resource: StoredResource,
    /// What deserves attention all the same.
    pub(crate) remarks: Vec<Issue>,
}

/// Why an interaction was not done. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InteractionError {
    /// The request is not what it must be; each broken rule is an issue.
    #[error("the request breaks {} rule(s)", .0.len())]
    Malformed(Vec<Issue>),
    /// The resource breaks rules; each broken one is an issue.
    #[error("the resource breaks {} rule(s)", .0.len())]
    Invalid(Vec<Issue>),
    /// There is more than is taken.
    #[error("the request is too large")]
    TooLarge(Issue),
    /// There is nothing of such a name.
    #[error(transparent)]
    UnknownAddress(#[from] UnknownAddress),
    /// What is named does not take this method.
    #[error("the method is not allowed here")]
    MethodNotAllowed,
    /// There is no such resource, or none that this caller may see.
    #[error("no such resource")]
    NotFound,
    /// The resource was deleted by this version.
    #[error("the resource was deleted")]
    Gone(u64),
    /// A condition of the request does not hold.
    #[error("a condition of the request does not hold")]
    Precondition(Issue),
    /// The request does not fit the present state.
    #[error("the request does not fit the present state")]
    Conflict(Issue),
    /// The body ended before its end.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Resources of this type live on another server, and are changed there.
    #[error("resources of this type live on another server")]
    LivesUpstream,
    /// The other server gave no answer that could be used.
    #[error(transparent)]
    Upstream(UpstreamError),
    /// Another server that is needed cannot be asked now.
    #[error("another server that is needed cannot be asked now")]
    Unavailable,
    /// The answer must be signed and cannot be.
    #[error(transparent)]
    Unsigned(SignError),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// No space is left for the bytes of attachments.
    #[error("no space is left")]
    Full,
    /// The upload store failed.
    #[error("the upload store failed")]
    Storage(#[source] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// An entry of a transaction failed, and with it the whole.
    #[error("entry {index} of the transaction failed")]
    Entry {
        /// Which, from 0 on.
        index: usize,
        /// Why.
        error: Box<InteractionError>,
    },
}

impl From<Interrupted> for InteractionError {
    fn from(_: Interrupted) -> Self {
        Self::Stopping
    }
}

impl InteractionError {
    /// One broken rule of the request.
    pub(super) fn malformed(code: IssueType, expression: &str, text: &str) -> Self {
        Self::Malformed(vec![Issue::error(code, expression, text)])
    }

    /// What the caller is told.
    pub(crate) fn issues(&self) -> Vec<Issue> {
        let one = |code, text: &str| vec![Issue::refusal(code, text)];
        match self {
            Self::Malformed(issues) | Self::Invalid(issues) => issues.clone(),
            Self::TooLarge(issue) | Self::Precondition(issue) | Self::Conflict(issue) => vec![issue.clone()],
            Self::UnknownAddress(UnknownAddress::Type) => {
                let issue =
                    Issue::refusal(IssueType::NotSupported, "No resources of such a type are kept here");
                vec![issue.advising("The metadata of this server list the types that it keeps")]
            }
            Self::UnknownAddress(UnknownAddress::Id) => {
                one(IssueType::NotFound, "An id has 1 to 64 of the characters A-Z a-z 0-9 - .")
            }
            Self::UnknownAddress(UnknownAddress::Interaction) => {
                let issue = Issue::refusal(IssueType::NotSupported, "This interaction is not supported");
                vec![issue.advising("The metadata of this server list those that are")]
            }
            Self::MethodNotAllowed => one(IssueType::NotSupported, "This method is not allowed here"),
            Self::LivesUpstream => vec![upstream::lives_upstream()],
            Self::Upstream(error) => vec![error.issue()],
            Self::Unsigned(error) => vec![unsigned(*error)],
            Self::NotFound => one(IssueType::NotFound, "There is no such resource"),
            Self::Gone(_) => one(IssueType::Deleted, "The resource was deleted"),
            Self::Body(BodyError::TooLarge) => {
                one(IssueType::TooLong, "The body is longer than this endpoint takes")
            }
            Self::Body(BodyError::Idle | BodyError::TooSlow) => {
                one(IssueType::Transient, "The body did not arrive in time")
            }
            Self::Body(BodyError::Broken) => one(IssueType::Structure, "The body ended before its end"),
            Self::Unavailable => {
                one(IssueType::Transient, "Another server that is needed for it cannot be asked now")
            }
            Self::Stopping => one(IssueType::Transient, "The gateway is stopping"),
            Self::Full | Self::Db(DbError::Full(_)) => {
                one(IssueType::NoStore, "No space is left to keep the resource")
            }
            Self::Db(error) if error.is_transient() => {
                one(IssueType::Transient, "The resources cannot be reached at the moment")
            }
            Self::Storage(_) | Self::Db(_) => {
                one(IssueType::Exception, "Something went wrong; the log knows more by the request id")
            }
            Self::Entry { index, error } => {
                let within = format!("Bundle.entry[{index}]");
                error.issues().into_iter().map(|issue| issue.of_entry(&within)).collect()
            }
        }
    }

    /// Whether something was refused; otherwise something broke, or was not there.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::Invalid(_)
            | Self::TooLarge(_)
            | Self::UnknownAddress(_)
            | Self::MethodNotAllowed
            | Self::LivesUpstream
            | Self::NotFound
            | Self::Gone(_)
            | Self::Precondition(_)
            | Self::Conflict(_)
            | Self::Body(BodyError::TooLarge) => true,
            Self::Body(_)
            | Self::Upstream(_)
            | Self::Unsigned(_)
            | Self::Unavailable
            | Self::Stopping
            | Self::Full
            | Self::Storage(_)
            | Self::Db(_) => false,
            Self::Entry { error, .. } => error.is_refusal(),
        }
    }
}

impl Exchange {
    /// Does what is asked. Whatever changes something is true when this returns, and a refused change leaves its
    /// audit row.
    pub(crate) async fn interact(
        self: &Arc<Self>,
        requester: &Requester,
        call: Call,
    ) -> Result<Done, InteractionError> {
        let action = action(call.method, &call.address);
        let outcome = self.perform(requester, call).await;
        if let Some(action) = action {
            self.audit_refusal_in(requester, action, &outcome).await?;
        }
        outcome
    }

    /// Writes the audit row of a change that its use case refused, if it did.
    pub(super) async fn audit_refusal_in(
        &self,
        requester: &Requester,
        action: &'static str,
        outcome: &Result<Done, InteractionError>,
    ) -> Result<(), DbError> {
        match outcome {
            Err(error) if error.is_refusal() => {
                let issues = error.issues();
                let errors = issues.iter().filter(|issue| issue.is_error());
                let detail = errors.map(|issue| issue.code.as_code()).collect();
                self.audit_refused_change(requester, action, detail).await
            }
            _ => Ok(()),
        }
    }

    /// Writes the audit row of a change that did not come as far as its use case, for this kind of reason.
    pub(crate) async fn audit_refused_call(
        &self,
        requester: &Requester,
        (method, address): (Method, &Address),
        reason: IssueType,
    ) -> Result<(), DbError> {
        match action(method, address) {
            Some(action) => self.audit_refused_change(requester, action, vec![reason.as_code()]).await,
            None => Ok(()),
        }
    }

    async fn perform(self: &Arc<Self>, requester: &Requester, call: Call) -> Result<Done, InteractionError> {
        let Call { method, address, parameters, conditions, strict, content } = call;
        if !method.is_allowed(&address) {
            return Err(InteractionError::MethodNotAllowed);
        }
        self.may_be_done(method, &address)?;
        if method == Method::Get {
            self.may_read(requester, &address)?;
        }
        if let Some(upstream) = self.upstream_of(&address) {
            let done = self.ask_upstream(requester, upstream, (method, address), &parameters, strict).await?;
            self.may_show(requester, &done)?;
            return Ok(done);
        }
        match (method, address) {
            (Method::Post, Address::System) => {
                let received = self.receive_resource(requester, Shape::Bundle, content).await?;
                self.run_bundle(requester, received, strict).await
            }
            (Method::Post, Address::Type(resource_type)) => {
                let conditions =
                    with_criteria_of_url(conditions, resource_type, &parameters, &requester.base);
                let received = self.receive_resource(requester, shape_of(resource_type), content).await?;
                self.create(requester, resource_type, received, conditions).await
            }
            (Method::Put, Address::Instance(resource_type, id)) => {
                let received = self.receive_resource(requester, shape_of(resource_type), content).await?;
                self.update(requester, (resource_type, id), received, conditions).await
            }
            (Method::Put, Address::Type(resource_type)) => {
                let received = self.receive_resource(requester, shape_of(resource_type), content).await?;
                self.update_matching(requester, resource_type, received, &parameters, conditions).await
            }
            (Method::Patch, Address::Instance(resource_type, id)) => {
                let patch = self.receive_patch(requester, content).await?;
                self.patch(requester, (resource_type, id), &patch, conditions).await
            }
            (Method::Patch, Address::Type(resource_type)) => {
                let patch = self.receive_patch(requester, content).await?;
                self.patch_matching(requester, resource_type, &patch, &parameters, conditions).await
            }
            (Method::Delete, Address::Instance(resource_type, id)) => {
                self.delete(requester, (resource_type, id), conditions).await
            }
            (Method::Delete, Address::Type(resource_type)) => {
                self.delete_matching(requester, resource_type, &parameters, conditions).await
            }
            (_, address) => {
                let mut reader = self.db.reader().await?;
                let done =
                    self.find(&mut reader.tx(), requester, address, &parameters, &conditions, strict).await?;
                self.may_show(requester, &done)?;
                Ok(done)
            }
        }
    }

    /// Writes the audit row of a change that was refused; `detail` are the kinds of its issues.
    async fn audit_refused_change(
        &self,
        requester: &Requester,
        action: &'static str,
        mut detail: Vec<&'static str>,
    ) -> Result<(), DbError> {
        detail.sort_unstable();
        detail.dedup();
        let entry = Entry {
            tenant: requester.caller.tenant().to_owned(),
            owner: requester.caller.id().to_owned(),
            at: self.clock.now(),
            action,
            outcome: AuditOutcome::Refused,
            entity: None,
            detail,
            request_id: Some(requester.request_id.clone()),
        };
        self.db.write(entry, |entry, tx| Box::pin(audit::record(tx, entry))).await
    }
}

/// Where the attachments of a resource of this type may be taken out of its body.
pub(super) fn shape_of(resource_type: &str) -> Shape {
    KnownType::of_resource(resource_type).map_or(Shape::Plain, |known| Shape::Resource(Some(known)))
}

/// The word of a change in audit rows; none where nothing would change.
fn action(method: Method, address: &Address) -> Option<&'static str> {
    match (method, address) {
        (Method::Get, _)
        | (_, Address::SystemSearch | Address::TypeSearch(_) | Address::CompartmentSearch(..)) => None,
        (Method::Post, Address::System) => Some("bundle"),
        (Method::Post, _) => Some("create"),
        (Method::Put, _) => Some("update"),
        (Method::Patch, _) => Some("patch"),
        (Method::Delete, _) => Some("delete"),
    }
}

/// The type that a resource says it is of.
pub(super) fn type_of(tree: &Value) -> Option<&str> {
    tree.get("resourceType").and_then(Value::as_str)
}
