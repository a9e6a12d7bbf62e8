//! A partner tells that Tasks have changed (R5 Backport notification, cdex §6.5): they are looked at now and not when
//! the timer would. What a notification says is not believed; it names what to look at, and nothing more.

use serde_json::Value;

use super::store;
use crate::agenda::{self, Errand};
use crate::auth::Access;
use crate::cdex::operation::Inputs;
use crate::cdex::request::mirror;
use crate::db::DbError;
use crate::exchange::Exchange;
use crate::exchange::interaction::{Done, InteractionError, Requester};
use crate::fhir::Issue;

/// Tasks of one notification that are looked at.
const MOST: usize = 200;

impl Exchange {
    /// Takes a notification; handshakes and heartbeats name no Task and are taken too.
    pub(in crate::exchange) async fn take_notification(
        &self,
        requester: &Requester,
        mut inputs: Inputs,
    ) -> Result<Done, InteractionError> {
        let notification = inputs.require("notification").map_err(InteractionError::Malformed)?.resource;
        let mut places = named(&notification);
        places.truncate(MOST);
        // Requests belong to whoever made them, and the partner is somebody else.
        let access = Access::of_worker(requester.caller.tenant());
        let partner = self.partners.of_client(requester.caller.client_id()).map(|it| it.name.clone());
        let now = self.clock.now();
        let hastened: usize = self
            .db
            .write((access, partner, places), move |(access, partner, places), tx| {
                Box::pin(async move {
                    let mut hastened = 0;
                    for place in places {
                        for id in store::hasten(tx, access, partner.as_deref(), place, now).await? {
                            agenda::hasten(tx, access.tenant(), Errand::Poll, &id.to_string(), now).await?;
                            hastened += 1;
                        }
                    }
                    Ok::<_, DbError>(hastened)
                })
            })
            .await?;
        if hastened > 0 {
            self.agenda.wake();
        }
        tracing::debug!(hastened, "a notification was taken");
        Ok(Done::Validated(vec![Issue::information("The notification was taken")]))
    }
}

/// Where the Tasks are that a notification names: in its entries, in the requests of those, and as what its events are
/// about.
fn named(notification: &Value) -> Vec<String> {
    let entries = notification["entry"].as_array().into_iter().flatten();
    let mut places: Vec<String> = entries
        .flat_map(|entry| {
            let texts = [entry.get("fullUrl"), entry.pointer("/request/url")].into_iter().flatten();
            let mut targets: Vec<&str> = texts.filter_map(Value::as_str).collect();
            events(&entry["resource"], &mut targets);
            targets.into_iter().filter_map(mirror::place_of).collect::<Vec<_>>()
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// The references among the parameters of a SubscriptionStatus and their parts.
fn events<'a>(status: &'a Value, found: &mut Vec<&'a str>) {
    let target =
        |parameter: &'a Value| parameter.pointer("/valueReference/reference").and_then(Value::as_str);
    for parameter in status["parameter"].as_array().into_iter().flatten() {
        found.extend(target(parameter));
        found.extend(parameter["part"].as_array().into_iter().flatten().filter_map(target));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notification_names_tasks_in_any_of_its_places() {
        let status = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "subscription", "valueReference": { "reference": "Subscription/1" } },
            { "name": "notification-event", "part": [
                { "name": "focus", "valueReference": { "reference": "https://ehr.example/fhir/Task/1" } }] },
        ] });
        let notification = json!({ "resourceType": "Bundle", "type": "history", "entry": [
            { "fullUrl": "urn:uuid:1", "resource": status, "request": { "url": "Subscription/1/$status" } },
            { "fullUrl": "https://ehr.example/fhir/Task/2", "resource": { "resourceType": "Task", "id": "2" } },
            { "request": { "method": "PUT", "url": "Task/1" } },
            { "request": { "method": "POST", "url": "Task" } },
        ] });
        assert_eq!(named(&notification), ["Task/1", "Task/2"]);
        assert!(named(&json!({ "resourceType": "Bundle", "type": "history" })).is_empty());
    }
}
