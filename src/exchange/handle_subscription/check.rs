//! What a Subscription must be to be kept: served by the topic (`crate::subscription`), with an endpoint that may be
//! called. Which status it has is the gateway's to say; a client asks for it, or turns it off.

use serde_json::Value;

use super::SUBSCRIPTION;
use crate::exchange::Exchange;
use crate::exchange::store_resource::Received;
use crate::fhir::{Issue, IssueType, resource};
use crate::subscription;

impl Exchange {
    /// All that is not served of a Subscription that is to be kept.
    pub(in crate::exchange) fn check_subscription(&self, tree: &Value) -> Vec<Issue> {
        let mut issues =
            subscription::read(tree, &self.settings.fhir_base, self.clock.now()).err().unwrap_or_default();
        if let Some(endpoint) = tree.pointer("/channel/endpoint").and_then(Value::as_str)
            && let Err(rule) = self.subscriber(endpoint)
        {
            issues.push(Issue::error(IssueType::BusinessRule, "Subscription.channel.endpoint", rule));
        }
        if tree["status"] == "error" {
            let text = "Only the gateway says that a Subscription is in error";
            let issue = Issue::error(IssueType::BusinessRule, "Subscription.status", text);
            issues.push(issue.advising("Send requested to activate it again, or off to end it"));
        }
        issues
    }
}

/// A Subscription as it is kept, where that is not as it was sent: only the gateway says that one is active, or what is
/// wrong with it.
pub(in crate::exchange) fn requested(resource_type: &str, received: &Received) -> Option<Received> {
    let is_active = received.tree["status"] == "active";
    let has_error = received.tree.get("error").is_some();
    if resource_type != SUBSCRIPTION || !(is_active || has_error) {
        return None;
    }
    let mut changed = received.clone();
    let object = changed.tree.as_object_mut()?;
    object.remove("error");
    let mut text = resource::with_member(&received.text, "error", None).ok()?;
    if is_active {
        let status = Value::from("requested");
        text = resource::with_member(&text, "status", Some(&status)).ok()?;
        object.insert("status".to_owned(), status);
    }
    changed.text = text.into();
    Some(changed)
}
