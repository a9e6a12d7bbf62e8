//! Whether one value has the type it must have, and the fixed value or pattern. Types are followed as far
//! as the gateway reads them; that a resource has no elements beside FHIR's is checked before this.

use serde_json::Value;

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

/// Checks one value against what the rule fixes.
pub(super) fn check_demand(rule: &ElementRule, value: &Value, at: &Place<'_>, issues: &mut Vec<Issue>) {
    let is_fixed = rule.fixed.as_ref().is_none_or(|fixed| fixed == value);
    if !is_fixed || !rule.pattern.as_ref().is_none_or(|pattern| contains(value, pattern)) {
        issues.push(at.error(IssueType::Value, "does not have the value that the profile demands"));
    }
}

/// FHIR R4, `ElementDefinition.pattern[x]`: all that the pattern has must be there; each item of its
/// arrays must match some item.
pub(super) fn contains(value: &Value, pattern: &Value) -> bool {
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

/// The type that a property gives a choice element: `Code`, if `valueCode` is one of `value[x]`.
/// Extensions of a primitive without a value (`_valueCode`) give the element too.
pub(super) fn kind_of_choice<'k>(stem: &str, key: &'k str) -> Option<&'k str> {
    let kind = key.strip_prefix('_').unwrap_or(key).strip_prefix(stem)?;
    kind.starts_with(|first: char| first.is_ascii_uppercase()).then_some(kind)
}

/// Whether a property's end means this type: `DateTime` means `dateTime`.
pub(super) fn is_kind(name: &str, kind: &str) -> bool {
    kind.split_at_checked(1).is_some_and(|(first, rest)| {
        name.strip_suffix(rest).is_some_and(|name_first| name_first.eq_ignore_ascii_case(first))
    })
}

/// Checks a value against its type. Returns whether it was right, so that nothing is said about the content of
/// what is not even of the right kind.
pub(super) fn check_type(kind: &str, value: &Value, at: &Place<'_>, issues: &mut Vec<Issue>) -> bool {
    let known = issues.len();
    check_form(kind, value, at, issues);
    issues.len() == known
}

fn check_form(kind: &str, value: &Value, at: &Place<'_>, issues: &mut Vec<Issue>) {
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

fn check_elements(kind: &str, value: Option<&Value>, at: &Place<'_>, issues: &mut Vec<Issue>) {
    match value {
        None => {}
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                if issues.len() >= MOST_ISSUES {
                    break;
                }
                check_form(kind, item, &at.indexed(Some(index)), issues);
            }
        }
        Some(single) => check_form(kind, single, at, issues),
    }
}
