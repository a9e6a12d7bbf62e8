//! `$status` and `$events`: what a subscriber can ask for instead of waiting, whatever became of the notifications.

use serde_json::Value;

use super::SUBSCRIPTION;
use crate::cdex::operation::Inputs;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::find_resource::present;
use crate::exchange::interaction::{InteractionError, Requester};
use crate::fhir::search::{Query, Scope};
use crate::fhir::{self, Issue, IssueType, Place};
use crate::id::NotificationId;
use crate::repository::entry::Space;
use crate::repository::{self, Search, StoredResource, criteria};
use crate::subscription::{
    self, NotificationType, PayloadContent, StatusReport, Subscription, SubscriptionStatus, notification,
    statuses,
};

/// Subscriptions whose status one answer tells at most.
const MOST_STATUSES: u32 = 1_000;

/// Events that one answer tells at most.
const MOST_EVENTS: u32 = 1_000;

/// What is told of a subscription.
struct Told {
    id: String,
    status: SubscriptionStatus,
    events: u64,
    error: Option<String>,
}

impl Told {
    /// The resource says the status, the row beside it the rest; there is no row before the first handshake.
    fn new(resource: &StoredResource, found: Option<Subscription>) -> Result<Self, DbError> {
        let unreadable = || DbError::inconsistent("resource", "content", resource.key);
        let content = resource.content.as_ref().ok_or_else(unreadable)?;
        let tree = fhir::parse(content).map_err(|_| unreadable())?;
        let status = tree["status"].as_str().and_then(SubscriptionStatus::parse).ok_or_else(unreadable)?;
        Ok(Self {
            id: resource.id.clone(),
            status,
            events: found.map_or(0, |found| found.events),
            error: tree["error"].as_str().map(str::to_owned),
        })
    }

    fn report<'a>(&'a self, base: &'a str) -> StatusReport<'a> {
        StatusReport {
            base,
            id: &self.id,
            status: self.status,
            events: self.events,
            error: self.error.as_deref(),
        }
    }
}

impl Exchange {
    /// Answers `$status` of one Subscription, or of those that ids and statuses name.
    pub(in crate::exchange) async fn tell_status(
        &self,
        requester: &Requester,
        place: Place,
        inputs: &Inputs,
    ) -> Result<Value, InteractionError> {
        let access = requester.access();
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        let resources = match place {
            Place::Instance(_, id) => vec![present(&mut tx, &access, SUBSCRIPTION, &id).await?],
            Place::Type(_) | Place::System => self.asked_for(&mut tx, requester, inputs).await?,
        };
        let mut told = Vec::with_capacity(resources.len());
        for resource in &resources {
            let found = subscription::find(&mut tx, &access, &resource.id).await?;
            told.push(Told::new(resource, found)?);
        }
        let reports: Vec<_> =
            told.iter().map(|told| (told.report(&requester.base), NotificationId::new())).collect();
        Ok(answer(&statuses(&reports, self.clock.now())))
    }

    async fn asked_for(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        inputs: &Inputs,
    ) -> Result<Vec<StoredResource>, InteractionError> {
        let ids: Vec<&str> = inputs.texts("id").map(|id| id.rsplit('/').next().unwrap_or_default()).collect();
        let statuses: Vec<&str> = inputs.texts("status").collect();
        // Empty ones ask for nothing.
        let parameters = [("_id", ids.join(",")), ("status", statuses.join(","))]
            .map(|(name, value)| (name.to_owned(), value));
        let query = Query::parse(Scope::Type(SUBSCRIPTION), &parameters, &requester.base, true)
            .map_err(InteractionError::Malformed)?;
        let tenant = requester.caller.tenant();
        let search = Search {
            types: vec![Space::of_type(tenant, SUBSCRIPTION)],
            criterion: criteria::of(&query, tenant, self.clock.now()),
            order: Vec::new(),
            count: MOST_STATUSES,
            after: None,
            count_to: 0,
        };
        Ok(repository::search(tx, &requester.access(), &search).await?.resources)
    }

    /// Answers `$events`: the events of a Subscription by their numbers, whether they were notified or not.
    pub(in crate::exchange) async fn tell_past_events(
        &self,
        requester: &Requester,
        id: &str,
        inputs: &Inputs,
    ) -> Result<Value, InteractionError> {
        let since = number(inputs, "eventsSinceNumber")?.unwrap_or(0);
        let until = number(inputs, "eventsUntilNumber")?.unwrap_or(u64::MAX);
        let content = match inputs.text("content") {
            Some(code) => Some(PayloadContent::parse(code).ok_or_else(|| {
                let text = "content is empty, id-only or full-resource";
                InteractionError::Malformed(vec![Issue::refusal(IssueType::CodeInvalid, text)])
            })?),
            None => None,
        };
        let access = requester.access();
        let (resource, found, events) = {
            let mut reader = self.db.reader().await?;
            let mut tx = reader.tx();
            let resource = present(&mut tx, &access, SUBSCRIPTION, id).await?;
            let found = subscription::find(&mut tx, &access, id).await?;
            let events = subscription::events(&mut tx, &access, id, (since, until), MOST_EVENTS).await?;
            (resource, found, events)
        };
        let at = (NotificationId::new(), self.clock.now());
        let kind = NotificationType::QueryEvent;
        let told = Told::new(&resource, found.clone())?;
        let report = told.report(&requester.base);
        let Some(found) = found else {
            return Ok(answer(&notification(&report, kind, PayloadContent::Empty, &[], at)));
        };
        let content = content.unwrap_or(found.terms.content);
        let events = self.notified(&found, content, &events).await?;
        Ok(answer(&notification(&report, kind, content, &events, at)))
    }
}

fn number(inputs: &Inputs, name: &'static str) -> Result<Option<u64>, InteractionError> {
    let Some(text) = inputs.text(name) else { return Ok(None) };
    let number = text.parse().map_err(|_| {
        let text = format!("{name} is the number of an event");
        InteractionError::Malformed(vec![Issue::refusal(IssueType::Value, text)])
    })?;
    Ok(Some(number))
}

/// A Bundle of ours as a tree.
fn answer(bundle: &[u8]) -> Value {
    serde_json::from_slice(bundle).unwrap_or_default()
}
