//! Subscriptions for tests.

use serde_json::{Value, json};

use super::TASK_TOPIC;

/// The FHIR base URL of tests.
pub(crate) const BASE: &str = "http://gateway.test/fhir";

/// A Subscription to the topic with as little as there can be.
pub(crate) fn subscription(endpoint: &str, content: &str) -> Value {
    let url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content";
    json!({
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "changes of Tasks",
        "criteria": TASK_TOPIC,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": url, "valueCode": content}]},
        },
    })
}
