//! Values and modifiers of search parameters, kind by kind (FHIR R4 search, Parameter Types and Modifiers).

use unicode_normalization::char::is_combining_mark;

use super::{Refusal, text};
use crate::fhir::IssueType;
use crate::fhir::datatype::is_id;
use crate::fhir::search::reference::Target;
use crate::fhir::search::{
    Comparator, Kind, ReferenceValue, SearchParameter, SystemTest, TokenValue, Wanted, date, searched_types,
};

/// More digits than any measurement has; with them, arithmetic stays within 128 bits.
const MOST_DIGITS: usize = 30;

/// What a modifier makes of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Modifier {
    /// There is none.
    None,
    /// `:missing`
    Missing,
    /// `:exact`
    Exact,
    /// `:contains`
    Contains,
    /// `:not`
    Not,
    /// `:text`
    Text,
    /// `:of-type`
    OfType,
    /// `:identifier`
    Identifier,
    /// `:above`
    Above,
    /// `:below`
    Below,
    /// `:Patient`
    Type(&'static str),
}

impl Modifier {
    /// What R4 and later releases know and nothing here answers.
    const UNSUPPORTED: [&'static str; 5] = ["code-text", "in", "iterate", "not-in", "text-advanced"];

    /// Reads the modifier of a parameter, which must be one that it can have.
    pub(super) fn of(parameter: &SearchParameter, name: Option<&str>) -> Result<Self, Refusal> {
        let Some(name) = name else { return Ok(Self::None) };
        let modifier = match (name, parameter.kind) {
            ("missing", _) => Self::Missing,
            ("exact", Kind::String) => Self::Exact,
            ("contains", Kind::String) => Self::Contains,
            ("not", Kind::Token) => Self::Not,
            ("text", Kind::Token) => Self::Text,
            ("of-type", Kind::Token) if parameter.types.contains(&"Identifier") => Self::OfType,
            ("identifier", Kind::Reference) => Self::Identifier,
            ("above", Kind::Uri) => Self::Above,
            ("below", Kind::Uri) => Self::Below,
            (name, Kind::Reference) if searched_types().any(|known| known == name) => {
                let found = parameter.targets.iter().copied().find(|target| *target == name);
                Self::Type(found.ok_or_else(|| not_here(parameter))?)
            }
            ("above" | "below", Kind::Token | Kind::Reference) => {
                let text =
                    format!("The search parameter {} does not support :above and :below", parameter.code);
                return Err(Refusal::Invalid(IssueType::NotSupported, text));
            }
            (name, _) => {
                let Some(known) = Self::UNSUPPORTED.into_iter().find(|known| *known == name) else {
                    return Err(not_here(parameter));
                };
                let text = format!("The modifier :{known} is not supported");
                return Err(Refusal::Invalid(IssueType::NotSupported, text));
            }
        };
        Ok(modifier)
    }
}

/// The codes of the prefixes that values of a parameter may have (FHIR R4 `search-comparator`).
pub(crate) fn comparators(parameter: &SearchParameter) -> impl Iterator<Item = &'static str> {
    let is_compared = matches!(parameter.kind, Kind::Date | Kind::Number | Kind::Quantity);
    PREFIXES.into_iter().filter(move |_| is_compared).map(|(text, _)| text)
}

/// The codes of the modifiers that a parameter may have (FHIR R4 `search-modifier-code`).
pub(crate) fn modifiers(parameter: &SearchParameter) -> impl Iterator<Item = &'static str> {
    const CODES: [(&str, &str); 11] = [
        ("missing", "missing"),
        ("exact", "exact"),
        ("contains", "contains"),
        ("not", "not"),
        ("text", "text"),
        ("in", "in"),
        ("not-in", "not-in"),
        ("above", "above"),
        ("below", "below"),
        ("identifier", "identifier"),
        ("of-type", "ofType"),
    ];
    let is_column = matches!(parameter.code, "_id" | "_lastUpdated");
    let taken = CODES
        .into_iter()
        .filter(move |_| !is_column)
        .filter_map(|(name, code)| Modifier::of(parameter, Some(name)).is_ok().then_some(code));
    let by_type = parameter.targets.first().filter(|name| Modifier::of(parameter, Some(name)).is_ok());
    taken.chain(by_type.map(|_| "type"))
}

/// A parameter has a modifier that it cannot have.
pub(super) fn not_here(parameter: &SearchParameter) -> Refusal {
    let text = format!("The search parameter {} has a modifier that it cannot have", parameter.code);
    Refusal::Invalid(IssueType::NotSupported, text)
}

/// A value has a backslash where none belongs.
pub(super) fn escape(parameter: &SearchParameter) -> Refusal {
    wrong(parameter, "has a backslash that escapes nothing")
}

