//! The values of one element, for each kind of parameter. An element that is not what its definition says has none:
//! what is stored need not have been validated.

use serde_json::Value;

use crate::clock::Timestamp;
use crate::fhir::search::date::stretch;
use crate::fhir::search::reference::Target;
use crate::repository::encoding::{Decimal, coded, moment, normalised, of_type as identifier_of_type};

/// A value, and what else is filed with it.
pub(super) type Filed = (Vec<u8>, Option<Vec<u8>>);

/// What of a HumanName is searched for, and of an Address (FHIR R4 search, string).
const STRINGS: [&str; 11] = [
    "text",
    "family",
    "given",
    "prefix",
    "suffix",
    "line",
    "city",
    "district",
    "state",
    "postalCode",
    "country",
];

/// What `ContactPoint.system` may be: no other element has one of these as its system.
const CONTACTS: [&str; 7] = ["phone", "fax", "email", "pager", "url", "sms", "other"];

/// The code system of the currencies that Money has.
const CURRENCIES: &str = "urn:iso:std:iso:4217";

/// Codes, Codings, CodeableConcepts, Identifiers, ContactPoints, booleans.
pub(super) fn token(element: &Value) -> Vec<Filed> {
    match element {
        Value::String(code) => vec![(code.clone().into_bytes(), None)],
        Value::Bool(_) | Value::Number(_) => vec![(element.to_string().into_bytes(), None)],
        Value::Object(_) => concept(element),
        Value::Null | Value::Array(_) => Vec::new(),
    }
}

fn concept(element: &Value) -> Vec<Filed> {
    let text = string(element, "text");
    if let Some(codings) =
        element.get("coding").and_then(Value::as_array).filter(|codings| !codings.is_empty())
    {
        // The text belongs to the concept: the first of its codings carries it.
        let texts = std::iter::once(text).chain(std::iter::repeat(None));
        return codings.iter().zip(texts).filter_map(|(coding, text)| coding_of(coding, text)).collect();
    }
    let system = string(element, "system");
    if system.is_some_and(|system| CONTACTS.contains(&system)) {
        // Of a contact the use is what the system is of an identifier; its own system says what kind of contact it is.
        let value = string(element, "value").map(|value| coded(value, string(element, "use")));
        return value.map(|value| (value, None)).into_iter().collect();
    }
    if let Some(value) = string(element, "value") {
        let type_text = element.get("type").and_then(|of_type| string(of_type, "text"));
        return vec![(coded(value, system), texts([type_text, None]))];
    }
    coding_of(element, text).into_iter().collect()
}

/// A coding; of one without a code its text alone.
fn coding_of(coding: &Value, text: Option<&str>) -> Option<Filed> {
    let texts = texts([string(coding, "display"), text]);
    let (code, system) = (string(coding, "code"), string(coding, "system"));
    (code.is_some() || system.is_some() || texts.is_some())
        .then(|| (coded(code.unwrap_or_default(), system), texts))
}

/// What `:text` looks at.
fn texts(texts: [Option<&str>; 2]) -> Option<Vec<u8>> {
    let texts: Vec<String> = texts.into_iter().flatten().map(normalised).collect();
    (!texts.is_empty()).then(|| texts.join("\0").into_bytes())
}

/// An identifier with each of its types.
pub(super) fn of_type(element: &Value) -> Vec<Filed> {
    let Some(value) = string(element, "value") else { return Vec::new() };
    let codings = element.get("type").and_then(|of_type| of_type.get("coding")).and_then(Value::as_array);
    let typed = codings.into_iter().flatten().filter_map(|coding| {
        Some((identifier_of_type(value, string(coding, "code")?, string(coding, "system")?), None))
    });
    typed.collect()
}

/// A text, or the texts in a HumanName or an Address.
pub(super) fn strings(element: &Value) -> Vec<Filed> {
    let filed = |text: &str| (normalised(text).into_bytes(), Some(text.as_bytes().to_vec()));
    match element {
        Value::String(text) => vec![filed(text)],
        Value::Object(members) => {
            let texts =
                STRINGS.into_iter().filter_map(|name| members.get(name)).flat_map(|member| match member {
                    Value::Array(all) => all.as_slice(),
                    one => std::slice::from_ref(one),
                });
            texts.filter_map(Value::as_str).map(filed).collect()
        }
        _ => Vec::new(),
    }
}

