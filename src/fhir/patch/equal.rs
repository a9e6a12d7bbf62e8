//! When two JSON values are the same to a `test` (RFC 6902, 4.6): numbers by what they are worth and not by how they
//! are written, objects whatever the order of their members.

use serde_json::{Number, Value};

/// Whether both mean the same.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => equal_numbers(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| equal(left, right)))
        }
        _ => left == right,
    }
}

fn equal_numbers(left: &Number, right: &Number) -> bool {
    let (left, right) = (left.to_string(), right.to_string());
    left == right || Decimal::of(&left).is_some_and(|decimal| Some(decimal) == Decimal::of(&right))
}

/// A number as its significant digits and a power of ten, so that each worth has one form.
#[derive(PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// `None` for an exponent that nobody means.
    fn of(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_end_matches('0');
        let dropped = digits.len() - significant.len();
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), exponent: 0 });
        }
        let exponent: i64 = exponent.parse().ok()?;
        let exponent = exponent
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(dropped).ok()?)?;
        Some(Self { is_negative, digits: significant.to_owned(), exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_by_worth_and_objects_by_content() {
        for (left, right, are_equal) in [
            ("1", "1.0", true),
            ("1.50", "15e-1", true),
            ("100", "1E+2", true),
            ("0", "-0.00e7", true),
            ("0.001", "1e-3", true),
            ("1e99999999999999999999", "1e99999999999999999999", true),
            ("1e99999999999999999999", "1", false),
            ("1", "-1", false),
            ("0.1", "0.10000000000000000000001", false),
            ("9007199254740993", "9007199254740992", false),
            (r#"{"a":1,"b":[2.0]}"#, r#"{"b":[2],"a":1.0}"#, true),
            ("[1,2]", "[2,1]", false),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            ("1", "\"1\"", false),
            ("null", "false", false),
        ] {
            let parse = |text| serde_json::from_str::<Value>(text).expect("it is JSON");
            assert_eq!(equal(&parse(left), &parse(right)), are_equal, "{left} {right}");
        }
    }
}
