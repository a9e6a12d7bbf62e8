//! A resource that was pushed goes on: each payload of it becomes an upload with a manifest, complete and on its way,
//! as if its sender had come by `$submit-attachment` (cdex §9.5).
//!
//! [`rules`] says which resources and whereto, [`piece`] what they carry, [`gather`] has the bytes, [`mod@unit`] makes
//! it all true in one transaction, together with what the push means for the request that it answers. A payload goes on
//! once for its bytes, however often and under whichever id its message is sent; [`store`] remembers that. A [`task`]
//! may name what is pushed instead.

mod gather;
mod piece;
mod rules;
mod sender;
mod store;
mod task;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::HashSet;
use std::sync::Arc;

use crate::digest::{Digest, Sha256};
use bytes::Bytes;
use serde_json::{Value, json};

use super::Exchange;
use super::finish_upload::Finishing;
use super::follow_agenda::FollowError;
use crate::agenda::Item;
use crate::auth::{Access, Caller};
use crate::cdex::communication;
use crate::cdex::{Identifier, tag};
use crate::clock::Timestamp;
use crate::db::DbError;
use crate::fhir::{self, Spool, Spooled, datatype};
use crate::id::UploadId;
use crate::manifest::{PayloadFacts, PushFacts, SenderManifest, verify};
use crate::partner::Partner;
use crate::repository::{self, StoredResource};
use crate::screening::HEAD_BYTES;
use crate::upload::{Content, Door, Upload, UploadSpool, Uploads};

use gather::{Gathered, PushedBytes};
pub(crate) use rules::ForwardRules;
use rules::Way;
use sender::Sender;
use store::{Forwarded, Outcome};
use unit::{Forward, Unit};

/// What stands for an organisation that does not say who it is.
const UNKNOWN: &str = "unknown";

impl Exchange {
    /// Forwards what a version of a resource carries, and says so to the request that it answers.
    ///
    /// *Idempotence*: what was forwarded before is not forwarded again.
    pub(super) async fn forward_push(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let Some(stored) = self.pushed(item).await? else { return Ok(self.forget(item).await?) };
        let resource = fhir::parse(stored.content.as_deref().unwrap_or_default())
            .map_err(|_| DbError::inconsistent("resource", "content", &stored.id))?;
        if stored.resource_type == "Task" {
            return self.follow_focus(item, &stored, resource).await;
        }
        let sender = self.sender_of_push(&item.access(), &resource).await?;
        let partner = self.pushing_partner(item, &sender);
        let name = partner.as_ref().map(|partner| &*partner.name);
        let Some(way) = self.forward.way(&stored.resource_type, &resource, name) else {
            return Ok(self.forget(item).await?);
        };
        let mut spool = self.uploads.spool(&item.access());
        let push = Push {
            item,
            stored: &stored,
            resource: &resource,
            sender: &sender,
            partner: partner.as_deref(),
            way,
            now: self.clock.now(),
        };
        let written = match self.prepared(&push, &mut spool).await {
            Ok(unit) => self.db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await,
            Err(error) => Err(error),
        };
        match &written {
            Ok(true) => spool.keep(),
            // The commit may have happened all the same; then these bytes are somebody's only copy.
            Err(FollowError::Db(error)) if error.leaves_commit_unknown() => spool.leave(),
            Ok(false) | Err(_) => spool.give_up().await,
        }
        self.deliveries.wake();
        self.agenda.wake();
        written.map(drop)
    }

    /// All that is to be written, its bytes in the spool.
    async fn prepared(&self, push: &Push<'_>, spool: &mut UploadSpool) -> Result<Unit, FollowError> {
        let gathered = self.gather(push.item, push.stored, push.resource, push.partner, spool).await?;
        let forwards = self.forwards(push, gathered, spool).await?;
        self.push_unit(push, forwards).await
    }

    /// The resource as it is now; none if it was deleted.
    async fn pushed(&self, item: &Item) -> Result<Option<StoredResource>, DbError> {
        let Some((resource_type, id)) = item.resource() else { return Ok(None) };
        let mut reader = self.db.reader().await?;
        let stored = repository::read(&mut reader.tx(), &item.access(), resource_type, id).await?;
        Ok(stored.filter(|stored| stored.content.is_some()))
    }

