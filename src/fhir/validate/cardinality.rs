//! How often an element must and may be there.

use super::super::outcome::{Issue, IssueType};
use super::super::profile::{Demand, ElementRule, SliceTest, Step};
use super::place::Place;

/// Checks the number of occurrences. What is missing is told at `at`, what is too much at `surplus`.
pub(super) fn check(
    rule: &ElementRule,
    count: usize,
    at: &Place<'_>,
    surplus: &Place<'_>,
    issues: &mut Vec<Issue>,
) {
    if count < rule.min {
        let problem = match rule.min {
            1 => "is required".to_owned(),
            min => format!("is required at least {min} times and is there {count} times"),
        };
        let issue = match parameter_name(rule) {
            Some(name) => at.called(name).missing_parameter(&problem),
            None => at.error(IssueType::Required, &problem),
        };
        issues.push(match &rule.short {
            Some(short) => issue.advising(format!("What it is: {short}")),
            None => issue,
        });
    }
    if let Some(max) = rule.max.filter(|max| count > *max) {
        let problem = match max {
            0 => "must not be there".to_owned(),
            1 => format!("may be there once and is there {count} times"),
            max => format!("may be there {max} times and is there {count} times"),
        };
        issues.push(surplus.error(IssueType::Structure, &problem));
    }
}

/// The name of a parameter of Parameters, which is known by it as other elements are by theirs.
fn parameter_name(rule: &ElementRule) -> Option<&str> {
    match &rule.tests[..] {
        [SliceTest { path, demand: Demand::Fixed(name) }] => match &path[..] {
            [Step::Element(step)] if step == "name" => name.as_str(),
            _ => None,
        },
        _ => None,
    }
}
