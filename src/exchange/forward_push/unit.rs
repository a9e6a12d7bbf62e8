//! What a push makes true, all at once: uploads with their deliveries and reports, where they come from, and that the
//! request is answered which the push answers.

use serde_json::Value;

use super::store::{self, Forwarded};
use super::{Push, tag};
use crate::agenda::{self, Item};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Access;
use crate::cdex::communication;
use crate::cdex::provenance::{Agent, Origin, Source};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::finish_upload::Finishing;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::receive_upload::{creation_reports, refusal_reports};
use crate::fhir::search::reference::Target;
use crate::fhir::{self, resource_type};
use crate::id::ResourceId;
use crate::manifest::ManifestFields;
use crate::report::{self, Report, StreamFields};
use crate::repository::{self, Draft, Kept, Precondition, StoredResource, index};
use crate::upload::{Upload, Uploads, stream_fields};

/// The word of this errand in audit rows.
const ACTION: &str = "forward";

/// A payload as it is written.
pub(super) struct Forward {
    record: Forwarded,
    becomes: Becomes,
}

enum Becomes {
    /// A complete upload.
    Upload(Box<(Upload, Finishing)>),
    /// Reports on why there is none.
    Reports(Box<(StreamFields, [Report; 2])>),
    /// Nothing: the upload was there.
    Nothing,
}

impl Forward {
    /// An upload that was there.
    pub(super) fn named(record: Forwarded) -> Self {
        Self { record, becomes: Becomes::Nothing }
    }

    /// A payload that could not be had, or whose manifest is refused.
    pub(super) fn failed(record: Forwarded, push: &Push<'_>, fields: &ManifestFields, reason: &str) -> Self {
        let owner = (&*push.item.tenant, &*push.item.owner);
        let stream = stream_fields(owner, record.upload_id, fields);
        let reports = refusal_reports(fields, reason.to_owned(), push.now);
        Self { record, becomes: Becomes::Reports(Box::new((stream, reports))) }
    }

    /// A payload on its way.
    pub(super) fn uploaded(record: Forwarded, upload: Upload, finishing: Finishing) -> Self {
        Self { record, becomes: Becomes::Upload(Box::new((upload, finishing))) }
    }

    /// Whether there is no upload.
    pub(super) fn is_failed(&self) -> bool {
        matches!(self.becomes, Becomes::Reports(_))
    }

    /// Writes it, unless somebody did.
    async fn write(&self, tx: &mut Tx<'_>, access: &Access, now: Timestamp) -> Result<(), DbError> {
        if !store::insert(tx, access, &self.record, now).await? {
            return Ok(());
        }
        match &self.becomes {
            Becomes::Upload(parts) => {
                let (upload, finishing) = &**parts;
                Uploads::insert(tx, std::slice::from_ref(upload)).await?;
                finishing.write_consequences(tx, &creation_reports(upload, now)).await
            }
            Becomes::Reports(refusal) => report::record(tx, &refusal.0, &refusal.1).await,
            Becomes::Nothing => Ok(()),
        }
    }
}

/// All of it.
pub(super) struct Unit {
    item: Item,
    forwards: Vec<Forward>,
    /// New resources of the sender's owner: where the payloads come from.
    made: Vec<(Draft, Precondition)>,
    /// Next versions of resources of the tenant: the requests that are answered, and the push itself.
    changed: Vec<(Draft, Precondition)>,
    audit: Vec<Entry>,
    now: Timestamp,
}

impl Unit {
    /// `false`, and nothing written, if somebody else has the errand now.
    pub(super) async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, FollowError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(false);
        }
        let access = self.item.access();
        for forward in &self.forwards {
            forward.write(tx, &access, self.now).await?;
        }
        let tenant = Access::of_worker(&self.item.tenant);
        let changed = repository::keep(tx, &tenant, &self.changed, false, self.now).await?;
        if changed.iter().any(|kept| !matches!(kept, Kept::Updated(_))) {
            // Nothing of this unit stays; the next attempt looks at what is there then.
            return Err(FollowError::Unavailable("a resource was changed at the same time".to_owned()));
        }
        repository::keep(tx, &access, &self.made, true, self.now).await?;
        audit::record_all(tx, &self.audit).await?;
        Ok(true)
    }
}

