//! Notifications: Bundles of the status of a subscription and of its events, as a Bundle of type `history` for the
//! subscriber (R5 Backport 1.1.0 for R4; cdex §6.5), or as a searchset for whoever asks for the status. Pure: ids and
//! times are given.

use bytes::Bytes;
use serde_json::{Value, json};

use super::SubscriptionStatus;
use super::terms::PayloadContent;
use super::topic::TASK_TOPIC;
use crate::clock::Timestamp;
use crate::fhir::bundle::{Bundle, BundleEntry, BundleType, EntryResponse, SearchMode};
use crate::id::NotificationId;

/// The profile of a notification.
pub(crate) const NOTIFICATION: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-notification-r4";

/// The profile of the Parameters that tell the status.
pub(crate) const STATUS: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4";

/// The code system of what can be wrong with a subscription.
const ERROR_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/subscription-error";

/// Why something is said of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotificationType {
    /// To see whether the endpoint is there.
    Handshake,
    /// Because there was nothing else to say for a while.
    Heartbeat,
    /// Because of events.
    EventNotification,
    /// Because somebody asked for the status.
    QueryStatus,
    /// Because somebody asked for the events.
    QueryEvent,
}

impl NotificationType {
    /// The code (`subscription-notification-type`).
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Heartbeat => "heartbeat",
            Self::EventNotification => "event-notification",
            Self::QueryStatus => "query-status",
            Self::QueryEvent => "query-event",
        }
    }
}

/// What is said of a subscription.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusReport<'a> {
    /// The gateway's FHIR base URL.
    pub(crate) base: &'a str,
    /// The subscription's id.
    pub(crate) id: &'a str,
    /// Its status.
    pub(crate) status: SubscriptionStatus,
    /// How many events there were since it became active.
    pub(crate) events: u64,
    /// What is wrong, if it is in error.
    pub(crate) error: Option<&'a str>,
}

/// An event of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotifiedEvent {
    /// Its number in the subscription, from 1 on.
    pub(crate) number: u64,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// The id of the Task that it is about.
    pub(crate) task: String,
    /// Whether it made the Task.
    pub(crate) is_create: bool,
    /// The Task as it was, where it is to be told.
    pub(crate) resource: Option<Bytes>,
}

/// A notification for a subscriber, or the answer to `$events`.
pub(crate) fn notification(
    report: &StatusReport<'_>,
    notification_type: NotificationType,
    content: PayloadContent,
    events: &[NotifiedEvent],
    (id, now): (NotificationId, Timestamp),
) -> Vec<u8> {
    let parameters = parameters(report, notification_type, content, events, id);
    let status = BundleEntry {
        full_url: Some(format!("urn:uuid:{id}")),
        resource: Some(parameters.to_string().into()),
        request: Some(("GET", format!("{}/Subscription/{}/$status", report.base, report.id))),
        response: Some(EntryResponse { status: "200".to_owned(), ..EntryResponse::default() }),
        ..BundleEntry::default()
    };
    let mut entries = vec![status];
    for event in events {
        // One entry for each Task, the last version that is told: FHIR R4 Bundle, bdl-7, wants its URL once.
        let is_told_later = |later: &&NotifiedEvent| later.number > event.number && later.task == event.task;
        if content != PayloadContent::Empty && !events.iter().any(|later| is_told_later(&later)) {
            entries.push(task_entry(report.base, content, event));
        }
    }
    let bundle =
        Bundle { bundle_type: BundleType::History, at: now, total: None, links: Vec::new(), entries };
    bundle.into_text_of(NOTIFICATION)
}

/// The answer to `$status`.
pub(crate) fn statuses(reports: &[(StatusReport<'_>, NotificationId)], now: Timestamp) -> Vec<u8> {
    let entries = reports.iter().map(|(report, id)| {
        let kind = NotificationType::QueryStatus;
        let parameters = parameters(report, kind, PayloadContent::Empty, &[], *id);
        BundleEntry {
            full_url: Some(format!("urn:uuid:{id}")),
            resource: Some(parameters.to_string().into()),
            search: Some(SearchMode::Match),
            ..BundleEntry::default()
        }
    });
    let entries: Vec<BundleEntry> = entries.collect();
    let total = Some(entries.len() as u64);
    Bundle { bundle_type: BundleType::Searchset, at: now, total, links: Vec::new(), entries }.into_text()
}

fn parameters(
    report: &StatusReport<'_>,
    notification_type: NotificationType,
    content: PayloadContent,
    events: &[NotifiedEvent],
    id: NotificationId,
) -> Value {
    let url = format!("{}/Subscription/{}", report.base, report.id);
    let mut list = vec![
        json!({"name": "subscription", "valueReference": {"reference": url}}),
        json!({"name": "topic", "valueCanonical": TASK_TOPIC}),
        json!({"name": "status", "valueCode": report.status.as_code()}),
        json!({"name": "type", "valueCode": notification_type.as_code()}),
        // R4 has no integer64.
        json!({"name": "events-since-subscription-start", "valueString": report.events.to_string()}),
    ];
    list.extend(events.iter().map(|event| {
        let mut part = vec![
            json!({"name": "event-number", "valueString": event.number.to_string()}),
            json!({"name": "timestamp", "valueInstant": event.at.to_string()}),
        ];
        if content != PayloadContent::Empty {
            let focus = format!("{}/Task/{}", report.base, event.task);
            part.push(json!({"name": "focus", "valueReference": {"reference": focus}}));
        }
        json!({"name": "notification-event", "part": part})
    }));
    if let Some(text) = report.error {
        let coding = json!([{"system": ERROR_SYSTEM, "code": "no-response"}]);
        list.push(json!({"name": "error", "valueCodeableConcept": {"coding": coding, "text": text}}));
    }
    json!({
        "resourceType": "Parameters",
        "id": id.to_string(),
        "meta": {"profile": [STATUS]},
        "parameter": list,
    })
}

fn task_entry(base: &str, content: PayloadContent, event: &NotifiedEvent) -> BundleEntry {
    let (method, url, status) = if event.is_create {
        ("POST", "Task".to_owned(), "201")
    } else {
        ("PUT", format!("Task/{}", event.task), "200")
    };
    BundleEntry {
        full_url: Some(format!("{base}/Task/{}", event.task)),
        resource: event.resource.clone().filter(|_| content == PayloadContent::FullResource),
        request: Some((method, url)),
        response: Some(EntryResponse { status: status.to_owned(), ..EntryResponse::default() }),
        ..BundleEntry::default()
    }
}
