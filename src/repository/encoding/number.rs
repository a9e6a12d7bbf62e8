//! Decimals, exactly as written, as bytes that compare as the numbers do; and the stretch of numbers that a number in a
//! search means, which its digits tell (FHIR R4 search, number).

use std::ops::Range;

/// A decimal number: its sign, its digits, and where the point is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::repository) struct Decimal {
    is_negative: bool,
    /// ASCII, neither beginning nor ending with a zero; none if the number is zero.
    digits: Vec<u8>,
    /// The number is 0.digits times ten to the power of this.
    exponent: i32,
}

/// First bytes, in the order of the numbers.
const NEGATIVE: u8 = 0;
const ZERO: u8 = 1;
const POSITIVE: u8 = 2;

impl Decimal {
    /// Reads a JSON number; an exponent beyond all reason counts as the greatest there is.
    pub(in crate::repository) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = split_exponent(text)?;
        let (is_negative, mantissa) =
            mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat().into_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let point = i64::try_from(whole.len()).ok()?.saturating_add(exponent);
        Some(Self::of(is_negative, &digits, point))
    }

    /// The number `mantissa` times ten to the power of `scale`.
    fn scaled(mantissa: i128, scale: i64) -> Self {
        let digits = mantissa.unsigned_abs().to_string().into_bytes();
        let point = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_add(scale);
        Self::of(mantissa < 0, &digits, point)
    }

    fn of(is_negative: bool, digits: &[u8], point: i64) -> Self {
        let Some(first) = digits.iter().position(|digit| *digit != b'0') else {
            return Self { is_negative: false, digits: Vec::new(), exponent: 0 };
        };
        let last = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(first);
        let exponent = point.saturating_sub(i64::try_from(first).unwrap_or(i64::MAX));
        let bound = if exponent < 0 { i32::MIN } else { i32::MAX };
        let exponent = i32::try_from(exponent).unwrap_or(bound);
        Self { is_negative, digits: digits[first..=last].to_vec(), exponent }
    }

    /// The bytes that it is filed under.
    pub(in crate::repository) fn encoded(&self) -> Vec<u8> {
        if self.digits.is_empty() {
            return vec![ZERO];
        }
        let exponent = self.exponent.cast_unsigned() ^ (1 << 31);
        let mut bytes = vec![POSITIVE];
        bytes.extend(exponent.to_be_bytes());
        bytes.extend(&self.digits);
        if self.is_negative {
            // The greater without its sign, the less with it. The end is told, because the longer of two that begin
            // alike is now the less.
            for byte in &mut bytes {
                *byte = !*byte;
            }
            bytes[0] = NEGATIVE;
            bytes.push(u8::MAX);
        }
        bytes
    }
}

/// The numbers that a number in a search is equal to: those that are it once rounded to its last digit, so that `100`
/// is from 99.5 on and below 100.5. `1e2` is from 95 on and below 105, as FHIR R4 says. `None` if it is no number or
/// longer than arithmetic takes.
pub(in crate::repository) fn around(text: &str) -> Option<Range<Decimal>> {
    let (mantissa, scale, has_exponent) = parts(text)?;
    let digits = if has_exponent { 100 } else { 10 };
    let mantissa = mantissa.checked_mul(digits)?;
    let scale = scale.saturating_sub(if has_exponent { 2 } else { 1 });
    Some(Decimal::scaled(mantissa - 5, scale)..Decimal::scaled(mantissa + 5, scale))
}

/// The numbers that are about a number in a search: within a tenth of it (FHIR R4 search, `ap`), and at least those
/// that it is equal to.
pub(in crate::repository) fn near(text: &str) -> Option<Range<Decimal>> {
    let (mantissa, scale, has_exponent) = parts(text)?;
    let tenth = mantissa.abs();
    let precision = if has_exponent { 0 } else { 5 };
    let mantissa = mantissa.checked_mul(10)?;
    let distance = tenth.max(precision);
    let scale = scale.saturating_sub(1);
    if distance == 0 {
        return around(text);
    }
    Some(Decimal::scaled(mantissa - distance, scale)..Decimal::scaled(mantissa + distance, scale))
}

/// A number in a search as it stands.
pub(in crate::repository) fn exact(text: &str) -> Option<Decimal> {
    let (mantissa, scale, _) = parts(text)?;
    Some(Decimal::scaled(mantissa, scale))
}

/// The number is the first times ten to the power of the second; whether it was written with an exponent.
fn parts(text: &str) -> Option<(i128, i64, bool)> {
    let (mantissa, exponent) = split_exponent(text)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scale = exponent.saturating_sub(i64::try_from(fraction.len()).ok()?);
    Some(([whole, fraction].concat().parse().ok()?, scale, text.contains(['e', 'E'])))
}

fn split_exponent(text: &str) -> Option<(&str, i64)> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Some((text, 0)) };
    // A plus that was not escaped has become a space.
    let exponent = exponent.trim_start_matches([' ', '+']);
    let digits = exponent.strip_prefix('-').unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let bound = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    Some((mantissa, exponent.parse().unwrap_or(bound)))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect("a number")
    }

    /// Compares mantissas at the same scale, which needs no digits taken apart.
    fn compared(left: (i64, u32), right: (i64, u32)) -> Ordering {
        let at_scale_9 = |(mantissa, places): (i64, u32)| i128::from(mantissa) * 10_i128.pow(9 - places);
        at_scale_9(left).cmp(&at_scale_9(right))
    }

    fn written((mantissa, places): (i64, u32), as_exponent: bool) -> String {
        if as_exponent {
            return format!("{mantissa}e-{places}");
        }
        let sign = if mantissa < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", mantissa.unsigned_abs(), width = places as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places as usize);
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    proptest! {
        #[test]
        fn decimals_compare_as_their_bytes_do(
            left in (prop_oneof![-120_i64..120, any::<i64>()], 0_u32..9),
            right in (prop_oneof![-120_i64..120, any::<i64>()], 0_u32..9),
            as_exponent: bool,
        ) {
            let bytes = |number, as_exponent| decimal(&written(number, as_exponent)).encoded();
            prop_assert_eq!(bytes(left, as_exponent).cmp(&bytes(right, false)), compared(left, right));
        }
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (left, right) in [
            ("1", "1.000"),
            ("100", "1e2"),
            ("0.001", "1E-3"),
            ("0", "-0.00"),
            ("-12.50", "-125e-1"),
            ("007", "7"),
        ] {
            assert_eq!(decimal(left), decimal(right), "{left} {right}");
        }
        assert!(decimal("-1e999999999999999999999").encoded() < decimal("-1e99").encoded());
        assert!(decimal("1e-999999999999999999999").encoded() > decimal("0").encoded());
        for text in ["", "-", ".", "1.x", "1e", "e1", "--1", "NaN"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_digits_of_a_number_say_how_precise_it_is() {
        for (text, from, until) in [
            ("100", "99.5", "100.5"),
            ("100.00", "99.995", "100.005"),
            ("1e2", "95", "105"),
            ("-5.4", "-5.45", "-5.35"),
            ("0", "-0.5", "0.5"),
        ] {
            assert_eq!(around(text), Some(decimal(from)..decimal(until)), "{text}");
        }
        for (text, from, until) in [
            ("100", "90", "110"),
            ("-20.0", "-22", "-18"),
            ("1", "0.5", "1.5"),
            ("0", "-0.5", "0.5"),
            ("1e2", "90", "110"),
        ] {
            assert_eq!(near(text), Some(decimal(from)..decimal(until)), "{text}");
        }
    }
}
