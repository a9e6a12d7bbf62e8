//! Every kind of mistake, made at one element at a time of right examples: an issue names exactly that element.

use serde_json::{Map, Value, json};

use super::{Mode, PUBLISHED, check};
use crate::fhir::r4::{self, Element, ElementType, Form, Primitive, Type};

/// How many mistakes are made in each example: more find no more, and take longer.
const MISTAKES_PER_EXAMPLE: usize = 16;

/// A mistake that can be made: where, what is there instead, and which path must be named.
struct Mistake {
    what: &'static str,
    /// A JSON Pointer to the object or array that is changed.
    inside: String,
    change: Change,
    named: String,
}

enum Change {
    Put(String, Value),
    Remove(String),
    PutEntry(usize, Value),
}

#[test]
fn one_broken_element_is_named_by_its_path() {
    let (mut made, mut missed) = (0, Vec::new());
    for (number, (name, resource)) in PUBLISHED.iter().enumerate() {
        let is_right = resource.to_string().len() < 20_000 && check(resource, "R", Mode::Strict).is_empty();
        let mut mistakes = Vec::new();
        if is_right {
            of_resource(resource, "", "R", &mut mistakes);
        }
        // Other mistakes in each example, the same ones each time.
        let step = (mistakes.len() / MISTAKES_PER_EXAMPLE).max(1);
        for mistake in mistakes.iter().skip(number % step).step_by(step) {
            let mut broken = resource.clone();
            make(&mut broken, mistake);
            let issues = check(&broken, "R", Mode::Strict);
            made += 1;
            if !issues.iter().any(|issue| issue.expression.as_ref() == Some(&mistake.named)) {
                let found: Vec<_> = issues.into_iter().filter_map(|issue| issue.expression).collect();
                missed.push(format!("{name}: {} at {}, found {found:?}", mistake.what, mistake.named));
            }
        }
    }
    assert!(missed.is_empty(), "{} of {made} missed:\n{}", missed.len(), missed.join("\n"));
}

fn make(resource: &mut Value, mistake: &Mistake) {
    let place = resource.pointer_mut(&mistake.inside).expect("the place is there");
    match (&mistake.change, place) {
        (Change::Put(name, value), Value::Object(members)) => {
            members.insert(name.clone(), value.clone());
        }
        (Change::Remove(name), Value::Object(members)) => {
            members.remove(name);
        }
        (Change::PutEntry(index, value), Value::Array(entries)) => entries[*index] = value.clone(),
        _ => panic!("the place is of another kind"),
    }
}

fn of_resource(resource: &Value, pointer: &str, path: &str, mistakes: &mut Vec<Mistake>) {
    let name = resource["resourceType"].as_str().expect("examples say their type");
    let members = resource.as_object().expect("a resource is an object");
    of_object(members, r4::resource(name).expect("a type"), pointer, path, mistakes);
}

fn of_object(
    members: &Map<String, Value>,
    of: &'static Type,
    pointer: &str,
    path: &str,
    mistakes: &mut Vec<Mistake>,
) {
    let mut push = |what, change, named: String| {
        mistakes.push(Mistake { what, inside: pointer.to_owned(), change, named });
    };
    push("an unknown element", Change::Put("unheardOf".to_owned(), json!(1)), format!("{path}.unheardOf"));
    for (name, value) in members.iter().filter(|(name, _)| !name.starts_with('_') && *name != "resourceType")
    {
        let property = of.property(name).expect("examples have known elements");
        let (element, of_type) = (property.element, property.of_type);
        let named = format!("{path}.{name}");
        let mut put = |what, value| push(what, Change::Put(name.clone(), value), named.clone());
        if element.repeats() {
            put("an empty array", json!([]));
            put("one in place of an array", value[0].clone());
        } else {
            put("an array in place of one", json!([value]));
            for (what, wrong) in wrong_values(element, of_type) {
                put(what, wrong);
            }
        }
        let twin = format!("_{name}");
        if element.min > 0 && members.len() > 1 && !members.contains_key(&twin) {
            push("a missing element", Change::Remove(name.clone()), format!("{path}.{}", element.name));
        }
    }
    for (name, value) in members.iter().filter(|(name, _)| !name.starts_with('_') && *name != "resourceType")
    {
        let property = of.property(name).expect("examples have known elements");
        let (element, of_type) = (property.element, property.of_type);
        let (pointer, path) = (format!("{pointer}/{name}"), format!("{path}.{name}"));
        match value {
            Value::Array(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    let named = format!("{path}[{index}]");
                    for (what, wrong) in wrong_values(element, of_type) {
                        let change = Change::PutEntry(index, wrong);
                        mistakes.push(Mistake {
                            what,
                            inside: pointer.clone(),
                            change,
                            named: named.clone(),
                        });
                    }
                    below(entry, of_type, &format!("{pointer}/{index}"), &named, mistakes);
                }
            }
            _ => below(value, of_type, &pointer, &path, mistakes),
        }
    }
}

fn below(value: &Value, of_type: &ElementType, pointer: &str, path: &str, mistakes: &mut Vec<Mistake>) {
    match (value, of_type.form) {
        (_, Form::Resource) => of_resource(value, pointer, path, mistakes),
        (Value::Object(members), Form::Complex(_)) => {
            let of = of_type.complex().expect("it has elements");
            of_object(members, of, pointer, path, mistakes);
            let foreign = ["Basic", "Slot"].into_iter().find(|name| !of_type.targets.contains(name));
            if let Some(foreign) = foreign.filter(|_| of.name() == "Reference" && !of_type.targets.is_empty())
            {
                let wrong = json!(format!("{foreign}/1"));
                let change = Change::Put("reference".to_owned(), wrong);
                let named = format!("{path}.reference");
                mistakes.push(Mistake { what: "a wrong target", inside: pointer.to_owned(), change, named });
            }
        }
        _ => {}
    }
}

/// What must not stand where one value of this element does.
fn wrong_values(element: &Element, of_type: &ElementType) -> Vec<(&'static str, Value)> {
    let Form::Primitive(primitive) = of_type.form else {
        return vec![("an empty object", json!({})), ("a string in place of an object", json!("x"))];
    };
    let mut wrong = vec![("an object in place of a value", json!({ "value": 1 })), ("a null", Value::Null)];
    match primitive {
        Primitive::Boolean => wrong.push(("a string in place of a boolean", json!("true"))),
        Primitive::Decimal | Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => {
            wrong.push(("a string in place of a number", json!("1")));
        }
        _ => {
            wrong.push(("an empty string", json!("")));
            wrong.push(("a number in place of a string", json!(1)));
            wrong.push(("a text of another form", json!(" \u{1} ")));
        }
    }
    if matches!(primitive, Primitive::Date | Primitive::DateTime | Primitive::Instant) {
        wrong.push(("a day that is in no calendar", json!("2023-02-29")));
    }
    if element.binding.is_some_and(|binding| !binding.accepts("unheard-of")) {
        wrong.push(("a code of no value set", json!("unheard-of")));
    }
    wrong
}