impl Exchange {
    /// What is written of a push.
    pub(super) async fn push_unit(
        &self,
        push: &Push<'_>,
        forwards: Vec<Forward>,
    ) -> Result<Unit, FollowError> {
        let mut changed = Vec::new();
        let mut answered = Vec::new();
        if push.stored.resource_type == "Communication" {
            let (requests, is_unknown) = self.answered(push).await?;
            for (request, mut tree) in requests {
                answered.push(format!("CommunicationRequest/{}", request.id));
                if matches!(tree["status"].as_str(), Some("active" | "on-hold")) {
                    tree["status"] = "completed".into();
                    changed.push(self.next_version(push, &request, &tree));
                }
            }
            if is_unknown && !tag::has(push.resource, tag::UNSOLICITED) {
                let mut tagged = push.resource.clone();
                tag::add(&mut tagged, tag::UNSOLICITED);
                changed.push(self.next_version(push, push.stored, &tagged));
            }
        }
        let made: Vec<_> = self.provenance(push, &forwards, answered).into_iter().collect();
        let entities = changed.iter().map(|(draft, _)| format!("{}/{}", draft.resource_type, draft.id));
        let first = (!forwards.is_empty()).then(|| push.item.subject.clone());
        let audit = first.into_iter().chain(entities).map(|entity| Entry {
            tenant: push.item.tenant.clone(),
            owner: push.item.owner.clone(),
            at: push.now,
            action: ACTION,
            outcome: AuditOutcome::Success,
            entity: Some(entity),
            detail: Vec::new(),
            request_id: None,
        });
        let audit = audit.collect();
        Ok(Unit { item: push.item.clone(), forwards, made, changed, audit, now: push.now })
    }

    /// The requests of the tenant that a Communication answers, and whether it names one and none of those is here.
    /// Whoever asked need not be who answers, so the whole tenant is looked at.
    async fn answered(&self, push: &Push<'_>) -> Result<(Vec<(StoredResource, Value)>, bool), DbError> {
        let (mut found, mut is_named) = (Vec::new(), false);
        for reference in communication::answered_requests(push.resource) {
            is_named = true;
            let Target::Local { resource_type, id } = Target::of(reference, &self.settings.fhir_base) else {
                continue;
            };
            let mut reader = self.db.reader().await?;
            let tenant = Access::of_worker(&push.item.tenant);
            let stored = repository::read(&mut reader.tx(), &tenant, resource_type, id).await?;
            let tree = stored.as_ref().and_then(|stored| fhir::parse(stored.content.as_deref()?).ok());
            found.extend(stored.zip(tree));
        }
        let is_unknown = is_named && found.is_empty();
        Ok((found, is_unknown))
    }

    /// The next version of a resource, if `before` is the present one. It begets no errand: what it carries is the
    /// same.
    fn next_version(&self, push: &Push<'_>, before: &StoredResource, tree: &Value) -> (Draft, Precondition) {
        // A stored resource has a type that there is.
        let resource_type = resource_type(&before.resource_type).unwrap_or_default();
        let draft = Draft {
            resource_type,
            id: before.id.clone(),
            text: tree.to_string().into(),
            entries: index::entries(&push.item.tenant, resource_type, tree, &self.settings.fhir_base),
            bytes: before.bytes,
            errands: Vec::new(),
        };
        (draft, Precondition::Version(vec![before.version]))
    }

    /// Where what goes on comes from, as a Provenance of the resource that brought it.
    fn provenance(
        &self,
        push: &Push<'_>,
        forwards: &[Forward],
        answered: Vec<String>,
    ) -> Option<(Draft, Precondition)> {
        let uploads = forwards.iter().map(|forward| Source::Upload(forward.record.upload_id));
        let sources: Vec<Source> = uploads.chain(answered.into_iter().map(Source::Resource)).collect();
        let origin = Origin {
            targets: vec![push.item.subject.clone()],
            author: push.sender.to_agent(&push.item.owner),
            transmitter: Agent::client(&push.item.owner),
            received_at: push.stored.last_updated,
            recorded_at: push.now,
            purposes: Vec::new(),
            sources,
            checks: Vec::new(),
        };
        let tree = origin.to_resource();
        let draft = Draft {
            resource_type: "Provenance",
            id: ResourceId::new().to_string(),
            text: tree.to_string().into(),
            entries: index::entries(&push.item.tenant, "Provenance", &tree, &self.settings.fhir_base),
            bytes: None,
            errands: self.errands_of("Provenance", &tree),
        };
        (!forwards.is_empty()).then_some((draft, Precondition::None))
    }
}
