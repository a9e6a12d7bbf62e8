//! Single fields of two Patients side by side. Spelling and punctuation do not count; a typing error does not make
//! another person, only less of an agreement.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::{items, text};
use crate::fhir::datatype::Identifier;

/// Shorter words than this are not compared for typing errors: too many differ by one letter.
const SHORTEST_NEAR: usize = 4;

/// What a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The two agree.
    Same,
    /// They would, but for a slip.
    Near,
    /// They do not.
    Different,
    /// One of them does not say.
    Unknown,
}

/// Numbers: the same value in the same system.
pub(super) fn identifier(wanted: &Value, candidate: &Value) -> Verdict {
    let mut verdict = Verdict::Unknown;
    for one in items(wanted, "identifier").map(Identifier::of) {
        for other in items(candidate, "identifier").map(Identifier::of) {
            let (Some(value), Some(other_value)) = (one.value, other.value) else { continue };
            let is_same_value = value.trim().eq_ignore_ascii_case(other_value.trim());
            match (one.system, other.system) {
                (Some(system), Some(other_system)) if system == other_system => {
                    if is_same_value {
                        return Verdict::Same;
                    }
                    // Somebody may have several numbers in one system, so that another one may still agree.
                    if verdict == Verdict::Unknown {
                        verdict = Verdict::Different;
                    }
                }
                (None, _) | (_, None) if is_same_value => verdict = Verdict::Near,
                _ => {}
            }
        }
    }
    verdict
}

/// Birth dates, of which one may be less precise.
pub(super) fn birth_date(wanted: &Value, candidate: &Value) -> Verdict {
    let (Some(one), Some(other)) = (text(wanted, "birthDate"), text(candidate, "birthDate")) else {
        return Verdict::Unknown;
    };
    if one == other {
        return Verdict::Same;
    }
    let is_part = one.starts_with(other) || other.starts_with(one);
    let is_slip =
        one.len() == other.len() && one.bytes().zip(other.bytes()).filter(|(a, b)| a != b).count() == 1;
    if is_part || is_slip || swapped(one).is_some_and(|swapped| swapped == other) {
        Verdict::Near
    } else {
        Verdict::Different
    }
}

/// The same date with day and month exchanged.
fn swapped(date: &str) -> Option<String> {
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{year}-{day}-{month}"))
}

/// Family names, any of them: people marry.
pub(super) fn family(wanted: &Value, candidate: &Value) -> Verdict {
    fn families(patient: &Value) -> Vec<String> {
        items(patient, "name").filter_map(|name| text(name, "family")).map(spaced).collect()
    }
    best(&families(wanted), &families(candidate), |one, other| {
        if closed(one) == closed(other) {
            return Verdict::Same;
        }
        let shares_a_part = one.split(' ').any(|part| other.split(' ').any(|own| own == part));
        if shares_a_part || is_slip(&closed(one), &closed(other)) {
            Verdict::Near
        } else {
            Verdict::Different
        }
    })
}

/// Given names: the first one of a record must be among those of the other. That two share a middle name alone says
/// nothing.
pub(super) fn given(wanted: &Value, candidate: &Value) -> Verdict {
    fn all(patient: &Value) -> Vec<Vec<String>> {
        let names = items(patient, "name").map(|name| {
            let given = items(name, "given").filter_map(Value::as_str).map(normalised);
            given.filter(|name| !name.is_empty()).collect::<Vec<_>>()
        });
        names.filter(|given| !given.is_empty()).collect()
    }
    best(&all(wanted), &all(candidate), |one, other| {
        if one.contains(&other[0]) || other.contains(&one[0]) {
            return Verdict::Same;
        }
        let (one, other) = (one[0].as_str(), other[0].as_str());
        // An initial, or a short form such as Rob of Robert.
        let is_short_form = one.starts_with(other) || other.starts_with(one);
        if is_short_form || is_slip(one, other) { Verdict::Near } else { Verdict::Different }
    })
}