    /// The partner that sent it: by its client, else by its identifier.
    fn pushing_partner(&self, item: &Item, sender: &Sender) -> Option<Arc<Partner>> {
        let by_client = self.partners.of_client(Some(&item.owner));
        let by_identifier = || {
            let identifier = sender.identifier.as_ref()?;
            self.partners.of_identifier(identifier.system.as_deref(), &identifier.value)
        };
        by_client.or_else(by_identifier).cloned()
    }

    /// The payloads that were not dealt with before, their bytes in the spool.
    async fn forwards(
        &self,
        push: &Push<'_>,
        gathered: Vec<Gathered>,
        spool: &mut UploadSpool,
    ) -> Result<Vec<Forward>, FollowError> {
        let origin = push.origin();
        let known: HashSet<(String, Vec<u8>)> = {
            let mut reader = self.db.reader().await?;
            store::known(&mut reader.tx(), &push.item.access(), &origin).await?.into_iter().collect()
        };
        let mut forwards = Vec::new();
        for one in gathered {
            let sha256 = match &one.bytes {
                Ok(PushedBytes::Spooled(spooled, _)) => spooled.sha256.to_vec(),
                Ok(PushedBytes::Stored(content)) => content.sha256.to_vec(),
                Ok(PushedBytes::Upload(id)) => Sha256::digest(id.to_string()).to_vec(),
                Err(_) => Vec::new(),
            };
            if known.contains(&(one.key.clone(), sha256.clone())) {
                if let Ok(PushedBytes::Spooled(spooled, _)) = &one.bytes {
                    spool.discard(spooled).await;
                }
                continue;
            }
            let record = |upload_id, outcome| Forwarded {
                origin,
                payload: one.key.clone(),
                sha256: sha256.clone(),
                resource: (push.item.subject.clone(), push.stored.version),
                upload_id,
                outcome,
            };
            let forward = match &one.bytes {
                Ok(PushedBytes::Upload(id)) => Forward::named(record(*id, Outcome::Named)),
                Ok(PushedBytes::Spooled(spooled, head)) => {
                    self.forward(push, &one, &Carried::Own(spooled.clone(), head.clone()), record).await?
                }
                Ok(PushedBytes::Stored(content)) => {
                    self.forward(push, &one, &Carried::Shared(content.clone()), record).await?
                }
                Err(reason) => {
                    let id = UploadId::new();
                    let fields = self.fields(push, &one, id).ingested(id, push.now);
                    Forward::failed(record(id, Outcome::Failed), push, &fields, reason)
                }
            };
            if let (true, Ok(PushedBytes::Spooled(spooled, _))) = (forward.is_failed(), &one.bytes) {
                spool.discard(spooled).await;
            }
            forwards.push(forward);
        }
        Ok(forwards)
    }

    /// One payload as a complete upload, or as the reports on why it is none.
    async fn forward(
        &self,
        push: &Push<'_>,
        one: &Gathered,
        carried: &Carried,
        record: impl Fn(UploadId, Outcome) -> Forwarded,
    ) -> Result<Forward, FollowError> {
        let (id, length, sha256) = match carried {
            Carried::Own(spooled, _) => (spooled.id, spooled.length, spooled.sha256),
            Carried::Shared(content) => (UploadId::new(), content.length, content.sha256),
        };
        let head = match carried {
            Carried::Own(_, head) => head.clone(),
            Carried::Shared(content) => self.head_of(&push.item.access(), content).await?,
        };
        let mut one = one.clone();
        let label = one.said.media_type.as_deref().unwrap_or_default();
        if let Some(right) = communication::relabelled(label, &head) {
            one.said.media_type = Some(right.to_owned());
        }
        let fields = self.fields(push, &one, id).ingested(id, push.now);
        let manifest = match verify(&self.rules.current().streams, fields) {
            Ok(manifest) => manifest,
            Err(rejected) => {
                let reason = rejected.legacy_messages().join("\n");
                return Ok(Forward::failed(record(id, Outcome::Failed), push, &rejected.fields, &reason));
            }
        };
        let upload = push.upload(manifest, &one, (id, length, sha256), carried);
        let screened = self.screen(one.said.media_type.as_deref(), &head);
        let finishing = Finishing::new(self, upload.clone(), Vec::new(), push.now).screened(screened);
        Ok(Forward::uploaded(record(id, Outcome::Forwarded), upload, finishing))
    }

