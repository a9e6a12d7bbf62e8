//! Manifest fields against the rules of their data stream: a manifest, or everything that is wrong with
//! it. The messages are DEX's own, word for word and in its order, because clients match on them; they
//! repeat values, so they belong in the answer to the sender and never in a log.

use serde::Serialize;

use super::config::{FieldConfig, StreamConfigs, stream_name};
use super::fields::{FILENAME_KEYS, ManifestFields, SenderManifest};
use super::v1::{self, V1Rules};

/// What DEX puts in front of most messages, each time.
const MARKER: &str = "validation failure";

/// Which rule a field breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FieldErrorCode {
    /// A required field is absent.
    Missing,
    /// The value is not in the field's list.
    DisallowedValue,
    /// A file name has a `/` in it.
    InvalidCharacter,
    /// There are no rules for this data stream.
    UnknownDataStream,
    /// A target of the data stream cannot keep the field as it is.
    NotStorable,
}

/// One broken rule.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// The manifest key; `data_stream_id` for an unknown stream.
    pub(crate) field: String,
    /// The rule.
    pub(crate) code: FieldErrorCode,
    /// The value as sent, if there is one; for an unknown stream `{id}_{route}` in lower case.
    pub(crate) value: Option<String>,
    /// The values that would do; empty unless there is a list.
    pub(crate) allowed: Vec<String>,
    /// Of a field that a target cannot keep: what it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<&'static str>,
}

impl FieldError {
    fn missing(field: &str, allowed: &[String]) -> Self {
        Self {
            field: field.to_owned(),
            code: FieldErrorCode::Missing,
            value: None,
            allowed: allowed.to_vec(),
            rule: None,
        }
    }