fn wrong(parameter: &SearchParameter, how: &str) -> Refusal {
    Refusal::value(format!("A value of the search parameter {} {how}", parameter.code))
}

/// Reads one value of a parameter, still escaped. The parameters are those of all types searched, of one kind.
pub(super) fn read(
    parameters: &[&SearchParameter],
    modifier: Modifier,
    value: &str,
    base: &str,
) -> Result<Wanted, Refusal> {
    let [parameter, ..] = parameters else { return Err(Refusal::value("No type is searched")) };
    match (parameter.kind, modifier) {
        (Kind::Token, Modifier::OfType) => of_type(parameter, value),
        (Kind::Token, Modifier::Text) => sought(parameter, value).map(Wanted::TokenText),
        (Kind::Token, _) => token(parameter, value).map(Wanted::Token),
        (Kind::String, Modifier::Exact) => plain(parameter, value).map(Wanted::StringExact),
        (Kind::String, Modifier::Contains) => sought(parameter, value).map(Wanted::StringContains),
        (Kind::String, _) => sought(parameter, value).map(Wanted::StringStart),
        (Kind::Reference, Modifier::Identifier) => token(parameter, value).map(Wanted::ReferenceIdentifier),
        (Kind::Reference, _) => reference(parameters, modifier, value, base),
        (Kind::Uri, Modifier::Above) => plain(parameter, value).map(Wanted::UriAbove),
        (Kind::Uri, Modifier::Below) => plain(parameter, value).map(Wanted::UriBelow),
        (Kind::Uri, _) => plain(parameter, value).map(Wanted::Uri),
        (Kind::Composite, _) => composite(parameters, value, base),
        (Kind::Date | Kind::Number | Kind::Quantity, _) => compared(parameter, parameter.kind, value),
    }
}

/// A text that others are looked through for. One of nothing but spaces and accents would be found in all of them,
/// and conditional interactions would take whatever there is.
fn sought(parameter: &SearchParameter, value: &str) -> Result<String, Refusal> {
    let text = plain(parameter, value)?;
    if text.chars().all(|c| c.is_whitespace() || is_combining_mark(c)) {
        return Err(wrong(parameter, "has nothing to look for"));
    }
    Ok(text)
}

fn plain(parameter: &SearchParameter, value: &str) -> Result<String, Refusal> {
    text::unescaped(value).map(Into::into).ok_or_else(|| escape(parameter))
}

fn token(parameter: &SearchParameter, value: &str) -> Result<TokenValue, Refusal> {
    let parts: Vec<&str> = text::split(value, '|').collect();
    let plain = |part: &str| plain(parameter, part);
    match parts[..] {
        [code] => Ok(TokenValue { system: SystemTest::Any, code: Some(plain(code)?) }),
        ["", ""] => Err(wrong(parameter, "has neither system nor code")),
        ["", code] => Ok(TokenValue { system: SystemTest::Absent, code: Some(plain(code)?) }),
        [system, ""] => Ok(TokenValue { system: SystemTest::Is(plain(system)?), code: None }),
        [system, code] => Ok(TokenValue { system: SystemTest::Is(plain(system)?), code: Some(plain(code)?) }),
        _ => Err(wrong(parameter, "has more parts than a system and a code")),
    }
}

fn of_type(parameter: &SearchParameter, value: &str) -> Result<Wanted, Refusal> {
    let parts: Vec<&str> = text::split(value, '|').collect();
    let plain = |part: &str| plain(parameter, part);
    match parts[..] {
        [system, code, value] if !system.is_empty() && !code.is_empty() && !value.is_empty() => {
            Ok(Wanted::OfType { system: plain(system)?, code: plain(code)?, value: plain(value)? })
        }
        _ => Err(wrong(parameter, "is not a system, a code and a value")),
    }
}

fn reference(
    parameters: &[&SearchParameter],
    modifier: Modifier,
    value: &str,
    base: &str,
) -> Result<Wanted, Refusal> {
    let [parameter, ..] = parameters else { return Err(Refusal::value("No type is searched")) };
    let text = plain(parameter, value)?;
    let wanted = match (Target::of(&text, base), modifier) {
        (Target::Local { resource_type, .. }, Modifier::Type(wanted)) if resource_type != wanted => {
            return Err(wrong(parameter, "is of another type than its modifier says"));
        }
        (Target::Local { resource_type, id }, _) => {
            ReferenceValue::Local { types: vec![resource_type], id: id.to_owned() }
        }
        (Target::Url(id), Modifier::Type(wanted)) if is_id(id) => {
            ReferenceValue::Local { types: vec![wanted], id: id.to_owned() }
        }
        (Target::Url(id), _) if is_id(id) => {
            let mut types: Vec<_> =
                parameters.iter().flat_map(|parameter| parameter.targets.iter().copied()).collect();
            types.sort_unstable();
            types.dedup();
            ReferenceValue::Local { types, id: id.to_owned() }
        }
        (Target::Url(url), _) => ReferenceValue::Url(url.to_owned()),
    };
    Ok(Wanted::Reference(wanted))
}

