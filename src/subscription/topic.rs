//! The one topic that can be subscribed to: that of HRex about Tasks (CONF-065). Pure: which versions of a Task it
//! is about. What of it a subscriber wants is `filter`'s.

use serde_json::Value;

/// The canonical URL of the topic.
pub(crate) const TASK_TOPIC: &str = "http://hl7.org/fhir/us/davinci-hrex/SubscriptionTopic/Task";

/// The search parameters of Task that the topic can be filtered by, and the modifiers that they may have there.
pub(super) const CAN_FILTER_BY: [(&str, &[&str]); 4] =
    [("code", &[]), ("owner", &["identifier"]), ("requester", &["identifier"]), ("status", &[])];

/// Whether a version of a Task is an event of the topic: it and the version before it are orders that are drafts no
/// more. A first version has none before it, and passes by itself (`resultForCreate: test-passes`).
pub(crate) fn is_event(previous: Option<&Value>, current: &Value) -> bool {
    previous.is_none_or(is_order) && is_order(current)
}

/// `status:not=draft&intent=order`
pub(crate) fn is_order(task: &Value) -> bool {
    task["intent"] == "order" && task["status"] != "draft"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conf_065_both_versions_of_a_task_are_orders_and_no_drafts() {
        let task = |intent: &str, status: &str| json!({"intent": intent, "status": status});
        let order = task("order", "requested");
        for (previous, current, is) in [
            (None, order.clone(), true),
            (None, task("order", "draft"), false),
            (None, task("plan", "requested"), false),
            (None, json!({"status": "requested"}), false),
            (Some(order.clone()), task("order", "completed"), true),
            (Some(task("order", "draft")), order.clone(), false),
            (Some(task("proposal", "requested")), order.clone(), false),
            (Some(order.clone()), task("order", "draft"), false),
        ] {
            assert_eq!(is_event(previous.as_ref(), &current), is, "{previous:?} {current}");
        }
    }
}
