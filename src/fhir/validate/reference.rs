//! Whether references lead to what a profile allows: the type of the target, where it is told, and the
//! target itself, where it is at hand.

use serde_json::Value;

use super::super::outcome::IssueType;
use super::super::profile::{Target, TypeRule};
use super::Walk;
use super::place::Place;

impl<'v> Walk<'_, 'v> {
    /// Checks one Reference.
    pub(super) fn reference(&mut self, kind: &TypeRule, reference: &'v Value, at: &Place<'_>) {
        let literal = reference.get("reference").and_then(Value::as_str);
        if kind.contained_only && literal.is_some_and(|literal| !literal.starts_with('#')) {
            self.issues.push(at.error(IssueType::Value, "must refer to a contained resource"));
            return;
        }
        let Some(target_type) = self.surroundings.target_type(reference) else { return };
        if kind.targets.is_empty() {
            return;
        }
        let allowed = kind.targets.iter().filter(|target| target.admits(target_type));
        let allowed: Vec<&Target> = allowed.collect();
        if allowed.is_empty() {
            let mut names: Vec<&str> =
                kind.targets.iter().filter_map(|target| target.resource_type.as_deref()).collect();
            names.dedup();
            self.issues.push(at.error(
                IssueType::Value,
                &format!("must refer to a resource of type {}", names.join(" or ")),
            ));
            return;
        }
        if let Some(target) = self.surroundings.resolve(reference)
            && self.follows_references
            && allowed.iter().all(|allowed| allowed.has_rules)
        {
            self.target(&allowed, target, at);
        }
    }

    fn target(&mut self, allowed: &[&Target], target: &'v Value, at: &Place<'_>) {
        let is_told =
            |url: &str| self.walked.iter().any(|(at, known)| std::ptr::eq(*at, target) && *known == url);
        // What is wrong with a contained resource was told where it is.
        if allowed.iter().any(|allowed| is_told(&allowed.url) || self.keeps(target, &allowed.url)) {
            return;
        }
        let urls: Vec<&str> = allowed.iter().map(|allowed| allowed.url.as_str()).collect();
        self.issues.push(
            at.error(IssueType::Value, "refers to a resource here that breaks the rules for it")
                .advising(format!("Profile: {}", urls.join(" or "))),
        );
    }
}

impl Target {
    /// Whether a resource of this type may be meant. Of a profile that is not known, nothing is.
    fn admits(&self, resource_type: &str) -> bool {
        match self.resource_type.as_deref() {
            None | Some("Resource" | "DomainResource") => true,
            Some(name) => name == resource_type,
        }
    }
}
