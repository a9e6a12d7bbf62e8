//! Elements in the JSON of a resource. One with a plain value is in two properties, `birthDate` and `_birthDate`,
//! where it has an id or extensions (FHIR R4, JSON Representation); a list of such is two arrays of one length.
//! Whatever is done to an element here is done to both.

use serde_json::{Map, Value};

/// A JSON object.
pub(super) type Members = Map<String, Value>;

/// One step to an element: the name as in JSON, and the position where it is in an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) index: Option<usize>,
}

/// What an element has: a value, and the id and extensions of a plain one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Content {
    pub(super) value: Option<Value>,
    pub(super) twin: Option<Value>,
}

/// The name of the property for the id and extensions of a plain element.
pub(super) fn twin_name(name: &str) -> String {
    format!("_{name}")
}

/// What JSON has under the name of an element, or of its twin.
fn part<'a>(members: &'a Members, name: &str, index: Option<usize>) -> Option<&'a Value> {
    let found = members.get(name)?;
    match index {
        Some(index) => found.get(index),
        None => Some(found),
    }
}

/// The value of an element.
pub(super) fn value<'a>(members: &'a Members, segment: &Segment) -> Option<&'a Value> {
    part(members, &segment.name, segment.index)
}

/// What is inside an element: its members, or for a plain one the id and the extensions.
pub(super) fn inside<'a>(members: &'a Members, segment: &Segment) -> Option<&'a Members> {
    let value = value(members, segment).and_then(Value::as_object);
    value.or_else(|| part(members, &twin_name(&segment.name), segment.index)?.as_object())
}

/// The same, to be changed.
pub(super) fn inside_mut<'a>(members: &'a mut Members, segment: &Segment) -> Option<&'a mut Members> {
    let is_plain = !value(members, segment).is_some_and(Value::is_object);
    let found = members.get_mut(&if is_plain { twin_name(&segment.name) } else { segment.name.clone() })?;
    match segment.index {
        Some(index) => found.get_mut(index)?.as_object_mut(),
        None => found.as_object_mut(),
    }
}

/// Makes room for an id and extensions in a plain element.
pub(super) fn open(members: &mut Members, segment: &Segment) {
    if inside(members, segment).is_some() {
        return;
    }
    let empty = Value::Object(Members::new());
    let twin = twin_name(&segment.name);
    match segment.index {
        None => drop(members.insert(twin, empty)),
        Some(index) => {
            let length = length(members, &segment.name).max(index + 1);
            array(members, &twin, length)[index] = empty;
        }
    }
}

/// How many elements a list has.
pub(super) fn length(members: &Members, name: &str) -> usize {
    let count = |name: &str| members.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    count(name).max(count(&twin_name(name)))
}

/// Whether there is such an element.
pub(super) fn exists(members: &Members, name: &str) -> bool {
    members.contains_key(name) || members.contains_key(&twin_name(name))
}

/// Puts an element into a list.
pub(super) fn insert(members: &mut Members, name: &str, at: usize, content: Content) {
    let length = length(members, name);
    let twin = twin_name(name);
    if content.twin.is_some() || members.contains_key(&twin) {
        array(members, &twin, length).insert(at, content.twin.unwrap_or(Value::Null));
    }
    array(members, name, length).insert(at, content.value.unwrap_or(Value::Null));
    tidy(members, name);
}

/// Moves an element of a list; both positions are those of elements.
pub(super) fn reorder(members: &mut Members, name: &str, source: usize, destination: usize) {
    let length = length(members, name);
    for name in [name.to_owned(), twin_name(name)] {
        if members.contains_key(&name) {
            let entries = array(members, &name, length);
            let entry = entries.remove(source);
            entries.insert(destination, entry);
        }
    }
}

/// Gives an element another content.
pub(super) fn set(members: &mut Members, segment: &Segment, content: Content) {
    let length = length(members, &segment.name);
    for (name, value) in [(segment.name.clone(), content.value), (twin_name(&segment.name), content.twin)] {
        match (segment.index, value) {
            (None, Some(value)) => drop(members.insert(name, value)),
            (None, None) => drop(members.shift_remove(&name)),
            (Some(index), value) if value.is_some() || members.contains_key(&name) => {
                array(members, &name, length)[index] = value.unwrap_or(Value::Null);
            }
            (Some(_), _) => {}
        }
    }
    tidy(members, &segment.name);
}

/// Takes an element away.
pub(super) fn remove(members: &mut Members, segment: &Segment) {
    for name in [segment.name.clone(), twin_name(&segment.name)] {
        match segment.index {
            None => drop(members.shift_remove(&name)),
            Some(index) => {
                let entries = members.get_mut(&name).and_then(Value::as_array_mut);
                if let Some(entries) = entries.filter(|entries| index < entries.len()) {
                    entries.remove(index);
                }
            }
        }
    }
    tidy(members, &segment.name);
}

/// Takes an element away if nothing is in it any more (FHIR R4: no object may be empty). Of a plain one only the empty
/// twin goes, unless there is no value either.
pub(super) fn remove_if_empty(members: &mut Members, segment: &Segment) {
    let is_empty = |value: Option<&Value>| value.and_then(Value::as_object).is_some_and(Map::is_empty);
    let value = value(members, segment);
    if is_empty(value)
        || (value.is_none_or(Value::is_null) && inside(members, segment).is_none_or(Map::is_empty))
    {
        remove(members, segment);
    } else if is_empty(part(members, &twin_name(&segment.name), segment.index)) {
        let content = Content { value: value.cloned(), twin: None };
        set(members, segment, content);
    }
}

/// Leaves no array that is empty, and no twin that says nothing.
fn tidy(members: &mut Members, name: &str) {
    let twin = twin_name(name);
    let is_idle = |value: Option<&Value>| {
        value.and_then(Value::as_array).is_some_and(|entries| entries.iter().all(Value::is_null))
    };
    if is_idle(members.get(&twin)) {
        members.shift_remove(&twin);
    }
    let is_over = members.get(name).and_then(Value::as_array).is_some_and(Vec::is_empty);
    if is_over || (is_idle(members.get(name)) && !members.contains_key(&twin)) {
        members.shift_remove(name);
    }
}

/// The array of this name, made if there is none, with nulls up to this length.
fn array<'a>(members: &'a mut Members, name: &str, length: usize) -> &'a mut Vec<Value> {
    let value = members.entry(name.to_owned()).or_insert(Value::Null);
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    let Value::Array(entries) = value else { unreachable!("it was made an array on the line above") };
    if entries.len() < length {
        entries.resize(length, Value::Null);
    }
    entries
}
