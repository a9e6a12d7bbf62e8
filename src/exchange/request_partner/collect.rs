//! A Task at a partner is completed: its outputs become resources of ours, with the Provenance that says where they
//! come from, in the unit that completes our copy.

use std::sync::Arc;

use serde_json::Value;

use super::gather::{Gathered, Gatherer};
use super::look::Seen;
use super::{PartnerRequest, copy_of, copy_to_change, keep_copy, store};
use crate::agenda::{self, Errand, Item, NewItem};
use crate::audit;
use crate::cdex::Identifier;
use crate::cdex::provenance::{Agent, Origin, Source};
use crate::cdex::request::mirror;
use crate::cdex::task::{CdexTask, Input};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::interaction::Requester;
use crate::exchange::store_resource::{Prepared, Received};
use crate::id::ResourceId;
use crate::partner::Partner;
use crate::repository::{self, Precondition};

/// How often an output is asked for that the partner does not let us at: for about a day, in which somebody may put the
/// credentials right.
const KNOCKS: u32 = 150;

/// What a unit writes that ends a request with its outputs.
struct Collected {
    exchange: Arc<Exchange>,
    requester: Requester,
    item: Item,
    request: PartnerRequest,
    /// The Task as it was seen.
    task: Value,
    /// The resources, the Provenance included.
    resources: Vec<Prepared>,
    outputs: Vec<Value>,
    missing: usize,
    is_shut_out: bool,
}

impl Exchange {
    /// Fetches the outputs of a request's Task and completes our copy.
    pub(in crate::exchange) async fn collect_outputs(
        self: &Arc<Self>,
        item: &Item,
    ) -> Result<(), FollowError> {
        let Some(request) = self.request_of(item).await? else { return Ok(self.forget(item).await?) };
        let requester = self.requester_of(item);
        let copy = {
            let mut reader = self.db.reader().await?;
            copy_of(&mut reader.tx(), &requester.access(), &request.task_id).await?
        };
        if copy.is_none_or(|(_, copy)| mirror::is_over(&copy)) {
            return Ok(self.forget(item).await?);
        }
        let partner = self.partner_of(&request)?;
        let Some(base) = &partner.fhir_base else {
            return Err(FollowError::Unavailable("the partner has no fhir_base".to_owned()));
        };
        let stopping = |_| FollowError::Unavailable("the gateway is stopping".to_owned());
        let _permit = self.collecting.acquire().await.map_err(stopping)?;
        let seen = self.look(&partner, base, std::slice::from_ref(&request)).await.take(request.id);
        let task = match seen {
            Seen::Task(task) if task["status"] == "completed" => task,
            // It was reopened, or is gone: the timer sees to that.
            Seen::Task(_) | Seen::Gone => return self.poll_again(item, &request).await,
            Seen::Nothing => return Err(FollowError::Unavailable("the partner cannot be asked".to_owned())),
        };
        let gathered = Gatherer::new(self, &requester, (&partner, base), item.attempts >= KNOCKS);
        let gathered = gathered.gather(&task).await?;
        let unit = self.collected(item, requester, request, &partner, (task, gathered));
        let attached: Vec<_> = unit.resources.iter().filter_map(|one| one.attached.clone()).collect();
        let written = self.db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await;
        for attached in attached {
            attached.settle(written.as_ref(), |is_written| *is_written);
        }
        written?;
        self.agenda.wake();
        Ok(())
    }

    fn collected(
        self: &Arc<Self>,
        item: &Item,
        requester: Requester,
        request: PartnerRequest,
        partner: &Partner,
        (task, gathered): (Value, Gathered),
    ) -> Collected {
        let Gathered { mut resources, outputs, missing, is_shut_out, checks } = gathered;
        if !resources.is_empty() {
            let now = self.clock.now();
            let targets = resources.iter().map(|one| format!("{}/{}", one.draft.resource_type, one.draft.id));
            let mut origin = origin(&request, partner, &task, targets.collect(), now);
            origin.checks = checks;
            let provenance = origin.to_resource();
            let received = Received::of_text(provenance.to_string().into(), provenance);
            resources.push(self.draft(&requester, "Provenance", ResourceId::new().to_string(), &received));
        }
        let exchange = self.clone();
        let item = item.clone();
        Collected { exchange, requester, item, request, task, resources, outputs, missing, is_shut_out }
    }