    /// A field that a target must keep and cannot, because of a rule there; `metadata` for all of them together.
    pub(crate) fn not_storable((field, rule): (&str, &'static str)) -> Self {
        Self {
            field: field.to_owned(),
            code: FieldErrorCode::NotStorable,
            value: None,
            allowed: Vec::new(),
            rule: Some(rule),
        }
    }

    fn about(field: &str, code: FieldErrorCode, value: &str) -> Self {
        Self { field: field.to_owned(), code, value: Some(value.to_owned()), allowed: Vec::new(), rule: None }
    }

    fn push_legacy_messages(&self, messages: &mut Vec<String>) {
        let (field, value) = (&self.field, self.value.as_deref().unwrap_or_default());
        match self.code {
            FieldErrorCode::Missing => {
                messages.extend([MARKER.to_owned(), format!("field {field} was missing")]);
            }
            FieldErrorCode::DisallowedValue => {
                messages.extend([MARKER.to_owned(), format!("{field} had disallowed value {value}")]);
            }
            FieldErrorCode::InvalidCharacter => {
                messages.push(format!("invalid character found in {value} {MARKER}"));
            }
            FieldErrorCode::UnknownDataStream => messages.extend([
                format!("open {value}.json: no such file or directory"),
                MARKER.to_owned(),
                "manifest validation config file not found".to_owned(),
            ]),
            FieldErrorCode::NotStorable => messages.extend([
                MARKER.to_owned(),
                format!(
                    "{field} cannot be kept at a target of the data stream: {}",
                    self.rule.unwrap_or_default()
                ),
            ]),
        }
    }
}

impl std::fmt::Debug for FieldError {
    /// Without the value, which came from outside.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FieldError")
            .field("field", &self.field)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

/// Fields that are no manifest, with everything that is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the manifest breaks {} rule(s) of its data stream", errors.len())]
pub(crate) struct RejectedManifest {
    /// The fields as they were verified; the `metadata-verify` report shows them.
    pub(crate) fields: ManifestFields,
    /// The broken rules, in DEX's order; never empty.
    pub(crate) errors: Vec<FieldError>,
}

impl RejectedManifest {
    /// `validation_errors` as DEX words them, markers repeated.
    pub(crate) fn legacy_messages(&self) -> Vec<String> {
        let mut messages = Vec::with_capacity(self.errors.len() * 2);
        for error in &self.errors {
            error.push_legacy_messages(&mut messages);
        }
        messages
    }
}

/// Verifies `fields`, to which the server's own have been added already.
///
/// *Errors*: all broken rules; only a stream that is missing or unknown hides the others.
pub(crate) fn verify(
    configs: &StreamConfigs,
    fields: ManifestFields,
) -> Result<SenderManifest, RejectedManifest> {
    let v1 = configs.v1().filter(|_| V1Rules::applies_to(&fields));
    let errors = match v1 {
        Some(v1) => broken_v1_rules(v1, &fields),
        None => broken_rules(configs, &fields),
    };
    if !errors.is_empty() {
        return Err(RejectedManifest { fields, errors });
    }
    Ok(SenderManifest::verified(match v1 {
        Some(v1) => v1.migrate(configs, fields),
        None => fields,
    }))
}

fn broken_v1_rules(v1: &V1Rules, fields: &ManifestFields) -> Vec<FieldError> {
    let [id_key, event_key] = v1::STREAM_KEYS;
    let Some(id) = fields.get(id_key) else { return vec![FieldError::missing(id_key, &[])] };
    let Some(event) = fields.get(event_key) else { return vec![FieldError::missing(event_key, &[])] };
    let Some(rules) = v1.find(id, event) else {
        let name = stream_name('-', (id, event));
        return vec![FieldError::about(id_key, FieldErrorCode::UnknownDataStream, &name)];
    };
    broken_by(rules, fields)
}

fn broken_rules(configs: &StreamConfigs, fields: &ManifestFields) -> Vec<FieldError> {
    let Some(id) = fields.get("data_stream_id") else {
        return vec![FieldError::missing("data_stream_id", &[])];
    };
    let Some(route) = fields.get("data_stream_route") else {
        return vec![FieldError::missing("data_stream_route", &[])];
    };
    let Some(config) = configs.find(id, route) else {
        let name = stream_name('_', (id, route));
        return vec![FieldError::about("data_stream_id", FieldErrorCode::UnknownDataStream, &name)];
    };
    broken_by(&config.fields, fields)
}

fn broken_by(rules: &[FieldConfig], fields: &ManifestFields) -> Vec<FieldError> {
    let mut errors: Vec<_> = rules.iter().filter_map(|rule| broken_rule(rule, fields)).collect();
    // The effective file name decides where the file goes, whether its key is configured or not (W-05).
    let is_configured = |key: &str| rules.iter().any(|rule| rule.name == key);
    let unconfigured = FILENAME_KEYS.iter().filter(|key| !is_configured(key));
    errors.extend(unconfigured.filter_map(|key| fields.get(key).and_then(|value| separator_in(key, value))));
    errors
}

fn broken_rule(rule: &FieldConfig, fields: &ManifestFields) -> Option<FieldError> {
    let Some(value) = fields.get(&rule.name) else {
        // An optional field may be absent even if it has a list (W-27).
        return rule.required.then(|| FieldError::missing(&rule.name, &rule.allowed_values));
    };
    if !rule.allowed_values.is_empty() && !rule.allowed_values.iter().any(|allowed| allowed == value) {
        let error = FieldError::about(&rule.name, FieldErrorCode::DisallowedValue, value);
        return Some(FieldError { allowed: rule.allowed_values.clone(), ..error });
    }
    separator_in(&rule.name, value)
}

/// Of the characters that could harm a path only `/` is refused, as DEX does; path templates make the
/// rest harmless.
fn separator_in(key: &str, value: &str) -> Option<FieldError> {
    let is_refused = FILENAME_KEYS.contains(&key) && value.contains('/');
    is_refused.then(|| FieldError::about(key, FieldErrorCode::InvalidCharacter, value))
}

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod oracle_tests;
#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