    /// The manifest fields of a payload (design 2, "From FHIR to the manifest").
    fn fields(&self, push: &Push<'_>, one: &Gathered, id: UploadId) -> crate::manifest::ManifestFields {
        let payload = PayloadFacts {
            interaction: push.interaction(),
            upload_id: id,
            media_type: one.said.media_type.as_deref(),
            document_date: one.said.date.as_deref(),
            title: one.said.title.as_deref(),
        };
        let is_communication = push.stored.resource_type == "Communication";
        let identifier = push.identifier();
        let facts = PushFacts {
            organization: Some(push.sender.name.as_deref().unwrap_or(UNKNOWN)),
            tracking: identifier.as_ref().map(|identifier| &*identifier.value),
            attach_to: communication::is_about_a_claim(push.resource).then_some("claim"),
            code: one.said.code.as_deref(),
            query_type: one.said.query_type,
            communication_id: is_communication.then_some(&*push.stored.id),
        };
        let stream = match push.way {
            Way::Default => None,
            Way::Stream(id, route) => Some((id, route)),
        };
        // Whoever owns what was pushed is who pushed it.
        let client = Some(&*push.item.owner).filter(|owner| *owner != Caller::anonymous().id());
        self.mapping.wrap_push(stream, client, &facts, &payload)
    }

    async fn head_of(&self, access: &Access, content: &Content) -> Result<Bytes, FollowError> {
        let length = content.length.min(HEAD_BYTES as u64);
        let mut reader =
            self.uploads.read_content(access, content.id, (0, length)).await.map_err(unavailable)?;
        Ok(reader.next().await.map_err(unavailable)?.unwrap_or_default())
    }
}

/// Bytes of a payload in the upload store.
enum Carried {
    /// Written for this upload, and how they begin.
    Own(Spooled, Bytes),
    /// Those of a Binary, which the upload shares.
    Shared(Content),
}

/// A version of a resource that is being forwarded.
struct Push<'p> {
    item: &'p Item,
    stored: &'p StoredResource,
    resource: &'p Value,
    sender: &'p Sender,
    partner: Option<&'p Partner>,
    way: Way<'p>,
    now: Timestamp,
}

impl Push<'_> {
    /// The interaction, as file names say it.
    fn interaction(&self) -> &'static str {
        match &*self.stored.resource_type {
            "Communication" => "communication",
            "DocumentReference" => "document-reference",
            "Binary" => "binary",
            "Bundle" => "bundle",
            _ => "questionnaire-response",
        }
    }

    /// The identifier of the message or document.
    fn identifier(&self) -> Option<Identifier> {
        let identifier = self.resource.get("masterIdentifier").or_else(|| self.resource.get("identifier"))?;
        identifier_of(identifier.get(0).unwrap_or(identifier))
    }

    /// What a payload comes from: a Communication is the same one under whichever id if its sender, identifier, kind
    /// and request are (cdex §9.5); any other resource is itself.
    fn origin(&self) -> [u8; 32] {
        let Item { tenant, owner, subject, .. } = self.item;
        let text = match (&*self.stored.resource_type, self.identifier()) {
            ("Communication", Some(identifier)) => {
                let of = |element| self.resource.get(element).unwrap_or(&Value::Null);
                let identifier = (identifier.system, identifier.value);
                json!([tenant, owner, of("sender"), identifier, of("category"), of("basedOn")])
            }
            _ => json!([tenant, owner, subject]),
        };
        Sha256::digest(text.to_string()).into()
    }

    fn upload(
        &self,
        manifest: SenderManifest,
        one: &Gathered,
        (id, length, sha256): (UploadId, u64, [u8; 32]),
        carried: &Carried,
    ) -> Upload {
        let owner = (&*self.item.tenant, &*self.item.owner);
        let upload = Upload::new(owner, id, Door::Fhir, Some(length), manifest, self.now);
        let key = match carried {
            Carried::Own(..) => upload.key.clone(),
            Carried::Shared(content) => Uploads::key_of(owner, content),
        };
        let media_type = one.said.media_type.clone();
        Upload { media_type, key, ..upload.completed(length, sha256, self.now) }
    }
}

fn identifier_of(json: &Value) -> Option<Identifier> {
    let found = datatype::Identifier::of(json);
    Some(Identifier { system: found.system.map(str::to_owned), value: found.value?.to_owned() })
}

/// Something of ours that is not to be had now.
fn unavailable(error: impl std::fmt::Display) -> FollowError {
    FollowError::Unavailable(error.to_string())
}
