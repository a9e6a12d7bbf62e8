//! What exactly is signed: an element as JSON in the canonical form of RFC 8785 (CONF-030), without what may change
//! after signing (CONF-034, 035, 036). Nested `id` and `meta` stay, and so do signatures further in.

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use super::element::{Level, is_signature};

/// An element has a number that JSON can write and IEEE 754 cannot hold, so it has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number is too large for the canonical form")]
pub(super) struct NumberTooLarge;

/// The bytes that are signed.
pub(super) fn canonical(element: &Value, level: Level) -> Result<Vec<u8>, NumberTooLarge> {
    serde_json_canonicalizer::to_vec(&Unsigned { element, level }).map_err(|_| NumberTooLarge)
}

/// The same of a Bundle whose signer took `meta.profile` out of every entry's resource, and an empty `meta` too, as the
/// publisher of the guide does with its own examples.
pub(super) fn canonical_without_profiles(bundle: &Value) -> Result<Vec<u8>, NumberTooLarge> {
    let mut bundle = bundle.clone();
    let entries = bundle.get_mut("entry").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let Some(resource) = entry.get_mut("resource").and_then(Value::as_object_mut) else { continue };
        let Some(meta) = resource.get_mut("meta").and_then(Value::as_object_mut) else { continue };
        meta.shift_remove("profile");
        if meta.is_empty() {
            resource.shift_remove("meta");
        }
    }
    canonical(&bundle, Level::Bundle)
}

/// Whether all numbers mean the same in the canonical form. Those that do not could be changed without harm to the
/// signature.
pub(super) fn keeps_numbers(value: &Value) -> bool {
    match value {
        Value::Number(number) => is_kept(number),
        Value::Array(items) => items.iter().all(keeps_numbers),
        Value::Object(members) => members.values().all(keeps_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Whether a number as written and the IEEE 754 double nearest to it are the same number.
fn is_kept(number: &Number) -> bool {
    let Some(double) = number.as_f64() else { return false };
    normal_form(&number.to_string()) == normal_form(&format!("{double:e}"))
}

/// The digits of a number without zeros at their ends, and the power of ten that the first stands for. Numbers are
/// equal if these and their signs are, but for zero, which has no digits.
fn normal_form(text: &str) -> (bool, String, i64) {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return (false, String::new(), 0);
    }
    let exponent: i64 = exponent.parse().unwrap_or(i64::MAX / 2);
    let power = exponent.saturating_add(length(whole)).saturating_sub(length(&digits[..leading]));
    (is_negative, significant.to_owned(), power)
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX / 2)
}

/// An element without what may change after signing; a view, so that large Bundles are not copied.
struct Unsigned<'a> {
    element: &'a Value,
    level: Level,
}

impl Serialize for Unsigned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(members) = self.element.as_object() else { return self.element.serialize(serializer) };
        serializer.collect_map(members.iter().filter_map(|(name, value)| {
            let member = match (name.as_str(), self.level) {
                ("id", _)
                | ("meta", Level::Bundle | Level::QuestionnaireResponse)
                | ("signature", Level::Bundle) => return None,
                ("extension", Level::QuestionnaireResponse | Level::Item) => Member::of_extensions(value)?,
                _ => Member::Whole(value),
            };
            Some((name, member))
        }))
    }
}

/// A member of an element that is signed.
enum Member<'a> {
    Whole(&'a Value),
    /// The extensions that are no signatures.
    Extensions(Vec<&'a Value>),
}

impl<'a> Member<'a> {
    /// What is left of extensions; nothing if all are signatures.
    fn of_extensions(value: &'a Value) -> Option<Self> {
        let Some(extensions) = value.as_array() else { return Some(Self::Whole(value)) };
        let left: Vec<&Value> = extensions.iter().filter(|extension| !is_signature(extension)).collect();
        (!left.is_empty()).then_some(Self::Extensions(left))
    }
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(value) => value.serialize(serializer),
            Self::Extensions(extensions) => extensions.serialize(serializer),
        }
    }
}