/// A Reference, a URI that refers, or a resource that is itself in this place (`Bundle.entry.resource`).
pub(super) fn references(element: &Value, targets: &[&str], base: &str) -> Vec<Filed> {
    if let Some(name) = string(element, "resourceType") {
        let id = string(element, "id").filter(|_| targets.contains(&name));
        return id.map(|id| (format!("{name}/{id}").into_bytes(), None)).into_iter().collect();
    }
    let Some(text) = element.as_str().or_else(|| string(element, "reference")) else { return Vec::new() };
    match Target::of(text, base) {
        Target::Local { resource_type, id } => vec![(format!("{resource_type}/{id}").into_bytes(), None)],
        Target::Url(url) => with_and_without_version(url),
    }
}

/// A URI; a canonical is found without its version too.
pub(super) fn uris(element: &Value) -> Vec<Filed> {
    element.as_str().map(with_and_without_version).unwrap_or_default()
}

fn with_and_without_version(url: &str) -> Vec<Filed> {
    let unversioned = url.split_once('|').map(|(unversioned, _)| unversioned);
    [Some(url), unversioned].into_iter().flatten().map(|url| (url.as_bytes().to_vec(), None)).collect()
}

/// A date, a Period, or the outer limits of a Timing (FHIR R4 search, date).
pub(super) fn date(element: &Value) -> Option<Filed> {
    let (from, until) = match element {
        Value::String(text) => stretch(text)?,
        Value::Object(members) if members.contains_key("event") || members.contains_key("repeat") => {
            timing(element)?
        }
        _ => period(element)?,
    };
    Some((moment(from), Some(moment(until))))
}

/// What a Period leaves open has no end. One that ends before it begins is no stretch of time (FHIR R4, per-1).
fn period(element: &Value) -> Option<(Timestamp, Timestamp)> {
    let end = |name| string(element, name).map(|text| stretch(text).ok_or(())).transpose();
    let (start, end) = (end("start").ok()?, end("end").ok()?);
    let from = start.map_or(Timestamp::from_nanos(i64::MIN), |(from, _)| from);
    let until = end.map_or(Timestamp::from_nanos(i64::MAX), |(_, until)| until);
    (start.or(end).is_some() && from <= until).then_some((from, until))
}

fn timing(element: &Value) -> Option<(Timestamp, Timestamp)> {
    let events = element.get("event").and_then(Value::as_array).into_iter().flatten();
    let events = events.filter_map(|event| stretch(event.as_str()?));
    let bounds = element.get("repeat").and_then(|repeat| repeat.get("boundsPeriod")).and_then(period);
    events
        .chain(bounds)
        .reduce(|(from, until), (other_from, other_until)| (from.min(other_from), until.max(other_until)))
}

/// A number, or both ends of a Range.
pub(super) fn numbers(element: &Value) -> Vec<Filed> {
    match element {
        Value::Number(number) => {
            Decimal::parse(&number.to_string()).map(|number| (number.encoded(), None)).into_iter().collect()
        }
        _ => ends(element).filter_map(|end| Some((decimal(end)?.encoded(), None))).collect(),
    }
}

/// A Quantity of any name, Money, or both ends of a Range. A unit is found by its code and by what people call it.
pub(super) fn quantities(element: &Value) -> Vec<Filed> {
    let mut filed = Vec::new();
    for quantity in std::iter::once(element).chain(ends(element)) {
        let Some(value) = decimal(quantity).map(|value| value.encoded()) else { continue };
        let (code, unit) = (string(quantity, "code"), string(quantity, "unit"));
        let by_code = code.map(|code| coded(code, string(quantity, "system")));
        let by_currency = string(quantity, "currency").map(|currency| coded(currency, Some(CURRENCIES)));
        let by_unit = unit.filter(|unit| code != Some(unit)).map(|unit| coded(unit, None));
        let units: Vec<_> = [by_code, by_currency, by_unit].into_iter().flatten().collect();
        if units.is_empty() {
            filed.push((value, None));
        } else {
            filed.extend(units.into_iter().map(|unit| (value.clone(), Some(unit))));
        }
    }
    filed
}

fn ends(element: &Value) -> impl Iterator<Item = &Value> {
    ["low", "high"].into_iter().filter_map(|name| element.get(name))
}

fn decimal(quantity: &Value) -> Option<Decimal> {
    Decimal::parse(&quantity.get("value").filter(|value| value.is_number())?.to_string())
}

fn string<'a>(json: &'a Value, element: &str) -> Option<&'a str> {
    json.get(element).and_then(Value::as_str)
}
