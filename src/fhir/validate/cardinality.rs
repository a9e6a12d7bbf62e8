//! How often an element must and may be there.

use super::super::outcome::{Issue, IssueType};
use super::super::profile::ElementRule;
use super::place::Place;

/// Checks the number of occurrences.
pub(super) fn check(rule: &ElementRule, count: usize, at: &Place, issues: &mut Vec<Issue>) {
    if count < rule.min {
        let problem = match rule.min {
            1 => "is required".to_owned(),
            min => format!("is required at least {min} times and is there {count} times"),
        };
        let issue = at.error(IssueType::Required, &problem);
        issues.push(match &rule.short {
            Some(short) => issue.advising(format!("What it is: {short}")),
            None => issue,
        });
    }
    if let Some(max) = rule.max.filter(|max| count > *max) {
        let times = if max == 1 { "once".to_owned() } else { format!("{max} times") };
        let problem = format!("may be there {times} and is there {count} times");
        issues.push(at.error(IssueType::Structure, &problem));
    }
}
