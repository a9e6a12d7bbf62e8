//! The values of composite parameters: those of the components of one element, joined, so that they are found only
//! where they stand together.

use serde_json::Value;

use super::value::{self, Filed};
use crate::fhir::search::{Component, Kind, SearchParameter};
use crate::repository::encoding::{BY_CODE, BY_SYSTEM, joined};

/// More combinations than an element has on purpose.
const MOST: usize = 1_000;

/// The values of a composite in one of the elements that it is about; none where a component has none.
pub(super) fn values(
    parameter: &SearchParameter,
    element: &Value,
    resource: &Value,
    base: &str,
) -> Vec<Filed> {
    let mut components =
        parameter.components.iter().map(|component| of_component(component, element, resource, base));
    let Some(first) = components.next() else { return Vec::new() };
    let Some(second) = components.next() else { return Vec::new() };
    let third = components.next();
    let mut found = Vec::new();
    for (first, _) in &first {
        for (second, extra) in &second {
            let value = joined(first, second);
            match &third {
                Some(third) => {
                    found.extend(third.iter().map(|(third, _)| (value.clone(), Some(third.clone()))));
                }
                None => found.push((value, extra.clone())),
            }
            if found.len() > MOST {
                return found;
            }
        }
    }
    found
}

fn of_component(component: &Component, element: &Value, resource: &Value, base: &str) -> Vec<Filed> {
    let mut found = Vec::new();
    component.each(element, resource, &mut |element| match component.kind {
        Kind::Token => {
            for (token, extra) in value::token(element) {
                // Once by its code, which is asked for whatever its system, and once with its system.
                let code = token.split(|byte| *byte == 0).next().unwrap_or_default();
                found.push(([BY_CODE, code].concat(), extra.clone()));
                found.push(([BY_SYSTEM, &token].concat(), extra));
            }
        }
        Kind::String => found.extend(value::strings(element)),
        // Which types it may lead to is the reference's own business.
        Kind::Reference => found.extend(value::references(element, &[], base)),
        Kind::Date => found.extend(value::date(element)),
        Kind::Number => found.extend(value::numbers(element)),
        Kind::Quantity => found.extend(value::quantities(element)),
        Kind::Uri => found.extend(value::uris(element)),
        Kind::Composite => {}
    });
    found
}
