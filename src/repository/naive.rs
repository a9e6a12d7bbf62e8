//! Answers searches from the resources themselves, value by value as FHIR R4 words it, without index, bytes or
//! criteria: what the real answers are compared with. Compiled for tests only.

use std::cmp::Ordering;

use serde_json::Value;

use super::testing::{BASE, Sample, now};
use crate::clock::Timestamp;
use crate::fhir::search::date::stretch;
use crate::fhir::search::reference::Target;
use crate::fhir::search::{
    Comparator, Filter, Kind, Query, ReferenceValue, SearchParameter, SortBy, SystemTest, Test, TokenValue,
    Wanted, parameter, patient_compartment,
};

/// The places of the samples that a query finds, in its order and then in theirs.
pub(super) fn search(query: &Query, samples: &[Sample]) -> Vec<usize> {
    let is_match = |sample: &Sample| {
        let inside =
            query.compartment.as_ref().is_none_or(|compartment| is_about(sample, &compartment.patient));
        let holds = |filter: &Filter| holds(filter, sample, samples);
        query.types.contains(&sample.resource_type) && inside && query.filters.iter().all(holds)
    };
    let mut found: Vec<usize> = (0..samples.len()).filter(|at| is_match(&samples[*at])).collect();
    found.sort_by(|left, right| {
        let keys = query.sort.iter().map(|key| {
            let of = |at: &usize| sort_value(&key.by, key.descending, &samples[*at]);
            match (of(left), of(right)) {
                (Some(left), Some(right)) if key.descending => right.compare(&left),
                (Some(left), Some(right)) => left.compare(&right),
                (left, right) => right.is_some().cmp(&left.is_some()),
            }
        });
        keys.fold(Ordering::Equal, Ordering::then)
    });
    found
}

fn is_about(sample: &Sample, patient: &str) -> bool {
    let refers = |code: &&str| {
        parameter(sample.resource_type, code)
            .is_some_and(|parameter| leads_to(parameter, sample, "Patient", patient))
    };
    (sample.resource_type == "Patient" && sample.id == patient)
        || patient_compartment(sample.resource_type).iter().any(refers)
}

fn elements<'a>(parameter: &SearchParameter, sample: &'a Sample) -> Vec<&'a Value> {
    let mut found = Vec::new();
    parameter.each(&sample.resource, &mut |element| found.push(element));
    found
}

