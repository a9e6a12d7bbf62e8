//! What the entries of a transaction ask for, each with its resource checked.

use serde_json::Value;

use crate::exchange::Exchange;
use crate::exchange::interaction::{Call, Content, InteractionError, Method, Requester};
use crate::exchange::precondition::Conditions;
use crate::exchange::store_resource::{Attached, Criteria, Received, id_mismatch};
use crate::fhir::{Address, Issue, IssueType, Patch, address};
use crate::id::ResourceId;

/// What one entry asks for.
pub(super) struct Step {
    pub(super) full_url: Option<String>,
    pub(super) resource_type: &'static str,
    pub(super) action: Action,
    pub(super) conditions: Conditions,
    pub(super) remarks: Vec<Issue>,
}

/// What is done.
pub(super) enum Action {
    Create { received: Received, new_id: String, unless: Option<(String, Criteria)> },
    Update { received: Received, id: String },
    UpdateMatching { received: Received, new_id: String, has_id: bool, criteria: Criteria },
    Patch { patch: Patch, target: Named },
    Delete(Named),
    Find { address: Address, parameters: Vec<(String, String)> },
}

/// A resource by its id, or by criteria.
pub(super) enum Named {
    Id(String),
    Matching(Criteria),
}

impl Exchange {
    /// What a call of a transaction comes to, its resource checked.
    pub(super) fn step(
        &self,
        requester: &Requester,
        full_url: Option<String>,
        call: Call,
    ) -> Result<Step, InteractionError> {
        let Call { method, address, parameters, conditions, content, .. } = call;
        self.may_be_done(method, &address)?;
        let criteria = |resource_type| self.criteria(requester, resource_type, &parameters);
        let mut remarks = Vec::new();
        let mut checked = |resource_type, content| {
            let received = received(content)?;
            remarks = if method == Method::Post {
                self.check_created(&requester.caller, resource_type, &received.tree)?
            } else {
                self.check_resource(&requester.caller, resource_type, &received.tree)?
            };
            Ok::<_, InteractionError>(received)
        };
        let new_id = || ResourceId::new().to_string();
        let (resource_type, action) = match (method, address) {
            (Method::Post, Address::Type(name)) => {
                let received = checked(name, content)?;
                let unless = match &conditions.if_none_exist {
                    None => None,
                    Some(query) => {
                        Some((query.clone(), self.criteria(requester, name, &address::parameters(query))?))
                    }
                };
                (name, Action::Create { received, new_id: new_id(), unless })
            }
            (Method::Put, Address::Instance(name, id)) => {
                let received = checked(name, content)?;
                if received.id() != Some(&*id) {
                    return Err(id_mismatch(name, "The id is not that of the URL"));
                }
                (name, Action::Update { received, id })
            }
            (Method::Put, Address::Type(name)) => {
                let received = checked(name, content)?;
                let has_id = received.id().is_some();
                let new_id = received.id().map_or_else(new_id, str::to_owned);
                (name, Action::UpdateMatching { criteria: criteria(name)?, received, new_id, has_id })
            }
            (Method::Patch, Address::Instance(name, id)) => {
                (name, Action::Patch { patch: patch(content)?, target: Named::Id(id) })
            }
            (Method::Patch, Address::Type(name)) => {
                (name, Action::Patch { patch: patch(content)?, target: Named::Matching(criteria(name)?) })
            }
            (Method::Delete, Address::Instance(name, id)) => (name, Action::Delete(Named::Id(id))),
            (Method::Delete, Address::Type(name)) => (name, Action::Delete(Named::Matching(criteria(name)?))),
            (_, address) => {
                self.may_read(requester, &address)?;
                ("", Action::Find { address, parameters })
            }
        };
        Ok(Step { full_url, resource_type, action, conditions, remarks })
    }
}

impl Step {
    /// The resource that it keeps.
    pub(super) fn tree(&self) -> Option<&Value> {
        self.received().map(|received| &received.tree)
    }

    /// What came with that and is too long for its text.
    pub(super) fn attached(&self) -> Option<Attached> {
        self.received().and_then(Received::attached)
    }

    /// What it keeps.
    pub(super) fn received(&self) -> Option<&Received> {
        match &self.action {
            Action::Create { received, .. }
            | Action::Update { received, .. }
            | Action::UpdateMatching { received, .. } => Some(received),
            Action::Patch { .. } | Action::Delete(_) | Action::Find { .. } => None,
        }
    }
}

fn received(content: Content) -> Result<Received, InteractionError> {
    match content {
        Content::Here(received) => Ok(received),
        _ => Err(missing("The entry needs a resource")),
    }
}

fn patch(content: Content) -> Result<Patch, InteractionError> {
    match content {
        Content::Patch(patch) => Ok(patch),
        _ => Err(missing("The entry needs a patch as its resource")),
    }
}

fn missing(text: &str) -> InteractionError {
    InteractionError::Malformed(vec![Issue::refusal(IssueType::Required, text)])
}