/// Administrative gender.
pub(super) fn gender(wanted: &Value, candidate: &Value) -> Verdict {
    let said = |patient| text(patient, "gender").filter(|gender| *gender != "unknown");
    match (said(wanted), said(candidate)) {
        (Some(one), Some(other)) if one == other => Verdict::Same,
        (Some(_), Some(_)) => Verdict::Different,
        _ => Verdict::Unknown,
    }
}

/// Telephone numbers and mail addresses.
pub(super) fn telecom(wanted: &Value, candidate: &Value) -> Verdict {
    fn values(patient: &Value) -> Vec<String> {
        items(patient, "telecom").filter_map(|contact| contact_value(text(contact, "value")?)).collect()
    }
    best(
        &values(wanted),
        &values(candidate),
        |one, other| {
            if one == other { Verdict::Same } else { Verdict::Different }
        },
    )
}

/// A mail address without case, or the last ten digits of a telephone number: before them stands how the country is
/// reached, or nothing.
fn contact_value(value: &str) -> Option<String> {
    if value.contains('@') {
        return Some(value.trim().to_lowercase());
    }
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    (digits.len() >= 7).then(|| digits[digits.len().saturating_sub(10)..].to_owned())
}

/// Addresses: the street at its postal code, or less.
pub(super) fn address(wanted: &Value, candidate: &Value) -> Verdict {
    let addresses = |patient| items(patient, "address").collect::<Vec<&Value>>();
    best(&addresses(wanted), &addresses(candidate), |one, other| {
        let said = |address, element| text(address, element).map(normalised).filter(|text| !text.is_empty());
        let both = |element| Some((said(one, element)?, said(other, element)?));
        let agree = |element| both(element).map(|(one, other)| one == other);
        let street = |address| items(address, "line").next().and_then(Value::as_str).map(normalised);
        // A ZIP code may be followed by four more digits.
        let postal_code = both("postalCode")
            .map(|(one, other)| one.starts_with(other.as_str()) || other.starts_with(one.as_str()));
        let is_street = street(one).is_some() && street(one) == street(other);
        let town = agree("city").zip(agree("state")).map(|(city, state)| city && state);
        match (postal_code, town) {
            (Some(true), _) | (_, Some(true)) if is_street => Verdict::Same,
            (Some(true), _) | (_, Some(true)) => Verdict::Near,
            (None, None) => Verdict::Unknown,
            _ => Verdict::Different,
        }
    })
}

/// The best verdict on any pair.
fn best<T>(wanted: &[T], candidate: &[T], judge: impl Fn(&T, &T) -> Verdict) -> Verdict {
    let mut best = Verdict::Unknown;
    for one in wanted {
        for other in candidate {
            best = match (best, judge(one, other)) {
                (_, Verdict::Same) => return Verdict::Same,
                (Verdict::Near, _) | (_, Verdict::Near) => Verdict::Near,
                (Verdict::Different, _) | (_, Verdict::Different) => Verdict::Different,
                (_, Verdict::Unknown) => best,
            };
        }
    }
    best
}

/// A name without case, marks, spaces and punctuation.
pub(crate) fn normalised(name: &str) -> String {
    closed(&spaced(name))
}

/// A name without case and marks, its parts separated by single spaces.
fn spaced(name: &str) -> String {
    let plain: String = name
        .nfd()
        .filter(|character| !is_combining_mark(*character))
        .flat_map(char::to_lowercase)
        .filter(|character| *character != '\'' && *character != '\u{2019}')
        .map(|character| if character.is_alphanumeric() { character } else { ' ' })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn closed(spaced: &str) -> String {
    spaced.replace(' ', "")
}

/// Whether one letter was left out, added, exchanged, or put before its neighbour.
fn is_slip(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().min(other.len()) < SHORTEST_NEAR {
        return false;
    }
    let start = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[start..], &other[start..]);
    match (one, other) {
        ([_, rest @ ..], other) if rest == other => true,
        (one, [_, rest @ ..]) if one == rest => true,
        ([_, rest @ ..], [_, own @ ..]) if rest == own => true,
        ([a, b, rest @ ..], [c, d, own @ ..]) => a == d && b == c && rest == own,
        _ => false,
    }
}