/// The parameter of this type among those of all types searched.
fn own(parameters: &[&'static SearchParameter], sample: &Sample) -> Option<&'static SearchParameter> {
    parameters.iter().copied().find(|parameter| parameter.resource_type == sample.resource_type)
}

fn leads_to(parameter: &SearchParameter, sample: &Sample, name: &str, id: &str) -> bool {
    elements(parameter, sample).into_iter().filter_map(referred).any(|text| {
        matches!(Target::of(text, BASE), Target::Local { resource_type, id: found } if resource_type == name && found == id)
    })
}

fn referred(element: &Value) -> Option<&str> {
    element.as_str().or_else(|| element.get("reference")?.as_str())
}

fn holds(filter: &Filter, sample: &Sample, samples: &[Sample]) -> bool {
    match filter {
        Filter::Id(ids) => ids.contains(&sample.id),
        Filter::LastUpdated(wanted) => wanted.iter().any(|wanted| {
            let Wanted::Date { comparator, from, until } = wanted else { return false };
            let at = sample.last_updated;
            match comparator {
                Comparator::Eq => *from <= at && at < *until,
                Comparator::Ne => at < *from || at >= *until,
                Comparator::Gt | Comparator::Sa => at >= *until,
                Comparator::Ge => at >= *from,
                Comparator::Lt | Comparator::Eb => at < *from,
                Comparator::Le => at < *until,
                Comparator::Ap => {
                    let (from, until) = widened(*from, *until);
                    from <= at && at < until
                }
            }
        }),
        Filter::Own { parameters, test } => {
            let Some(parameter) = own(parameters, sample) else { return false };
            let elements = elements(parameter, sample);
            let is_any = |wanted: &[Wanted]| {
                wanted
                    .iter()
                    .any(|wanted| elements.iter().any(|element| is(parameter, element, wanted, sample)))
            };
            match test {
                Test::Missing(missing) => {
                    elements.iter().any(|element| has_value(parameter, element, sample)) != *missing
                }
                Test::AnyOf(wanted) => is_any(wanted),
                Test::NoneOf(wanted) => !is_any(wanted),
            }
        }
        Filter::Chain { parameters, targets } => {
            let Some(parameter) = own(parameters, sample) else { return false };
            samples.iter().any(|target| {
                leads_to(parameter, sample, target.resource_type, &target.id)
                    && targets
                        .iter()
                        .any(|(name, filter)| *name == target.resource_type && holds(filter, target, samples))
            })
        }
        Filter::Has { parameter, filter } => samples.iter().any(|referring| {
            referring.resource_type == parameter.resource_type
                && leads_to(parameter, referring, sample.resource_type, &sample.id)
                && holds(filter, referring, samples)
        }),
    }
}

/// Whether an element has anything that its parameter could compare.
fn has_value(parameter: &SearchParameter, element: &Value, sample: &Sample) -> bool {
    let has = |name: &str| element.get(name).is_some_and(|found| !found.is_null());
    match parameter.kind {
        Kind::Token => !tokens(element).is_empty() || !texts(element).is_empty(),
        Kind::String => !strings(element).is_empty(),
        Kind::Reference => {
            referred(element).is_some()
                || element
                    .get("identifier")
                    .is_some_and(|found| !tokens(found).is_empty() || !texts(found).is_empty())
        }
        Kind::Date => range(element).is_some(),
        Kind::Quantity => has("value"),
        Kind::Number => element.is_number(),
        Kind::Uri => element.is_string(),
        Kind::Composite => parameter.components.iter().all(|component| {
            let mut found = false;
            component.each(element, &sample.resource, &mut |_| found = true);
            found
        }),
    }
}

fn is(parameter: &SearchParameter, element: &Value, wanted: &Wanted, sample: &Sample) -> bool {
    match wanted {
        Wanted::Token(wanted) => is_token(parameter, element, wanted),
        Wanted::TokenText(text) => texts(element).iter().any(|found| plain(found).contains(&plain(text))),
        Wanted::OfType { system, code, value } => {
            let types = element["type"]["coding"].as_array().into_iter().flatten();
            element["value"] == *value
                && types.into_iter().any(|coding| coding["system"] == *system && coding["code"] == *code)
        }
        Wanted::StringStart(text) => {
            strings(element).iter().any(|found| plain(found).starts_with(&plain(text)))
        }
        Wanted::StringExact(text) => strings(element).contains(&text.as_str()),
        Wanted::StringContains(text) => {
            strings(element).iter().any(|found| plain(found).contains(&plain(text)))
        }
        Wanted::Reference(wanted) => {
            referred(element).is_some_and(|text| match (Target::of(text, BASE), wanted) {
                (Target::Local { resource_type, id }, ReferenceValue::Local { types, id: wanted }) => {
                    types.contains(&resource_type) && id == wanted
                }
                (Target::Url(url), ReferenceValue::Url(wanted)) => url == wanted,
                _ => false,
            })
        }
        Wanted::ReferenceIdentifier(wanted) => {
            let has = |identifier: &Value| tokens(identifier).iter().any(|token| fits(*token, wanted));
            element.get("identifier").is_some_and(has)
        }
        Wanted::Date { comparator, from, until } => {
            range(element).is_some_and(|found| compares(found, *comparator, (*from, *until)))
        }
        Wanted::Number { comparator, value } => {
            scaled(element).is_some_and(|found| measures(found, *comparator, value))
        }
        Wanted::Quantity { comparator, value, system, unit } => {
            let is_unit = unit.as_ref().is_none_or(|unit| {
                element["code"] == **unit || (system.is_none() && element["unit"] == **unit)
            });
            let is_system = system
                .as_ref()
                .is_none_or(|system| element.get("code").is_some() && element["system"] == **system);
            let fits = |found| measures(found, *comparator, value);
            is_unit && is_system && scaled(&element["value"]).is_some_and(fits)
        }
        Wanted::Uri(uri) => uris(element).contains(&uri.as_str()),
        Wanted::UriBelow(uri) => uris(element)
            .iter()
            .any(|found| found == uri || (!uri.starts_with("urn:") && found.starts_with(uri))),
        Wanted::UriAbove(uri) => uris(element).into_iter().any(|found| {
            let rest = uri.strip_prefix(found).filter(|_| !uri.starts_with("urn:"));
            found == uri || rest.is_some_and(|rest| found.ends_with('/') || rest.starts_with('/'))
        }),
        Wanted::Composite(parts) => parameter.components.iter().zip(parts).all(|(component, part)| {
            let mut holds = false;
            component.each(element, &sample.resource, &mut |element| {
                // Components have no types of their own: their codes have no systems but those beside them.
                holds |= match part {
                    Wanted::Token(wanted) => tokens(element).iter().any(|token| fits(*token, wanted)),
                    other => is(parameter, element, other, sample),
                };
            });
            holds
        }),
    }
}

/// Codes with their systems: those of a concept, a coding, an identifier, a contact; a code alone.
fn tokens(element: &Value) -> Vec<(Option<&str>, &str)> {
    let has = |name: &str| element[name].is_string();
    match element {
        Value::String(code) => vec![(None, code)],
        Value::Bool(code) => vec![(None, if *code { "true" } else { "false" })],
        _ if element.get("coding").is_some() => {
            let codings = element["coding"].as_array().into_iter().flatten();
            codings.flat_map(tokens).collect()
        }
        // Of a contact the use is the system, and without a value it is nothing.
        _ if matches!(element["system"].as_str(), Some("phone" | "email")) => {
            element["value"].as_str().map(|value| (element["use"].as_str(), value)).into_iter().collect()
        }
        _ if has("system") || has("code") || has("value") => {
            let code = element["code"].as_str().or(element["value"].as_str()).unwrap_or_default();
            vec![(element["system"].as_str(), code)]
        }
        _ => Vec::new(),
    }
}

fn texts(element: &Value) -> Vec<&str> {
    let codings = element["coding"].as_array().into_iter().flatten().map(|coding| &coding["display"]);
    let own = [&element["text"], &element["display"]];
    let of_type = element.get("value").map(|_| &element["type"]["text"]);
    codings.chain(own).chain(of_type).filter_map(Value::as_str).collect()
}

fn fits((system, code): (Option<&str>, &str), wanted: &TokenValue) -> bool {
    let is_system = match &wanted.system {
        SystemTest::Any => true,
        SystemTest::Absent => system.is_none(),
        SystemTest::Is(wanted) => system == Some(wanted),
    };
    is_system && wanted.code.as_ref().is_none_or(|wanted| wanted == code)
}

fn is_token(parameter: &SearchParameter, element: &Value, wanted: &TokenValue) -> bool {
    if element.is_object() {
        return tokens(element).iter().any(|token| fits(*token, wanted));
    }
    // A code has the system that its element is bound to.
    let systems = &parameter.systems;
    let is_system = match &wanted.system {
        SystemTest::Any => true,
        SystemTest::Absent => systems.is_empty(),
        SystemTest::Is(system) => systems.contains(&system.as_str()),
    };
    is_system
        && tokens(element).iter().any(|(_, code)| wanted.code.as_ref().is_none_or(|wanted| wanted == code))
}

fn strings(element: &Value) -> Vec<&str> {
    match element {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(members) => members.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// The few accents that the samples have.
fn plain(text: &str) -> String {
    let letters: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'ä' => 'a',
            'ü' => 'u',
            c => c,
        })
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn uris(element: &Value) -> Vec<&str> {
    let Some(uri) = element.as_str() else { return Vec::new() };
    [Some(uri), uri.split_once('|').map(|(uri, _)| uri)].into_iter().flatten().collect()
}

fn range(element: &Value) -> Option<(Timestamp, Timestamp)> {
    if let Some(text) = element.as_str() {
        return stretch(text);
    }
    let (start, end) = (element["start"].as_str(), element["end"].as_str());
    (start.is_some() || end.is_some()).then_some(())?;
    let from =
        start.map_or(Some(Timestamp::from_nanos(i64::MIN)), |text| stretch(text).map(|(from, _)| from));
    let until =
        end.map_or(Some(Timestamp::from_nanos(i64::MAX)), |text| stretch(text).map(|(_, until)| until));
    Some((from?, until?)).filter(|(from, until)| from <= until)
}

fn compares(found: (Timestamp, Timestamp), comparator: Comparator, wanted: (Timestamp, Timestamp)) -> bool {
    let contained = wanted.0 <= found.0 && found.1 <= wanted.1;
    let reaches_above = found.1 > wanted.1;
    let reaches_below = found.0 < wanted.0;
    match comparator {
        Comparator::Eq => contained,
        Comparator::Ne => !contained,
        Comparator::Gt => reaches_above,
        Comparator::Lt => reaches_below,
        Comparator::Ge => reaches_above || contained,
        Comparator::Le => reaches_below || contained,
        Comparator::Sa => found.0 >= wanted.1,
        Comparator::Eb => found.1 <= wanted.0,
        Comparator::Ap => {
            let (from, until) = widened(wanted.0, wanted.1);
            found.0 < until && found.1 > from
        }
    }
}

fn widened(from: Timestamp, until: Timestamp) -> (Timestamp, Timestamp) {
    let (from, until, now) = (from.as_nanos(), until.as_nanos(), now().as_nanos());
    let tenth = if now < from { (from - now) / 10 } else { now.saturating_sub(until).max(0) / 10 };
    (Timestamp::from_nanos(from.saturating_sub(tenth)), Timestamp::from_nanos(until.saturating_add(tenth)))
}

/// A small number in millionths.
fn scaled(number: &Value) -> Option<i64> {
    number.is_number().then(|| millionths(&number.to_string()))
}

#[expect(clippy::cast_possible_truncation, reason = "the samples have a few digits")]
fn millionths(text: &str) -> i64 {
    (text.parse::<f64>().expect("a number") * 1e6).round() as i64
}

fn measures(found: i64, comparator: Comparator, wanted: &str) -> bool {
    let exact = millionths(wanted);
    let half = match (wanted.split_once('e'), wanted.split_once('.')) {
        // `1e2` is given in tens.
        (Some((_, exponent)), _) => 5_000_000 * 10_i64.pow(exponent.parse().expect("small")) / 100,
        (_, Some((_, digits))) => 500_000 / 10_i64.pow(u32::try_from(digits.len()).expect("small")),
        _ => 500_000,
    };
    let is_near = |distance: i64| exact - distance <= found && found < exact + distance;
    match comparator {
        Comparator::Eq => is_near(half),
        Comparator::Ne => !is_near(half),
        Comparator::Gt | Comparator::Sa => found > exact,
        Comparator::Lt | Comparator::Eb => found < exact,
        Comparator::Ge => found >= exact,
        Comparator::Le => found <= exact,
        Comparator::Ap => is_near(half.max(exact.abs() / 10)),
    }
}

/// What resources are put in order by.
#[derive(PartialEq, PartialOrd)]
enum SortValue {
    Number(i64),
    Text(String, String),
}

impl SortValue {
    fn compare(&self, other: &Self) -> Ordering {
        self.partial_cmp(other).expect("values of one parameter are of one kind")
    }
}

fn sort_value(by: &SortBy, descending: bool, sample: &Sample) -> Option<SortValue> {
    let text = |text: &str| SortValue::Text(text.to_owned(), String::new());
    let levels = match by {
        SortBy::Id => return Some(text(&sample.id)),
        SortBy::LastUpdated => return Some(SortValue::Number(sample.last_updated.as_nanos())),
        SortBy::Parameters(levels) => levels,
    };
    levels.iter().find_map(|parameters| {
        let parameter = own(parameters, sample)?;
        let values = elements(parameter, sample).into_iter().flat_map(|element| match parameter.kind {
            Kind::Token => {
                let mut found = tokens(element);
                if found.is_empty() && !texts(element).is_empty() {
                    found.push((None, ""));
                }
                found
                    .into_iter()
                    .map(|(system, code)| {
                        SortValue::Text(code.to_owned(), system.unwrap_or_default().to_owned())
                    })
                    .collect()
            }
            Kind::Date => {
                range(element).map(|(from, _)| SortValue::Number(from.as_nanos())).into_iter().collect()
            }
            Kind::Quantity => scaled(&element["value"]).map(SortValue::Number).into_iter().collect(),
            Kind::String => strings(element).into_iter().map(|found| text(&plain(found))).collect(),
            Kind::Uri => uris(element).into_iter().map(text).collect(),
            Kind::Reference => referred(element)
                .map(|found| match Target::of(found, BASE) {
                    Target::Local { resource_type, id } => text(&format!("{resource_type}/{id}")),
                    Target::Url(url) => text(url),
                })
                .into_iter()
                .collect(),
            Kind::Number | Kind::Composite => Vec::new(),
        });
        values.reduce(|best, value| {
            let is_better = if descending { Ordering::Greater } else { Ordering::Less };
            if value.compare(&best) == is_better { value } else { best }
        })
    })
}
