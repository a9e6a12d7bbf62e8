//! The tags by which the gateway marks resources of its own making (`meta.tag`), so that they can be searched for.

use serde_json::{Value, json};

/// The code system of the tags.
pub(crate) const TAGS: &str = "urn:cdex-gateway:tags";

/// What was submitted for a claim or authorization that is not known here yet.
pub(crate) const HELD: &str = "held";

/// What was submitted after the last submission for the same claim or authorization had been announced.
pub(crate) const AMENDMENT: &str = "amendment";

/// Our own copy of a Task that was sent to a partner and is worked on there.
pub(crate) const SENT: &str = "sent";
/// What answers a request that is not known here.
pub(crate) const UNSOLICITED: &str = "unsolicited";

/// A Task that was not answered by the end of its period.
pub(crate) const OVERDUE: &str = "overdue";

/// Gives a resource a tag, unless it has it.
pub(crate) fn add(resource: &mut Value, code: &str) {
    if has(resource, code) {
        return;
    }
    if !resource["meta"].is_object() {
        resource["meta"] = json!({});
    }
    let tag = json!({ "system": TAGS, "code": code });
    match resource["meta"].get_mut("tag").and_then(Value::as_array_mut) {
        Some(tags) => tags.push(tag),
        None => resource["meta"]["tag"] = json!([tag]),
    }
}

/// Takes a tag from a resource.
pub(crate) fn remove(resource: &mut Value, code: &str) {
    let Some(meta) = resource.get_mut("meta").and_then(Value::as_object_mut) else { return };
    if let Some(tags) = meta.get_mut("tag").and_then(Value::as_array_mut) {
        tags.retain(|tag| !is(tag, code));
        if tags.is_empty() {
            meta.remove("tag");
        }
    }
}

/// Takes all of the gateway's own tags from what somebody else has made.
pub(crate) fn clear(resource: &mut Value) {
    for code in [HELD, AMENDMENT] {
        remove(resource, code);
    }
}

/// Whether a resource has a tag.
pub(crate) fn has(resource: &Value, code: &str) -> bool {
    let tags = resource.pointer("/meta/tag").and_then(Value::as_array);
    tags.into_iter().flatten().any(|tag| is(tag, code))
}

fn is(tag: &Value, code: &str) -> bool {
    tag["system"] == TAGS && tag["code"] == code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_once_and_goes_without_a_trace() {
        let cases = [
            (json!({ "id": "1" }), json!({ "id": "1", "meta": {} })),
            (json!({ "meta": { "profile": ["p"] } }), json!({ "meta": { "profile": ["p"] } })),
            (
                json!({ "meta": { "tag": [{ "code": "held" }] } }),
                json!({ "meta": { "tag": [{ "code": "held" }] } }),
            ),
        ];
        for (mut resource, after) in cases {
            add(&mut resource, HELD);
            add(&mut resource, HELD);
            assert!(has(&resource, HELD) && !has(&resource, AMENDMENT), "{resource}");
            let tags = resource["meta"]["tag"]
                .as_array()
                .map(|tags| tags.iter().filter(|tag| is(tag, HELD)).count());
            assert_eq!(tags, Some(1), "{resource}");
            clear(&mut resource);
            assert_eq!(resource, after);
        }
    }
}
