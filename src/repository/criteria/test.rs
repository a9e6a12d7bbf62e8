//! What a value asked for means for the entries of a parameter: an entry passes if it passes one of the tests.

use super::{Bytes, Criterion, EntryTest};
use crate::clock::Timestamp;
use crate::fhir::search::{Comparator, ReferenceValue, SearchParameter, SystemTest, TokenValue, Wanted};
use crate::repository::encoding::{
    BY_CODE, BY_SYSTEM, Decimal, around, coded, cut, exact, joined, moment, near, normalised, of_system,
    of_type, past,
};

/// The elements whose tokens have a system beside them; others are codes alone.
const CODED: [&str; 4] = ["CodeableConcept", "Coding", "ContactPoint", "Identifier"];

/// Types of elements whose values have no system, not even one that their definition knows.
const WITHOUT_SYSTEM: [&str; 3] = ["id", "string", "uri"];

/// The tests for one value of a parameter; none if nothing can pass.
pub(super) fn tests(parameter: &SearchParameter, wanted: &Wanted, now: Timestamp) -> Vec<EntryTest> {
    match wanted {
        Wanted::Token(wanted) => token(parameter, wanted),
        Wanted::Composite(parts) => composite(parts, now),
        other => simple(other, now),
    }
}

/// Whose entry has exactly this value.
pub(super) fn equal(value: Vec<u8>) -> EntryTest {
    of_value(Bytes::Equal(cut(value)))
}

fn of_value(value: Bytes) -> EntryTest {
    EntryTest { value, extra: Bytes::Any }
}

fn starting(value: Vec<u8>) -> Bytes {
    let value = cut(value);
    let past = past(&value);
    Bytes::Range(Some(value), past)
}

fn token(parameter: &SearchParameter, wanted: &TokenValue) -> Vec<EntryTest> {
    let has_coded = parameter.types.iter().any(|name| CODED.contains(name));
    let has_plain = parameter.types.iter().any(|name| !CODED.contains(name));
    let mut tests: Vec<_> = coded_token(wanted).filter(|_| has_coded).into_iter().collect();
    let is_theirs = match &wanted.system {
        SystemTest::Any => true,
        SystemTest::Absent => parameter.types.iter().any(|name| WITHOUT_SYSTEM.contains(name)),
        // Where the systems are not known, any may be the right one.
        SystemTest::Is(system) if parameter.systems.is_empty() => {
            parameter.types.contains(&"code") && !system.is_empty()
        }
        SystemTest::Is(system) => parameter.systems.contains(&system.as_str()),
    };
    if has_plain && is_theirs {
        tests.push(match &wanted.code {
            Some(code) => equal(code.clone().into_bytes()),
            None => of_value(Bytes::Any),
        });
    }
    tests
}

/// A token of an element that may have a system beside the code. The grammar has no tokens without code and system.
fn coded_token(wanted: &TokenValue) -> Option<EntryTest> {
    match (&wanted.system, wanted.code.as_deref()) {
        (SystemTest::Any, Some(code)) => Some(of_value(starting(coded(code, None)))),
        (SystemTest::Absent, Some(code)) => Some(equal(coded(code, None))),
        (SystemTest::Is(system), Some(code)) => Some(equal(coded(code, Some(system)))),
        (SystemTest::Is(system), None) => Some(of_value(Bytes::Contains(of_system(system)))),
        (SystemTest::Any | SystemTest::Absent, None) => None,
    }
}

