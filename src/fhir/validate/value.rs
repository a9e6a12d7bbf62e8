//! Whether one value has the type it must have, and the fixed value or pattern. Types are followed as far
//! as the gateway reads them; that a resource has no elements beside FHIR's is checked before this.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::datatype::{date_time_precision, is_code, is_date, is_id, is_instant, is_string, is_uri};
use super::super::outcome::{Issue, IssueType};
use super::super::profile::ElementRule;
use super::MOST_ISSUES;
use super::place::Place;

/// What is asked of a value of some type.
enum Form {
    Boolean,
    /// A number; with its least value if it must be whole.
    Number(Option<i64>),
    Text(fn(&str) -> bool),
    /// An object whose elements of these names have these types, where they are there.
    Object(&'static [(&'static str, &'static str)]),
    Resource,
}

fn form_of(kind: &str) -> Form {
    match kind {
        "boolean" => Form::Boolean,
        "decimal" => Form::Number(None),
        "integer" => Form::Number(Some(i64::from(i32::MIN))),
        "unsignedInt" => Form::Number(Some(0)),
        "positiveInt" => Form::Number(Some(1)),
        "code" => Form::Text(is_code),
        "string" | "markdown" => Form::Text(is_string),
        "uri" | "url" | "canonical" | "oid" | "uuid" => Form::Text(is_uri),
        "id" => Form::Text(is_id),
        "date" => Form::Text(is_date),
        "dateTime" => Form::Text(|text| date_time_precision(text).is_some()),
        "instant" => Form::Text(is_instant),
        "time" | "base64Binary" => Form::Text(|text| !text.is_empty()),
        "Identifier" => Form::Object(&[
            ("use", "code"),
            ("type", "CodeableConcept"),
            ("system", "uri"),
            ("value", "string"),
        ]),
        "CodeableConcept" => Form::Object(&[("coding", "Coding"), ("text", "string")]),
        "Coding" => Form::Object(&[
            ("system", "uri"),
            ("version", "string"),
            ("code", "code"),
            ("display", "string"),
            ("userSelected", "boolean"),
        ]),
        "Resource" => Form::Resource,
        _ => Form::Object(&[]),
    }
}

/// Checks one value against its type and against what the rule fixes. Returns whether the type was right,
/// so that nothing is said about the content of what is not even of the right kind.
pub(super) fn check(
    rule: &ElementRule,
    value: &Value,
    kind: Option<&str>,
    at: &Place,
    issues: &mut Vec<Issue>,
) -> bool {
    let errors_before = issues.len();
    if let Some(kind) = kind {
        check_type(kind, value, at, issues);
    }
    if issues.len() > errors_before {
        return false;
    }
    if !has_demanded_value(rule, value) {
        issues.push(at.error(IssueType::Value, "does not have the value that the profile demands"));
    }
    true
}

/// Whether a value is what the rule fixes, or has what its pattern demands.
pub(super) fn has_demanded_value(rule: &ElementRule, value: &Value) -> bool {
    rule.fixed.as_ref().is_none_or(|fixed| fixed == value)
        && rule.pattern.as_ref().is_none_or(|pattern| contains(value, pattern))
}

/// FHIR R4, `ElementDefinition.pattern[x]`: all that the pattern has must be there; each item of its
/// arrays must match some item.
fn contains(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(members), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| members.get(key).is_some_and(|member| contains(member, wanted)))
        }
        (Value::Array(items), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| items.iter().any(|item| contains(item, wanted)))
        }
        (value, pattern) => value == pattern,
    }
}

/// The types in which a choice element is given, as its property names end: `valueCode` gives `Code`.
/// Extensions of a primitive without a value (`_valueCode`) give the element too.
pub(super) fn kinds_of_choice<'v>(stem: &str, members: &'v Map<String, Value>) -> Vec<&'v str> {
    let kinds: BTreeSet<&str> = members
        .keys()
        .filter_map(|key| key.strip_prefix('_').unwrap_or(key).strip_prefix(stem))
        .filter(|kind| kind.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    kinds.into_iter().collect()
}

/// The type that a property name's end means, if the rule allows it: `DateTime` means `dateTime`.
pub(super) fn allowed_type(rule: &ElementRule, kind: &str) -> Option<String> {
    if rule.types.is_empty() {
        return Some(kind.to_owned());
    }
    let (first, rest) = kind.split_at_checked(1)?;
    let means = |allowed: &&String| {
        allowed.strip_suffix(rest).is_some_and(|allowed| allowed.eq_ignore_ascii_case(first))
    };
    rule.types.iter().find(means).cloned()
}

fn check_type(kind: &str, value: &Value, at: &Place, issues: &mut Vec<Issue>) {
    let wrong_json = |wanted: &str| at.error(IssueType::Structure, &format!("must be {wanted}"));
    match form_of(kind) {
        Form::Boolean if !value.is_boolean() => issues.push(wrong_json("true or false")),
        Form::Boolean => {}
        Form::Number(_) if !value.is_number() => issues.push(wrong_json("a JSON number")),
        Form::Number(least) => {
            let fits = |least: i64| {
                value.as_i64().is_some_and(|number| (least..=i64::from(i32::MAX)).contains(&number))
            };
            if !least.is_none_or(fits) {
                issues.push(at.error(IssueType::Value, &format!("is not a FHIR {kind}")));
            }
        }
        Form::Text(has_form) => match value.as_str() {
            None => issues.push(wrong_json("a JSON string")),
            Some(text) if !has_form(text) => {
                issues.push(at.error(IssueType::Value, &format!("is not a FHIR {kind}")));
            }
            Some(_) => {}
        },
        Form::Object(elements) => match value.as_object() {
            None => issues.push(wrong_json("an object")),
            Some(members) => {
                for (name, kind) in elements {
                    check_elements(kind, members.get(*name), &at.child(name), issues);
                }
            }
        },
        Form::Resource => {
            if !value.get("resourceType").is_some_and(Value::is_string) {
                issues.push(wrong_json("a resource with its resourceType"));
            }
        }
    }
}

fn check_elements(kind: &str, value: Option<&Value>, at: &Place, issues: &mut Vec<Issue>) {
    match value {
        None => {}
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                if issues.len() >= MOST_ISSUES {
                    break;
                }
                check_type(kind, item, &at.indexed(Some(index)), issues);
            }
        }
        Some(single) => check_type(kind, single, at, issues),
    }
}
