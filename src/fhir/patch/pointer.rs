//! JSON Pointer (RFC 6901): places in a tree, as the operations of a JSON Patch name them.

use serde_json::Value;

/// A place, as the names and indices that lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer; `None` if it begins with another character than `/`, or a `~` stands for nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<_>>().map(Self)
    }

    /// How many steps lead to the place.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `other` is a place inside this one.
    pub(super) fn contains(&self, other: &Self) -> bool {
        other.len() > self.len() && other.0.starts_with(&self.0)
    }

    /// The container that has the place, as a pointer of its own, and the last step; `None` for the whole document.
    pub(super) fn split(&self) -> Option<(&[String], &str)> {
        self.0.split_last().map(|(last, container)| (container, last.as_str()))
    }

    /// The value at the place.
    pub(super) fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, |value, step| match value {
            Value::Object(members) => members.get(step),
            Value::Array(entries) => entries.get(index(step)?),
            _ => None,
        })
    }

    /// The value at the place, to be changed.
    pub(super) fn find_mut<'a>(&self, document: &'a mut Value) -> Option<&'a mut Value> {
        find_mut(document, &self.0)
    }
}

/// The value at the end of some steps, to be changed.
pub(super) fn find_mut<'a>(document: &'a mut Value, steps: &[String]) -> Option<&'a mut Value> {
    steps.iter().try_fold(document, |value, step| match value {
        Value::Object(members) => members.get_mut(step),
        Value::Array(entries) => entries.get_mut(index(step)?),
        _ => None,
    })
}

/// The position in an array that a step names (RFC 6901, 4: no sign, no leading zero).
pub(super) fn index(step: &str) -> Option<usize> {
    let is_number = step.bytes().all(|byte| byte.is_ascii_digit()) && (step == "0" || !step.starts_with('0'));
    if is_number { step.parse().ok() } else { None }
}

fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first()? {
            b'0' => ('~', &part[1..]),
            b'1' => ('/', &part[1..]),
            _ => return None,
        };
        text.push(escaped);
        text.push_str(rest);
    }
    Some(text)
}