fn simple(wanted: &Wanted, now: Timestamp) -> Vec<EntryTest> {
    match wanted {
        Wanted::Token(wanted) | Wanted::ReferenceIdentifier(wanted) => {
            coded_token(wanted).into_iter().collect()
        }
        Wanted::TokenText(text) => {
            vec![EntryTest { value: Bytes::Any, extra: Bytes::Contains(normalised(text).into_bytes()) }]
        }
        Wanted::OfType { system, code, value } => vec![equal(of_type(value, code, system))],
        Wanted::StringStart(text) => vec![of_value(starting(normalised(text).into_bytes()))],
        Wanted::StringExact(text) => vec![EntryTest {
            value: Bytes::Equal(cut(normalised(text).into_bytes())),
            extra: Bytes::Equal(cut(text.as_bytes().to_vec())),
        }],
        Wanted::StringContains(text) => vec![of_value(Bytes::Contains(normalised(text).into_bytes()))],
        Wanted::Reference(ReferenceValue::Local { types, id }) => {
            types.iter().map(|name| equal(format!("{name}/{id}").into_bytes())).collect()
        }
        Wanted::Reference(ReferenceValue::Url(url)) | Wanted::Uri(url) => {
            vec![equal(url.as_bytes().to_vec())]
        }
        // Only URLs are above and below each other (FHIR R4 search, Modifiers).
        Wanted::UriBelow(uri) | Wanted::UriAbove(uri) if uri.starts_with("urn:") => {
            vec![equal(uri.as_bytes().to_vec())]
        }
        Wanted::UriBelow(uri) => vec![of_value(starting(uri.as_bytes().to_vec()))],
        Wanted::UriAbove(uri) => above(uri).map(|uri| equal(uri.as_bytes().to_vec())).collect(),
        Wanted::Date { comparator, from, until } => date(*comparator, *from, *until, now),
        Wanted::Number { comparator, value } => {
            number(*comparator, value).into_iter().map(of_value).collect()
        }
        Wanted::Quantity { comparator, value, system, unit } => {
            let extra = match (system, unit) {
                (None, None) => Bytes::Any,
                (Some(system), None) => Bytes::Contains(of_system(system)),
                (None, Some(unit)) => starting(coded(unit, None)),
                (Some(system), Some(unit)) => Bytes::Equal(cut(coded(unit, Some(system)))),
            };
            let values = number(*comparator, value).into_iter();
            values.map(|value| EntryTest { value, extra: extra.clone() }).collect()
        }
        Wanted::Composite(_) => Vec::new(),
    }
}

/// A URL and everything before each of its slashes, with the slash and without it.
fn above(url: &str) -> impl Iterator<Item = &str> {
    let slashes = url.match_indices('/').flat_map(|(at, _)| [&url[..at], &url[..=at]]);
    slashes.chain(Some(url).filter(|url| !url.ends_with('/'))).filter(|above| !above.is_empty())
}

/// An entry is the stretch of time from its value to its extra (FHIR R4 search, Prefixes).
fn date(comparator: Comparator, from: Timestamp, until: Timestamp, now: Timestamp) -> Vec<EntryTest> {
    let test = |value, extra| EntryTest { value, extra };
    let begins_before = |at: Timestamp| Bytes::Range(None, Some(moment(at)));
    let begins_from = |at: Timestamp| Bytes::Range(Some(moment(at)), None);
    let ends_after =
        |at: Timestamp| next(at).map(|next| test(Bytes::Any, Bytes::Range(Some(moment(next)), None)));
    let ends_by = |at: Timestamp| Bytes::Range(None, next(at).map(moment));
    match comparator {
        // What lies within a stretch begins within it: a range of values that is closed on both sides.
        Comparator::Eq => {
            let end = if until > from { Some(until) } else { next(from) };
            vec![test(Bytes::Range(Some(moment(from)), end.map(moment)), ends_by(until))]
        }
        Comparator::Ne => {
            let before = test(begins_before(from), Bytes::Any);
            std::iter::once(before).chain(ends_after(until)).collect()
        }
        Comparator::Gt => ends_after(until).into_iter().collect(),
        Comparator::Lt => vec![test(begins_before(from), Bytes::Any)],
        Comparator::Ge => {
            let from = test(begins_from(from), Bytes::Any);
            std::iter::once(from).chain(ends_after(until)).collect()
        }
        Comparator::Le => vec![test(begins_before(from), Bytes::Any), test(Bytes::Any, ends_by(until))],
        Comparator::Sa => vec![test(begins_from(until), Bytes::Any)],
        Comparator::Eb => vec![test(Bytes::Any, ends_by(from))],
        Comparator::Ap => {
            let (from, until) = about(from, until, now);
            ends_after(from).map(|after| test(begins_before(until), after.extra)).into_iter().collect()
        }
    }
}

/// A stretch of time and a tenth of its distance from now on either side (FHIR R4 search, `ap`).
fn about(from: Timestamp, until: Timestamp, now: Timestamp) -> (Timestamp, Timestamp) {
    let (from, until, now) = (from.as_nanos(), until.as_nanos(), now.as_nanos());
    let distance = from.saturating_sub(now).max(now.saturating_sub(until)).max(0);
    let tenth = distance / 10;
    (Timestamp::from_nanos(from.saturating_sub(tenth)), Timestamp::from_nanos(until.saturating_add(tenth)))
}

fn next(at: Timestamp) -> Option<Timestamp> {
    at.as_nanos().checked_add(1).map(Timestamp::from_nanos)
}

