//! What another DEX says of an upload at `/info/{id}` (dex-upload F-09). Nothing of it goes into a log: names of
//! targets and issues are the other side's.

use std::collections::BTreeMap;

use serde_json::Value;

/// How far an upload is over there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reached {
    /// Nothing is known, or not all of it arrived.
    Nothing,
    /// It has all of it.
    Complete,
    /// Every target has it.
    Delivered,
}

/// What an answer says. Every target of `expected` must have it; where none is expected, every one that is named, and
/// at least one.
pub(super) fn reached(body: &[u8], expected: &[String]) -> Reached {
    let info: Value = serde_json::from_slice(body).unwrap_or_default();
    if info.pointer("/upload_status/status").and_then(Value::as_str) != Some("Complete") {
        return Reached::Nothing;
    }
    // Pending is `null`; one target may have several attempts, and one success is enough.
    let mut targets: BTreeMap<&str, bool> = expected.iter().map(|name| (name.as_str(), false)).collect();
    for attempt in info["deliveries"].as_array().into_iter().flatten() {
        let text = |key: &str| attempt[key].as_str().unwrap_or_default();
        let (name, is_success) = (text("name"), text("status") == "SUCCESS");
        if expected.is_empty() {
            *targets.entry(name).or_default() |= is_success;
        } else if let Some(has_it) = targets.get_mut(name) {
            *has_it |= is_success;
        }
    }
    let is_everywhere = !targets.is_empty() && targets.values().all(|has_it| *has_it);
    if is_everywhere { Reached::Delivered } else { Reached::Complete }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// F-09
    #[test]
    fn f_09_accepted_is_complete_and_delivered_is_a_success_at_every_expected_target() {
        use Reached::{Complete, Delivered, Nothing};
        let delivery = |name: &str, status: &str| json!({ "name": name, "status": status });
        let (success, failure) = (delivery("edav", "SUCCESS"), delivery("edav", "FAILURE"));
        let other = delivery("ehdi", "SUCCESS");
        let cases = [
            ("In Progress", json!(null), &[][..], Nothing),
            ("Complete", json!(null), &[], Complete),
            ("Complete", json!([]), &[], Complete),
            ("Complete", json!([success]), &[], Delivered),
            ("Complete", json!([failure]), &[], Complete),
            ("Complete", json!([failure, success]), &[], Delivered),
            ("Complete", json!([failure, other]), &[], Complete),
            ("Complete", json!([failure, other]), &["ehdi"], Delivered),
            ("Complete", json!([success]), &["edav", "ehdi"], Complete),
            ("Complete", json!([success, other]), &["edav", "ehdi"], Delivered),
            ("In Progress", json!([success]), &[], Nothing),
        ];
        for (status, deliveries, expected, is) in cases {
            let info = json!({ "upload_status": { "status": status }, "deliveries": deliveries });
            let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(reached(info.to_string().as_bytes(), &expected), is, "{info} {expected:?}");
        }
        assert_eq!(reached(b"<html>", &[]), Nothing);
    }
}
