//! A push by Task (cdex §9.4): the Task names a Communication, or a request for one, on its sender's server. What it
//! names is read there and kept here, and the Task says so; then the Communication goes on like any other.

use std::sync::Arc;

use serde_json::{Value, json};

use super::gather::{Referred, settled};
use crate::agenda::{self, Item};
use crate::audit::{self, AuditOutcome, Entry};
use crate::cdex::communication;
use crate::clock::Timestamp;
use crate::config::TaskPolicy;
use crate::db::Tx;
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::fhir::{self, Issue, StructureMode, resource_type};
use crate::id::ResourceId;
use crate::repository::{self, Draft, Kept, Precondition, StoredResource, index};

/// The word of this errand in audit rows.
const ACTION: &str = "fetch";

/// What is written: what the Task names, if it was not here, and the next version of the Task.
struct Unit {
    item: Item,
    focus: Vec<(Draft, Precondition)>,
    task: [(Draft, Precondition); 1],
    audit: Vec<Entry>,
    now: Timestamp,
}

impl Unit {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), FollowError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(());
        }
        let access = self.item.access();
        let changed = repository::keep(tx, &access, &self.task, false, self.now).await?;
        if !matches!(changed[..], [Kept::Updated(_)]) {
            return Err(FollowError::Unavailable("the Task was changed at the same time".to_owned()));
        }
        repository::keep(tx, &access, &self.focus, true, self.now).await?;
        audit::record_all(tx, &self.audit).await?;
        Ok(())
    }
}

impl Exchange {
    /// Reads what a Task names, keeps it and says so. A partner whose Tasks a person looks at waits for that person.
    pub(super) async fn follow_focus(
        self: &Arc<Self>,
        item: &Item,
        stored: &StoredResource,
        task: Value,
    ) -> Result<(), FollowError> {
        let partner = self.partners.of_client(Some(&item.owner)).cloned();
        let policy = self.partners.policy(partner.as_deref());
        let Some(focus) =
            communication::pushed_focus(&task).filter(|_| policy.tasks == TaskPolicy::Automatic)
        else {
            return Ok(self.forget(item).await?);
        };
        let found = settled(item, self.referenced(&item.access(), focus, partner.as_deref()).await)?;
        let now = self.clock.now();
        let kept = found.and_then(|referred| self.kept_focus(item, referred));
        let (mut task, mut drafts) = (task, Vec::new());
        match kept {
            Ok((reference, draft)) => {
                let is_request = reference.starts_with("CommunicationRequest/");
                task["status"] = if is_request { "accepted" } else { "completed" }.into();
                let output =
                    json!([{ "type": { "text": "received" }, "valueReference": { "reference": reference } }]);
                task["output"] = output;
                drafts.extend(draft);
            }
            Err(reason) => {
                task["status"] = "rejected".into();
                task["statusReason"] = json!({ "text": reason });
            }
        }
        task["lastModified"] = now.to_string().into();
        let names = drafts.iter().map(|draft: &Draft| format!("{}/{}", draft.resource_type, draft.id));
        let audit = names.chain([item.subject.clone()]).map(|entity| Entry {
            tenant: item.tenant.clone(),
            owner: item.owner.clone(),
            at: now,
            action: ACTION,
            outcome: AuditOutcome::Success,
            entity: Some(entity),
            detail: Vec::new(),
            request_id: None,
        });
        let audit = audit.collect();
        let next = self.made(item, "Task", stored.id.clone(), &task);
        let unit = Unit {
            item: item.clone(),
            focus: drafts.into_iter().map(|draft| (draft, Precondition::None)).collect(),
            task: [(next, Precondition::Version(vec![stored.version]))],
            audit,
            now,
        };
        self.db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await?;
        self.agenda.wake();
        Ok(())
    }

    /// What a Task names as it is kept here, and under which name; nothing to keep where it is here already.
    fn kept_focus(&self, item: &Item, referred: Referred) -> Result<(String, Option<Draft>), &'static str> {
        let mut resource = referred.resource;
        let name = resource.get("resourceType").and_then(Value::as_str).and_then(resource_type);
        let Some(name) = name.filter(|name| matches!(*name, "Communication" | "CommunicationRequest")) else {
            return Err("the focus is neither a Communication nor a CommunicationRequest");
        };
        let own = resource.get("id").and_then(Value::as_str).unwrap_or_default();
        if referred.is_stored {
            return Ok((format!("{name}/{own}"), None));
        }
        let mut issues = fhir::check_structure(&resource, name, StructureMode::Strict);
        issues.extend(communication::check(&resource));
        if issues.iter().any(Issue::is_error) {
            return Err("the focus breaks the rules of its type");
        }
        let id = ResourceId::new().to_string();
        if let Some(object) = resource.as_object_mut() {
            object.remove("id");
        }
        let draft = self.made(item, name, id.clone(), &resource);
        Ok((format!("{name}/{id}"), Some(draft)))
    }

    fn made(&self, item: &Item, name: &'static str, id: String, resource: &Value) -> Draft {
        Draft {
            resource_type: name,
            id,
            text: resource.to_string().into(),
            entries: index::entries(&item.tenant, name, resource, &self.settings.fhir_base),
            bytes: None,
            errands: self.errands_of(name, resource),
        }
    }
}
