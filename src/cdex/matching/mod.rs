//! Which Patient a description means: how much speaks for a candidate, and where to look for candidates. The evidence
//! of each field is weighed as record linkage does it since Fellegi and Sunter: an agreement counts as many bits as it
//! is rarer among strangers than among records of one person, a disagreement counts against it, and what one side does
//! not say counts nothing. Pure; [`compare`] judges single fields.

mod compare;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::compare::Verdict;
use crate::fhir::datatype::Identifier;
use crate::fhir::search::escaped;

pub(crate) use compare::normalised;

/// The bits that speak against any two records being of one person before anything is compared: one in a million is.
const PRIOR: i32 = 20;

/// Values of a kind that are looked for at most.
const MOST_VALUES: usize = 20;

/// How surely two records are of one person (FHIR R4 `match-grade`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// They are not.
    CertainlyNot,
    /// They may be.
    Possible,
    /// They probably are.
    Probable,
    /// They are.
    Certain,
}

impl Grade {
    /// The code as on the wire.
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::CertainlyNot => "certainly-not",
            Self::Possible => "possible",
            Self::Probable => "probable",
            Self::Certain => "certain",
        }
    }
}

/// What two records have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assessment {
    /// How surely they are of one person.
    pub(crate) grade: Grade,
    /// The bits that speak for it.
    odds: i32,
}

impl Assessment {
    /// The probability that they are of one person, in ten-thousandths.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 10,000")]
    pub(crate) fn score(self) -> u16 {
        (10_000.0 / (1.0 + f64::from(-self.odds).exp2())).round() as u16
    }

    /// What orders candidates, the likeliest last.
    pub(crate) fn rank(self) -> (Grade, i32) {
        (self.grade, self.odds)
    }
}

/// The bits of a field's verdicts.
struct Weights {
    same: i32,
    near: i32,
    different: i32,
}

impl Weights {
    fn of(&self, verdict: Verdict) -> i32 {
        match verdict {
            Verdict::Same => self.same,
            Verdict::Near => self.near,
            Verdict::Different => self.different,
            Verdict::Unknown => 0,
        }
    }
}

/// Numbers are unique but for typing errors and families that share one.
const IDENTIFIER: Weights = Weights { same: 36, near: 10, different: -6 };
const BIRTH_DATE: Weights = Weights { same: 12, near: 4, different: -7 };
const FAMILY: Weights = Weights { same: 9, near: 5, different: -5 };
const GIVEN: Weights = Weights { same: 7, near: 3, different: -4 };
const GENDER: Weights = Weights { same: 1, near: 0, different: -5 };
/// People move, and get other numbers: that these differ says little.
const TELECOM: Weights = Weights { same: 12, near: 0, different: -1 };
const ADDRESS: Weights = Weights { same: 10, near: 4, different: -1 };

/// From these odds on a match is certain, probable, possible.
const CERTAIN: i32 = 10;
const PROBABLE: i32 = 3;
const POSSIBLE: i32 = -6;

/// How surely two Patients are one person.
pub(crate) fn assess(wanted: &Value, candidate: &Value) -> Assessment {
    let identifier = compare::identifier(wanted, candidate);
    let birth_date = compare::birth_date(wanted, candidate);
    let family = compare::family(wanted, candidate);
    let given = compare::given(wanted, candidate);
    let gender = compare::gender(wanted, candidate);
    let weight = IDENTIFIER.of(identifier)
        + BIRTH_DATE.of(birth_date)
        + FAMILY.of(family)
        + GIVEN.of(given)
        + GENDER.of(gender)
        + TELECOM.of(compare::telecom(wanted, candidate))
        + ADDRESS.of(compare::address(wanted, candidate));
    let odds = weight - PRIOR;
    // Twins share all but the given name, father and son all but the birth date: whatever the sum, nobody is certain
    // whom one of these contradicts, or who shares neither a number nor all three.
    let is_contradicted = [identifier, birth_date, family, given, gender].contains(&Verdict::Different);
    let is_identified =
        identifier == Verdict::Same || [birth_date, family, given].iter().all(|it| *it == Verdict::Same);
    let grade = match odds {
        CERTAIN.. if is_identified && !is_contradicted => Grade::Certain,
        PROBABLE.. => Grade::Probable,
        POSSIBLE.. => Grade::Possible,
        _ => Grade::CertainlyNot,
    };
    Assessment { grade, odds }
}

/// Parameters of a search.
pub(crate) type Parameters = Vec<(&'static str, String)>;

/// The searches of Patients that find all who may be meant. Each asks for something rare, so that an index leads to
/// few: a number, a birth date with a name, a whole name, a family at a postal code, a telephone number.
pub(crate) fn searches(wanted: &Value) -> Vec<Parameters> {
    let identifiers = items(wanted, "identifier").filter_map(|json| identifier_token(&Identifier::of(json)));
    let names = || items(wanted, "name");
    let families = || names().filter_map(|name| text(name, "family"));
    let given = || names().flat_map(|name| items(name, "given")).filter_map(Value::as_str);
    let birth_date = text(wanted, "birthDate").map(str::to_owned);
    let telecom = items(wanted, "telecom").filter_map(|contact| text(contact, "value"));
    let postal_codes = items(wanted, "address").filter_map(|address| text(address, "postalCode"));
    let families_only = || any_of(families().map(|name| escaped(name).into_owned()));
    let given_only = any_of(given().map(|name| escaped(name).into_owned()));
    let all_names = any_of(families().chain(given()).map(|name| escaped(name).into_owned()));
    [
        vec![("identifier", any_of(identifiers))],
        vec![("birthdate", birth_date), ("name", all_names)],
        vec![("family", families_only()), ("given", given_only)],
        vec![
            ("family", families_only()),
            ("address-postalcode", any_of(postal_codes.map(|code| escaped(code).into_owned()))),
        ],
        vec![("telecom", any_of(telecom.map(|value| escaped(value).into_owned())))],
    ]
    .into_iter()
    .filter_map(|parameters| parameters.into_iter().map(|(name, value)| Some((name, value?))).collect())
    .collect()
}

/// An identifier as the token of a search.
pub(crate) fn identifier_token(identifier: &Identifier<'_>) -> Option<String> {
    let value = escaped(identifier.value.filter(|value| !value.trim().is_empty())?);
    Some(match identifier.system {
        Some(system) => format!("{}|{value}", escaped(system)),
        None => value.into_owned(),
    })
}

/// Values as alternatives, each once; none if there are none.
fn any_of(values: impl Iterator<Item = String>) -> Option<String> {
    let mut values: Vec<String> = values.filter(|value| !value.trim().is_empty()).take(MOST_VALUES).collect();
    values.sort_unstable();
    values.dedup();
    (!values.is_empty()).then(|| values.join(","))
}

/// The entries of a repeating element.
fn items<'a>(json: &'a Value, element: &str) -> impl Iterator<Item = &'a Value> {
    json.get(element).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(json: &'a Value, element: &str) -> Option<&'a str> {
    json.get(element).and_then(Value::as_str)
}
