//! fhirbolt reads the same facts another way: a second opinion on every example, and on changed ones.

use std::sync::LazyLock;

use fhirbolt::element::Element;
use fhirbolt::serde::{DeserializationConfig, DeserializationMode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Mode, PUBLISHED, found_in};

/// The resource with `resourceType` first in every object, as fhirbolt wants it.
fn type_first(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let (first, rest): (Vec<_>, Vec<_>) =
                members.iter().partition(|(name, _)| *name == "resourceType");
            let all = first.into_iter().chain(rest);
            Value::Object(all.map(|(name, value)| (name.clone(), type_first(value))).collect())
        }
        Value::Array(entries) => entries.iter().map(type_first).collect(),
        _ => value.clone(),
    }
}

type R4 = Element<{ fhirbolt::FhirReleases::R4 }>;

fn fhirbolt_takes(resource: &Value) -> bool {
    let config = DeserializationConfig { mode: DeserializationMode::Strict };
    fhirbolt::serde::json::from_json_value::<R4>(type_first(resource), Some(config)).is_ok()
}

/// A few of the published examples of moderate size, for what is done to each many times.
static SOME: LazyLock<Vec<&Value>> = LazyLock::new(|| {
    let all = PUBLISHED.iter().map(|(_, resource)| resource);
    all.filter(|resource| resource.to_string().len() < 20_000).step_by(5).collect()
});

#[test]
fn fhirbolt_agrees_on_every_published_example() {
    let all = PUBLISHED.iter();
    let refused: Vec<&String> =
        all.filter(|(_, resource)| !fhirbolt_takes(resource)).map(|(name, _)| name).collect();
    assert_eq!(refused, Vec::<&String>::new());
}

/// The same resource with the properties of every object in another order.
fn permuted(value: &Value, seed: &mut u64) -> Value {
    match value {
        Value::Object(members) => {
            let mut all: Vec<_> = members.iter().collect();
            let mut permuted_members = Map::new();
            while !all.is_empty() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let next = (*seed >> 33) as usize % all.len();
                let (name, value) = all.swap_remove(next);
                permuted_members.insert(name.clone(), permuted(value, seed));
            }
            Value::Object(permuted_members)
        }
        Value::Array(entries) => entries.iter().map(|entry| permuted(entry, seed)).collect(),
        _ => value.clone(),
    }
}

/// Does something small and wrong, or at least different, to one of the values.
fn changed(value: &mut Value, place: &mut usize, change: u8) {
    if *place == 0 {
        let old = value.take();
        *value = match change {
            0 => Value::Array(vec![old]),
            1 => json!({ "value": old }),
            2 => Value::String("x".to_owned()),
            3 => json!(1),
            4 => json!(true),
            5 => json!({ "extension": [{ "url": "u", "valueString": "x" }] }),
            6 => json!({ "resourceType": "Patient", "active": true }),
            _ => Value::Null,
        };
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| changed(entry, place, change)),
        Value::Object(members) => members.values_mut().for_each(|member| changed(member, place, change)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn the_order_of_properties_makes_no_difference(which: prop::sample::Index, mut seed: u64) {
        if !SOME.is_empty() {
            let resource = permuted(which.get::<&Value>(&SOME), &mut seed);
            prop_assert_eq!(found_in(&resource, Mode::Strict), found_in(which.get::<&Value>(&SOME), Mode::Strict));
        }
    }

    #[test]
    fn fhirbolt_takes_whatever_passes(which: prop::sample::Index, mut place in 0..200_usize, change in 0..8_u8) {
        if !SOME.is_empty() {
            let mut resource = (*which.get::<&Value>(&SOME)).clone();
            changed(&mut resource, &mut place, change);
            if found_in(&resource, Mode::Shape).is_empty() {
                prop_assert!(fhirbolt_takes(&resource), "{}", resource);
            }
        }
    }
}
