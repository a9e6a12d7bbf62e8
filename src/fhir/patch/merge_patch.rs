//! JSON Merge Patch (RFC 7396): what is given replaces what is there, a null takes it away, objects go into each other.

use serde_json::Value;

/// The target with the patch merged into it.
pub(super) fn merge(mut target: Value, patch: &Value) -> Value {
    merge_into(&mut target, patch);
    target
}

fn merge_into(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.shift_remove(name);
        } else {
            merge_into(members.entry(name).or_insert(Value::Null), change);
        }
    }
}