fn composite(parameters: &[&SearchParameter], value: &str, base: &str) -> Result<Wanted, Refusal> {
    let [parameter, ..] = parameters else { return Err(Refusal::value("No type is searched")) };
    let parts: Vec<&str> = text::split(value, '$').collect();
    if parts.len() != parameter.components.len() || parts.contains(&"") {
        return Err(wrong(parameter, "does not have a part for each of its components"));
    }
    let read = parameter.components.iter().zip(parts).map(|(component, part)| match component.kind {
        Kind::Token => match token(parameter, part)? {
            TokenValue { code: None, .. } => Err(wrong(parameter, "has a component without a code")),
            found => Ok(Wanted::Token(found)),
        },
        Kind::String => sought(parameter, part).map(Wanted::StringStart),
        Kind::Reference => {
            let text = plain(parameter, part)?;
            Ok(Wanted::Reference(match Target::of(&text, base) {
                Target::Local { resource_type, id } => {
                    ReferenceValue::Local { types: vec![resource_type], id: id.to_owned() }
                }
                Target::Url(id) if is_id(id) => {
                    // The one composite with a reference relates documents to documents.
                    ReferenceValue::Local { types: vec![parameter.resource_type], id: id.to_owned() }
                }
                Target::Url(url) => ReferenceValue::Url(url.to_owned()),
            }))
        }
        kind => compared(parameter, kind, part),
    });
    read.collect::<Result<_, _>>().map(Wanted::Composite)
}

/// A value that a prefix may stand before.
fn compared(parameter: &SearchParameter, kind: Kind, value: &str) -> Result<Wanted, Refusal> {
    let (comparator, rest) = prefix(value).ok_or_else(|| wrong(parameter, "has a prefix that is none"))?;
    if kind == Kind::Date {
        let rest = plain(parameter, rest)?;
        let (from, until) = date::stretch(&rest).ok_or_else(|| wrong(parameter, "is not a date or time"))?;
        return Ok(Wanted::Date { comparator, from, until });
    }
    let parts: Vec<&str> = text::split(rest, '|').collect();
    let (number, unit) = match parts[..] {
        [number] => (number, None),
        [number, system, code] if kind == Kind::Quantity => (number, Some((system, code))),
        _ => return Err(wrong(parameter, "is not a number, or a number with system and unit")),
    };
    if !is_decimal(number) {
        return Err(wrong(parameter, "is not a number of a reasonable length"));
    }
    let value = number.to_owned();
    if kind == Kind::Number {
        return Ok(Wanted::Number { comparator, value });
    }
    let (system, unit) = unit.unwrap_or_default();
    let some = |part: &str| plain(parameter, part).map(|part| Some(part).filter(|part| !part.is_empty()));
    Ok(Wanted::Quantity { comparator, value, system: some(system)?, unit: some(unit)? })
}

/// The prefixes of values that are compared (FHIR R4 search, Prefixes).
const PREFIXES: [(&str, Comparator); 9] = [
    ("eq", Comparator::Eq),
    ("ne", Comparator::Ne),
    ("gt", Comparator::Gt),
    ("lt", Comparator::Lt),
    ("ge", Comparator::Ge),
    ("le", Comparator::Le),
    ("sa", Comparator::Sa),
    ("eb", Comparator::Eb),
    ("ap", Comparator::Ap),
];

fn prefix(value: &str) -> Option<(Comparator, &str)> {
    if !value.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Some((Comparator::Eq, value));
    }
    let (prefix, rest) = value.split_at_checked(2)?;
    let (_, comparator) = PREFIXES.into_iter().find(|(text, _)| *text == prefix)?;
    Some((comparator, rest))
}

/// Whether a text is a decimal of JSON, zeros before it allowed, that fits into arithmetic.
fn is_decimal(text: &str) -> bool {
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(left, right)| (left, Some(right)));
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) =
        mantissa.split_once('.').map_or((mantissa, None), |(left, right)| (left, Some(right)));
    // Beyond four digits the exponent says nothing about this world.
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-', ' ']).unwrap_or(exponent);
        are_digits(digits) && digits.len() <= 4
    });
    are_digits(whole) && fraction.is_none_or(are_digits) && mantissa.len() <= MOST_DIGITS && exponent_is_right
}