/// When a resource was last changed is a moment, not a stretch.
pub(super) fn last_updated(wanted: &Wanted, now: Timestamp) -> Criterion {
    let Wanted::Date { comparator, from, until } = wanted else { return Criterion::Never };
    let (from, until) = (*from, *until);
    match comparator {
        Comparator::Eq => Criterion::LastUpdated(Some(from), Some(until)),
        Comparator::Ne => Criterion::Any(vec![
            Criterion::LastUpdated(None, Some(from)),
            Criterion::LastUpdated(Some(until), None),
        ]),
        Comparator::Gt | Comparator::Sa => Criterion::LastUpdated(Some(until), None),
        Comparator::Ge => Criterion::LastUpdated(Some(from), None),
        Comparator::Lt | Comparator::Eb => Criterion::LastUpdated(None, Some(from)),
        Comparator::Le => Criterion::LastUpdated(None, Some(until)),
        Comparator::Ap => {
            let (from, until) = about(from, until, now);
            Criterion::LastUpdated(Some(from), Some(until))
        }
    }
}

/// Decimals as bytes; none if the text is no number.
fn number(comparator: Comparator, text: &str) -> Vec<Bytes> {
    let below = |at: &Decimal| Bytes::Range(None, Some(at.encoded()));
    let from = |at: &Decimal| Bytes::Range(Some(at.encoded()), None);
    // The first bytes after those of a decimal: none lie between.
    let after = |at: &Decimal| [at.encoded(), vec![0]].concat();
    let found = match comparator {
        Comparator::Eq => around(text).map(|around| vec![within(&around)]),
        Comparator::Ap => near(text).map(|near| vec![within(&near)]),
        Comparator::Ne => around(text).map(|around| vec![below(&around.start), from(&around.end)]),
        // With these a number is as exact as can be, whatever its digits (FHIR R4 search, Prefixes).
        Comparator::Gt | Comparator::Sa => exact(text).map(|at| vec![Bytes::Range(Some(after(&at)), None)]),
        Comparator::Ge => exact(text).map(|at| vec![from(&at)]),
        Comparator::Lt | Comparator::Eb => exact(text).map(|at| vec![below(&at)]),
        Comparator::Le => exact(text).map(|at| vec![Bytes::Range(None, Some(after(&at)))]),
    };
    found.unwrap_or_default()
}

fn within(range: &std::ops::Range<Decimal>) -> Bytes {
    Bytes::Range(Some(range.start.encoded()), Some(range.end.encoded()))
}

fn composite(parts: &[Wanted], now: Timestamp) -> Vec<EntryTest> {
    let [first, second, third @ ..] = parts else { return Vec::new() };
    let mut tests = Vec::new();
    for first in component(first, now) {
        // Only a token comes first, and of it there is one spelling.
        let Bytes::Equal(first) = first.value else { return Vec::new() };
        for second in component(second, now) {
            let value = after(&first, second.value);
            match third {
                [] => tests.push(EntryTest { value, extra: second.extra }),
                [third, ..] => tests.extend(
                    component(third, now)
                        .into_iter()
                        .map(|third| EntryTest { value: value.clone(), extra: third.value }),
                ),
            }
        }
    }
    tests
}

fn component(wanted: &Wanted, now: Timestamp) -> Vec<EntryTest> {
    let Wanted::Token(token) = wanted else { return simple(wanted, now) };
    let Some(code) = token.code.as_deref() else { return Vec::new() };
    let spelled = match &token.system {
        SystemTest::Any => [BY_CODE, code.as_bytes()].concat(),
        SystemTest::Absent => [BY_SYSTEM, &coded(code, None)].concat(),
        SystemTest::Is(system) => [BY_SYSTEM, &coded(code, Some(system))].concat(),
    };
    vec![EntryTest { value: Bytes::Equal(spelled), extra: Bytes::Any }]
}

/// A test of the second component as one of the whole value, the first being this.
fn after(first: &[u8], second: Bytes) -> Bytes {
    let whole = |second: Vec<u8>| cut(joined(first, &second));
    let beginning = whole(Vec::new());
    let end = past(&beginning);
    match second {
        Bytes::Any => Bytes::Range(Some(beginning), end),
        Bytes::Equal(second) => Bytes::Equal(whole(second)),
        Bytes::Range(from, until) => {
            Bytes::Range(Some(from.map_or(beginning, whole)), until.map(whole).or(end))
        }
        // Systems alone are refused in composites, so nothing is sought inside one.
        Bytes::Contains(_) => Bytes::Range(Some(beginning.clone()), Some(beginning)),
    }
}