    /// Lets the timer go on.
    async fn poll_again(&self, item: &Item, request: &PartnerRequest) -> Result<(), FollowError> {
        let now = self.clock.now();
        let unit = (item.clone(), request.id);
        self.db
            .write(unit, move |(item, id), tx| {
                Box::pin(async move {
                    if agenda::done(tx, item).await? {
                        store::resume(tx, &item.access(), *id, now).await?;
                        let timer = NewItem {
                            tenant: item.tenant.clone(),
                            owner: item.owner.clone(),
                            errand: Errand::Poll,
                            subject: id.to_string(),
                            version: 0,
                            due_at: now,
                        };
                        agenda::add(tx, &[timer]).await?;
                    }
                    Ok::<_, DbError>(())
                })
            })
            .await?;
        Ok(())
    }
}

impl Collected {
    /// `false` if somebody else has done it, and nothing was written.
    async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, DbError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(false);
        }
        let access = self.requester.access();
        let now = self.exchange.clock.now();
        let Some((stored, copy)) = copy_to_change(tx, &access, &self.request.task_id).await? else {
            return Ok(false);
        };
        if mirror::is_over(&copy) {
            return Ok(false);
        }
        let drafts: Vec<_> =
            self.resources.iter().map(|one| (one.draft.clone(), Precondition::Absent)).collect();
        repository::keep(tx, &access, &drafts, true, now).await?;
        for attached in self.resources.iter().filter_map(|one| one.attached.as_ref()) {
            attached.write(tx, &access, now).await?;
        }
        let context = self.exchange.write_context(&self.requester);
        let audited: Vec<_> = drafts
            .iter()
            .map(|(draft, _)| context.audit("collect-output", draft.resource_type, &draft.id, now))
            .collect();
        audit::record_all(tx, &audited).await?;
        let next = if self.outputs.is_empty() {
            let reason = if self.is_shut_out { mirror::SHUT_OUT } else { mirror::NO_OUTPUT };
            mirror::failed(&copy, reason, now)
        } else {
            let next = mirror::completed(&copy, &self.task, self.outputs.clone(), now);
            let told = if self.is_shut_out { mirror::SHUT_OUT_IN_PART } else { mirror::INCOMPLETE };
            if self.missing == 0 { next } else { mirror::told(&next, told, now).unwrap_or(next) }
        };
        keep_copy(tx, &self.exchange, &self.requester, (&stored, next)).await?;
        Ok(true)
    }
}

/// Where the resources come from.
fn origin(
    request: &PartnerRequest,
    partner: &Partner,
    task: &Value,
    targets: Vec<String>,
    now: Timestamp,
) -> Origin {
    let agent = match partner.identifier() {
        Some((system, value)) => Agent::organization(&Identifier {
            system: (!system.is_empty()).then(|| system.to_owned()),
            value: value.to_owned(),
        }),
        None => Agent::client(&partner.name),
    };
    let purposes = CdexTask::read(task)
        .map(|task| task.values(Input::PurposeOfUse).cloned().collect())
        .unwrap_or_default();
    let at_partner = request.place.as_ref().zip(partner.fhir_base.as_ref());
    let mut sources = vec![Source::Resource(format!("Task/{}", request.task_id))];
    sources.extend(at_partner.map(|(place, base)| {
        let system = Some("urn:ietf:rfc:3986".to_owned());
        Source::Identified(Identifier { system, value: base.at(&format!("/{place}")) })
    }));
    Origin {
        targets,
        author: agent.clone(),
        transmitter: agent,
        received_at: now,
        recorded_at: now,
        purposes,
        sources,
        checks: Vec::new(),
    }
}
